"""Reads a mosquitto.conf: text in, a :class:`~midge.config.settings.Configuration` out.

A configuration that runs Mosquitto must mean the same here, so lines are read as Mosquitto reads
them, and its errors and notices have its words. What the lines do is the business of ``reader``.

No file is opened here: the caller reads, and gives a function for ``include_dir``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.config import bridge_forms, forms
from midge.config.reader import ReadDir, Reader

if TYPE_CHECKING:
    from midge.config.settings import Configuration
    from midge.errors import ConfigError

#: What the process of a broker ends with when its configuration cannot be used.
EXIT_STATUS: Final = 3


def new_reader(read_dir: ReadDir | None = None, faults: list[ConfigError] | None = None) -> Reader:
    """A reader that knows all options."""
    return Reader({**forms.FORMS, **bridge_forms.FORMS}, read_dir, faults)


def parse(
    text: str,
    file: str,
    read_dir: ReadDir | None = None,
    ports: tuple[int, ...] = (),
    faults: list[ConfigError] | None = None,
) -> Configuration:
    """Read a configuration.

    Args:
        text: the content of the main file.
        file: its path, for messages.
        read_dir: reads the files of an ``include_dir``.
        ports: those of the command line. They count only for a configuration without listeners.
        faults: takes all that is wrong; what is returned is then not for use. ``None``: the first
            error is raised.

    Raises:
        ConfigError: something in it cannot be used; its ``lines()`` say what and where.
    """
    reader = new_reader(read_dir, faults)
    forms.read_lines(reader, text, file)
    return reader.finish(ports)
