"""One end, or both, of a sample: ``python -m bench.zmq_load`` with the words of :func:`main`.

The same program text runs on pyzmq and on midge.zmq. The receiver checks that all messages came,
that each is what was sent, and that they came in order, and prints what it measured as JSON. The
bodies are numbered, and made before the clock starts: so many, then the same again.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

#: After these many messages the clock starts: connections are made, code is warm.
WARM_UP: Final = 1000
UNLIKE: Final = "a message is not what was sent then, or one is missing or too many"
TYPES: Final = {"push": ("PUSH", "PULL"), "pub": ("PUB", "SUB"), "req": ("REQ", "REP")}


def cpu_s() -> float:
    """Processor time of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def how_many_differ(size: int) -> int:
    """After how many messages they are the same again.

    As many as do not push anything else out of the processor's caches. It is a prime number, so
    that a lot that is lost, doubled or out of its place shows.
    """
    return 1009 if size <= 100 else 251 if size <= 1024 else 7


def bodies_of(size: int, count: int) -> Iterator[bytes]:
    """So many messages, each unlike those around it; then comes the last, ``end``."""
    different = how_many_differ(size)
    rest = (bytes(range(256)) * (size // 256) + b"m" * (size % 256))[4:]
    made = [number.to_bytes(4, "big") + rest for number in range(different)]
    return itertools.islice(itertools.cycle(made), count)


class End:
    """A socket of one face of one library."""

    def __init__(self, library: str, face: str, pattern: str, sends: bool, context: Any) -> None:
        self.zmq = importlib.import_module(library)
        if context is None:
            module = (
                importlib.import_module(f"{library}.asyncio") if face == "asyncio" else self.zmq
            )
            context = module.Context()
        self.context = context
        name = TYPES[pattern][0 if sends else 1]
        self.socket = context.socket(getattr(self.zmq, name))
        self.socket.linger = 10_000
        if pattern == "pub":
            # Nobody may lose messages that are to be counted.
            self.socket.sndhwm = self.socket.rcvhwm = 0
            if not sends:
                self.socket.setsockopt(self.zmq.SUBSCRIBE, b"")


def fail(text: str) -> None:
    """End with a reason."""
    print(json.dumps({"fault": text}), flush=True)
    raise SystemExit(1)


def report(count: int, seconds: float, cpu: float) -> None:
    """Print what was measured."""
    print(json.dumps({"rate": count / seconds, "cpu_us": cpu / count * 1e6}), flush=True)


# -- blocking sockets ---------------------------------------------------------------------------


def send_all(end: End, pattern: str, count: int, size: int) -> None:
    send, bodies = end.socket.send, bodies_of(size, WARM_UP + count)
    if pattern == "pub":
        # The slow joiner: until the receiver has its first message, there is nobody to count.
        time.sleep(0.3)
    for body in bodies:
        send(body)
    send(b"end")


def receive_all(end: End, count: int, size: int) -> tuple[float, float]:
    recv, bodies = end.socket.recv, bodies_of(size, WARM_UP + count)
    for body in itertools.islice(bodies, WARM_UP):
        if recv() != body:
            fail(UNLIKE)
    cpu, begun = cpu_s(), time.perf_counter()
    for body in bodies:
        if recv() != body:
            fail(UNLIKE)
    seconds, cpu = time.perf_counter() - begun, cpu_s() - cpu
    if recv() != b"end":
        fail("there are more messages than were sent")
    return seconds, cpu


def ask_all(end: End, count: int, size: int) -> tuple[float, float]:
    send, recv = end.socket.send, end.socket.recv
    cpu = begun = 0.0
    for number, body in enumerate(bodies_of(size, WARM_UP // 4 + count)):
        if number == WARM_UP // 4:
            cpu, begun = cpu_s(), time.perf_counter()
        send(body)
        if recv() != body:
            fail("a reply is not what was asked")
    return time.perf_counter() - begun, cpu_s() - cpu


def answer_all(end: End, count: int) -> None:
    send, recv = end.socket.send, end.socket.recv
    for _ in range(WARM_UP // 4 + count):
        send(recv())


# -- asyncio ------------------------------------------------------------------------------------


async def send_all_async(end: End, pattern: str, count: int, size: int) -> None:
    send, bodies = end.socket.send, bodies_of(size, WARM_UP + count)
    if pattern == "pub":
        await asyncio.sleep(0.3)
    for body in bodies:
        await send(body)
    await send(b"end")


async def receive_all_async(end: End, count: int, size: int) -> tuple[float, float]:
    recv, bodies = end.socket.recv, bodies_of(size, WARM_UP + count)
    for body in itertools.islice(bodies, WARM_UP):
        if await recv() != body:
            fail(UNLIKE)
    cpu, begun = cpu_s(), time.perf_counter()
    for body in bodies:
        if await recv() != body:
            fail(UNLIKE)
    seconds, cpu = time.perf_counter() - begun, cpu_s() - cpu
    if await recv() != b"end":
        fail("there are more messages than were sent")
    return seconds, cpu


async def ask_all_async(end: End, count: int, size: int) -> tuple[float, float]:
    send, recv = end.socket.send, end.socket.recv
    cpu = begun = 0.0
    for number, body in enumerate(bodies_of(size, WARM_UP // 4 + count)):
        if number == WARM_UP // 4:
            cpu, begun = cpu_s(), time.perf_counter()
        await send(body)
        if await recv() != body:
            fail("a reply is not what was asked")
    return time.perf_counter() - begun, cpu_s() - cpu


async def answer_all_async(end: End, count: int) -> None:
    send, recv = end.socket.send, end.socket.recv
    for _ in range(WARM_UP // 4 + count):
        await send(await recv())


# -- one end a process, or both in one -------------------------------------------------------------


def run_sync(library: str, pattern: str, role: str, endpoint: str, count: int, size: int) -> None:
    """One end of a sample of blocking sockets; with the role "both", both on two threads."""
    context = importlib.import_module(library).Context()
    measured: list[tuple[float, float]] = []

    def receiver() -> None:
        end = End(library, "sync", pattern, False, context)
        end.socket.bind(endpoint)
        print("ready", flush=True)
        bound.set()
        if pattern == "req":
            answer_all(end, count)
        else:
            measured.append(receive_all(end, count, size))
        end.socket.close()

    def sender() -> None:
        end = End(library, "sync", pattern, True, context)
        bound.wait()
        end.socket.connect(endpoint)
        if pattern == "req":
            measured.append(ask_all(end, count, size))
        else:
            send_all(end, pattern, count, size)
        end.socket.close()

    bound = threading.Event()
    if role == "both":
        other = threading.Thread(target=receiver)
        other.start()
        sender()
        other.join()
    elif role == "receive":
        receiver()
    else:
        bound.set()
        sender()
    context.term()
    for seconds, cpu in measured:
        report(count, seconds, cpu)


async def run_async(
    library: str, pattern: str, role: str, endpoint: str, count: int, size: int
) -> None:
    """The same with asyncio; both ends of inproc share the loop."""
    context = importlib.import_module(f"{library}.asyncio").Context()
    measured: list[tuple[float, float]] = []

    async def receiver() -> None:
        end = End(library, "asyncio", pattern, False, context)
        end.socket.bind(endpoint)
        print("ready", flush=True)
        bound.set()
        if pattern == "req":
            await answer_all_async(end, count)
        else:
            measured.append(await receive_all_async(end, count, size))
        end.socket.close()

    async def sender() -> None:
        end = End(library, "asyncio", pattern, True, context)
        await bound.wait()
        end.socket.connect(endpoint)
        if pattern == "req":
            measured.append(await ask_all_async(end, count, size))
        else:
            await send_all_async(end, pattern, count, size)
        await asyncio.sleep(0.2)  # what is queued leaves while the loop still turns
        end.socket.close()

    bound = asyncio.Event()
    if role == "both":
        await asyncio.gather(receiver(), sender())
    elif role == "receive":
        await receiver()
    else:
        bound.set()
        await sender()
    context.term()
    for seconds, cpu in measured:
        report(count, seconds, cpu)


def main() -> None:
    """Library, face, pattern, role, endpoint, count, size."""
    library, face, pattern, role, endpoint, count, size = sys.argv[1:]
    if face == "sync":
        run_sync(library, pattern, role, endpoint, int(count), int(size))
    else:
        asyncio.run(run_async(library, pattern, role, endpoint, int(count), int(size)))


if __name__ == "__main__":
    main()
