"""What is due when: one heap for all keep alives, expiries and delays of a broker.

A deadline that moves into the future (every packet moves a keep alive) is not moved in the heap:
when its entry comes up, the owner is asked again, and noted anew. So a packet costs nothing here.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final, Protocol

from midge.limits import DEADLINES_STALE_MAX

#: How long one is left alone who raised: whatever it is, it would do so again at once.
_AFTER_FAULT_S: Final = 1.0


class Timed(Protocol):
    """Something with a deadline."""

    def next_deadline(self) -> float | None:
        """When :meth:`tick` is due, ``None`` for never."""
        ...

    def tick(self, now: float) -> None:
        """Do what is due."""
        ...


class Ticket:
    """A place in the heap; see :meth:`Deadlines.cancel`.

    Attributes:
        when: where in the heap.
    """

    __slots__ = ("owner", "when")

    def __init__(self, owner: Timed, when: float) -> None:
        self.owner: Timed | None = owner
        self.when = when


class Deadlines:
    """All deadlines of a broker."""

    __slots__ = ("_cancelled", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Ticket]] = []
        self._cancelled = 0  # tickets in the heap that nobody waits for
        self._serial = 0  # ties are broken by age, so that owners are never compared

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, owner: Timed) -> Ticket | None:
        """Watch ``owner`` from its next deadline on."""
        when = owner.next_deadline()
        if when is None:
            return None
        ticket = Ticket(owner, when)
        self._push(ticket, when)
        return ticket

    def move(self, ticket: Ticket | None, owner: Timed) -> Ticket | None:
        """The next deadline of ``owner``, who has ``ticket``, is another one; returns its ticket.

        One that is later needs nothing: see above.
        """
        if ticket is not None and ticket.owner is not None:
            when = owner.next_deadline()
            if when is not None and when >= ticket.when:
                return ticket
            self.cancel(ticket)
        return self.add(owner)

    def cancel(self, ticket: Ticket | None) -> None:
        """The owner of ``ticket`` is gone; it is let go of at once.

        Its place in the heap stays until it comes up, unless such places become the most: a broker
        whose clients come and go with keep alives of hours must not remember them for hours.
        """
        if ticket is None or ticket.owner is None:
            return
        ticket.owner = None
        self._cancelled += 1
        if self._cancelled > DEADLINES_STALE_MAX and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].owner is not None]
            heapify(self._heap)
            self._cancelled = 0

    def _push(self, ticket: Ticket, when: float) -> None:
        self._serial += 1
        ticket.when = when
        heappush(self._heap, (when, self._serial, ticket))

    def next(self) -> float | None:
        """The earliest deadline."""
        return self._heap[0][0] if self._heap else None

    def tick(self, now: float) -> None:
        """Let everyone who is due do their work.

        Raises:
            Exception: a fault of ours in one of them. It is tried again in a while, and the others
                who are due have their turn at the next call.
        """
        while self._heap and self._heap[0][0] <= now:
            ticket = heappop(self._heap)[2]
            owner = ticket.owner
            if owner is None:
                self._cancelled -= 1
                continue
            when = owner.next_deadline()
            if when is not None and when <= now:
                try:
                    owner.tick(now)
                except Exception:
                    if ticket.owner is None:
                        self._cancelled -= 1
                    else:
                        self._push(ticket, now + _AFTER_FAULT_S)
                    raise
                when = owner.next_deadline()
                if when is not None and when <= now:
                    when = None  # it had its turn; whoever is never satisfied must not spin here
            if ticket.owner is None:
                self._cancelled -= 1  # it went while it was out of the heap
            elif when is None:
                ticket.owner = None  # it left the heap: cancelling it later is nothing
            else:
                self._push(ticket, when)
