"""The thread of a context that looks after blocking sockets while their owners are elsewhere.

A socket whose owner keeps calling is *warm*: its owner does the I/O, and the thread only looks
every :data:`~midge.limits.ZMQ_TICK_S` whether something was left to be written. A socket that was
not used since the last look becomes *cold*: its reactor is added to the thread's epoll, and the
thread runs it from then on, until its owner comes back. So the two do not fight over each message,
and a context whose sockets are all in use, or all idle, costs nothing: with nothing warm the thread
sleeps.

The thread never waits for a socket's lock: whoever has it is doing the work.
"""

from __future__ import annotations

import heapq
import os
import select
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from midge.compiled import mypyc_attr
from midge.limits import ZMQ_IDLE_TICKS, ZMQ_TICK_QUIET_S, ZMQ_TICK_S, ZMQ_TIMERS_KEPT

if TYPE_CHECKING:
    from midge.net.zeromq.blocking import BlockingEngine

# Who runs a socket's reactor, and so writes what is queued and reads what comes.
#: The next call on it; or a call that has been waiting for long, and does so already.
NOBODY: Final = 0
#: The calls of its owner; the thread looks whether they leave something to be written.
OWNER: Final = 1
#: The context's thread: it was not used for a while.
THREAD: Final = 2
#: An event loop.
LOOP: Final = 3


#: The idents of all such threads.
_workers: Final[set[int]] = set()


def in_io_thread() -> bool:
    """Whether this thread is one that sockets live from, of any context."""
    return threading.get_ident() in _workers


