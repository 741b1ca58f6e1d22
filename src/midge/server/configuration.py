"""From files and the environment to a configuration: what I/O it takes to read one.

``midge broker``, its reload, and ``midge config`` get their configuration here, so that all of them
see the same.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from midge.config.settings import local_configuration
from midge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midge.config.settings import Configuration


def load(
    config_file: str | None,
    ports: tuple[int, ...] = (),
    environment: Mapping[str, str] | None = None,
    faults: list[ConfigError] | None = None,
) -> Configuration:
    """The configuration of a file and the environment, or the default one.

    Args:
        config_file: a ``mosquitto.conf``, or a file in TOML whose name ends in ``.toml``; ``None``
            for none.
        ports: those of the command line.
        environment: taken for the environment; ``None`` for that of the process.
        faults: takes all that is wrong; what is returned is then not for use. ``None``: the first
            error is raised.

    Raises:
        ConfigError: it cannot be read or used.
    """
    variables = os.environ if environment is None else environment
    if config_file is None and not any(name.startswith(("MIDGE_", "MOSQ")) for name in variables):
        return local_configuration(ports)
    from midge.config import sources  # a broker without a configuration starts without the readers

    text = None
    if config_file is not None:
        if os.path.isdir(config_file):
            raise ConfigError(f"Error: Config file '{config_file}' is a directory.")
        try:
            text = _read_file(config_file)
        except OSError as error:
            raise ConfigError(
                f"Error: Unable to open config file '{config_file}': {error.strerror}."
            ) from error
    return sources.configuration(
        text,
        config_file or "",
        read_dir=read_directory,
        ports=ports,
        environment=variables,
        faults=faults,
    )


def read_directory(path: str) -> list[tuple[str, str]]:
    """Path and text of each ``*.conf`` in a directory, in the order of their names.

    Raises:
        OSError: it, or one of them, cannot be read.
    """
    return [
        (file_path, _read_file(file_path))
        for file_path in (
            os.path.join(path, name)
            for name in sorted(os.listdir(path))
            if name.endswith(".conf") and name != ".conf"
        )
    ]


def _read_file(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def report(error: ConfigError) -> None:
    """Say on standard error what is wrong with a configuration, and where."""
    for line in error.lines():
        print(line, file=sys.stderr)


def check(config_file: str, ports: tuple[int, ...] = ()) -> bool:
    """Say on standard error all that there is to say about a configuration; whether it is good.

    The files that it names are looked at as well, once it is good itself.
    """
    faults: list[ConfigError] = []
    try:
        configuration = load(config_file, ports, faults=faults)
    except ConfigError as error:
        report(error)
        return False
    for _, line in configuration.messages:
        print(line, file=sys.stderr)
    if not faults:
        from midge.server.trial import try_out

        warnings, faults = try_out(configuration)
        for line in warnings:
            print(line, file=sys.stderr)
    for fault in faults:
        report(fault)
    if not faults:
        print("Configuration file is OK.", file=sys.stderr)
    return not faults
