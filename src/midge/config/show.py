"""What goes, and where it comes from: a configuration as a table, as data, or as a file again.

The file is a mosquitto.conf that sets everything the same wherever it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.config.render import general_lines, listener_lines
from midge.config.settings import GENERAL_ORIGIN, anonymous_allowed
from midge.config.values import readable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midge.config.render import Lines
    from midge.config.settings import Configuration

#: What is said of an option that nobody set.
DEFAULT: Final = "default"
#: What is said of a listener that nobody asked for.
LOCAL: Final = "default: only this machine"


class Row:
    """An option.

    Attributes:
        name: its name.
        values: one for each line that it would take in a file; none where it has no value.
        origin: where it was given.
    """

    __slots__ = ("name", "origin", "values")

    def __init__(self, name: str, values: list[str], origin: str) -> None:
        self.name = name
        self.values = values
        self.origin = origin


class Section:
    """The general options, or those of one listener.

    Attributes:
        title: the listener's name; empty for the general options.
        rows: the options.
    """

    __slots__ = ("rows", "title")

    def __init__(self, title: str, rows: list[Row]) -> None:
        self.title = title
        self.rows = rows


def sections(configuration: Configuration, defaults: bool = True) -> list[Section]:
    """All options of a configuration.

    Args:
        configuration: the configuration.
        defaults: those that nobody set as well.
    """
    settings, origins = configuration.settings, configuration.origins
    found = [Section("", _rows(origins, GENERAL_ORIGIN, general_lines(settings)))]
    for index, listener in enumerate(configuration.listeners):
        lines = listener_lines(listener, settings.per_listener_settings)
        section = Section(listener.name(), _rows(origins, index, lines))
        if configuration.local_only and section.rows[0].origin == DEFAULT:
            section.rows[0].origin = LOCAL
        found.append(section)
    if not defaults:
        for section in found:
            section.rows = [row for row in section.rows if row.origin != DEFAULT]
    return found


def _rows(origins: dict[tuple[int, str], str], index: int, lines: Iterable[Lines]) -> list[Row]:
    return [
        Row(option.name, values, _origin(origins, index, option.name)) for option, values in lines
    ]


def _origin(origins: dict[tuple[int, str], str], index: int, name: str) -> str:
    for each in (name, *_ALSO.get(name, ())):
        if (index, each) in origins:
            return origins[index, each]
    return DEFAULT


def _effective(configuration: Configuration, found: list[Section]) -> list[Section]:
    """The same, where what goes at a listener depends on more than its own options."""
    settings = configuration.settings
    for section, listener in zip(found[1:], configuration.listeners, strict=True):
        for row in section.rows:
            if row.name == "listener_allow_anonymous" and not row.values:
                row.values = [str(anonymous_allowed(settings, listener)).lower()]
                row.origin = _origin(configuration.origins, GENERAL_ORIGIN, "allow_anonymous")
            elif row.name == "listener_auto_id_prefix" and not row.values:
                row.values = [settings.auto_id_prefix]
                row.origin = _origin(configuration.origins, GENERAL_ORIGIN, "auto_id_prefix")
    return found


#: Options that others set as well.
_ALSO: Final = {
    "listener": ("port", "bind_address"),
    "listener_allow_anonymous": ("allow_anonymous",),
    "listener_auto_id_prefix": ("auto_id_prefix",),
}


def as_text(configuration: Configuration, defaults: bool = True) -> list[str]:
    """Aligned columns: option, value, origin."""
    found = _effective(configuration, sections(configuration, defaults))
    cells = [
        [(row.name, value, row.origin) for row in section.rows for value in row.values or ["-"]]
        for section in found
    ]
    name_width = max((len(name) for rows in cells for name, _, _ in rows), default=0)
    value_width = max(
        (len(shown) for rows in cells for _, shown, _ in rows if len(shown) <= _WIDE), default=0
    )
    lines: list[str] = []
    for section, rows in zip(found, cells, strict=True):
        if section.title:
            lines += ["", f"Listener {readable(section.title)}:"]
        lines += [
            f"{name:<{name_width}}  {readable(value):<{value_width}}  {origin}"
            for name, value, origin in rows
        ]
    return lines


#: Values that are longer do not widen the column for all.
_WIDE: Final = 40


def as_data(configuration: Configuration, defaults: bool = True) -> dict[str, object]:
    """The same for programs: lists, texts and numbers of JSON."""

    def rows(section: Section) -> dict[str, object]:
        return {
            row.name: {
                "value": row.values[0] if len(row.values) == 1 else (row.values or None),
                "from": row.origin,
            }
            for row in section.rows
        }

    general, *listeners = _effective(configuration, sections(configuration, defaults))
    return {
        "general": rows(general),
        "listeners": [{"name": section.title, "options": rows(section)} for section in listeners],
        "messages": [{"type": kind, "text": text} for kind, text in configuration.messages],
    }


def as_file(configuration: Configuration) -> list[str]:
    """The lines of a mosquitto.conf that sets the same."""
    lines: list[str] = []
    for section in sections(configuration):
        if section.title:
            if configuration.local_only:
                break  # a file with a listener would mean another one
            lines.append("")
        # It must come before any option that it concerns.
        first = [row for row in section.rows if row.name == "per_listener_settings"]
        for row in (*first, *(row for row in section.rows if row not in first)):
            lines += [f"{row.name} {value}" for value in row.values]
    return lines
