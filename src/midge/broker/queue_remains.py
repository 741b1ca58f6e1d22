"""What was in queues that are no more: let go of in steps.

To free a million messages takes half a second, which nobody should have to wait for. The store does
the same with the rows of what ended.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from midge.limits import SLICE_ENTRIES

if TYPE_CHECKING:
    from midge.broker.deadlines import Deadlines
    from midge.broker.queue_ready import Ready

#: Between two steps, for whoever else has something to do.
_STEP_S: Final = 0.001


class Remains:
    """Frees the messages of queues that were removed."""

    __slots__ = ("_deadlines", "_next_at", "_ready")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._ready: deque[Ready] = deque()
        self._next_at: float | None = None

    def __len__(self) -> int:
        return len(self._ready)

    def take(self, ready: Ready, now: float) -> None:
        """See to the messages that waited in a queue."""
        if not ready.discard(SLICE_ENTRIES):
            return
        self._ready.append(ready)
        if self._next_at is None:
            self._next_at = now + _STEP_S
            self._deadlines.add(self)

    def next_deadline(self) -> float | None:
        """When the next slice is due; ``None`` when nothing is left."""
        return self._next_at

    def tick(self, now: float) -> None:
        """Free a slice."""
        if not self._ready[0].discard(SLICE_ENTRIES):
            self._ready.popleft()
        self._next_at = now + _STEP_S if self._ready else None
