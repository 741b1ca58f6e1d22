"""A wire without a protocol: STREAM, and ROUTER with ``ROUTER_RAW``.

What comes is delivered as it was read, what is sent goes out as it is. An empty message closes the
connection. There is no handshake: a peer is ready when it is connected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from midge.net.zeromq.stream_wire import Buffer, StreamWire
from midge.zmtp import events as ev

_V31 = (3, 1)


class RawWire(StreamWire):
    """See the module."""

    __slots__ = ()

    def start(self) -> None:
        """There is nothing to be said first."""
        self.ready = True
        self.engine.wire_ready(self, ev.Ready("", b"", {}, "", _V31))
        self.read_on()

    def received(self, data: bytes) -> None:
        """A chunk is a message."""
        if self.pipe is not None:
            self.pipe.received += 1
            self.engine.pattern.deliver(self.pipe, [data])

    def encode(self, batch: list[Any]) -> Sequence[Buffer]:
        """As it is; behind an empty message nothing more is sent."""
        chunks: list[Buffer] = []
        for item in batch:
            if type(item) is list:
                chunks += item
            elif len(item):
                chunks.append(item)
            else:
                self.leaving = True
                break
        return chunks

    def write(self) -> None:
        """See the base; closes where an empty message asked for it."""
        super().write()
        if self.leaving and not self._out and not self.closed:
            self.lost("closed by an empty message")
