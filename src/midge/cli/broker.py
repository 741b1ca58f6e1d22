"""``midge broker``: run the broker, with the flags of ``mosquitto``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from midge.cli.flags import (
    REPEATED,
    REST,
    VALUE,
    Flag,
    FlagError,
    HelpWanted,
    VersionWanted,
    help_text,
    parse,
    whole_number,
)
from midge.cli.output import print_error, print_line
from midge.cli.version import version_line

#: What Mosquitto's broker exits with when its command line cannot be used.
_USAGE_ERROR: Final = 3


class BrokerOptions:
    """What the command line of ``midge broker`` says."""

    __slots__ = ("config_file", "daemon", "ports", "quiet", "test_config", "verbose")

    def __init__(self) -> None:
        self.config_file: str | None = None
        self.ports: list[int] = []
        self.verbose = False
        self.quiet = False
        self.daemon = False
        self.test_config = False


def _port(text: str) -> object:
    port = whole_number(text, 1, 65535)
    if port is None:
        raise FlagError(f"Error: Invalid port specified ({text}).")
    return port


def _help(options: object, arguments: Sequence[str]) -> int:
    raise HelpWanted


# fmt: off
FLAGS: Final = (
    Flag("-c --config-file", "config_file", "read this mosquitto.conf",
         VALUE, "FILE", "config file"),
    Flag("-p --port", "ports", "listen on this port (1883); may be repeated",
         REPEATED, "PORT", "port", _port),
    Flag("-v --verbose", "verbose", "log everything"),
    Flag("-q --quiet", "quiet", "log nothing"),
    Flag("-d --daemon", "daemon", "run in the background"),
    Flag("--test-config", "test_config", "read the configuration, say what is wrong, and exit"),
    Flag("-h", "", "print this text", REST, take=_help),
)
# fmt: on

_SUMMARY = "Run an MQTT broker. Without a configuration, it serves this machine alone."
_USAGE = "midge broker [-c FILE] [-p PORT] [-v] [-q] [-d] [--test-config]"


def main(arguments: Sequence[str]) -> int:
    """Run ``midge broker``; returns the exit status."""
    options = BrokerOptions()
    try:
        parse(FLAGS, arguments, options)
    except HelpWanted:
        print_line(help_text(_SUMMARY, _USAGE, FLAGS).rstrip())
        return 0
    except VersionWanted:
        print_line(version_line())
        return 0
    except FlagError as error:
        print_error(f"{error}\n\nUse 'midge broker --help' to see usage.")
        return _USAGE_ERROR
    from midge.server.app import run

    return run(
        config_file=options.config_file,
        ports=tuple(options.ports),
        verbose=options.verbose,
        quiet=options.quiet,
        daemon=options.daemon,
        test_config=options.test_config,
    )
