"""Layers between a transport and who handles its bytes: TLS, WebSockets, the PROXY protocol.

A layer is the handler of the stream below it, and a stream to who is above it. It calls ``opened``
with itself when it is *ready*: when its handshake is done. Until then nobody above has to know that
there is a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.net.stream import Handler


class Below(Protocol):
    """A stream that also knows where its peer is."""

    @property
    def full(self) -> bool:
        """See :class:`midge.net.stream.Stream`, also for the verbs."""
        ...

    @property
    def username(self) -> str | None:
        """Who the peer is, where that is known down there."""
        ...

    def peer(self) -> tuple[str, int]:
        """Address and port of the peer; a Unix socket has neither."""
        ...

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    def hand_over(self, handler: Handler) -> None:
        """Another handler is told what happens from here on."""
        ...

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Layer:
    """A layer that changes nothing; the others are made of it.

    Attributes:
        below: what carries it.
        above: who handles what comes, once it is ready.
        closed: the stream below is gone.
        username: who the peer is, where the layer knows; ``None`` where it does not.
        secured: the peer's connection is encrypted.
    """

    __slots__ = ("_opened", "_refused", "_told", "above", "below", "closed", "secured", "username")

    def __init__(
        self,
        below: Below,
        opened: Callable[[Layer], Handler | None],
        refused: Callable[[Layer, str], None],
    ) -> None:
        """Stand above ``below``.

        Args:
            opened: called when the layer is ready; gives who handles it, ``None`` to refuse.
            refused: called with a reason when it will never be ready.
        """
        self.below = below
        self.above: Handler | None = None
        self.closed = False
        self.username = below.username
        self.secured: bool = getattr(below, "secured", False)
        self._opened = opened
        self._refused = refused
        self._told = False  # that it is ready, or never will be

    def ready(self) -> None:
        """The handshake is done."""
        self._told = True
        self.above = self._opened(self)
        if self.above is None:
            self.below.abort()

    def fail(self, text: str) -> None:
        """The peer does not speak what it should, or broke it: cut it off, and say why."""
        self.refuse(text)
        self.below.abort()

    def divert(self, handler: Handler) -> None:
        """It will never be ready, and that is no fault: another handler goes on with what is below.

        It is no connection for those who wait for one; told to them with an empty text.
        """
        self.above = handler
        self.refuse("")

    def refuse(self, text: str) -> None:
        """It will never be ready; told once."""
        if not self._told:
            self._told = True
            self._refused(self, text)

    # -- as the handler of what is below --------------------------------------------------------

    def stream_data(self, data: bytes) -> None:
        """See :class:`midge.net.stream.Handler`."""
        if self.above is not None:
            self.above.stream_data(data)

    def stream_writable(self) -> None:
        """See :class:`midge.net.stream.Handler`."""
        if self.above is not None:
            self.above.stream_writable()

    def stream_closed(self, text: str) -> None:
        """See :class:`midge.net.stream.Handler`."""
        if not self.closed:
            self.closed = True
            above = self.above
            self.above = None
            self.refuse(text or "the connection was closed")
            if above is not None:
                above.stream_closed(text)

    # -- as the stream of what is above ---------------------------------------------------------

    @property
    def full(self) -> bool:
        """See :class:`midge.net.stream.Stream`, also for the verbs."""
        return self.below.full

    def peer(self) -> tuple[str, int]:
        """Address and port of the peer."""
        return self.below.peer()

    def write(self, data: bytes) -> None:
        """Send."""
        self.below.write(data)

    def hand_over(self, handler: Handler) -> None:
        """Another handler goes on above."""
        self.above = handler

    def pause_reading(self) -> None:
        """Take no more."""
        self.below.pause_reading()

    def resume_reading(self) -> None:
        """Take more again."""
        self.below.resume_reading()

    def close(self) -> None:
        """Send what there is, then close."""
        self.below.close()

    def abort(self) -> None:
        """Close at once."""
        self.below.abort()