@mypyc_attr(allow_interpreted_subclasses=True)
class IoThread:
    """See the module. The thread is started by the first socket that needs it.

    Attributes:
        quiet: it looks seldom, because all owners wait; who leaves something to it wakes it.
        sleep: how whoever calls waits for a descriptor, where threads do not just sleep.
        ticks: looks at warm sockets, so that a test can see that there are none when all is quiet.
    """

    __slots__ = (
        "_cold",
        "_deadlines",
        "_deadlines_max",
        "_epoll",
        "_guard",
        "_name",
        "_noted",
        "_sleeping",
        "_stopping",
        "_wake_fd",
        "_warm",
        "_worker",
        "quiet",
        "sleep",
        "ticks",
    )

    def __init__(self, name: str = "midge-zmq") -> None:
        self._name = name
        self._guard = threading.RLock()  # of start and stop, and of what they make
        self._worker: threading.Thread | None = None
        self._epoll: select.epoll | None = None
        self._wake_fd = -1
        self._stopping = False
        self._sleeping = False
        self._warm: dict[BlockingEngine, None] = {}
        self._cold: dict[int, BlockingEngine] = {}
        self._deadlines: list[tuple[float, int]] = []  # of cold ones; old entries do no harm
        self._deadlines_max = ZMQ_TIMERS_KEPT  # more of them, and the old ones are thrown out
        self._noted: dict[int, float] = {}  # the first of them for each descriptor
        self.quiet = False
        self.sleep: Callable[[int, float | None], None] | None = None
        self.ticks = 0

    # -- for the sockets -----------------------------------------------------------------------

    def warm_up(self, engine: BlockingEngine) -> None:
        """Look after ``engine`` from the next tick on; its lock is held."""
        self._start()
        if self._cold.pop(engine.reactor.fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(engine.reactor.fd)
        engine.run_by(OWNER)
        self._warm[engine] = None
        if self._sleeping:  # after the line above: see _wait()
            self.wake()

    def forget(self, engine: BlockingEngine) -> None:
        """``engine`` is closed; its reactor still is not. Its lock is held."""
        fd = engine.reactor.fd
        self._warm.pop(engine, None)
        self._noted.pop(fd, None)
        if self._cold.pop(fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(fd)

    def wake(self) -> None:
        """End the thread's wait."""
        with self._guard:
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def stop(self) -> None:
        """End the thread and wait for it; no socket may be left."""
        self._stopping = True
        self.wake()
        thread = self._worker
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._guard:
            if self._epoll is not None:
                self._epoll.close()
                self._epoll = None
                os.close(self._wake_fd)
                self._wake_fd = -1
            self._worker = None

    def _start(self) -> None:
        if self._has_worker():
            return
        with self._guard:
            if self._has_worker():
                return
            self._stopping = False
            self._epoll = select.epoll()
            self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._epoll.register(self._wake_fd, select.EPOLLIN)
            # A daemon: a program that forgets a context, or cannot end it, ends all the same.
            self._worker = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._worker.start()

    def _has_worker(self) -> bool:
        # A method, so that the second look is one: compiled code takes for granted what it saw.
        return self._worker is not None

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        _workers.add(threading.get_ident())
        while not self._stopping:
            try:
                self._turn()
            except Exception:
                # A fault of ours: it must be seen, and must not end what all sockets live from.
                traceback.print_exc()
        _workers.discard(threading.get_ident())

    def _turn(self) -> None:
        for fd in self._wait():
            engine = self._cold.get(fd)
            if engine is not None:
                self._run_cold(engine)
        self._run_due()
        if self._warm:
            self.ticks += 1
            for engine in list(self._warm):
                self._tick(engine)

    def _wait(self) -> list[int]:
        epoll = self._epoll
        assert epoll is not None
        timeout: float | None = ZMQ_TICK_S
        if self._warm:
            self.quiet = all(engine.reactor.waiting for engine in list(self._warm))
            if self.quiet:
                timeout = ZMQ_TICK_QUIET_S
        else:
            # First said, then looked: whoever warms a socket does it in the opposite order.
            self._sleeping = True
            if not self._warm:
                timeout = None
                if self._deadlines:
                    timeout = max(self._deadlines[0][0] - time.monotonic(), 0.0)
        events = epoll.poll(timeout)
        self._sleeping = self.quiet = False
        found = [fd for fd, _ in events]
        if self._wake_fd in found:
            found.remove(self._wake_fd)
            os.eventfd_read(self._wake_fd)
        return found

    def _run_cold(self, engine: BlockingEngine) -> None:
        lock = engine.reactor.lock
        if not lock.acquire(blocking=False):
            return
        try:
            if not engine.warm:
                engine.run_in_background()
                self._note_deadline(engine)
        finally:
            lock.release()

    def _note_deadline(self, engine: BlockingEngine) -> None:
        if engine.disposed:
            return
        deadline = engine.reactor.next_deadline()
        if deadline is None:
            return
        fd = engine.reactor.fd
        noted = self._noted.get(fd)
        if noted is not None and noted <= deadline:
            return  # what is noted runs the socket in time, and then the next is noted
        self._noted[fd] = deadline
        deadlines = self._deadlines
        if len(deadlines) >= self._deadlines_max:
            # Those of closed sockets, for the most part: their time may be hours away.
            deadlines[:] = [entry for entry in deadlines if self._noted.get(entry[1]) == entry[0]]
            heapq.heapify(deadlines)
            self._deadlines_max = max(2 * len(deadlines), ZMQ_TIMERS_KEPT)
        heapq.heappush(deadlines, (deadline, fd))

    def _run_due(self) -> None:
        deadlines = self._deadlines
        if not deadlines:
            return
        now = time.monotonic()
        due: set[int] = set()  # each once, however often it was noted
        while deadlines and deadlines[0][0] <= now:
            deadline, fd = heapq.heappop(deadlines)
            if self._noted.get(fd) == deadline:
                del self._noted[fd]
            due.add(fd)
        for fd in due:
            engine = self._cold.get(fd)
            if engine is not None:
                self._run_cold(engine)

    def _tick(self, engine: BlockingEngine) -> None:
        if engine.touched or engine.has_unsent:
            engine.touched = False
            engine.look_due = True
            engine.idle_ticks = 0
            if engine.has_unsent:
                self._try(engine, self._flush)
            return
        engine.idle_ticks += 1
        if engine.reactor.waiting:
            # Its owner runs it. Should that last, the thread need not watch.
            if engine.idle_ticks >= ZMQ_IDLE_TICKS:
                self._try(engine, self._leave_to_its_owner)
            return
        self._try(engine, self._cool_down)

    def _try(self, engine: BlockingEngine, do: Callable[[BlockingEngine], None]) -> None:
        """Do something with a warm socket, unless somebody else is at work on it just now."""
        if engine.reactor.lock.acquire(blocking=False):
            try:
                if engine in self._warm:  # a loop may have taken it, or its owner closed it
                    do(engine)
            finally:
                engine.reactor.lock.release()

    def _flush(self, engine: BlockingEngine) -> None:
        engine.flush_in_background()

    def _leave_to_its_owner(self, engine: BlockingEngine) -> None:
        """Watch it no more; whoever ends that wait says so."""
        if engine.reactor.waiting:
            engine.run_by(NOBODY)
            self._warm.pop(engine, None)

    def _cool_down(self, engine: BlockingEngine) -> None:
        """From now on the thread runs it."""
        if engine.disposed:
            self._warm.pop(engine, None)
            return
        engine.run_by(THREAD)  # first; a send that comes in between sees it, or we see the send
        self._warm.pop(engine, None)
        engine.run_in_background()
        if engine.disposed or engine.warm:
            return
        if self._epoll is not None:
            self._cold[engine.reactor.fd] = engine
            self._epoll.register(engine.reactor.fd, select.EPOLLIN)
        self._note_deadline(engine)
