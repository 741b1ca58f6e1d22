"""A REQ or DEALER: its messages are requests to a queue, and the replies come back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.errors import MidgeError
from midge.links.zmq_consumers import DELIMITER
from midge.links.zmq_mapping import body_of
from midge.links.zmq_requests import Requests, with_correlation
from midge.links.zmq_sender import Sender
from midge.mqtt.property_codec import encode_publish_properties
from midge.topics.filters import QUEUE_PREFIX

if TYPE_CHECKING:
    from midge.broker.queue import Queue
    from midge.broker.session import Session
    from midge.links.zmq import Received, ZmqLink
    from midge.links.zmq_outbox import ZmqOutbox
    from midge.message import Message


class Asker(Sender):
    """See the module."""

    __slots__ = ("_requests", "_topic")

    def __init__(self, link: ZmqLink, session: Session, outbox: ZmqOutbox, queue: Queue) -> None:
        super().__init__(link, session, outbox)
        self._topic = QUEUE_PREFIX + queue.name
        self._requests = Requests(self.broker.new_client_id())
        self.broker.router.replies[self._requests.token] = self

    def take(self, item: Received, now: float) -> None:
        """See :meth:`Role.take`: the envelope comes back with the reply."""
        frames = [item] if isinstance(item, bytes) else list(item)
        envelope: list[bytes] = []
        if DELIMITER in frames:
            end = frames.index(DELIMITER) + 1
            envelope, frames = frames[:end], frames[end:]
        try:
            own = self.split_properties(frames)
        except MidgeError:
            self.link.drop("bad properties")
            return
        requests = self._requests
        if requests.forget_oldest():
            self.link.drop("forgotten request")
        given = requests.add(self.broker.new_client_id().encode(), envelope, own)
        self.submit(self.message(self._topic, frames, given), now)

    def reply(self, message: Message, now: float) -> bool:
        """Somebody replies to one of its requests; see :class:`midge.broker.router.Replies`."""
        link = self.link
        if link.closing:
            return False
        question = self._requests.take(message)
        if question is None:
            return False
        frames = [*question.envelope, *body_of(message)]
        if self.outbox.with_properties:
            properties = with_correlation(message.properties, question.correlation)
            frames.append(encode_publish_properties(properties, -1, (), 0))
        outbox = self.outbox
        outbox.send_reply(frames or [b""], len(message.payload), now)
        if outbox.crowded and not outbox.stalled:
            self.broker.router.crowded = outbox  # who replies is to wait, as who publishes is
        return True

    def depart(self, now: float) -> None:
        """See :meth:`Role.depart`."""
        self.broker.router.replies.pop(self._requests.token, None)
