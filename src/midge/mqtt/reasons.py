"""Reason codes: why a packet was sent or refused (MQTT 5.0 section 2.4).

Inside, reason codes are plain ints; :class:`Reason` is for the borders, where people read them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Reason(IntEnum):
    """The reason codes of MQTT 5.0, table 2-6. Zero has three names in the standard."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    REAUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2


#: The first code that means failure (MQTT 5.0 section 2.4).
FAILURE: Final = 0x80

# CONNACK return codes of MQTT 3.1 and 3.1.1 (3.1.1 table 3.1).
V3_ACCEPTED: Final = 0
V3_UNACCEPTABLE_PROTOCOL: Final = 1
V3_IDENTIFIER_REJECTED: Final = 2
V3_SERVER_UNAVAILABLE: Final = 3
V3_BAD_USER_NAME_OR_PASSWORD: Final = 4
V3_NOT_AUTHORIZED: Final = 5

#: The return code that says in 3.1.1 what a reason code says in 5.0; codes that are not here
#: have no counterpart, and 3.1.1 closes without a CONNACK.
CONNACK_V3: Final[dict[int, int]] = {
    0x00: V3_ACCEPTED,
    0x84: V3_UNACCEPTABLE_PROTOCOL,
    0x85: V3_IDENTIFIER_REJECTED,
    0x86: V3_BAD_USER_NAME_OR_PASSWORD,
    0x87: V3_NOT_AUTHORIZED,
    0x8A: V3_NOT_AUTHORIZED,
    0x8C: V3_NOT_AUTHORIZED,
    0x88: V3_SERVER_UNAVAILABLE,
    0x89: V3_SERVER_UNAVAILABLE,
    0x97: V3_SERVER_UNAVAILABLE,
    0x9F: V3_SERVER_UNAVAILABLE,
}

#: The reason codes that a packet may carry in 5.0, by its type (table 2-6, and the tables of the
#: packets themselves). Which of them a client or a server may send is in ``states``.
ALLOWED: Final[dict[int, frozenset[int]]] = {
    2: frozenset(  # CONNACK
        (0, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F)
    ),
    4: frozenset((0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)),  # PUBACK
    5: frozenset((0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)),  # PUBREC
    6: frozenset((0, 0x92)),  # PUBREL
    7: frozenset((0, 0x92)),  # PUBCOMP
    9: frozenset((0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2)),  # SUBACK
    11: frozenset((0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91)),  # UNSUBACK
    14: frozenset(  # DISCONNECT
        (0, 4, *range(0x80, 0x84), 0x87, 0x89, *range(0x8B, 0x91), *range(0x93, 0xA3))
    ),
    15: frozenset((0, 0x18, 0x19)),  # AUTH
}
