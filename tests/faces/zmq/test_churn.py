"""Sockets that come and go by the thousand, and peers that are killed: nothing is left of them.

What is counted, once a warm-up has filled every cache:

* descriptors and threads, by what the kernel says of the process: they must be what they were.
* the interpreter's memory blocks (an object has at least one): what grows without a leak are caches
  of the interpreter, some 270 blocks at the most, whatever the number of sockets (measured; the
  second time it is some dozens). They may grow by 400, and one for every eighth socket. A test has
  600 sockets or more: one object of 200 bytes that stays for each, or a smaller one, is too much.
* resident memory, for what is larger than the interpreter's blocks: buffers. It may grow by
  16 MiB, of which the allocator's habits need two or three; a receive buffer that stays (64 KiB
  and more) is over that after 250 sockets, half a message of several MiB after a few.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvloop

import midge.zmq as zmq
import midge.zmq.asyncio
from tests.faces.zmq.conftest import PATIENCE_MS

BLOCKS_MAX = 400
RESIDENT_MAX = 16 * 1024 * 1024
_PAGE = os.sysconf("SC_PAGESIZE")
_PEER = Path(__file__).with_name("victim.py")


def _count(what: str) -> int:
    return len(os.listdir(f"/proc/self/{what}"))


class Scales:
    """What this process has, weighed when it is made and again at the end."""

    def __init__(self) -> None:
        self.descriptors, self.threads = self._settled()
        self.blocks = sys.getallocatedblocks()
        self.resident = self._resident()

    @staticmethod
    def _resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE

    @staticmethod
    def _settled() -> tuple[int, int]:
        gc.collect()
        return _count("fd"), _count("task")

    def check(self, sockets: int) -> None:
        """Nothing is left of so many sockets."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        before = self.descriptors, self.threads
        while self._settled() != before and time.monotonic() < deadline:
            time.sleep(0.01)  # a thread that was told to end has a moment to do it
        assert self._settled() == before, "descriptors, threads"
        grown = sys.getallocatedblocks() - self.blocks
        assert grown <= BLOCKS_MAX + sockets // 8, (
            f"{grown} blocks of memory stay of {sockets} sockets"
        )
        grown = self._resident() - self.resident
        assert grown <= RESIDENT_MAX, f"{grown} bytes stay resident"


@pytest.fixture
def context() -> Iterator[Any]:
    made = zmq.Context()
    made.set(zmq.MAX_SOCKETS, 10_000)
    yield made
    made.destroy(0)


ENDPOINTS = {
    "tcp": "tcp://127.0.0.1:*",
    "ipc": "ipc://*",
    "inproc": "inproc://churn-{}",
    "ws": "ws://127.0.0.1:*",
}
#: So many sockets are opened and closed in each test, that they are 10,000 and more in all.
ROUNDS = {"tcp": 800, "ipc": 800, "inproc": 800, "ws": 300}
PATTERNS = [
    ("PUSH", "PULL"),
    ("REQ", "REP"),
    ("DEALER", "ROUTER"),
    ("PAIR", "PAIR"),
    ("PUB", "SUB"),
    ("XSUB", "XPUB"),
    ("CLIENT", "SERVER"),
]


