"""Properties: the typed extras of MQTT 5.0 packets (section 2.2.2).

:data:`TABLE` is the standard's table 2-4 as data: identifier, name, type, and the packets in which
the property may stand. The codec and its checks, ``repr`` and :meth:`Properties.of` are made from
it. How properties are read and written is in ``property_codec``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Types of values (section 1.5). The first three are the powers of two of their widths.
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

# Packet types, as in ``packets``, which imports this module; a will's properties have a place of
# their own.
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
#: One more than the largest identifier: the tables below are looked up by identifier.
IDENTIFIER_LIMIT: Final = SHARED_SUBSCRIPTION_AVAILABLE + 1


def _types() -> tuple[int, ...]:
    types = {row[0]: row[2] for row in TABLE}
    return tuple(types.get(identifier, -1) for identifier in range(IDENTIFIER_LIMIT))


def _places() -> tuple[int, ...]:
    places = {row[0]: sum(1 << packet_type for packet_type in row[3]) for row in TABLE}
    return tuple(places.get(identifier, 0) for identifier in range(IDENTIFIER_LIMIT))


#: The type of each property; -1 for an identifier that does not exist.
TYPES: Final = _types()
#: Where each property may stand: the bit of each packet type; 0 likewise.
PLACES: Final = _places()
#: What may not be zero, with the reason code (sections 3.1.2.11.3, 3.1.2.11.4, [MQTT-3.3.2-8]).
NOT_ZERO: Final[dict[int, int]] = {
    RECEIVE_MAXIMUM: 0x82,
    MAXIMUM_PACKET_SIZE: 0x82,
    TOPIC_ALIAS: 0x94,
}
#: What travels with a message from its publisher to its subscribers, unchanged; and the user
#: properties (sections 3.3.2.3.2, 3.3.2.3.5 to 3.3.2.3.9).
FORWARDED: Final = (
    PAYLOAD_FORMAT_INDICATOR,
    CONTENT_TYPE,
    RESPONSE_TOPIC,
    CORRELATION_DATA,
)


class Properties:
    """The properties of one packet.

    Single-valued properties are in ``values``, by identifier, in the order in which they go on the
    wire; the two that may stand several times have lists of their own. Immutable by agreement as
    soon as they belong to a packet.
    """

    __slots__ = ("forwarded", "subscription_ids", "user", "values")

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
        #: Those of a PUBLISH that travel with the message, in bytes; ``None`` while nobody has
        #: asked. Kept by ``property_codec``, and no part of equality.
        self.forwarded: bytes | None = None

    @classmethod
    def of(
        cls,
        *,
        user_property: Iterable[tuple[str, str]] = (),
        subscription_identifier: Iterable[int] = (),
        **named: int | str | bytes,
    ) -> Properties:
        """Properties by the names of the standard, in the order in which they are given.

        ::

            Properties.of(receive_maximum=20, user_property=[("a", "b")])

        Whether a value is one that its property can have is checked when it is encoded.

        Raises:
            TypeError: there is no property of that name.
        """
        values: dict[int, int | str | bytes] = {}
        for name, value in named.items():
            identifier = _IDENTIFIERS.get(name)
            if identifier is None:
                raise TypeError(f"MQTT has no property {name!r}")
            values[identifier] = value
        return cls(values, list(user_property), list(subscription_identifier))

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

    def __repr__(self) -> str:
        shown = [f"{NAMES.get(key, hex(key))}: {value!r}" for key, value in self.values.items()]
        if self.subscription_ids:
            shown.append(f"subscription_identifier: {self.subscription_ids}")
        if self.user:
            shown.append(f"user: {self.user}")
        return "{" + ", ".join(shown) + "}"
