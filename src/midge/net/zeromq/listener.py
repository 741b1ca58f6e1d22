"""A bound endpoint of tcp, ipc, ws or wss: accepts peers and hands them to the engine.

Storms are bounded: so many peers are taken per turn, and while too many of the engine's peers have
just begun their handshake none at all; the kernel's backlog holds the rest. When the process is out
of descriptors the listener rests for a moment, instead of spinning.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from midge.limits import ZMQ_ACCEPT_PAUSE_S, ZMQ_ACCEPTS_PER_TURN
from midge.net.zeromq import transport
from midge.net.zeromq.addresses import endpoint_text, peer_host
from midge.net.zeromq.reactor import Handle
from midge.patterns import monitor
from midge.patterns.networks import admits

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine
    from midge.net.zeromq.wires import WireMaker
    from midge.zmtp.endpoint import Endpoint

#: What is wrong with the one connection that was to be accepted, not with accepting.
_PASSING: Final = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM})


class Listener:
    """See the module.

    Attributes:
        wanted: the endpoint as it was given to bind.
        wires: makes the wires of its connections.
        place: the same, taken apart.
        endpoint: the one that it became.
    """

    __slots__ = (
        "_accepting",
        "_crowded",
        "_fresh",
        "_given",
        "_inode",
        "_path",
        "_rest",
        "closed",
        "endpoint",
        "engine",
        "place",
        "sock",
        "wanted",
        "wires",
    )

    def __init__(
        self, engine: SocketEngine, wanted: str, place: Endpoint, wires: WireMaker
    ) -> None:
        """Bind and listen.

        Raises:
            SocketError: see :mod:`midge.net.zeromq.transport`.
        """
        options = engine.options
        self.engine = engine
        self.wanted = wanted
        self.place = place
        self.wires = wires
        self._path = ""
        self._fresh = place.transport == "ipc" and place.path == "*"
        self._inode = 0
        self._given = options.use_fd >= 0
        if self._given:
            self.sock = _given_socket(options.use_fd)
        elif place.transport == "ipc":
            self.sock, self._path = transport.listen_ipc(place, options)
            if not self._path.startswith("@"):
                self._inode = os.stat(self._path).st_ino
        else:
            self.sock = transport.listen_tcp(place, options)
        name = transport.local_name(self.sock)
        self.endpoint = (
            f"ipc://{self._path}" if self._path else endpoint_text(self.sock.family, name, place)
        )
        self.closed = False
        self._accepting = False
        self._rest: Handle | None = None  # until there may be descriptors again
        self._crowded: Handle | None = None  # until there may be room for a handshake

    def start(self) -> None:
        """Accept from now on."""
        self.engine.report(monitor.LISTENING, self.sock.fileno(), self.endpoint)
        self.accept_on()

    def accept_on(self) -> None:
        """Accept again, after a pause."""
        if self._crowded is not None:
            self._crowded.cancel()
            self._crowded = None
        if not self._accepting and not self.closed and self._rest is None:
            self._accepting = True
            self.engine.reactor.add_reader(self.sock.fileno(), self._acceptable)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            self.engine.reactor.remove_reader(self.sock.fileno())

    def _acceptable(self) -> None:
        for _ in range(ZMQ_ACCEPTS_PER_TURN):
            if self.closed or not self._accept_one():
                break
        self.engine.turn()

    def _accept_one(self) -> bool:
        engine = self.engine
        when = engine.shaking.full_until()
        if when:
            self._pause()  # accept_on() is called, too, as soon as there are fewer
            if self._crowded is None:
                self._crowded = engine.reactor.call_at(when, self.accept_on)
            return False
        try:
            sock, name = self.sock.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            return self._accept_failed(error)
        sock.setblocking(False)
        host = peer_host(sock.family, name)
        if not self._let_in(sock, host):
            sock.close()
            engine.report(monitor.ACCEPT_FAILED, errno.EACCES, self.endpoint)
            return True
        transport.tune_connected(sock, engine.options)
        endpoint = self.endpoint
        if sock.family != socket.AF_UNIX:
            endpoint = endpoint_text(sock.family, transport.local_name(sock), self.place)
        engine.report(monitor.ACCEPTED, sock.fileno(), endpoint)
        engine.accepted(sock, endpoint, host, self)
        return True

    def _accept_failed(self, error: OSError) -> bool:
        code = error.errno or errno.EIO
        self.engine.report(monitor.ACCEPT_FAILED, code, self.endpoint)
        if code in _PASSING:
            return True
        # EMFILE, ENFILE, ENOBUFS, ENOMEM: the peer stays readable in the backlog, and trying
        # again at once would be a busy loop.
        self._pause()
        reactor = self.engine.reactor
        self._rest = reactor.call_at(reactor.time() + ZMQ_ACCEPT_PAUSE_S, self._rested)
        return False

    def _rested(self) -> None:
        self._rest = None
        self.accept_on()

    def _let_in(self, sock: socket.socket, host: str) -> bool:
        """The filters: no filter lets everybody in, else one that fits is enough."""
        options = self.engine.options
        if sock.family != socket.AF_UNIX:
            return admits(options.tcp_accept_filter, host)
        filters = (options.ipc_filter_pid, options.ipc_filter_uid, options.ipc_filter_gid)
        if not any(filters):
            return True
        try:
            peer = transport.peer_credentials(sock)
        except OSError:
            return False
        return any(one in allowed for one, allowed in zip(peer, filters, strict=True))

    def close(self) -> None:
        """Stop listening; peers that were accepted stay."""
        if self.closed:
            return
        self.closed = True
        self._pause()
        if self._rest is not None:
            self._rest.cancel()
        if self._crowded is not None:
            self._crowded.cancel()
        fd = self.sock.fileno()
        self.sock.close()
        if self._path and not self._given and self._is_ours():
            transport.remove_ipc_path(self._path, self._fresh)
        self.engine.report(monitor.CLOSED, fd, self.endpoint)

    def _is_ours(self) -> bool:
        """Whether the path is still the file that we made: another program may have taken it."""
        try:
            return os.stat(self._path).st_ino == self._inode
        except OSError:
            return False


def _given_socket(fd: int) -> socket.socket:
    """The listening socket behind a descriptor (``USE_FD``), which is ours from now on."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise transport.os_error(error, f"descriptor {fd} is no socket to listen on") from None
    sock.setblocking(False)
    return sock
