"""When a queue has something to do: a lease or a delay ends, a message is too old, a slice waits.

Work that may concern very many messages is done a slice at a time; between two slices there is a
moment for whoever else has something to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.message import NEVER

if TYPE_CHECKING:
    from midge.broker.deadlines import Deadlines, Ticket
    from midge.broker.queue import Queue

#: Between two slices of work: where somebody waits for the next one, and where nobody does.
_TURN_S: Final = 0.001
_STEP_S: Final = 0.01


class Agenda:
    """What one queue has told the broker's deadlines.

    Attributes:
        due: when its ticket comes up.
    """

    __slots__ = ("_changed", "_deadlines", "_more", "_not_before", "_queue", "_ticket", "due")

    def __init__(self, queue: Queue, deadlines: Deadlines) -> None:
        self._queue = queue
        self._deadlines = deadlines
        self._ticket: Ticket | None = None
        self._not_before = 0.0
        self._changed = False
        self._more = False  # the last slice was not the end of it
        self.due = NEVER

    def watch(self) -> None:
        """The queue may have something to do sooner than it had."""
        self._deadlines.cancel(self._ticket)
        self._ticket = self._deadlines.add(self)

    def go_on_later(self, now: float) -> None:
        """Have the next tick go on, once everybody else has had a turn."""
        self._more = True
        self._not_before = now + _TURN_S
        self.watch()

    def look_again(self) -> None:
        """Have every consumer looked at in the next tick."""
        self._changed = True
        self._not_before = 0.0
        self.watch()

    def close(self) -> None:
        """There is nothing to do any more."""
        self._deadlines.cancel(self._ticket)
        self._ticket = None

    def next_deadline(self) -> float | None:
        """When a lease or a delay ends, or the first message is too old.

        Only :class:`Deadlines` asks: what it hears is when the ticket comes up.
        """
        queue = self._queue
        waits = self._changed or self._more
        when = 0.0 if waits else min(queue.leases.next_end(), queue.ready.next_change())
        if when != NEVER:
            when = max(when, self._not_before)
        self.due = when
        return None if when == NEVER else when

    def tick(self, now: float) -> None:
        """Have the queue do what is due."""
        changed = self._changed
        self._changed = False
        self._more = False
        self._not_before = now + _STEP_S
        self._queue.do_due(changed, now)
