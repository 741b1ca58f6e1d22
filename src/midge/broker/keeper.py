"""What must not be said before it is safe, and who waits to say it.

With a store, three things wait until the batch that covers them is on the disk: the acknowledgement
of a message that a lasting session is entitled to, a QoS 2 message to such a session (or it could
get it twice after a crash), and each step of QoS 2 that lets the other side forget. Everything else
goes its way at once. The keeper knows who waits; the shell says when a batch is safe.

Two more wait here: publishers, where more is collected than the disk takes, and queues that are
read from the disk a page at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOWED, Pending
from midge.limits import STORE_PENDING_ROWS
from midge.store.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.broker.durable_outbox import DurableOutbox
    from midge.broker.link import Link
    from midge.broker.queue import Queue
    from midge.store.base import DeliveryRow, MessageRow
    from midge.store.journal import Journal

    Page = Callable[[int, int, int], list[tuple[DeliveryRow, MessageRow | None]]]


#: So many who wait for the disk are kept without looking whether they still do.
_RELIEF_MIN: Final = 1024


class Keeper:
    """Ties a broker core to its journal.

    Attributes:
        journal: what changes.
        links: those with acknowledgements that wait, each with a ``safe(number, now)``.
        outboxes: the same of lasting sessions.
        hungry: outboxes and queues whose next page could not be read yet.
        delayed: how often a publisher had to wait for the disk.
        failures: how often the store could not be written.
        lost: deliveries that were damaged in the store.
    """

    __slots__ = (
        "_page",
        "_relief",
        "_relief_max",
        "delayed",
        "failures",
        "hungry",
        "journal",
        "links",
        "lost",
        "outboxes",
    )

    def __init__(self, journal: Journal, page: Page) -> None:
        self.journal = journal
        self._page = page
        self.links: dict[Link, None] = {}
        self.outboxes: dict[DurableOutbox, None] = {}
        self.hungry: dict[DurableOutbox | Queue, None] = {}
        self._relief: list[Pending] = []
        self._relief_max = _RELIEF_MIN
        self.delayed = 0
        self.failures = 0
        self.lost = 0

    def page(
        self, session: int, after: int, limit: int
    ) -> list[tuple[DeliveryRow, MessageRow | None]] | None:
        """The next queued deliveries of a session; ``None`` while they cannot be read."""
        try:
            return self._page(session, after, limit)
        except StoreError:
            return None

    def idle(self) -> bool:
        """Whether all that was ever noted is safe, so that what a page lacks is not on its way."""
        journal = self.journal
        return not journal.changes and journal.safe == journal.number - 1

    def full(self) -> bool:
        """Whether publishers must wait: more was collected than one batch should hold."""
        return self.journal.failing or self.crowded()

    def crowded(self) -> bool:
        """Whether what is on the disk must wait to be sent: each message makes rows as it goes."""
        return len(self.journal.changes) > STORE_PENDING_ROWS

    def wait(self) -> Pending:
        """Something to wait for: the disk has caught up."""
        self.delayed += 1
        if len(self._relief) >= self._relief_max:
            # While the disk fails clients come and go, each leaving one behind.
            self._relief = [pending for pending in self._relief if pending.is_awaited()]
            self._relief_max = max(_RELIEF_MIN, 2 * len(self._relief))
        pending = Pending()
        self._relief.append(pending)
        return pending

    def is_urgent(self) -> bool:
        """Whether anybody gets on when what was noted is on the disk."""
        return bool(self.links or self.outboxes or self.hungry or self._relief)

    def is_awaited(self) -> bool:
        """Whether anybody waits for the batch that is being collected to be safe."""
        return bool(self.links or self.outboxes)

    def safe(self, number: int, now: float) -> None:
        """All batches up to ``number`` are on the disk: say what waited for that."""
        self.journal.safe = number
        for outbox in list(self.outboxes):
            outbox.safe(number, now)
        for link in list(self.links):
            link.safe(number, now)
        if self.hungry:
            hungry = list(self.hungry)
            self.hungry.clear()
            for starving in hungry:
                starving.pump(now)
        if self._relief and not self.full():
            relief = self._relief
            self._relief = []
            for pending in relief:
                pending.settle(ALLOWED, now)
