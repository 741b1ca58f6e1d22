"""Who takes messages from a queue, and whose turn it is.

Those who have credit (a window that is not full, a connection that is read) stand in a ring, and
the first of it gets the next message. Who turns out to have none steps out, and comes back when an
acknowledgement or the transport makes room.

A consumer is called back for two things only: to be given a message, and to be told that its queue
is no more. What kinds there are: :mod:`midge.broker.queue_consumers` and ``links/zmq_consumers``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.broker.queue import Queue
    from midge.broker.queue_item import Item

#: What became of a message that was given to a consumer: it will be settled; it is done, since
#: there will be no acknowledgement; the consumer cannot take it at all.
TAKEN: Final = 0
DONE: Final = 1
UNFIT: Final = 2


class Consumer:
    """Somebody who takes messages from one queue.

    Attributes:
        queue: that queue.
        holder: who settles what this consumer was given, and nobody else can.
        standing: it is in the ring of those who are available.
        gone: it has left.
        unacknowledged: how many messages it has.
        taken: how many it was ever given.
    """

    __slots__ = ("gone", "holder", "queue", "standing", "taken", "unacknowledged")

    def __init__(self, queue: Queue, holder: object) -> None:
        self.queue = queue
        self.holder = holder
        self.standing = False
        self.gone = False
        self.unacknowledged = 0
        self.taken = 0

    def has_credit(self) -> bool:
        """Whether it can be given a message now."""
        raise NotImplementedError

    def is_there(self) -> bool:
        """Whether it is connected."""
        raise NotImplementedError

    def want(self) -> None:
        """It was passed over for want of credit: have :meth:`Queue.welcome` called with it.

        Not where it has as much as the prefetch allows: then the queue sees itself to it, once it
        is rid of a message.
        """
        raise NotImplementedError

    def give(self, item: Item, now: float) -> int:
        """Here is a message: :data:`TAKEN`, :data:`DONE` or :data:`UNFIT`."""
        raise NotImplementedError

    def dismiss(self, why: str, now: float) -> None:
        """Its queue is removed: end the connection, with ``why``."""
        raise NotImplementedError

    def who(self) -> str:
        """Its name, for people."""
        raise NotImplementedError


class Ring:
    """The consumers of a queue, and among them those that are available.

    Attributes:
        consumers: all of them, in the order in which they came.
        standing: those that had credit when they were last looked at; the next one is the first.
    """

    __slots__ = ("consumers", "standing")

    def __init__(self) -> None:
        self.consumers: list[Consumer] = []
        self.standing: deque[Consumer] = deque()

    def next(self) -> Consumer | None:
        """The next consumer with credit; it stands first in the ring then."""
        standing = self.standing
        while standing:
            consumer = standing[0]
            if consumer.has_credit():
                return consumer
            standing.popleft()
            consumer.standing = False
            if not consumer.gone:
                consumer.want()
        return None

    def next_of(self, entitled: Callable[[Consumer], bool]) -> Consumer | None:
        """The same among those that are ``entitled``."""
        for consumer in list(self.standing):
            if not entitled(consumer):
                continue
            self.standing.remove(consumer)
            if consumer.has_credit():
                self.standing.appendleft(consumer)
                return consumer
            consumer.standing = False
            consumer.want()
        return None

    def stand(self, consumer: Consumer) -> None:
        """A consumer may have credit: it is looked at after all the others."""
        if not consumer.standing and not consumer.gone:
            consumer.standing = True
            self.standing.append(consumer)

    def stand_last(self, consumer: Consumer) -> None:
        """The same for one that was available perhaps, and has just shown that it is slow."""
        if consumer.standing:
            self.standing.remove(consumer)
            consumer.standing = False
        self.stand(consumer)

    def leave(self, consumer: Consumer) -> None:
        """A consumer is no more one of them."""
        consumer.gone = True
        self.consumers.remove(consumer)
        if consumer.standing:
            consumer.standing = False
            self.standing.remove(consumer)

    def anybody_there(self) -> bool:
        """Whether some consumer is connected."""
        return any(consumer.is_there() for consumer in self.consumers)
