"""What waits in a queue, and in which order it is given out.

Most messages are given out in the order in which they came: they stand in ``fifo``, and behind them
comes what is on the disk only (:mod:`midge.broker.queue_pages`). What is out of that order (with a
priority, once delayed, given out before) is in ``heaps``, one for each priority, and what nobody
may have yet in ``delayed``. Those without a priority, in ``heaps[0]``, belong between those of
``fifo``: the heads of both are compared.

Whatever is done with one message costs the logarithm of the number of messages at most, for there
may be a million.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from midge.message import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableSequence

    from midge.broker.queue_item import Item
    from midge.message import Message

    #: The number by which a heap is ordered, and the message.
    Entry = tuple[int, Item]

T = TypeVar("T")

#: From 0, which most messages have, to 9.
PRIORITIES: Final = 10


class Ready:
    """The messages of one queue that nobody has.

    Attributes:
        fifo: in the order in which they came.
        heaps: out of that order, by priority; in each, the one that came first is the first.
        delayed: with the time before which nobody gets them; a heap.
        paged: how many more are on the disk only, behind ``fifo``.
        count: how many there are in all places together.
        bytes: their weight.
    """

    __slots__ = ("_heaped", "bytes", "count", "delayed", "fifo", "heaps", "paged")

    def __init__(self) -> None:
        self.fifo: deque[Item] = deque()
        self.heaps: list[list[Entry]] = [[] for _ in range(PRIORITIES)]
        self.delayed: list[tuple[float, int, Item]] = []
        self.paged = 0
        self.count = 0
        self.bytes = 0
        self._heaped = 0  # in all heaps together

    def anything(self) -> bool:
        """Whether there is something to give out now."""
        return bool(self.fifo or self._heaped or self.paged)

    def counted(self, message: Message) -> None:
        """One more is there."""
        self.count += 1
        self.bytes += len(message.topic) + len(message.payload)

    def insert(self, item: Item) -> None:
        """Put in a message that is out of order; the caller has counted it."""
        if item.ready_at:
            heappush(self.delayed, (item.ready_at, item.serial, item))
        else:
            self.put_back(item)

    def put_back(self, item: Item) -> None:
        """The same for one that was given out in vain: its delay, if it had one, is over."""
        heappush(self.heaps[item.priority], (item.serial, item))
        self._heaped += 1

    def needs_page(self) -> bool:
        """Whether what is next may be on the disk."""
        return bool(self.paged and not self.fifo and self._heaped == len(self.heaps[0]))

    def pop(self) -> Item | None:
        """Take out the message that is given next; ``None`` when there is none in memory."""
        fifo = self.fifo
        if self._heaped and (heap := self._next_heap()):
            item = self._pop_heap(heap)
        elif fifo:
            item = fifo.popleft()
        else:
            return None
        self.uncounted(item)
        return item

    def _next_heap(self) -> list[Entry] | None:
        """The heap whose head is given out before that of ``fifo``."""
        for priority in range(PRIORITIES - 1, 0, -1):
            if self.heaps[priority]:
                return self.heaps[priority]
        return self._heap_before_fifo()

    def _heap_before_fifo(self) -> list[Entry] | None:
        """Those without a priority, where the first of them is older than that of ``fifo``."""
        heap, fifo = self.heaps[0], self.fifo
        return heap if heap and (not fifo or heap[0][0] < fifo[0].serial) else None

    def _pop_heap(self, heap: list[Entry]) -> Item:
        self._heaped -= 1
        return heappop(heap)[1]

    def uncounted(self, item: Item) -> None:
        """One was taken out."""
        self.count -= 1
        self.bytes -= item.size()

    def pop_least(self, priority: int) -> Item | None:
        """Take out the oldest of those that count least, unless all are above ``priority``."""
        heap = self._heap_before_fifo()
        if heap is None and self.fifo:
            item = self.fifo.popleft()
        else:
            heap = heap or next(filter(None, self.heaps[: priority + 1]), None)
            if heap is None:
                return None
            item = self._pop_heap(heap)
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
        """Take out the message that is next, if it has waited too long."""
        for head in self._heads():
            if head.is_dead(now):
                if self.fifo and head is self.fifo[0]:
                    self.fifo.popleft()
                else:
                    self._pop_heap(self.heaps[head.priority])
                self.uncounted(head)
                return head
        return None

    def end_delay(self, now: float) -> bool:
        """Let one in whose time has come; false when there is none."""
        if not self.delayed or self.delayed[0][0] > now:
            return False
        self.put_back(heappop(self.delayed)[2])
        return True

    def _heads(self) -> Iterator[Item]:
        """The first of those in order, and of each priority."""
        if self.fifo:
            yield self.fifo[0]
        if self._heaped:
            for heap in self.heaps:
                if heap:
                    yield heap[0][1]

    def next_expiry(self) -> float:
        """When one of the heads is too old."""
        when = self.fifo[0].message.expires_at if self.fifo else NEVER
        if self._heaped:
            when = min(head.message.expires_at for head in self._heads())
        return when

    def next_change(self) -> float:
        """When a delay is over, or one of the heads is too old."""
        when = self.next_expiry()
        return min(when, self.delayed[0][0]) if self.delayed else when

    def peek(self, limit: int) -> tuple[list[Item], list[Item]]:
        """The next ones in memory, and those that are delayed, each in their order."""
        found = [item for heap in self.heaps[:0:-1] for _, item in _smallest(heap, limit)]
        ordinary = [item for _, item in _smallest(self.heaps[0], limit)]
        ordinary += islice(self.fifo, limit)
        found += sorted(ordinary, key=lambda item: item.serial)
        return found[:limit], [item for _, _, item in _smallest(self.delayed, limit)]

    def renumber(self, number: Callable[[Item], None]) -> None:
        """Have every message in memory given another serial number, the ones that come first first.

        Args:
            number: sets it; each is to be above the last one.
        """
        for heap in self.heaps:
            items = [item for _, item in sorted(heap)]
            for item in items:
                number(item)
            heap[:] = [(item.serial, item) for item in items]
        delayed = [item for _, _, item in sorted(self.delayed)]
        for item in (*delayed, *self.fifo):
            number(item)
        self.delayed = [(item.ready_at, item.serial, item) for item in delayed]

    def discard(self, limit: int) -> bool:
        """Let go of at most so many messages of a queue that is no more; false when none is left.

        To free a million objects takes as long as to make them.
        """
        places: list[MutableSequence[Any]] = [self.fifo, *self.heaps, self.delayed]
        for place in places:
            for _ in range(min(limit, len(place))):
                place.pop()
                limit -= 1
        return any(places)


def _smallest(heap: list[T], limit: int) -> list[T]:
    """The first entries of a heap in their order; it stays as it is."""
    found: list[T] = []
    open_: list[tuple[T, int]] = [(heap[0], 0)] if heap else []
    while open_ and len(found) < limit:
        entry, index = heappop(open_)
        found.append(entry)
        for child in (2 * index + 1, 2 * index + 2):
            if child < len(heap):
                heappush(open_, (heap[child], child))
    return found
