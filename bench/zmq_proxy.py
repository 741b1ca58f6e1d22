"""What stands between PUSH and PULL: a queue of midge, or a proxy of libzmq? ``-m bench proxy``.

Producers and workers are libzmq's sockets, in processes of their own, the same for both. Measured
is the CPU time of what stands between them, for each message that has arrived; workers check that
every message comes once, and to each of them in order; a side that is wrong has no figure. The
proxy keeps nothing and knows nothing of its workers; a queue counts, limits, and gives the next
message to who is free. The aim is to need less.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bench import processes, report
from bench.brokers import COMPILED, Broker, compiled, environment, midge
from tests.process import free_port

MESSAGES: Final = 100_000
LIMIT_S: Final = 100.0
#: How many workers share the messages; a row for each.
WORKERS: Final = (1, 8, 64)
#: What midge may need of what the proxy needs.
AIM: Final = 1.0
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
sys.stdin.readline()
count, total, ordered, last = 0, 0, True, -1
try:
    while True:
        number = int(socket.recv())
        ordered = ordered and number > last
        count, total, last = count + 1, total + number, number
except zmq.Again:
    print(count, total, int(ordered), flush=True)
"""


class WrongError(Exception):
    """Messages were lost, doubled or out of order, or somebody did not end."""


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

    Raises:
        WrongError: not every message came once, and in order.
    """
    takers = [start(WORKER, back) for _ in range(workers)]
    producer = start(PRODUCER, front, str(MESSAGES))
    try:
        for taker in takers:
            line_of(taker)
        used_s = used()
        for process in (*takers, producer):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        producer.communicate(timeout=LIMIT_S)
        told = [taker.communicate(timeout=LIMIT_S)[0] for taker in takers]
    except (subprocess.TimeoutExpired, BrokenPipeError) as error:
        raise WrongError(f"a worker or the producer did not end well: {error}") from None
    finally:
        for process in (producer, *takers):
            process.kill()
            process.communicate()
    used_s = used() - used_s
    check(told, MESSAGES)
    return used_s / MESSAGES * 1e6


def check(told: Sequence[str], messages: int) -> None:
    """Look at what the workers have told of what came.

    Raises:
        WrongError: not every message came once, and in order.
    """
    count = total = 0
    for text in told:
        try:
            came, numbers, ordered = map(int, text.split())
        except ValueError:
            raise WrongError("a worker ended without a word") from None
        if not ordered:
            raise WrongError("messages came out of order, or twice")
        count += came
        total += numbers
    if count != messages:
        raise WrongError(f"{count} of {messages} messages came")
    if total != messages * (messages - 1) // 2:
        raise WrongError("a message is missing, and another one came twice")


def by_midge(workers: int, found: Broker | None = None) -> float:
    """Through a queue of ``found``; of this checkout's midge where that is not said."""
    port = free_port()
    found = found or midge()
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
        proxy.communicate()


def measure(
    sides: Mapping[str, Callable[[int], float]], workers: int, rounds: int
) -> tuple[dict[str, float], list[str]]:
    """The medians by side, and what went wrong."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    faults: dict[str, str] = {}
    for _ in range(rounds):
        for name, side in sides.items():
            if name not in faults:
                try:
                    found[name].append(side(workers))
                except (WrongError, RuntimeError) as error:
                    faults[name] = str(error)
    medians = {name: statistics.median(found[name]) for name in sides if name not in faults}
    return medians, [f"{name}: {fault}" for name, fault in faults.items()]


def line_of_row(workers: int, medians: Mapping[str, float], faults: Sequence[str]) -> str:
    """One line of the table."""
    name = f"PUSH/PULL, 16 bytes, {workers} worker{'s' if workers > 1 else ''}"
    if faults:
        return f"{name:36} WRONG  {'; '.join(faults)}"
    ours, theirs = medians["midge"], medians["zmq.proxy"]
    fast = medians.get("compiled")
    shown = f"{fast:>10.2f}" if fast is not None else f"{'-':>10}"
    best = ours if fast is None else fast
    verdict = "  above the aim" if best > AIM * theirs else ""
    ratio = f"{best / theirs:>8.2f} {AIM:>6.2f}{verdict}"
    return f"{name:36} {ours:>8.2f} {shown} {theirs:>10.2f} {ratio}"


def main(words: Sequence[str]) -> int:
    """Print the table; 1 when a message was lost, doubled or out of order."""
    parser = argparse.ArgumentParser(prog="python -m bench proxy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="samples of a row and side (3)")
    options = parser.parse_args(words)
    sides: dict[str, Callable[[int], float]] = {"midge": by_midge, "zmq.proxy": by_proxy}
    if COMPILED.is_dir():
        sides["compiled"] = lambda workers: by_midge(workers, compiled(COMPILED))
    print(f"{report.machine()}; CPU of what stands between, µs a message, {options.rounds} rounds")
    print(f"{'':36} {'midge':>8} {'compiled':>10} {'zmq.proxy':>10} {'ratio':>8} {'aim':>6}")
    wrong = False
    for workers in WORKERS:
        medians, faults = measure(sides, workers, options.rounds)
        print(line_of_row(workers, medians, faults), flush=True)
        wrong = wrong or bool(faults)
    return int(wrong)
