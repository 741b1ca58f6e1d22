"""Does guessing passwords slow down those who are in? ``python -m bench.guessing``.

A hundred clients exchange messages, fifty pairs, and the time of each message is taken: first in
quiet, then while another process tries 10,000 wrong passwords, eight at a time, then in quiet.
What counts is the last column: the slowest message in a hundred, against quiet. The load comes from
Python and shares the processors with the broker, so absolute figures are rough.

Brokers are midge and, where it is installed, Mosquitto, with the same password file of Mosquitto's
own kind of hash (PBKDF2 with SHA-512, 1000 rounds).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from midge.auth.passwords import PBKDF2, make_hash
from midge.mqtt import packets as p
from midge.mqtt.encode import encode
from tests.process import free_port

PAIRS = 50
PERIOD_S = 0.02
QUIET_S = 3.0
GUESSES = 10_000
GUESSERS = 8
PASSWORD = b"right"
CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {directory}/passwords
connection_messages false
log_type error
user {user}
"""


def connect_packet(client_id: str, password: bytes) -> bytes:
    """A CONNECT of MQTT 3.1.1."""
    return encode(p.Connect(client_id, 4, True, 0, "user", password), 4)


# -- those who are in -------------------------------------------------------------------------


class Listener(asyncio.Protocol):
    """A subscriber that takes the time of what comes."""

    def __init__(self, size: int, times: list[float]) -> None:
        self._size = size
        self._times = times
        self._data = b""

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        data = self._data + data
        size = self._size
        while len(data) >= size:
            self._times.append(now - struct.unpack("!d", data[size - 8 : size])[0])
            data = data[size:]
        self._data = data


async def come_in(port: int, client_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client with the right password."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connect_packet(client_id, PASSWORD))
    connack = await asyncio.wait_for(reader.readexactly(4), 30)
    assert connack[3] == 0, f"the right password was refused with {connack[3]}"
    return reader, writer


class Exchange:
    """Fifty pairs that exchange messages.

    Attributes:
        times: seconds that messages took, since it was last cleared.
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self.sent = 0
        self._writers: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self, port: int) -> None:
        """Connect everybody, and begin."""
        for number in range(PAIRS):
            topic = f"pair/{number:03d}"
            reader, writer = await come_in(port, f"s{number}")
            writer.write(encode(p.Subscribe(1, [p.SubscribeTo(topic)]), 4))
            await asyncio.wait_for(reader.readexactly(5), 30)
            packet = encode(p.Publish(topic, b"\0" * 8), 4)
            writer.transport.set_protocol(Listener(len(packet), self.times))
            self._writers.append((writer, b""))
            _, writer = await come_in(port, f"p{number}")
            self._writers.append((writer, packet[:-8]))
        self._task = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        publishers = [(writer, head) for writer, head in self._writers if head]
        due = time.perf_counter()
        while True:
            for writer, head in publishers:
                writer.write(head + struct.pack("!d", time.perf_counter()))
                self.sent += 1
            due += PERIOD_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def stop(self) -> None:
        """End."""
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        for writer, _ in self._writers:
            writer.close()

    def take(self) -> tuple[float, float, float]:
        """Median, slowest in a hundred and slowest of all, in milliseconds, since the last time."""
        times = sorted(self.times)
        self.times.clear()
        assert times, "no message came"
        slow = times[int(len(times) * 0.99)]
        return times[len(times) // 2] * 1000, slow * 1000, times[-1] * 1000


# -- those who guess --------------------------------------------------------------------------


async def guess(port: int, count: int) -> None:
    """Try wrong passwords, some at a time; prints how they were answered."""
    answers: dict[str, int] = {}
    left = iter(range(count))

    async def one() -> None:
        for number in left:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(connect_packet(f"g{number}", b"wrong%d" % number))
            answer = await reader.read(4)
            name = f"refused with {answer[3]}" if len(answer) == 4 else "closed"
            answers[name] = answers.get(name, 0) + 1
            writer.close()

    await asyncio.gather(*(one() for _ in range(GUESSERS)))
    print(", ".join(f"{count} {name}" for name, count in sorted(answers.items())))


# -- the run ----------------------------------------------------------------------------------


async def measure(name: str, command: list[str], guesses: int) -> float:
    """One broker; returns p99 while guessing in relation to quiet."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        os.chmod(directory, 0o755)
        port = free_port()
        stored = make_hash(PBKDF2, PASSWORD, os.urandom(12))
        Path(directory, "passwords").write_text(f"user:{stored.encoded}\n")
        config = Path(directory, "broker.conf")
        user = getpass.getuser()  # root must not give itself up: it may own the Python that runs
        config.write_text(CONFIGURATION.format(port=port, directory=directory, user=user))
        broker = await asyncio.create_subprocess_exec(
            *command, "-c", str(config), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            await wait_for(port)
            return await _measure(name, port, guesses)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                broker.send_signal(signal.SIGTERM)
            await broker.wait()


async def _measure(name: str, port: int, guesses: int) -> float:
    exchange = Exchange()
    await exchange.start(port)
    await asyncio.sleep(1.0)
    exchange.times.clear()
    await asyncio.sleep(QUIET_S)
    quiet = exchange.take()
    began = time.perf_counter()
    guesser = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.guessing", "--guess", str(port), str(guesses)),
        stdout=subprocess.PIPE,
    )
    said, _ = await guesser.communicate()
    took = time.perf_counter() - began
    storm = exchange.take()
    await asyncio.sleep(QUIET_S)
    after = exchange.take()
    await exchange.stop()
    print(f"{name}: {guesses} wrong passwords in {took:.1f} s ({said.decode().strip()})")
    for what, (median, slow, slowest) in (("quiet", quiet), ("storm", storm), ("after", after)):
        print(
            f"  {what}  median {median:7.2f} ms   p99 {slow:7.2f} ms   worst {slowest:7.2f} ms"
            f"   p99 / quiet {slow / quiet[1]:5.2f}"
        )
    return storm[1] / quiet[1]


async def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(1500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
    raise TimeoutError(f"nobody listens on port {port}")


def main() -> int:
    """Run it; returns 1 when midge is not within three times of quiet."""
    parser = argparse.ArgumentParser(prog="python -m bench.guessing", description=__doc__)
    parser.add_argument("--guess", nargs=2, type=int, metavar=("PORT", "COUNT"), help="only guess")
    parser.add_argument("--count", type=int, default=GUESSES, help="how many wrong passwords")
    parser.add_argument("--without", action="append", default=[], metavar="BROKER")
    words = parser.parse_args()
    if words.guess:
        asyncio.run(guess(*words.guess))
        return 0
    brokers = {"midge": [sys.executable, "-m", "midge", "broker"]}
    if Path("/usr/sbin/mosquitto").exists():
        brokers["mosquitto"] = ["/usr/sbin/mosquitto"]
    ratios = {
        name: asyncio.run(measure(name, command, words.count))
        for name, command in brokers.items()
        if name not in words.without
    }
    return 0 if ratios.get("midge", 0.0) <= 3.0 else 1


if __name__ == "__main__":
    sys.exit(main())
