"""Batches of the journal on their way into a store, in an event loop."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from midge.broker.keeper import Keeper
from midge.broker.link import Link
from midge.broker.queue import Queue
from midge.message import Message
from midge.server.durability import Durability
from midge.store.base import DeliveryRow, MessageRow, StoreError
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


@pytest.mark.source_only("it gives compiled code what its types do not allow")
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


# -- faults of our own, and of the disk ------------------------------------------------------------


class Faulty(MemoryStore):
    """A store that fails as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.in_write: Exception | None = None
        self.in_commit: Exception | None = None
        self.in_page: Exception | None = None
        self.why_not: Callable[[], Exception | None] = lambda: self.in_write
        self.pages = 0

    def write(self, changes: Changes) -> Iterator[None]:
        yield
        fault = self.why_not()
        if fault is not None:
            raise fault
        yield from super().write(changes)

    def commit(self) -> None:
        if self.in_commit is not None:
            self.close()
            raise self.in_commit
        super().commit()

    def page(
        self, session: int, after: int, limit: int
    ) -> list[tuple[DeliveryRow, MessageRow | None]]:
        self.pages += 1
        if self.in_page is not None:
            raise self.in_page
        return super().page(session, after, limit)


async def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not come")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midge.server.durability.STORE_RETRY_S", 0.01)


FAULTS = [
    MemoryError(),
    sqlite3.ProgrammingError("closed"),
    OverflowError("too large"),
    StoreError("the store x cannot be written"),
]


@pytest.mark.source_only("it gives compiled code what its types do not allow")
@pytest.mark.parametrize("place", ["in_write", "in_commit"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_fails_is_told_refuses_publishes_and_heals(
    place: str, fault: Exception
) -> None:
    store = Faulty()
    journal = Journal()
    keeper = Keeper(journal, store.page)
    said: list[str] = []
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, said.append)
    key = journal.new_session()
    journal.keep_session(key, "c", None, 10, None, True)
    journal.queue(key, Message("t", b"x", 1), 1, False, ())
    publisher = Waiting(keeper)
    setattr(store, place, fault)
    durability.turn()
    await until(lambda: journal.failing and keeper.failures > 2)
    assert keeper.full()
    assert not publisher.told
    assert len(said) == 1
    if not isinstance(fault, StoreError):
        assert type(fault).__name__ in said[0]
        assert "test_durability.py:" in said[0]  # where it was raised
    setattr(store, place, None)
    await until(lambda: publisher.told)
    assert not keeper.full()
    assert said[1:] == ["The store can be written again."]
    assert [row.seq for row in store.read(10).deliveries] == [1]  # and once
    await durability.close()


BUSY = StoreError("the store x cannot be written: database is locked", busy=True)


@pytest.mark.source_only("it gives compiled code what its types do not allow")
@pytest.mark.parametrize("ending", [False, True])
async def test_a_file_that_another_process_has_for_a_moment_is_nothing_to_speak_of(
    ending: bool,
) -> None:
    store = Faulty()
    journal = Journal()
    keeper = Keeper(journal, store.page)
    said: list[str] = []
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, said.append)
    key = journal.new_session()
    journal.keep_session(key, "c", None, 10, None, True)
    journal.queue(key, Message("t", b"x", 1), 1, False, ())
    publisher = Waiting(keeper)
    tries = 0

    def count() -> Exception | None:
        nonlocal tries
        tries += 1
        return BUSY if tries < 5 else None

    store.why_not = count
    if not ending:
        durability.turn()
        await until(lambda: publisher.told)
    await durability.close()
    assert tries >= 5
    assert said == []
    assert not keeper.failures
    assert len(store.read(10).deliveries) == 1


async def test_a_file_that_another_process_does_not_let_go_is_told_and_publishes_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("midge.server.durability.STORE_BUSY_PATIENCE_S", 0.05)
    store = Faulty()
    journal = Journal()
    keeper = Keeper(journal, store.page)
    said: list[str] = []
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, said.append)
    journal.take_incoming(journal.new_session(), 1)
    store.in_write = BUSY
    durability.commit_now()
    await until(lambda: journal.failing and keeper.failures > 2)
    assert len(said) == 1
    assert "locked" in said[0]
    await durability.close()  # which does not wait for it either
    assert len(said) == 2
    assert "could not be written at the end" in said[1]


async def test_whatever_fails_at_the_end_is_told() -> None:
    store = Faulty()
    journal = Journal()
    said: list[str] = []
    keeper = Keeper(journal, store.page)
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, said.append)
    journal.take_incoming(journal.new_session(), 1)
    store.in_commit = ValueError("a fault")
    await durability.close()
    assert len(said) == 1
    assert "ValueError: a fault" in said[0]


@pytest.mark.source_only("it gives compiled code what its types do not allow")
async def test_a_fault_in_one_who_waits_costs_that_one_alone() -> None:
    store = Faulty()
    journal = Journal()
    keeper = Keeper(journal, store.page)
    said: list[str] = []
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, said.append)
    ended: list[int] = []

    class Broken(Waiting):
        def safe(self, number: int, now: float) -> None:
            raise LookupError("a fault")

        def end(self, reason: int, text: str) -> None:
            ended.append(reason)

    journal.take_incoming(journal.new_session(), 1)
    Broken(keeper)
    other = Waiting(keeper)
    await turns(durability, other)
    assert other.told
    assert ended == [0x80]
    assert not keeper.links  # it is not told again and again
    assert len(said) == 1
    assert "LookupError: a fault" in said[0]
    await durability.close()


