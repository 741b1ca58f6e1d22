"""One WebSocket of ZWS, from either end, over bytes: `wsproto` with what RFC 45 says of it.

Bytes of the stream in, bytes of ZMTP out, and back: the handshake with its subprotocol, messages
joined and cut, pings answered, the goodbye. The translation of frames is in
:mod:`midge.zmtp.zws`. A path is asked for by who connects and not looked at by who is bound, as in
libzmq.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from midge.limits import ZWS_HANDSHAKE_BYTES_MAX
from midge.zmtp.errors import WS_UNSPECIFIED, ZmtpError
from midge.zmtp.settings import Settings
from midge.zmtp.zws import ZwsReader, ZwsWriter, choose, peer_greeting, subprotocols

#: Close codes (RFC 6455 section 7.4.1).
_NORMAL: Final = 1000
_PROTOCOL_ERROR: Final = 1002


class WsSession:
    """See the module.

    Attributes:
        subprotocol: what was agreed on; nothing before the handshake of the WebSocket is done.
        over: the peer said goodbye.
        out: bytes that the WebSocket itself has to say, before anything else is sent.
    """

    __slots__ = (
        "_head_bytes",
        "_reader",
        "_settings",
        "_writer",
        "_ws",
        "out",
        "over",
        "subprotocol",
    )

    def __init__(self, settings: Settings, host: str = "", path: str = "") -> None:
        """Begin.

        Args:
            settings: what the connection of ZMTP says.
            host: what to ask for in the header of that name; empty where the peer asks.
            path: what to ask for.
        """
        self._settings = settings
        self._reader = ZwsReader(settings)
        self._reader.shaking = True
        self._writer: ZwsWriter | None = None
        self._head_bytes = 0
        self.subprotocol = ""
        self.over = False
        self.out: list[bytes] = []
        if host:
            self._ws = WSConnection(ConnectionType.CLIENT)
            offered = list(subprotocols(settings))
            request = Request(host=host, target=path or "/", subprotocols=offered)
            self.out.append(self._ws.send(request))
        else:
            self._ws = WSConnection(ConnectionType.SERVER)

    # -- in ------------------------------------------------------------------------------------

    def receive(self, data: bytes, answer: bool = True) -> bytes:
        """Take a chunk of the stream; returns what it says in ZMTP.

        Args:
            data: the chunk.
            answer: pings are answered; not where the answers wait already to be sent.

        Raises:
            ZmtpError: this is no WebSocket, or not one of ZWS. What is in ``out`` tells the peer.
        """
        if not self.subprotocol:
            self._head_bytes += len(data)
            if self._head_bytes > ZWS_HANDSHAKE_BYTES_MAX:
                raise ZmtpError("the handshake of the WebSocket is too long", WS_UNSPECIFIED)
        pieces: list[bytes | bytearray] = []
        try:
            self._ws.receive_data(data)
            self._heed(pieces, answer)
        except (RemoteProtocolError, LocalProtocolError) as error:
            self._complain(400)
            raise ZmtpError(f"the WebSocket broke: {error}", WS_UNSPECIFIED) from None
        except ZmtpError:
            self._complain(400)
            raise
        return b"".join(pieces)

    def _heed(self, pieces: list[bytes | bytearray], answer: bool) -> None:
        pong: Pong | None = None
        for event in self._ws.events():
            if isinstance(event, BytesMessage):
                pieces += self._reader.feed(bytes(event.data), event.message_finished)
            elif isinstance(event, Ping):
                pong = event.response()  # the last one stands for all (RFC 6455 section 5.5.3)
            elif isinstance(event, CloseConnection):
                self.over = True
                with contextlib.suppress(LocalProtocolError):
                    self.out.append(self._ws.send(event.response()))
                return
            elif isinstance(event, Request):
                pieces.append(self._answer(event))
            elif isinstance(event, AcceptConnection):
                pieces.append(self._agreed(event.subprotocol or ""))
            elif isinstance(event, RejectConnection):
                raise ZmtpError(
                    f"the peer refused the WebSocket with status {event.status_code}",
                    WS_UNSPECIFIED,
                )
            elif isinstance(event, TextMessage):
                raise ZmtpError("a text message, where all must be binary", WS_UNSPECIFIED)
        if pong is not None and answer:
            self.out.append(self._ws.send(pong))

    def _answer(self, request: Request) -> bytes:
        chosen = choose(self._settings, request.subprotocols)
        if not chosen:
            wanted = ", ".join(subprotocols(self._settings))
            raise ZmtpError(f"the peer offers no subprotocol of {wanted}", WS_UNSPECIFIED)
        self.out.append(self._ws.send(AcceptConnection(subprotocol=chosen)))
        return self._agreed(chosen)

    def _agreed(self, subprotocol: str) -> bytes:
        if subprotocol not in subprotocols(self._settings):
            raise ZmtpError("the peer chose no subprotocol that we offered", WS_UNSPECIFIED)
        self.subprotocol = subprotocol
        self._writer = ZwsWriter(subprotocol)
        return peer_greeting(self._settings, subprotocol)

    def introduced(self) -> None:
        """The handshake of ZMTP is done as well: the peer may say what the options allow."""
        self._reader.shaking = False

    def _complain(self, status: int) -> None:
        """Tell the peer, where that can be done, that it is wrong."""
        with contextlib.suppress(LocalProtocolError):
            if self.subprotocol:
                self.out.append(self._ws.send(CloseConnection(code=_PROTOCOL_ERROR)))
            elif not self._ws.client:
                headers = [(b"content-length", b"0"), (b"connection", b"close")]
                self.out.append(
                    self._ws.send(RejectConnection(status_code=status, headers=headers))
                )

    # -- out -----------------------------------------------------------------------------------

    def send(self, chunks: Sequence[bytes | memoryview]) -> list[bytes]:
        """The bytes of the stream for bytes of ZMTP; nothing follows a goodbye."""
        assert self._writer is not None
        send = self._ws.send
        try:
            return [send(BytesMessage(data=body)) for body in self._writer.feed(chunks)]
        except LocalProtocolError:
            return []

    def ping(self) -> bytes:
        """A ping, as a heartbeat."""
        return self._ws.send(Ping())

    def goodbye(self) -> bytes:
        """The end; nothing where it was said already, or there is no WebSocket yet."""
        if self.subprotocol:
            with contextlib.suppress(LocalProtocolError):
                return self._ws.send(CloseConnection(code=_NORMAL))
        return b""
