"""``midge config``: check a configuration, show what goes and why, and print the reference page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from midge.cli.output import OutputGone, print_error, print_line
from midge.cli.version import version_line

_USAGE: Final = """\
Check a configuration, show what goes and where it comes from, and what there is to configure.

Usage: midge config check FILE
       midge config show [FILE] [-p PORT]... [--set] [--json | --conf]
       midge config docs

  check FILE     say all that is wrong with it, and what in it has no effect
  show           every option: its value, and where that comes from
    --set        only what was set
    --json       for programs
    --conf       as a mosquitto.conf that sets the same
    -p PORT      as with midge broker
  docs           print the reference of all options (Markdown)
  --help         print this text

FILE is a mosquitto.conf, or TOML where its name ends in .toml; it may also be given as -c FILE, as
with midge broker. The environment (MIDGE_<OPTION>)
counts as it does for midge broker. Exits with 3 when the configuration cannot be used."""

_OK: Final = 0
_USAGE_ERROR: Final = 2
_BAD_CONFIG: Final = 3


class _UsageError(Exception):
    """The command line cannot be used."""


def main(arguments: Sequence[str]) -> int:
    """Run ``midge config``; returns the exit status."""
    words = list(arguments)
    if words[:1] == ["--version"]:
        print_line(version_line())
        return _OK
    if words[:1] in (["--help"], ["-h"]):
        print_line(_USAGE)
        return _OK
    try:
        return _run(words)
    except _UsageError as error:
        print_error(f"Error: {error}\n\nUse 'midge config --help' to see usage.")
        return _USAGE_ERROR
    except OutputGone as error:
        print_error(f"Error: standard output cannot be written: {error}")
        return 1


def _run(words: list[str]) -> int:
    if not words:
        raise _UsageError("no command given.")
    name, *rest = words
    if name == "check":
        return _check(rest)
    if name == "show":
        return _show(rest)
    if name == "docs":
        if rest:
            raise _UsageError(f"'docs' takes no '{rest[0]}'.")
        from midge.config.reference import page

        print_line(page().rstrip("\n"))
        return _OK
    raise _UsageError(f"unknown command '{name}'.")


_FILE_FLAGS: Final = ("-c", "--config-file")


def _check(rest: list[str]) -> int:
    if rest[:1] and rest[0] in _FILE_FLAGS:
        rest = rest[1:]
    if not rest or rest[0].startswith("-"):
        raise _UsageError("'check' needs a file.")
    if rest[1:]:
        raise _UsageError(f"'check' takes no '{rest[1]}'.")
    from midge.server.configuration import check

    return _OK if check(rest[0]) else _BAD_CONFIG


class _Show:
    """What the command line of ``show`` says."""

    __slots__ = ("conf", "file", "json", "only_set", "ports")

    def __init__(self, words: list[str]) -> None:
        self.file: str | None = None
        self.ports: list[int] = []
        self.json = self.conf = self.only_set = False
        rest = iter(words)
        for word in rest:
            if word == "--json":
                self.json = True
            elif word == "--conf":
                self.conf = True
            elif word == "--set":
                self.only_set = True
            elif word in ("-p", "--port"):
                port = next(rest, "")
                if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65_535):
                    raise _UsageError(f"invalid port '{port}'.")
                self.ports.append(int(port))
            elif word in _FILE_FLAGS and self.file is None:
                self.file = next(rest, None)
                if self.file is None:
                    raise _UsageError(f"'{word}' needs a file.")
            elif word.startswith("-") or self.file is not None:
                raise _UsageError(f"'show' takes no '{word}'.")
            else:
                self.file = word
        if self.conf and (self.json or self.only_set):
            raise _UsageError("--conf goes without --json and --set.")


def _show(rest: list[str]) -> int:
    wanted = _Show(rest)
    from midge.config import show
    from midge.errors import ConfigError
    from midge.server.configuration import load, report

    try:
        configuration = load(wanted.file, tuple(wanted.ports))
    except ConfigError as error:
        report(error)
        return _BAD_CONFIG
    if wanted.json:
        import json

        print_line(json.dumps(show.as_data(configuration, not wanted.only_set), indent=2))
        return _OK
    if wanted.conf:
        lines = show.as_file(configuration)
    else:
        lines = show.as_text(configuration, not wanted.only_set)
    for line in lines:
        print_line(line)
    return _OK
