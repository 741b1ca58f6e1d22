"""The verbs of a byte stream, whatever carries it.

A shell is written against these, so that a plain socket, TLS, a WebSocket or a pair in memory are
one to it.
"""

from __future__ import annotations

from typing import Protocol


class Handler(Protocol):
    """Who is told what happens on a stream."""

    def stream_data(self, data: bytes) -> None:
        """Bytes came."""
        ...

    def stream_writable(self) -> None:
        """The buffer has room again: see :attr:`Stream.full`."""
        ...

    def stream_closed(self, text: str) -> None:
        """The stream is gone, for whatever reason; told once."""
        ...


class Stream(Protocol):
    """One connection's bytes.

    Attributes:
        full: more than a mark is waiting in the buffer of the transport; what is written now adds
            to it, so whoever wants to be bounded waits for :meth:`Handler.stream_writable`.
    """

    full: bool

    def write(self, data: bytes) -> None:
        """Send, or buffer what the socket does not take at once."""
        ...

    def pause_reading(self) -> None:
        """Take no more bytes from the peer; may be called twice."""
        ...

    def resume_reading(self) -> None:
        """Take bytes again; may be called twice."""
        ...

    def close(self) -> None:
        """Send what is buffered, then close; a peer that does not read is cut off in the end."""
        ...

    def abort(self) -> None:
        """Close at once; what is buffered is lost."""
        ...