def a_pair_lives(context: Any, transport: str, number: int) -> None:
    """Two sockets from the first to the last, in one of the ways that this can go."""
    first, second = PATTERNS[number % len(PATTERNS)]
    with context.socket(getattr(zmq, first)) as one, context.socket(getattr(zmq, second)) as two:
        one.linger = two.linger = 0
        one.rcvtimeo = two.rcvtimeo = one.sndtimeo = two.sndtimeo = PATIENCE_MS
        binder, other = (one, two) if number % 2 else (two, one)
        how = number % 5
        if how == 4:
            # Nobody is ever there; what is queued ends with the socket.
            binder.bind(ENDPOINTS[transport].format(number))
            endpoint = binder.last_endpoint.decode()
            binder.close()
            other.connect(endpoint)
            if other is one and first in ("PUSH", "DEALER", "REQ", "CLIENT"):
                one.send(b"x" * 1000)
            return
        binder.bind(ENDPOINTS[transport].format(number))
        other.connect(binder.last_endpoint.decode())
        if how == 3:
            return  # in the middle of the handshake
        if first == "PUB":
            two.subscribe(b"a")
            one.wait_subscribed(b"a", timeout=PATIENCE_MS / 1000)
        if first == "XSUB":
            one.send(b"\x01a")
            assert two.recv() == b"\x01a"
            one, two = two, one
        single = first == "CLIENT"
        for _ in range(3):
            if single:
                one.send(b"a" * 1000)
            else:
                one.send_multipart([b"a", b"b" * 1000, b""])
            if how == 0:
                break  # it is on its way
            two.recv_multipart()
            if first == "REQ":
                two.send(b"answer")
                one.recv()


@pytest.mark.parametrize("transport", sorted(ENDPOINTS))
def test_sockets_that_were_opened_and_closed_leave_nothing(context: Any, transport: str) -> None:
    for number in range(140):
        a_pair_lives(context, transport, number)
    scales = Scales()
    for number in range(ROUNDS[transport]):
        a_pair_lives(context, transport, number)
    scales.check(2 * ROUNDS[transport])


