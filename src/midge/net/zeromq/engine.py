"""The engine of one socket: its endpoints, its wires, its pattern, and the reactor they live in.

The pattern decides what a message means, wires move bytes, the reactor says when. The engine ties
them together and owns what none of them is: the endpoints, the monitor, ZAP, linger, the end. It
starts no thread, takes no lock and never waits; whoever uses it does that
(:mod:`midge.net.zeromq.blocking`, or an asyncio loop).

Every callback of the reactor ends in :meth:`SocketEngine.turn`, which empties the lists that the
pattern has marked: bytes to write, peers to refuse, pipes to read from again. So nothing calls
back into what is still at work.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from midge.limits import ZMQ_BATCH_SENDS, ZMQ_HANDSHAKES_MAX
from midge.net.zeromq.connector import Connector
from midge.net.zeromq.context import EngineContext
from midge.net.zeromq.inproc import InprocListener, InprocWire, peer_metadata
from midge.net.zeromq.listener import Listener
from midge.net.zeromq.statistics import engine_stats
from midge.net.zeromq.stream_wire import StreamWire
from midge.net.zeromq.udp import UdpWire
from midge.net.zeromq.wire import Wire
from midge.net.zeromq.wires import STREAMS, WireMaker, is_raw
from midge.patterns import monitor
from midge.patterns.errors import SocketError
from midge.patterns.options import Options
from midge.patterns.pattern import Pattern, create
from midge.patterns.pipe import Pipe
from midge.zmtp import events as ev
from midge.zmtp.endpoint import Endpoint, EndpointError, parse_endpoint
from midge.zmtp.settings import PLAIN
from midge.zmtp.sockets import fits

if TYPE_CHECKING:
    from midge.net.zeromq.reactor import Handle, Reactor
    from midge.net.zeromq.zap import ZapClient

POLLIN = 1
POLLOUT = 2

_FAILED = {
    ev.PROTOCOL: monitor.HANDSHAKE_FAILED_PROTOCOL,
    ev.AUTH: monitor.HANDSHAKE_FAILED_AUTH,
    ev.NO_DETAIL: monitor.HANDSHAKE_FAILED_NO_DETAIL,
}


class SocketEngine:
    """See the module.

    Attributes:
        type_name: ``"PUSH"``.
        options: of this socket; most act on later binds and connects.
        pattern: what the socket type does.
        last_endpoint: of the last bind or connect.
        handshakes: accepted peers that are not ready yet.
        on_change: called after a turn that may have made the socket readable or writable.
        on_monitor: called with event, value and endpoint.
        closed: there is nothing left of it.
    """

    __slots__ = (
        "_closed_callback",
        "_closing",
        "_connectors",
        "_eager",
        "_flush_due",
        "_inproc",
        "_linger",
        "_listeners",
        "_unflushed",
        "_wires",
        "_zap",
        "closed",
        "context",
        "handshakes",
        "last_endpoint",
        "on_change",
        "on_monitor",
        "options",
        "pattern",
        "reactor",
        "type_name",
    )

    def __init__(
        self,
        type_name: str,
        reactor: Reactor,
        context: EngineContext,
        options: Options | None = None,
    ) -> None:
        self.type_name = type_name
        self.reactor = reactor
        self.context = context
        self.options = Options() if options is None else options
        self.pattern: Pattern = create(type_name, self.options, context.random)
        self.last_endpoint = ""
        self.handshakes = 0
        self.on_change: Callable[[], None] | None = None
        self.on_monitor: Callable[[int, int, str], None] | None = None
        self.closed = False
        self._closing = False
        self._closed_callback: Callable[[], None] | None = None
        self._linger: Handle | None = None
        self._listeners: list[Listener | InprocListener] = []
        self._connectors: list[Connector] = []
        self._wires: set[StreamWire] = set()
        self._inproc: set[InprocWire] = set()
        self._zap: ZapClient | None = None
        self._flush_due = False  # call_soon will flush
        self._unflushed = 0  # sends since the last flush

    # -- endpoints -----------------------------------------------------------------------------

    def bind(self, endpoint: str) -> str:
        """Listen at an endpoint; returns what it became, with the real port or path.

        Raises:
            SocketError: EINVAL, EPROTONOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, ENODEV, ...
        """
        place = self._parse(endpoint)
        if place.transport == "udp":
            return self._open_udp(endpoint, place, True)
        try:
            listener = self._bind(endpoint, place)
        except SocketError as error:
            self.report(monitor.BIND_FAILED, error.errno, endpoint)
            raise
        self._listeners.append(listener)
        self.last_endpoint = listener.endpoint
        if isinstance(listener, Listener):
            listener.start()
        self.turn()
        return listener.endpoint

    def _bind(self, endpoint: str, place: Endpoint) -> Listener | InprocListener:
        if place.transport in STREAMS:
            return Listener(self, endpoint, place, WireMaker(self, place, True))
        if place.transport != "inproc":
            raise SocketError(errno.EPROTONOSUPPORT, f"cannot bind to {endpoint}")
        listener = InprocListener(self, place.path)
        waiting = self.context.bind_inproc(place.path, listener)
        if waiting is None:
            raise SocketError(errno.EADDRINUSE, f"{endpoint} is bound by another socket")
        for wire in waiting:
            self._pair_up(wire)
        return listener

    def connect(self, endpoint: str) -> None:
        """Connect to an endpoint, now or as soon as somebody is there.

        Raises:
            SocketError: EINVAL, EPROTONOSUPPORT, ENODEV; never because nobody is there.
        """
        place = self._parse(endpoint)
        if place.transport == "inproc":
            self._connect_inproc(endpoint, place.path)
        elif place.transport == "udp":
            self._open_udp(endpoint, place, False)
        else:
            if place.transport != "ipc" and (place.port == 0 or place.host == "*"):
                raise SocketError(errno.EINVAL, f"{endpoint} is no endpoint to connect to")
            pipe = self.new_pipe(endpoint, True)
            connector = Connector(self, endpoint, place, pipe, WireMaker(self, place, False))
            if not self.options.immediate:
                self.pattern.attach(connector.pipe)  # which may say no
            self._connectors.append(connector)
            connector.start()
        self.last_endpoint = endpoint
        self.turn()

    def _open_udp(self, endpoint: str, place: Endpoint, bound: bool) -> str:
        wire = UdpWire(self, endpoint, place, bound)
        assert wire.pipe is not None
        self.pattern.attach(wire.pipe)
        self._wires.add(wire)
        if bound:
            self.report(monitor.LISTENING, wire.fd, wire.endpoint)
        self.last_endpoint = wire.endpoint
        wire.start()
        self.turn()
        return wire.endpoint

    def _close_udp(self, endpoint: str, bound: bool) -> bool:
        """Take an endpoint of udp back; ``False``: there is none of that name."""
        for wire in self._wires:
            if not isinstance(wire, UdpWire) or wire.pipe is None or wire.bound != bound:
                continue
            if endpoint in (wire.endpoint, wire.wanted):
                self._retire(wire.pipe, wire)
                self.turn()
                return True
        return False

    def _parse(self, endpoint: str) -> Endpoint:
        if self._closing:
            raise SocketError(errno.ENOTSOCK, "the socket is closed")
        try:
            return parse_endpoint(endpoint)
        except EndpointError as error:
            raise SocketError(error.errno, str(error)) from None

    def unbind(self, endpoint: str) -> None:
        """Stop listening; peers that came that way stay until they leave.

        Raises:
            SocketError: ENOENT: nothing is bound there.
        """
        for listener in self._listeners:
            if endpoint in (listener.endpoint, listener.wanted):
                self._listeners.remove(listener)
                listener.close()
                self.turn()
                return
        if not self._close_udp(endpoint, True):
            raise SocketError(errno.ENOENT, f"{endpoint} is not bound")

    def disconnect(self, endpoint: str) -> None:
        """Take one connect back; what is queued for it is still sent, as long as LINGER says.

        Raises:
            SocketError: ENOENT: nothing is connected there.
        """
        for connector in self._connectors:
            wire = connector.wire
            if endpoint == connector.endpoint or (wire is not None and wire.endpoint == endpoint):
                self._connectors.remove(connector)
                connector.stop()
                self._retire(connector.pipe, wire)
                self.turn()
                return
        for end in self._inproc:
            if end.endpoint == endpoint and end.pipe is not None and end.pipe.connecting:
                self._inproc.discard(end)
                end.write()
                end.close()
                self.pattern.detach(end.pipe)
                self.turn()
                return
        if not self._close_udp(endpoint, False):
            raise SocketError(errno.ENOENT, f"{endpoint} is not connected")

    def _retire(self, pipe: Pipe, wire: StreamWire | None) -> None:
        """Take a pipe from the pattern while its wire may still have something to write."""
        rest = list(pipe.outgoing)
        pipe.owner = None
        if wire is not None and wire.ready and self.options.linger_ms != 0:
            pipe.outgoing.clear()
            self.pattern.detach(pipe)
            pipe.outgoing.extend(rest)
            wire.write()
            wire.finish()
        else:
            if wire is not None:
                wire.close()
                self._wires.discard(wire)
                self.report(monitor.DISCONNECTED, wire.fd, wire.endpoint)
            self.pattern.detach(pipe)

    # -- messages ------------------------------------------------------------------------------

    def send(self, item: Any) -> bool:
        """Send a message; ``False``: there is no room for it now.

        The first message of a turn leaves at once, the others together at its end, or when they
        are many.

        Raises:
            SocketError: see the pattern.
        """
        pattern = self.pattern
        if not pattern.send(item) and not (self.make_room() and pattern.send(item)):
            return False
        if pattern.dirty:
            if not self._flush_due:
                self._flush_due = True
                self.reactor.call_soon(self._flush_soon)
                self.flush()
            else:
                self._unflushed += 1
                if self._unflushed >= ZMQ_BATCH_SENDS:
                    self.flush()
        elif pattern.refused:
            self._refuse()
        return True

    def send_many(self, items: list[Any]) -> int:
        """Send messages until there is no room; returns how many were accepted."""
        pattern = self.pattern
        total = len(items)
        done = pattern.send_many(items)
        self.flush()
        while done < total and self.make_room():
            more = pattern.send_many(items[done:])
            if not more:
                break
            done += more
            self.flush()
        return done

    def _flush_soon(self) -> None:
        self._flush_due = False
        if self.pattern.dirty:
            self.turn()

    def receive(self) -> Any:
        """The next message, or ``None`` when there is none.

        Raises:
            SocketError: see the pattern.
        """
        pattern = self.pattern
        item = pattern.receive()
        if pattern.resumed:
            self.resume()
        return item

    def receive_many(self, limit: int) -> list[Any]:
        """Up to ``limit`` messages that are there now."""
        pattern = self.pattern
        items = pattern.receive_many(limit)
        if pattern.resumed:
            self.resume()
        return items

    def events(self) -> int:
        """``POLLIN`` and ``POLLOUT``, as it is now."""
        pattern = self.pattern
        found = POLLIN if pattern.can_receive() else 0
        if pattern.can_send() or (self.make_room() and pattern.can_send()):
            found |= POLLOUT
        return found

    def make_room(self) -> bool:
        """Write what waits and see what has been read; returns whether that can have helped."""
        if self.pattern.dirty:
            self.flush()
            return True
        if not self._inproc:
            return False
        for end in list(self._inproc):
            pipe = end.pipe
            if pipe is not None and not pipe.active and end.ready:
                end.write()
        return True

    def flush(self) -> None:
        """Let the wires write what is queued, as far as the kernel takes it."""
        self._unflushed = 0
        dirty = self.pattern.dirty
        while dirty:
            pipes = dirty.copy()
            dirty.clear()
            for pipe in pipes:
                pipe.dirty = False
                wire: Any = pipe.owner
                if wire is not None:
                    wire.write()
        if self.pattern.refused:
            self._refuse()

    def resume(self) -> None:
        """Read again from peers whose pipes have room again."""
        resumed = self.pattern.resumed
        while resumed:
            pipe = resumed.pop()
            pipe.paused = False
            wire: Any = pipe.owner
            if wire is not None:
                wire.resume()

    def turn(self) -> None:
        """What everything ends with: do what the pattern has marked, tell who listens."""
        pattern = self.pattern
        if pattern.dirty or pattern.refused:
            self.flush()
        if pattern.resumed:
            self.resume()
        if self._closing:
            self._check_lingering()
        elif self.on_change is not None:
            self.on_change()

    # -- peers ---------------------------------------------------------------------------------

    @property
    def is_raw(self) -> bool:
        """Whether the wires speak no ZMTP."""
        return is_raw(self)

    def new_pipe(self, endpoint: str, connecting: bool) -> Pipe:
        """A pipe with the marks of the options, for a peer to come."""
        options = self.options
        pipe = Pipe(options.send_mark, options.receive_mark, connecting=connecting)
        pipe.endpoint = endpoint
        return pipe

    def accepted(self, sock: socket.socket, endpoint: str, address: str, by: Listener) -> None:
        """A listener has a new peer."""
        self.handshakes += 1
        self._start(by.wires.make(sock, endpoint, address, None))

    def connected(
        self, sock: socket.socket, endpoint: str, address: str, by: Connector
    ) -> StreamWire:
        """A connector has its connection."""
        wire = by.wire = by.wires.make(sock, endpoint, address, by)
        self._start(wire)
        return wire

    def _start(self, wire: StreamWire) -> None:
        self._wires.add(wire)
        wire.start()

    def wire_ready(self, wire: StreamWire, info: ev.Ready) -> None:
        """The handshake is done."""
        connector = wire.connector
        self.report(monitor.HANDSHAKE_SUCCEEDED, 0, wire.endpoint)
        pipe = wire.pipe
        if connector is None or pipe is None:
            self._handshake_over()
            pipe = wire.pipe = self.new_pipe(wire.endpoint, False)
            fresh = True
        else:
            connector.succeeded()
            fresh = self.options.immediate and pipe not in self.pattern.peers()
        pipe.address = wire.address
        pipe.socket_type = info.socket_type
        pipe.identity = info.identity
        pipe.user_id = info.user_id
        pipe.metadata = dict(info.metadata)
        if wire.address:
            pipe.metadata["Peer-Address"] = wire.address.encode("utf-8")
        self._introduce(pipe, wire, fresh)
        wire.write()

    def udp_ready(self, wire: UdpWire) -> None:
        """Datagrams can be sent or received: there is no handshake to speak of."""
        assert wire.pipe is not None
        self._introduce(wire.pipe, wire, False)
        wire.write()

    def _introduce(self, pipe: Pipe, owner: StreamWire | InprocWire, fresh: bool) -> None:
        pipe.owner = owner
        pipe.ready = True
        if fresh:
            self.pattern.attach(pipe)
        self.pattern.ready(pipe)

    def _handshake_over(self) -> None:
        self.handshakes -= 1
        if self.handshakes == ZMQ_HANDSHAKES_MAX - 1:
            for listener in self._listeners:
                listener.accept_on()

    def wire_failed(self, wire: StreamWire, event: ev.HandshakeFailed) -> None:
        """The handshake has failed, and the wire is closed."""
        self.report(_FAILED[event.kind], event.code, wire.endpoint)
        self.wire_lost(wire, event.text, handshake_failed=True)

    def wire_lost(
        self, wire: StreamWire, why: str, code: int = 0, *, handshake_failed: bool = False
    ) -> None:
        """The connection has ended, and the wire is closed."""
        self._wires.discard(wire)
        self.report(monitor.DISCONNECTED, wire.fd, wire.endpoint)
        connector = wire.connector
        pipe = wire.pipe
        if pipe is None:
            self._handshake_over()
            return
        pipe.owner = None
        if wire.finishing:
            return
        was_ready = pipe.ready
        pipe.ready = False
        if connector is None or connector.stopped:
            self.pattern.detach(pipe)
        else:
            if self.options.immediate and was_ready:
                self.pattern.detach(pipe)
            elif was_ready:
                self.pattern.lost(pipe)
            connector.lost(handshake_failed=handshake_failed)

    def wire_finished(self, wire: StreamWire | InprocWire) -> None:
        """A wire that was to close after its last message has done so."""
        if isinstance(wire, InprocWire):
            self._inproc.discard(wire)
        else:
            self._wires.discard(wire)
            self.report(monitor.DISCONNECTED, wire.fd, wire.endpoint)
        if wire.pipe is not None:
            wire.pipe.owner = None

    def gave_up(self, connector: Connector) -> None:
        """A connector tries no more."""
        if connector in self._connectors:
            self._connectors.remove(connector)
        self.pattern.detach(connector.pipe)

    def _refuse(self) -> None:
        refused = self.pattern.refused
        while refused:
            wire: Any = refused.pop().owner
            if isinstance(wire, InprocWire):
                wire.close()
                self.inproc_gone(wire)
            elif wire is not None:
                wire.leave()

    # -- inproc --------------------------------------------------------------------------------

    def _connect_inproc(self, endpoint: str, name: str) -> None:
        wire = InprocWire(self, endpoint)
        wire.pipe = self.new_pipe(endpoint, True)
        wire.pipe.owner = wire
        if not self.options.immediate:
            self.pattern.attach(wire.pipe)  # which may say no
        self._inproc.add(wire)
        listener = self.context.find_inproc(name, wire)
        if listener is not None:
            listener.engine.pair_up(wire)
            wire.met()
            if listener.closed and wire.peer is not None:
                wire.peer.close()

    def pair_up(self, wire: InprocWire) -> None:
        """Give an end that connects another end here; from the thread of that one."""
        other = InprocWire(self, wire.endpoint)
        other.join(wire)
        wire.join(other)
        other.post(other.met)

    def _pair_up(self, wire: InprocWire) -> None:
        """The same for one that has waited for our bind: it lives elsewhere."""
        self.pair_up(wire)
        wire.post(wire.met)

    def inproc_ready(self, wire: InprocWire, peer: InprocWire) -> None:
        """Both ends are there."""
        pipe = wire.pipe
        if not fits(self.type_name, peer.engine.type_name):
            if pipe is not None:
                self.pattern.detach(pipe)
            wire.close()
            self._inproc.discard(wire)
            return
        fresh = pipe is None or self.options.immediate
        if pipe is None:
            pipe = wire.pipe = self.new_pipe(wire.endpoint, False)
            self._inproc.add(wire)
        pipe.send_mark = _sum_of_marks(wire.send_mark, peer.receive_mark)
        pipe.receive_mark = _sum_of_marks(wire.receive_mark, peer.send_mark)
        pipe.socket_type = peer.engine.type_name
        pipe.identity = peer.identity
        pipe.metadata = peer_metadata(peer.engine.type_name, peer)
        self._introduce(pipe, wire, fresh)

    def inproc_gone(self, wire: InprocWire) -> None:
        """The other end has closed, and everything that it sent is delivered."""
        self._inproc.discard(wire)
        if wire.pipe is not None:
            wire.pipe.ready = False
            wire.pipe.owner = None
            self.pattern.detach(wire.pipe)

    # -- ZAP -----------------------------------------------------------------------------------

    def ask_zap(self, wire: Wire, request: ev.ZapRequest) -> None:
        """Somebody must decide whether a peer may come in."""
        from midge.net.zeromq.zap import ENDPOINT, ZapClient

        if self.context.find_inproc(ENDPOINT.removeprefix("inproc://")) is None:
            # As libzmq has it: encryption without authentication is a way to use CURVE, and a
            # domain without a handler keeps nobody out; but a password must be checked.
            open_door = request.mechanism != PLAIN and not self.options.zap_enforce_domain
            wire.zap_answer(200 if open_door else 500, "", {})
            return
        if self._zap is not None and not self._zap.usable:
            self._zap.close()
            self._zap = None
        if self._zap is None:
            self._zap = ZapClient(self, SocketEngine("DEALER", self.reactor, self.context))
        self._zap.ask(wire, request)

    # -- the end -------------------------------------------------------------------------------

    def close(self, linger_ms: int, closed: Callable[[], None]) -> None:
        """Close everything, after what is queued has left, and then call ``closed``, once.

        Args:
            linger_ms: how long messages may take to leave; -1: for ever; 0: they are dropped.
            closed: called from this call, or from a later turn of the reactor.
        """
        if self._closing:
            return
        self._closing = True
        self._closed_callback = closed
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if linger_ms == 0:
            self._end()
            return
        self.flush()
        for wire in list(self._wires):
            if not wire.ready and wire.connector is None:
                wire.close()  # nothing can be queued for a peer that is not in yet
                self._wires.discard(wire)
            elif wire.ready:
                wire.hold()  # (One that is not must still hear the rest of the handshake.)
        if linger_ms > 0:
            when = self.reactor.time() + linger_ms / 1000
            self._linger = self.reactor.call_at(when, self._end)
        self._check_lingering()

    def _check_lingering(self) -> None:
        """Close what has nothing left to send; the end, when nothing is left."""
        if self.closed:
            return
        for connector in list(self._connectors):
            if not connector.pipe.outgoing and (connector.wire is None or connector.wire.idle):
                self._connectors.remove(connector)
                connector.stop()
                if connector.wire is not None:
                    self._drop(connector.wire)
        for wire in list(self._wires):
            if wire.idle and wire.connector is None:
                self._drop(wire)
        for end in list(self._inproc):
            if end.idle or end.peer is not None:
                end.write()
                end.close()
                self._inproc.discard(end)
        if not self._wires and not self._connectors and not self._inproc:
            self._end()

    def _drop(self, wire: StreamWire) -> None:
        wire.close()
        self._wires.discard(wire)
        self.report(monitor.DISCONNECTED, wire.fd, wire.endpoint)

    def _end(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._linger is not None:
            self._linger.cancel()
        for connector in self._connectors:
            connector.stop()
        self._connectors.clear()
        for wire in list(self._wires):
            self._drop(wire)
        for end in self._inproc:
            end.close()
        self._inproc.clear()
        if self._zap is not None:
            self._zap.close()
            self._zap = None
        callback = self._closed_callback
        self._closed_callback = None
        self.on_change = None
        if callback is not None:
            callback()

    # -- looking in ----------------------------------------------------------------------------

    def report(self, event: int, value: int, endpoint: str) -> None:
        """Tell the monitor."""
        if self.on_monitor is not None:
            self.on_monitor(event, value, endpoint)

    def stats(self) -> dict[str, Any]:
        """Counters of the socket and of each peer; see :mod:`midge.net.zeromq.statistics`."""
        return engine_stats(self)

    @property
    def connectors(self) -> list[Connector]:
        """Who connects; for statistics."""
        return self._connectors

    @property
    def bound_endpoints(self) -> list[str]:
        """Where it listens."""
        datagrams = [one.endpoint for one in self._wires if isinstance(one, UdpWire) and one.bound]
        return [listener.endpoint for listener in self._listeners] + datagrams


def _sum_of_marks(one: int, other: int) -> int:
    """0 stands for no mark, and no mark and any mark make no mark."""
    return one + other if one and other else 0
