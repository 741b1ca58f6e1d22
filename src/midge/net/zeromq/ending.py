"""The end of one socket: what is queued leaves first, for as long as LINGER says.

From its close on the socket listens no more and reads no more from peers that are there; whoever
is still to come, because the socket has connected to him and something is queued for him, may. Each
turn of the engine closes what has nothing left, and with the last of it the socket is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine
    from midge.net.zeromq.reactor import Handle


class Ending:
    """See the module."""

    __slots__ = ("_closed", "_engine", "_limit")

    def __init__(self, engine: SocketEngine, closed: Callable[[], None]) -> None:
        """``closed`` is called when everything is closed."""
        self._engine = engine
        self._closed = closed
        self._limit: Handle | None = None

    def begin(self, linger_ms: int) -> None:
        """Listen no more, and close what can be closed; see :meth:`SocketEngine.close`."""
        engine = self._engine
        listeners = engine.endpoints.listeners
        for listener in listeners:
            listener.close()
        listeners.clear()
        if linger_ms == 0:
            self._end()
            return
        engine.flush()
        for wire in list(engine.wires):
            if not wire.ready and wire.connector is None:
                engine.drop(wire)  # nothing can be queued for a peer that is not in yet
            elif wire.ready:
                wire.hold()  # (One that is not must still hear the rest of the handshake.)
        if linger_ms > 0:
            when = engine.reactor.time() + linger_ms / 1000
            self._limit = engine.reactor.call_at(when, self._end)
        self.check()

    def check(self) -> None:
        """Close what has nothing left to send; the end, when nothing is left."""
        engine = self._engine
        if engine.closed:
            return
        connectors = engine.endpoints.connectors
        for connector in list(connectors):
            if not connector.pipe.outgoing and (connector.wire is None or connector.wire.idle):
                connectors.remove(connector)
                connector.stop()
                if connector.wire is not None:
                    engine.drop(connector.wire)
        for wire in list(engine.wires):
            if wire.idle and wire.connector is None:
                engine.drop(wire)
        engine.inproc.close_idle()
        left = engine.wires or connectors or engine.endpoints.retired or engine.inproc.all
        if not left:
            self._end()

    def _end(self) -> None:
        engine = self._engine
        if engine.closed:
            return
        engine.closed = True
        if self._limit is not None:
            self._limit.cancel()
        connectors = engine.endpoints.connectors
        for connector in connectors:
            connector.stop()
        connectors.clear()
        engine.endpoints.drop_rest()
        for wire in list(engine.wires):
            engine.drop(wire)
        engine.inproc.close()
        engine.forget_zap()
        engine.on_change = None
        self._closed()
