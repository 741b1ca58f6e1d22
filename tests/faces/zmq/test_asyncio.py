"""Sockets for asyncio, in asyncio's own loop and in uvloop's."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from tests.faces.zmq.conftest import PATIENCE_MS, Bench

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class AsyncBench(Bench):
    """The same, with the context of the library's ``asyncio``.

    Attributes:
        module: that module.
    """

    def __init__(self, name: str) -> None:
        self.module: Any = importlib.import_module(f"{name}.asyncio")
        super().__init__(importlib.import_module(name))
        self.context.term()
        self.context = self.module.Context()


@pytest.fixture(params=["midge.zmq", pytest.param("zmq", marks=pytest.mark.peer("pyzmq"))])
def bench(request: pytest.FixtureRequest) -> Iterator[AsyncBench]:
    made = AsyncBench(request.param)
    yield made
    made.end()


@pytest.fixture
def ours() -> Iterator[AsyncBench]:
    made = AsyncBench("midge.zmq")
    yield made
    made.end()


async def _in_time(work: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.wait_for(work, PATIENCE_MS / 1000)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine in a loop of its own."""
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop

    def run_it(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(_in_time(work))

    return run_it


# -- messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 100_000])
def test_a_message_arrives_as_it_was_sent(
    bench: AsyncBench, run: Run, transport: str, size: int
) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL", transport)
        await push.send(body)
        assert await pull.recv() == body
        waiting = asyncio.ensure_future(pull.recv_multipart())
        await asyncio.sleep(0.01)
        await push.send_multipart([b"a", body, b""])
        assert await waiting == [b"a", body, b""]

    run(work())


def test_many_messages_arrive_once_and_in_order(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL", "tcp")

        async def send() -> None:
            for number in range(5000):  # more than the high-water marks let through
                await push.send(b"%d" % number)

        sending = asyncio.ensure_future(send())
        assert [int(await pull.recv()) for _ in range(5000)] == list(range(5000))
        await sending

    run(work())


def test_receives_are_served_in_the_order_of_asking(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL")
        asked = [pull.recv() for _ in range(10)]
        for number in range(10):
            await push.send(b"%d" % number)
        assert [int(part) for part in await asyncio.gather(*asked)] == list(range(10))

    run(work())


def test_parts_are_sent_and_received_one_by_one(bench: AsyncBench, run: Run) -> None:
    zmq = bench.zmq

    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL")
        await push.send(b"a", zmq.SNDMORE)
        await push.send(b"b")
        assert await pull.recv() == b"a"
        assert pull.rcvmore
        assert await pull.recv() == b"b"
        assert not pull.rcvmore

    run(work())


def test_a_message_in_parts_that_may_not_wait_is_refused_with_its_first_part(
    bench: AsyncBench, run: Run
) -> None:
    zmq = bench.zmq

    async def work() -> None:
        push, pull = bench.socket("PUSH"), bench.socket("PULL")
        with pytest.raises(zmq.Again):
            await push.send(b"refused", zmq.SNDMORE | zmq.DONTWAIT)
        bench.join(pull, push)
        await push.send(b"head", zmq.SNDMORE)
        await push.send(b"body")
        assert await pull.recv_multipart() == [b"head", b"body"]

    run(work())


def test_parts_are_kept_when_the_last_one_may_not_wait(ours: AsyncBench, run: Run) -> None:
    bench, zmq = ours, ours.zmq

    async def work() -> None:
        push, pull = bench.socket("PUSH"), bench.socket("PULL")
        await push.send(b"head", zmq.SNDMORE)  # which waits with its last part
        for last in ([b"body"], [b"more", b"body"]):
            with pytest.raises(zmq.Again):
                await push.send_multipart(last, zmq.DONTWAIT)
            with pytest.raises(zmq.Again):
                await push.send(b"body", zmq.DONTWAIT)
        bench.join(pull, push)
        await push.send(b"body", zmq.DONTWAIT)
        assert await pull.recv_multipart() == [b"head", b"body"]

    run(work())


def test_parts_that_are_sent_while_others_wait_stay_together(bench: AsyncBench, run: Run) -> None:
    zmq = bench.zmq

    async def work() -> None:
        push, pull = bench.socket("PUSH"), bench.socket("PULL")
        sent = [
            push.send(b"first"),  # nobody is there
            push.send(b"a", zmq.SNDMORE),
            push.send(b"b"),
            push.send_multipart([b"c", b"d"], zmq.SNDMORE),
            push.send_multipart([b"e", bytearray(b"f")]),
            push.send_multipart([b"g", b"h"]),
            push.send(b"i", zmq.SNDMORE),
            push.send(b"last"),
        ]
        bench.join(pull, push, "tcp")
        expected = [
            [b"first"],
            [b"a", b"b"],
            [b"c", b"d", b"e", b"f"],
            [b"g", b"h"],
            [b"i", b"last"],
        ]
        for parts in expected:
            assert await pull.recv_multipart() == parts
        await asyncio.gather(*sent)

    run(work())


def test_many_do_not_overtake_what_waits(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.socket("PUSH"), ours.socket("PULL")
        first = push.send(b"0")
        await asyncio.sleep(0)
        rest = push.send_many([b"%d" % number for number in range(1, 10)])
        ours.join(pull, push)
        await asyncio.gather(first, rest)
        assert [int(await pull.recv()) for _ in range(10)] == list(range(10))

    run(work())


def test_text_json_and_objects_are_awaited_too(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL")
        await push.send_string("grüße")
        assert await pull.recv_string() == "grüße"
        await push.send_json({"a": [1]})
        assert await pull.recv_json() == {"a": [1]}
        await push.send_pyobj({1, 2})
        assert await pull.recv_pyobj() == {1, 2}
        await push.send_serialized((1, 2), lambda numbers: [b"%d" % one for one in numbers])
        assert await pull.recv_serialized(lambda parts: tuple(map(int, parts))) == (1, 2)
        await push.send(b"no json")
        with pytest.raises(ValueError, match="Expecting value"):
            await pull.recv_json()

    run(work())


def test_a_message_is_received_as_frames(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL")
        await push.send_multipart([b"a", b"b"], copy=False)
        frames = await pull.recv_multipart(copy=False)
        assert [frame.bytes for frame in frames] == [b"a", b"b"]

    run(work())


def test_request_and_reply(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        rep, req = bench.pair("REP", "REQ", "tcp")

        async def answer() -> None:
            for _ in range(20):
                await rep.send(b"re:" + await rep.recv())

        answering = asyncio.ensure_future(answer())
        for number in range(20):
            await req.send(b"%d" % number)
            assert await req.recv() == b"re:%d" % number
        await answering

    run(work())


# -- futures ----------------------------------------------------------------------------------


def test_what_is_given_is_a_future(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL")
        sent = push.send(b"1")
        assert asyncio.isfuture(sent)
        await sent
        first, second = pull.recv(), pull.recv()
        done, waiting = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        assert (done, waiting) == ({first}, {second})
        assert first.result() == b"1"
        second.cancel()

    run(work())


def test_a_cancelled_receive_has_taken_nothing(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL")
        first, second, third = (pull.recv() for _ in range(3))
        second.cancel()
        await push.send(b"1")
        await push.send(b"2")
        assert [await first, await third] == [b"1", b"2"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pull.recv(), 0.01)
        await push.send(b"3")
        assert await pull.recv() == b"3"

    run(work())


def test_nothing_to_receive_is_told_at_once_with_dontwait(bench: AsyncBench, run: Run) -> None:
    zmq = bench.zmq

    async def work() -> None:
        _, pull = bench.pair("PUSH", "PULL")
        for receive in (pull.recv, pull.recv_multipart):
            future = receive(zmq.DONTWAIT)
            assert future.done()
            with pytest.raises(zmq.Again):
                await future

    run(work())


def test_times_end_receives_and_sends(bench: AsyncBench, run: Run) -> None:
    zmq = bench.zmq

    async def work() -> None:
        _, pull = bench.pair("PUSH", "PULL")
        pull.rcvtimeo = 10
        with pytest.raises(zmq.Again):
            await pull.recv()
        alone = bench.socket("PUSH", sndtimeo=10)
        with pytest.raises(zmq.Again):
            await alone.send(b"nobody")
        with pytest.raises(zmq.Again):
            await alone.send_multipart([b"nobody", b"there"])

    run(work())


def test_closing_cancels_what_waits(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        _, pull = bench.pair("PUSH", "PULL")
        waiting = [pull.recv(), pull.recv_multipart(), pull.poll()]
        pull.close()
        await asyncio.wait(waiting)
        assert all(one.cancelled() for one in waiting)

    run(work())


def test_errors_come_with_the_await(bench: AsyncBench, run: Run) -> None:
    zmq = bench.zmq

    async def work() -> None:
        rep = bench.socket("REP")
        with pytest.raises(zmq.ZMQError) as refused:
            await rep.send(b"nobody asked")
        assert refused.value.errno == zmq.EFSM
        push, _ = bench.pair("PUSH", "PULL")
        for wrong in (None, "text", 5):
            with pytest.raises(TypeError):
                await push.send(wrong)

    run(work())


def test_a_send_waits_for_room(bench: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = bench.socket("PUSH", sndhwm=1), bench.socket("PULL", rcvhwm=1)
        bench.join(push, pull)
        sent = 0
        while True:
            future = push.send(b"%d" % sent)
            sent += 1
            if not future.done():
                break
            assert sent < 100
        assert await pull.recv() == b"0"
        got = 1
        while not future.done():
            await pull.recv()
            got += 1
        await future
        for _ in range(sent - got):
            await pull.recv()

    run(work())


# -- poll -------------------------------------------------------------------------------------


def test_poll_gives_the_events_that_are_there(bench: AsyncBench, run: Run) -> None:
    zmq = bench.zmq

    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL")
        assert await pull.poll(0) == 0
        assert await pull.poll(10) == 0
        waiting = pull.poll()
        await push.send(b"x")
        assert await waiting == zmq.POLLIN
        assert await pull.poll() == zmq.POLLIN  # it is still there
        assert await pull.recv() == b"x"
        assert await push.poll(None, zmq.POLLOUT) == zmq.POLLOUT

    run(work())


def test_a_poller_watches_sockets_and_descriptors(bench: AsyncBench, run: Run) -> None:
    import socket

    zmq = bench.zmq

    async def work() -> None:
        push, pull = bench.pair("PUSH", "PULL")
        one, other = socket.socketpair()
        poller = bench.module.Poller()
        poller.register(pull, zmq.POLLIN)
        poller.register(one, zmq.POLLIN)
        assert await poller.poll(10) == []
        waiting = poller.poll()
        await push.send(b"x")
        assert await waiting == [(pull, zmq.POLLIN)]
        await pull.recv()
        other.send(b"y")
        assert await poller.poll(1000) == [(one.fileno(), zmq.POLLIN)]
        poller.unregister(one)
        one.close()
        other.close()

    run(work())


# -- loops ------------------------------------------------------------------------------------


def test_a_socket_goes_from_one_loop_to_the_next(ours: AsyncBench, run: Run) -> None:
    push, pull = ours.pair("PUSH", "PULL", "tcp")

    async def work(number: int) -> None:
        for _ in range(3):
            await push.send(b"%d" % number)
            assert await pull.recv() == b"%d" % number

    for number in range(3):
        run(work(number))


def test_what_was_queued_leaves_after_the_loop_has_ended(ours: AsyncBench, run: Run) -> None:
    pull = ours.zmq.Context.instance().socket(ours.zmq.PULL)
    pull.rcvtimeo = PATIENCE_MS
    port = pull.bind_to_random_port("tcp://127.0.0.1")

    async def work() -> None:
        push = ours.socket("PUSH", linger=PATIENCE_MS)
        push.connect(f"tcp://127.0.0.1:{port}")
        for number in range(500):
            await push.send(b"%d" % number)
        push.close()

    run(work())
    assert [int(pull.recv()) for _ in range(500)] == list(range(500))
    pull.close()


def test_a_socket_outlives_a_loop_that_ended_without_a_word(bench: AsyncBench, run: Run) -> None:
    """Its options can be set, its endpoints changed, and it is closed, all without a loop."""

    async def wait_for_nothing() -> None:
        push, pull = bench.pair("PUSH", "PULL", "tcp")
        task = asyncio.ensure_future(asyncio.wait_for(pull.recv(), 10))
        await asyncio.sleep(0)
        assert not task.done()
        sockets.extend((push, pull))

    sockets: list[Any] = []
    run(wait_for_nothing())
    push, pull = sockets
    pull.linger = 1
    pull.disconnect(push.last_endpoint.decode())
    push.setsockopt(bench.zmq.LINGER, 0)
    pull.close()
    bench.context.destroy(0)
    assert push.closed


def test_a_blocking_socket_is_given_this_face_for_a_while(bench: AsyncBench, run: Run) -> None:
    zmq = bench.zmq
    context = zmq.Context()
    push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    pull.rcvtimeo = PATIENCE_MS
    pull.bind("inproc://both-faces")
    push.connect("inproc://both-faces")

    async def work() -> None:
        face = bench.module.Socket.from_socket(pull)
        waiting = face.recv()
        push.send(b"1")
        assert await waiting == b"1"

    run(work())
    push.send(b"2")
    assert pull.recv() == b"2"
    push.close(0)
    pull.close(0)
    context.term()


def test_without_a_running_loop_there_is_a_warning(ours: AsyncBench) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pull = ours.socket("PULL")
    with pytest.warns(RuntimeWarning, match="No running event loop"):
        waiting = pull.recv()
    assert waiting.get_loop() is loop
    waiting.cancel()
    pull.close()
    loop.close()
    asyncio.set_event_loop(None)


# -- what pyzmq does not have -----------------------------------------------------------------


def test_messages_are_iterated_over(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL")
        await push.send(b"1")
        await push.send_multipart([b"2", b"3"])
        found = []
        async for message in pull:
            found.append(message)
            if len(found) == 2:
                break
        assert found == [b"1", [b"2", b"3"]]

    run(work())


def test_nothing_is_published_before_somebody_hears_it(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        pub, sub = ours.pair("PUB", "SUB", "tcp")
        await pub.wait_peers(1)
        waiting = pub.wait_subscribed(b"weather", timeout=10)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        sub.subscribe(b"weather")
        await waiting
        await pub.send(b"weather: fine")
        assert await sub.recv() == b"weather: fine"
        with pytest.raises(ours.zmq.Again):
            await pub.wait_subscribed(b"news", timeout=0.01)
        with pytest.raises(ours.zmq.Again):
            await pub.wait_peers(2, timeout=0.01)

    run(work())


@pytest.mark.parametrize("wanted", [b"", b"wea"])
def test_who_wants_a_beginning_of_a_prefix_is_waited_for(
    ours: AsyncBench, run: Run, wanted: bytes
) -> None:
    async def work() -> None:
        pub, sub = ours.pair("PUB", "SUB", "tcp")
        sub.subscribe(wanted)
        await pub.wait_subscribed(b"weather", timeout=10)
        await pub.send(b"weather: fine")
        assert await sub.recv() == b"weather: fine"

    run(work())


def test_many_are_sent_and_received_at_once(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.pair("PUSH", "PULL", "tcp")
        sending = push.send_many([b"%d" % number for number in range(5000)])
        found: list[bytes] = []
        while len(found) < 5000:
            lot = await pull.recv_many(limit=300)
            assert 1 <= len(lot) <= 300
            found += lot
        assert await sending == 5000
        assert [int(one) for one in found] == list(range(5000))

    run(work())


def test_with_dontwait_only_what_there_is_room_for_is_sent(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        push, pull = ours.socket("PUSH", sndhwm=5), ours.socket("PULL", rcvhwm=5)
        ours.join(push, pull)
        sent = await push.send_many([b"%d" % n for n in range(100)], ours.zmq.DONTWAIT)
        assert 5 <= sent < 100
        assert [int(await pull.recv()) for _ in range(sent)] == list(range(sent))

    run(work())


def test_stats_say_what_was_dropped(ours: AsyncBench, run: Run) -> None:
    async def work() -> None:
        pub, sub = ours.socket("PUB", sndhwm=1), ours.socket("SUB", rcvhwm=1)
        ours.join(pub, sub)
        sub.subscribe(b"")
        await pub.wait_subscribed()
        for _ in range(100):
            await pub.send(b"x")
        await asyncio.sleep(0.01)
        stats = pub.stats()
        assert stats["dropped"]["full"] >= 90

    run(work())
