"""A message in a queue: one object from when it is put in until it is acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.broker.delivery import NO_IDS, Delivery
from midge.mqtt.encode import publish_parts
from midge.mqtt.primitives import write_pair
from midge.mqtt.property_codec import encode_publish_properties

if TYPE_CHECKING:
    from midge.broker.consumer import Consumer
    from midge.broker.queue import Queue
    from midge.message import Message

#: The user property that says how often a message has been given out, from the second time on.
DELIVERIES: Final = "deliveries"


class Item(Delivery):
    """See :class:`Delivery`; it is given to one consumer after the other until one keeps it.

    Attributes:
        queue: whose it is.
        consumer: who has it now.
        serial: its place in the order of the queue; in the store, the number of its delivery.
        stored: the number of its message in the store; 0 where it is not kept.
        priority: the higher, the sooner.
        deliveries: how often it was given out.
        ready_at: not before this; 0 for at once.
    """

    __slots__ = (
        "consumer",
        "deliveries",
        "priority",
        "queue",
        "ready_at",
        "serial",
        "stored",
    )

    def __init__(self, queue: Queue, message: Message, qos: int, serial: int) -> None:
        # All that the class above sets as well, in one call: there is one for each message.
        self.qos = qos
        self.message = message
        self.retain = False
        self.ids = NO_IDS
        self._parts3 = None
        self._parts5 = None
        self._stamp = -1
        self.zmtp = None
        self.queue = queue
        self.consumer: Consumer | None = None
        self.serial = serial
        self.stored = 0
        self.priority = 0
        self.deliveries = 0
        self.ready_at = 0.0

    def address_to(self, qos: int, retain: bool, ids: tuple[int, ...]) -> None:
        """Take the form in which its next consumer gets it."""
        if self.deliveries > 1 or ids is not self.ids or qos != self.qos or retain != self.retain:
            self.qos = qos
            self.retain = retain
            self.ids = ids
            self._parts3 = self._parts5 = None

    def _encode5(self, topic: bytes, stamp: int, alias: int) -> tuple[bytes, bytes]:
        if self.deliveries <= 1:
            return super()._encode5(topic, stamp, alias)
        message = self.message
        extras = encode_publish_properties(message.properties, stamp, self.ids, alias)
        extras += b"\x26" + write_pair((DELIVERIES, str(self.deliveries)))
        return publish_parts(topic, message.payload, self.qos, self.retain, 5, extras)

    def is_dead(self, now: float) -> bool:
        """Whether it has been in the queue for longer than it may."""
        return self.message.expires_at <= now
