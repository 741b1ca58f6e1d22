"""What must not be said before it is safe, and who waits to say it.

With a store, three things wait until the batch that covers them is on the disk: the acknowledgement
of a message that a lasting session is entitled to, a QoS 2 message to such a session (or it could
get it twice after a crash), and each step of QoS 2 that lets the other side forget. Everything else
goes its way at once. The keeper knows who waits; the shell says when a batch is safe.

Two more wait here: publishers, where more is collected than the disk takes, and queues that are
read from the disk a page at a time. All of them go on a few at a time (:meth:`Keeper.feed`), since
there may be thousands, and each may have much to do.

A fault of ours in one of those who wait costs that one its connection, and the others nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOWED, Pending
from midge.limits import STORE_PENDING_ROWS
from midge.mqtt.reasons import Reason
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
#: So many are told in one step what is safe.
_TOLD_AT_ONCE: Final = 64
#: So many read on from the disk in one step, and so many publishers go on: what these had sent
#: before they were stopped comes at once.
_FED_AT_ONCE: Final = 2


class Keeper:
    """Ties a broker core to its journal.

    Attributes:
        journal: what changes.
        links: those with acknowledgements that wait, each with a ``safe(number, now)``.
        outboxes: the same of lasting sessions.
        hungry: outboxes and queues whose next page could not be read yet.
        delayed: how often a publisher had to wait for the disk.
        failures: how often the store could not be written.
        fault: why a page could not be read; ``None`` when the last one could.
        lost: deliveries that were damaged in the store.
    """

    __slots__ = (
        "_fed",
        "_links",
        "_news",
        "_outboxes",
        "_page",
        "_relief",
        "_relief_max",
        "_relieved",
        "delayed",
        "failures",
        "fault",
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
        self._relieved: deque[Pending] = deque()
        self.delayed = 0
        self.failures = 0
        self.fault: str | None = None
        self.lost = 0
        self._fed: deque[DurableOutbox | Queue] = deque()
        self._outboxes: deque[DurableOutbox] = deque()
        self._links: deque[Link] = deque()
        self._news = False  # more is safe than those who wait were told

    def page(
        self, session: int, after: int, limit: int
    ) -> list[tuple[DeliveryRow, MessageRow | None]] | None:
        """The next queued deliveries of a session; ``None`` while they cannot be read."""
        try:
            rows = self._page(session, after, limit)
        except StoreError as error:
            self.fault = str(error)
            return None
        self.fault = None
        return rows

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
        """All batches up to ``number`` are on the disk: who waited for that goes on with `feed`."""
        self.journal.safe = number
        self._news = True
        self.serve_hungry()
        if self._relief and not self.full():
            self._relieved += self._relief
            self._relief.clear()

    def serve_hungry(self) -> None:
        """Have those who wait for a page go on with :meth:`feed`."""
        self._fed += self.hungry
        self.hungry.clear()

    def feed(self, now: float) -> bool:
        """Tell some what is safe, let a few read on, and a few publishers; false when all is done.

        Raises:
            Exception: a fault of ours in one of them, which has had its turn.
        """
        self._tell_some(now)
        for _ in range(min(_FED_AT_ONCE, len(self._fed))):
            self._fed.popleft().pump(now)
        for _ in range(min(_FED_AT_ONCE, len(self._relieved))):
            if self.full():
                # The others wait for the next batch, before those who came later.
                self._relief[:0] = self._relieved
                self._relieved.clear()
                break
            self._relieved.popleft().settle(ALLOWED, now)
        untold = self._news or self._outboxes or self._links
        return bool(untold or self._fed or self._relieved)

    def _tell_some(self, now: float) -> None:
        """Tell some of those who wait, and still do, what is safe."""
        if self._news and not (self._outboxes or self._links):
            # All of them; for whom it is too early, this is nothing.
            self._news = False
            self._outboxes += self.outboxes
            self._links += self.links
        safe = self.journal.safe
        for _ in range(min(_TOLD_AT_ONCE, len(self._outboxes))):
            outbox = self._outboxes.popleft()
            if outbox in self.outboxes:
                try:
                    outbox.safe(safe, now)
                except Exception:
                    self.outboxes.pop(outbox, None)
                    _cut(outbox.link)
                    raise
        for _ in range(min(_TOLD_AT_ONCE, len(self._links))):
            link = self._links.popleft()
            if link in self.links:
                try:
                    link.safe(safe, now)
                except Exception:
                    self.links.pop(link, None)
                    _cut(link)
                    raise


def _cut(link: Link | None) -> None:
    """Who was to be told something, and was not, is better off without the connection."""
    if link is not None:
        link.end(int(Reason.UNSPECIFIED_ERROR), "a fault in the broker")
