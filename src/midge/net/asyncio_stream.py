"""A :class:`midge.net.stream.Stream` on an asyncio transport (asyncio's own loops and uvloop).

All streams of a loop read into one buffer of ``READ_BYTES``: a transport fills it and tells us in
one go, so it is free again before the next one reads. A chunk leaves it as one ``bytes`` object of
the right size.
"""

from __future__ import annotations

import asyncio
import os
import socket
from time import monotonic
from typing import TYPE_CHECKING

from midge.limits import (
    CLOSE_TIMEOUT_S,
    READ_BYTES,
    READ_BYTES_FIRST,
    READ_TURN_S,
    REST_READS_MAX,
    TRANSPORT_BYTES_HIGH,
)
from midge.net.pace import next_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.net.stream import Handler


class ReadBuffer:
    """The one buffer that all streams of a loop read into.

    Attributes:
        aside_s: how long all handlers together have taken for what would have taken as long had
            they been given less, below zero: a handler that writes takes that from it.
    """

    __slots__ = ("aside_s", "data", "view")

    def __init__(self, size: int = READ_BYTES) -> None:
        self.data = bytearray(size)
        self.view = memoryview(self.data)
        self.aside_s = 0.0


class AsyncioStream(asyncio.BufferedProtocol):
    """One connection on an asyncio transport.

    Args:
        buffer: where to read, shared by all streams of the loop.
        opened: called with the stream when it is connected; returns who handles it, or ``None``
            to refuse it.
    """

    username: str | None = None  # a bare transport does not know

    __slots__ = (
        "_buffer",
        "_closing",
        "_handler",
        "_opened",
        "_paused",
        "_resting",
        "_size",
        "_transport",
        "full",
    )

    def __init__(
        self, buffer: ReadBuffer, opened: Callable[[AsyncioStream], Handler | None]
    ) -> None:
        self._buffer = buffer
        self._opened = opened
        self._handler: Handler | None = None
        self._transport: asyncio.Transport | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._paused = False
        self._resting = False
        self._size = READ_BYTES_FIRST
        self.full = False

    # -- what asyncio tells ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection is there."""
        # uvloop's transports are no subclasses of asyncio's, though they have its methods.
        stream_transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport = stream_transport
        stream_transport.set_write_buffer_limits(TRANSPORT_BYTES_HIGH)
        self._handler = self._opened(self)
        if self._handler is None:
            stream_transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read."""
        return self._buffer.view[: self._size]

    def buffer_updated(self, nbytes: int) -> None:
        """``nbytes`` were read."""
        if self._handler is not None:
            buffer = self._buffer
            began = monotonic() + buffer.aside_s
            self._handler.stream_data(bytes(buffer.view[:nbytes]))
            took_s = monotonic() + buffer.aside_s - began
            if nbytes == self._size and took_s > READ_TURN_S:
                self._rest()
            self._size = next_size(self._size, nbytes, took_s)

    def _rest(self) -> None:
        """Read on in the next turn: uvloop reads a stream that has more many times in one."""
        transport = self._transport
        if not (self._paused or self._resting or transport is None or transport.is_closing()):
            self._resting = True
            transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        transport = self._transport
        if not (self._paused or transport is None or transport.is_closing()):
            transport.resume_reading()

    def eof_received(self) -> bool:
        """The peer will send no more: MQTT has no use for half a connection."""
        return False

    def pause_writing(self) -> None:
        """The transport's buffer is above its mark."""
        self.full = True

    def resume_writing(self) -> None:
        """The transport's buffer is below its mark."""
        self.full = False
        if self._handler is not None:
            self._handler.stream_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        transport = self._transport
        self._transport = None
        if transport is not None and isinstance(exc, ConnectionResetError | BrokenPipeError):
            self._read_rest(transport)
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        handler = self._handler
        self._handler = None
        if handler is not None:
            handler.stream_closed("" if exc is None else str(exc) or type(exc).__name__)

    def _read_rest(self, transport: asyncio.Transport) -> None:
        """Read what came before the peer was gone.

        A peer that says goodbye and leaves without reading everything resets the connection. If we
        happen to write to it before we read, the write fails, and its goodbye is still unread.
        """
        named = transport.get_extra_info("socket")
        if named is None or transport.get_extra_info("sslcontext") is not None:
            return
        try:
            with socket.socket(fileno=os.dup(named.fileno())) as copy:
                copy.setblocking(False)
                for _ in range(REST_READS_MAX):
                    data = copy.recv(READ_BYTES)
                    if not data or self._handler is None:
                        break
                    self._handler.stream_data(data)
        except OSError:
            return  # nothing more, or nothing at all

    # -- verbs ------------------------------------------------------------------------------------

    def peer(self) -> tuple[str, int]:
        """Address and port of the other side; a Unix socket has neither."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        if isinstance(name, tuple):
            return str(name[0]), int(name[1])
        return str(name or ""), 0

    def write(self, data: bytes) -> None:
        """See :meth:`midge.net.stream.Stream.write`."""
        if self._transport is not None:
            self._transport.write(data)

    def hand_over(self, handler: Handler) -> None:
        """See :meth:`midge.net.layer.Below.hand_over`."""
        self._handler = handler

    def pause_reading(self) -> None:
        """See :meth:`midge.net.stream.Stream.pause_reading`."""
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            if not self._resting:
                self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See :meth:`midge.net.stream.Stream.resume_reading`."""
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            if not self._resting:
                self._transport.resume_reading()

    def close(self) -> None:
        """See :meth:`midge.net.stream.Stream.close`."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size():
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(CLOSE_TIMEOUT_S, self.abort)
        transport.close()

    def abort(self) -> None:
        """See :meth:`midge.net.stream.Stream.abort`."""
        if self._transport is not None:
            self._transport.abort()
