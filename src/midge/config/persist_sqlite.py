"""Options of mosquitto_persist_sqlite, which keeps what outlives Mosquitto, as options of ours.

midge keeps it in SQLite by itself: a configuration that loads the plugin is read as if it had
``persistence true``, with ``persistence_location`` and ``persistence_sync`` as the plugin's options
say. The plugin's own file is not read.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from midge.config.options import OPTIONS
from midge.config.values import Fault

if TYPE_CHECKING:
    from midge.config.plugins import PluginSettings
    from midge.config.reader import Reader

#: What a commit waits for; ``extra`` also waits for the directory, which the WAL makes needless.
_SYNC: Final = {"extra": "full", "full": "full", "normal": "normal", "off": "off"}
#: How the plugin works inside: a batch is committed as soon as the one before it is safe.
_WITHOUT_DIFFERENCE: Final = frozenset({"flush_period", "page_size"})


def is_persist_sqlite(plugin: PluginSettings) -> bool:
    """Whether a plugin is this one, by the name of its file."""
    return posixpath.basename(plugin.path) == "mosquitto_persist_sqlite.so"


def adopt(reader: Reader, plugin: PluginSettings) -> None:
    """Set what the plugin's options say; what is wrong with them is told to the reader.

    Raises:
        ConfigError: something is wrong, and the reader does not collect errors.
    """
    where = reader.where(plugin, OPTIONS[plugin.loaded_by].alias_of or plugin.loaded_by)
    settings = reader.settings
    given = {name.lower(): value for name, value in plugin.options}
    try:
        sync = _sync(given)
    except Fault as fault:
        reader.refuse(fault, where)
        return
    db_file = given.get("db_file")
    if settings.persistence_location is None and db_file is None:
        reader.say(
            "warning",
            "Warning: mosquitto_persist_sqlite has neither persistence_location nor "
            f"'plugin_opt_db_file', and is not activated ({where}).",
        )
        return
    settings.persistence = True
    if settings.persistence_location is None and db_file is not None:
        settings.persistence_location = posixpath.dirname(db_file) or "."
    if sync is not None and reader.where(settings, "persistence_sync") is None:
        settings.persistence_sync = sync
    assert where is not None
    for name in ("persistence", "persistence_location", "persistence_sync"):
        reader.origins.setdefault((id(settings), name), where)
    reader.say(
        "information",
        f"midge keeps what mosquitto_persist_sqlite would keep, in {settings.persistence_location} "
        f"({where}).",
    )


def _sync(given: dict[str, str]) -> str | None:
    for name, value in given.items():
        if name not in ("db_file", "sync", *_WITHOUT_DIFFERENCE):
            raise Fault(
                f"Error: mosquitto_persist_sqlite has no option '{name}'. It has db_file, sync, "
                "flush_period and page_size."
            )
        if name in _WITHOUT_DIFFERENCE and not (value.isascii() and value.isdecimal()):
            raise Fault(f"Error: Invalid plugin_opt_{name} value '{value}'.")
    if "sync" not in given:
        return None
    if given["sync"].lower() not in _SYNC:
        raise Fault(f"Error: Invalid plugin_opt_sync value '{given['sync']}'.")
    return _SYNC[given["sync"].lower()]
