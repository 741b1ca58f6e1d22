"""Command line flags as a table: the parser and ``--help`` are made from it.

The manner is that of Mosquitto's commands, which scripts rely on: every flag stands alone
(``-v -d``, never ``-vd``), a value is the next argument whatever it looks like (``-m -1``), and an
argument that is no flag is an error. ``argparse`` can do none of it, and takes 8 ms to import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

# What a flag does with its value.
SWITCH: Final = 0
VALUE: Final = 1
REPEATED: Final = 2
REST: Final = 3


class FlagError(Exception):
    """The command line cannot be used; the text is for its writer."""


class HelpWanted(Exception):
    """``--help`` was given."""


class VersionWanted(Exception):
    """``--version`` was given."""


def as_text(value: str) -> str:
    """The value as it stands."""
    return value


class Flag:
    """One flag.

    Attributes:
        names: its spellings, the first of which stands in error messages.
        attribute: the attribute of the options that it sets.
        kind: ``SWITCH`` sets true; ``VALUE`` sets, ``REPEATED`` appends one converted value;
            ``REST`` gives the arguments behind it to :attr:`take`.
        metavar: what ``--help`` calls the value.
        help: one line, or more, for ``--help``.
        noun: what is missing when the value is.
        convert: makes the value from the argument, or raises :class:`FlagError`.
        take: for ``REST``: ``take(options, arguments) -> how many it used``.
    """

    __slots__ = ("attribute", "convert", "help", "kind", "metavar", "names", "noun", "take")

    def __init__(
        self,
        names: str,
        attribute: str,
        help: str,
        kind: int = SWITCH,
        metavar: str = "",
        noun: str = "",
        convert: Callable[[str], object] = as_text,
        take: Callable[[object, Sequence[str]], int] | None = None,
    ) -> None:
        self.names = names.split()
        self.attribute = attribute
        self.help = help
        self.kind = kind
        self.metavar = metavar
        self.noun = noun
        self.convert = convert
        self.take = take


def parse(flags: Sequence[Flag], arguments: Sequence[str], options: object) -> None:
    """Set the attributes of ``options`` as the arguments say, in their order.

    Raises:
        FlagError: an argument is no flag, or its value is missing or not valid.
        HelpWanted: ``--help`` stands where a flag may stand.
        VersionWanted: ``--version`` does.
    """
    table = {name: flag for flag in flags for name in flag.names}
    index = 0
    while index < len(arguments):
        name = arguments[index]
        index += 1
        flag = table.get(name)
        if flag is None:
            if name == "--help":
                raise HelpWanted
            if name == "--version":
                raise VersionWanted
            raise FlagError(f"Error: Unknown option '{name}'.")
        if flag.kind == SWITCH:
            setattr(options, flag.attribute, True)
        elif flag.kind == REST:
            assert flag.take is not None
            index += flag.take(options, arguments[index:])
        else:
            if index == len(arguments):
                raise FlagError(
                    f"Error: {flag.names[0]} argument given but no {flag.noun} specified."
                )
            value = flag.convert(arguments[index])
            index += 1
            if flag.kind == VALUE:
                setattr(options, flag.attribute, value)
            else:
                getattr(options, flag.attribute).append(value)


#: Where the explanations of ``--help`` begin, and where they end.
_HELP_COLUMN: Final = 30
_HELP_WIDTH: Final = 96


def help_text(summary: str, usage: str, flags: Sequence[Flag]) -> str:
    """What ``--help`` prints: a summary, how to write it, and every flag of the table."""
    lines = [summary, "", f"Usage: {usage}", ""]
    for flag in flags:
        left = "  " + ", ".join(flag.names)
        if flag.metavar:
            left += " " + flag.metavar
        explanation = _wrap(flag.help, _HELP_WIDTH - _HELP_COLUMN)
        if len(left) >= _HELP_COLUMN - 1:
            lines.append(left)
            left = ""
        for line in explanation:
            lines.append(left.ljust(_HELP_COLUMN) + line)
            left = ""
    lines.append("  --help".ljust(_HELP_COLUMN) + "print this text")
    return "\n".join(lines) + "\n"


def _wrap(text: str, width: int) -> list[str]:
    """Break at spaces. ``textwrap`` would bring ``re`` with it, and cost 10 ms."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return lines


def whole_number(text: str, lowest: int, highest: int) -> int | None:
    """The number that ``text`` is, or ``None`` when it is none or out of range."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        return None
    number = int(text)
    return number if lowest <= number <= highest else None
