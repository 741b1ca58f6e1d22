"""A client's connection on a plain blocking socket: the shell of the commands and the sync face.

One call, :meth:`BlockingLink.turn`, is one turn of a loop: write what the client has queued, wait
for the socket (or the client's next deadline, or the caller's), read what has come, and return what
happened. Nothing runs between two turns, so a caller that does not turn for longer than the keep
alive loses its connection.

No threads, no event loop, no TLS.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

from midge.limits import READ_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.client.core import Client, Event

#: How much one turn writes at most before it looks whether the server has something to say.
_WRITE_BYTES_MAX: Final = 1_048_576
#: How long we wait after our goodbye for the server to close its end.
_DRAIN_S: Final = 1.0
_READABLE: Final = select.POLLIN | select.POLLHUP | select.POLLERR


def connect_tcp(
    host: str,
    port: int,
    *,
    bind_address: str | None = None,
    timeout_s: float | None = None,
    nodelay: bool = True,
) -> socket.socket:
    """Connect to the first address of ``host`` that answers, whatever its family.

    Args:
        bind_address: a local address or host name to connect from.
        timeout_s: how long each address may take; ``None`` leaves it to the system.
        nodelay: send small packets at once (TCP_NODELAY).

    Raises:
        socket.gaierror: the name cannot be looked up.
        OSError: no address answered; the error of the last one.
    """
    last_error = OSError(f"no address is known for {host}")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, socket.AF_UNSPEC, socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        try:
            if bind_address is not None:
                _bind(sock, bind_address, family)
            sock.settimeout(timeout_s)
            sock.connect(address)
        except OSError as error:
            sock.close()
            last_error = error
            continue
        if nodelay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    raise last_error


def _bind(sock: socket.socket, address: str, family: int) -> None:
    local = socket.getaddrinfo(address, 0, family, socket.SOCK_STREAM)
    sock.bind(local[0][4])


def connect_unix(path: str, *, timeout_s: float | None = None) -> socket.socket:
    """Connect to the socket at ``path`` in the file system.

    Raises:
        OSError: nobody listens there.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


_NOTHING: Final = memoryview(b"")


class Signals:
    """Signals as something that can be waited for together with sockets.

    While it is open, the given signals no longer end the process: they make :attr:`fd` readable,
    which ends a turn that waits. (A handler alone would not: the system call is started again
    behind it.)

    Attributes:
        fd: give it to :meth:`BlockingLink.turn` as a descriptor to watch.
    """

    __slots__ = ("_old_handlers", "_old_wakeup", "_write_fd", "fd")

    def __init__(self, *numbers: int) -> None:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        self._old_wakeup = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._old_handlers = [(number, signal.signal(number, _no_action)) for number in numbers]

    def received(self) -> int:
        """The first signal that came since the last call, 0 for none."""
        try:
            numbers = os.read(self.fd, 64)
        except BlockingIOError:
            return 0
        return numbers[0] if numbers else 0

    def close(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._old_handlers:
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self.fd)
        os.close(self._write_fd)


def _no_action(number: int, frame: object) -> None:
    """Stands where a handler must stand for the wake-up to be written."""


