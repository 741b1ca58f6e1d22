"""Sockets of the system as the options want them: made, tuned, bound, listened on.

Only here is an option turned into a ``setsockopt``. Nothing blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from midge.net.zeromq.addresses import fresh_ipc_path, ipc_address, local_address
from midge.net.zeromq.reactor import Address
from midge.patterns.errors import SocketError
from midge.zmtp.endpoint import Endpoint

if TYPE_CHECKING:
    from midge.patterns.options import Options

_UCRED: Final = struct.Struct("3i")


def os_error(error: OSError, what: str) -> SocketError:
    """The same fault as an error of a ZeroMQ socket."""
    return SocketError(error.errno or errno.EIO, f"{what}: {error.strerror or error}")


def new_socket(family: int, options: Options) -> socket.socket:
    """A non-blocking stream socket with what must be set before it is bound or connected."""
    return _new_socket(family, socket.SOCK_STREAM, options)


def new_datagram_socket(family: int, options: Options) -> socket.socket:
    """The same for datagrams."""
    return _new_socket(family, socket.SOCK_DGRAM, options)


def _new_socket(family: int, kind: int, options: Options) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        _set_buffers(sock, options)
        if family != socket.AF_UNIX:
            _set_route(sock, family, options)
    except OSError:
        sock.close()
        raise
    return sock


def _set_buffers(sock: socket.socket, options: Options) -> None:
    # Before the connection: the window's scale is agreed on with the first packet.
    if options.send_buffer_bytes >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer_bytes)
    if options.receive_buffer_bytes >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer_bytes)


def _set_route(sock: socket.socket, family: int, options: Options) -> None:
    if options.tos:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, options.tos)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, options.tos)
    if options.priority:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, options.priority)
    if options.bind_to_device:
        name = options.bind_to_device.encode("utf-8", "surrogateescape")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def tune_connected(sock: socket.socket, options: Options) -> None:
    """What a connection gets; an option that the system refuses here does not end it."""
    if sock.family == socket.AF_UNIX:
        return
    for level, name, value in _tcp_options(options):
        with contextlib.suppress(OSError):
            sock.setsockopt(level, name, value)


def _tcp_options(options: Options) -> list[tuple[int, int, int]]:
    # Messages are batched before they come here: to wait for more only costs time.
    wanted = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    if options.tcp_keepalive >= 0:
        wanted.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, options.tcp_keepalive))
    if options.tcp_keepalive == 1:
        for name, value in (
            (socket.TCP_KEEPCNT, options.tcp_keepalive_count),
            (socket.TCP_KEEPIDLE, options.tcp_keepalive_idle_s),
            (socket.TCP_KEEPINTVL, options.tcp_keepalive_interval_s),
        ):
            if value > 0:
                wanted.append((socket.IPPROTO_TCP, name, value))
    if options.tcp_maxrt_ms > 0:
        wanted.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, options.tcp_maxrt_ms))
    return wanted


def listen_tcp(endpoint: Endpoint, options: Options) -> socket.socket:
    """A socket that listens at ``tcp://``.

    Raises:
        SocketError: EADDRINUSE, EADDRNOTAVAIL, ENODEV and whatever else the system says.
    """
    family, address = local_address(endpoint.host, endpoint.port, options.ipv6)
    what = f"cannot bind to {endpoint}"
    try:
        sock = new_socket(family, options)
    except OSError as error:
        raise os_error(error, what) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(options.backlog)
    except OSError as error:
        sock.close()
        raise os_error(error, what) from None
    return sock


def listen_ipc(endpoint: Endpoint, options: Options) -> tuple[socket.socket, str]:
    """A socket that listens at ``ipc://``, and its path; ``ipc://*`` makes a fresh one.

    A file that a program left behind is replaced; one where somebody listens is not.

    Raises:
        SocketError: EADDRINUSE, ENAMETOOLONG, EACCES and whatever else the system says.
    """
    path = fresh_ipc_path() if endpoint.path == "*" else endpoint.path
    address = ipc_address(path)
    what = f"cannot bind to ipc://{path}"
    try:
        sock = new_socket(socket.AF_UNIX, options)
    except OSError as error:
        raise os_error(error, what) from None
    try:
        try:
            sock.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or path.startswith("@") or _alive(address):
                raise
            os.unlink(path)
            sock.bind(address)
        sock.listen(options.backlog)
    except OSError as error:
        sock.close()
        raise os_error(error, what) from None
    return sock, path


def _alive(address: str | bytes) -> bool:
    """Whether anybody listens at an ipc address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except BlockingIOError:
            return True  # its backlog is full
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def remove_ipc_path(path: str, fresh: bool) -> None:
    """Remove what :func:`listen_ipc` made; ``fresh``: its directory, too."""
    if path.startswith("@"):
        return
    with contextlib.suppress(OSError):
        os.unlink(path)
        if fresh:
            os.rmdir(os.path.dirname(path))


def begin_connect(
    address: Address, source: Address | None, options: Options
) -> tuple[socket.socket, int]:
    """A socket that is being connected, and the errno of the attempt so far.

    Raises:
        OSError: there is no such socket to be had.
    """
    family, target = address
    sock = new_socket(family, options)
    try:
        if source is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(source[1])
        return sock, sock.connect_ex(target)
    except OSError:
        sock.close()
        raise


def connect_outcome(sock: socket.socket) -> int:
    """The errno of a connect that was said to be decided; EINPROGRESS when it is not."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        return code
    try:
        sock.getpeername()
    except OSError:
        return errno.EINPROGRESS
    return 0


def peer_credentials(sock: socket.socket) -> tuple[int, int, int]:
    """Process, user and group of an ipc peer, as the system knows them."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(raw)
    return pid, uid, gid


def local_name(sock: socket.socket) -> Any:
    """``getsockname`` that does not raise."""
    try:
        return sock.getsockname()
    except OSError:
        return ("", 0)
