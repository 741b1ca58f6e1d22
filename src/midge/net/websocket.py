"""WebSockets at a listener (RFC 6455), by the `wsproto` library.

What is in binary frames is the stream; where one ends means nothing to MQTT (MQTT 5.0 section 6).
Pings are answered, and the peer's goodbye as well. Every write is one frame. Who speaks something
else in its WebSockets says so in :meth:`WebSocketLayer.choose`, ``unwrap`` and ``write``.
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING, Final

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from midge.net.http import HttpExchange, exchange_on
from midge.net.http_request import BadRequest, parse_request
from midge.net.layer import Below, Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.net.http import Answer
    from midge.net.stream import Handler

#: Subprotocols that are spoken, the preferred one first (MQTT 5.0 section 6.0, and what 3.1 used).
PROTOCOLS: Final = ("mqtt", "mqttv3.1")
#: Close codes (RFC 6455 section 7.4.1).
_NORMAL: Final = 1000
_PROTOCOL_ERROR: Final = 1002
_UNSUPPORTED: Final = 1003
#: First byte of a frame that is a whole binary message (section 5.2).
_BINARY: Final = 0x82


def _address_in(forwarded: bytes) -> str | None:
    """The first address of ``X-Forwarded-For``; ``None`` where what stands there is none.

    The header may have come from the client itself, and the address goes into the log, and tells
    apart those who take turns: so it is not just any text.
    """
    first = forwarded.decode("latin-1").split(",")[0].strip()
    try:
        return str(ipaddress.ip_address(first))
    except ValueError:
        return None


class WebSocketLayer(Layer):
    """A WebSocket, the server's side.

    Attributes:
        ws: the library's state of it.
    """

    __slots__ = (
        "_address",
        "_header_bytes",
        "_header_bytes_max",
        "_origins",
        "_plain",
        "_request",
        "ws",
    )

    def __init__(
        self,
        below: Below,
        origins: tuple[str, ...],
        header_bytes_max: int,
        opened: Callable[[Layer], Handler | None],
        refused: Callable[[Layer, str], None],
        plain: Answer | None = None,
    ) -> None:
        """Wait for the request.

        Args:
            origins: where pages may come from; empty for anywhere.
            header_bytes_max: the longest request.
            plain: who answers those that ask for no WebSocket; ``None``: they are refused.
        """
        super().__init__(below, opened, refused)
        self.ws = WSConnection(ConnectionType.SERVER)
        self._origins = origins
        self._header_bytes_max = header_bytes_max
        self._header_bytes = 0
        self._request = b""
        self._plain = plain
        self._address: str | None = None

    def peer(self) -> tuple[str, int]:
        """Address and port of the peer; what a proxy in front says counts (X-Forwarded-For)."""
        address, port = self.below.peer()
        return (self._address or address), port

    def stream_data(self, data: bytes) -> None:
        """See :class:`midge.net.stream.Handler`."""
        if isinstance(self.above, HttpExchange):
            return  # it has its one request
        if self.above is None:
            self._header_bytes += len(data)
            if self._header_bytes > self._header_bytes_max:
                self._reject(431, "the request is longer than websockets_headers_size")
                return
            data = self._request + data
            self._request = b""
            asks = (b"GET ",) if self._plain is None else (b"GET ", b"HEAD ")
            if data.startswith(asks) and b"\r\n\r\n" not in data:
                self._request = data  # given in pieces, the library takes no more than 16 KiB
                return
            if self._plain is not None and self._is_answered(data, self._plain):
                return
        try:
            self.ws.receive_data(data)
            self._heed()
        except (RemoteProtocolError, LocalProtocolError) as error:
            if self.above is None:
                self._reject(400, f"this is no request for a WebSocket: {error}")
            else:
                self._goodbye(_PROTOCOL_ERROR)

    def _is_answered(self, data: bytes, plain: Answer) -> bool:
        """Whether a request was for something else than a WebSocket."""
        try:
            request = parse_request(data.partition(b"\r\n\r\n")[0])
        except BadRequest:
            return False  # the library has its own words for what it cannot understand
        if request.is_upgrade():
            return False
        exchange_on(self, request, plain)
        return True

    def _heed(self) -> None:
        pieces: list[bytes] = []
        for event in self.ws.events():
            if isinstance(event, BytesMessage):
                data = self.unwrap(event)
                if data is None:
                    self._deliver(pieces)
                    self._goodbye(_PROTOCOL_ERROR)
                    return
                pieces.append(data)
            elif isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Ping):
                self.below.write(self.ws.send(event.response()))
            elif isinstance(event, CloseConnection):
                self._deliver(pieces)
                self.below.write(self.ws.send(event.response()))
                self.below.close()
                return
            elif isinstance(event, TextMessage):
                self._deliver(pieces)
                self._goodbye(_UNSUPPORTED)  # [MQTT-6.0.0-1]
                return
        self._deliver(pieces)

    def _deliver(self, pieces: list[bytes]) -> None:
        if pieces and self.above is not None:
            self.above.stream_data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        pieces.clear()

    def _answer(self, request: Request) -> None:
        headers = {name.lower(): value for name, value in request.extra_headers}
        origin = headers.get(b"origin", b"").decode("latin-1")
        if self._origins and origin not in self._origins:
            self._reject(403, f"the origin {origin or '(none)'} is not in websockets_origin")
            return
        try:
            chosen = self.choose(request)
        except BadRequest as fault:
            self._reject(fault.status, str(fault))
            return
        forwarded = headers.get(b"x-forwarded-for")
        if forwarded:
            self._address = _address_in(forwarded)
        self.below.write(self.ws.send(AcceptConnection(subprotocol=chosen)))
        self.ready()

    def choose(self, request: Request) -> str:
        """The subprotocol for a request that asks for a WebSocket.

        Raises:
            BadRequest: it is refused.
        """
        chosen = next((one for one in PROTOCOLS if one in request.subprotocols), None)
        if chosen is None:
            raise BadRequest(400, "the client does not offer the subprotocol mqtt")
        return chosen

    def unwrap(self, piece: BytesMessage) -> bytes | None:
        """What a piece of a binary message is of the stream; ``None`` where it breaks the rules."""
        return bytes(piece.data)

    def _reject(self, status: int, text: str) -> None:
        """Answer with an HTTP error, and close."""
        body = text.encode() + b"\n"
        try:
            reply = self.ws.send(
                RejectConnection(
                    status_code=status,
                    headers=[
                        (b"content-type", b"text/plain; charset=utf-8"),
                        (b"content-length", str(len(body)).encode()),
                        (b"connection", b"close"),
                    ],
                    has_body=True,
                )
            ) + self.ws.send(RejectData(data=body))
        except LocalProtocolError:
            # There was no request that could be understood.
            reply = (
                b"HTTP/1.1 %d Bad Request\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
                % (status, len(body))
            ) + body
        self.below.write(reply)
        self.refuse(text)
        self.below.close()

    def _goodbye(self, code: int) -> None:
        with contextlib.suppress(LocalProtocolError):  # it is closing already
            self.below.write(self.ws.send(CloseConnection(code=code)))
        self.below.close()

    def write(self, data: bytes) -> None:
        """Send, as one frame.

        Its few bytes of header are put before it here: the library makes an event of it, and a
        frame, at ten times the cost. (What a server sends is not masked, and no extension was
        agreed on.)
        """
        if self.ws.state is not ConnectionState.OPEN:
            return  # the goodbye was said: nothing may follow it
        size = len(data)
        if size < 126:
            header = bytes((_BINARY, size))
        elif size < 0x10000:
            header = bytes((_BINARY, 126)) + size.to_bytes(2, "big")
        else:
            header = bytes((_BINARY, 127)) + size.to_bytes(8, "big")
        self.below.write(header + data)

    def close(self) -> None:
        """Say goodbye, send what there is, then close."""
        if self.above is not None and not self.closed:
            self._goodbye(_NORMAL)
        else:
            self.below.close()