class BlockingLink:
    """A client core tied to a socket.

    Attributes:
        client: the core; its verbs may be called between two turns.
        closed: the socket is closed and the client knows.
        broken: it did not end in order: bytes were not taken, or the peer reset it, so that what
            was sent last may not have arrived.
        ready_fd: after a turn, the watched descriptor that was ready, or -1.
    """

    __slots__ = (
        "_clock",
        "_poll",
        "_sock",
        "_unsent",
        "_watched",
        "broken",
        "client",
        "closed",
        "ready_fd",
    )

    def __init__(
        self,
        client: Client,
        sock: socket.socket,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over a connected socket; the client's CONNECT goes out with the first turn."""
        self.client = client
        self.closed = False
        self.broken = False
        self.ready_fd = -1
        self._clock = clock
        self._sock = sock
        self._unsent: memoryview = _NOTHING
        self._poll = select.poll()
        self._watched: dict[int, None] = {}
        sock.setblocking(False)
        self._poll.register(sock.fileno(), select.POLLIN)

    def now(self) -> float:
        """The time on the clock that the client lives by, in seconds."""
        return self._clock()

    def turn(self, until: float | None = None, watch: tuple[int, ...] = ()) -> list[Event]:
        """Write, wait, read: returns what happened, which may be nothing.

        Args:
            until: when to come back at the latest, on the clock of :meth:`now`; ``None`` waits as
                long as it takes, a time in the past does not wait.
            watch: other descriptors whose readiness to be read ends the wait.

        Returns:
            The client's events. After the last of a connection, :attr:`closed` is true.
        """
        client = self.client
        self.ready_fd = -1
        if self.closed:
            return []
        if not self._write():
            return self._last_words()
        if client.closing and not self._unsent:
            return self._end()  # the goodbye has left
        ready = self._wait(until, watch)
        events: list[Event] = []
        if ready & _READABLE:
            data = self._read()
            if data is None:
                return []
            if not data:
                return self._end()
            events = client.receive_data(data, self._clock())
        deadline = client.next_deadline()
        if deadline is not None and self._clock() >= deadline:
            events += client.tick(self._clock())
        # Acknowledgements of what was just read leave now, not with the next turn.
        if not self._write() or (client.closing and not self._unsent):
            events += self._end()
        return events

    def flush(self, timeout_s: float = 0.0) -> None:
        """Write what is queued, waiting up to ``timeout_s`` for a socket that is full."""
        until = self._clock() + timeout_s
        while self._write() and self._unsent:
            left_s = until - self._clock()
            if left_s <= 0:
                return
            select.select([], [self._sock], [], left_s)

    def backlog(self) -> int:
        """How many bytes the socket has not taken yet."""
        return len(self._unsent)

    def close(self) -> None:
        """Close the socket, whatever is queued; the client hears of it. Twice is no harm."""
        if not self.closed:
            self.broken = self.broken or bool(self._unsent)
            self._end()

    def _write(self) -> bool:
        """Write as much as the socket takes; false when the connection is gone."""
        chunks = self.client.data_to_send()
        unsent = self._unsent
        if chunks:
            unsent = memoryview(b"".join([unsent, *chunks] if unsent else chunks))
        try:
            while unsent:
                unsent = unsent[self._sock.send(unsent[:_WRITE_BYTES_MAX]) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = _NOTHING
            self.broken = True
            return False
        self._unsent = unsent
        return True

    def _read(self) -> bytes | None:
        """What has come; nothing at the end of the connection; ``None`` when it was no more."""
        try:
            return self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            self.broken = True
            return b""

    def _wait(self, until: float | None, watch: tuple[int, ...]) -> int:
        """Wait for the socket, a watched descriptor, or time; the socket's readiness."""
        deadline = self.client.next_deadline()
        if deadline is None or (until is not None and until < deadline):
            deadline = until
        timeout_ms = -1.0
        if deadline is not None:
            # Rounded up by poll itself: it does not come back before the time.
            timeout_ms = max(0.0, (deadline - self._clock()) * 1000)
        own_fd = self._sock.fileno()
        self._poll.modify(own_fd, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        self._watch(watch)
        ready = 0
        for fd, bits in self._poll.poll(timeout_ms):
            if fd == own_fd:
                ready = bits
            elif self.ready_fd < 0 or watch.index(fd) < watch.index(self.ready_fd):
                self.ready_fd = fd
        return ready

    def _watch(self, watch: tuple[int, ...]) -> None:
        for fd in watch:
            if fd not in self._watched:
                self._poll.register(fd, select.POLLIN)
                self._watched[fd] = None
        if len(self._watched) > len(watch):
            for fd in [fd for fd in self._watched if fd not in watch]:
                self._poll.unregister(fd)
                del self._watched[fd]

    def _last_words(self) -> list[Event]:
        """The server takes nothing more; why, may be what it sent before it closed."""
        events: list[Event] = []
        data = self._read()
        if data:
            events = self.client.receive_data(data, self._clock())
        return events + self._end()

    def _end(self) -> list[Event]:
        self.closed = True
        if self.client.closing and not self._unsent:
            self._drain()
        self._sock.close()
        return self.client.receive_eof(self._clock())

    def _drain(self) -> None:
        """Wait until the server has closed too, and read what nobody wants any more.

        Data that comes to a closed socket is answered by a reset, and a server that is reset may
        not look at what it has not read yet: our last acknowledgements and the goodbye. Then it
        would send those messages again, and publish the will.
        """
        until = self._clock() + _DRAIN_S
        try:
            self._sock.shutdown(socket.SHUT_WR)
            while True:
                left_s = until - self._clock()
                if left_s <= 0 or not select.select([self._sock], [], [], left_s)[0]:
                    return
                if not self._sock.recv(READ_BYTES):
                    return
        except ConnectionResetError:
            self.broken = True  # it closed without having read everything
        except OSError:
            return  # it is gone already
