"""A reactor whose clock is moved by hand, for what happens when nothing happens for a while.

Descriptors are real: :meth:`FakeReactor.settle` polls them without waiting.
"""

from __future__ import annotations

import heapq
import select
from collections.abc import Callable

from midge.net.zeromq.epoll_reactor import Timer
from midge.net.zeromq.reactor import Address


class FakeReactor:
    """See :class:`midge.net.zeromq.reactor.Reactor`.

    Attributes:
        now: the time.
        names: what host names resolve to; others do not.
        lookups: names that were asked for.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.names: dict[str, list[Address]] = {}
        self.lookups: list[str] = []
        self._readers: dict[int, Callable[[], None]] = {}
        self._writers: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []
        self._soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self._readers[fd] = callback

    def remove_reader(self, fd: int) -> None:
        self._readers.pop(fd, None)

    def add_writer(self, fd: int, callback: Callable[[], None]) -> None:
        self._writers[fd] = callback

    def remove_writer(self, fd: int) -> None:
        self._writers.pop(fd, None)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(when, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    call_soon_threadsafe = call_soon

    def resolve(
        self, host: str, port: int, family: int, done: Callable[[list[Address] | OSError], None]
    ) -> None:
        self.lookups.append(host)
        found = self.names.get(host)
        self.call_soon(lambda: done(OSError("no such host") if found is None else found))

    @property
    def watched(self) -> int:
        """How many descriptors and timers are still wanted."""
        timers = sum(1 for timer in self._timers if timer.callback is not None)
        return len(self._readers) + len(self._writers) + timers

    def settle(self, wait_ms: int = 20) -> None:
        """Run until nothing more is to be done at this time.

        The kernel moves bytes between two local sockets at once, but closes and refusals may take
        it a moment: that is what ``wait_ms`` is for.
        """
        while True:
            soon, self._soon = self._soon, []
            for callback in soon:
                callback()
            poll = select.poll()
            for fd in self._readers.keys() | self._writers.keys():
                bits = select.POLLIN if fd in self._readers else 0
                poll.register(fd, bits | (select.POLLOUT if fd in self._writers else 0))
            ready = poll.poll(wait_ms)
            if not ready and not self._soon:
                return
            for fd, mask in ready:
                if mask & ~select.POLLOUT and fd in self._readers:
                    self._readers[fd]()
                if mask & ~select.POLLIN and fd in self._writers:
                    self._writers[fd]()

    def advance(self, seconds: float) -> None:
        """Move the clock, and do what falls due on the way."""
        end = self.now + seconds
        self.settle()
        while self._timers and self._timers[0].when <= end:
            timer = heapq.heappop(self._timers)
            self.now = max(self.now, timer.when)
            if timer.callback is not None:
                timer.callback()
                self.settle()
        self.now = end
        self.settle()
