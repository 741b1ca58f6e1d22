"""Endpoints: ``tcp://127.0.0.1:5555`` and its relatives, as values.

An endpoint is only read here. Whether a host exists or a path may be made is for :mod:`midge.net`
to find out.
"""

from __future__ import annotations

import errno
from typing import Final

from midge.errors import MidgeError

TRANSPORTS: Final = ("tcp", "ipc", "inproc", "ws", "wss", "udp")
_WITH_PORT: Final = frozenset({"tcp", "ws", "wss", "udp"})
#: The longest name of an inproc endpoint, as libzmq documents it.
_INPROC_BYTES_MAX: Final = 256


class EndpointError(MidgeError, ValueError):
    """A text that is no endpoint.

    Attributes:
        errno: ``EINVAL``, or ``EPROTONOSUPPORT`` for an unknown transport.
    """

    def __init__(self, text: str, number: int = errno.EINVAL) -> None:
        super().__init__(text)
        self.errno = number


class Endpoint:
    """Where to bind or to connect.

    Attributes:
        transport: one of :data:`TRANSPORTS`.
        host: without brackets; ``"*"`` for all interfaces. Empty for ipc and inproc.
        port: 0: any free one, which only a bind can use.
        path: of ipc and ws (there it starts with ``/``), the name of inproc. An ipc path that
            starts with ``@`` is an abstract name, ``*`` alone asks for a fresh one.
        source: the local address to connect from, ``host:port``, or nothing.
    """

    __slots__ = ("host", "path", "port", "source", "transport")

    def __init__(
        self, transport: str, host: str = "", port: int = 0, path: str = "", source: str = ""
    ) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.path = path
        self.source = source

    def __str__(self) -> str:
        if self.transport not in _WITH_PORT:
            return f"{self.transport}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        source = f"{self.source};" if self.source else ""
        return f"{self.transport}://{source}{host}:{self.port or '*'}{self.path}"


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that ``text`` names.

    Raises:
        EndpointError: it names none.
    """
    transport, mark, rest = text.partition("://")
    if not mark or not rest:
        raise EndpointError(f"{text!r} is no endpoint: it has the form transport://address")
    if transport not in TRANSPORTS:
        known = ", ".join(TRANSPORTS)
        raise EndpointError(
            f"{transport!r} is no transport; there are {known}", errno.EPROTONOSUPPORT
        )
    if transport == "ipc":
        return Endpoint(transport, path=rest)
    if transport == "inproc":
        if len(rest.encode("utf-8")) > _INPROC_BYTES_MAX:
            raise EndpointError("the name of an inproc endpoint has at most 256 bytes")
        return Endpoint(transport, path=rest)
    path = ""
    if transport in ("ws", "wss"):
        rest, slash, tail = rest.partition("/")
        path = slash + tail
    source, semicolon, target = rest.rpartition(";")
    if semicolon and not source:
        raise EndpointError(f"{text!r} has an empty address to connect from")
    host, port = _host_and_port(text, target)
    return Endpoint(transport, host, port, path, source)


def _host_and_port(text: str, address: str) -> tuple[str, int]:
    host, colon, port_text = address.rpartition(":")
    if not colon or not host:
        raise EndpointError(f"{text!r} lacks a host or a port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif "[" in host or "]" in host:
        raise EndpointError(f"{text!r} has a bracket too many or too few")
    if not host:
        raise EndpointError(f"{text!r} lacks a host")
    if port_text == "*":
        return host, 0
    digits = port_text.isascii() and port_text.isdecimal() and len(port_text) <= 5
    if not digits or int(port_text) > 65535:
        raise EndpointError(f"{text!r} has no valid port: 1 to 65535, or * for any free one")
    return host, int(port_text)
