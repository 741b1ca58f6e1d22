"""Batches of the journal into the store: one at a time, the disk's part in a helper thread.

While one batch is being made safe, the next is collected; so the batches grow with the load, and
nobody waits for more than the batch before and his own. What nobody waits for at all (that a
message was acknowledged) is kept back for a moment, to go with what somebody does. When the disk
fails, the batch is kept and tried again; until then the broker makes no promise that it could not
keep. The same goes for a fault of our own, in the store or on the way to it: it is told with its
place, and publishers are refused, rather than left to wait for ever.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from midge.limits import (
    STORE_BUSY_PATIENCE_S,
    STORE_BUSY_RETRY_S,
    STORE_LAZY_S,
    STORE_RETRY_S,
)
from midge.store.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from midge.broker.keeper import Keeper
    from midge.store.base import Store
    from midge.store.journal import Changes


class Durability:
    """Ties a keeper to its store, in the running event loop.

    Attributes:
        batches, rows: how many were made safe.
    """

    def __init__(
        self,
        keeper: Keeper,
        store: Store,
        now: Callable[[], float],
        wake: Callable[[], None],
        complain: Callable[[str], None],
        check_clock: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin.

        Args:
            now: the broker's clock.
            wake: have the server's turn run: acknowledgements may go.
            complain: tell the log.
            check_clock: called in each turn, before anything is written.
        """
        self.batches = 0
        self.rows = 0
        self._keeper = keeper
        self._store = store
        self._now = now
        self._wake = wake
        self._complain = complain
        self._check_clock = check_clock
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="midge-store")
        self._batch: tuple[int, Changes] | None = None
        self._lazy: asyncio.TimerHandle | None = None
        self._leftovers = store.has_leftovers()
        self._retry: asyncio.TimerHandle | None = None
        self._feeding: asyncio.Handle | None = None
        self._unreadable = False
        #: Tries in a row for which another process had the file.
        self._busy = 0
        self._closed = False

    def turn(self) -> None:
        """Called once a turn: begin a batch where there is something and none is under way."""
        if self._batch is not None or self._closed:
            return
        self._check_clock()
        if self._leftovers or (self._keeper.journal.changes and self._keeper.is_urgent()):
            self._take()
        elif self._keeper.journal.changes:
            if self._lazy is None:
                self._lazy = self._loop.call_later(STORE_LAZY_S, self._late)
        elif self._keeper.is_awaited():
            # What was noted since the batch before has come and gone: of a message that its
            # receivers have acknowledged there is nothing to write, and it is safe all the same.
            number, _ = self._keeper.journal.take()
            self._tell(number)
        elif self._keeper.hungry and self._feeding is None:
            # All that was noted is on the disk, so a page could not be read: in a while it may.
            self._say_unreadable()
            self._feeding = self._loop.call_later(STORE_RETRY_S, self._feed_hungry)

    def commit_now(self) -> None:
        """Write what there is, without waiting for more: for SIGUSR1, and what was kept back."""
        if self._retry is not None:
            self._retry.cancel()
            self._try_again()
        elif self._batch is None and self._keeper.journal.changes and not self._closed:
            self._take()

    def _late(self) -> None:
        self._lazy = None
        self.commit_now()

    def _take(self) -> None:
        if self._lazy is not None:
            self._lazy.cancel()
            self._lazy = None
        self._batch = self._keeper.journal.take()
        self._begin()

    def _begin(self) -> None:
        assert self._batch is not None
        self._step(self._store.write(self._batch[1]))

    def _step(self, steps: Iterator[None]) -> None:
        """One step of writing a turn, so that others have theirs."""
        if self._closed:
            return
        try:
            next(steps)
        except StopIteration:
            future = self._loop.run_in_executor(self._thread, self._store.commit)
            future.add_done_callback(self._committed)
        except Exception as error:
            self._failed(error)
        else:
            self._loop.call_soon(self._step, steps)

    def _committed(self, future: asyncio.Future[None]) -> None:
        if self._closed or future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._safe()
        else:
            self._failed(error)

    def _safe(self) -> None:
        assert self._batch is not None
        number, changes = self._batch
        self._batch = None
        self._busy = 0
        self.batches += 1
        self.rows += len(changes)
        journal = self._keeper.journal
        if journal.failing:
            journal.failing = False
            self._complain("The store can be written again.")
        self._tell(number)
        self._leftovers = self._store.has_leftovers()

    def _tell(self, number: int) -> None:
        """Let everyone go on who waited for a batch."""
        try:
            self._keeper.safe(number, self._now())
        except Exception as error:
            self._complain(f"Error: somebody could not be told what is safe: {_place(error)}.")
        self._feed()

    def _failed(self, error: BaseException) -> None:
        """Keep the batch, say so once, and try again in a while."""
        if self._is_only_busy(error):
            self._retry = self._loop.call_later(STORE_BUSY_RETRY_S, self._try_again)
            return
        self._keeper.failures += 1
        journal = self._keeper.journal
        if not journal.failing:
            journal.failing = True
            what = error if isinstance(error, StoreError) else f"the store failed: {_place(error)}"
            self._complain(
                f"Error: {what}. Messages of QoS 1 and 2 for lasting sessions are refused until "
                "it can be written; nothing that was acknowledged is lost."
            )
        self._retry = self._loop.call_later(STORE_RETRY_S, self._try_again)

    def _is_only_busy(self, error: BaseException) -> bool:
        """Whether another process has the file, and has not had it for long."""
        if not (isinstance(error, StoreError) and error.busy):
            return False
        self._busy += 1
        return self._busy * STORE_BUSY_RETRY_S < STORE_BUSY_PATIENCE_S

    # -- pages --------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Let those go on who wait for pages, a few in each turn of the loop."""
        if self._feeding is not None:
            self._feeding.cancel()
            self._feeding = None
        if self._closed:
            return
        more = True
        try:
            more = self._keeper.feed(self._now())
        except Exception as error:
            self._complain(
                f"Error: somebody who waited for the store could not go on: {_place(error)}."
            )
        if more:
            self._feeding = self._loop.call_soon(self._feed)
        if self._unreadable and self._keeper.fault is None:
            self._unreadable = False
            self._complain("The store can be read again.")
        self._wake()

    def _feed_hungry(self) -> None:
        self._keeper.serve_hungry()
        self._feed()

    def _say_unreadable(self) -> None:
        fault = self._keeper.fault
        if fault is not None and not self._unreadable:
            self._unreadable = True
            self._complain(f"Error: {fault}. What waits there is given out when it can be.")

    # -- again, and the end -------------------------------------------------------------------

    def _try_again(self) -> None:
        self._retry = None
        if not self._closed:
            self._begin()

    async def close(self) -> None:
        """Write what is left, and close the store; where that fails, say so.

        Nothing of it was acknowledged: clients send it again.
        """
        while self._batch is not None and self._retry is None:
            await asyncio.sleep(0.001)
        self._closed = True
        for timer in (self._retry, self._lazy, self._feeding):
            if timer is not None:
                timer.cancel()
        try:
            last = [] if self._batch is None else [self._batch[1]]
            last.append(self._keeper.journal.take()[1])
            while not await self._write_last(last):
                await asyncio.sleep(STORE_BUSY_RETRY_S)
        except Exception as error:
            what = error if isinstance(error, StoreError) else _place(error)
            self._complain(
                f"Error: what was not acknowledged could not be written at the end: {what}."
            )
        finally:
            self._thread.shutdown(wait=False)
            self._store.close()

    async def _write_last(self, batches: list[Changes]) -> bool:
        """Write batches at the end; false where another process has the file for a moment."""
        try:
            for changes in batches:
                if changes:
                    for _ in self._store.write(changes):
                        pass
            await self._loop.run_in_executor(self._thread, self._store.commit)
        except StoreError as error:
            if self._is_only_busy(error):
                return False
            raise
        return True


def _place(error: BaseException) -> str:
    """What went wrong that should not, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
