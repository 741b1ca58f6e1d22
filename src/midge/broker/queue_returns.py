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


class Returns(deque[tuple[deque["Item"], object]]):
    """The messages, by their holders: who had them when they were given up.

    It is a deque and not something that has one: whether it is empty is asked for each message.
    """

    __slots__ = ()

    def add(self, items: Iterable[Item], holder: object) -> None:
        """A holder is gone; these messages were its."""
        mine = deque(items)
        if mine:
            self.append((mine, holder))

    def next(self) -> Item | None:
        """The next one that its holder has still; not what came back meanwhile by itself."""
        while self:
            items, holder = self[0]
            item = items.popleft()
            if not items:
                self.popleft()
            consumer = item.consumer
            if consumer is not None and consumer.holder is holder:
                return item
        return None
