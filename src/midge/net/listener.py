"""Listening sockets, opened before an event loop has to do with them.

So a port that is taken is an error at start, with its name, and IPv4 and IPv6 are two sockets that
the log can name one by one.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, TypeAlias

from midge.limits import (
    LISTEN_BACKLOG,
    TCP_KEEPALIVE_COUNT,
    TCP_KEEPALIVE_EVERY_S,
    TCP_KEEPALIVE_IDLE_S,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What :func:`socket.getaddrinfo` gives: family, kind, protocol, a name, the address.
Place: TypeAlias = "tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]"


def open_tcp(
    host: str | None, port: int, family: int = 0, interface: str | None = None
) -> list[socket.socket]:
    """Sockets that listen on ``port`` of every address of ``host``.

    Args:
        host: a name or address; ``None`` for all addresses of the machine.
        port: 0 for a free one, the same for all addresses.
        family: ``socket.AF_INET`` or ``AF_INET6`` for only these; 0 for both.
        interface: only its addresses, as they are now; ``None`` for any.

    Raises:
        OSError: nothing could be opened; says which address and why.
    """
    addresses = resolve(host, port, family, interface)
    for _ in range(16):
        try:
            return _open_all(addresses, port)
        except OSError as error:
            # A free port of one family can be taken in the other: try again with another one.
            if port or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "no port is free in all address families")


def resolve(
    host: str | None, port: int, family: int = 0, interface: str | None = None
) -> list[Place]:
    """Where :func:`open_tcp` listens; IPv4 first, as the log of Mosquitto has it.

    Raises:
        OSError: the host or the interface is not known, or they do not belong together.
    """
    flags = socket.AI_PASSIVE
    if host is not None and family == 0:
        flags |= socket.AI_ADDRCONFIG
    places: list[Place] = [*socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, flags)]
    places.sort(key=lambda place: place[0] != socket.AF_INET)
    return places if interface is None else _at_interface(interface, host, places)


def _at_interface(interface: str, host: str | None, places: list[Place]) -> list[Place]:
    """The same places at one interface.

    It is its addresses that count, as with Mosquitto, and not by which interface packets come: the
    latter (``SO_BINDTODEVICE``) would shut out programs on the same machine.
    """
    from midge.net.interfaces import addresses_of

    found = addresses_of(interface)
    if host is not None:
        own = [(family, address) for family, address, _ in found]
        for family, _, _, _, at in places:
            if (family, str(at[0]).partition("%")[0]) not in own:
                raise OSError(
                    errno.EADDRNOTAVAIL,
                    f"Interface address for {interface} does not match specified listener address "
                    f"({host})",
                )
        return places
    families = {place[0]: place for place in places}
    wanted: list[Place] = []
    for family, address, scope in found:
        if family in families:
            _, kind, protocol, name, at = families[family]
            more = (0, scope) if family == socket.AF_INET6 else ()
            wanted.append((family, kind, protocol, name, (address, at[1], *more)))
    if not wanted:
        raise OSError(errno.EADDRNOTAVAIL, f"Interface {interface} has no address to listen on")
    return wanted


def _open_all(places: Sequence[Place], port: int) -> list[socket.socket]:
    opened: list[socket.socket] = []
    unsupported: OSError | None = None
    try:
        for family, kind, protocol, _, address in places:
            try:
                listening = socket.socket(family, kind, protocol)
            except OSError as error:
                unsupported = error  # a machine without IPv6 still has IPv4
                continue
            opened.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listening.bind((address[0], port, *address[2:]))
            except OSError as error:
                if family == socket.AF_INET6 and error.errno == errno.EADDRNOTAVAIL and opened[1:]:
                    opened.pop().close()  # IPv6 is there but switched off
                    continue
                raise
            if not port:
                port = listening.getsockname()[1]
            listening.listen(LISTEN_BACKLOG)
            listening.setblocking(False)
    except OSError:
        for listening in opened:
            listening.close()
        raise
    if not opened:
        raise unsupported or OSError(errno.EADDRNOTAVAIL, "no address to listen on")
    return opened


def open_unix(path: str) -> socket.socket:
    """A socket that listens at ``path``; one that nobody serves any more is replaced.

    Raises:
        OSError: the path is in use, or cannot be made.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.exists(path) and _is_abandoned(path):
            os.unlink(path)
        listening.bind(path)
        listening.listen(LISTEN_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def keep_alive(listening: socket.socket) -> None:
    """Have the system find out when the host of somebody who was accepted here is gone.

    For protocols without a keep alive of their own. A program that lives and reads nothing is left
    in peace: its system answers. What systems cannot do is left out.
    """
    if listening.family == socket.AF_UNIX:
        return
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # who is accepted inherits it
    for name, value in (
        ("TCP_KEEPIDLE", TCP_KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", TCP_KEEPALIVE_EVERY_S),
        ("TCP_KEEPCNT", TCP_KEEPALIVE_COUNT),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            listening.setsockopt(socket.IPPROTO_TCP, option, value)


def _is_abandoned(path: str) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    finally:
        probe.close()
    return False
