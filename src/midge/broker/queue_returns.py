"""Messages on their way back to a queue from those who left with them.

A consumer may leave with very many (100,000 take a second to sort in again), so they come back a
slice at a time. Until the last of them is back the queue gives nothing out: who comes next is to
get them before all that came after them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midge.broker.queue_item import Item


class Returns:
    """The messages, by their holders: who had them when they were given up.

    Attributes:
        waiting: what each holder had, and who it is. Whether it is empty is asked for each message,
            so it is looked at from outside.
    """

    # It has a deque and is none: a class that derives from one crashes when it is compiled.
    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: deque[tuple[deque[Item], object]] = deque()

    def add(self, items: Iterable[Item], holder: object) -> None:
        """A holder is gone; these messages were its."""
        mine = deque(items)
        if mine:
            self.waiting.append((mine, holder))

    def next(self) -> Item | None:
        """The next one that its holder has still; not what came back meanwhile by itself."""
        while self.waiting:
            items, holder = self.waiting[0]
            item = items.popleft()
            if not items:
                self.waiting.popleft()
            consumer = item.consumer
            if consumer is not None and consumer.holder is holder:
                return item
        return None
