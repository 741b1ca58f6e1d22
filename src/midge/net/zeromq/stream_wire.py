"""A connected stream socket, seen by the engine: reading in chunks, writing in batches.

What the bytes mean is for the subclasses: :mod:`~midge.net.zeromq.wire` speaks ZMTP,
:mod:`~midge.net.zeromq.raw_wire` nothing at all. A wire takes a batch from its pipe only when the
kernel has the last one whole, so that what waits for a slow peer waits in the pipe, where its mark
counts it. A chunk is handed over as it was read; a batch is encoded in one go.

A failing wire never raises: it tells the engine why it is lost, once.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from midge.limits import (
    READ_BYTES,
    ZMQ_BATCH_ITEMS,
    ZMQ_DISCARD_BYTES,
    ZMQ_READ_BYTES_FIRST,
    ZMQ_WRITE_PIECES,
)
from midge.net.zeromq.reactor import Handle

if TYPE_CHECKING:
    from midge.net.zeromq.connector import Connector
    from midge.net.zeromq.engine import SocketEngine
    from midge.patterns.pipe import Pipe

Buffer = bytes | memoryview


class StreamWire:
    """Base of all wires on stream sockets.

    Attributes:
        engine: whose it is.
        pipe: what it fills and empties; none while the handshake of an accepted peer lasts.
        connector: who connected it and will again; none for an accepted peer.
        endpoint: as the monitor calls this connection.
        address: the peer's, numbers without a port.
        fd: the socket's descriptor.
        ready: the handshake is done, the pipe may be emptied.
        read_bytes_max: the largest read; a subclass that knows better changes it.
        finishing: it is to close once everything is with the kernel, and nobody need know.
        leaving: it is to close then, and counts as lost.
    """

    __slots__ = (
        "_batch",
        "_extra",
        "_out",
        "_read_bytes",
        "_reading",
        "_timer",
        "_timer_at",
        "_writing",
        "address",
        "closed",
        "connector",
        "endpoint",
        "engine",
        "fd",
        "finishing",
        "leaving",
        "pipe",
        "read_bytes_max",
        "ready",
        "sock",
    )

    def __init__(
        self,
        engine: SocketEngine,
        sock: socket.socket,
        endpoint: str,
        address: str,
        connector: Connector | None,
    ) -> None:
        self.engine = engine
        self.sock = sock
        self.fd: int = sock.fileno()
        self.endpoint = endpoint
        self.address = address
        self.connector = connector
        self.pipe: Pipe | None = None if connector is None else connector.pipe
        self.ready = False
        self.finishing = False
        self.leaving = False
        self.closed = False
        self._out: list[Buffer] = []  # encoded, not with the kernel
        self._batch: Sequence[Any] = ()  # the messages that it begins with
        self._extra = 0  # bytes of what the protocol itself has said behind them
        self._read_bytes = ZMQ_READ_BYTES_FIRST
        self.read_bytes_max: int = READ_BYTES
        self._reading = False
        self._writing = False
        self._timer: Handle | None = None
        self._timer_at = 0.0

    # -- what a subclass says ------------------------------------------------------------------

    def start(self) -> None:
        """Begin: what is to be said first, then read."""
        raise NotImplementedError

    def received(self, data: bytes) -> None:
        """A chunk has come."""
        raise NotImplementedError

    def encode(self, batch: list[Any]) -> Sequence[Buffer]:
        """The bytes of a batch from the pipe."""
        raise NotImplementedError

    def ended(self, why: str = "the peer closed the connection") -> None:
        """The peer has closed, or the connection broke."""
        self.lost(why)

    # -- in ------------------------------------------------------------------------------------

    def read_on(self) -> None:
        """Read whatever comes, from now on."""
        if not self._reading and not self.closed:
            self._reading = True
            self.engine.reactor.add_reader(self.fd, self.readable)

    def hold(self) -> None:
        """Read no further; the kernel, and then the peer, holds what comes."""
        if self._reading:
            self._reading = False
            self.engine.reactor.remove_reader(self.fd)

    def resume(self) -> None:
        """The pipe has room again."""
        self.read_on()

    def readable(self) -> None:
        """Read one chunk and handle it; nothing happens when there is none."""
        if self.closed:
            return
        wanted = self._read_bytes
        try:
            data = self.sock.recv(wanted)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.failed(error)
            self.engine.turn()
            return
        size = len(data)
        if size == wanted:
            # A stream, then: larger chunks, fewer calls.
            self._read_bytes = min(wanted * 4, self.read_bytes_max)
        elif size < wanted >> 4 and wanted > ZMQ_READ_BYTES_FIRST:
            self._read_bytes = wanted >> 1
        if size:
            self.received(data)
        else:
            self.ended()
        pipe = self.pipe
        if pipe is not None and 0 < pipe.receive_mark <= len(pipe.incoming) and self._reading:
            pipe.paused = True
            self.hold()
        self.engine.turn()

    # -- out -----------------------------------------------------------------------------------

    def write(self) -> None:
        """Take what waits in the pipe and give it to the kernel, as far as it takes it."""
        pipe = self.pipe
        if self._out or pipe is None or not self.ready or self.closed:
            return
        outgoing = pipe.outgoing
        while outgoing:
            count = len(outgoing)
            if count <= ZMQ_BATCH_ITEMS:
                batch = list(outgoing)
                outgoing.clear()
            else:
                count = ZMQ_BATCH_ITEMS
                batch = [outgoing.popleft() for _ in range(count)]
            pipe.sent += count
            if not self.push(self.encode(batch), batch):
                break
        if not pipe.active and not self.closed and pipe.room():
            self.engine.pattern.drained(pipe)

    def size_of(self, item: Any) -> int:
        """How many bytes a message of the batch became; -1 where that cannot be told."""
        return -1

    def push(self, chunks: Sequence[Buffer], batch: Sequence[Any] = ()) -> bool:
        """Write ``chunks``; what the kernel does not take waits. Returns whether it took all.

        Args:
            chunks: the bytes, in order; large ones are sent from where they are.
            batch: the messages that they are, for the mark of the pipe.
        """
        if self.closed:
            return False
        if self._out:
            self._out += chunks  # only what the protocol itself says comes here: it is little
            self._extra += sum(map(len, chunks))
            return False
        try:
            rest = _send(self.sock, chunks)
        except _Broken as broken:
            self._keep(broken.rest, batch)
            self.failed(broken.error)
            return False
        if not rest:
            return True
        self._keep(rest, batch)
        self._writing = True
        self.engine.reactor.add_writer(self.fd, self.writable)
        return False

    def _keep(self, rest: list[Buffer], batch: Sequence[Any]) -> None:
        """The kernel did not take these bytes, which are the last ones of a batch."""
        self._out = rest
        self._batch = batch
        self._extra = 0
        if self.pipe is not None:
            self.pipe.in_flight = len(batch)

    def writable(self) -> None:
        """Go on with what the kernel did not take."""
        if self.closed:
            return
        if self._out:
            try:
                self._out = _send(self.sock, self._out)
            except _Broken as broken:
                self._out = broken.rest
                self.failed(broken.error)
                self.engine.turn()
                return
            if self._out:
                return
            self._keep(self._out, ())
        self.write()
        if not self._out and self._writing:
            self._writing = False
            self.engine.reactor.remove_writer(self.fd)
        if self.finishing:
            self.finish()
        elif self.leaving:
            self.leave()
        self.engine.turn()

    @property
    def idle(self) -> bool:
        """Nothing waits to be written."""
        return not self._out and (self.pipe is None or not self.pipe.outgoing)

    # -- time ----------------------------------------------------------------------------------

    def arm(self, deadline: float | None) -> None:
        """Be called (:meth:`due`) at ``deadline``, unless that is so anyway.

        A deadline that moved further away costs nothing: the earlier call finds that out.
        """
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self.engine.reactor.call_at(deadline, self._fired)

    def _fired(self) -> None:
        self._timer = None
        if not self.closed:
            self.due()
            self.engine.turn()

    def due(self) -> None:
        """A deadline is reached; nothing here has one."""

    # -- the end -------------------------------------------------------------------------------

    def finish(self) -> None:
        """Close as soon as what waits is with the kernel."""
        self.finishing = True
        if self.idle or not self.ready:
            self.close()
            self.engine.wire_finished(self)

    def leave(self) -> None:
        """Be lost once what waits is with the kernel: this socket wants no more of the peer."""
        self.leaving = True
        if self.idle or not self.ready:
            self.lost("the socket has closed the connection")

    def failed(self, error: OSError) -> None:
        """The socket takes no more; what the peer said before that is still read.

        A peer that closes while we write to it has often said something first.
        """
        self._settle_batch()
        self._out = []
        left = ZMQ_DISCARD_BYTES
        while left > 0 and not self.closed:
            try:
                data = self.sock.recv(READ_BYTES)
            except OSError:
                break
            if not data:
                break
            left -= len(data)
            self.received(data)
        if not self.closed:
            self.ended(f"the connection broke: {error.strerror or error}")

    def lost(self, why: str) -> None:
        """This wire is over, by no wish of ours."""
        if not self.closed:
            self.close()
            self.engine.wire_lost(self, why)

    def close(self) -> None:
        """Give the socket back."""
        if self.closed:
            return
        self.closed = True
        self.ready = False
        self.hold()
        if self._writing:
            self._writing = False
            self.engine.reactor.remove_writer(self.fd)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._settle_batch()
        self._out = []
        close_politely(self.sock)

    def _settle_batch(self) -> None:
        """Put back the messages of a batch that are not begun, and count one that is cut through.

        Those that the kernel has whole are as good as sent: they may arrive or not, nobody can say.
        Where sizes cannot be told, all of the batch is counted.
        """
        pipe = self.pipe
        if pipe is None or not pipe.in_flight:
            return
        count, pipe.in_flight = pipe.in_flight, 0
        lost = count
        back: list[Any] = []
        if not self.finishing and not pipe.conflate:
            left = sum(map(len, self._out)) - self._extra
            for item in reversed(self._batch):
                size = self.size_of(item)
                if size < 0:
                    lost = count - len(back)
                    break
                if size > left:
                    lost = 1 if left else 0
                    break
                left -= size
                back.append(item)
            else:
                lost = 0
            pipe.outgoing.extendleft(back)
        self._batch = ()
        pipe.sent -= lost + len(back)
        if lost:
            self.engine.pattern.lost_in_flight(pipe, lost)


def close_politely(sock: socket.socket) -> None:
    """Close, after reading what has come: a close with unread bytes would reset the connection.

    A reset can make a peer drop what we sent before it; a bounded read spares it that.
    """
    try:
        left = ZMQ_DISCARD_BYTES
        while left > 0:
            size = len(sock.recv(min(left, READ_BYTES)))
            if not size:
                break
            left -= size
    except OSError:
        pass
    sock.close()


_NOTHING: Final[list[Buffer]] = []


class _Broken(Exception):
    """The connection takes no more: why, and what it has not taken."""

    def __init__(self, error: OSError, rest: list[Buffer]) -> None:
        super().__init__(str(error))
        self.error = error
        self.rest = rest


def _send(sock: socket.socket, chunks: Sequence[Buffer]) -> list[Buffer]:
    """Send as much as the kernel takes now; returns the rest, which is a list of its own.

    Raises:
        _Broken: the connection is.
    """
    if len(chunks) == 1:
        chunk = chunks[0]
        try:
            sent = sock.send(chunk)
        except (BlockingIOError, InterruptedError):
            return [chunk]
        except OSError as error:
            raise _Broken(error, [chunk]) from None
        return _NOTHING if sent == len(chunk) else [memoryview(chunk)[sent:]]
    rest = list(chunks)
    start = 0
    while start < len(rest):
        some = rest[start : start + ZMQ_WRITE_PIECES]
        try:
            sent = sock.sendmsg(some)
        except (BlockingIOError, InterruptedError):
            return rest[start:]
        except OSError as error:
            raise _Broken(error, rest[start:]) from None
        for piece in some:
            size = len(piece)
            if sent < size:
                rest[start] = memoryview(piece)[sent:]
                return rest[start:]
            sent -= size
            start += 1
    return _NOTHING
