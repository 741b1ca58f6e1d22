"""ZeroMQ peers in WebSockets at a listener (RFC 45, ZWS 2.0): ws:// and, above TLS, wss://.

Above this layer it is ZMTP as from any other peer: see :mod:`midge.zmtp.zws`. The path is one of
these, and may be followed by ``?type=TYPE``:

``/``
    names nothing.
``/queue/NAME``
    the queue that the peer puts into or takes from. Escapes are those of URLs.
``/NAME``
    the same, because that is all that libzmq sends: of an endpoint's path it keeps what is behind
    the last slash.

The type is for peers that offer only the subprotocol ``ZWS2.0``, which says nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from wsproto.events import BytesMessage, Request
from wsproto.utilities import LocalProtocolError

from midge.config.queue_settings import name_fault
from midge.net.http_request import BadRequest, resolve, split_target
from midge.net.layer import Below, Layer
from midge.net.websocket import WebSocketLayer
from midge.zmtp.errors import ZmtpError
from midge.zmtp.sockets import COUNTERPARTS
from midge.zmtp.zws import BARE, ZwsReader, ZwsWriter, choose, peer_greeting, subprotocols

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.net.stream import Handler
    from midge.zmtp.settings import Settings


_KINDS: Final = ", ".join(COUNTERPARTS)


def read_target(target: str) -> tuple[str, str]:
    """The name of the queue and the type of socket that a request's target says; empty for none.

    Raises:
        BadRequest: it is not for us.
    """
    path, query = split_target(target)
    name = resolve(path)[1:]
    queue = name.removeprefix("queue/")
    fault = name_fault(queue) if name else ""
    if fault:
        raise BadRequest(404, f"the path is neither / nor /queue/NAME: {fault}")
    kinds = parse_qs(query).get("type")
    kind = kinds[0].upper() if kinds else ""
    if kind and kind not in COUNTERPARTS:
        raise BadRequest(400, f"the type of socket is none that is served; say one of {_KINDS}")
    return queue, kind


class ZwsLayer(WebSocketLayer):
    """One peer in a WebSocket.

    Attributes:
        queue: the one that the path names; empty for none.
    """

    __slots__ = ("_fault", "_greeting", "_reader", "_settings", "_writer", "queue")

    def __init__(
        self,
        below: Below,
        settings: Settings,
        origins: tuple[str, ...],
        header_bytes_max: int,
        opened: Callable[[Layer], Handler | None],
        refused: Callable[[Layer, str], None],
    ) -> None:
        """Wait for the request; see :class:`WebSocketLayer`.

        Args:
            settings: what the listener's connections of ZMTP say.
        """
        super().__init__(below, origins, header_bytes_max, opened, refused)
        self._settings = settings
        self._reader = ZwsReader(settings)
        self._writer = ZwsWriter("")
        self._greeting = b""
        self._fault = ""
        self.queue = ""

    def choose(self, request: Request) -> str:
        """See :meth:`WebSocketLayer.choose`."""
        self.queue, kind = read_target(request.target)
        settings = self._settings
        chosen = choose(settings, request.subprotocols, kind)
        if not chosen:
            wanted = subprotocols(settings)[0]
            text = f"the peer does not offer the subprotocol {wanted}"
            if BARE in request.subprotocols and BARE in subprotocols(settings, "REQ"):
                text += f"; with {BARE} the path must say what it is, for example /?type=SUB"
            raise BadRequest(400, text)
        self._writer = ZwsWriter(chosen)
        self._greeting = peer_greeting(settings, chosen, kind)
        return chosen

    def ready(self) -> None:
        """See :meth:`Layer.ready`; above it begins with a greeting, as everywhere."""
        super().ready()
        if self.above is not None:
            self.above.stream_data(self._greeting)

    def unwrap(self, piece: BytesMessage) -> bytes | None:
        """See :meth:`WebSocketLayer.unwrap`."""
        try:
            return b"".join(self._reader.feed(bytes(piece.data), piece.message_finished))
        except ZmtpError as error:
            self._fault = str(error)
            return None

    def write(self, data: bytes) -> None:
        """Send bytes of ZMTP, each frame in a message of its own."""
        try:
            frames = [self.ws.send(BytesMessage(data=body)) for body in self._writer.feed([data])]
        except LocalProtocolError:
            return  # the goodbye was said: nothing may follow it
        if frames:
            self.below.write(b"".join(frames))

    def stream_closed(self, text: str) -> None:
        """See :class:`midge.net.stream.Handler`."""
        super().stream_closed(self._fault or text)
