"""What is due when: one heap for all keep alives, expiries and delays of a broker.

A deadline that moves into the future (every packet moves a keep alive) is not moved in the heap:
when its entry comes up, the owner is asked again, and noted anew. So a packet costs nothing here.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Protocol


class Timed(Protocol):
    """Something with a deadline."""

    def next_deadline(self) -> float | None:
        """When :meth:`tick` is due, ``None`` for never."""
        ...

    def tick(self, now: float) -> None:
        """Do what is due."""
        ...


class Ticket:
    """A place in the heap; :meth:`cancel` lets go of the owner at once."""

    __slots__ = ("owner", "when")

    def __init__(self, owner: Timed, when: float) -> None:
        self.owner: Timed | None = owner
        self.when = when

    def cancel(self) -> None:
        """The owner is gone."""
        self.owner = None


class Deadlines:
    """All deadlines of a broker."""

    __slots__ = ("_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Ticket]] = []
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

    def _push(self, ticket: Ticket, when: float) -> None:
        self._serial += 1
        ticket.when = when
        heappush(self._heap, (when, self._serial, ticket))

    def next(self) -> float | None:
        """The earliest deadline."""
        return self._heap[0][0] if self._heap else None

    def tick(self, now: float) -> None:
        """Let everyone who is due do their work."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            ticket = heappop(heap)[2]
            owner = ticket.owner
            if owner is None:
                continue
            when = owner.next_deadline()
            if when is not None and when <= now:
                owner.tick(now)
                when = owner.next_deadline()
                if when is not None and when <= now:
                    continue  # it had its turn; whoever is never satisfied must not spin here
            if when is not None:
                self._push(ticket, when)
