"""An asyncio loop, or uvloop, as a reactor: no thread, everything in the turns of the loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from midge.net.zeromq.reactor import Address, Handle
from midge.net.zeromq.resolver import RESOLVER


class LoopReactor:
    """See :class:`~midge.net.zeromq.reactor.Reactor` for the verbs.

    Attributes:
        loop: whose turns these are. Everything but :meth:`call_soon_threadsafe` belongs to its
            thread.
    """

    __slots__ = ("add_reader", "add_writer", "loop", "remove_reader", "remove_writer", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        # The loop's own methods: a call less for each chunk.
        self.time: Callable[[], float] = loop.time
        self.add_reader: Callable[[int, Callable[[], None]], None] = loop.add_reader
        self.add_writer: Callable[[int, Callable[[], None]], None] = loop.add_writer
        self.remove_reader: Callable[[int], object] = loop.remove_reader
        self.remove_writer: Callable[[int], object] = loop.remove_writer

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        """See the protocol."""
        return self.loop.call_at(when, callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """See the protocol."""
        self.loop.call_soon(callback)

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """See the protocol; when the loop is closed, nobody is there to be called."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback)

    def resolve(
        self, host: str, port: int, family: int, done: Callable[[list[Address] | OSError], None]
    ) -> None:
        """See the protocol."""

        def answer(found: list[Address] | OSError) -> None:
            self.call_soon_threadsafe(lambda: done(found))

        RESOLVER.resolve(host, port, family, answer)
