"""The fifteen packets of MQTT as small values (MQTT 5.0 section 3).

One class a packet, for all versions and both directions: what a version does not have is left at
its default. A ``properties`` of ``None`` is the same as no property at all, and is what every
packet of 3.1 and 3.1.1 has. Packets are immutable by agreement: nobody changes one after it was
made.

Ints inside: quality of service, versions and reason codes are plain ints here.
"""

from __future__ import annotations

from typing import ClassVar, Final

from midge.mqtt.properties import Properties

# Packet types (MQTT 5.0 table 2-1), as they stand in the upper half of the first byte.
CONNECT: Final = 1
CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
PUBREC: Final = 5
PUBREL: Final = 6
PUBCOMP: Final = 7
SUBSCRIBE: Final = 8
SUBACK: Final = 9
UNSUBSCRIBE: Final = 10
UNSUBACK: Final = 11
PINGREQ: Final = 12
PINGRESP: Final = 13
DISCONNECT: Final = 14
AUTH: Final = 15

NAMES: Final[tuple[str, ...]] = (
    "reserved",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
)

# Protocol versions, as they stand in CONNECT.
MQTT_31: Final = 3
MQTT_311: Final = 4
MQTT_5: Final = 5


class Packet:
    """What all packets share: a type, equality by value, and a readable form.

    With equality and without a hash of their own, they are not for sets.
    """

    __slots__: tuple[str, ...] = ()
    #: One of the packet types above; 0 for what is a part of a packet.
    type: ClassVar[int] = 0
    #: The fields in the order of the constructor: for ``match``, and for what is below.
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__name__}({fields})"


