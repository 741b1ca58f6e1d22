"""Events that a socket monitor tells, and their message (libzmq's `zmq_socket_monitor`)."""

from __future__ import annotations

from struct import Struct
from typing import Final

CONNECTED: Final = 0x0001
CONNECT_DELAYED: Final = 0x0002
CONNECT_RETRIED: Final = 0x0004
LISTENING: Final = 0x0008
BIND_FAILED: Final = 0x0010
ACCEPTED: Final = 0x0020
ACCEPT_FAILED: Final = 0x0040
CLOSED: Final = 0x0080
CLOSE_FAILED: Final = 0x0100
DISCONNECTED: Final = 0x0200
MONITOR_STOPPED: Final = 0x0400
HANDSHAKE_FAILED_NO_DETAIL: Final = 0x0800
HANDSHAKE_SUCCEEDED: Final = 0x1000
HANDSHAKE_FAILED_PROTOCOL: Final = 0x2000
HANDSHAKE_FAILED_AUTH: Final = 0x4000
ALL: Final = 0xFFFF

#: Event and value, in the machine's order of bytes.
_HEAD: Final = Struct("=HI")


def encode_event(event: int, value: int, endpoint: str) -> list[bytes]:
    """The two parts of an event's message.

    Args:
        value: a descriptor, an errno, a time in milliseconds or a code, as the event has it.
    """
    return [_HEAD.pack(event, value & 0xFFFFFFFF), endpoint.encode()]


def decode_event(parts: list[bytes]) -> tuple[int, int, str]:
    """Event, value and endpoint of such a message.

    Raises:
        ValueError: it is none.
    """
    if len(parts) != 2 or len(parts[0]) != _HEAD.size:
        raise ValueError("this is no event of a socket monitor")
    event, value = _HEAD.unpack(parts[0])
    return event, value, parts[1].decode()
