"""gevent's hub in the place of a context's I/O thread, after ``monkey.patch_all()``.

Blocking sockets have somebody who does their I/O while their owners are elsewhere; see
:mod:`midge.net.zeromq.io_thread`. Where greenlets stand for threads that must be the hub: a thread
made there would be a greenlet like any other, and its wait would hold all of them up.

A socket's own epoll is one descriptor of the hub's loop, as it is with asyncio. When it is
readable, or a timer of the socket is due, or a call left something to be written, the hub runs the
socket: once a turn, so that what greenlets send in one turn leaves together. A greenlet that waits
for its socket leaves the wait to the hub, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent import get_hub

from midge.net.zeromq.io_thread import NOBODY, OWNER, IoThread
from midge.zmq.green.waiting import READ, sleep

if TYPE_CHECKING:
    from midge.net.zeromq.blocking import BlockingEngine


class _Watch:
    """What the hub watches for one socket.

    Attributes:
        readable: watches its epoll.
        timer: for its next deadline.
    """

    __slots__ = ("readable", "timer")

    def __init__(self, loop: Any, fd: int) -> None:
        self.readable = loop.io(fd, READ)
        self.timer: Any = None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.stop()
            self.timer.close()
            self.timer = None

    def stop(self) -> None:
        self.stop_timer()
        self.readable.stop()
        self.readable.close()


class HubRunner(IoThread):
    """Runs the sockets of a context in the turns of the hub; see the module."""

    def __init__(self) -> None:
        super().__init__()
        self.sleep = sleep
        self._watches: dict[BlockingEngine, _Watch] = {}
        self._touched: dict[BlockingEngine, None] = {}
        self._due = False
        self._loop: Any = None

    # -- for the sockets -----------------------------------------------------------------------

    def warm_up(self, engine: BlockingEngine) -> None:
        """Run ``engine`` in the next turn, and whenever it wants it; its lock is held."""
        if self._loop is None:
            self._loop = get_hub().loop
        if engine not in self._watches:
            watch = self._watches[engine] = _Watch(self._loop, engine.reactor.fd)
            watch.readable.start(self._run_engine, engine)
        engine.run_by(OWNER)
        self._touched[engine] = None
        self.wake()

    def forget(self, engine: BlockingEngine) -> None:
        """``engine`` is closed; its reactor still is not. Its lock is held."""
        self._touched.pop(engine, None)
        watch = self._watches.pop(engine, None)
        if watch is not None:
            watch.stop()

    def wake(self) -> None:
        """Have a turn."""
        if not self._due and self._loop is not None:
            self._due = True
            self._loop.run_callback(self._run_touched)

    def stop(self) -> None:
        """Watch nothing any more."""
        for engine in list(self._watches):
            self.forget(engine)

    # -- in the hub ----------------------------------------------------------------------------

    def _run_touched(self) -> None:
        self._due = False
        touched, self._touched = self._touched, {}
        for engine in touched:
            self._run_engine(engine)

    def _run_engine(self, engine: BlockingEngine) -> None:
        lock = engine.reactor.lock
        if not lock.acquire(blocking=False):
            self._touched[engine] = None  # a thread has it: look again
            self.wake()
            return
        try:
            engine.run_by(NOBODY)  # the next call tells us again
            engine.run_in_background()
            watch = self._watches.get(engine)
            if watch is not None and not engine.disposed:
                self._set_timer(engine, watch)
        finally:
            lock.release()

    def _set_timer(self, engine: BlockingEngine, watch: _Watch) -> None:
        watch.stop_timer()
        deadline = engine.reactor.next_deadline()
        if deadline is None:
            return
        left_s = deadline - engine.reactor.time()
        if left_s <= 0.0:
            self._touched[engine] = None
            self.wake()
        else:
            watch.timer = self._loop.timer(left_s)
            watch.timer.start(self._run_engine, engine)
