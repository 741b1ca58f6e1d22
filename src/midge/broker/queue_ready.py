"""What waits in a queue, and in which order it is given out.

Most messages are given out in the order in which they came: they stand in ``fifo``, and behind them
comes what is on the disk only (:mod:`midge.broker.queue_pages`). What is out of that order (with a
priority, once delayed, given out before) is in ``heap``; what nobody may have yet in ``delayed``.
The head of ``fifo`` and the head of ``heap`` are compared for each message that is taken out.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from midge.message import NEVER

if TYPE_CHECKING:
    from midge.broker.queue_item import Item
    from midge.message import Message


class Ready:
    """The messages of one queue that nobody has.

    Attributes:
        fifo: in the order in which they came.
        heap: out of that order; the next one first.
        delayed: with the time before which nobody gets them; a heap.
        paged: how many more are on the disk only, behind ``fifo``.
        count: how many there are in all places together.
        bytes: their weight.
    """

    __slots__ = ("bytes", "count", "delayed", "fifo", "heap", "paged")

    def __init__(self) -> None:
        self.fifo: deque[Item] = deque()
        self.heap: list[Item] = []
        self.delayed: list[tuple[float, int, Item]] = []
        self.paged = 0
        self.count = 0
        self.bytes = 0

    def anything(self) -> bool:
        """Whether there is something to give out now."""
        return bool(self.fifo or self.heap or self.paged)

    def counted(self, message: Message) -> None:
        """One more is there."""
        self.count += 1
        self.bytes += len(message.topic) + len(message.payload)

    def uncounted(self, item: Item) -> None:
        """One was taken out."""
        self.count -= 1
        self.bytes -= item.size()

    def insert(self, item: Item) -> None:
        """Put in a message that is out of order; the caller has counted it."""
        if item.ready_at:
            heappush(self.delayed, (item.ready_at, item.serial, item))
        else:
            heappush(self.heap, item)

    def put_back(self, item: Item) -> None:
        """The same for one that was given out in vain: its delay, if it had one, is over."""
        heappush(self.heap, item)

    def needs_page(self) -> bool:
        """Whether what is next may be on the disk."""
        heap = self.heap
        return bool(self.paged and not self.fifo and not (heap and heap[0].priority))

    def pop(self) -> Item | None:
        """Take out the message that is given next; ``None`` when there is none in memory."""
        heap = self.heap
        fifo = self.fifo
        if heap and (heap[0].priority or not fifo or heap[0].serial < fifo[0].serial):
            item = heappop(heap)
        elif fifo:
            item = fifo.popleft()
        else:
            return None
        self.uncounted(item)
        return item

    def pop_least(self, priority: int) -> Item | None:
        """Take out the oldest of those that count least, unless all are above ``priority``."""
        heap, fifo = self.heap, self.fifo
        if fifo and (not heap or heap[0].priority or fifo[0].serial < heap[0].serial):
            item = fifo.popleft()  # beside those with a priority, without looking at them all
        elif not heap:
            return None
        elif not heap[0].priority:
            item = heappop(heap)
        else:
            index = min(range(len(heap)), key=lambda at: (heap[at].priority, heap[at].serial))
            if heap[index].priority > priority:
                return None
            item = heap[index]
            heap[index] = heap[-1]
            heap.pop()
            heapify(heap)
        self.uncounted(item)
        return item

    def pop_delayed(self) -> Item | None:
        """Take out the message that comes next of those that are delayed."""
        if not self.delayed:
            return None
        item = heappop(self.delayed)[2]
        self.uncounted(item)
        return item

    def pop_dead(self, now: float) -> Item | None:
        """Take out a head that has waited too long."""
        if self.fifo and self.fifo[0].is_dead(now):
            item = self.fifo.popleft()
        elif self.heap and self.heap[0].is_dead(now):
            item = heappop(self.heap)
        else:
            return None
        self.uncounted(item)
        return item

    def end_delay(self, now: float) -> bool:
        """Let one in whose time has come; false when there is none."""
        if not self.delayed or self.delayed[0][0] > now:
            return False
        heappush(self.heap, heappop(self.delayed)[2])
        return True

    def next_expiry(self) -> float:
        """When one of the heads is too old."""
        when = NEVER
        if self.fifo:
            when = self.fifo[0].message.expires_at
        if self.heap:
            when = min(when, self.heap[0].message.expires_at)
        return when

    def next_change(self) -> float:
        """When a delay is over, or one of the heads is too old."""
        when = self.next_expiry()
        return min(when, self.delayed[0][0]) if self.delayed else when

    def peek(self, limit: int) -> tuple[list[Item], list[Item]]:
        """The next ones in memory, and those that are delayed, each in their order."""
        found = sorted(self.heap)[:limit]
        found += [item for _, item in zip(range(limit), self.fifo, strict=False)]
        found.sort()
        delayed = [item for _, _, item in sorted(self.delayed, key=_by_time)[:limit]]
        return found[:limit], delayed


def _by_time(entry: tuple[float, int, Item]) -> tuple[float, int]:
    return entry[0], entry[1]
