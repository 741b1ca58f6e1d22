"""A store in dictionaries: what the others must be equal to.

It outlives a broker within one process, which is what tests of recovery need, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.store.base import (
    QUEUED,
    Contents,
    DeliveryRow,
    MessageRow,
    QueueRow,
    SessionRow,
    SubscriptionRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midge.store.journal import Changes


class MemoryStore:
    """See :class:`midge.store.base.Store`.

    Attributes:
        commits: how many there were.
    """

    __slots__ = (
        "_deliveries",
        "_incoming",
        "_messages",
        "_next",
        "_queues",
        "_references",
        "_retained",
        "_sessions",
        "_subscriptions",
        "_written",
        "commits",
    )

    def __init__(self) -> None:
        self.commits = 0
        self._sessions: dict[int, SessionRow] = {}
        self._subscriptions: dict[tuple[int, str], SubscriptionRow] = {}
        self._messages: dict[int, MessageRow] = {}
        self._references: dict[int, int] = {}
        self._deliveries: dict[tuple[int, int], DeliveryRow] = {}
        self._incoming: dict[tuple[int, int], None] = {}
        self._retained: dict[str, int] = {}
        self._queues: dict[int, QueueRow] = {}
        self._next = (1, 1, 1)
        self._written: list[Changes] = []

    def write(self, changes: Changes) -> Iterator[None]:
        """See :meth:`midge.store.base.Store.write`."""
        self._written.append(changes)
        yield

    def commit(self) -> None:
        """See :meth:`midge.store.base.Store.commit`."""
        for changes in self._written:
            self._apply(changes)
        self._written.clear()
        self.commits += 1

    def has_leftovers(self) -> bool:
        """See :meth:`midge.store.base.Store.has_leftovers`."""
        return False

    def close(self) -> None:
        """See :meth:`midge.store.base.Store.close`: a crash."""
        self._written.clear()

    def _apply(self, changes: Changes) -> None:
        for number, message in changes.messages.items():
            self._messages[number] = message
            self._references[number] = 0
        for row in changes.deliveries.values():
            self._deliveries[row.session, row.seq] = row
        for about, (packet_id, state) in changes.states.items():
            if about in self._deliveries:
                self._deliveries[about] = self._deliveries[about]._replace(
                    packet_id=packet_id, state=state
                )
        for about in changes.done:
            self._deliveries.pop(about, None)
        for key, queue in changes.queues.items():
            if queue is None:
                self._queues.pop(key, None)
            else:
                self._queues[key] = queue
        for key, seq in changes.given.items():
            self._queues[key] = self._queues[key]._replace(given=max(seq, self._queues[key].given))
        self._apply_sessions(changes)
        for wanted, subscription in changes.subscriptions.items():
            if subscription is None:
                self._subscriptions.pop(wanted, None)
            else:
                self._subscriptions[wanted] = subscription
        for taken, there in changes.incoming.items():
            if there:
                self._incoming[taken] = None
            else:
                self._incoming.pop(taken, None)
        for topic, number_or_none in changes.retained.items():
            if number_or_none is None:
                self._retained.pop(topic, None)
            else:
                self._retained[topic] = number_or_none
        for number, by in changes.references.items():
            self._refer(number, by)
        self._next = changes.counters

    def _apply_sessions(self, changes: Changes) -> None:
        for key, session in changes.sessions.items():
            if session is not None:
                self._sessions[key] = session
                continue
            self._sessions.pop(key, None)
            for about in [about for about in self._subscriptions if about[0] == key]:
                del self._subscriptions[about]
            for taken in [taken for taken in self._incoming if taken[0] == key]:
                del self._incoming[taken]
            for waiting in [waiting for waiting in self._deliveries if waiting[0] == key]:
                self._refer(self._deliveries.pop(waiting).message, -1)

    def _refer(self, number: int, by: int) -> None:
        if number in self._references:
            self._references[number] += by
            if self._references[number] <= 0:
                del self._references[number]
                del self._messages[number]

    def read(self, page: int) -> Contents:
        """See :meth:`midge.store.base.Store.read`."""
        contents = Contents()
        contents.sessions = list(self._sessions.values())
        contents.subscriptions = list(self._subscriptions.values())
        contents.incoming = list(self._incoming)
        contents.retained = dict(self._retained)
        contents.queues = list(self._queues.values())
        contents.next_session, contents.next_message, contents.next_seq = self._next
        for row in sorted(self._deliveries.values(), key=_order):
            if row.state == QUEUED:
                count, size = contents.queued.get(row.session, (0, 0))
                message = self._messages[row.message]
                weight = len(message.topic.encode()) + len(message.payload)
                contents.queued[row.session] = count + 1, size + weight
                if count >= page:
                    continue
            contents.deliveries.append(row)
            contents.messages[row.message] = self._messages[row.message]
        for number in self._retained.values():
            contents.messages[number] = self._messages[number]
        return contents

    def page(
        self, session: int, after: int, limit: int
    ) -> list[tuple[DeliveryRow, MessageRow | None]]:
        """See :meth:`midge.store.base.Store.page`."""
        rows = sorted(
            row
            for row in self._deliveries.values()
            if row.session == session and row.seq > after and row.state == QUEUED
        )
        return [(row, self._messages.get(row.message)) for row in rows[:limit]]


def _order(row: DeliveryRow) -> tuple[int, bool, int]:
    return row.session, row.state == QUEUED, row.seq
