"""A configuration from all the places that it can come from.

The command line outweighs the environment, the environment the file, and the file the defaults.
What the command line says of the configuration is ``-p``, which counts where nobody defined a
listener; the rest of it concerns the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.config import environment as environment_reader
from midge.config.forms import read_lines
from midge.config.mosquitto_conf import new_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midge.config.reader import ReadDir
    from midge.config.settings import Configuration
    from midge.errors import ConfigError


def configuration(
    text: str | None = None,
    file: str = "",
    *,
    read_dir: ReadDir | None = None,
    ports: tuple[int, ...] = (),
    environment: Mapping[str, str] | None = None,
    faults: list[ConfigError] | None = None,
) -> Configuration:
    """Read a configuration.

    Args:
        text: the content of the main file; ``None`` for none. It is TOML where the name ends in
            ``.toml``.
        file: its path.
        read_dir: reads the files of an ``include_dir``.
        ports: those of the command line.
        environment: the environment; ``None`` for none.
        faults: takes all that is wrong; what is returned is then not for use. ``None``: the first
            error is raised.

    Raises:
        ConfigError: something cannot be used.
    """
    reader = new_reader(read_dir, faults)
    if text is not None:
        if file.endswith(".toml"):
            from midge.config import toml_conf

            toml_conf.read(reader, text, file)
        else:
            read_lines(reader, text, file)
    if environment is not None:
        environment_reader.read(reader, environment)
    return reader.finish(ports)
