"""The client's half of SOCKS 5 (RFC 1928, RFC 1929): being connected by a proxy.

Name look-up is left to the proxy. Only CONNECT is asked for, with no authentication or with a user
name and a password. The socket is handed on once the proxy has said yes, with nothing read beyond
its answer.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Final

from midge.limits import ZMQ_SOCKS_TIMEOUT_S
from midge.net.zeromq.reactor import Handle, Reactor
from midge.patterns.errors import SocketError

_VERSION: Final = 5
_NO_AUTH: Final = 0
_PASSWORD: Final = 2
_CONNECT: Final = 1
_IPV4: Final = 1
_NAME: Final = 3
_IPV6: Final = 4
#: What the proxy says of a failure, as errnos; the rest is ECONNREFUSED.
_ERRNOS: Final = {3: errno.ENETUNREACH, 4: errno.EHOSTUNREACH, 6: errno.ETIMEDOUT}


def proxy_place(text: str) -> tuple[str, int]:
    """Host and port of ``SOCKS_PROXY``.

    Raises:
        SocketError: EINVAL.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SocketError(errno.EINVAL, f"SOCKS_PROXY has the form host:port, not {text!r}")
    return host, int(port)


class SocksRequest:
    """The conversation with a proxy on one connected socket."""

    __slots__ = (
        "_data",
        "_done",
        "_limit",
        "_password",
        "_reactor",
        "_sock",
        "_step",
        "_target",
        "_username",
    )

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        target: tuple[str, int],
        username: str,
        password: str,
        done: Callable[[socket.socket, int], None],
    ) -> None:
        self._reactor = reactor
        self._sock = sock
        self._target = target
        self._username = username.encode("utf-8")
        self._password = password.encode("utf-8")
        self._done = done
        self._data = b""
        self._step: Callable[[], bool] = self._read_method
        self._limit: Handle | None = None

    def start(self) -> None:
        """Greet the proxy; ``done`` is called with the socket and 0 or an errno."""
        reactor = self._reactor
        reactor.add_reader(self._sock.fileno(), self._readable)
        self._limit = reactor.call_at(reactor.time() + ZMQ_SOCKS_TIMEOUT_S, self._too_late)
        methods = bytes((_NO_AUTH, _PASSWORD)) if self._username else bytes((_NO_AUTH,))
        self._say(bytes((_VERSION, len(methods))) + methods)

    def cancel(self) -> None:
        """Drop it, socket and all."""
        self._leave()
        self._sock.close()

    def _leave(self) -> None:
        self._reactor.remove_reader(self._sock.fileno())
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _end(self, code: int) -> None:
        if self._limit is not None:
            self._leave()
            self._done(self._sock, code)

    def _too_late(self) -> None:
        self._end(errno.ETIMEDOUT)

    def _say(self, data: bytes) -> None:
        try:
            sent = self._sock.send(data)
        except OSError:
            sent = -1
        if sent != len(data):  # a few dozen bytes on a fresh connection always fit
            self._end(errno.ECONNRESET)

    def _readable(self) -> None:
        try:
            # Byte by byte up to what is needed: what follows is the peer's.
            while True:
                data = self._sock.recv(1)
                if not data:
                    self._end(errno.ECONNRESET)
                    return
                self._data += data
                if self._step() or self._limit is None:
                    return
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error.errno or errno.EIO)

    def _read_method(self) -> bool:
        data = self._data
        if len(data) < 2:
            return False
        self._data = b""
        if data[0] != _VERSION or data[1] not in (_NO_AUTH, _PASSWORD):
            self._end(errno.ECONNREFUSED)
        elif data[1] == _PASSWORD:
            self._step = self._read_login
            user, password = self._username[:255], self._password[:255]
            self._say(b"\x01" + bytes((len(user),)) + user + bytes((len(password),)) + password)
        else:
            self._ask()
        return False

    def _read_login(self) -> bool:
        if len(self._data) < 2:
            return False
        allowed = self._data[1] == 0
        self._data = b""
        if allowed:
            self._ask()
        else:
            self._end(errno.EACCES)
        return False

    def _ask(self) -> None:
        self._step = self._read_answer
        host, port = self._target
        try:
            number = ipaddress.ip_address(host)
            place = bytes((_IPV4 if number.version == 4 else _IPV6,)) + number.packed
        except ValueError:
            try:
                name = host.encode("idna")[:255]
            except UnicodeError:
                self._end(errno.EINVAL)
                return
            place = bytes((_NAME, len(name))) + name
        self._say(bytes((_VERSION, _CONNECT, 0)) + place + port.to_bytes(2, "big"))

    def _read_answer(self) -> bool:
        data = self._data
        if len(data) < 5:
            return False
        if data[0] != _VERSION or data[1]:
            self._end(_ERRNOS.get(data[1], errno.ECONNREFUSED))
            return True
        sizes = {_IPV4: 10, _IPV6: 22, _NAME: 7 + data[4]}
        size = sizes.get(data[3], 0)
        if not size:
            self._end(errno.ECONNREFUSED)
            return True
        if len(data) < size:
            return False
        self._end(0)
        return True
