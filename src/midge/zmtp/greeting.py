"""The greeting: 64 bytes that say ZMTP 3.1, the mechanism, and who is its server (RFC 37).

We send eleven bytes at once, and the rest when the peer's version is known, because a ZMTP 2.0
peer expects something else there: its socket type, and then the identity as a frame (RFC 15).
ZMTP 1.0 had no version at all. Whoever sends something that could be it is refused: today that is
a stray HTTP client far more often than a ZeroMQ from 2011.
"""

from __future__ import annotations

from typing import Final

from midge.zmtp.errors import MECHANISM_MISMATCH, ZmtpError

#: What we send before we know anything of the peer: the signature and our major version.
OPENING: Final = b"\xff" + bytes(7) + b"\x01\x7f\x03"
_SIGNATURE_BYTES: Final = 10
_BYTES_V2: Final = 12
_BYTES_V3: Final = 64


class Greeting:
    """What a peer's greeting said.

    Attributes:
        version: ``(2, 0)``, ``(3, 0)`` or ``(3, 1)``; a higher one counts as ``(3, 1)``.
        mechanism: ``"NULL"`` and so on; ``"NULL"`` for a 2.0 peer, which knows no other.
        as_server: the peer is the server of the mechanism.
        socket_number: the socket type of a 2.0 peer, else -1.
        size: how many bytes the greeting had.
    """

    __slots__ = ("as_server", "mechanism", "size", "socket_number", "version")

    def __init__(
        self,
        version: tuple[int, int],
        mechanism: str,
        as_server: bool,
        socket_number: int,
        size: int,
    ) -> None:
        self.version = version
        self.mechanism = mechanism
        self.as_server = as_server
        self.socket_number = socket_number
        self.size = size


def rest_of_greeting(mechanism: str, as_server: bool) -> bytes:
    """What follows :data:`OPENING` for a 3.x peer: 53 bytes."""
    name = mechanism.encode("ascii")
    return b"\x01" + name.ljust(20, b"\0") + (b"\x01" if as_server else b"\0") + bytes(31)


def peer_major(data: bytes) -> int:
    """The major version that a greeting begins with, or -1 while it cannot be told.

    A 2.0 peer may send revision 1 or 2; both count as 2.

    Raises:
        ZmtpError: this is no greeting, or one of ZMTP 1.0.
    """
    if data and data[0] != 0xFF:
        raise ZmtpError("the peer does not speak ZMTP 2.0 or later")
    if len(data) >= _SIGNATURE_BYTES and not data[9] & 1:
        raise ZmtpError("the peer speaks ZMTP 1.0, or something else that begins with 0xFF")
    if len(data) <= _SIGNATURE_BYTES:
        return -1
    revision = data[_SIGNATURE_BYTES]
    if revision == 0:
        raise ZmtpError("the peer speaks ZMTP 1.0")
    return 2 if revision < 3 else 3


def decode_greeting(data: bytes) -> Greeting | None:
    """The greeting at the start of ``data``, or ``None`` while it is not whole.

    Raises:
        ZmtpError: it is none that we speak.
    """
    major = peer_major(data)
    if major == 2:
        if len(data) < _BYTES_V2:
            return None
        return Greeting((2, 0), "NULL", False, data[11], _BYTES_V2)
    if major < 0 or len(data) < _BYTES_V3:
        return None
    name = data[12:32].rstrip(b"\0")
    if not name or not name.isascii() or b"\0" in name or data[32] > 1:
        raise ZmtpError("the mechanism of the peer's greeting is malformed", MECHANISM_MISMATCH)
    version = (3, 0) if data[10] == 3 and data[11] == 0 else (3, 1)
    return Greeting(version, name.decode("ascii"), data[32] == 1, -1, _BYTES_V3)
