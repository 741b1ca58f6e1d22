"""Properties: the typed extras of MQTT 5.0 packets (section 2.2.2).

:data:`TABLE` is the standard's table 2-4 as data: identifier, name, type, and the packets in which
the property may stand. Decoder, encoder, checks and ``repr`` are made from it.
"""

from __future__ import annotations

from typing import Final

from midge.errors import MalformedPacket, ProtocolError
from midge.mqtt.primitives import (
    read_binary,
    read_string,
    read_varint,
    write_binary,
    write_string,
    write_varint,
)

# Types of values (section 1.5).
BYTE: Final = 0
TWO_BYTES: Final = 1
FOUR_BYTES: Final = 2
VARINT: Final = 3
STRING: Final = 4
BINARY: Final = 5
PAIR: Final = 6

# Identifiers.
PAYLOAD_FORMAT_INDICATOR: Final = 0x01
MESSAGE_EXPIRY_INTERVAL: Final = 0x02
CONTENT_TYPE: Final = 0x03
RESPONSE_TOPIC: Final = 0x08
CORRELATION_DATA: Final = 0x09
SUBSCRIPTION_IDENTIFIER: Final = 0x0B
SESSION_EXPIRY_INTERVAL: Final = 0x11
ASSIGNED_CLIENT_IDENTIFIER: Final = 0x12
SERVER_KEEP_ALIVE: Final = 0x13
AUTHENTICATION_METHOD: Final = 0x15
AUTHENTICATION_DATA: Final = 0x16
REQUEST_PROBLEM_INFORMATION: Final = 0x17
WILL_DELAY_INTERVAL: Final = 0x18
REQUEST_RESPONSE_INFORMATION: Final = 0x19
RESPONSE_INFORMATION: Final = 0x1A
SERVER_REFERENCE: Final = 0x1C
REASON_STRING: Final = 0x1F
RECEIVE_MAXIMUM: Final = 0x21
TOPIC_ALIAS_MAXIMUM: Final = 0x22
TOPIC_ALIAS: Final = 0x23
MAXIMUM_QOS: Final = 0x24
RETAIN_AVAILABLE: Final = 0x25
USER_PROPERTY: Final = 0x26
MAXIMUM_PACKET_SIZE: Final = 0x27
WILDCARD_SUBSCRIPTION_AVAILABLE: Final = 0x28
SUBSCRIPTION_IDENTIFIER_AVAILABLE: Final = 0x29
SHARED_SUBSCRIPTION_AVAILABLE: Final = 0x2A


# Packet types, as in ``packets``; a will's properties have a place of their own.
WILL: Final = 0
_CONNECT, _CONNACK, _PUBLISH = 1, 2, 3
_ACKS = (4, 5, 6, 7)
_SUBSCRIBE, _SUBACK, _UNSUBSCRIBE, _UNSUBACK = 8, 9, 10, 11
_DISCONNECT, _AUTH = 14, 15
_ALL = (WILL, 1, 2, 3, *_ACKS, 8, 9, 10, 11, 14, 15)

#: Table 2-4 of the standard: identifier, name, type, packets in which it may stand.
TABLE: Final[tuple[tuple[int, str, int, tuple[int, ...]], ...]] = (
    (PAYLOAD_FORMAT_INDICATOR, "payload_format_indicator", BYTE, (_PUBLISH, WILL)),
    (MESSAGE_EXPIRY_INTERVAL, "message_expiry_interval", FOUR_BYTES, (_PUBLISH, WILL)),
    (CONTENT_TYPE, "content_type", STRING, (_PUBLISH, WILL)),
    (RESPONSE_TOPIC, "response_topic", STRING, (_PUBLISH, WILL)),
    (CORRELATION_DATA, "correlation_data", BINARY, (_PUBLISH, WILL)),
    (SUBSCRIPTION_IDENTIFIER, "subscription_identifier", VARINT, (_PUBLISH, _SUBSCRIBE)),
    (
        SESSION_EXPIRY_INTERVAL,
        "session_expiry_interval",
        FOUR_BYTES,
        (_CONNECT, _CONNACK, _DISCONNECT),
    ),
    (ASSIGNED_CLIENT_IDENTIFIER, "assigned_client_identifier", STRING, (_CONNACK,)),
    (SERVER_KEEP_ALIVE, "server_keep_alive", TWO_BYTES, (_CONNACK,)),
    (AUTHENTICATION_METHOD, "authentication_method", STRING, (_CONNECT, _CONNACK, _AUTH)),
    (AUTHENTICATION_DATA, "authentication_data", BINARY, (_CONNECT, _CONNACK, _AUTH)),
    (REQUEST_PROBLEM_INFORMATION, "request_problem_information", BYTE, (_CONNECT,)),
    (WILL_DELAY_INTERVAL, "will_delay_interval", FOUR_BYTES, (WILL,)),
    (REQUEST_RESPONSE_INFORMATION, "request_response_information", BYTE, (_CONNECT,)),
    (RESPONSE_INFORMATION, "response_information", STRING, (_CONNACK,)),
    (SERVER_REFERENCE, "server_reference", STRING, (_CONNACK, _DISCONNECT)),
    (
        REASON_STRING,
        "reason_string",
        STRING,
        (_CONNACK, *_ACKS, _SUBACK, _UNSUBACK, _DISCONNECT, _AUTH),
    ),
    (RECEIVE_MAXIMUM, "receive_maximum", TWO_BYTES, (_CONNECT, _CONNACK)),
    (TOPIC_ALIAS_MAXIMUM, "topic_alias_maximum", TWO_BYTES, (_CONNECT, _CONNACK)),
    (TOPIC_ALIAS, "topic_alias", TWO_BYTES, (_PUBLISH,)),
    (MAXIMUM_QOS, "maximum_qos", BYTE, (_CONNACK,)),
    (RETAIN_AVAILABLE, "retain_available", BYTE, (_CONNACK,)),
    (USER_PROPERTY, "user_property", PAIR, _ALL),
    (MAXIMUM_PACKET_SIZE, "maximum_packet_size", FOUR_BYTES, (_CONNECT, _CONNACK)),
    (WILDCARD_SUBSCRIPTION_AVAILABLE, "wildcard_subscription_available", BYTE, (_CONNACK,)),
    (SUBSCRIPTION_IDENTIFIER_AVAILABLE, "subscription_identifier_available", BYTE, (_CONNACK,)),
    (SHARED_SUBSCRIPTION_AVAILABLE, "shared_subscription_available", BYTE, (_CONNACK,)),
)

