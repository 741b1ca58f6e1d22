"""A wire of ``ws://`` and ``wss://``: ZMTP in a WebSocket (RFC 45), maybe in TLS.

::

    socket -- TLS (wss only) -- WebSocket -- ZMTP frames -- Connection

It is the wire of tcp with other bytes around what the connection says. What is different: first
comes the handshake of the WebSocket, within the time of ``HANDSHAKE_IVL`` too; heartbeats are pings
of the WebSocket, which every peer answers, so that the time to live of ``HEARTBEAT_TTL`` cannot be
told; and who closes says goodbye.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from midge.net.zeromq.stream_wire import Buffer
from midge.net.zeromq.wire import Wire
from midge.net.zeromq.ws_session import WsSession
from midge.zmtp import events as ev
from midge.zmtp.errors import ZmtpError
from midge.zmtp.settings import Settings

if TYPE_CHECKING:
    from midge.net.zeromq.connector import Connector
    from midge.net.zeromq.engine import SocketEngine
    from midge.net.zeromq.ws_tls import TlsEnd


class WsWire(Wire):
    """See the module."""

    __slots__ = ("_ping_at", "_timeout_at", "_tls", "_ws")

    def __init__(
        self,
        engine: SocketEngine,
        sock: socket.socket,
        endpoint: str,
        address: str,
        connector: Connector | None,
        settings: Settings,
        ws: WsSession,
        tls: TlsEnd | None,
    ) -> None:
        super().__init__(engine, sock, endpoint, address, connector, settings)
        self._ws = ws
        self._tls = tls
        self._ping_at: float | None = None
        self._timeout_at: float | None = None

    def start(self) -> None:
        """Ask for a WebSocket, or wait to be asked."""
        if self._tls is not None:
            self._push_tls(self._tls.start())
        self._push_ws()
        self.arm(self.conn.next_deadline())
        self.read_on()

    # -- in ------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Unwrap a chunk, and hand what is in it to the protocol."""
        over = False
        self._timeout_at = None
        try:
            if self._tls is not None:
                data, over = self._tls.receive(data)
                self._push_tls(self._tls.to_send())
            clear = self._ws.receive(data, not self._out) if data else b""
        except ZmtpError as error:
            if self._tls is not None:
                self._push_tls(self._tls.to_send())
            self._push_ws()
            self._broke(error)
            return
        self._push_ws()
        if clear and not self.closed:
            super().received(clear)
            if self.ready:
                self._ws.introduced()
        if (over or self._ws.over) and not self.closed:
            self.ended()

    def _broke(self, error: ZmtpError) -> None:
        """The peer speaks something else."""
        if self.closed:
            return
        was_ready = self.ready
        self.conn.close()
        self.close()
        if was_ready:
            self.engine.wire_lost(self, str(error), error.code)
        else:
            failed = ev.HandshakeFailed(ev.PROTOCOL, error.code, str(error))
            self.engine.wire_failed(self, failed)

    # -- out -----------------------------------------------------------------------------------

    def size_of(self, item: Any) -> int:
        """See the base: WebSockets put frames of their own around it."""
        return -1

    def push(self, chunks: Sequence[Buffer], batch: Sequence[Any] = ()) -> bool:
        """See the base; what is written is what the connection says, wrapped."""
        if not chunks or self.closed or not self._ws.subprotocol:
            return not self.closed
        return self._push_clear(self._ws.send(chunks), batch)

    def _push_ws(self) -> None:
        """Send what the WebSocket itself has to say, once there is a stream to say it on."""
        ws = self._ws
        if ws.out and (self._tls is None or self._tls.shaken):
            self._push_clear(ws.out)
            ws.out = []

    def _push_clear(self, chunks: Sequence[Buffer], batch: Sequence[Any] = ()) -> bool:
        if self._tls is not None and chunks:
            chunks = self._tls.send(chunks)
        return super().push(chunks, batch)

    def _push_tls(self, chunks: Sequence[Buffer]) -> None:
        if chunks:
            super().push(chunks)

    # -- heartbeats ----------------------------------------------------------------------------

    def arm(self, deadline: float | None) -> None:
        """See the base; with the time of the next ping."""
        heartbeat_s = self.conn.settings.heartbeat_s
        if self.ready and heartbeat_s > 0:
            if self._ping_at is None:
                self._ping_at = self.engine.reactor.time() + heartbeat_s
            due = [at for at in (deadline, self._ping_at, self._timeout_at) if at is not None]
            deadline = min(due)
        super().arm(deadline)

    def due(self) -> None:
        """See the base; send a ping, or give up on the peer."""
        now = self.engine.reactor.time()
        settings = self.conn.settings
        if self._timeout_at is not None and now >= self._timeout_at:
            self.lost(f"no sign of life for {settings.heartbeat_timeout_s:g} seconds after a ping")
            return
        if self._ping_at is not None and now >= self._ping_at:
            self._ping_at = now + settings.heartbeat_s
            self._push_clear([self._ws.ping()])
            if self._timeout_at is None:
                self._timeout_at = now + settings.heartbeat_timeout_s
        if not self.closed:
            super().due()

    # -- the end -------------------------------------------------------------------------------

    def close(self) -> None:
        """See the base; says goodbye where nothing else waits to be said."""
        if not self.closed and not self._out:
            rest = [self._ws.goodbye()]
            if self._tls is not None and self._tls.shaken:
                rest = [*self._tls.send(rest), *self._tls.goodbye()]
            with contextlib.suppress(OSError):
                if any(rest):
                    self.sock.send(b"".join(rest))
        super().close()
