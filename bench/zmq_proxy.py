"""What stands between PUSH and PULL: a queue of midge, or a proxy of libzmq? ``-m bench proxy``.

Producers and workers are libzmq's sockets, in processes of their own, the same for both. Measured
is the CPU time of what stands between them, for each message that has arrived; workers check that
every message comes once, and in order where there is one of them. The proxy keeps nothing and knows
nothing of its workers; a queue counts, limits, and gives the next message to who is free.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from bench import processes, report
from bench.brokers import START_S, Broker, environment, midge
from tests.process import free_port

MESSAGES: Final = 100_000
LIMIT_S: Final = 100.0
PROXY: Final = """
import sys, zmq
context = zmq.Context()
front, back = context.socket(zmq.PULL), context.socket(zmq.PUSH)
front.bind(sys.argv[1]); back.bind(sys.argv[2])
print("running", flush=True)
zmq.proxy(front, back)
"""
PRODUCER: Final = """
import sys, zmq
socket = zmq.Context().socket(zmq.PUSH)
socket.connect(sys.argv[1])
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    socket.send(b"%016d" % number)
"""
WORKER: Final = """
import sys, zmq
socket = zmq.Context().socket(zmq.PULL)
socket.rcvtimeo = 2000
socket.connect(sys.argv[1])
print("ready", flush=True)
count, total, ordered, last = 0, 0, True, -1
try:
    while True:
        number = int(socket.recv())
        ordered = ordered and number > last
        count, total, last = count + 1, total + number, number
except zmq.Again:
    print(count, total, int(ordered), flush=True)
"""


def start(program: str, *words: str) -> subprocess.Popen[str]:
    """A program of the three above."""
    command = [sys.executable, "-c", program, *words]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def carry(used: Callable[[], float], front: str, back: str, workers: int) -> float:
    """CPU microseconds a message of what stands between.

    Args:
        used: the CPU seconds that it has used.
    """
    takers = [start(WORKER, back) for _ in range(workers)]
    for taker in takers:
        line_of(taker)
    producer = start(PRODUCER, front, str(MESSAGES))
    used_s = used()
    try:
        producer.communicate("go\n", LIMIT_S)
        told = [taker.communicate(timeout=LIMIT_S)[0].split() for taker in takers]
    finally:
        for process in (producer, *takers):
            process.kill()
            process.wait()
    used_s = used() - used_s
    count, total = (sum(int(one[place]) for one in told) for place in (0, 1))
    assert (count, total) == (MESSAGES, MESSAGES * (MESSAGES - 1) // 2), f"{count} messages came"
    assert all(one[2] == "1" for one in told), "out of order"
    return used_s / MESSAGES * 1e6


def by_midge(workers: int) -> float:
    """Through a queue."""
    port = free_port()
    found = midge()
    door = f"listener {port} 127.0.0.1\nprotocol zmtp\nzmtp_queue jobs\nallow_anonymous true\n"
    with Broker(found.name, found.command, found.version, door) as broker:
        return carry(broker.cpu_s, *(f"tcp://127.0.0.1:{port}",) * 2, workers)


def by_proxy(workers: int) -> float:
    """Through ``zmq.proxy``."""
    front, back = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    proxy = start(PROXY, front, back)
    try:
        line_of(proxy)
        return carry(lambda: processes.cpu_s(proxy.pid), front, back, workers)
    finally:
        proxy.kill()
        proxy.wait(START_S)


def main(words: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench proxy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="samples of a row and side (3)")
    options = parser.parse_args(words)
    sides: dict[str, Callable[[int], float]] = {"midge": by_midge, "zmq.proxy": by_proxy}
    print(f"{report.machine()}; CPU of what stands between, µs/message, {options.rounds} rounds")
    for workers in (1, 8):
        found: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, measure in sides.items():
                found[name].append(measure(workers))
        ours, theirs = (statistics.median(found[name]) for name in sides)
        print(
            f"PUSH/PULL, 16 bytes, {workers} workers: midge {ours:.2f}, zmq.proxy {theirs:.2f}, "
            f"{ours / theirs:.2f}x",
            flush=True,
        )
    return 0
