"""ZMTP's frames as messages of a WebSocket, and back (RFC 45, ZWS 2.0).

A WebSocket has its own greeting (the subprotocol says the mechanism) and its own framing, so that
of a ZeroMQ frame only its flags and its body are sent: one frame is one binary message. What comes
after that is ZMTP: handshake, commands, messages. So a
:class:`~midge.zmtp.connection.Connection` is used as it is. It is told the greeting that its peer
would have sent (:func:`peer_greeting`), its own is cut off (:class:`ZwsWriter`), and the frames are
written in the other form on their way in and out.

The greeting that is made up is one of 3.0: subscriptions go as messages and there are no PINGs, as
libzmq has it here, because WebSockets have their own. Without a mechanism (``ZWS2.0``) it is one of
2.0, whose peers say nothing of themselves but an identity; what socket type it is remains unknown,
and the one that fits is assumed.

The handshake of the WebSocket itself, its masks and its control frames are not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from midge.limits import READ_BYTES, ZMTP_COMMAND_BYTES_MAX, ZMTP_FRAME_BYTES_MAX
from midge.zmtp.errors import MALFORMED_MESSAGE, ZmtpError
from midge.zmtp.frames import COMMAND, LONG, MORE, encode_header
from midge.zmtp.greeting import OPENING, rest_of_greeting
from midge.zmtp.settings import NULL, Settings
from midge.zmtp.sockets import ANY, NUMBERS_V2, PEERS

#: Without a mechanism, and what stands before the name of one.
BARE: Final = "ZWS2.0"
_WITH_MECHANISM: Final = "ZWS2.0/"

#: Flags of ZWS, where they differ from ZMTP's.
ZWS_COMMAND: Final = 2
_GREETING_BYTES: Final = 64
_GREETING_BYTES_BARE: Final = len(OPENING) + 1
#: What a frame may have beyond MAXMSGSIZE: commands, and the shell of an encrypted message.
_SLACK_BYTES: Final = 65_536
_EXTRA: Final = 256
#: A command, as its header would be judged if it had one.
_COMMAND_BYTES_MAX: Final = ZMTP_COMMAND_BYTES_MAX + _EXTRA
#: Anything before the handshake is done. A chunk may have the end of the handshake and a part of
#: the first message in it, which is not to be taken for a part of the handshake.
_SHAKING_BYTES_MAX: Final = READ_BYTES + _COMMAND_BYTES_MAX
#: Smaller pieces of a message are gathered while it is not whole.
_GATHER_BYTES: Final = 1024
#: ZMTP's flags to those of ZWS.
_FLAGS: Final = {0: 0, MORE: 1, COMMAND: ZWS_COMMAND}


def subprotocols(settings: Settings, peer_type: str = "") -> tuple[str, ...]:
    """What connections with these settings speak, the preferred one first.

    To do without a mechanism is to do without authentication: only where none is asked for, and
    for the socket types that such peers can have (RFC 15).

    Args:
        settings: our side's.
        peer_type: the peer's type of socket, where that is known by other means.
    """
    named = _WITH_MECHANISM + settings.mechanism
    known = settings.socket_type in NUMBERS_V2 or peer_type in NUMBERS_V2
    if settings.mechanism == NULL and not settings.zap and known:
        return (named, BARE)
    return (named,)


def choose(settings: Settings, offered: Iterable[str], peer_type: str = "") -> str:
    """The subprotocol for a peer that offers these, the first that will do; nothing if none."""
    known = subprotocols(settings, peer_type)
    return next((one for one in offered if one in known), "")


def peer_greeting(settings: Settings, subprotocol: str, peer_type: str = "") -> bytes:
    """The greeting of ZMTP that stands for a peer's choice of ``subprotocol``."""
    if subprotocol == BARE:
        if peer_type:
            return OPENING[:-1] + bytes((1, NUMBERS_V2.index(peer_type)))
        return OPENING[:-1] + bytes((1, _fitting_number(settings.socket_type)))
    rest = rest_of_greeting(settings.mechanism, False)
    return OPENING + b"\x00" + rest[1:]


def _fitting_number(socket_type: str) -> int:
    assert socket_type != ANY
    return next(i for i, name in enumerate(NUMBERS_V2) if name in PEERS[socket_type])


