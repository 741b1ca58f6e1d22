"""What a ZeroMQ peer is at the broker: the part it plays, by its type.

=========== ===================================== ============================================
SUB, XSUB   :class:`Subscriber`                   gets topics that begin with its prefixes
PUB, XPUB   :class:`~.zmq_sender.Publisher`       publishes: the first frame is the topic
PUSH        :class:`~.zmq_sender.Pusher`          puts its messages into a queue
PULL        :class:`Role`, with a consumer        competes for a queue; cannot acknowledge
REQ, DEALER :class:`~.zmq_asker.Asker`            puts requests into a queue, gets the replies
REP, ROUTER :class:`~.zmq_answerer.Answerer`      competes for them; its reply acknowledges
=========== ===================================== ============================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.permission import why_not_get
from midge.limits import SUBSCRIPTIONS_MAX
from midge.links.zmq_consumers import Puller, Worker
from midge.mqtt.reasons import Reason
from midge.topics.filters import QUEUE_PREFIX

if TYPE_CHECKING:
    from midge.broker.session import Session
    from midge.links.zmq import Received, ZmqLink
    from midge.links.zmq_outbox import ZmqOutbox


class Role:
    """Somebody who sends nothing that is anybody's business.

    Attributes:
        link: whose part it is.
        session, outbox: what the broker knows of it, and its way out.
        consumer: what it takes from a queue as; ``None``: it takes from none.
    """

    __slots__ = ("broker", "consumer", "link", "outbox", "session")

    def __init__(self, link: ZmqLink, session: Session, outbox: ZmqOutbox) -> None:
        self.broker = link.broker
        self.link = link
        self.session = session
        self.outbox = outbox
        self.consumer: Puller | None = None

    def consume(self, consumer: Puller, now: float) -> None:
        """Take from a queue from here on."""
        self.consumer = consumer
        self.outbox.consumers = [consumer]
        consumer.queue.join(consumer, now)

    def take(self, item: Received, now: float) -> None:
        """The peer has sent a message."""
        self.link.drop("out of type")

    def subscribe(self, prefix: bytes) -> None:
        """The peer asks for what begins so."""

    def cancel(self, prefix: bytes) -> None:
        """The peer takes one :meth:`subscribe` back."""

    def rules_changed(self) -> None:
        """See :meth:`midge.broker.link.Link.rules_changed`."""
        consumer = self.consumer
        if consumer is not None:
            topic = QUEUE_PREFIX + consumer.queue.name
            fault = why_not_get(self.broker.authorizer, self.session, topic)
            if fault:
                self.link.end(int(Reason.NOT_AUTHORIZED), fault)

    def depart(self, now: float) -> None:
        """Give back what it took part in."""
        consumer = self.consumer
        if consumer is not None:
            consumer.queue.leave(consumer, now)
            if isinstance(consumer, Worker):
                consumer.queue.take_back(list(consumer.working.values()), self.link, now)
                consumer.working.clear()


class Subscriber(Role):
    """A SUB or XSUB; it has a prefix or has it not, and says only once that it wants it no more."""

    __slots__ = ("_prefixes",)

    def __init__(self, link: ZmqLink, session: Session, outbox: ZmqOutbox) -> None:
        super().__init__(link, session, outbox)
        self._prefixes: dict[bytes, None] = {}

    def subscribe(self, prefix: bytes) -> None:
        """See :meth:`Role.subscribe`."""
        if prefix in self._prefixes:
            return
        if len(self._prefixes) >= SUBSCRIPTIONS_MAX:
            self.link.drop("too many prefixes")
            return
        self.broker.router.subscribe_prefix(prefix, self.session)
        self._prefixes[prefix] = None

    def cancel(self, prefix: bytes) -> None:
        """See :meth:`Role.cancel`."""
        if prefix in self._prefixes:
            del self._prefixes[prefix]
            self.broker.router.unsubscribe_prefix(prefix, self.session)

    def depart(self, now: float) -> None:
        """See :meth:`Role.depart`."""
        for prefix in self._prefixes:
            self.broker.router.unsubscribe_prefix(prefix, self.session)
        self._prefixes.clear()
