"""Commands: a name, and data whose form is the name's own (RFC 37, 48).

A command is made and read here as the body of its frame. What a name is allowed to say in which
state is the affair of the mechanisms and of the connection.
"""

from __future__ import annotations

from typing import Final

from midge.limits import ZMTP_SHORT_STRING_BYTES_MAX
from midge.zmtp.errors import MALFORMED_COMMAND, MALFORMED_ERROR, PeerRefused, ZmtpError

SUBSCRIBE: Final = b"\x09SUBSCRIBE"
CANCEL: Final = b"\x06CANCEL"
JOIN: Final = b"\x04JOIN"
LEAVE: Final = b"\x05LEAVE"
PING: Final = b"\x04PING"
PONG: Final = b"\x04PONG"
READY: Final = b"\x05READY"
ERROR: Final = b"\x05ERROR"
#: How libzmq 4.x spells ERROR where its source has ``"\x05ERROR"``: C reads ``\x05E`` as one
#: character. Its clients understand no other spelling from a PLAIN server.
ERROR_OF_LIBZMQ: Final = b"^RROR"

CONTEXT_BYTES_MAX: Final = 16
_TTL_MAX: Final = 0xFFFF


def split_command(body: bytes) -> tuple[bytes, bytes]:
    """The name, with its length before it, and the data.

    Raises:
        ZmtpError: there is no name, or it runs past the end.
    """
    if body.startswith(ERROR_OF_LIBZMQ):
        return ERROR, body[len(ERROR_OF_LIBZMQ) :]
    if not body or not body[0] or len(body) <= body[0]:
        raise ZmtpError("a command has no whole name", MALFORMED_COMMAND)
    end = body[0] + 1
    return body[:end], body[end:]


def encode_error(reason: bytes, spelling: bytes = ERROR) -> bytes:
    """An ERROR command; the reason is cut to the 255 bytes that fit."""
    reason = reason[:ZMTP_SHORT_STRING_BYTES_MAX]
    return spelling + bytes((len(reason),)) + reason


def read_error(data: bytes) -> PeerRefused:
    """The refusal that the data of an ERROR command stands for.

    Raises:
        ZmtpError: the reason runs past the end.
    """
    if not data or len(data) < data[0] + 1:
        raise ZmtpError("the ERROR command is malformed", MALFORMED_ERROR)
    return PeerRefused(data[1 : data[0] + 1])


def encode_ping(ttl_s: float, context: bytes) -> bytes:
    """A PING that asks the peer to give up on us after ``ttl_s`` without traffic; 0: never."""
    tenths = min(max(round(ttl_s * 10), 0), _TTL_MAX)
    return PING + tenths.to_bytes(2, "big") + context


def read_ping(data: bytes) -> tuple[float, bytes]:
    """The time to live in seconds and the context of a PING.

    Raises:
        ZmtpError: it has no time to live, or a context of more than 16 bytes.
    """
    if not 2 <= len(data) <= 2 + CONTEXT_BYTES_MAX:
        raise ZmtpError("a PING is malformed", MALFORMED_COMMAND)
    return int.from_bytes(data[:2], "big") / 10, data[2:]
