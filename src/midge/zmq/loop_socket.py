"""What an event loop does for a socket: it runs it, and completes what waits for it.

The socket's own epoll is one descriptor of the loop, whichever that is, asyncio's own or uvloop:
when it is readable the socket runs, in the loop's turn; so it does after something was queued, and
when its next timer is due. Receives and sends that wait are served in order, those who only look on
all at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from asyncio import Future
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from midge.patterns.errors import SocketError
from midge.zmq.quick_async import AsyncQuick
from midge.zmq.receiving import Takes

if TYPE_CHECKING:
    from midge.zmq.core import SocketCore

#: With how many waiting it is worth a look how many of them still do.
_SWEEP_AT: Final = 64
#: Types that must do something with a message before they receive the next one.
_IN_TURNS: Final = ("REQ", "REP")


class _Waiter:
    """A receive, send or poll that is not done yet.

    Attributes:
        future: what the caller waits for.
        attempt: does it; false when it cannot be done yet.
    """

    __slots__ = ("attempt", "future")

    def __init__(self, future: Future[Any], attempt: Callable[[Future[Any]], bool]) -> None:
        self.future = future
        self.attempt = attempt

    def over(self) -> bool:
        """Whether nobody waits any more."""
        return self.future.done()


class LoopSocket(AsyncQuick):
    """The part of a socket that is about the loop and those who wait."""

    _core: SocketCore
    _loop: asyncio.AbstractEventLoop | None
    _watched_fd: int
    _watchers: list[_Waiter]
    _timer: asyncio.TimerHandle | None
    _sweep_at: int
    _takes: Takes
    _type_name: str
    _receive_item: Callable[[int], Any]

    def _begin(self) -> None:
        """Live in the running loop, if there is one."""
        self._loop = None
        self._is_running = _never
        self._watched_fd = -1
        self._receivers = deque()
        self._senders = deque()
        self._watchers = []
        self._sweep_at = _SWEEP_AT
        self._takes = Takes(self)
        self._timer = None
        self._kicked = False
        self._done = None
        with contextlib.suppress(RuntimeError):
            self._attach(asyncio.get_running_loop())

    def _running(self) -> asyncio.AbstractEventLoop:
        """The running loop, which runs the socket from here on."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = self._not_running()
        if loop is not self._loop:
            self._attach(loop)
        return loop

    def _not_running(self) -> asyncio.AbstractEventLoop:
        warnings.warn(
            "No running event loop. midge.zmq.asyncio is for use from within one.",
            RuntimeWarning,
            stacklevel=4,
        )
        return asyncio.get_event_loop_policy().get_event_loop()

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._detach()
        core = self._core
        if core.face is not None:
            core.face._detach()
        core.face = self
        blocking = core.blocking
        with blocking.reactor.lock:
            blocking.leave_thread()
        self._loop = loop
        self._is_running = loop.is_running
        self._watched_fd = blocking.reactor.fd
        loop.add_reader(self._watched_fd, self._run)
        done: Future[None] = loop.create_future()
        done.set_result(None)
        self._done = done
        self._kick()

    def _detach(self) -> None:
        loop = self._loop
        self._loop = None
        self._is_running = _never
        if self._core.face is self:
            self._core.face = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if loop is not None and not loop.is_closed() and self._watched_fd >= 0:
            loop.remove_reader(self._watched_fd)
        self._watched_fd = -1
        self._kicked = False

    def _kick(self) -> None:
        """Have the socket run in the next turn: something was queued, or a time was set."""
        if not self._kicked and self._loop is not None:
            self._kicked = True
            try:
                self._loop.call_soon(self._run)
            except RuntimeError:
                if not self._loop.is_closed():
                    raise
                # It has ended without a word to its sockets: this one is the thread's from now on.
                self._detach()
                self._core.blocking.leave_loop()

    def _run(self) -> None:
        """Do what is to be done, and complete what waits for it."""
        self._kicked = False
        loop = self._loop
        core = self._core
        if loop is None or core.closed:
            return
        blocking = core.blocking
        with blocking.reactor.lock:
            blocking.run_in_background()
        self._serve()
        if core.closed or blocking.disposed:
            return
        deadline = blocking.reactor.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is None:
            return
        if deadline <= blocking.reactor.time():
            self._kick()
        else:
            self._timer = loop.call_later(deadline - blocking.reactor.time(), self._run)

    def _serve(self) -> None:
        for waiters in (self._receivers, self._senders):
            while waiters:
                waiter = waiters[0]
                if not waiter.over() and not self._attempt(waiter):
                    break
                # A callback may have changed the queue: only what stands there still goes.
                if waiters and waiters[0] is waiter:
                    waiters.popleft()
        if self._watchers:
            for waiter in self._watchers:
                if not waiter.over():
                    self._attempt(waiter)
            self._watchers = [waiter for waiter in self._watchers if not waiter.over()]

    def _attempt(self, waiter: _Waiter) -> bool:
        try:
            return waiter.attempt(waiter.future)
        except Exception as error:
            waiter.future.set_exception(error)
            return True

    def _wait(
        self,
        waiters: Any,
        attempt: Callable[[Future[Any]], bool],
        timeout_ms: float,
        on_timeout: Callable[[Future[Any]], None],
        future: Future[Any] | None = None,
    ) -> Future[Any]:
        loop = self._running()
        if future is None:
            future = loop.create_future()
        if len(waiters) >= self._sweep_at:
            self._sweep()
        waiters.append(_Waiter(future, attempt))
        if timeout_ms >= 0:
            timer = loop.call_later(
                timeout_ms / 1000, lambda: None if future.done() else on_timeout(future)
            )
            future.add_done_callback(lambda _: timer.cancel())
        self._kick()
        return future

    def _nobody_waits(self, waiters: deque[_Waiter]) -> bool:
        """Whether there is nobody who is to be served first."""
        while waiters and waiters[0].over():
            waiters.popleft()
        return not waiters

    def _sweep(self) -> None:
        """Forget those who do not wait any more, behind one who does."""
        most = 0
        for waiters in (self._receivers, self._senders, self._watchers):
            waiting = [waiter for waiter in waiters if not waiter.over()]
            waiters.clear()
            waiters.extend(waiting)
            most = max(most, len(waiting))
        self._sweep_at = max(_SWEEP_AT, 2 * most)

    def _take_back(self, item: Any) -> bool:
        """Whether the pattern has taken a message back; else it belongs into the inbox."""
        if self._type_name not in _IN_TURNS:
            return False
        blocking = self._core.blocking
        try:
            return bool(blocking.call(self._core.engine.pattern.take_back, item))
        except SocketError:  # it is closed, or its context has ended
            return True

    def _leave(self) -> None:
        """Cancel whoever waits, and leave the loop."""
        for waiter in (*self._receivers, *self._senders, *self._watchers):
            if not waiter.future.done():
                with contextlib.suppress(RuntimeError):  # its loop is closed
                    waiter.future.cancel()
        self._receivers.clear()
        self._senders.clear()
        self._watchers.clear()
        self._detach()


def _never() -> bool:
    return False
