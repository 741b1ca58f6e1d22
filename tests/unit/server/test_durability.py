"""Batches of the journal on their way into a store, in an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import cast

from midge.broker.keeper import Keeper
from midge.broker.link import Link
from midge.message import Message
from midge.server.durability import Durability
from midge.store.journal import Changes, Journal
from midge.store.memory import MemoryStore


class SlowStore(MemoryStore):
    """A store whose disk waits to be told."""

    def __init__(self) -> None:
        super().__init__()
        self.may_commit = threading.Event()
        self.written: list[int] = []

    def write(self, changes: Changes) -> Iterator[None]:
        self.written.append(len(changes))
        return super().write(changes)

    def commit(self) -> None:
        assert self.may_commit.wait(10)
        super().commit()


class Waiting:
    """A link that waits to acknowledge a message."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.number = keeper.journal.covering()
        self.told = False
        keeper.links[cast("Link", self)] = None

    def safe(self, number: int, now: float) -> None:
        if number >= self.number:
            self.told = True
            del self._keeper.links[cast("Link", self)]


async def turns(durability: Durability, waiting: Waiting) -> None:
    """Turns of a server, until the one that waits was told."""
    for _ in range(500):
        durability.turn()
        if waiting.told:
            return
        await asyncio.sleep(0.002)


async def test_what_came_and_went_while_a_batch_was_written_is_acknowledged() -> None:
    store = SlowStore()
    journal = Journal()
    keeper = Keeper(journal, store.page)
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, print)
    key = journal.new_session()
    journal.keep_session(key, "c", None, 10, None, True)
    durability.commit_now()  # a batch is on its way
    message = Message("t", b"x", 1)
    seq = journal.queue(key, message, 1, False, ())
    publisher = Waiting(keeper)
    journal.done(key, seq, message.stored)  # its receiver had it
    assert not journal.changes
    await asyncio.sleep(0.01)
    durability.turn()
    assert not publisher.told  # the batch before is not safe yet
    store.may_commit.set()
    await turns(durability, publisher)
    assert publisher.told
    assert len(store.written) == 1  # and there was nothing to write
    # What comes now is not taken for safe.
    store.may_commit.clear()
    other = Message("t", b"y", 1)
    journal.queue(key, other, 1, False, ())
    later = Waiting(keeper)
    durability.turn()
    await asyncio.sleep(0.01)
    durability.turn()
    assert not later.told
    store.may_commit.set()
    await turns(durability, later)
    assert later.told
    await durability.close()


async def test_what_nobody_waits_for_is_written_with_what_somebody_does() -> None:
    store = SlowStore()
    store.may_commit.set()
    journal = Journal()
    keeper = Keeper(journal, store.page)
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, print)
    key = journal.new_session()
    journal.keep_session(key, "c", None, 10, None, True)
    durability.turn()
    assert store.written == []
    journal.queue(key, Message("t", b"x", 1), 1, False, ())
    publisher = Waiting(keeper)
    await turns(durability, publisher)
    assert len(store.written) == 1
    # And before long also if nobody ever does.
    journal.take_incoming(key, 1)
    for _ in range(500):
        durability.turn()
        if len(store.written) == 2:
            break
        await asyncio.sleep(0.002)
    assert len(store.written) == 2
    await durability.close()
