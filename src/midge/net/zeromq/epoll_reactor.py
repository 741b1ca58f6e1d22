"""A reactor on epoll that any thread may run for a while, one at a time.

A blocking call on a socket runs the socket's reactor itself: no other thread is woken and no
message changes hands. While nobody is in such a call, the context's I/O thread runs it
(:mod:`midge.net.zeromq.blocking`).

Everything here happens under :attr:`EpollReactor.lock`; only the wait itself does not hold it, so
that another thread can register a descriptor or take what came meanwhile. Two threads may even wait
at once: epoll is level-triggered here and all callbacks bear being called for nothing.

The lock may be taken again by the thread that has it: a signal handler or a finalizer that sends
in the middle of something must not hang the process.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from midge.limits import (
    ZMQ_LIVELY_S,
    ZMQ_SPIN_REST_WAITS,
    ZMQ_SPIN_S,
    ZMQ_TIMERS_KEPT,
    ZMQ_YIELD_S,
)
from midge.net.zeromq.reactor import Address, Handle
from midge.net.zeromq.resolver import RESOLVER

_READ: Final = select.EPOLLIN | select.EPOLLRDHUP
_BROKEN: Final = select.EPOLLERR | select.EPOLLHUP
_READABLE: Final = _READ | _BROKEN
_WRITABLE: Final = select.EPOLLOUT | _BROKEN
#: Descriptors that one turn looks at; the rest has its turn in the next.
_EVENTS_MAX: Final = 256


def _epoll_class() -> type[select.epoll]:
    """epoll itself, also where gevent has taken it out of its module."""
    if hasattr(select, "epoll"):
        return select.epoll
    from gevent.monkey import get_original

    found: type[select.epoll] = get_original("select", "epoll")
    return found


_EPOLL: Final = _epoll_class()


class Timer:
    """An entry of the heap.

    Attributes:
        when: the time that it is due.
        callback: nothing once it was called or called off.
    """

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """See :class:`~midge.net.zeromq.reactor.Handle`."""
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class EpollReactor:
    """See the module.

    Attributes:
        lock: held while callbacks run and while anybody touches the socket that lives here.
        fd: the epoll's own descriptor, for waiting on several reactors at once.
        sleep: waits for ``fd`` in the place of the thread, with others running meanwhile.
        waiting: somebody is asleep in :meth:`run_once` and must be woken for new work.
    """

    __slots__ = (
        "_epoll",
        "_lively",
        "_readers",
        "_rest_waits",
        "_soon",
        "_timers",
        "_timers_max",
        "_wake_fd",
        "_wake_lock",
        "_woken",
        "_writers",
        "fd",
        "lock",
        "sleep",
        "waiting",
    )

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._epoll = _EPOLL()
        self.fd: int = self._epoll.fileno()
        self.sleep: Callable[[int, float | None], None] | None = None
        try:
            self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            self._epoll.close()
            raise
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._readers: dict[int, Callable[[], None]] = {}
        self._writers: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []
        self._timers_max = ZMQ_TIMERS_KEPT  # more of them, and those called off are thrown out
        self._soon: deque[Callable[[], None]] = deque()
        self._lively = False
        self._rest_waits = 0
        self._woken = False
        self._wake_lock = threading.RLock()  # between a wake and the close of its descriptor
        self.waiting: int = 0

    # -- what the engine uses ----------------------------------------------------------------

    def time(self) -> float:
        """See :class:`~midge.net.zeromq.reactor.Reactor`, also for the other verbs."""
        return time.monotonic()

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        """Level-triggered, as in asyncio."""
        known = fd in self._readers
        self._readers[fd] = callback
        if not known:
            self._register(fd, fd in self._writers)

    def remove_reader(self, fd: int) -> None:
        """See the protocol."""
        if self._readers.pop(fd, None) is not None:
            self._register(fd, True)

    def add_writer(self, fd: int, callback: Callable[[], None]) -> None:
        """See the protocol."""
        known = fd in self._writers
        self._writers[fd] = callback
        if not known:
            self._register(fd, fd in self._readers)

    def remove_writer(self, fd: int) -> None:
        """See the protocol."""
        if self._writers.pop(fd, None) is not None:
            self._register(fd, True)

    def _register(self, fd: int, known: bool) -> None:
        mask = (_READ if fd in self._readers else 0) | (
            select.EPOLLOUT if fd in self._writers else 0
        )
        if not known:
            self._epoll.register(fd, mask)
        elif mask:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        """See the protocol."""
        timer = Timer(when, callback)
        timers = self._timers
        if len(timers) >= self._timers_max:
            timers[:] = [other for other in timers if other.callback is not None]
            heapq.heapify(timers)
            self._timers_max = max(2 * len(timers), ZMQ_TIMERS_KEPT)
        heapq.heappush(timers, timer)
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        """See the protocol."""
        self._soon.append(callback)

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """See the protocol; the lock need not be held."""
        self._soon.append(callback)
        self.wake()

    def wake(self) -> None:
        """End the wait of whoever waits here, now or next; from any thread."""
        if self._woken:
            return
        with self._wake_lock:
            if self._wake_fd >= 0:
                self._woken = True
                os.eventfd_write(self._wake_fd, 1)

    def resolve(
        self, host: str, port: int, family: int, done: Callable[[list[Address] | OSError], None]
    ) -> None:
        """See the protocol."""

        def answer(found: list[Address] | OSError) -> None:
            self.call_soon_threadsafe(lambda: done(found))

        RESOLVER.resolve(host, port, family, answer)

    # -- what runs it ------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`run_once` has something to do at the latest, if nothing comes before."""
        if self._soon:
            return 0.0
        timers = self._timers
        while timers and timers[0].callback is None:
            heapq.heappop(timers)
        return timers[0].when if timers else None

    def run_once(self, timeout_s: float | None) -> None:
        """Wait for something to happen, for ``timeout_s`` at most, and do it.

        The lock is held by the caller, once and not more, and let go while waiting. ``None`` waits
        without a limit of its own; a timer or :meth:`wake` ends the wait in any case.
        """
        deadline = self.next_deadline()
        if deadline is not None:
            left = max(deadline - time.monotonic(), 0.0)
            if timeout_s is None or left < timeout_s:
                timeout_s = left
        if timeout_s == 0.0:
            events = self._epoll.poll(0, _EVENTS_MAX)
        else:
            self.waiting += 1
            self.lock.release()
            try:
                events = self._wait(timeout_s)
            finally:
                self.lock.acquire()
                self.waiting -= 1
        self._handle(events)

    def _wait(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """Wait for descriptors; for a moment without sleeping, where the last wait was that short.

        To be put to sleep and woken takes tens of microseconds, several times what a small answer
        takes to be made. A wait that outlasts the moment makes the next one sleep at once, so that
        only a conversation in full swing, or a stream, is waited for in this way.
        """
        poll = self._epoll.poll
        if self.sleep is not None:
            self.sleep(self.fd, timeout_s)
            return poll(0, _EVENTS_MAX)
        begun = time.perf_counter()
        if not self._lively:
            pass
        elif self._rest_waits:
            self._rest_waits -= 1
        else:
            now = begun
            limit = begun + (ZMQ_SPIN_S if timeout_s is None else min(timeout_s, ZMQ_SPIN_S))
            while now < limit:
                events = poll(0, _EVENTS_MAX)
                if events:
                    return events
                os.sched_yield()  # to the peer, should it be waiting for this very processor
                before, now = now, time.perf_counter()
                if now - before > ZMQ_YIELD_S:
                    # It went to others, who have work: who yields to them gets the processor back
                    # after milliseconds, who sleeps gets it as soon as there is something to do.
                    self._rest_waits = ZMQ_SPIN_REST_WAITS
                    break
        events = poll(timeout_s, _EVENTS_MAX)
        self._lively = time.perf_counter() - begun < ZMQ_LIVELY_S
        return events

    def _handle(self, events: list[tuple[int, int]]) -> None:
        soon = self._soon
        did = bool(soon)
        for fd, mask in events:
            if fd == self._wake_fd:
                self._clear_wake()
                continue
            did = True
            if mask & _READABLE:
                callback = self._readers.get(fd)
                if callback is not None:
                    callback()
            if mask & _WRITABLE:
                callback = self._writers.get(fd)
                if callback is not None:
                    callback()
        timers = self._timers
        if timers:
            now = time.monotonic()
            while timers and timers[0].when <= now:
                due = heapq.heappop(timers).callback
                if due is not None:
                    did = True
                    due()
        if soon:
            for _ in range(len(soon)):  # what these add waits for the next turn
                if soon:  # the last of them may have closed everything
                    soon.popleft()()
        if did and self.waiting:
            # Another thread waits for what may have happened here. (Not for a mere wake: two who
            # wait would wake each other for ever.)
            self.wake()

    def _clear_wake(self) -> None:
        # In this order: what a wake in between was about is still seen by this very turn.
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        self._woken = False

    def close(self) -> None:
        """Give the two descriptors back; nothing may be registered any more."""
        if not self._epoll.closed:
            self._epoll.close()
            with self._wake_lock:
                os.close(self._wake_fd)
                self._wake_fd = -1
            self._readers.clear()
            self._writers.clear()
            self._timers.clear()
            self._soon.clear()
