"""Publishers that wait for room in a queue that rejects what it has no room for.

As many go on as there is room for, those who came first before the others, and no more than a few
in one step; if all did, each message that leaves a full queue would cost a try of all of them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOWED

if TYPE_CHECKING:
    from midge.auth.base import Pending
    from midge.broker.queue import Queue

#: So many are kept without looking whether they still wait.
_WAITING_MIN: Final = 1024
#: So many go on in one step; each may bring along what it had sent before it was stopped.
_AT_ONCE: Final = 16


class Room:
    """Those who wait for one queue."""

    __slots__ = ("_settling", "_waiting", "_waiting_max")

    def __init__(self) -> None:
        self._waiting: deque[Pending] = deque()
        self._waiting_max = _WAITING_MIN
        self._settling = False

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, pending: Pending) -> None:
        """One more waits."""
        if len(self._waiting) >= self._waiting_max:
            # While the queue is full clients come and go, each leaving one behind.
            self._waiting = deque(one for one in self._waiting if one.is_awaited())
            self._waiting_max = max(_WAITING_MIN, 2 * len(self._waiting))
        self._waiting.append(pending)

    def settle(self, queue: Queue, now: float) -> bool:
        """Let a few go on, while there is room; true when more could."""
        if self._settling:
            return False  # what one of them put in has led here
        self._settling = True
        try:
            for _ in range(_AT_ONCE):
                if not self._waiting or queue.rejects():
                    break
                self._waiting.popleft().settle(ALLOWED, now)
        finally:
            self._settling = False
        return bool(self._waiting) and not queue.rejects()
