"""``midge store``: look into the file that `persistence true` keeps, check it, copy it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from midge.cli.output import OutputGone, print_error, print_line, write_output
from midge.cli.version import version_line
from midge.errors import MidgeError
from midge.store.sqlite import upkeep

_USAGE: Final = """\
Look into the store of a broker (persistence true), check it, copy it. All but import may be done
while the broker runs.

Usage: midge store COMMAND FILE [ARGUMENT]

  verify FILE           say what is wrong with it; exits with 1 when something is
  stats FILE [--json]   count what is in it
  export FILE [OUT]     write all of it as lines of JSON, to standard output or a file
  import FILE [IN]      make a new store of such lines, from standard input or a file
  backup FILE COPY      copy it
  compact FILE          give free space back to the file system
  --help                print this text

FILE is midge.db, or the directory that it lies in (persistence_location)."""


class _UsageError(Exception):
    """The command line cannot be used."""


def main(arguments: Sequence[str]) -> int:
    """Run ``midge store``; returns the exit status."""
    words = list(arguments)
    if words[:1] == ["--help"]:
        print_line(_USAGE)
        return 0
    if words[:1] == ["--version"]:
        print_line(version_line())
        return 0
    try:
        return _run(words)
    except _UsageError as error:
        print_error(f"Error: {error}\n\nUse 'midge store --help' to see usage.")
        return 2
    except OSError as error:
        what = "it exists already" if isinstance(error, FileExistsError) else error.strerror
        print_error(f"Error: {error.filename or 'input or output'}: {what}")
        return 1
    except MidgeError as error:
        print_error(f"Error: {error}")
        return 1
    except OutputGone as error:
        print_error(f"Error: standard output cannot be written: {error}")
        return 1


def _run(words: list[str]) -> int:
    if not words:
        raise _UsageError("no command given.")
    name, *rest = words
    command = _COMMANDS.get(name)
    if command is None:
        raise _UsageError(f"unknown command '{name}'.")
    if not rest or rest[0].startswith("-"):
        raise _UsageError(f"'{name}' needs the file of the store.")
    path = rest[0]
    if os.path.isdir(path):
        path = os.path.join(path, "midge.db")
    return command(path, rest[1:])


def _none(name: str, rest: list[str]) -> None:
    if rest:
        raise _UsageError(f"'{name}' takes no '{rest[0]}'.")


def _verify(path: str, rest: list[str]) -> int:
    _none("verify", rest)
    wrong = upkeep.verify(path)
    for line in wrong:
        print_line(line)
    if not wrong:
        print_line(f"{path} is sound.")
    return 1 if wrong else 0


def _stats(path: str, rest: list[str]) -> int:
    as_json = rest == ["--json"]
    if not as_json:
        _none("stats", rest)
    numbers = upkeep.stats(path)
    if as_json:
        print_line(json.dumps(numbers))
        return 0
    for name, value in numbers.items():
        print_line(f"{name.replace('_', ' '):<20}{value:>16,}")
    return 0


def _export(path: str, rest: list[str]) -> int:
    _none("export", rest[1:])
    lines = upkeep.export_lines(path)
    if rest:
        _write_file(rest[0], lines)
        return 0
    for line in lines:
        write_output(line.encode() + b"\n")
    return 0


def _write_file(name: str, lines: Iterator[str]) -> None:
    """Write a new file; what cannot be written whole is not left behind."""
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            for line in lines:
                file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, name) from error
        raise


def _import(path: str, rest: list[str]) -> int:
    _none("import", rest[1:])
    if rest:
        with open(rest[0], encoding="utf-8") as file:
            count = upkeep.import_lines(path, file)
    else:
        count = upkeep.import_lines(path, sys.stdin)
    print_line(f"{count} rows imported into {path}.")
    return 0


def _backup(path: str, rest: list[str]) -> int:
    if not rest:
        raise _UsageError("'backup' needs the name of the copy.")
    _none("backup", rest[1:])
    size = upkeep.backup(path, rest[0])
    print_line(f"{size:,} bytes copied to {rest[0]}.")
    return 0


def _compact(path: str, rest: list[str]) -> int:
    _none("compact", rest)
    print_line(f"{upkeep.compact(path):,} bytes given back.")
    return 0


_COMMANDS: Final[dict[str, Callable[[str, list[str]], int]]] = {
    "verify": _verify,
    "stats": _stats,
    "export": _export,
    "import": _import,
    "backup": _backup,
    "compact": _compact,
}
