"""What the blocking sockets of a context share, and what becomes of them in a forked child.

Not compiled: contexts are remembered weakly, which a compiled class does not allow.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

from midge.net.zeromq.context import EngineContext
from midge.net.zeromq.io_thread import IoThread
from midge.patterns.errors import ETERM, SocketError

if TYPE_CHECKING:
    from midge.net.zeromq.blocking import BlockingEngine


class BlockingContext:
    """What the blocking sockets of one context share.

    Attributes:
        shared: inproc names and the like, also for sockets on asyncio loops.
        io_thread: looks after the sockets; is started when it is needed.
        terminated: every call on a socket fails with ETERM.
        forked: this is a child of the process that the context belongs to.
    """

    __slots__ = (
        "__weakref__",
        "_empty",
        "_engines",
        "_lock",
        "forked",
        "io_thread",
        "shared",
        "terminated",
    )

    def __init__(
        self, shared: EngineContext | None = None, io_thread: IoThread | None = None
    ) -> None:
        self.shared = EngineContext() if shared is None else shared
        self.io_thread = IoThread() if io_thread is None else io_thread
        self.terminated = False
        self.forked = False
        self._lock = threading.RLock()
        self._empty = threading.Condition(self._lock)
        self._engines: dict[BlockingEngine, None] = {}
        _contexts.add(self)

    def add(self, engine: BlockingEngine) -> None:
        """A socket was made."""
        with self._lock:
            if self.terminated:
                raise SocketError(ETERM)
            self._engines[engine] = None

    def remove(self, engine: BlockingEngine) -> None:
        """A socket is gone, its lingering included."""
        with self._lock:
            self._engines.pop(engine, None)
            if not self._engines:
                self._empty.notify_all()

    @property
    def engines(self) -> list[BlockingEngine]:
        """The sockets that are not gone yet."""
        with self._lock:
            return list(self._engines)

    def terminate(self) -> None:
        """End every call on a socket of this context, now and later, with ETERM."""
        self.terminated = True
        for engine in self.engines:
            engine.interrupt()

    def wait_empty(self, timeout_s: float | None = None) -> bool:
        """Wait until all sockets are closed and have sent what was theirs to send."""
        with self._empty:
            return self._empty.wait_for(lambda: not self._engines, timeout_s)

    def stop(self) -> None:
        """End the thread; when no socket is left."""
        if not self.forked:
            self.io_thread.stop()

    def after_fork(self) -> None:
        """This is the child: nothing of the parent's may be touched."""
        self.forked = True
        for engine in list(self._engines):
            engine.disown()


_contexts: weakref.WeakSet[BlockingContext] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for context in list(_contexts):
        context.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
