"""The endpoints of one socket: where it listens, and what it connects to.

An endpoint of tcp, ipc or ws is a :class:`~midge.net.zeromq.listener.Listener` or a
:class:`~midge.net.zeromq.connector.Connector`, which make wires as peers come; one of udp is a
wire of its own, there from the start; those of inproc meet in
:mod:`midge.net.zeromq.inproc_ends`. The engine's turn, which everything here must be followed by,
is left to the caller.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from midge.net.zeromq.connector import Connector
from midge.net.zeromq.inproc import InprocListener
from midge.net.zeromq.listener import Listener
from midge.net.zeromq.udp import UdpWire
from midge.net.zeromq.wires import STREAMS, WireMaker
from midge.patterns import monitor
from midge.patterns.errors import SocketError
from midge.patterns.pipe import Command
from midge.zmtp.endpoint import Endpoint, EndpointError, parse_endpoint

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine
    from midge.net.zeromq.reactor import Handle
    from midge.net.zeromq.stream_wire import StreamWire
    from midge.patterns.pipe import Pipe


class Endpoints:
    """See the module.

    Attributes:
        listeners: what was bound, but for udp.
        connectors: what was connected, but for udp and inproc.
        retired: those that were disconnected before what was sent to them could leave; each with
            the end of the wait, where LINGER sets one.
    """

    __slots__ = ("_engine", "connectors", "listeners", "retired")

    def __init__(self, engine: SocketEngine) -> None:
        self._engine = engine
        self.listeners: list[Listener | InprocListener] = []
        self.connectors: list[Connector] = []
        self.retired: dict[Connector, Handle | None] = {}

    @property
    def bound(self) -> list[str]:
        """Where the socket listens."""
        wires = self._engine.wires
        datagrams = [one.endpoint for one in wires if isinstance(one, UdpWire) and one.bound]
        return [listener.endpoint for listener in self.listeners] + datagrams

    def accept_on(self) -> None:
        """Take new peers again, after a pause."""
        for listener in self.listeners:
            listener.accept_on()

    # -- binding -------------------------------------------------------------------------------

    def bind(self, endpoint: str) -> str:
        """See :meth:`SocketEngine.bind`."""
        place = _parse(endpoint)
        if place.transport == "udp":
            return self._open_udp(endpoint, place, True)
        engine = self._engine
        try:
            listener = self._listener(endpoint, place)
        except SocketError as error:
            engine.report(monitor.BIND_FAILED, error.errno, endpoint)
            raise
        self.listeners.append(listener)
        if isinstance(listener, Listener):
            listener.start()
        return listener.endpoint

    def _listener(self, endpoint: str, place: Endpoint) -> Listener | InprocListener:
        engine = self._engine
        if place.transport in STREAMS:
            return Listener(engine, endpoint, place, WireMaker(engine, place, True))
        if place.transport != "inproc":
            raise SocketError(errno.EPROTONOSUPPORT, f"cannot bind to {endpoint}")
        return engine.inproc.bind(endpoint, place.path)

    def unbind(self, endpoint: str) -> None:
        """See :meth:`SocketEngine.unbind`."""
        for listener in self.listeners:
            if endpoint in (listener.endpoint, listener.wanted):
                self.listeners.remove(listener)
                listener.close()
                return
        if not self._close_udp(endpoint, True):
            raise SocketError(errno.ENOENT, f"{endpoint} is not bound")

    # -- connecting ----------------------------------------------------------------------------

    def connect(self, endpoint: str) -> None:
        """See :meth:`SocketEngine.connect`."""
        engine = self._engine
        place = _parse(endpoint)
        if place.transport == "inproc":
            engine.inproc.connect(endpoint, place.path)
        elif place.transport == "udp":
            self._open_udp(endpoint, place, False)
        else:
            if place.transport != "ipc" and (place.port == 0 or place.host == "*"):
                raise SocketError(errno.EINVAL, f"{endpoint} is no endpoint to connect to")
            pipe = engine.new_pipe(endpoint, True)
            connector = Connector(engine, endpoint, place, pipe, WireMaker(engine, place, False))
            if not engine.options.immediate:
                engine.pattern.attach(connector.pipe)  # which may say no
            self.connectors.append(connector)
            connector.start()

    def disconnect(self, endpoint: str) -> None:
        """See :meth:`SocketEngine.disconnect`."""
        for connector in self.connectors:
            wire = connector.wire
            if endpoint == connector.endpoint or (wire is not None and wire.endpoint == endpoint):
                self.connectors.remove(connector)
                ready = wire is not None and wire.ready
                if not ready and self._has_rest(connector):
                    self._retire_later(connector)
                else:
                    connector.stop()
                    self._retire(connector.pipe, wire)
                return
        if not self._engine.inproc.disconnect(endpoint) and not self._close_udp(endpoint, False):
            raise SocketError(errno.ENOENT, f"{endpoint} is not connected")

    def gave_up(self, connector: Connector) -> None:
        """A connector tries no more."""
        if connector in self.connectors:
            self.connectors.remove(connector)
        self._forget(connector)
        self._engine.pattern.detach(connector.pipe)

    def _retire(self, pipe: Pipe, wire: StreamWire | None) -> None:
        """Take a pipe from the pattern while its wire may still have something to write."""
        engine = self._engine
        pipe.owner = None
        if wire is not None and wire.ready and engine.options.linger_ms != 0:
            self._detach(pipe)
            wire.write()
            wire.finish()
        else:
            if wire is not None:
                engine.drop(wire)
            engine.pattern.detach(pipe)

    def _detach(self, pipe: Pipe) -> None:
        """Take a pipe from the pattern, and leave what is queued in it."""
        rest = list(pipe.outgoing)
        pipe.outgoing.clear()
        self._engine.pattern.detach(pipe)
        pipe.outgoing.extend(rest)

    # -- what is left for somebody who has not come yet ----------------------------------------

    def _has_rest(self, connector: Connector) -> bool:
        """Whether there is something to send, and somebody may still come for it."""
        if connector.stopped or self._engine.options.linger_ms == 0:
            return False
        return any(type(item) is not Command for item in connector.pipe.outgoing)

    def _retire_later(self, connector: Connector) -> None:
        """Have a connector go on until what is queued for it has left, or LINGER is over."""
        engine = self._engine
        self._detach(connector.pipe)
        limit: Handle | None = None
        if engine.options.linger_ms > 0:
            when = engine.reactor.time() + engine.options.linger_ms / 1000
            limit = engine.reactor.call_at(when, lambda: self._too_late(connector))
        self.retired[connector] = limit

    def send_rest(self, connector: Connector, wire: StreamWire) -> None:
        """A retired connector has its connection: that is for what is left, and then it ends."""
        self._forget(connector)
        connector.stop()
        wire.write()
        wire.finish()

    def drop_rest(self) -> None:
        """Send nothing any more of what is left for those who have not come."""
        for connector in list(self.retired):
            self._forget(connector)
            connector.stop()
            if connector.wire is not None:
                self._engine.drop(connector.wire)
            self._engine.pattern.detach(connector.pipe)

    def _too_late(self, connector: Connector) -> None:
        connector.give_up()
        if connector.wire is not None:
            self._engine.drop(connector.wire)
        self._engine.turn()

    def _forget(self, connector: Connector) -> None:
        limit = self.retired.pop(connector, None)
        if limit is not None:
            limit.cancel()

    # -- udp -----------------------------------------------------------------------------------

    def _open_udp(self, endpoint: str, place: Endpoint, bound: bool) -> str:
        engine = self._engine
        wire = UdpWire(engine, endpoint, place, bound)
        assert wire.pipe is not None
        engine.pattern.attach(wire.pipe)
        engine.wires.add(wire)
        if bound:
            engine.report(monitor.LISTENING, wire.fd, wire.endpoint)
        wire.start()
        return wire.endpoint

    def _close_udp(self, endpoint: str, bound: bool) -> bool:
        """Take an endpoint of udp back; ``False``: there is none of that name."""
        for wire in self._engine.wires:
            if not isinstance(wire, UdpWire) or wire.pipe is None or wire.bound != bound:
                continue
            if endpoint in (wire.endpoint, wire.wanted):
                self._retire(wire.pipe, wire)
                return True
        return False


def _parse(endpoint: str) -> Endpoint:
    try:
        return parse_endpoint(endpoint)
    except EndpointError as error:
        raise SocketError(error.errno, str(error)) from None
