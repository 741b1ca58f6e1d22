"""ZeroMQ peers as consumers of a queue: PULL, and the workers REP and ROUTER."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.broker.consumer import DONE, TAKEN, Consumer
from midge.limits import ZMQ_PULL_AHEAD_BYTES, ZMQ_WORK_MAX
from midge.links.zmq_mapping import body_of
from midge.mqtt.reasons import Reason

if TYPE_CHECKING:
    from midge.broker.queue import Queue
    from midge.broker.queue_item import Item
    from midge.links.zmq import ZmqLink
    from midge.links.zmq_outbox import ZmqOutbox

#: Between the envelope of a request and its body.
DELIMITER: Final = b""
#: Requests that a worker had for too long which are remembered in any case.
_LATE_KEPT: Final = 16


class Puller(Consumer):
    """A PULL: it cannot acknowledge, so what the transport has taken is done.

    Little is sent ahead of what the transport takes, so that what a slow peer does not read stays
    in the queue, for others.
    """

    __slots__ = ("outbox",)

    def __init__(self, queue: Queue, outbox: ZmqOutbox, link: ZmqLink) -> None:
        super().__init__(queue, link)
        self.outbox = outbox

    def has_credit(self) -> bool:
        """See :meth:`Consumer.has_credit`."""
        return self.outbox.open and self.outbox.used <= ZMQ_PULL_AHEAD_BYTES

    def is_there(self) -> bool:
        """See :meth:`Consumer.is_there`."""
        return self.outbox.link is not None

    def want(self) -> None:
        """See :meth:`Consumer.want`."""
        self.outbox.hungry = True

    def give(self, item: Item, now: float) -> int:
        """See :meth:`Consumer.give`."""
        self.outbox.send_frames(body_of(item.message), item, now)
        return DONE

    def dismiss(self, why: str, now: float) -> None:
        """See :meth:`Consumer.dismiss`."""
        if self.outbox.link is not None:
            self.outbox.link.end(int(Reason.ADMINISTRATIVE_ACTION), why)

    def who(self) -> str:
        """See :meth:`Consumer.who`."""
        return f"ZeroMQ peer {self.outbox.link.endpoint().client_id}" if self.outbox.link else "?"


class Worker(Puller):
    """A REP or ROUTER: its reply is its acknowledgement.

    A REP does one request at a time, so it is given one at a time. What it was sent is told apart
    by a number in front of the delimiter, which comes back with the reply.

    Attributes:
        working: messages that it has, by that number; for some time also those that it had for too
            long, for its reply may come yet.
    """

    __slots__ = ("_ahead", "_next", "working")

    def __init__(self, queue: Queue, outbox: ZmqOutbox, link: ZmqLink, one_by_one: bool) -> None:
        super().__init__(queue, outbox, link)
        self.working: dict[bytes, Item] = {}
        self._ahead = 1 if one_by_one else 0
        self._next = 0

    def has_credit(self) -> bool:
        """See :meth:`Consumer.has_credit`."""
        return self.unacknowledged < self._most() and super().has_credit()

    def _most(self) -> int:
        """How many it may have."""
        return self._ahead or self.queue.settings.prefetch or ZMQ_WORK_MAX

    def give(self, item: Item, now: float) -> int:
        """See :meth:`Consumer.give`."""
        self._next = (self._next + 1) & 0xFFFF_FFFF_FFFF_FFFF
        number = self._next.to_bytes(8, "big")
        if len(self.working) >= 2 * self._most() + _LATE_KEPT:
            self._forget_late()
        self.working[number] = item
        self.outbox.send_frames([number, DELIMITER, *body_of(item.message)], item, now)
        return TAKEN

    def _forget_late(self) -> None:
        """Forget what it has no more; of what it was given again, the numbers of before."""
        latest = {item: number for number, item in self.working.items() if item.consumer is self}
        self.working = {number: item for item, number in latest.items()}
