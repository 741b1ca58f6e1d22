"""Where an option was given, and what it therefore belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midge.config.bridges import BridgeSettings
    from midge.config.plugins import PluginSettings
    from midge.config.settings import ListenerSettings


class Where:
    """A line of a file, or a variable of the environment.

    Attributes:
        file: the file; ``None`` for a variable.
        line: the line in it, from 1.
        variable: the variable; ``None`` for a file.
        outer: the line whose ``include_dir`` brought the file in; ``None`` for the main file.
    """

    __slots__ = ("file", "line", "outer", "variable")

    def __init__(
        self,
        file: str | None,
        line: int,
        outer: Where | None = None,
        variable: str | None = None,
    ) -> None:
        self.file = file
        self.line = line
        self.outer = outer
        self.variable = variable

    def __str__(self) -> str:
        if self.variable is not None:
            return f"environment variable {self.variable}"
        return f"{self.file}:{self.line}"

    def notes(self) -> list[str]:
        """What to print below an error here: the place, then the one that included it."""
        if self.variable is not None:
            return [f"Error found in the {self}."]
        if self.outer is None:
            return [f"Error found at {self}."]
        # Mosquitto quotes the place in an included file, and only that.
        return [f"Error found at '{self}'.", *self.outer.notes()]


class Place:
    """Where a reader is in one source, and what the options there belong to.

    Attributes:
        where: the present line.
        listener, bridge, plugin: the one above; ``None`` above the first. Each file has its own: an
            included file begins without.
    """

    __slots__ = ("bridge", "listener", "plugin", "where")

    def __init__(self, where: Where) -> None:
        self.where = where
        self.listener: ListenerSettings | None = None
        self.bridge: BridgeSettings | None = None
        self.plugin: PluginSettings | None = None
