"""The engine of one socket: its endpoints, its wires, its pattern, and the reactor they live in.

The pattern decides what a message means, wires move bytes, the reactor says when. The engine ties
them together: here is the way of messages, and how peers come and go. What it listens at and
connects to is in :mod:`~midge.net.zeromq.endpoints`, inproc in
:mod:`~midge.net.zeromq.inproc_ends`, linger in :mod:`~midge.net.zeromq.ending`. It starts no
thread, takes no lock and never waits; whoever uses it does that
(:mod:`midge.net.zeromq.blocking`, or an asyncio loop).

Every callback of the reactor ends in :meth:`SocketEngine.turn`, which empties the lists that the
pattern has marked: bytes to write, peers to refuse, pipes to read from again. So nothing calls
back into what is still at work.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from midge.limits import ZMQ_BATCH_ITEMS, ZMQ_BATCH_SENDS
from midge.net.zeromq.connector import Connector
from midge.net.zeromq.context import EngineContext
from midge.net.zeromq.ending import Ending
from midge.net.zeromq.endpoints import Endpoints
from midge.net.zeromq.handshakes import Handshakes
from midge.net.zeromq.inproc import InprocWire
from midge.net.zeromq.inproc_ends import InprocEnds
from midge.net.zeromq.listener import Listener
from midge.net.zeromq.statistics import engine_stats
from midge.net.zeromq.stream_wire import StreamWire
from midge.net.zeromq.udp import UdpWire
from midge.net.zeromq.wire import Wire
from midge.net.zeromq.wires import is_raw
from midge.patterns import monitor
from midge.patterns.errors import SocketError
from midge.patterns.options import Options
from midge.patterns.pattern import Pattern, create
from midge.patterns.pipe import Pipe
from midge.zmtp import events as ev
from midge.zmtp.settings import PLAIN

if TYPE_CHECKING:
    from midge.net.zeromq.reactor import Reactor
    from midge.net.zeromq.zap import ZapClient

POLLIN = 1
POLLOUT = 2

#: Patterns that send to all who want it, and drop for those who have no room.
BROADCAST: Final = frozenset({"PUB", "XPUB"})

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
        endpoints: what it is bound and connected to.
        last_endpoint: of the last bind or connect.
        wires: connections, in handshake or ready, and endpoints of udp.
        inproc: those who need no wire.
        shaking: accepted peers that are not ready yet.
        on_change: called after a turn that may have made the socket readable or writable.
        on_monitor: called with event, value and endpoint.
        closed: there is nothing left of it.
    """

    __slots__ = (
        "_ending",
        "_flush_due",
        "_unflushed",
        "_zap",
        "closed",
        "context",
        "endpoints",
        "inproc",
        "last_endpoint",
        "on_change",
        "on_monitor",
        "options",
        "pattern",
        "reactor",
        "shaking",
        "type_name",
        "wires",
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
        self.on_change: Callable[[], None] | None = None
        self.on_monitor: Callable[[int, int, str], None] | None = None
        self.closed = False
        self.endpoints = Endpoints(self)
        self.inproc = InprocEnds(self)
        self.shaking = Handshakes(self)
        self.wires: set[StreamWire] = set()
        self._ending: Ending | None = None  # it has been closed
        self._zap: ZapClient | None = None
        self._flush_due = False  # call_soon will flush
        self._unflushed = 0  # sends since the last flush

    # -- endpoints -----------------------------------------------------------------------------

    def bind(self, endpoint: str) -> str:
        """Listen at an endpoint; returns what it became, with the real port or path.

        Raises:
            SocketError: EINVAL, EPROTONOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, ENODEV, ...
        """
        self._check_open()
        became = self.last_endpoint = self.endpoints.bind(endpoint)
        self.turn()
        return became

    def connect(self, endpoint: str) -> None:
        """Connect to an endpoint, now or as soon as somebody is there.

        Raises:
            SocketError: EINVAL, EPROTONOSUPPORT, ENODEV; never because nobody is there.
        """
        self._check_open()
        self.endpoints.connect(endpoint)
        self.last_endpoint = endpoint
        self.turn()

    def _check_open(self) -> None:
        if self._ending is not None:
            raise SocketError(errno.ENOTSOCK, "the socket is closed")

    def unbind(self, endpoint: str) -> None:
        """Stop listening; peers that came that way stay until they leave.

        Raises:
            SocketError: ENOENT: nothing is bound there.
        """
        self.endpoints.unbind(endpoint)
        self.turn()

    def disconnect(self, endpoint: str) -> None:
        """Take one connect back; what is queued for it is still sent, as long as LINGER says.

        Raises:
            SocketError: ENOENT: nothing is connected there.
        """
        self.endpoints.disconnect(endpoint)
        self.turn()

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
        """Send messages until there is no room; returns how many were accepted.

        A lot at a time: each is with the kernel, where it can be, before the next one is held
        against the marks.
        """
        pattern = self.pattern
        total = len(items)
        # A lot that is larger than a subscriber's mark would be cut by it.
        mark = self.options.send_mark if self.type_name in BROADCAST else 0
        size = min(ZMQ_BATCH_ITEMS, max(mark // 2, 1)) if mark else ZMQ_BATCH_ITEMS
        done = 0
        stuck = False
        while done < total:
            lot = items[done : done + size]
            more = pattern.send_many(lot)
            done += more
            self.flush()
            if more == len(lot):
                continue
            if stuck and not more:
                break  # there is room, but not for this one
            stuck = not more
            if not pattern.can_send() and not (self.make_room() and pattern.can_send()):
                break
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
        ends = self.inproc.all
        if not ends:
            return False
        for end in list(ends):
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
        ending = self._ending
        if ending is not None:
            ending.check()
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
        wire = by.wires.make(sock, endpoint, address, None)
        self.shaking.begin(wire)
        self._start(wire)

    def connected(
        self, sock: socket.socket, endpoint: str, address: str, by: Connector
    ) -> StreamWire:
        """A connector has its connection."""
        wire = by.wire = by.wires.make(sock, endpoint, address, by)
        self._start(wire)
        return wire

    def _start(self, wire: StreamWire) -> None:
        self.wires.add(wire)
        wire.start()

    def wire_ready(self, wire: StreamWire, info: ev.Ready) -> None:
        """The handshake is done."""
        connector = wire.connector
        self.report(monitor.HANDSHAKE_SUCCEEDED, 0, wire.endpoint)
        pipe = wire.pipe
        if connector is None or pipe is None:
            self.shaking.over(wire)
            pipe = wire.pipe = self.new_pipe(wire.endpoint, False)
            fresh = True
        else:
            connector.succeeded()
            if connector in self.endpoints.retired:
                self.endpoints.send_rest(connector, wire)
                return
            fresh = self.options.immediate and pipe not in self.pattern.peers()
        pipe.address = wire.address
        pipe.socket_type = info.socket_type
        pipe.identity = info.identity
        pipe.user_id = info.user_id
        pipe.metadata = dict(info.metadata)
        if wire.address:
            pipe.metadata["Peer-Address"] = wire.address.encode("utf-8")
        self.introduce(pipe, wire, fresh)
        wire.write()

    def udp_ready(self, wire: UdpWire) -> None:
        """Datagrams can be sent or received: there is no handshake to speak of."""
        assert wire.pipe is not None
        self.introduce(wire.pipe, wire, False)
        wire.write()

    def introduce(self, pipe: Pipe, owner: StreamWire | InprocWire, fresh: bool) -> None:
        """Tell the pattern of a peer that is there; ``fresh``: it has not seen the pipe yet."""
        pipe.owner = owner
        pipe.ready = True
        if fresh:
            self.pattern.attach(pipe)
        self.pattern.ready(pipe)

    def wire_failed(self, wire: StreamWire, event: ev.HandshakeFailed) -> None:
        """The handshake has failed, and the wire is closed."""
        self.report(_FAILED[event.kind], event.code, wire.endpoint)
        self.wire_lost(wire, event.text, failed=event)

    def wire_lost(
        self,
        wire: StreamWire,
        why: str,
        code: int = 0,
        *,
        failed: ev.HandshakeFailed | None = None,
    ) -> None:
        """The connection has ended, and the wire is closed."""
        self.wires.discard(wire)
        self.report(monitor.DISCONNECTED, wire.fd, wire.endpoint)
        connector = wire.connector
        pipe = wire.pipe
        if pipe is None:
            self.shaking.over(wire)
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
            connector.lost(failed)

    def wire_finished(self, wire: StreamWire | InprocWire) -> None:
        """A wire that was to close after its last message has done so."""
        if isinstance(wire, InprocWire):
            self.inproc.all.discard(wire)
        else:
            self.wires.discard(wire)
            self.report(monitor.DISCONNECTED, wire.fd, wire.endpoint)
        if wire.pipe is not None:
            wire.pipe.owner = None

    @property
    def has_leaving(self) -> bool:
        """A message waits for a peer that is there, or for one that we connect to."""
        return any(wire.ready and not wire.idle for wire in self.wires) or any(
            connector.pipe.outgoing for connector in self.endpoints.connectors
        )

    def drop(self, wire: StreamWire) -> None:
        """Close a connection, whatever is queued for it."""
        wire.close()
        self.wires.discard(wire)
        self.shaking.over(wire)
        self.report(monitor.DISCONNECTED, wire.fd, wire.endpoint)

    def _refuse(self) -> None:
        refused = self.pattern.refused
        while refused:
            wire: Any = refused.pop().owner
            if isinstance(wire, InprocWire):
                wire.close()
                self.inproc.gone(wire)
            elif wire is not None:
                wire.leave()

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
            self.forget_zap()
        if self._zap is None:
            self._zap = ZapClient(self, SocketEngine("DEALER", self.reactor, self.context))
        self._zap.ask(wire, request)

    def forget_zap(self) -> None:
        """Ask nobody any more."""
        if self._zap is not None:
            self._zap.close()
            self._zap = None

    # -- the end -------------------------------------------------------------------------------

    def close(self, linger_ms: int, closed: Callable[[], None]) -> None:
        """Close everything, after what is queued has left, and then call ``closed``, once.

        Args:
            linger_ms: how long messages may take to leave; -1: for ever; 0: they are dropped.
            closed: called from this call, or from a later turn of the reactor.
        """
        if self._ending is None:
            self._ending = Ending(self, closed)
            self._ending.begin(linger_ms)

    # -- looking in ----------------------------------------------------------------------------

    def report(self, event: int, value: int, endpoint: str) -> None:
        """Tell the monitor."""
        if self.on_monitor is not None:
            self.on_monitor(event, value, endpoint)

    def stats(self) -> dict[str, Any]:
        """Counters of the socket and of each peer; see :mod:`midge.net.zeromq.statistics`."""
        return engine_stats(self)
