"""Threads that do what would hold up the event loop: hash passwords, ask others over HTTP.

Jobs wait in queues, one for each key (an address), which take turns: whoever floods one with wrong
passwords makes his own wait, and not those of others. Queues are bounded, and what has waited too
long is given up, because its client has given up as well. All of that is kept in the thread of the
loop; a worker thread only runs one job at a time, at a lower priority than the loop, and hands the
result back.

Deliberately without an end: a job that hangs takes a thread with it, so whoever asks over a network
must have a timeout of his own.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from midge.auth.offload import Busy

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

#: How much a worker steps back behind the event loop: the nice value of its thread.
_NICE: Final = 10


class Work:
    """One job; see :class:`midge.auth.offload.Job`."""

    __slots__ = ("_pool", "cancelled", "done", "key", "queued_at", "work")

    def __init__(
        self,
        pool: Workers,
        key: str,
        work: Callable[[], object],
        done: Callable[[object, float], None],
        queued_at: float,
    ) -> None:
        self._pool = pool
        self.key = key
        self.work = work
        self.done = done
        self.queued_at = queued_at
        self.cancelled = False

    def cancel(self) -> None:
        """See :meth:`midge.auth.offload.Job.cancel`."""
        if not self.cancelled:
            self.cancelled = True
            self._pool.forget(self)


class Workers:
    """A bounded pool; an :class:`~midge.auth.offload.Offload`. Belongs to the thread of the loop.

    Args:
        loop: where results are handed back.
        now: the broker's clock.
        wake: is called after results were handed back, for what they led to to be written.
        threads: how many jobs run at a time.
        queue_max, per_key_max: how many may wait, and how many of one key.
        wait_max_s: how long one may wait.
        name: of the threads.

    Attributes:
        waiting: how many jobs wait.
        running: how many run.
        done: how many were done.
        refused: how many found the queue full, or waited too long.
    """

    __slots__ = (
        "_executor",
        "_loop",
        "_now",
        "_per_key_max",
        "_queue_max",
        "_queues",
        "_threads",
        "_wait_max_s",
        "_wake",
        "done",
        "refused",
        "running",
        "waiting",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        wake: Callable[[], None],
        *,
        threads: int,
        queue_max: int,
        per_key_max: int,
        wait_max_s: float,
        name: str,
    ) -> None:
        self._loop = loop
        self._now = now
        self._wake = wake
        self._threads = threads
        self._queue_max = queue_max
        self._per_key_max = per_key_max
        self._wait_max_s = wait_max_s
        self._executor = ThreadPoolExecutor(threads, name, initializer=_step_back)
        # The key at the front has the next turn; a cancelled job stays until its turn comes.
        self._queues: OrderedDict[str, deque[Work]] = OrderedDict()
        self.waiting = 0
        self.running = 0
        self.done = 0
        self.refused = 0

    def submit(
        self, key: str, work: Callable[[], object], done: Callable[[object, float], None]
    ) -> Work | None:
        """See :meth:`midge.auth.offload.Offload.submit`."""
        queue = self._queues.get(key)
        if self.waiting >= self._queue_max or (
            queue is not None and len(queue) >= self._per_key_max
        ):
            self.refused += 1
            return None
        job = Work(self, key, work, done, self._now())
        if queue is None:
            self._queues[key] = queue = deque()
        queue.append(job)
        self.waiting += 1
        self._start()
        return job

    def forget(self, job: Work) -> None:
        """A job was cancelled: if it waits, it makes room for another one."""
        queue = self._queues.get(job.key)
        if queue is not None and job in queue:
            queue.remove(job)
            self.waiting -= 1
            if not queue:
                del self._queues[job.key]

    def close(self) -> None:
        """Stop: what waits is dropped, and nobody is told any more."""
        self._queues.clear()
        self.waiting = 0
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        """Start as many jobs as there are threads without one."""
        while self._queues and self.running < self._threads:
            job = self._next()
            if job.queued_at + self._wait_max_s < self._now():
                self.refused += 1
                # Not from here, so that whoever submits is never called back before it returns.
                self._loop.call_soon(self._tell, job, Busy())
                continue
            self.running += 1
            self._executor.submit(self._run, job)

    def _next(self) -> Work:
        key, queue = next(iter(self._queues.items()))
        job = queue.popleft()
        self.waiting -= 1
        if queue:
            self._queues.move_to_end(key)
        else:
            del self._queues[key]
        return job

    def _run(self, job: Work) -> None:
        """In a worker thread."""
        result: object
        try:
            result = job.work()
        except Exception as error:
            result = error
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._finished, job, result)

    def _finished(self, job: Work, result: object) -> None:
        self.running -= 1
        self.done += 1
        self._start()
        self._tell(job, result)

    def _tell(self, job: Work, result: object) -> None:
        if not job.cancelled:
            job.done(result, self._now())
            self._wake()


def _step_back() -> None:
    """Let the event loop go first, where the system has priorities for threads."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
