"""The same engine in the turns of an asyncio loop, and of uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from midge.net.zeromq.context import EngineContext
from midge.net.zeromq.engine import SocketEngine
from midge.net.zeromq.loop_reactor import LoopReactor
from midge.net.zeromq.reactor import Reactor

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [
    asyncio.new_event_loop,
    uvloop.new_event_loop,
]


async def exchange(transport: str) -> list[bytes]:
    reactor: Reactor = LoopReactor(asyncio.get_running_loop())
    context = EngineContext()
    pull, push = SocketEngine("PULL", reactor, context), SocketEngine("PUSH", reactor, context)
    changed = asyncio.Event()
    pull.on_change = push.on_change = changed.set
    push.connect(pull.bind(transport).replace("127.0.0.1", "localhost"))
    got: list[bytes] = []
    sent = 0
    while len(got) < 3000:
        changed.clear()
        while sent < 3000 and push.send(b"%d" % sent):
            sent += 1
        while more := pull.receive_many(1000):
            got += more
        if len(got) < 3000:
            await asyncio.wait_for(changed.wait(), 10)
    ended: list[int] = []
    push.close(-1, lambda: ended.append(1))
    pull.close(0, lambda: ended.append(2))
    while len(ended) < 2:
        await asyncio.sleep(0)
    return got


@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("transport", ["tcp://127.0.0.1:*", "ipc://*", "inproc://here"])
def test_messages_arrive_once_and_in_order(
    new_loop: Callable[[], asyncio.AbstractEventLoop], transport: str
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(exchange(transport)) == [b"%d" % number for number in range(3000)]


def test_sockets_of_a_loop_and_of_a_thread_meet_by_inproc() -> None:
    from midge.net.zeromq.blocking import BlockingEngine
    from midge.net.zeromq.blocking_context import BlockingContext

    context = BlockingContext()
    push = BlockingEngine("PUSH", context)
    push.call(push.engine.connect, "inproc://meet")
    for number in range(100):
        assert push.send(b"%d" % number, 1000)
    push.flush()

    async def read() -> list[bytes]:
        reactor = LoopReactor(asyncio.get_running_loop())
        pull = SocketEngine("PULL", reactor, context.shared)
        changed = asyncio.Event()
        pull.on_change = changed.set
        pull.bind("inproc://meet")
        got: list[bytes] = []
        while len(got) < 100:
            changed.clear()
            got += pull.receive_many(100)
            if len(got) < 100:
                await asyncio.wait_for(changed.wait(), 10)
        pull.close(0, lambda: None)
        return got

    assert asyncio.run(read()) == [b"%d" % number for number in range(100)]
    push.close(0)
    assert context.wait_empty(5)
    context.stop()
