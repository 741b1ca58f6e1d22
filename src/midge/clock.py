"""The clock as a value that is passed in.

Nothing below the line of ``net`` reads the time: state machines are given ``now``. What does need
to read it (the shells) takes a :class:`Clock`, so that a test can move the time by hand.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where a shell reads the time from."""

    def now(self) -> float:
        """Seconds on a clock that never goes backwards; its zero means nothing."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC, for log lines and for what outlives the process."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    def now(self) -> float:
        """See :meth:`Clock.now`."""
        return time.monotonic()

    def wall(self) -> float:
        """See :meth:`Clock.wall`."""
        return time.time()