NAMES: Final[dict[int, str]] = {row[0]: row[1] for row in TABLE}
_IDENTIFIERS: Final[dict[str, int]] = {row[1]: row[0] for row in TABLE}
_TYPES: Final[dict[int, int]] = {row[0]: row[2] for row in TABLE}
_ALLOWED: Final[dict[int, int]] = {
    row[0]: sum(1 << packet_type for packet_type in row[3]) for row in TABLE
}
#: Properties of one byte are all 0 or 1.
_NOT_ZERO: Final[dict[int, int]] = {
    RECEIVE_MAXIMUM: 0x82,
    MAXIMUM_PACKET_SIZE: 0x82,
    TOPIC_ALIAS: 0x94,  # [MQTT-3.3.2-8]
}
#: What travels with a message from its publisher to its subscribers, unchanged.
_FORWARDED: Final = (
    PAYLOAD_FORMAT_INDICATOR,
    CONTENT_TYPE,
    RESPONSE_TOPIC,
    CORRELATION_DATA,
)


class Properties:
    """The properties of one packet.

    Single-valued properties are in ``values``, by identifier, in the order in which they go on the
    wire; the two that may stand several times have lists of their own.
    """

    __slots__ = ("subscription_ids", "user", "values")

    def __init__(
        self,
        values: dict[int, int | str | bytes] | None = None,
        user: list[tuple[str, str]] | None = None,
        subscription_ids: list[int] | None = None,
    ) -> None:
        self.values: dict[int, int | str | bytes] = {} if values is None else values
        #: User properties, in order.
        self.user: list[tuple[str, str]] = [] if user is None else user
        #: Subscription identifiers, in order.
        self.subscription_ids: list[int] = [] if subscription_ids is None else subscription_ids

    @classmethod
    def of(cls, **named: object) -> Properties:
        """Properties by the names of the standard, in the order in which they are given.

        ::

            Properties.of(receive_maximum=20, user_property=[("a", "b")])

        Raises:
            TypeError: there is no property of that name.
        """
        made = cls()
        for name, value in named.items():
            identifier = _IDENTIFIERS.get(name)
            if identifier is None:
                raise TypeError(f"MQTT has no property {name!r}")
            if identifier == USER_PROPERTY:
                made.user = list(value)  # type: ignore[call-overload]
            elif identifier == SUBSCRIPTION_IDENTIFIER:
                made.subscription_ids = list(value)  # type: ignore[call-overload]
            else:
                made.values[identifier] = value  # type: ignore[assignment]
        return made

    def get_int(self, identifier: int, default: int = 0) -> int:
        """The value of an integer property, or ``default`` where it is absent."""
        value = self.values.get(identifier)
        return value if isinstance(value, int) else default

    def get_str(self, identifier: int) -> str | None:
        """The value of a string property, or ``None`` where it is absent."""
        value = self.values.get(identifier)
        return value if isinstance(value, str) else None

    def get_bytes(self, identifier: int) -> bytes | None:
        """The value of a binary property, or ``None`` where it is absent."""
        value = self.values.get(identifier)
        return value if isinstance(value, bytes) else None

    def __bool__(self) -> bool:
        return bool(self.values or self.user or self.subscription_ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Properties):
            return NotImplemented
        return (
            self.values == other.values
            and self.user == other.user
            and self.subscription_ids == other.subscription_ids
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [f"{NAMES.get(key, hex(key))}: {value!r}" for key, value in self.values.items()]
        if self.subscription_ids:
            shown.append(f"subscription_identifier: {self.subscription_ids}")
        if self.user:
            shown.append(f"user: {self.user}")
        return "{" + ", ".join(shown) + "}"


def decode_properties(
    data: bytes, pos: int, end: int, packet_type: int
) -> tuple[Properties | None, int]:
    """The properties of a packet, which begin with their length (section 2.2.2.1).

    Args:
        packet_type: whose they are; ``WILL`` for those of a will.

    Raises:
        MalformedPacket, ProtocolError: see the table of checks in this module.
    """
    length, pos = read_varint(data, pos, end)
    if not length:
        return None, pos
    stop = pos + length
    if stop > end:
        raise MalformedPacket("the properties run past the end of their packet")
    properties = Properties()
    while pos < stop:
        identifier, pos = read_varint(data, pos, stop)
        if not _ALLOWED.get(identifier, 0) >> packet_type & 1:
            raise MalformedPacket(
                f"the property {NAMES.get(identifier, hex(identifier))} may not stand here"
            )
        pos = _decode_one(properties, identifier, data, pos, stop, packet_type)
    return properties, pos


def _decode_one(
    properties: Properties, identifier: int, data: bytes, pos: int, end: int, packet_type: int
) -> int:
    if identifier == USER_PROPERTY:
        name, pos = read_string(data, pos, end)
        text, pos = read_string(data, pos, end)
        properties.user.append((name, text))
        return pos
    kind = _TYPES[identifier]
    value: int | str | bytes
    if kind == STRING:
        value, pos = read_string(data, pos, end)
    elif kind == BINARY:
        value, pos = read_binary(data, pos, end)
    elif kind == VARINT:
        value, pos = read_varint(data, pos, end)
    else:
        width = 1 << kind  # BYTE, TWO_BYTES, FOUR_BYTES are 0, 1, 2
        if pos + width > end:
            raise MalformedPacket(f"the property {NAMES[identifier]} is cut off")
        value = int.from_bytes(data[pos : pos + width], "big")
        pos += width
    if identifier == SUBSCRIPTION_IDENTIFIER:
        assert isinstance(value, int)
        if not value or (properties.subscription_ids and packet_type == _SUBSCRIBE):
            raise ProtocolError("a subscription identifier is zero, or there are several")
        properties.subscription_ids.append(value)
        return pos
    if identifier in properties.values:
        raise ProtocolError(f"the property {NAMES[identifier]} stands twice")
    _check_value(identifier, kind, value)
    properties.values[identifier] = value
    return pos


def _check_value(identifier: int, kind: int, value: int | str | bytes) -> None:
    if kind == BYTE and value not in (0, 1):
        raise ProtocolError(f"the property {NAMES[identifier]} is {value!r}, not 0 or 1")
    if value == 0 and identifier in _NOT_ZERO:
        raise ProtocolError(f"the property {NAMES[identifier]} is zero", _NOT_ZERO[identifier])
    if identifier == RESPONSE_TOPIC:
        assert isinstance(value, str)
        if not value or "+" in value or "#" in value:
            raise ProtocolError("the response topic is no topic name")  # [MQTT-3.3.2-14]


def _encode_one(identifier: int, value: int | str | bytes) -> bytes:
    kind = _TYPES[identifier]
    head = bytes((identifier,))
    if isinstance(value, str):
        return head + write_string(value)
    if isinstance(value, bytes):
        return head + write_binary(value)
    if kind == VARINT:
        return head + write_varint(value)
    return head + value.to_bytes(1 << kind, "big")


def _encode_user(user: list[tuple[str, str]]) -> bytes:
    return b"".join(b"\x26" + write_string(name) + write_string(text) for name, text in user)


def encode_properties(properties: Properties | None) -> bytes:
    """Properties with their length before them."""
    if properties is None:
        return b"\0"
    pieces = [_encode_one(key, value) for key, value in properties.values.items()]
    pieces += [b"\x0b" + write_varint(identifier) for identifier in properties.subscription_ids]
    body = b"".join(pieces) + _encode_user(properties.user)
    return write_varint(len(body)) + body


def encode_publish_properties(
    properties: Properties | None,
    expiry_s: int,
    subscription_ids: tuple[int, ...] | list[int],
    alias: int,
) -> bytes:
    """The properties of a forwarded PUBLISH, without their length.

    Args:
        properties: as they came; what does not travel is left out.
        expiry_s: seconds that the message has left; -1 for no expiry.
        subscription_ids: identifiers of the receiver's subscriptions.
        alias: a topic alias; 0 for none.
    """
    if properties is None and expiry_s < 0 and not subscription_ids and not alias:
        return b""
    pieces = []
    if properties is not None:
        values = properties.values
        pieces += [_encode_one(key, values[key]) for key in _FORWARDED if key in values]
    if expiry_s >= 0:
        pieces.append(b"\x02" + expiry_s.to_bytes(4, "big"))
    if alias:
        pieces.append(b"\x23" + alias.to_bytes(2, "big"))
    pieces += [b"\x0b" + write_varint(identifier) for identifier in subscription_ids]
    if properties is not None and properties.user:
        pieces.append(_encode_user(properties.user))
    return b"".join(pieces)