class Starving:
    """A queue that waits for a page."""

    def __init__(self, keeper: Keeper, fault: Exception | None = None) -> None:
        self._keeper = keeper
        self._fault = fault
        self.served = False
        keeper.hungry[cast("Queue", self)] = None

    def pump(self, now: float) -> None:
        if self._fault is not None:
            raise self._fault
        if self._keeper.page(1, 0, 10) is None:
            self._keeper.hungry[cast("Queue", self)] = None
        else:
            self.served = True


@pytest.mark.source_only("it gives compiled code what its types do not allow")
async def test_a_page_that_could_not_be_read_is_tried_again_although_nothing_is_written() -> None:
    store = Faulty()
    store.in_page = StoreError("the store x cannot be read: a reason")
    journal = Journal()
    keeper = Keeper(journal, store.page)
    said: list[str] = []
    durability = Durability(keeper, store, lambda: 0.0, lambda: durability.turn(), said.append)
    starving = Starving(keeper)
    starving.pump(0.0)
    durability.turn()
    tries = store.pages
    await until(lambda: store.pages > tries + 3)
    assert not starving.served
    assert len(said) == 1
    assert "cannot be read: a reason" in said[0]
    store.in_page = None
    await until(lambda: starving.served)
    assert said[1:] == ["The store can be read again."]
    await durability.close()


@pytest.mark.source_only("it gives compiled code what its types do not allow")
async def test_those_who_wait_for_pages_are_served_a_few_in_each_turn_of_the_loop() -> None:
    store = Faulty()
    journal = Journal()
    keeper = Keeper(journal, store.page)
    said: list[str] = []
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, said.append)
    waiting = [Starving(keeper) for _ in range(10)]
    broken = Starving(keeper, LookupError("a fault"))
    waiting += [Starving(keeper) for _ in range(10)]
    journal.take_incoming(journal.new_session(), 1)
    durability.turn()
    counts = [0]
    while counts[-1] < 20 and len(counts) < 2000:
        counts.append(sum(one.served for one in waiting))
        await asyncio.sleep(0)
    assert counts[-1] == 20
    assert max(after - before for before, after in itertools.pairwise(counts)) <= 4
    assert not broken.served
    assert len(said) == 1
    assert "LookupError" in said[0]
    await durability.close()


@pytest.mark.source_only("it gives compiled code what its types do not allow")
async def test_publishers_that_waited_for_the_disk_go_on_a_few_in_each_turn_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("midge.broker.keeper.STORE_PENDING_ROWS", 10)
    went: list[int] = []
    at_once: list[int] = []

    class Counting(Keeper):
        def feed(self, now: float) -> bool:
            before = len(went)
            more = super().feed(now)
            at_once.append(len(went) - before)
            return more

    store = Faulty()
    journal = Journal()
    keeper = Counting(journal, store.page)
    durability = Durability(keeper, store, lambda: 0.0, lambda: durability.turn(), print)
    key = journal.new_session()
    for _ in range(11):
        journal.queue(key, Message("t", b"x", 1), 1, False, ())

    def publish(number: int) -> None:
        if keeper.full():
            keeper.wait().wait(lambda made, now: publish(number))
            return
        went.append(number)
        for _ in range(3):
            journal.queue(key, Message("t", b"x", 1), 1, False, ())

    for number in range(20):
        publish(number)
    assert went == []
    durability.turn()
    await until(lambda: len(went) == 20)
    assert went == list(range(20))  # in the order in which they came
    assert max(at_once) == 2
    await durability.close()


async def test_the_clock_is_looked_at_before_a_batch_is_taken() -> None:
    store = MemoryStore()
    journal = Journal()
    keeper = Keeper(journal, store.page)

    def check() -> None:
        journal.offset_s = 5.0
        journal.keep_session(key, "c", None, 10, None, False, 1.0)

    key = journal.new_session()
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, print, check)
    durability.turn()
    await durability.close()
    assert [row.ends_at for row in store.read(0).sessions] == [6.0]


@pytest.mark.source_only("it gives compiled code what its types do not allow")
async def test_very_many_who_wait_are_told_some_in_each_turn_of_the_loop() -> None:
    store = Faulty()
    journal = Journal()
    keeper = Keeper(journal, store.page)
    durability = Durability(keeper, store, lambda: 0.0, lambda: None, print)
    journal.take_incoming(journal.new_session(), 1)
    waiting = [Waiting(keeper) for _ in range(1000)]
    durability.turn()
    counts = [0]
    while counts[-1] < 1000 and len(counts) < 5000:
        counts.append(sum(one.told for one in waiting))
        await asyncio.sleep(0)
    assert counts[-1] == 1000
    assert max(after - before for before, after in itertools.pairwise(counts)) <= 200
    assert not keeper.links
    await durability.close()
