"""ZeroMQ peers whose messages the router gets: PUB and PUSH, and what REQ and REP have of them.

The way of a message: frames into a :class:`~midge.message.Message`, whether the peer may send it,
whether there is room for it, the router. Two of these may have to wait; the peer is not read then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.auth.base import ALLOW, ALLOWED_BY_RULES, PUBLISH, Authorizer, Decision, Pending
from midge.broker.queues import QueueError
from midge.broker.router import REPLY_PREFIX
from midge.errors import MidgeError
from midge.limits import SUBSCRIPTIONS_MAX
from midge.links.zmq_mapping import payload_of, read_properties
from midge.links.zmq_role import Role
from midge.message import Message
from midge.mqtt import properties as props
from midge.topics.filters import QUEUE_PREFIX, queue_name
from midge.topics.frames import topic_of
from midge.topics.names import is_topic

if TYPE_CHECKING:
    from midge.broker.queue import Queue
    from midge.broker.session import Session
    from midge.links.zmq import Received, ZmqLink
    from midge.links.zmq_outbox import ZmqOutbox
    from midge.mqtt.properties import Properties


class Sender(Role):
    """Somebody whose messages go to the router.

    Attributes:
        allowed_topics: where the rules are known to let it publish.
        queue: the named queue that its last message was for, if it was for one.
    """

    __slots__ = ("_queue_topic", "allowed_topics", "queue")

    def __init__(self, link: ZmqLink, session: Session, outbox: ZmqOutbox) -> None:
        super().__init__(link, session, outbox)
        self.allowed_topics: set[str] = set()
        self.queue: Queue | None = None
        self._queue_topic = ""

    def rules_changed(self) -> None:
        """See :meth:`Role.rules_changed`."""
        self.allowed_topics.clear()
        super().rules_changed()

    # -- what it sends ------------------------------------------------------------------------

    def split_properties(self, frames: list[bytes]) -> Properties | None:
        """Take the frame with the properties off, where the peer sends one.

        Raises:
            MidgeError: it is none.
        """
        if self.outbox.with_properties and len(frames) > 1:
            return read_properties(frames.pop())
        return None

    def message(self, topic: str, body: list[bytes], given: Properties | None) -> Message:
        """What these frames are to the router."""
        payload, properties = payload_of(body)
        if given is not None:
            if properties is not None:
                given.values[props.CONTENT_TYPE] = properties.values[props.CONTENT_TYPE]
            properties = given
        self.broker.metrics.publish_bytes_received += len(payload)
        return Message(topic, payload, 0, False, properties, origin=self.link.client_id)

    # -- whether it may -----------------------------------------------------------------------

    def submit(self, message: Message, now: float) -> None:
        """Send a message on, where the peer may."""
        if self.may(message.topic):
            self.route(message, now)
        else:
            self._ask(message, now)

    def may(self, topic: str) -> bool:
        """Whether it is known that it may publish there."""
        return self.broker.authorizer is None or topic in self.allowed_topics

    def _ask(self, message: Message, now: float) -> None:
        authorizer = self.broker.authorizer
        assert authorizer is not None
        decision = authorizer.authorize(self.link.identity, PUBLISH, message.topic)
        if isinstance(decision, Pending):
            if decision.settled is None:
                self.link.wait_for(
                    decision, lambda made, now: self._answered(authorizer, message, made, now)
                )
                return
            decision = decision.settled
        self._judged(message, decision, now)

    def _answered(
        self, authorizer: Authorizer, message: Message, decision: Decision, now: float
    ) -> None:
        """The answer has come; if others decide by now, they are asked instead."""
        if authorizer is self.broker.authorizer:
            self._judged(message, decision, now)
        else:
            self.submit(message, now)

    def _judged(self, message: Message, decision: Decision, now: float) -> None:
        link = self.link
        if decision.outcome != ALLOW:
            self.broker.hooks.denied(link.client_id, "publish", message.topic, decision.text)
            link.drop("not allowed")
            return
        if decision is ALLOWED_BY_RULES and len(self.allowed_topics) < SUBSCRIPTIONS_MAX:
            self.allowed_topics.add(message.topic)
        self.route(message, now)

    # -- whether there is room ----------------------------------------------------------------

    def route(self, message: Message, now: float) -> None:
        """Give a message that may be published to the router, once there is room for it."""
        broker = self.broker
        link = self.link
        queue = None if not broker.queues.full else broker.router.full_queue(message.topic)
        if queue is not None:
            link.wait_for(queue.wait_for_room(), lambda made, now: self.route(message, now))
            return
        keeper = broker.keeper
        if keeper is not None and keeper.full() and broker.router.fills_stored_queue(message.topic):
            # What comes faster than the disk would be collected in memory without end.
            link.wait_for(keeper.wait(), lambda made, now: self.route(message, now))
            return
        if message.topic.startswith(QUEUE_PREFIX) and not self._has_queue(message.topic):
            link.drop("no such queue")
            return
        broker.router.publish(message, self.session, now)
        if broker.router.crowded is not None:
            link.hold(broker.router.crowded)

    def _has_queue(self, topic: str) -> bool:
        """Whether there is the queue that a topic names, if it names one; it is made if need be."""
        queue = self.queue
        if queue is not None and not queue.closed and self._queue_topic == topic:
            return True
        name = queue_name(topic)
        if name is None:
            return True
        try:
            self.queue = self.broker.queues.need(name)
        except QueueError:
            return False
        self._queue_topic = topic
        return True


class Publisher(Sender):
    """A PUB or XPUB."""

    # The frame of its last message to a topic, and that: often the next one's as well.
    __slots__ = ("_last_frame", "_last_topic")

    def __init__(self, link: ZmqLink, session: Session, outbox: ZmqOutbox) -> None:
        super().__init__(link, session, outbox)
        self._last_frame = b""
        self._last_topic = ""

    def take(self, item: Received, now: float) -> None:
        """See :meth:`Role.take`: the first frame is the topic."""
        frames = [item] if isinstance(item, bytes) else list(item)
        try:
            given = self.split_properties(frames)
        except MidgeError:
            self.link.drop("bad properties")
            return
        topic = self._last_topic
        if not topic or frames[0] != self._last_frame:
            topic = topic_of(frames[0])
            if not is_topic(topic):
                self.link.drop("topic too long")  # in the spelling of a frame that is none
                return
            if topic[0] == "$" and queue_name(topic) is None and not topic.startswith(REPLY_PREFIX):
                self.link.drop("not to publish to")
                return
            self._last_frame = frames[0]
            self._last_topic = topic
        self.submit(self.message(topic, frames[1:], given), now)


class Pusher(Sender):
    """A PUSH."""

    __slots__ = ("_topic",)

    def __init__(self, link: ZmqLink, session: Session, outbox: ZmqOutbox, queue: Queue) -> None:
        super().__init__(link, session, outbox)
        self._topic = QUEUE_PREFIX + queue.name

    def take(self, item: Received, now: float) -> None:
        """See :meth:`Role.take`: all of it is for the queue."""
        frames = [item] if isinstance(item, bytes) else list(item)
        try:
            given = self.split_properties(frames)
        except MidgeError:
            self.link.drop("bad properties")
            return
        self.submit(self.message(self._topic, frames, given), now)
