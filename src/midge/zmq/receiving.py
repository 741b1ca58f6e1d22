"""Receives that wait, on an event loop: one that is cancelled has taken no message.

A future is given its message in one turn of the loop, and who awaits it gets it in the next. When
that one is cancelled in between, the message goes back to where it came from: to the front, and
several of them in their order. A :class:`Receiving` sees it, for it is its ``await`` that ends
early. A future that is done and that nobody awaits just then keeps its result, as every future
does; so what a ``gather`` of futures has got already when it is cancelled, it has got.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, Future
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from midge.patterns.errors import SocketError
from midge.zmq.error import Again, raise_as_zmq

if TYPE_CHECKING:
    from midge.zmq.loop_socket import LoopSocket


class Taken(NamedTuple):
    """What one receive has taken.

    Attributes:
        number: the how-manieth it was.
        items: messages, whole.
        before: or else these parts, the rest of a message, and it took the first or all of them.
        left: the rest of the message, if it took the first part only.
    """

    number: int
    items: list[Any]
    before: list[Any]
    left: list[Any]


class Receiving(Future[Any]):
    """The future of a receive that waits."""

    __slots__ = ("_awaiting", "_given_back", "_takes", "taken")

    def __init__(self, takes: Takes, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.taken: Taken | None = None
        self._takes = takes
        self._awaiting = 0
        self._given_back = False

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done():
            self._awaiting += 1
            self._asyncio_future_blocking = True
            try:
                yield self
            except BaseException:  # cancelled; or the coroutine is closed
                self._awaiting -= 1
                if not self._awaiting:
                    self.give_back()
                raise
            self._awaiting -= 1
        return self.result()

    __iter__ = __await__

    def result(self) -> Any:
        """See :meth:`asyncio.Future.result`: who has it keeps it."""
        if self._given_back:
            raise CancelledError
        # (asyncio itself asks, too, before it has whoever awaits go on, or end.)
        if not self._awaiting:
            self.taken = None
        return super().result()

    def exception(self) -> BaseException | None:
        """See :meth:`asyncio.Future.exception`."""
        if self._given_back:
            raise CancelledError
        return super().exception()

    def cancelled(self) -> bool:
        """Whether it was, or has given its message back."""
        return self._given_back or super().cancelled()

    def give_back(self) -> None:
        """Nobody will have the message."""
        taken, self.taken = self.taken, None
        if taken is not None:
            self._given_back = True
            self._takes.give_back(taken)


class Takes:
    """What the receives of one socket have taken, and take back."""

    __slots__ = ("_back", "_count", "_socket")

    def __init__(self, socket: LoopSocket) -> None:
        self._socket = socket
        self._count = 0
        #: What was given back and has not been received since, in the order of the inbox.
        self._back: list[tuple[int, Any]] = []

    def attempt(self, future: Receiving, take: Callable[[], Any], many: bool) -> bool:
        """Receive, if there is something; ``many``: what ``take`` gives is a list of messages."""
        socket = self._socket
        inbox = socket._inbox
        before = socket._more.copy() if socket._more else _NOTHING
        items = _NOTHING
        if not before:
            if not inbox:
                item = self._next()
                if item is None:
                    return False
                inbox.append(item)
            items = [inbox[-1]]
        try:
            found = take()
        except Again:
            return False
        if many:
            items = found
        self._count += 1
        future.taken = Taken(self._count, items, before, socket._more)
        future.set_result(found)
        return True

    def _next(self) -> Any:
        try:
            return self._socket._receive_item(0)
        except SocketError as error:
            raise_as_zmq(error)

    def give_back(self, taken: Taken) -> None:
        """Put it where it was; whoever receives next has it."""
        socket = self._socket
        if taken.before:
            socket._more = taken.before
            socket._rcvmore = True
        else:
            items = taken.items
            if taken.left:
                if socket._more is taken.left and len(taken.left) == len(items[0]) - 1:
                    socket._more = []
                    socket._rcvmore = False
                else:
                    items = [items[0][0]]  # somebody else has the rest
            for item in reversed(items):
                self._put(taken.number, item)
        socket._kick()

    def _put(self, number: int, item: Any) -> None:
        """To the front of the inbox, but behind what was given back and had come before it."""
        if self._socket._take_back(item):
            return
        inbox = self._socket._inbox
        back = self._back
        while back and not (inbox and inbox[-1] is back[0][1]):
            back.pop(0)  # was received again
        place = 0
        while (
            place < min(len(back), len(inbox))
            and back[place][0] < number
            and inbox[-1 - place] is back[place][1]
        ):
            place += 1
        inbox.insert(len(inbox) - place, item)
        back.insert(place, (number, item))


_NOTHING: Final[list[Any]] = []
