"""Endpoints of tcp and ipc as the system's addresses, and back.

Nothing here asks a name server: a bind takes numbers, ``*``, ``localhost`` and the names of
interfaces; a connect that needs more goes through the reactor's resolver.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import tempfile
from typing import Any, Final

from midge.net.zeromq.reactor import Address
from midge.patterns.errors import SocketError
from midge.zmtp.endpoint import Endpoint

_SIOCGIFADDR: Final = 0x8915
_INTERFACE_NAME_BYTES_MAX: Final = 15
#: Room for a path in ``sockaddr_un``, its closing NUL included.
_UNIX_PATH_BYTES: Final = 108


def numeric_address(host: str, port: int, ipv6: bool) -> Address | None:
    """The address that ``host`` spells in digits, or ``None`` when it is a name."""
    families = (socket.AF_INET, socket.AF_INET6) if ipv6 or ":" in host else (socket.AF_INET,)
    bare, _, zone = host.partition("%")
    for family in families:
        try:
            socket.inet_pton(family, bare)
        except OSError:
            continue
        if family == socket.AF_INET:
            return (family, (host, port))
        return (family, (bare, port, 0, _zone_index(zone)))
    return None


def _zone_index(zone: str) -> int:
    if not zone:
        return 0
    try:
        return int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    except OSError:
        raise SocketError(errno.ENODEV, f"there is no interface {zone!r}") from None


def local_address(host: str, port: int, ipv6: bool) -> Address:
    """The address to bind a TCP socket to.

    Raises:
        SocketError: ENODEV: ``host`` is no address and no interface of this machine.
    """
    if host == "*":
        return (socket.AF_INET6, ("::", port, 0, 0)) if ipv6 else (socket.AF_INET, ("", port))
    if host == "localhost":
        return (socket.AF_INET, ("127.0.0.1", port))
    found = numeric_address(host, port, ipv6) or _interface_address(host, port, ipv6)
    if found is None:
        raise SocketError(
            errno.ENODEV,
            f"{host!r} is no address to bind to: use an IP address, an interface's name or *",
        )
    return found


def _interface_address(name: str, port: int, ipv6: bool) -> Address | None:
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) > _INTERFACE_NAME_BYTES_MAX:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", raw))
        except OSError:
            return _interface_address6(name, port) if ipv6 else None
    return (socket.AF_INET, (socket.inet_ntoa(answer[20:24]), port))


def _interface_address6(name: str, port: int) -> Address | None:
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as table:
            rows = [line.split() for line in table]
    except OSError:
        return None
    for row in rows:
        if row[-1] == name:
            host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0]))
            return (socket.AF_INET6, (host, port, 0, int(row[1], 16)))
    return None


def source_address(source: str, ipv6: bool) -> Address:
    """The address before the semicolon of ``tcp://source;destination``.

    Raises:
        SocketError: EINVAL for a malformed one, ENODEV as in :func:`local_address`.
    """
    host, colon, port_text = source.rpartition(":")
    if not colon or "]" in port_text:
        host, port_text = source, "0"
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    port_text = "0" if port_text == "*" else port_text
    if not host or not port_text.isascii() or not port_text.isdecimal() or int(port_text) > 65535:
        raise SocketError(errno.EINVAL, f"{source!r} is no address to connect from")
    return local_address(host, int(port_text), ipv6)


def ipc_address(path: str) -> str | bytes:
    """What bind and connect take for an ipc path; ``@name`` is an abstract one.

    Raises:
        SocketError: ENAMETOOLONG.
    """
    raw = os.fsencode(path)
    if path.startswith("@"):
        raw = b"\0" + raw[1:]
    if len(raw) >= _UNIX_PATH_BYTES:
        raise SocketError(
            errno.ENAMETOOLONG, f"an ipc path has at most {_UNIX_PATH_BYTES - 1} bytes: {path!r}"
        )
    return raw if path.startswith("@") else path


def fresh_ipc_path() -> str:
    """A path in a directory of its own, which only this user can enter, for ``ipc://*``."""
    return os.path.join(tempfile.mkdtemp(prefix="midge-"), "socket")


def endpoint_text(family: int, address: Any, place: Endpoint | None = None) -> str:
    """A socket's own name, or its peer's, as an endpoint.

    Args:
        family: of the socket.
        address: of the system.
        place: where its transport and path are from; tcp without.
    """
    if family == socket.AF_UNIX:
        path = os.fsdecode(address)
        return f"ipc://@{path[1:]}" if path.startswith("\0") else f"ipc://{path}"
    host = address[0]
    if family == socket.AF_INET6:
        # A peer with IPv4 on a socket for both is shown as what it is.
        host = host[7:] if host.startswith("::ffff:") and "." in host else f"[{host}]"
    if place is None:
        return f"tcp://{host}:{address[1]}"
    return f"{place.transport}://{host}:{address[1]}{place.path}"


def peer_host(family: int, address: Any) -> str:
    """The peer's address for ZAP and for a message's metadata: numbers without a port."""
    if family == socket.AF_UNIX:
        return ""
    host: str = address[0]
    return host[7:] if host.startswith("::ffff:") and "." in host else host