class ZwsReader:
    """Makes ZMTP's frames of the pieces of WebSocket messages.

    Attributes:
        shaking: the peer is not in yet: it may say little, whatever a message may have later.
    """

    __slots__ = ("_flags", "_pieces", "_size", "_size_max", "shaking")

    def __init__(self, settings: Settings) -> None:
        limit = settings.message_bytes_max
        # A command, and what encrypts, may be larger than the messages that are allowed; the
        # connection sees to that exactly. Here only what is gathered is bounded.
        self._size_max = ZMTP_FRAME_BYTES_MAX if limit < 0 else max(limit, _SLACK_BYTES) + _EXTRA
        self._flags = -1
        self._pieces: list[bytes | bytearray] = []
        self._size = 0
        self.shaking = False

    def feed(self, data: bytes, finished: bool) -> list[bytes | bytearray]:
        """Take a piece of a binary message.

        Args:
            data: the piece.
            finished: it is the last of the message.

        Returns:
            ZMTP, in pieces: the frame, where the message is whole; else nothing.

        Raises:
            ZmtpError: the message is none of ZWS, or larger than allowed.
        """
        if self._flags < 0 and data:
            self._flags = _checked_flags(data[0])
            data = data[1:]
        self._size += len(data)
        limit = self._size_max
        if self._flags == COMMAND:
            limit = _COMMAND_BYTES_MAX
        elif self.shaking:
            limit = min(limit, _SHAKING_BYTES_MAX)
        if self._size > limit:
            raise ZmtpError(f"a frame is larger than the {limit} bytes allowed", MALFORMED_MESSAGE)
        if data:
            self._add(data)
        if not finished:
            return []
        if self._flags < 0:
            raise ZmtpError("a message of the WebSocket without flags", MALFORMED_MESSAGE)
        frame: list[bytes | bytearray] = [encode_header(self._flags, self._size), *self._pieces]
        self._flags = -1
        self._size = 0
        self._pieces = []
        return frame

    def _add(self, data: bytes) -> None:
        """Keep a piece; small ones together, so that single bytes do not cost an object each."""
        pieces = self._pieces
        if len(data) >= _GATHER_BYTES or not pieces:
            pieces.append(data)
        elif isinstance(pieces[-1], bytearray):
            pieces[-1] += data
        else:
            pieces.append(bytearray(data))


def _checked_flags(flags: int) -> int:
    if flags == ZWS_COMMAND:
        return COMMAND
    if flags > MORE:
        raise ZmtpError(f"a message of the WebSocket has the flags {flags:#x}", MALFORMED_MESSAGE)
    return flags


class ZwsWriter:
    """Makes messages of a WebSocket of what a connection sends, in whatever pieces it comes."""

    __slots__ = ("_flags", "_greeting_left", "_left", "_pieces", "_rest")

    def __init__(self, subprotocol: str) -> None:
        bare = subprotocol == BARE
        self._greeting_left = _GREETING_BYTES_BARE if bare else _GREETING_BYTES
        self._rest = b""  # the start of a header
        self._flags = 0
        self._left = 0  # of a body of which a part has come
        self._pieces: list[bytes | memoryview] = []

    def feed(self, chunks: Sequence[bytes | memoryview]) -> list[bytes]:
        """The messages that ``chunks`` complete, each with its flags and its body."""
        messages: list[bytes] = []
        for chunk in chunks:
            self._feed_one(chunk, messages)
        return messages

    def _feed_one(self, chunk: bytes | memoryview, messages: list[bytes]) -> None:
        pos = 0
        if self._greeting_left:
            pos = min(self._greeting_left, len(chunk))
            self._greeting_left -= pos
        if self._rest:
            chunk = self._rest + chunk[pos:]
            self._rest = b""
            pos = 0
        size = len(chunk)
        while pos < size:
            if not self._pieces:
                start = self._read_header(chunk, pos)
                if start < 0:
                    self._rest = bytes(chunk[pos:])
                    return
                pos = start
            end = min(pos + self._left, size)
            self._pieces.append(chunk[pos:end])
            self._left -= end - pos
            pos = end
            if self._left:
                return
            messages.append(b"".join(self._pieces))
            self._pieces = []

    def _read_header(self, chunk: bytes | memoryview, pos: int) -> int:
        """Begin a frame; returns where its body starts, or -1 where the header is not whole."""
        flags = chunk[pos]
        start = pos + (9 if flags & LONG else 2)
        if start > len(chunk):
            return -1
        self._left = int.from_bytes(chunk[pos + 1 : start], "big")
        self._pieces = [bytes((_FLAGS[flags & ~LONG],))]
        return start
