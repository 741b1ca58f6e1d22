"""Which packets may come when: the life of a connection as data.

::

    server   NEW --CONNECT--> CONNECTING --(our CONNACK)--> CONNECTED --> CLOSED
    client   NEW --(our CONNECT)--> CONNECTING --CONNACK--> CONNECTED --> CLOSED

A client may send packets right behind its CONNECT, before it has our CONNACK (section 3.1.4), so
the server's CONNECTING takes what CONNECTED takes. A packet that the table does not allow is a
protocol error.
"""

from __future__ import annotations

from typing import Final

from midge.mqtt import packets as p

CLIENT: Final = 0
SERVER: Final = 1

NEW: Final = 0
CONNECTING: Final = 1
CONNECTED: Final = 2
CLOSED: Final = 3

STATE_NAMES: Final = ("new", "connecting", "connected", "closed")


def _bits(*types: int) -> int:
    mask = 0
    for packet_type in types:
        mask |= 1 << packet_type
    return mask


_BOTH_WAYS = _bits(p.PUBLISH, p.PUBACK, p.PUBREC, p.PUBREL, p.PUBCOMP)
_FROM_CLIENT = _BOTH_WAYS | _bits(p.SUBSCRIBE, p.UNSUBSCRIBE, p.PINGREQ, p.DISCONNECT)
_FROM_SERVER = _BOTH_WAYS | _bits(p.SUBACK, p.UNSUBACK, p.PINGRESP)

#: What may be received in 3.1 and 3.1.1: ``ALLOWED[role][state]`` has the bit of each packet type.
#: (With these types, compiled code takes a table as it is. Of one whose length it knows it makes a
#: copy each time.)
ALLOWED: Final[tuple[tuple[int, ...], ...]] = (
    # As a client.
    (0, _bits(p.CONNACK), _FROM_SERVER, 0),
    # As a server.
    (_bits(p.CONNECT), _FROM_CLIENT, _FROM_CLIENT, 0),
)

#: The reason codes of a DISCONNECT, by who receives it (table 3-10: "sent by"). A server may also
#: end a connection because of its authentication method: table 2-6 has that, table 3-10 forgot it.
DISCONNECT_REASONS: Final = (
    frozenset((0, *range(0x80, 0x84), 0x87, 0x89, *range(0x8B, 0x91), *range(0x93, 0xA3))),
    frozenset((0, 4, *range(0x80, 0x84), 0x90, *range(0x93, 0x9A))),
)

#: What 5.0 allows beyond that: AUTH both ways, DISCONNECT from the server.
ALLOWED_V5: Final[tuple[tuple[int, ...], ...]] = (
    (0, _bits(p.AUTH, p.DISCONNECT), _bits(p.AUTH, p.DISCONNECT), 0),
    (0, _bits(p.AUTH), _bits(p.AUTH), 0),
)
