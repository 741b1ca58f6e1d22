"""Which wire an endpoint's connections get: chosen, and checked, when it is bound or connected.

A mistake in the options shows there and not with the first peer, and later changes of options act
on later endpoints.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from midge.net.zeromq.raw_wire import RawWire
from midge.net.zeromq.settings import connection_settings
from midge.net.zeromq.wire import Wire
from midge.patterns.errors import SocketError

if TYPE_CHECKING:
    import ssl

    from midge.net.zeromq.connector import Connector
    from midge.net.zeromq.engine import SocketEngine
    from midge.net.zeromq.stream_wire import StreamWire
    from midge.zmtp.endpoint import Endpoint
    from midge.zmtp.settings import Settings

#: Transports whose sockets are streams of the system.
STREAMS = frozenset({"tcp", "ipc", "ws", "wss"})


def is_raw(engine: SocketEngine) -> bool:
    """Whether the wires of a socket speak no ZMTP."""
    return engine.type_name == "STREAM" or (
        engine.type_name == "ROUTER" and engine.options.router_raw
    )


class WireMaker:
    """Makes the wires of one endpoint of the transports tcp, ipc, ws and wss."""

    __slots__ = ("_context", "_engine", "_hostname", "_place", "_settings")

    def __init__(self, engine: SocketEngine, place: Endpoint, bound: bool) -> None:
        """Look at the options.

        Raises:
            SocketError: EINVAL where they do not go together; EPROTONOSUPPORT where this socket or
                this installation does not speak what the endpoint asks for.
        """
        self._engine = engine
        self._place = place
        self._settings: Settings | None = None
        self._context: ssl.SSLContext | None = None
        self._hostname = ""
        raw = is_raw(engine)
        if not raw:
            self._settings = connection_settings(engine.type_name, engine.options)
        if place.transport in ("ws", "wss"):
            if raw:
                raise SocketError(
                    errno.EPROTONOSUPPORT, f"a raw socket does not speak {place.transport}"
                )
            _need_wsproto()
            if not all("!" <= one <= "~" for one in place.host + place.path):
                raise SocketError(
                    errno.EINVAL, f"{place} has characters that no WebSocket can be asked for with"
                )
            if place.transport == "wss":
                self._prepare_tls(bound)

    def _prepare_tls(self, bound: bool) -> None:
        from midge.net.zeromq.ws_tls import TlsEnd, client_context, server_context

        options = self._engine.options
        if bound:
            self._context = server_context(options)
        else:
            self._context = client_context(options)
            self._hostname = options.wss_hostname or self._place.host
            try:
                TlsEnd(self._context, self._hostname)
            except ValueError as error:
                raise SocketError(
                    errno.EINVAL, f"{self._hostname!r} is no name to verify: {error}"
                ) from None

    def make(
        self, sock: socket.socket, endpoint: str, address: str, connector: Connector | None
    ) -> StreamWire:
        """The wire of a connection; ``connector``: who made it, if not the peer."""
        settings = self._settings
        if settings is None:
            return RawWire(self._engine, sock, endpoint, address, connector)
        if self._place.transport in ("tcp", "ipc"):
            return Wire(self._engine, sock, endpoint, address, connector, settings)
        return self._make_ws(settings, sock, endpoint, address, connector)

    def _make_ws(
        self,
        settings: Settings,
        sock: socket.socket,
        endpoint: str,
        address: str,
        connector: Connector | None,
    ) -> StreamWire:
        from midge.net.zeromq.ws_session import WsSession
        from midge.net.zeromq.ws_wire import WsWire

        if connector is None:
            ws = WsSession(settings)
        else:
            host = f"[{self._place.host}]" if ":" in self._place.host else self._place.host
            ws = WsSession(settings, f"{host}:{self._place.port}", self._place.path)
        tls = None
        if self._context is not None:
            from midge.net.zeromq.ws_tls import TlsEnd

            tls = TlsEnd(self._context, self._hostname)
        return WsWire(self._engine, sock, endpoint, address, connector, settings, ws, tls)


def _need_wsproto() -> None:
    try:
        import wsproto  # noqa: F401
    except ImportError:
        raise SocketError(
            errno.EPROTONOSUPPORT,
            "ws:// and wss:// need the package wsproto: install midge[ws]",
        ) from None