class Will(Packet):
    """The message that the broker publishes when its client is gone (section 3.1.2.5).

    Not a packet of its own: a part of CONNECT, which borrows equality and repr.
    """

    __slots__ = ("payload", "properties", "qos", "retain", "topic")
    __match_args__: ClassVar[tuple[str, ...]] = ("topic", "payload", "qos", "retain", "properties")

    def __init__(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties


class Connect(Packet):
    """CONNECT (section 3.1)."""

    __slots__ = (
        "bridge",
        "clean_start",
        "client_id",
        "keepalive_s",
        "password",
        "properties",
        "username",
        "version",
        "will",
    )
    type: ClassVar[int] = CONNECT
    __match_args__: ClassVar[tuple[str, ...]] = (
        "client_id",
        "version",
        "clean_start",
        "keepalive_s",
        "username",
        "password",
        "will",
        "properties",
        "bridge",
    )

    def __init__(
        self,
        client_id: str = "",
        version: int = MQTT_5,
        clean_start: bool = True,
        keepalive_s: int = 60,
        username: str | None = None,
        password: bytes | None = None,
        will: Will | None = None,
        properties: Properties | None = None,
        bridge: bool = False,
    ) -> None:
        self.client_id = client_id
        #: 3, 4 or 5.
        self.version = version
        self.clean_start = clean_start
        self.keepalive_s = keepalive_s
        self.username = username
        self.password = password
        self.will = will
        self.properties = properties
        #: The upper bit of the version byte: Mosquitto's mark of a bridge (0x83, 0x84).
        self.bridge = bridge


class Connack(Packet):
    """CONNACK (section 3.2). ``reason`` is a return code in 3.1 and 3.1.1, a reason code in 5.0."""

    __slots__ = ("properties", "reason", "session_present")
    type: ClassVar[int] = CONNACK
    __match_args__: ClassVar[tuple[str, ...]] = ("reason", "session_present", "properties")

    def __init__(
        self, reason: int = 0, session_present: bool = False, properties: Properties | None = None
    ) -> None:
        self.reason = reason
        self.session_present = session_present
        self.properties = properties


class Publish(Packet):
    """PUBLISH (section 3.3). ``packet_id`` is 0 at QoS 0."""

    __slots__ = ("dup", "packet_id", "payload", "properties", "qos", "retain", "topic")
    type: ClassVar[int] = PUBLISH
    __match_args__: ClassVar[tuple[str, ...]] = (
        "topic",
        "payload",
        "qos",
        "retain",
        "dup",
        "packet_id",
        "properties",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        retain: bool = False,
        dup: bool = False,
        packet_id: int = 0,
        properties: Properties | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.dup = dup
        self.packet_id = packet_id
        self.properties = properties


class _Ack(Packet):
    """The four acknowledgements have one form (sections 3.4 to 3.7)."""

    __slots__ = ("packet_id", "properties", "reason")
    __match_args__: ClassVar[tuple[str, ...]] = ("packet_id", "reason", "properties")

    def __init__(
        self, packet_id: int, reason: int = 0, properties: Properties | None = None
    ) -> None:
        self.packet_id = packet_id
        self.reason = reason
        self.properties = properties


class Puback(_Ack):
    """PUBACK (section 3.4)."""

    __slots__ = ()
    type: ClassVar[int] = PUBACK


class Pubrec(_Ack):
    """PUBREC (section 3.5)."""

    __slots__ = ()
    type: ClassVar[int] = PUBREC


class Pubrel(_Ack):
    """PUBREL (section 3.6)."""

    __slots__ = ()
    type: ClassVar[int] = PUBREL


class Pubcomp(_Ack):
    """PUBCOMP (section 3.7)."""

    __slots__ = ()
    type: ClassVar[int] = PUBCOMP


class SubscribeTo(Packet):
    """One entry of a SUBSCRIBE: a filter and its options (section 3.8.3.1). Not a packet itself."""

    __slots__ = ("filter", "no_local", "qos", "retain_as_published", "retain_handling")
    __match_args__: ClassVar[tuple[str, ...]] = (
        "filter",
        "qos",
        "no_local",
        "retain_as_published",
        "retain_handling",
    )

    def __init__(
        self,
        filter: str,
        qos: int = 0,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
    ) -> None:
        self.filter = filter
        self.qos = qos
        self.no_local = no_local
        self.retain_as_published = retain_as_published
        self.retain_handling = retain_handling


class Subscribe(Packet):
    """SUBSCRIBE (section 3.8)."""

    __slots__ = ("entries", "packet_id", "properties")
    type: ClassVar[int] = SUBSCRIBE
    __match_args__: ClassVar[tuple[str, ...]] = ("packet_id", "entries", "properties")

    def __init__(
        self, packet_id: int, entries: list[SubscribeTo], properties: Properties | None = None
    ) -> None:
        self.packet_id = packet_id
        self.entries = entries
        self.properties = properties


class Suback(Packet):
    """SUBACK (section 3.9). In 3.1.1 a refusal is 0x80; 3.1 has none."""

    __slots__ = ("packet_id", "properties", "reasons")
    type: ClassVar[int] = SUBACK
    __match_args__: ClassVar[tuple[str, ...]] = ("packet_id", "reasons", "properties")

    def __init__(
        self, packet_id: int, reasons: list[int], properties: Properties | None = None
    ) -> None:
        self.packet_id = packet_id
        self.reasons = reasons
        self.properties = properties


class Unsubscribe(Packet):
    """UNSUBSCRIBE (section 3.10)."""

    __slots__ = ("filters", "packet_id", "properties")
    type: ClassVar[int] = UNSUBSCRIBE
    __match_args__: ClassVar[tuple[str, ...]] = ("packet_id", "filters", "properties")

    def __init__(
        self, packet_id: int, filters: list[str], properties: Properties | None = None
    ) -> None:
        self.packet_id = packet_id
        self.filters = filters
        self.properties = properties


class Unsuback(Packet):
    """UNSUBACK (section 3.11). ``reasons`` is empty in 3.1 and 3.1.1, which have none."""

    __slots__ = ("packet_id", "properties", "reasons")
    type: ClassVar[int] = UNSUBACK
    __match_args__: ClassVar[tuple[str, ...]] = ("packet_id", "reasons", "properties")

    def __init__(
        self,
        packet_id: int,
        reasons: list[int] | None = None,
        properties: Properties | None = None,
    ) -> None:
        self.packet_id = packet_id
        self.reasons: list[int] = [] if reasons is None else reasons
        self.properties = properties


class Pingreq(Packet):
    """PINGREQ (section 3.12)."""

    __slots__ = ()
    type: ClassVar[int] = PINGREQ


class Pingresp(Packet):
    """PINGRESP (section 3.13)."""

    __slots__ = ()
    type: ClassVar[int] = PINGRESP


class Disconnect(Packet):
    """DISCONNECT (section 3.14). Without reason or properties in 3.1 and 3.1.1."""

    __slots__ = ("properties", "reason")
    type: ClassVar[int] = DISCONNECT
    __match_args__: ClassVar[tuple[str, ...]] = ("reason", "properties")

    def __init__(self, reason: int = 0, properties: Properties | None = None) -> None:
        self.reason = reason
        self.properties = properties


class Auth(Packet):
    """AUTH (section 3.15), 5.0 only."""

    __slots__ = ("properties", "reason")
    type: ClassVar[int] = AUTH
    __match_args__: ClassVar[tuple[str, ...]] = ("reason", "properties")

    def __init__(self, reason: int = 0, properties: Properties | None = None) -> None:
        self.reason = reason
        self.properties = properties
