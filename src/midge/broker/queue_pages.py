"""The part of a stored queue that is on the disk only.

Of what waits in order, the memory holds the first page; what comes behind it is written and
counted, and read when the page has been given out. Priorities, delays and what was given out before
are always in memory: they are out of order, and the disk has no heap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.queue_item import Item
from midge.broker.stored import read_delivery
from midge.limits import STORE_QUEUE_PAGE, STORE_QUEUE_PAGE_BYTES
from midge.store.base import HELD, QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midge.broker.queue import Queue
    from midge.store.base import DeliveryRow, MessageRow


class Pages:
    """Reads the messages of one queue from the store.

    Attributes:
        last_serial: of what is in ``Ready.fifo``, or was: what is behind it is on the disk only.
            Where there is no store, the number of the last message that came.
        given: the last one that was given out in an earlier life.
    """

    __slots__ = ("_queue", "given", "last_serial")

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.last_serial = 0
        self.given = 0

    def wanted(self) -> bool:
        """Whether a message that waits is kept on the disk alone."""
        ready = self._queue.ready
        return bool(
            ready.paged
            or len(ready.fifo) >= STORE_QUEUE_PAGE
            or (ready.fifo and ready.bytes >= STORE_QUEUE_PAGE_BYTES)
        )

    def load(self) -> bool:
        """Read the next page from the disk; false when there is nothing yet."""
        queue = self._queue
        ready = queue.ready
        if not ready.paged:
            return False
        keeper = queue.queues.keeper
        assert keeper is not None
        if keeper.crowded():
            keeper.hungry[queue] = None  # each message that goes is another row to write
            return False
        rows = keeper.page(queue.key, self.last_serial, STORE_QUEUE_PAGE)
        if rows:
            ready.paged -= len(rows)
            self.take_rows(rows)
            return True
        if rows is None or not keeper.idle():
            keeper.hungry[queue] = None  # not written yet, or the disk fails
            return False
        # The store has less than we have counted: it was damaged.
        keeper.lost += ready.paged
        ready.count -= ready.paged
        ready.paged = 0
        if not ready.count:
            ready.bytes = 0  # how much is lost nobody knows
        return False

    def take_rows(self, rows: Iterable[tuple[DeliveryRow, MessageRow | None]]) -> None:
        """Take messages of the store; they are counted already."""
        keeper = self._queue.queues.keeper
        assert keeper is not None
        journal = keeper.journal
        for row, message in rows:
            if row.state == QUEUED:
                self.last_serial = row.seq
            item = None if message is None else self._item(row, message, journal.offset_s)
            if item is None:
                keeper.lost += 1
                self._queue.ready.count -= 1
                journal.done(self._queue.key, row.seq, row.message)
                continue
            if row.state == QUEUED:
                self._queue.ready.fifo.append(item)
            else:
                self._queue.ready.insert(item)

    def peek(self, limit: int) -> list[Item]:
        """The next ones of those that are on the disk; they stay there."""
        keeper = self._queue.queues.keeper
        if keeper is None or not self._queue.ready.paged:
            return []
        offset_s = keeper.journal.offset_s
        rows = keeper.page(self._queue.key, self.last_serial, limit) or ()
        found = [self._item(row, message, offset_s) for row, message in rows if message is not None]
        return [item for item in found if item is not None]

    def _item(self, row: DeliveryRow, message: MessageRow, offset_s: float) -> Item | None:
        delivery = read_delivery(row, message, offset_s)
        if delivery is None:
            return None
        item = Item(self._queue, delivery.message, 1, row.seq)
        item.stored = row.message
        item.priority = row.priority
        item.deliveries = row.packet_id if row.state == HELD else int(row.seq <= self.given)
        if row.ready_at is not None:
            item.ready_at = row.ready_at - offset_s
        return item
