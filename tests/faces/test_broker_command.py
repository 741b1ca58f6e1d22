"""``midge broker`` as its users start and stop it, and what it does on a real network."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import midge
from midge.clock import SystemClock
from midge.config.settings import Settings
from midge.mqtt import packets as p
from midge.server.logs import Log
from midge.server.loop_errors import LoopErrors
from tests.process import BrokerProcess, free_port
from tests.raw import Raw

MIDGE = [sys.executable, "-m", "midge", "broker"]


@pytest.fixture(autouse=True)
def close_what_was_made() -> Iterator[None]:
    yield
    for raw in Raw.made:
        raw.close()
    Raw.made.clear()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MIDGE, *arguments], capture_output=True, text=True, timeout=20)


def test_it_greets_as_mosquitto_does(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        pass
    lines = [re.sub(r"^\d+: ", "", line) for line in broker.log().splitlines()]
    version = midge.__version__
    for expected in (
        f"midge version {version} starting",
        f"Config loaded from {tmp_path}/broker.conf.",
        f"Opening ipv4 listen socket on port {broker.port}.",
        f"midge version {version} running",
        f"midge version {version} terminating",
    ):
        assert expected in lines


def test_without_a_configuration_it_serves_loopback_in_both_families() -> None:
    port = free_port()
    process = subprocess.Popen([*MIDGE, "-p", str(port)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: list[str] = []
    try:
        for line in process.stderr:
            lines.append(re.sub(r"^\d+: ", "", line.rstrip()))
            if lines[-1].endswith("running"):
                break
        assert "Using default config." in lines
        assert f"Opening ipv4 listen socket on port {port}." in lines
        Raw(port, "four").close()
        if f"Opening ipv6 listen socket on port {port}." in lines:
            Raw(port, "six", host="::1").close()
        if sys.platform == "linux":  # where every address beginning with 127 is this machine's
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", port), timeout=10)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(15) == 0
        process.stderr.close()


def test_a_port_that_is_taken_ends_it_with_status_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("-p", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "Error: Address already in use" in done.stderr


def test_a_bad_configuration_ends_it_with_status_3_and_says_where(tmp_path: Path) -> None:
    file = tmp_path / "bad.conf"
    file.write_text("listener 0\nnonsense true\n")
    done = run("-c", str(file))
    assert done.returncode == 3
    assert f"{file}:" in done.stderr
    file.write_text("allow_anonymous true\n")
    done = run("-c", str(file), "--test-config")
    assert done.returncode == 0
    assert "Configuration file is OK." in done.stderr


def test_it_goes_into_the_background_and_leaves_its_pid(tmp_path: Path) -> None:
    port = free_port()
    pid_file = tmp_path / "midge.pid"
    file = tmp_path / "d.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npid_file {pid_file}\n")
    assert run("-d", "-c", str(file)).returncode == 0
    deadline = time.monotonic() + 15
    while True:
        try:
            Raw(port, "c").close()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    while pid_file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_sigterm_tells_version_5_clients_why(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        five = Raw(broker.port, "five")
        three = Raw(broker.port, "three", version=4)
        assert broker.stop() == 0
        goodbye = five.take()
        assert isinstance(goodbye, p.Disconnect)
        assert goodbye.reason == 0x8B
        assert three.take() is None


def test_sigterm_while_it_starts_ends_it_with_status_0() -> None:
    for delay_s in (0.1, 0.15, 0.2, 0.25, 0.3):
        process = subprocess.Popen([*MIDGE, "-p", str(free_port())], stderr=subprocess.PIPE)
        assert process.stderr is not None
        process.stderr.readline()  # it has begun, and what follows is a race on purpose
        time.sleep(delay_s - 0.1)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(15) == 0
        process.stderr.close()


def test_signals_of_mosquitto_do_not_end_it(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN):
            os.kill(broker.pid, number)
        client = Raw(broker.port, "c")
        client.send(p.Pingreq())
        assert isinstance(client.take(), p.Pingresp)


def test_a_listener_without_anonymous_access_refuses(tmp_path: Path) -> None:
    with (
        BrokerProcess(tmp_path, "allow_anonymous false\n") as broker,
        pytest.raises(AssertionError),
    ):
        Raw(broker.port, "c")


def test_a_fault_of_a_client_is_logged_with_who_it_was_and_what_was_wrong(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        client = Raw(broker.port, "sinner")
        client.socket.sendall(b"\x36\x03\x00\x01t")
        goodbye = client.take()
        assert isinstance(goodbye, p.Disconnect)
        assert goodbye.reason == 0x81
        assert client.take() is None
        address, port = client.socket.getsockname()
    assert f"Protocol error from sinner [{address}:{port}]: PUBLISH at QoS 3." in broker.log()
    assert f"Client sinner [{address}:{port}] disconnected: malformed packet." in broker.log()


def test_a_refusal_is_logged_once_with_what_would_allow_it(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "allow_anonymous false\n") as broker:
        with pytest.raises(AssertionError):
            Raw(broker.port, "c")
        time.sleep(0.1)
    assert broker.log().count("allow_anonymous true") == 1


def test_running_out_of_file_descriptors_is_at_most_one_line_and_passes(tmp_path: Path) -> None:
    deadline = time.monotonic() + 30
    broker = BrokerProcess(tmp_path)
    few = (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, few)  # the child inherits it
    try:
        broker.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", broker.port)))
        # asyncio's loop complains all the time; uvloop refuses by itself. Either has no more than
        # these, and the listening socket is ready until some of them are closed.
        while len(os.listdir(f"/proc/{broker.pid}/fd")) < few[0] - 2:
            assert time.monotonic() < deadline, broker.log()
            time.sleep(0.01)
    while True:
        try:
            client = Raw(broker.port, "after")
            break
        except (OSError, AssertionError):  # it has not seen yet that the others are gone
            assert time.monotonic() < deadline, broker.log()
            time.sleep(0.05)
    client.send(p.Pingreq())
    assert isinstance(client.take(), p.Pingresp)
    assert broker.stop() == 0
    assert broker.log().count("Unable to accept new connection") <= 1
    assert "Traceback" not in broker.log()


def test_what_a_loop_complains_about_again_and_again_is_one_line() -> None:
    lines: list[str] = []

    class Sink:
        def write(self, kind: str, stamp: str, text: str) -> None:
            lines.append(text)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(LoopErrors(Log(SystemClock(), {"error"}, [Sink()])))
    for _ in range(1000):
        scarce = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        loop.call_exception_handler({"message": "accept failed", "exception": scarce})
    loop.call_exception_handler({"message": "a fault", "exception": ValueError("of ours")})
    loop.close()
    assert len(lines) == 2
    assert "Too many open files" in lines[0]
    assert lines[1] == "Error: a fault: ValueError: of ours"


@pytest.mark.parametrize("qos", ["0", "1"])
def test_pub_says_so_when_its_message_was_not_taken(tmp_path: Path, qos: str) -> None:
    payload = tmp_path / "large"
    payload.write_bytes(bytes(5_000_000))
    with BrokerProcess(tmp_path) as broker:
        for _ in range(3):
            flags = ["-p", str(broker.port), "-t", "t", "-q", qos, "-V", "311"]
            done = subprocess.run(
                [*MIDGE[:-1], "pub", *flags, "-f", str(payload)],
                capture_output=True,
                text=True,
                timeout=20,
            )
            assert (done.returncode, done.stderr) == (7, "Error: The connection was lost.\n")


def test_max_connections_refuses_and_says_so(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "max_connections 1\n") as broker:
        first = Raw(broker.port, "first")
        with pytest.raises((OSError, AssertionError)):
            Raw(broker.port, "second")
        first.send(p.Pingreq())
        assert isinstance(first.take(), p.Pingresp)
    assert "denied: max_connections exceeded." in broker.log()


def memory_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_subscriber_that_stops_reading_costs_a_few_mib_and_nobody_else_a_message(
    tmp_path: Path,
) -> None:
    payload = b"x" * 65_536
    count = 7_700  # 500 MB
    with BrokerProcess(tmp_path) as broker:
        stuck = Raw(broker.port, "stuck", version=4)
        stuck.subscribe("t")
        good = Raw(broker.port, "good", version=4)
        good.subscribe("t")
        publisher = Raw(broker.port, "publisher", version=4)
        packet = b"\x30\x83\x80\x04\x00\x01t" + payload
        received = 0

        def read() -> None:
            nonlocal received
            buffer = bytearray(1 << 20)
            while received < count * len(packet):
                received += good.socket.recv_into(buffer)

        reader = threading.Thread(target=read)
        before = memory_mib(broker.pid)
        reader.start()
        peak = before
        for number in range(count):
            publisher.socket.sendall(packet)
            if number % 500 == 0:
                peak = max(peak, memory_mib(broker.pid))
        reader.join(25)
        assert received == count * len(packet)
        assert max(peak, memory_mib(broker.pid)) - before < 12
        for client in (stuck, good, publisher):
            client.close()


async def test_a_connection_that_never_says_connect_is_cut() -> None:
    settings = Settings(connect_timeout_s=0.2)
    async with midge.Broker(port=0, settings=settings) as broker:
        silent = await asyncio.open_connection("127.0.0.1", broker.port)
        slow = await asyncio.open_connection("127.0.0.1", broker.port)
        slow[1].write(b"\x10")
        for reader, writer in (silent, slow):
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
            await writer.wait_closed()


async def test_a_connect_of_256_mb_is_refused_at_its_header() -> None:
    async with midge.Broker(port=0) as broker:
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
        writer.write(b"\x10\xff\xff\xff\x7f")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await writer.wait_closed()


async def test_a_broker_in_a_program_serves_in_its_loop_and_counts() -> None:
    async with midge.Broker(port=0) as broker:
        port = broker.port
        assert (broker.host, port) in broker.addresses

        def talk() -> bytes:
            subscriber = Raw(port, "s")
            subscriber.subscribe("a/#", 1)
            publisher = Raw(port, "p", version=4)
            publisher.send(p.Publish("a/b", b"hello", 1, packet_id=1))
            assert isinstance(publisher.take(), p.Puback)
            message = subscriber.take()
            assert isinstance(message, p.Publish)
            publisher.close()
            subscriber.close()
            return message.payload

        assert await asyncio.to_thread(talk) == b"hello"
        assert broker.metrics.publish_received == 1
        assert broker.metrics.publish_sent == 1
    with pytest.raises(RuntimeError, match="not running"):
        _ = broker.port


async def test_two_brokers_in_one_loop_do_not_meet() -> None:
    async with midge.Broker(port=0) as one, midge.Broker(port=0) as other:
        assert one.port != other.port
