"""Reads a configuration in TOML, for those who would rather write one.

The keys are the options of mosquitto.conf. General options stand at the top; each listener is a
table ``[[listener]]``, with ``port`` and ``address``, or ``path``, besides its options. Truth
values and numbers are TOML's, and an option that may stand in several lines takes a list.

Bridges and plugins are not read here, and ``include_dir`` is for files of the other kind.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from midge.config import options
from midge.config.environment import REPEATED
from midge.config.place import Place, Where
from midge.config.values import Fault, Line

if TYPE_CHECKING:
    from midge.config.options import Option
    from midge.config.reader import Reader

#: What a value must be, by kind.
_WANTED: Final[dict[str, tuple[type | tuple[type, ...], str]]] = {
    options.BOOL: (bool, "true or false, without quotes"),
    options.INT: (int, "a whole number, without quotes"),
    options.TEXT: (str, "a text in quotes"),
    options.DURATION: (str, 'a text in quotes, such as "14d"'),
    options.OWN: ((str, int), "a text in quotes, or a number"),
}
#: Options whose list is one value with commas.
_JOINED: Final = frozenset(
    {"accept_protocol_versions", "authenticators", "authorizers", "jwt_algorithms"}
)
_KEY: Final = re.compile(r"""\s*["']?([A-Za-z0-9_.-]+?)["']?\s*=""")
_HEADER: Final = re.compile(r"\s*\[\[\s*listener\s*\]\]")
#: Where a place has no listener, it is the top of the file.
_TOP: Final = -1


def read(reader: Reader, text: str, file: str) -> None:
    """Take the options of a file.

    Raises:
        ConfigError: something in it cannot be used, and the reader does not collect errors.
    """
    import tomllib  # 14 ms for those who want it

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line ([0-9]+), column [0-9]+\)$", str(error))
        line = int(found[1]) if found is not None else text.count("\n") + 1
        reader.refuse(Fault(f"Error: {str(error).split(' (at ')[0]}."), Where(file, line))
        return
    _Tables(reader, file, _line_numbers(text)).read(table)


def _line_numbers(text: str) -> dict[tuple[int, str], int]:
    """The line of each key, by the index of its listener.

    The parser does not tell. A look at how lines begin is good enough for messages, although a text
    over several lines could mislead it.
    """
    lines: dict[tuple[int, str], int] = {}
    listener = _TOP
    for number, line in enumerate(text.split("\n"), 1):
        if _HEADER.match(line):
            listener += 1
            lines.setdefault((listener, ""), number)
        elif (found := _KEY.match(line)) is not None:
            lines.setdefault((listener, found[1]), number)
    return lines


class _Tables:
    """The parsed file on its way to the reader."""

    __slots__ = ("_file", "_lines", "_place", "_reader")

    def __init__(self, reader: Reader, file: str, lines: dict[tuple[int, str], int]) -> None:
        self._reader = reader
        self._file = file
        self._lines = lines
        self._place = Place(Where(file, 1))

    def read(self, table: dict[str, object]) -> None:
        """Take the top of the file, then its listeners."""
        # It decides what the others belong to.
        for key in sorted(table, key=lambda key: key != "per_listener_settings"):
            if key != "listener":
                self._top(key, table[key])
        listeners = table.get("listener", [])
        if not isinstance(listeners, list) or not all(isinstance(it, dict) for it in listeners):
            self._at(_TOP, "listener")
            self._refuse("Error: A listener is a table of its own, which begins with [[listener]].")
            return
        for index, listener in enumerate(listeners):
            self._listener(index, listener)

    def _at(self, index: int, key: str) -> None:
        line = self._lines.get((index, key)) or self._lines.get((index, "")) or 1
        self._place.where = Where(self._file, line)

    def _refuse(self, text: str) -> None:
        self._reader.refuse(Fault(text), self._place.where)

    def _top(self, key: str, value: object) -> None:
        self._at(_TOP, key)
        option = options.find(key)
        if option is not None:
            if option.place in (options.LISTENER, options.DEFAULT_LISTENER):
                return self._refuse(f"Error: The '{key}' option belongs below a [[listener]].")
            if option.place in (options.BRIDGE, options.PLUGIN) or key in (
                *("connection", "include_dir", "auth_plugin", "plugin"),
                *("global_plugin", "plugin_load"),
            ):
                return self._refuse(
                    f"Error: The '{key}' option can only be given in a mosquitto.conf."
                )
        self._take(option, key, value)
        return None

    def _listener(self, index: int, table: dict[str, object]) -> None:
        self._at(index, "")
        port, address, path = (table.pop(key, None) for key in ("port", "address", "path"))
        if path is not None and (port is not None or address is not None):
            self._refuse("Error: A listener has either a 'path', or a 'port' and an 'address'.")
        elif not isinstance(port, int | None) or isinstance(port, bool):
            self._refuse(f"Error: Invalid 'port' value ({port}).")
        elif not isinstance(address, str | None) or not isinstance(path, str | None):
            self._refuse("Error: 'address' and 'path' of a listener are texts in quotes.")
        elif any(text is not None and re.search(r"[\s#]", text) for text in (address, path)):
            self._refuse("Error: 'address' and 'path' of a listener are without blanks and '#'.")
        elif path is None and port is None:
            self._refuse("Error: Empty 'listener port' value in configuration.")
        else:
            line = f"0 {path}" if path is not None else f"{port} {address or ''}"
            self._reader.read("listener", Line(line), self._place)
        for key, value in table.items():
            self._at(index, key)
            option = options.find(key)
            if option is not None and (
                option.place in (options.GENERAL, options.BRIDGE, options.PLUGIN)
                or (option.place == options.SECURITY and not self._reader.per_listener)
            ):
                self._refuse(
                    f"Error: The '{key}' option goes for the whole broker. It belongs above the "
                    "first [[listener]]."
                )
                continue
            self._take(option, key, value)

    def _take(self, option: Option | None, key: str, value: object) -> None:
        try:
            values = [""] if option is None else _values(option, key, value)
        except Fault as fault:
            self._reader.refuse(fault, self._place.where)
            return
        for each in values:
            self._reader.read(key, Line(each), self._place)


def _values(option: Option, key: str, value: object) -> list[str]:
    """The values of the lines of a mosquitto.conf that would say the same."""
    if isinstance(value, list):
        if option.name in REPEATED:
            return [_text(option, key, each) for each in value]
        if option.name in _JOINED:
            words = [str(each) for each in value if isinstance(each, str | int)]
            if len(words) == len(value):
                return [", ".join(words)]
    return [_text(option, key, value)]


def _text(option: Option, key: str, value: object) -> str:
    wanted, what = _WANTED[option.kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and option.kind != options.BOOL):
        raise Fault(f"Error: Invalid '{key}' value ({value}): it must be {what}.")
    return str(value).lower() if isinstance(value, bool) else str(value)
