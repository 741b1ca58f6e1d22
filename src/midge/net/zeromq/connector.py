"""One ``connect()``: looks the host up, connects, and does so again when the connection is lost.

::

    RESOLVING -> CONNECTING (-> PROXY) -> CONNECTED
        ^             |          |            |
        `--------- WAITING <-----`------------'

The wait is ``RECONNECT_IVL``, with a little chance added so that a thousand clients of a server
that comes back do not come all at once; with ``RECONNECT_IVL_MAX`` it doubles up to that with
every failure, and begins anew with a handshake that succeeds. Without that it doubles with every
handshake that fails, and begins anew when a connection fails or ends otherwise: a peer that refuses
us would do so ten times a second, and write each down. Each address of a host that has several is
tried before there is a wait. The pipe outlives all of that.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from midge.limits import (
    ZMQ_FAILED_PAUSE_LEAST_S,
    ZMQ_HUNG_UP_PAUSE_MAX_S,
    ZMQ_REFUSED_PAUSE_MAX_S,
)
from midge.net.zeromq import transport
from midge.net.zeromq.addresses import (
    endpoint_text,
    ipc_address,
    numeric_address,
    peer_host,
    source_address,
)
from midge.net.zeromq.reactor import Address, Handle
from midge.net.zeromq.socks import SocksRequest, proxy_place
from midge.patterns import monitor
from midge.zmtp import events as ev
from midge.zmtp.zap import TEMPORARY

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine
    from midge.net.zeromq.stream_wire import StreamWire
    from midge.net.zeromq.wires import WireMaker
    from midge.patterns.pipe import Pipe
    from midge.zmtp.endpoint import Endpoint

#: Bits of RECONNECT_STOP.
STOP_CONN_REFUSED: Final = 1
STOP_HANDSHAKE_FAILED: Final = 2
STOP_AFTER_DISCONNECT: Final = 4


class Connector:
    """See the module.

    Attributes:
        endpoint: as it was given to connect.
        wires: makes the wires of its connections.
        pipe: what the program sends to and receives from, connected or not.
        wire: the present connection, in handshake or ready.
        stopped: it will not connect any more.
        attempts, connections: counters.
        error: why the last attempt failed, an errno; 0 after a success, or where it has none.
        why: the same in words, also of a handshake; empty after a success.
    """

    __slots__ = (
        "_addresses",
        "_delay_s",
        "_generation",
        "_known",
        "_limit",
        "_proxy",
        "_retry",
        "_sock",
        "_socks",
        "_source",
        "attempts",
        "connections",
        "endpoint",
        "engine",
        "error",
        "pipe",
        "place",
        "stopped",
        "why",
        "wire",
        "wires",
    )

    def __init__(
        self,
        engine: SocketEngine,
        endpoint: str,
        place: Endpoint,
        pipe: Pipe,
        wires: WireMaker,
    ) -> None:
        """Raises SocketError for a source address that this machine does not have, and the like."""
        self.engine = engine
        self.endpoint = endpoint
        self.place = place
        self.wires = wires
        self.pipe = pipe
        self.wire: StreamWire | None = None
        self.stopped = False
        self.attempts = 0
        self.error = 0
        self.why = ""
        self.connections = 0
        options = engine.options
        self._source = source_address(place.source, options.ipv6) if place.source else None
        self._proxy = proxy_place(options.socks_proxy) if options.socks_proxy else None
        self._known = self._known_address()
        self._addresses: list[Address] = []  # of the host, yet to be tried in this round
        self._delay_s = 0.0
        self._generation = 0  # of lookups: the answer to an old question is not heard
        self._limit: Handle | None = None
        self._retry: Handle | None = None
        self._sock: socket.socket | None = None
        self._socks: SocksRequest | None = None

    def _known_address(self) -> Address | None:
        """Where to connect to, if nobody needs to be asked for that."""
        if self.place.transport == "ipc":
            return (socket.AF_UNIX, ipc_address(self.place.path))
        host, port = self._proxy or (self.place.host, self.place.port)
        return numeric_address(host, port, self.engine.options.ipv6)

    # -- one round -----------------------------------------------------------------------------

    def start(self) -> None:
        """Look the address up and connect."""
        self._retry = None
        if self.stopped:
            return
        if self._known is not None:
            self._addresses = [self._known]
            self._connect_next()
            return
        host, port = self._proxy or (self.place.host, self.place.port)
        self._generation += 1
        generation = self._generation
        family = socket.AF_UNSPEC if self.engine.options.ipv6 else socket.AF_INET

        def resolved(answer: list[Address] | OSError) -> None:
            if generation == self._generation and not self.stopped:
                self._resolved(answer)
                self.engine.turn()

        self.engine.reactor.resolve(host, port, family, resolved)

    def _resolved(self, answer: list[Address] | OSError) -> None:
        if isinstance(answer, OSError) or not answer:
            self.why = "the host is not known"
            self.retry_later()
            return
        self._addresses = answer
        self._connect_next()

    def _connect_next(self) -> None:
        """Try the next address of the round."""
        engine = self.engine
        address = self._addresses.pop(0)
        self.attempts += 1
        try:
            sock, code = transport.begin_connect(address, self._source, engine.options)
        except OSError as error:
            # Out of descriptors, a source that is in use, a family that this machine lacks.
            engine.report(monitor.CONNECT_DELAYED, error.errno or errno.EIO, self.endpoint)
            self._round_failed(error.errno or errno.EIO)
            return
        self._sock = sock
        if code == 0:
            self._socket_connected()
        elif code in (errno.EINPROGRESS, errno.EAGAIN):
            engine.report(monitor.CONNECT_DELAYED, errno.EINPROGRESS, self.endpoint)
            if code == errno.EAGAIN:  # ipc: the backlog is full, and nothing tells when it is not
                self._attempt_failed(code)
                return
            engine.reactor.add_writer(sock.fileno(), self._decided)
            limit_s = engine.options.connect_timeout_ms / 1000
            if limit_s > 0:
                self._limit = engine.reactor.call_at(
                    engine.reactor.time() + limit_s, self._too_late
                )
        else:
            engine.report(monitor.CONNECT_DELAYED, errno.EINPROGRESS, self.endpoint)
            self._attempt_failed(code)

    def _decided(self) -> None:
        if self._sock is None:
            return
        code = transport.connect_outcome(self._sock)
        if code == errno.EINPROGRESS:
            return
        self._forget_attempt()
        if code:
            self._attempt_failed(code)
        else:
            self._socket_connected()
        self.engine.turn()

    def _too_late(self) -> None:
        self._limit = None
        self._forget_attempt()
        self._attempt_failed(errno.ETIMEDOUT)
        self.engine.turn()

    def _forget_attempt(self) -> None:
        """Take the socket out of the reactor, and the timer back."""
        if self._sock is not None:
            self.engine.reactor.remove_writer(self._sock.fileno())
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _attempt_failed(self, code: int) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            fd = sock.fileno()
            sock.close()
            self.engine.report(monitor.CLOSED, fd, self.endpoint)
        self._round_failed(code)

    def _round_failed(self, code: int) -> None:
        self.error = code
        self.why = os.strerror(code)
        if self._addresses:
            self._connect_next()
        elif code == errno.ECONNREFUSED and self.engine.options.reconnect_stop & STOP_CONN_REFUSED:
            self.give_up()
        else:
            self.retry_later()

    # -- connected -----------------------------------------------------------------------------

    def _socket_connected(self) -> None:
        sock, self._sock = self._sock, None
        assert sock is not None
        options = self.engine.options
        transport.tune_connected(sock, options)
        if self._proxy is not None and self.place.transport != "ipc":
            self._socks = SocksRequest(
                self.engine.reactor,
                sock,
                (self.place.host, self.place.port),
                options.socks_username,
                options.socks_password,
                self._proxied,
            )
            self._socks.start()
        else:
            self._begin(sock)

    def _proxied(self, sock: socket.socket, code: int) -> None:
        """The proxy has connected us, or not."""
        self._socks = None
        if code:
            self._sock = sock
            self._attempt_failed(code)
        else:
            self._begin(sock)
        self.engine.turn()

    def _begin(self, sock: socket.socket) -> None:
        engine = self.engine
        self.connections += 1
        try:
            name = sock.getpeername()
        except OSError:  # gone again already
            self._sock = sock
            self._attempt_failed(errno.ECONNRESET)
            return
        endpoint = self.endpoint
        if sock.family != socket.AF_UNIX and self._proxy is None:
            endpoint = endpoint_text(sock.family, name, self.place)
        engine.report(monitor.CONNECTED, sock.fileno(), endpoint)
        self.wire = engine.connected(sock, endpoint, peer_host(sock.family, name), self)

    def succeeded(self) -> None:
        """The handshake is done: the next wait is a short one again."""
        self.error = 0
        self.why = ""
        self._delay_s = 0.0

    def lost(self, failed: ev.HandshakeFailed | None) -> None:
        """The wire is gone; ``failed``: it never got ready, and why."""
        self.wire = None
        if failed is not None:
            self.error = 0
            self.why = failed.text
        stop = self.engine.options.reconnect_stop
        if stop & (STOP_AFTER_DISCONNECT if failed is None else STOP_HANDSHAKE_FAILED):
            self.give_up()
        else:
            self.retry_later(failed)

    # -- again ---------------------------------------------------------------------------------

    def retry_later(self, failed: ev.HandshakeFailed | None = None) -> None:
        """Wait, then begin a new round."""
        if self.stopped or self._retry is not None:
            return
        interval_ms = self.engine.options.reconnect_interval_ms
        if interval_ms < 0:  # as documented: do not reconnect
            self.give_up()
            return
        delay_s = self._next_delay_s(failed)
        self.engine.report(monitor.CONNECT_RETRIED, round(delay_s * 1000), self.endpoint)
        reactor = self.engine.reactor
        self._retry = reactor.call_at(reactor.time() + delay_s, self._again)

    def _again(self) -> None:
        self.start()
        self.engine.turn()

    def _next_delay_s(self, failed: ev.HandshakeFailed | None) -> float:
        options = self.engine.options
        first_s = options.reconnect_interval_ms / 1000
        most_s = options.reconnect_interval_max_ms / 1000
        if most_s > first_s:
            delay_s = min(self._delay_s * 2 or first_s, most_s)
            self._delay_s = delay_s
        elif failed is not None:
            first_s = max(first_s, ZMQ_FAILED_PAUSE_LEAST_S)
            delay_s = max(min(self._delay_s * 2, _pause_max_s(failed)), first_s)
            self._delay_s = delay_s
        else:
            delay_s = first_s
            self._delay_s = 0.0
        return delay_s * (1 + self.engine.context.chance() / 4)

    def give_up(self) -> None:
        """Connect no more; the pipe stays, so that what was received can be read."""
        self.stop()
        self.engine.endpoints.gave_up(self)

    def stop(self) -> None:
        """Connect no more, and drop an attempt that is under way; the wire is left alone."""
        self.stopped = True
        self._generation += 1
        self._forget_attempt()
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self._socks is not None:
            self._socks.cancel()
            self._socks = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


def _pause_max_s(failed: ev.HandshakeFailed) -> float:
    """How long to leave a peer alone at most with whom a handshake has failed."""
    if failed.kind == ev.NO_DETAIL or (failed.kind == ev.AUTH and failed.code == TEMPORARY):
        return ZMQ_HUNG_UP_PAUSE_MAX_S
    return ZMQ_REFUSED_PAUSE_MAX_S
