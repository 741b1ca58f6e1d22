"""The way out to a ZeroMQ peer: messages as frames, at most once.

ZMTP has no acknowledgements, so what the transport has taken is done. A message to many subscribers
is encoded once, and shared by all whose connections are not encrypted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from midge.broker.delivery import ZMTP, Delivery
from midge.broker.outbox import Outbox
from midge.limits import OUTBOX_BYTES_MAX, OUTBOX_HOLD_BYTES
from midge.links.zmq_mapping import body_of, properties_frame
from midge.topics.frames import frame_of
from midge.zmtp.frames import encode_message

if TYPE_CHECKING:
    from midge.broker.broker import Broker
    from midge.links.zmq import ZmqLink

_WINDOW: Final = 65_535


class ZmqOutbox(Outbox):
    """See :class:`Outbox`; a subscriber's messages are its topic's frame and the body.

    Attributes:
        with_properties: the peer takes one more frame, see :mod:`midge.links.zmq_mapping`.
    """

    __slots__ = ("_link", "with_properties")

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker.settings, broker.metrics, broker.dirty, broker.crowd)
        self._link: ZmqLink | None = None
        self.with_properties = False

    def begin(self, link: ZmqLink) -> None:
        """The peer is there."""
        self._link = link
        out = cast("list[bytes]", link.connection.out)  # the broker gives it nothing else
        self.attach(link, out, ZMTP, _WINDOW, 0, 0)

    def _send(self, delivery: Delivery, now: float) -> int:
        """See :meth:`Outbox._send`."""
        link = self._link
        assert link is not None
        if link.connection.plain and not self.with_properties:
            data = delivery.zmtp
            if data is None:
                data = delivery.zmtp = encode_message(self._frames(delivery))
            self._note(len(data), len(delivery.message.payload), now)
            self.chunks.append(data)
        else:
            self.send_frames(self._frames(delivery), delivery, now)
        return 0

    def _frames(self, delivery: Delivery) -> list[bytes]:
        message = delivery.message
        return [frame_of(message.topic), *body_of(message)]

    def send_frames(self, frames: list[bytes], delivery: Delivery, now: float) -> None:
        """Send a message of the caller's frames."""
        if self.with_properties:
            frames = [*frames, properties_frame(delivery.message)]
        self._put(frames, len(delivery.message.payload), now)

    def send_reply(self, frames: list[bytes], payload_bytes: int, now: float) -> None:
        """Send a reply, or drop it as any message at QoS 0 for who does not read what it gets."""
        if self.open and self.used <= OUTBOX_BYTES_MAX:
            self._put(frames, payload_bytes, now)
        else:
            self._drop_slow(1)

    def _put(self, frames: list[bytes], payload_bytes: int, now: float) -> None:
        link = self._link
        assert link is not None
        if len(frames) == 1:
            self._note(len(frames[0]) + 9, payload_bytes, now)
            link.connection.send(frames[0])
            return
        size = 0
        for frame in frames:  # (Built-in functions cost a compiled program more than a loop.)
            size += len(frame) + 9
        self._note(size, payload_bytes, now)
        link.connection.send_multipart(frames)

    def _note(self, size: int, payload_bytes: int, now: float) -> None:
        """Count what is about to be appended."""
        if not self.chunks:
            self._dirty.append(self)
        self.used += size
        metrics = self._metrics
        metrics.packets_sent += 1
        metrics.publish_sent += 1
        metrics.publish_bytes_sent += payload_bytes
        if self.used > OUTBOX_HOLD_BYTES and not self.crowded:
            self._crowd_up(now)
