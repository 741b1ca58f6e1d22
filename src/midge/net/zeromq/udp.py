"""``udp://``: RADIO sends datagrams, DISH receives them; unicast and multicast (RFC 48).

A datagram is the length of the group's name (one byte), the name, and the body; there is no
handshake and no connection, so a RADIO cannot know who listens and sends everything, and a DISH
takes what it has joined out of what comes. Nothing is told when a datagram is lost. What does not
fit into one, and what comes and is none of these, is dropped and counted (``too-large``,
``unsent`` and ``malformed`` in the statistics), never raised.

An endpoint is ``udp://host:port``, or ``udp://interface;group:port`` with the interface to send
or to listen at, by name or address. The STREAM-like raw form of libzmq (DGRAM) is not here.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from midge.limits import ZMQ_DATAGRAM_BYTES_MAX, ZMQ_DATAGRAMS_PER_TURN, ZMQ_UDP_RETRY_S
from midge.net.zeromq import transport
from midge.net.zeromq.addresses import (
    endpoint_text,
    local_address,
    numeric_address,
    source_address,
)
from midge.net.zeromq.reactor import Address
from midge.net.zeromq.stream_wire import StreamWire
from midge.patterns.errors import ENOCOMPATPROTO, SocketError
from midge.patterns.pattern import TOO_LARGE, UNSENT
from midge.patterns.pipe import Encoded

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine
    from midge.patterns.options import Options
    from midge.zmtp.endpoint import Endpoint

_READ_BYTES: Final = 65_536


def encode_datagram(group: Any, body: Any) -> bytes:
    """One message."""
    return b"".join((bytes((len(group),)), group, body))


def decode_datagram(data: bytes) -> list[bytes] | None:
    """Group and body; ``None`` where the datagram is none of ours."""
    if not data or len(data) <= data[0]:
        return None
    start = 1 + data[0]
    return [data[1:start], data[start:]]


class UdpWire(StreamWire):
    """One endpoint of ``udp://``: both what is bound or connected, and its only wire.

    Attributes:
        wanted: the endpoint as it was given.
    """

    __slots__ = ("_place", "_target", "wanted")

    def __init__(self, engine: SocketEngine, wanted: str, place: Endpoint, bound: bool) -> None:
        """Make the socket, and bind it if that is asked for.

        Raises:
            SocketError: ENOCOMPATPROTO for a socket type that does not speak this; EINVAL, ENODEV,
                EADDRINUSE and whatever else the system says.
        """
        if engine.type_name != ("DISH" if bound else "RADIO"):
            verb = "bound to" if bound else "connected to"
            who = "a DISH" if bound else "a RADIO"
            raise SocketError(ENOCOMPATPROTO, f"only {who} can be {verb} {wanted}")
        options = engine.options
        self._place = place
        self._target: Address | None = None
        self.wanted = wanted
        if bound:
            sock = _listen(place, options)
            endpoint = endpoint_text(sock.family, transport.local_name(sock), place)
            if place.source or _is_multicast(place.host):
                endpoint = str(place).replace(":*", f":{sock.getsockname()[1]}")
        else:
            if place.port == 0 or place.host == "*":
                raise SocketError(errno.EINVAL, f"{wanted} is no endpoint to connect to")
            self._target = numeric_address(place.host, place.port, options.ipv6)
            sock = _sender(place, self._target, options)
            endpoint = wanted
        super().__init__(engine, sock, endpoint, "", None)
        self.pipe = engine.new_pipe(endpoint, not bound)
        self.pipe.socket_type = "UDP"

    @property
    def bound(self) -> bool:
        """Whether it listens; else it sends."""
        return self.pipe is not None and not self.pipe.connecting

    def start(self) -> None:
        """Receive; or send, as soon as the address of the host is known."""
        if self.bound:
            self._begin()
            self.read_on()
        elif self._target is not None:
            self._begin()
        else:
            place = self._place
            self.engine.reactor.resolve(place.host, place.port, self.sock.family, self._resolved)

    def _resolved(self, answer: list[Address] | OSError) -> None:
        if self.closed:
            return
        if isinstance(answer, OSError) or not answer:
            self.arm(self.engine.reactor.time() + ZMQ_UDP_RETRY_S)
            return
        self._target = answer[0]
        self._begin()
        self.engine.turn()

    def due(self) -> None:
        """Ask for the address again."""
        self.start()

    def _begin(self) -> None:
        assert self.pipe is not None
        self.ready = True
        self.engine.udp_ready(self)

    # -- in ------------------------------------------------------------------------------------

    def readable(self) -> None:
        """Read the datagrams that are there, up to a bound."""
        pipe = self.pipe
        if self.closed or pipe is None:
            return
        items: list[Any] = []
        bytes_max = self.engine.options.message_bytes_max
        try:
            for _ in range(ZMQ_DATAGRAMS_PER_TURN):
                data = self.sock.recv(_READ_BYTES)
                item = decode_datagram(data)
                if item is not None and 0 <= bytes_max < len(item[1]):
                    self.engine.pattern.count_dropped(pipe, TOO_LARGE)
                else:
                    items.append(data if item is None else item)  # the pattern counts what is none
        except OSError:
            pass  # nothing more, or one datagram less
        if items:
            pipe.received += len(items)
            self.engine.pattern.deliver(pipe, items)
        if 0 < pipe.receive_mark <= len(pipe.incoming) and self._reading:
            pipe.paused = True
            self.hold()
        self.engine.turn()

    # -- out -----------------------------------------------------------------------------------

    def write(self) -> None:
        """Send what waits, one datagram a message; a DISH has nobody to tell what it joins."""
        pipe = self.pipe
        if pipe is None or not self.ready or self.closed:
            return
        outgoing = pipe.outgoing
        if self.bound:
            outgoing.clear()
        while outgoing:
            if not self._send_one(outgoing[0]):
                if not self._writing:
                    self._writing = True
                    self.engine.reactor.add_writer(self.fd, self.writable)
                return
            outgoing.popleft()
        if not pipe.active and pipe.room():
            self.engine.pattern.drained(pipe)

    def _send_one(self, item: Any) -> bool:
        """Send a message, or drop and count it; ``False``: there is no room for it now."""
        pipe = self.pipe
        assert pipe is not None
        assert self._target is not None
        group, body = item.item if type(item) is Encoded else item
        data = encode_datagram(group, body)
        if len(data) > ZMQ_DATAGRAM_BYTES_MAX:
            self.engine.pattern.count_dropped(pipe, TOO_LARGE)
            return True
        try:
            self.sock.sendto(data, self._target[1])
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # no route, too large for the interface, a firewall
            self.engine.pattern.count_dropped(pipe, UNSENT)
        else:
            pipe.sent += 1
        return True


# -- sockets -----------------------------------------------------------------------------------


def _is_multicast(host: str) -> bool:
    found = numeric_address(host, 0, True)
    if found is None:
        return False
    if found[0] == socket.AF_INET:
        return 224 <= int(host.split(".")[0]) <= 239
    return host.lower().startswith("ff")


def _listen(place: Endpoint, options: Options) -> socket.socket:
    what = f"cannot bind to {place}"
    family, address = local_address(place.host, place.port, options.ipv6)
    multicast = _is_multicast(place.host)
    try:
        sock = transport.new_datagram_socket(family, options)
    except OSError as error:
        raise transport.os_error(error, what) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if multicast:
            # Every program of this machine that has joined is to get what is sent to the group.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("::" if family == socket.AF_INET6 else "", place.port))
            _join(sock, address[0], place.source)
        else:
            sock.bind(address)
    except OSError as error:
        sock.close()
        raise transport.os_error(error, what) from None
    except SocketError:
        sock.close()
        raise
    return sock


def _join(sock: socket.socket, group: str, source: str) -> None:
    raw = socket.inet_pton(sock.family, group)
    if sock.family == socket.AF_INET6:
        request = raw + struct.pack("@I", _interface_index(source))
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    else:
        request = raw + _interface_ip(source)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)


def _interface_ip(source: str) -> bytes:
    """The address of an interface; that of none: the system chooses."""
    if not source or source == "*":
        return bytes(4)
    family, address = source_address(source, False)
    if family != socket.AF_INET:
        raise SocketError(errno.EINVAL, f"{source!r} has no IPv4 address for the group")
    return socket.inet_aton(address[0])


def _interface_index(source: str) -> int:
    if not source or source == "*":
        return 0
    try:
        return socket.if_nametoindex(source)
    except OSError:
        raise SocketError(errno.ENODEV, f"there is no interface {source!r}") from None


def _sender(place: Endpoint, target: Address | None, options: Options) -> socket.socket:
    family = socket.AF_INET if target is None else target[0]
    what = f"cannot connect to {place}"
    try:
        sock = transport.new_datagram_socket(family, options)
    except OSError as error:
        raise transport.os_error(error, what) from None
    try:
        if _is_multicast(place.host):
            _tune_multicast(sock, place.source, options)
        elif place.source:
            sock.bind(source_address(place.source, options.ipv6)[1])
    except OSError as error:
        sock.close()
        raise transport.os_error(error, what) from None
    except SocketError:
        sock.close()
        raise
    return sock


def _tune_multicast(sock: socket.socket, source: str, options: Options) -> None:
    loop, hops = int(options.multicast_loop), options.multicast_hops
    if sock.family == socket.AF_INET6:
        level = socket.IPPROTO_IPV6
        sock.setsockopt(level, socket.IPV6_MULTICAST_LOOP, loop)
        sock.setsockopt(level, socket.IPV6_MULTICAST_HOPS, hops)
        sock.setsockopt(level, socket.IPV6_MULTICAST_IF, _interface_index(source))
    else:
        level = socket.IPPROTO_IP
        sock.setsockopt(level, socket.IP_MULTICAST_LOOP, loop)
        sock.setsockopt(level, socket.IP_MULTICAST_TTL, hops)
        sock.setsockopt(level, socket.IP_MULTICAST_IF, _interface_ip(source))