def test_a_hundred_threads_open_and_close_thousands(context: Any) -> None:
    """Each thread makes pairs of its own, and sockets for a peer that all of them share."""
    count, each = 100, 10
    sink = context.socket(zmq.PULL)
    sink.linger, sink.rcvtimeo = 0, PATIENCE_MS
    sink.bind("tcp://127.0.0.1:*")
    sink.bind("inproc://sink")
    endpoints = [sink.last_endpoint.decode(), sink.get_string(zmq.LAST_ENDPOINT)]
    errors: list[BaseException] = []

    def live(number: int) -> None:
        try:
            for turn in range(each):
                push = context.socket(zmq.PUSH)
                push.linger = PATIENCE_MS
                push.connect(endpoints[turn % 2])
                push.send_multipart([b"%d" % number, b"x" * 5000])
                push.close()
                transport = ("tcp", "ipc", "inproc")[turn % 3]
                a_pair_lives(context, transport, number * 1000 + turn)
        except BaseException as error:
            errors.append(error)

    def everybody() -> None:
        threads = [threading.Thread(target=live, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for _ in range(count * each):
            sink.recv_multipart()
        for thread in threads:
            thread.join(PATIENCE_MS / 1000)
        assert not errors, errors[0]
        assert not any(thread.is_alive() for thread in threads)
        while sink.stats()["peers"]:
            sink.poll(10)

    everybody()
    scales = Scales()
    everybody()
    scales.check(count * each * 3)
    sink.close()


def test_contexts_and_their_threads_end() -> None:
    def live(number: int) -> None:
        with zmq.Context() as context:
            transport = ("tcp", "ipc", "inproc")[number % 3]
            a_pair_lives(context, transport, number)
            time.sleep(0.002 * (number % 10))  # the thread may have the sockets, or not yet

    for number in range(30):
        live(number)
    scales = Scales()
    for number in range(300):
        live(number)
    scales.check(600)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_sockets_that_were_forgotten_are_collected(context: Any) -> None:
    def forget(number: int) -> None:
        pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        pull.linger = push.linger = 0
        pull.bind(("tcp://127.0.0.1:*", "ipc://*", f"inproc://forgotten-{number}")[number % 3])
        push.connect(pull.last_endpoint.decode())
        push.send(b"x" * 1000)
        if number % 2:
            monitor = pull.get_monitor_socket()
            monitor.linger = 0
            assert pull.recv() == b"x" * 1000

    for number in range(60):
        forget(number)
    scales = Scales()
    for number in range(500):
        forget(number)
    scales.check(1000)


def test_many_peers_of_one_socket_leave_nothing_of_it(context: Any) -> None:
    """It binds, it is watched, and it lives on while a thousand come, speak and go."""
    router = context.socket(zmq.ROUTER)
    router.linger, router.rcvtimeo = 0, PATIENCE_MS
    router.bind("tcp://127.0.0.1:*")
    router.bind("ipc://*")
    endpoints = [router.last_endpoint.decode(), router.stats()["bound"][0]]
    monitor = router.get_monitor_socket()

    def visit(number: int) -> None:
        with context.socket(zmq.DEALER) as dealer:
            dealer.linger, dealer.rcvtimeo = 0, PATIENCE_MS
            dealer.routing_id = b"visitor-%d" % number
            dealer.connect(endpoints[number % 2])
            dealer.send(b"hello")
            router.send_multipart([*router.recv_multipart(), b"back"])
            assert dealer.recv_multipart() == [b"hello", b"back"]
            for _ in range(3):  # answers that will not arrive
                router.send_multipart([b"visitor-%d" % number, b"x" * 1000])
        while monitor.poll(0):
            monitor.recv_multipart()

    for number in range(100):
        visit(number)
    while router.stats()["peers"]:
        router.poll(1)
    scales = Scales()
    for number in range(1000):
        visit(number)
    while router.stats()["peers"]:
        router.poll(1)
    while monitor.poll(50):
        monitor.recv_multipart()
    scales.check(1000)
    router.disable_monitor()
    monitor.close()
    router.close()


# -- asyncio ---------------------------------------------------------------------------------------


async def an_async_pair_lives(context: Any, transport: str, number: int) -> None:
    first, second = PATTERNS[number % 4]
    one, two = context.socket(getattr(zmq, first)), context.socket(getattr(zmq, second))
    one.linger = two.linger = 0
    binder, other = (one, two) if number % 2 else (two, one)
    binder.bind(ENDPOINTS[transport].format(f"{number}-{id(one)}"))
    other.connect(binder.last_endpoint.decode())
    waiting = asyncio.ensure_future(two.recv_multipart())
    how = number % 5
    if how == 0:
        waiting.cancel()  # and not awaited
    elif how == 1:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(waiting, 0.001)
        one.send(b"x" * 1000)  # and not awaited either
    elif how == 2:
        one.close()
        binder.close()
        waiting.cancel()
    else:
        await one.send_multipart([b"a", b"b" * 1000])
        await asyncio.wait_for(waiting, PATIENCE_MS / 1000)
    one.close()
    two.close()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_sockets_of_a_loop_leave_nothing(
    transport: str, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    rounds, together = 300, 10

    async def live() -> None:
        context = midge.zmq.asyncio.Context()
        for number in range(100):
            await an_async_pair_lives(context, transport, number)
        await asyncio.sleep(0.01)
        scales = Scales()
        for number in range(0, rounds, together):
            await asyncio.gather(
                *(
                    an_async_pair_lives(context, transport, one)
                    for one in range(number, number + together)
                )
            )
        await asyncio.sleep(0.01)
        scales.check(2 * rounds)
        context.destroy(0)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(live())


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_loops_that_end_leave_nothing(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Some of them while their sockets are open and wait for something."""

    async def live(number: int) -> None:
        context = midge.zmq.asyncio.Context()
        await an_async_pair_lives(context, ("tcp", "ipc", "inproc")[number % 3], number)
        if number % 2:
            left = context.socket(zmq.PULL)
            left.bind("tcp://127.0.0.1:*")
            task = asyncio.ensure_future(asyncio.wait_for(left.recv(), 10))
            await asyncio.sleep(0)
            assert not task.done()
            left_open.append(context)
        else:
            context.destroy(0)

    left_open: list[Any] = []

    def one(number: int) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(live(number))
        for context in left_open:
            context.destroy(0)
        left_open.clear()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for number in range(30):
            one(number)
        scales = Scales()
        for number in range(200):
            one(number)
        scales.check(500)


# -- kill -9 ---------------------------------------------------------------------------------------


class Victim:
    """A process with plain sockets, which is in the middle of a message, and is killed there."""

    def __init__(self, role: str, endpoint: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_PEER), role, endpoint], stdout=subprocess.PIPE
        )

    def in_the_middle(self) -> None:
        """Wait until it has sent, or received, half of something."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"in the middle\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _kill_senders(pull: Any, endpoint: str, count: int) -> None:
    victims = [Victim("PUSH", endpoint) for _ in range(count)]
    for _ in victims:
        assert pull.recv() == b"whole"
        assert not pull.rcvmore
    for victim in victims:
        victim.in_the_middle()
    assert not pull.poll(1)
    for victim in victims:
        victim.kill()
    while pull.stats()["peers"]:
        assert not pull.poll(1)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_senders_killed_in_mid_message_leave_nothing(context: Any, transport: str) -> None:
    """Five at a time, each with four parts of 1 MiB sent, and half of a fifth."""
    pull = context.socket(zmq.PULL)
    pull.linger, pull.rcvtimeo = 0, PATIENCE_MS
    pull.bind(ENDPOINTS[transport])
    endpoint = pull.last_endpoint.decode()
    _kill_senders(pull, endpoint, 5)
    _kill_senders(pull, endpoint, 5)
    scales = Scales()
    for _ in range(6):
        _kill_senders(pull, endpoint, 5)
    with context.socket(zmq.PUSH) as friend:
        friend.connect(endpoint)
        friend.send_multipart([b"from", b"a friend"])
        assert pull.recv_multipart() == [b"from", b"a friend"]
    while pull.stats()["peers"]:
        assert not pull.poll(1)
    scales.check(31)
    pull.close()


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_receivers_killed_in_mid_message_leave_nothing(context: Any, transport: str) -> None:
    push = context.socket(zmq.PUSH)
    push.linger, push.sndtimeo = 0, PATIENCE_MS
    push.bind(ENDPOINTS[transport])
    endpoint = push.last_endpoint.decode()

    def kill_receivers(count: int) -> None:
        victims = [Victim("PULL", endpoint) for _ in range(count)]
        push.wait_peers(count, timeout=PATIENCE_MS / 1000)
        for _ in victims:
            push.send_multipart([bytes(1 << 20)] * 5)
        for victim in victims:
            victim.in_the_middle()
        for victim in victims:
            victim.kill()
        while push.stats()["peers"]:
            push.poll(1, zmq.POLLIN)

    kill_receivers(5)
    kill_receivers(5)
    scales = Scales()
    for _ in range(6):
        kill_receivers(5)
    scales.check(30)
    push.close()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_peers_of_a_loop_killed_in_mid_message_leave_nothing(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def kill(pull: Any, push: Any, count: int) -> None:
        ends = pull.last_endpoint.decode(), push.last_endpoint.decode()
        senders = [Victim("PUSH", ends[0]) for _ in range(count)]
        receivers = [Victim("PULL", ends[1]) for _ in range(count)]
        for _ in senders:
            assert await asyncio.wait_for(pull.recv_multipart(), 10) == [b"whole"]
        await push.wait_peers(count, timeout=10)
        for _ in receivers:
            await push.send_multipart([bytes(1 << 20)] * 5)
        waiting = asyncio.ensure_future(pull.recv_multipart())
        for victim in senders + receivers:
            await asyncio.get_running_loop().run_in_executor(None, victim.in_the_middle)
        for victim in senders + receivers:
            victim.kill()
        while pull.stats()["peers"] or push.stats()["peers"]:
            await asyncio.sleep(0.001)
        assert not waiting.done()
        waiting.cancel()

    async def live() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        context = midge.zmq.asyncio.Context()
        pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        pull.linger = push.linger = 0
        pull.bind("tcp://127.0.0.1:*")
        push.bind("tcp://127.0.0.1:*")
        for _ in range(2):
            await kill(pull, push, 3)
        scales = Scales()
        for _ in range(5):
            await kill(pull, push, 3)
        scales.check(30)
        context.destroy(0)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(live())
