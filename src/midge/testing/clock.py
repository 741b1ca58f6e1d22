"""A clock that stands until it is moved."""

from __future__ import annotations


class ManualClock:
    """A :class:`midge.clock.Clock` whose time is a number.

    Attributes:
        time_s: what it says; assign or :meth:`advance` it.
    """

    __slots__ = ("time_s", "wall_offset_s")

    def __init__(self, time_s: float = 1000.0, wall_offset_s: float = 1_700_000_000.0) -> None:
        self.time_s = time_s
        self.wall_offset_s = wall_offset_s

    def now(self) -> float:
        """See :meth:`midge.clock.Clock.now`."""
        return self.time_s

    def wall(self) -> float:
        """See :meth:`midge.clock.Clock.wall`."""
        return self.time_s + self.wall_offset_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("time does not go backwards")
        self.time_s += seconds
