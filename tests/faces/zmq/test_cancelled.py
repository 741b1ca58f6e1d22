"""Receives on an event loop that are cancelled, in whichever turn: none loses its message.

In the turn in which a future gets its result, whoever awaits it does not go on yet. A test sees
that turn by a callback of the future, which is called before the task that awaits it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.faces.zmq.test_asyncio import AsyncBench, Run, run

__all__ = ["run"]


@pytest.fixture
def ours() -> Iterator[AsyncBench]:
    made = AsyncBench("midge.zmq")
    yield made
    made.end()


async def _awaited(future: Any) -> Any:
    return await future


async def _within_timeout(future: Any) -> Any:
    async with asyncio.timeout(5):
        return await future


async def _gathered(what: Any) -> Any:
    return (await asyncio.gather(what, asyncio.sleep(5)))[0]


#: How a program waits for a receive, in a task that is cancelled.
WAYS: dict[str, Callable[[Any], Any]] = {
    "task": _awaited,
    "timeout": _within_timeout,
    "gather": lambda future: _gathered(_awaited(future)),
}


#: What a program receives with, and what becomes of the message [b"1"].
RECEIVES: dict[str, tuple[Callable[[Any], Awaitable[Any]], Any]] = {
    "recv": (lambda socket: socket.recv(), b"1"),
    "recv_multipart": (lambda socket: socket.recv_multipart(), [b"1"]),
    "recv_string": (lambda socket: socket.recv_string(), "1"),
    "recv_json": (lambda socket: socket.recv_json(), 1),
    "recv_many": (lambda socket: socket.recv_many(10), [b"1"]),
    "recv_into": (lambda socket: socket.recv_into(bytearray(10)), 1),
}


async def _cancel_with_result(push: Any, waiting: list[Any], tasks: list[Any]) -> None:
    """Send as many messages as there are receives, and cancel the tasks when those are done."""
    waiting[-1].add_done_callback(lambda _: [task.cancel() for task in tasks])
    await asyncio.sleep(0.01)  # the tasks wait; their callbacks come behind that one
    assert await push.send_many([b"%d" % number for number, _ in enumerate(waiting, 1)])
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


@pytest.mark.parametrize("receive", RECEIVES)
@pytest.mark.parametrize("way", WAYS)
def test_a_message_that_came_with_the_cancel_is_there_for_the_next(
    ours: AsyncBench, run: Run, way: str, receive: str
) -> None:
    take, expected = RECEIVES[receive]

    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        future: Any = take(pull)
        await _cancel_with_result(push, [future], [asyncio.ensure_future(WAYS[way](future))])
        assert future.cancelled()
        for ask in (future.result, future.exception):
            with pytest.raises(asyncio.CancelledError):
                ask()
        await push.send(b"2")
        assert await take(pull) == expected
        assert await pull.recv() == b"2"
        assert await pull.poll(0) == 0

    run(work())


@pytest.mark.parametrize("turns", range(6))
def test_wait_for_that_is_cancelled_has_its_message_or_leaves_it(
    ours: AsyncBench, run: Run, turns: int
) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        got: list[bytes] = []
        for what in (_awaited, lambda future: future):
            task = asyncio.ensure_future(asyncio.wait_for(what(pull.recv()), 5))
            await asyncio.sleep(0.01)
            await push.send(b"1")
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                got.append(task.result())
            await push.send(b"2")
            while len(got) < 2:
                got.append(await pull.recv())
            assert got == [b"1", b"2"]
            got.clear()

    run(work())


def test_several_that_are_given_back_keep_their_order(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        for _ in range(2):
            waiting = [pull.recv() for _ in range(5)]
            tasks = [asyncio.ensure_future(_awaited(future)) for future in waiting]
            # The first receive of all tells, before any of the tasks goes on.
            await _cancel_with_result(push, waiting[::-1], tasks)
            await push.send(b"6")
            assert [int(await pull.recv()) for _ in range(6)] == [1, 2, 3, 4, 5, 6]

    run(work())


def test_what_is_given_back_goes_to_who_waits_already(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        first, second = pull.recv(), pull.recv()
        task = asyncio.ensure_future(_awaited(first))
        await _cancel_with_result(push, [first], [task])
        assert await second == b"1"

    run(work())


def test_a_lot_is_given_back_as_it_was(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "inproc")
        future = pull.recv_many(10)
        task = asyncio.ensure_future(_awaited(future))
        future.add_done_callback(lambda _: task.cancel())
        await asyncio.sleep(0.01)
        sent = [[b"1"], [b"2", b"3"], [b"4"]]
        for parts in sent:
            await push.send_multipart(parts)
        await asyncio.wait([task])
        assert [await pull.recv_multipart() for _ in sent] == sent

    run(work())


def test_the_first_of_several_parts_is_given_back_with_the_others(
    ours: AsyncBench, run: Run
) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        for again in range(2):
            future = pull.recv(copy=bool(again))
            task = asyncio.ensure_future(_awaited(future))
            future.add_done_callback(lambda _, task=task: task.cancel())
            await asyncio.sleep(0.01)
            await push.send_multipart([b"a", b"b", b"c"])
            await asyncio.wait([task])
            assert not pull.rcvmore
            assert await pull.recv() == b"a"
            assert pull.rcvmore
            assert await pull.recv_multipart() == [b"b", b"c"]

    run(work())


def test_a_reply_that_is_given_back_is_waited_for_still(ours: AsyncBench, run: Run) -> None:
    zmq = ours.zmq

    async def work() -> None:
        rep, req = ours.pair("REP", "REQ", "tcp")
        for asked, answered in (("1", "2"), ("3", "4")):
            receives = rep.recv()
            task = asyncio.ensure_future(_awaited(receives))
            receives.add_done_callback(lambda _, task=task: task.cancel())
            await asyncio.sleep(0.01)
            await req.send_string(asked)
            await asyncio.wait([task])
            with pytest.raises(zmq.ZMQError, match="receive a request"):
                await rep.send(b"to nothing")
            assert await rep.recv_string() == asked

            receives = req.recv()
            task = asyncio.ensure_future(_awaited(receives))
            receives.add_done_callback(lambda _, task=task: task.cancel())
            await asyncio.sleep(0.01)
            await rep.send_string(answered)
            await asyncio.wait([task])
            with pytest.raises(zmq.ZMQError, match="receive the reply"):
                await req.send(b"another")
            assert await req.poll(1000) == zmq.POLLIN
            assert await req.recv_string() == answered

    run(work())


def test_a_result_that_somebody_has_is_not_given_back(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        # As programs do it that wait for the first of several.
        one, other = pull.recv(), pull.recv()
        await push.send(b"1")
        await asyncio.wait([one, other], return_when=asyncio.FIRST_COMPLETED)
        assert [one.cancel(), other.cancel()] == [False, True]
        assert one.result() == b"1"
        del one, other
        # Two tasks await one receive.
        future = pull.recv()
        tasks = [asyncio.ensure_future(_awaited(future)) for _ in range(2)]
        future.add_done_callback(lambda _: tasks[0].cancel())
        await asyncio.sleep(0.01)
        await push.send(b"2")
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()
        assert await tasks[1] == b"2"
        del future
        await push.send(b"3")
        assert await pull.recv() == b"3"

    run(work())


def test_a_message_that_cannot_be_read_is_not_given_back(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        waiting = asyncio.ensure_future(pull.recv_json())
        await push.send(b"{")
        with pytest.raises(ValueError, match="property name"):
            await waiting
        del waiting
        await push.send(b"{}")
        assert await pull.recv_json() == {}

    run(work())


def test_cancels_at_random_lose_nothing(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        got: list[int] = []

        async def read() -> None:
            while True:
                got.append(int(await pull.recv()))

        for number in range(300):
            task = asyncio.ensure_future(read())
            for _ in range(number % 5):
                await asyncio.sleep(0)
            await push.send(b"%d" % number)
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        while len(got) < 300:
            got.append(int(await pull.recv()))
        assert got == list(range(300))

    run(work())


# -- who does not wait any more -------------------------------------------------------------------


def test_those_that_were_cancelled_behind_one_that_waits_are_forgotten(
    ours: AsyncBench, run: Run
) -> None:
    async def work() -> None:
        pull, push = ours.socket("PULL"), ours.socket("PUSH")  # nobody is there
        waiting = [pull.recv(), push.send(b"1")]
        weak = []
        for ask in (pull.recv, pull.recv_multipart, lambda: push.send(b"x"), pull.poll):
            for _ in range(500):
                future = ask()
                future.cancel()
                weak.append(weakref.ref(future))
                del future
        await asyncio.sleep(0)
        alive = sum(1 for one in weak if one() is not None)
        assert alive < len(weak) // 5
        for future in waiting:
            future.cancel()

    run(work())


def test_who_waits_longest_is_served_first_whoever_gave_up_around_him(
    ours: AsyncBench, run: Run
) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        waiting = []
        for number in range(500):
            future = pull.recv()
            if number % 100:
                future.cancel()
            else:
                waiting.append(future)
        await push.send_many([b"%d" % number for number, _ in enumerate(waiting)])
        assert [int(await future) for future in waiting] == [0, 1, 2, 3, 4]

    run(work())


def test_one_that_was_cancelled_keeps_nobody_from_what_is_there(ours: AsyncBench, run: Run) -> None:
    zmq = ours.zmq

    async def work() -> None:
        # No turn of the loop comes between the cancel and the next one who asks.
        push, pull = ours.pair("PUSH", "PULL", "inproc")
        pull.recv().cancel()
        await push.send(b"1")
        assert await pull.recv(zmq.DONTWAIT) == b"1"
        alone = ours.socket("PUSH")
        alone.send(b"nobody is there").cancel()
        ours.join(ours.socket("PULL"), alone)
        await alone.send(b"somebody is", zmq.DONTWAIT)

    run(work())
