"""A receive that finds a message gives a future that is done, and all that one can do with it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from midge.zmq.ready import Ready
from tests.faces.zmq.test_asyncio import AsyncBench, Run, bench, ours, run

__all__ = ["bench", "ours", "run"]


async def _found(bench: AsyncBench, body: bytes = b"here") -> Any:
    """What ``recv`` gives when there is a message."""
    push, pull = bench.pair("PUSH", "PULL")
    await push.send(body)
    await push.send(b"another")
    assert await pull.poll(1000)
    if bench.zmq.__name__ == "midge.zmq":
        # The first one of a lot is taken by another way.
        assert await pull.recv() == body
        await push.send(b"a third")
        body = b"another"
    found = pull.recv()
    if bench.zmq.__name__ == "midge.zmq":
        assert type(found) is Ready
    assert found.done()
    assert found.result() in (body, b"another")
    return found


async def _first_of(found: Any) -> Any:
    done, pending = await asyncio.wait([found], timeout=5)
    assert not pending
    return done.pop().result()


async def _completed(found: Any) -> Any:
    for one in asyncio.as_completed([found], timeout=5):
        return await one
    return None


async def _gathered(found: Any) -> Any:
    return (await asyncio.gather(found, asyncio.sleep(0)))[0]


WAITS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "await": lambda found: found,
    "wait_for": lambda found: asyncio.wait_for(found, 5),
    "wait_for, now": lambda found: asyncio.wait_for(found, 0),
    "shield": asyncio.shield,
    "gather": _gathered,
    "wait": _first_of,
    "as_completed": _completed,
    "ensure_future": lambda found: asyncio.ensure_future(found),
}


@pytest.mark.parametrize("how", WAITS)
def test_it_can_be_waited_for_in_every_way(bench: AsyncBench, run: Run, how: str) -> None:
    async def work() -> None:
        found = await _found(bench)
        assert await WAITS[how](found) == found.result()

    run(work())


def test_it_says_of_itself_what_a_done_future_says(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        found = await _found(bench)
        assert asyncio.isfuture(found)
        assert isinstance(found, asyncio.Future)
        assert inspect.isawaitable(found)
        assert found.exception() is None
        assert not found.cancelled()
        assert not found.cancel()
        assert found.get_loop() is asyncio.get_running_loop()
        assert repr(found.result()) in repr(found)
        for fails in (lambda: found.set_result(1), lambda: found.set_exception(OSError())):
            with pytest.raises(asyncio.InvalidStateError):
                fails()

    run(work())


def test_it_can_be_awaited_more_than_once(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        found = await _found(bench)
        assert await found == await found == found.result()

    run(work())


def test_callbacks_are_called_in_the_next_turn(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        found = await _found(bench)
        called: list[Any] = []
        found.add_done_callback(called.append)
        found.add_done_callback(lambda one: called.append(one.result()))
        assert not called
        await asyncio.sleep(0)
        assert called == [found, found.result()]
        assert found.remove_done_callback(called.append) == 0

    run(work())


def test_a_waiting_receive_is_served_before_a_later_one(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL")
        first = pull.recv()
        await push.send(b"1")
        await push.send(b"2")
        second = pull.recv()
        assert await asyncio.gather(first, second) == [b"1", b"2"]

    run(work())


def test_a_socket_with_messages_left_serves_another_loop(ours: AsyncBench) -> None:
    push, pull = ours.pair("PUSH", "PULL")
    left = [b"1", b"2", b"3", b"4"]

    async def fill() -> None:
        for one in left:
            await push.send(one)
        assert await pull.recv() == left[0]
        assert await pull.recv() == left[1]

    async def rest() -> None:
        assert await asyncio.wait_for(pull.recv(), 5) == left[2]
        assert await asyncio.gather(pull.recv()) == [left[3]]

    asyncio.run(fill())
    asyncio.run(rest())
