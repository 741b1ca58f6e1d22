"""A REP or ROUTER: it takes requests from a queue, and its reply is its acknowledgement.

The reply goes to where the request says: to the peer that asked, or to an MQTT client's response
topic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.auth.acl_rules import never_written
from midge.broker.router import REPLY_PREFIX
from midge.errors import MidgeError
from midge.links.zmq_consumers import DELIMITER
from midge.links.zmq_requests import with_correlation
from midge.links.zmq_sender import Sender
from midge.mqtt import properties as props

if TYPE_CHECKING:
    from midge.broker.session import Session
    from midge.links.zmq import Received, ZmqLink
    from midge.links.zmq_consumers import Worker
    from midge.links.zmq_outbox import ZmqOutbox
    from midge.message import Message
    from midge.mqtt.properties import Properties

#: The first frame of a worker's reply with which it refuses the request.
REFUSE: Final = b"midge:refuse"
#: The reason code that stands for that: an unspecified error.
_REFUSED: Final = 0x80


class Answerer(Sender):
    """See the module.

    Args:
        worker: what it takes from its queue as.
    """

    __slots__ = ("_worker",)

    def __init__(self, link: ZmqLink, session: Session, outbox: ZmqOutbox, worker: Worker) -> None:
        super().__init__(link, session, outbox)
        self._worker = worker

    def take(self, item: Received, now: float) -> None:
        """See :meth:`Role.take`: a reply."""
        link = self.link
        working = self._worker.working
        frames = [item] if isinstance(item, bytes) else item
        in_shape = len(frames) > 1 and frames[1] == DELIMITER
        # A reply out of shape leaves the request where it is: with the worker, for others later.
        request = working.get(frames[0]) if in_shape else None
        if request is None:
            link.drop("no such request")
            return
        body = frames[2:]
        try:
            given = self.split_properties(body)
        except MidgeError:
            link.drop("bad properties")  # and the request is not acknowledged
            return
        del working[frames[0]]
        refused = _REFUSED if body and body[0] == REFUSE else 0
        message = request.message
        late = request.consumer is not self._worker
        self._worker.queue.settle(request, link, refused, now)
        if late:
            link.drop("late reply")  # another worker has the request, or has answered it
        elif not refused:
            self._send_on(message, body, given, now)

    def _send_on(
        self, request: Message, body: list[bytes], given: Properties | None, now: float
    ) -> None:
        """Give the reply to who asked, where somebody did."""
        if request.properties is None:
            return
        topic = request.properties.get_str(props.RESPONSE_TOPIC)
        if topic is None:
            return
        if never_written(topic):
            self.link.drop("not to publish to")
            return
        correlation = request.properties.get_bytes(props.CORRELATION_DATA)
        answer = self.message(topic, body, with_correlation(given, correlation))
        if topic.startswith(REPLY_PREFIX) and self.broker.router.replies:
            self.route(answer, now)  # it is waited for, and who asked said so
        else:
            self.submit(answer, now)
