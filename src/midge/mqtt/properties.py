"""Properties: the typed extras of MQTT 5.0 packets (section 2.2.2).

:data:`TABLE` is the standard's table 2-4 as data: identifier, name, type, and the packets in which
the property may stand. Decoder, encoder, checks and ``repr`` are made from it.
"""

from __future__ import annotations

from typing import Final

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
