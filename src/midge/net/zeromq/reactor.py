"""What the engine needs of whoever runs it: readiness of descriptors, timers, a turn of the loop.

The engine of a socket is written once against :class:`Reactor`. It is implemented by
:class:`~midge.net.zeromq.epoll_reactor.EpollReactor`, which whoever waits for the socket runs: a
call of its owner, the context's thread, or an event loop, whose turn it takes when the epoll is
readable. Tests have another one, whose clock is moved by hand.

Callbacks are never called from within the call that registers them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

#: One resolved address: the family of the socket and what bind or connect take.
Address = tuple[int, Any]


class Handle(Protocol):
    """A timer that may be called off."""

    def cancel(self) -> None:
        """Do not call it; harmless when it has been called."""


class Reactor(Protocol):
    """The subset of an asyncio event loop that the engine uses.

    What is returned by those that return an ``object`` is of no use. Loops return something there,
    and compiled code would refuse it where nothing is promised.
    """

    def time(self) -> float:
        """Seconds on a clock that does not jump."""

    def add_reader(self, fd: int, callback: Callable[[], None]) -> object:
        """Call back whenever ``fd`` can be read; replaces an earlier callback."""

    def remove_reader(self, fd: int) -> object:
        """Stop that; harmless when nothing was registered."""

    def add_writer(self, fd: int, callback: Callable[[], None]) -> object:
        """Call back whenever ``fd`` can be written."""

    def remove_writer(self, fd: int) -> object:
        """Stop that."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        """Call back once, at ``when`` or a little later."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn."""

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """The same, from any thread; wakes a reactor that waits."""

    def resolve(
        self, host: str, port: int, family: int, done: Callable[[list[Address] | OSError], None]
    ) -> None:
        """Look a host name up without blocking, then call ``done`` in a turn of this reactor."""
