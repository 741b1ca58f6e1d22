"""The one registry of options: what a configuration may say, and what is known about it.

Readers of configuration files, the reference page, ``config show`` and the reload all ask here. It
knows every option of Mosquitto 2.1, whether midge acts on it or not, so that no option of a working
configuration is ever ignored in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from midge.config import option_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Kinds of values.
BOOL: Final = "bool"  #: ``true`` or ``false``, ``1`` or ``0``
INT: Final = "int"  #: a whole number, decimal, octal with a leading 0, or hexadecimal with 0x
TEXT: Final = "text"  #: the rest of the line
DURATION: Final = "duration"  #: a whole number and a unit, as in ``14d``
OWN: Final = "own"  #: a form of its own

# Places where an option may stand.
GENERAL: Final = "general"  #: anywhere
SECURITY: Final = "security"  #: anywhere; after a listener under ``per_listener_settings true``
LISTENER: Final = "listener"  #: after a listener, which it belongs to
DEFAULT_LISTENER: Final = "default"  #: the same, but without one it makes the default listener
BRIDGE: Final = "bridge"  #: after a ``connection``
PLUGIN: Final = "plugin"  #: after a plugin

# What midge does about an option.
WORKS: Final = "works"  #: it acts on it
INERT: Final = "inert"  #: it does not, which clients cannot notice: a warning
LATER: Final = "later"  #: it does not, which clients could notice: it refuses to start


@dataclass(slots=True, frozen=True)
class Option:
    """One option.

    Attributes:
        name: as it stands in a mosquitto.conf; ends in ``*`` where the rest of the name is free.
        kind: what its value looks like, see the kinds above.
        default: the default as a configuration would have it; ``None`` for none.
        place: where it may stand, see the places above.
        support: what midge does about it, see above.
        reloadable: a reload applies it.
        setting: the attribute of :class:`~midge.config.settings.Settings` or
            :class:`~midge.config.settings.ListenerSettings` that it sets; ``None`` for none.
        meaning: what it does, in a line.
        ours: Mosquitto does not have it.
        alias_of: the option that this is another name of; ``None`` for one that is none.
        deprecated: what to use instead, for an option that Mosquitto 2.1 calls deprecated, and
            will drop in 3.0; ``None`` for one that it does not. Empty where it names nothing.
    """

    name: str
    kind: str
    default: str | None
    place: str
    support: str
    reloadable: bool
    setting: str | None
    meaning: str
    ours: bool = False
    alias_of: str | None = None
    deprecated: str | None = None


#: What is deprecated in Mosquitto 2.1, and its advice.
_DEPRECATED: Final = {
    "acl_file": "",
    "allow_duplicate_messages": "The behaviour will default to true.",
    "auto_id_prefix": "Please use 'listener_auto_id_prefix' instead.",
    "bind_address": "",
    "clientid_prefixes": "",
    "password_file": "",
    "per_listener_settings": "Please see the documentation for how to achieve the same effect.",
    "port": "Please use 'listener' instead.",
}
#: Those of them that Mosquitto says nothing about at the start.
SILENTLY_DEPRECATED: Final = frozenset({"acl_file", "password_file"})
#: Other names of options.
_ALIASES: Final = {
    "addresses": "address",
    "auth_opt_*": "plugin_opt_*",
    "auth_plugin": "plugin",
    "clientid": "remote_clientid",
    "maximum_qos": "max_qos",
    "password": "remote_password",
    "retained_persistence": "persistence",
    "username": "remote_username",
    "websockets_headers_size": "packet_buffer_size",
}


def find(name: str) -> Option | None:
    """The option called ``name`` in a configuration, ``None`` where there is none."""
    option = OPTIONS.get(name)
    if option is None:
        for prefix, candidate in _PREFIXES:
            if name.startswith(prefix):
                return candidate
    return option


def nearest(name: str, among: Iterable[str] | None = None) -> str | None:
    """The option whose name is most like ``name``, which is none; ``None`` where none is."""
    from difflib import get_close_matches  # only who mistypes waits for it

    found = get_close_matches(name.lower(), OPTIONS if among is None else among, 1, 0.7)
    return found[0] if found else None


def _read(table: str) -> Iterator[Option]:
    lines = table.strip().splitlines()
    for columns, meaning in zip(lines[::2], lines[1::2], strict=True):
        name, kind, default, place, support, reloadable, setting = columns.split()
        yield Option(
            name,
            kind,
            None if default == "-" else default,
            place,
            support,
            reloadable == "r",
            None if setting == "-" else setting,
            meaning.strip(),
            table is option_table.OURS,
            _ALIASES.get(name),
            _DEPRECATED.get(name),
        )


#: All options by name.
OPTIONS: Final[dict[str, Option]] = {
    option.name: option
    for table in (
        option_table.GENERAL,
        option_table.OURS,
        option_table.PLUGIN,
        option_table.LISTENER,
        option_table.TLS,
        option_table.BRIDGE,
    )
    for option in _read(table)
}

_PREFIXES: Final = tuple(
    (name[:-1], option) for name, option in OPTIONS.items() if name.endswith("*")
)
