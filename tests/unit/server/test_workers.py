"""Work that is done off the loop: bounded, in turns, and told in the loop's thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from midge.auth.offload import Busy
from midge.server.workers import Workers


class Shop:
    """Workers with one thread that stands still until :meth:`open`."""

    def __init__(self, *, queue_max: int = 100, per_key_max: int = 100) -> None:
        self.time = 0.0
        self.woken = 0
        self.told: list[object] = []
        self.began: list[str] = []
        self.gate = threading.Event()
        self.workers = Workers(
            asyncio.get_running_loop(),
            lambda: self.time,
            self.wake,
            threads=1,
            queue_max=queue_max,
            per_key_max=per_key_max,
            wait_max_s=10.0,
            name="test",
        )
        self.workers.submit("gate", lambda: self.gate.wait(20), lambda result, now: None)

    def wake(self) -> None:
        self.woken += 1

    def submit(self, key: str, name: str) -> object:
        def work() -> str:
            self.began.append(name)
            return name

        return self.workers.submit(key, work, lambda result, now: self.told.append(result))

    async def open(self) -> None:
        self.gate.set()
        for _ in range(2000):
            if not self.workers.waiting and not self.workers.running:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)  # what was called soon
        self.workers.close()


async def test_work_is_done_in_another_thread_and_told_in_the_loops() -> None:
    shop = Shop()
    threads: list[int] = []
    shop.workers.submit(
        "a",
        lambda: threads.append(threading.get_ident()),
        lambda result, now: threads.append(threading.get_ident()),
    )
    assert not threads
    await shop.open()
    assert threads[0] != threading.get_ident()
    assert threads[1] == threading.get_ident()
    assert shop.woken == 2  # the gate's end too
    assert shop.workers.done == 2


async def test_those_who_ask_take_turns_so_that_one_cannot_make_all_wait() -> None:
    shop = Shop()
    for number in range(5):
        shop.submit("flood", f"flood{number}")
    shop.submit("bob", "bob")
    shop.submit("eve", "eve")
    await shop.open()
    assert shop.began == ["flood0", "bob", "eve", "flood1", "flood2", "flood3", "flood4"]
    assert shop.told == shop.began


async def test_the_queue_has_an_end_in_all_and_for_each() -> None:
    shop = Shop(queue_max=5, per_key_max=3)
    assert [shop.submit("flood", "f") is not None for _ in range(5)] == [True] * 3 + [False] * 2
    assert [shop.submit(f"other{n}", "o") is not None for n in range(3)] == [True, True, False]
    assert shop.workers.waiting == 5
    assert shop.workers.refused == 3
    await shop.open()
    assert shop.told == ["f", "o", "o", "f", "f"]


async def test_work_that_nobody_wants_any_more_is_not_begun_and_makes_room() -> None:
    shop = Shop(queue_max=1)
    job = shop.workers.submit("a", lambda: pytest.fail("begun"), lambda result, now: None)
    assert job is not None
    assert shop.submit("a", "b") is None
    job.cancel()
    job.cancel()
    assert shop.workers.waiting == 0
    assert shop.submit("a", "b") is not None
    await shop.open()
    assert shop.told == ["b"]


async def test_work_that_is_cancelled_while_it_is_done_tells_nobody() -> None:
    shop = Shop()
    await asyncio.sleep(0)
    done = asyncio.Event()
    job = shop.workers.submit("a", lambda: None, lambda result, now: pytest.fail("told"))
    assert job is not None
    shop.workers.submit("b", lambda: None, lambda result, now: done.set())
    shop.gate.set()
    while shop.workers.waiting == 2:
        await asyncio.sleep(0.001)
    job.cancel()
    await asyncio.wait_for(done.wait(), 10)
    await shop.open()


async def test_what_has_waited_too_long_is_given_up() -> None:
    shop = Shop()
    shop.submit("a", "late")
    shop.time = 10.5
    shop.submit("a", "in time")
    await shop.open()
    assert shop.began == ["in time"]
    assert {type(one) for one in shop.told} == {Busy, str}
    assert shop.workers.refused == 1


async def test_an_error_is_a_result() -> None:
    shop = Shop()
    shop.workers.submit("a", lambda: 1 / 0, lambda result, now: shop.told.append(result))
    await shop.open()
    assert isinstance(shop.told[0], ZeroDivisionError)


async def test_closing_drops_what_waits() -> None:
    shop = Shop()
    shop.submit("a", "never")
    shop.workers.close()
    shop.gate.set()
    await asyncio.sleep(0.01)
    assert shop.told == []
