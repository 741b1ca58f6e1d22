"""Blocking sockets: a :class:`BlockingEngine` for each.

A call that has to wait runs the socket's own reactor, on the caller's thread; while no call waits,
the context's thread does (:mod:`midge.net.zeromq.io_thread`). Whoever does either holds the
reactor's lock.

Taking that lock costs more than all the rest that a small message needs, so two things spare it.
Messages that were received are taken from the engine in lots, into ``inbox``; the next calls only
pop. And where a pattern has room for more, the next sends are granted *credit*: they append to the
*lane*, and the lot goes to the pattern together, when the credit is used up, at the next call that
takes the lock, or by the thread's next look. After a pause the first few messages are written at
once, one by one.

A socket may be used from any one thread at a time, and may move between threads.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from midge.limits import (
    ZMQ_AHEAD_ITEMS,
    ZMQ_BATCH_BYTES,
    ZMQ_BATCH_SENDS,
    ZMQ_EAGER_SENDS,
)
from midge.net.zeromq.blocking_context import BlockingContext
from midge.net.zeromq.engine import BROADCAST, POLLIN, POLLOUT, SocketEngine
from midge.net.zeromq.epoll_reactor import EpollReactor
from midge.net.zeromq.io_thread import LOOP, NOBODY, OWNER
from midge.patterns.errors import ETERM, SocketError
from midge.patterns.options import Options
from midge.patterns.pipe import Pipe
from midge.patterns.pubsub import Sub

#: Patterns whose sends may be granted ahead: each item is sent or dropped by itself, in order.
_ROUND_ROBIN: Final = frozenset({"PUSH", "DEALER", "PAIR"})
#: Patterns whose messages may be received ahead: to receive one changes nothing but the queue.
_AHEAD: Final = frozenset({"PULL", "SUB", "XSUB", "DEALER", "PAIR", "ROUTER"})
#: Patterns that must send between two receives.
_IN_TURNS: Final = frozenset({"REQ", "REP"})


class BlockingEngine:
    """One blocking socket. Times are in milliseconds, -1 is for ever.

    Attributes:
        engine: the socket itself; to be touched under ``reactor.lock`` only (:meth:`call`).
        inbox: messages that were received ahead, the next one last: ``inbox.pop()`` is the shortest
            way to it, and :meth:`receive` the way when there is none. (It is filled when it is
            empty, so a list does, which is the quickest to take from.)
        credit, lane: while ``credit`` is more than 0, a send may take one from it, append its
            message to ``lane`` and, unless ``warm``, :meth:`flush`: as :meth:`send` itself does.
            For a face that wants to save that call.
        runner: who runs it, see :data:`~midge.net.zeromq.io_thread.OWNER`; changed under the lock.
        warm: that is its owner or a loop, so that what is in the lane is written without a call.
        touched, idle_ticks: between the socket and the context's thread.
        look_due: that thread says that the owner should see to what has come, should it only send.
        disposed: the reactor is given back.
    """

    __slots__ = (
        "_ahead",
        "_ahead_pipes",
        "_ahead_size",
        "_closing",
        "_context",
        "_eager",
        "_lock",
        "_pattern",
        "_signal",
        "_stride",
        "credit",
        "disposed",
        "engine",
        "idle_ticks",
        "inbox",
        "lane",
        "look_due",
        "reactor",
        "runner",
        "touched",
        "warm",
    )

    def __init__(
        self, type_name: str, context: BlockingContext, options: Options | None = None
    ) -> None:
        """Raises SocketError: EMFILE, or ETERM when the context has ended."""
        self._context = context
        try:
            self.reactor = EpollReactor()
        except OSError as error:
            raise SocketError(error.errno or errno.EMFILE, "no descriptor for a socket") from None
        self.reactor.sleep = context.io_thread.sleep
        self._lock = self.reactor.lock
        self.engine = SocketEngine(type_name, self.reactor, context.shared, options)
        self._pattern = self.engine.pattern
        self.inbox: list[Any] = []
        self._ahead = type_name in _AHEAD
        self._ahead_pipes: list[Pipe | None] = []
        self._ahead_size = 0
        self.lane: list[Any] = []
        self.credit = 0
        self._eager = ZMQ_EAGER_SENDS
        self._stride = 0
        self.runner: int = NOBODY
        self.warm = False
        self.touched = False
        self.idle_ticks = 0
        self.look_due = False
        self.disposed = False
        self._closing = False
        self._signal: Callable[[], None] | None = None
        try:
            context.add(self)
        except SocketError:
            self.reactor.close()
            raise

    # -- sending -------------------------------------------------------------------------------

    def send(self, item: Any, timeout_ms: int = -1) -> bool:
        """Send a message; ``False``: there was no room for it in time.

        Raises:
            SocketError: ETERM, ENOTSOCK, and what the pattern says.
        """
        credit = self.credit
        # Who does not want to wait is told how things are now.
        if credit > 0 and timeout_ms:
            self.credit = credit - 1
            self.lane.append(item)
            if self.warm:
                return True
            # The thread has stopped looking at this socket, so that nobody would write it.
            return self.flush()
        return self._send_locked(item, timeout_ms)

    def is_warm(self) -> bool:
        """``warm``, for who has asked before: a compiler does not read again what it has seen."""
        return self.warm

    def send_ahead(self, item: Any) -> bool:
        """The same, without waiting, for who runs the socket in the turns of a loop."""
        credit = self.credit
        if credit > 0:
            self.credit = credit - 1
            self.lane.append(item)
            return True
        return self._send_locked(item, 0)

    def _send_locked(self, item: Any, timeout_ms: int) -> bool:
        pattern = self._pattern
        with self._lock:
            self._enter()
            if self.look_due or not timeout_ms:
                # A peer may have gone, or come, or subscribed: nobody else looks while we send.
                self.look_due = False
                self._run(0.0)
            if self.lane:
                self._empty_lane()
            sent = not self.lane and pattern.send(item)
            if not sent and not self._wait_for_room(item, timeout_ms):
                return False
            self.engine.flush()
            if self._eager > 0:
                self._eager -= 1
            else:
                self.credit = self._next_credit(item)
                if self.credit and self._context.io_thread.quiet:
                    self._context.io_thread.wake()
            return True

    def _wait_for_room(self, item: Any, timeout_ms: int) -> bool:
        """Send an item for which there was no room; the lock is held."""
        engine = self.engine
        deadline = _deadline(timeout_ms)
        while True:
            if engine.make_room():
                self._empty_lane()
                if not self.lane and self._pattern.send(item):
                    return True
            left_s = _left(deadline)
            self._run(left_s)
            self._empty_lane()
            if not self.lane and self._pattern.send(item):
                return True
            if left_s is not None and left_s <= 0.0:
                return False

    def send_many(self, items: list[Any], timeout_ms: int = -1) -> int:
        """Send messages in order, waiting for room where there is none; returns how many went."""
        done = 0
        total = len(items)
        deadline = _deadline(timeout_ms)
        with self._lock:
            self._enter()
            if self.lane:
                self._empty_lane()
            while True:
                if not self.lane:
                    done += self.engine.send_many(items[done:] if done else items)
                left_s = _left(deadline)
                if done >= total or (left_s is not None and left_s <= 0.0):
                    self.engine.flush()
                    return done
                self._run(left_s)
                self._empty_lane()

    def _next_credit(self, item: Any) -> int:
        """How many sends may go by the lane now; ``item`` stands for their size."""
        engine = self.engine
        name = engine.type_name
        options = engine.options
        size = sum(map(len, item)) if type(item) is list else len(item)
        credit = min(ZMQ_BATCH_SENDS, ZMQ_BATCH_BYTES // (size + 64))
        if not credit or options.conflate or not options.send_timeout_ms:
            return 0
        if name in _ROUND_ROBIN:
            room = 0
            for pipe in self._pattern.peers():
                if not pipe.send_mark:
                    return credit
                if pipe.active:
                    room += pipe.send_mark - len(pipe.outgoing) - pipe.in_flight
            return min(credit, room)
        if name in BROADCAST and not options.xpub_nodrop:
            # A lot that is larger than a peer's mark would be cut by it although the peer could
            # have had it all, a message at a time.
            mark = options.send_mark
            return min(credit, max(mark // 2, 1)) if mark else credit
        return 0

    def _empty_lane(self) -> None:
        """Hand the lane to the pattern, as far as it takes it; the lock is held."""
        lane = self.lane
        if not lane:
            return
        # The owner may be appending just now, when this is the context's thread: to the end.
        items = lane[:]
        del lane[: len(items)]
        done = self._pattern.send_many(items)
        if done < len(items):
            # Peers for whom there was room have left since.
            if self.engine.make_room():
                done += self._pattern.send_many(items[done:])
            lane[:0] = items[done:]

    def flush(self) -> bool:
        """Write what is queued, as far as the kernel takes it."""
        with self._lock:
            self._enter()
            self._empty_lane()
            self.engine.flush()
        return True

    # -- receiving -----------------------------------------------------------------------------

    def receive(self, timeout_ms: int = -1) -> Any:
        """The next message; ``None``: there was none in time.

        Raises:
            SocketError: ETERM, ENOTSOCK, and what the pattern says.
        """
        try:
            return self.inbox.pop()
        except IndexError:
            return self._receive_locked(timeout_ms)

    def _receive_locked(self, timeout_ms: int) -> Any:
        lock = self._lock
        lock.acquire()  # ``with`` takes twice as long
        try:
            self._enter()
            item = self._take()
            if item is not None:
                return item
            self._flush_before_waiting()
            deadline = None if timeout_ms < 0 else _deadline(timeout_ms)
            while True:
                left_s = None if deadline is None else _left(deadline)
                self._run(left_s)
                item = self._take()
                if item is not None:
                    return item
                if left_s is not None and left_s <= 0.0:
                    return None
        finally:
            lock.release()

    def _take(self) -> Any:
        """The next message from the pattern, and more into the inbox; the lock is held."""
        engine = self.engine
        pattern = self._pattern
        if not self._ahead or engine.options.conflate:
            item = engine.receive()
            if pattern.dirty:
                engine.flush()
            return item
        if self.inbox:
            return self.inbox.pop()
        if pattern.sources() > 1:
            return self._take_from_many()
        mark = engine.options.receive_mark
        items = engine.receive_many(min(ZMQ_AHEAD_ITEMS, mark) if mark else ZMQ_AHEAD_ITEMS)
        if not items:
            return None
        self._ahead_pipes = [pattern.last_pipe]
        self._ahead_size = len(items)
        if self._ahead_size > 1:
            items.reverse()
            self.inbox.extend(items)
            return self.inbox.pop()
        return items[0]

    def _take_from_many(self) -> Any:
        """The same where it matters which peer a message came from."""
        engine = self.engine
        pattern = self._pattern
        pipes = self._ahead_pipes = []
        found: list[Any] = []
        mark = engine.options.receive_mark
        for _ in range(min(ZMQ_BATCH_SENDS, mark) if mark else ZMQ_BATCH_SENDS):
            item = pattern.receive()
            if item is None:
                break
            found.append(item)
            pipes.append(pattern.last_pipe)
        if pattern.resumed:
            engine.resume()
        self._ahead_size = len(pipes)
        if not found:
            return None
        found.reverse()
        self.inbox.extend(found)
        return self.inbox.pop()

    @property
    def last_pipe(self) -> Pipe | None:
        """Where the last message that was received came from."""
        pipes = self._ahead_pipes
        if not self._ahead or not pipes:
            return self._pattern.last_pipe
        if len(pipes) == 1:
            return pipes[0]
        return pipes[max(self._ahead_size - len(self.inbox) - 1, 0)]

    def receive_many(self, limit: int, timeout_ms: int = -1) -> list[Any]:
        """Up to ``limit`` messages: what is there, but at least one, or none in time."""
        first = self.receive(timeout_ms)
        if first is None:
            return []
        items = [first]
        if self.engine.type_name in _IN_TURNS:
            return items
        inbox = self.inbox
        while len(items) < limit:
            if not inbox:
                with self._lock:
                    more = self._take()
                if more is None:
                    break
                items.append(more)
                continue
            count = min(limit - len(items), len(inbox))
            items += [inbox.pop() for _ in range(count)]
        return items

    # -- waiting -------------------------------------------------------------------------------

    def events(self) -> int:
        """``POLLIN`` and ``POLLOUT``, as it is now."""
        with self._lock:
            self._enter()
            self._flush_before_waiting()
            self._run(0.0)
            return self._events()

    def _events(self) -> int:
        found = self.engine.events()
        if self.inbox:
            found |= POLLIN
        if self.lane:
            found &= ~POLLOUT
        return found

    def poll(self, timeout_ms: int = -1, mask: int = POLLIN) -> int:
        """Wait until one of the events in ``mask`` is there; returns those that are, or 0."""
        if mask & POLLIN and self.inbox and mask == POLLIN:
            return POLLIN
        with self._lock:
            self._enter()
            self._flush_before_waiting()
            deadline = _deadline(timeout_ms)
            self._run(0.0)
            while True:
                found = self._events() & mask
                left_s = _left(deadline)
                if found or (left_s is not None and left_s <= 0.0):
                    return found
                self._run(left_s)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call something of :attr:`engine` or its pattern, with the lock held and all in order."""
        with self._lock:
            self._enter()
            self._empty_lane()
            try:
                return function(*arguments)
            finally:
                self._sift_inbox()
                self.engine.turn()

    def _sift_inbox(self) -> None:
        """Drop what was received ahead and is not subscribed to any more."""
        pattern = self._pattern
        inbox = self.inbox
        if not inbox or not isinstance(pattern, Sub):
            return
        items = inbox[::-1]
        wanted = [pattern.is_wanted(item) for item in items]
        if all(wanted):
            return
        pattern.count_unwanted(wanted.count(False))
        if len(self._ahead_pipes) > 1:
            waiting = self._ahead_pipes[-len(items) :]
            self._ahead_pipes = [one for one, keep in zip(waiting, wanted, strict=True) if keep]
            self._ahead_size = len(self._ahead_pipes)
        inbox.clear()
        kept = [item for item, keep in zip(items, wanted, strict=True) if keep]
        inbox.extend(reversed(kept))

    def _enter(self) -> None:
        """What every call that has taken the lock begins with."""
        context = self._context
        if context.forked:
            raise SocketError(
                errno.ENOTSOCK, "the socket belongs to the parent process: make one of your own"
            )
        if context.terminated:
            raise SocketError(ETERM)
        if self._closing:
            raise SocketError(errno.ENOTSOCK, "the socket is closed")
        self.touched = True
        self.credit = 0  # it was granted for things as they were
        if not self.warm:
            context.io_thread.warm_up(self)
            self._eager = ZMQ_EAGER_SENDS

    def _flush_before_waiting(self) -> None:
        """Before a wait there is nothing left to be batched with."""
        self._empty_lane()
        if self._pattern.dirty:
            self.engine.flush()
        self.credit = 0
        self._eager = ZMQ_EAGER_SENDS

    def begin_wait(self) -> None:
        """Say that a wait elsewhere begins, on the reactor's ``fd``; see :mod:`.waiting`."""
        with self._lock:
            self._enter()
            self._flush_before_waiting()
            self.reactor.waiting += 1

    def look(self) -> int:
        """Do what is to be done, and return the events, during such a wait."""
        with self._lock:
            self._run(0.0)
            return self._events()

    def end_wait(self) -> None:
        """It has ended."""
        with self._lock:
            self.reactor.waiting -= 1
            if self.engine.closed:
                self._dispose()
            elif not self.warm:
                self._context.io_thread.warm_up(self)

    def _run(self, timeout_s: float | None) -> None:
        """Run the reactor once; the lock is held.

        Raises:
            SocketError: ETERM, ENOTSOCK, when the wait was ended by that.
        """
        context = self._context
        try:
            self.reactor.run_once(timeout_s)
        finally:
            # However the wait has ended (a signal handler may raise): somebody looks after it.
            self.touched = True
            if not self.warm:
                context.io_thread.warm_up(self)
        if context.terminated:
            raise SocketError(ETERM)
        if self._closing:
            if self.engine.closed:
                self._dispose()
            raise SocketError(errno.ENOTSOCK, "the socket was closed while it was waited for")

    def interrupt(self) -> None:
        """End whatever call waits; the context has ended. From any thread."""
        self.credit = 0
        self.inbox.clear()
        self.reactor.wake()
        if self._signal is not None:
            self._signal()

    def on_change(self, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` whenever events may have changed, on whatever thread does the I/O."""
        self._signal = callback
        self.engine.on_change = callback

    def leave_thread(self) -> None:
        """An event loop runs this socket from here on, not the thread; the lock is held."""
        self._context.io_thread.forget(self)
        self.run_by(LOOP)

    def leave_loop(self) -> None:
        """The loop runs it no more: what it has to do is done by the thread, and by its calls."""
        with self._lock:
            if self.runner == LOOP and not (self.disposed or self._context.forked):
                self._context.io_thread.warm_up(self)

    def run_by(self, runner: int) -> None:
        """Note who runs it from here on; the lock is held."""
        self.runner = runner
        self.warm = runner in (OWNER, LOOP)

    # -- for the context's thread --------------------------------------------------------------

    @property
    def has_unsent(self) -> bool:
        """Somebody must write something."""
        return bool(self.lane) or bool(self._pattern.dirty)

    def has_leaving(self) -> bool:
        """Do what is to be done, without waiting; whether something that was sent is still here."""
        with self._lock:
            self.run_in_background()
            return not self.disposed and (self.has_unsent or self.engine.has_leaving)

    def stop_listening(self) -> None:
        """Let nobody in any more; who is there stays."""
        with self._lock:
            if not self.disposed:
                for listener in self.engine.endpoints.listeners:
                    listener.close()

    def flush_in_background(self) -> None:
        """Write what was left; the lock is held."""
        if not self.disposed:
            self._empty_lane()
            self.engine.flush()
            if self.reactor.waiting:
                self.reactor.wake()  # for the room that this may have made

    def run_in_background(self) -> None:
        """Do what is to be done, without waiting; the lock is held."""
        if self.disposed:
            return
        self._empty_lane()
        self.engine.flush()
        self.reactor.run_once(0.0)
        if self.lane:
            self._empty_lane()
            self.engine.flush()
        if self.engine.closed:
            self._dispose()

    # -- the end -------------------------------------------------------------------------------

    def close(self, linger_ms: int) -> None:
        """Close; what is queued is sent in the background, for as long as ``linger_ms`` says."""
        if self._context.forked:
            self._closing = True
            return
        with self._lock:
            if self._closing:
                return
            if linger_ms != 0:
                self._empty_lane()
            self._closing = True
            self.credit = 0
            self.lane.clear()
            self.inbox.clear()
            self.engine.close(linger_ms, _nothing)
            if self.engine.closed:
                self._dispose()
                return
            self.reactor.wake()  # a call of another thread ends, with an error
            if self.runner != OWNER:
                self._context.io_thread.warm_up(self)

    @property
    def closed(self) -> bool:
        """:meth:`close` was called."""
        return self._closing

    def _dispose(self) -> None:
        """Give everything back; while another thread waits here, that is left to it."""
        if self.disposed:
            return
        if self.reactor.waiting:
            self.reactor.wake()
            return
        self.disposed = True
        self._context.io_thread.forget(self)
        self.reactor.close()
        self._context.remove(self)

    def disown(self) -> None:
        """This is a forked child: what is here is a copy, the connections are the parent's."""
        self.credit = 0
        self.lane.clear()
        self.inbox.clear()
        # Somebody in the parent may have had the lock when it forked.
        self._lock = threading.RLock()


def _nothing() -> None:
    return None


def _deadline(timeout_ms: int) -> float | None:
    return None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)
