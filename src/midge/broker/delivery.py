"""A message on its way to receivers at one quality of service, and its bytes on the wire.

One :class:`Delivery` serves all receivers that get the message in the same way: the same quality of
service, retain flag and subscription identifiers. What is encoded is encoded once per wire form and
kept with it; a receiver's queue or in-flight table holds a reference.
"""

from __future__ import annotations

from typing import Final

from midge.errors import MalformedPacket
from midge.message import NEVER, Message
from midge.mqtt.aliases import OutboundAliases
from midge.mqtt.encode import encode_publish_properties, publish_parts
from midge.mqtt.inflight import Outbound

# Wire forms: in which language a receiver is spoken to.
MQTT_3: Final = 0  # 3.1 and 3.1.1 have one form of PUBLISH
MQTT_5: Final = 1
ZMTP: Final = 2

_VERSION: Final = (4, 5)
NO_IDS: Final[tuple[int, ...]] = ()
#: The longest expiry interval that has room in a packet.
_EXPIRY_MAX_S: Final = 0xFFFFFFFF


class Delivery(Outbound):
    """A message in the form that some receivers get it in.

    Attributes:
        qos: 0, 1 or 2, after the subscription's maximum.
        message: what is delivered.
        retain: the flag on the wire.
        ids: subscription identifiers to name.
        zmtp: the bytes for ZeroMQ subscribers, once somebody has encoded them.
    """

    __slots__ = ("_parts3", "_parts5", "_stamp", "ids", "message", "retain", "zmtp")

    def __init__(
        self, message: Message, qos: int, retain: bool, ids: tuple[int, ...] = NO_IDS
    ) -> None:
        self.qos = qos
        self.message = message
        self.retain = retain
        self.ids = ids
        self._parts3: tuple[bytes, bytes] | None = None
        self._parts5: tuple[bytes, bytes] | None = None
        self._stamp = -1
        self.zmtp: bytes | None = None

    def parts(self, form: int, now: float) -> tuple[bytes, bytes]:
        """Head and tail of the PUBLISH; the packet identifier goes between them at QoS 1 and 2."""
        if form == MQTT_3:
            if self._parts3 is None:
                message = self.message
                self._parts3 = publish_parts(
                    message.topic.encode(), message.payload, self.qos, self.retain, 4, b""
                )
            return self._parts3
        # The expiry interval on the wire is what is left of it [MQTT-3.3.2-6].
        stamp = self.seconds_left(now)
        if self._parts5 is None or stamp != self._stamp:
            self._stamp = stamp
            self._parts5 = self._encode5(self.message.topic.encode(), stamp, 0)
        return self._parts5

    def parts_named(self, topic: bytes, form: int, now: float) -> tuple[bytes, bytes]:
        """The same for a receiver that calls the topic ``topic``."""
        if form == MQTT_3:
            return publish_parts(topic, self.message.payload, self.qos, self.retain, 4, b"")
        return self._encode5(topic, self.seconds_left(now), 0)

    def parts_aliased(
        self, topic: bytes, aliases: OutboundAliases, now: float, packet_bytes_max: int
    ) -> tuple[bytes, bytes]:
        """The same for a receiver with topic aliases of its own, which nobody can share.

        An alias is set only by a packet that will be sent: one that would make the packet larger
        than ``packet_bytes_max`` (0: any) is not used.
        """
        alias, known = aliases.assign(topic)
        left = self.seconds_left(now)
        if known:
            return self._encode5(b"", left, alias)
        try:
            head, tail = self._encode5(topic, left, alias)
        except MalformedPacket:
            if alias:
                aliases.forget(topic)
            raise
        if alias and packet_bytes_max and len(head) + len(tail) + 2 > packet_bytes_max:
            aliases.forget(topic)
            return self._encode5(topic, left, 0)
        return head, tail

    def seconds_left(self, now: float) -> int:
        """What remains of the expiry interval in whole seconds, at least 0; -1 for no expiry."""
        expires_at = self.message.expires_at
        if expires_at == NEVER:
            return -1
        # More than it ever had is left when the clock of the system was put back between two runs.
        return max(0, min(int(expires_at - now + 0.999), _EXPIRY_MAX_S))

    def size(self) -> int:
        """About how many bytes the message weighs in a queue."""
        return len(self.message.topic) + len(self.message.payload)

    def _encode5(self, topic: bytes, stamp: int, alias: int) -> tuple[bytes, bytes]:
        message = self.message
        extras = encode_publish_properties(message.properties, stamp, self.ids, alias)
        return publish_parts(topic, message.payload, self.qos, self.retain, 5, extras)
