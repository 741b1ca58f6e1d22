"""What is left of sessions that ended with very many subscriptions: removed in steps.

A session may have 100,000 of them, and to take them out of the tree takes a quarter of a second. So
that nobody waits for that, a session with many is ended at once, in that its outbox takes nothing
any more, and what it leaves in the tree goes a slice at a time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from midge.limits import SLICE_ENTRIES

if TYPE_CHECKING:
    from midge.broker.broker import Broker
    from midge.broker.session import Session

#: Between two steps, for whoever else has something to do.
_STEP_S: Final = 0.001


class Leftovers:
    """Removes the subscriptions of ended sessions."""

    __slots__ = ("_broker", "_next_at", "_sessions")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sessions: deque[Session] = deque()
        self._next_at: float | None = None

    def __len__(self) -> int:
        return sum(len(session.subscriptions) for session in self._sessions)

    def take(self, session: Session, now: float) -> None:
        """See to the subscriptions of a session whose outbox was cleared."""
        self._sessions.append(session)
        if self._next_at is None:
            self._next_at = now
            self._broker.deadlines.add(self)

    def next_deadline(self) -> float | None:
        """When the next slice is due; ``None`` when nothing is left."""
        return self._next_at

    def tick(self, now: float) -> None:
        """Remove a slice."""
        session = self._sessions[0]
        self._broker.router.discard(session, SLICE_ENTRIES, now)
        if not session.subscriptions:
            self._sessions.popleft()
        self._next_at = now + _STEP_S if self._sessions else None
