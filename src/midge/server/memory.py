"""``memory_limit``: how much memory the process has, and whether that is too much.

Mosquitto counts what it allocates; here the whole process is looked at, as the system sees it, once
in ``MEMORY_SAMPLE_S``. The broker takes nothing that would have to be kept while it has more than
the limit. Before that is decided, what Python has freed is given back to the system, so that the
broker recovers. A broker without clients has some 30 MiB, so a limit is best well above that.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Final

from midge.limits import MEMORY_SAMPLE_S

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from midge.broker.broker import Broker
    from midge.server.logs import Log

_STATUS: Final = "/proc/self/statm"


def memory_bytes() -> int:
    """The memory of this process that is in use; 0 where the system does not tell."""
    try:
        with open(_STATUS, "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def give_back() -> None:
    """Give memory that was freed back to the system, where the C library can."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return  # musl and others
    trim(0)


class MemoryGuard:
    """Looks at the memory while there is a limit, and tells the broker and the log.

    Args:
        look: how much it is; another one for tests.
    """

    __slots__ = ("_broker", "_log", "_look", "_loop", "_timer")

    def __init__(
        self,
        broker: Broker,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        look: Callable[[], int] = memory_bytes,
    ) -> None:
        self._broker = broker
        self._loop = loop
        self._log = log
        self._look = look
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from here on, if there is a limit; to be called again when it changes."""
        self.close()
        if self._broker.settings.memory_bytes_max:
            self._sample()
        else:
            self._broker.metrics.memory_full = False

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sample(self) -> None:
        limit = self._broker.settings.memory_bytes_max
        used = self._look()
        if used > limit:
            give_back()
            used = self._look()
        full = used > limit
        metrics = self._broker.metrics
        if full != metrics.memory_full:
            metrics.memory_full = full
            if full:
                self._log.warning(
                    f"Warning: {used} bytes of memory are in use, memory_limit is {limit}: no new "
                    "clients, and no messages that would have to be kept."
                )
            else:
                self._log.warning(f"Memory is below memory_limit again: {used} bytes.")
        self._timer = self._loop.call_later(MEMORY_SAMPLE_S, self._sample)
