"""SIGHUP: another configuration, applied whole or not at all, and nobody notices who need not."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from midge.mqtt import packets as p
from midge.mqtt.connection import CLIENT, Connection
from tests.faces.test_operations import logged, until
from tests.process import BrokerProcess, free_port
from tests.raw import Raw


@pytest.fixture(autouse=True)
def close_what_was_made() -> Iterator[None]:
    yield
    for raw in Raw.made:
        raw.close()
    Raw.made.clear()


class Reloaded:
    """A broker and the file that it runs with."""

    def __init__(self, broker: BrokerProcess, directory: Path) -> None:
        self.broker = broker
        self.port = broker.port
        self._file = directory / "broker.conf"
        self._reloads = 0

    def write(self, text: str) -> None:
        """Give the file another content; ``{port}`` is the port of the first listener."""
        self._file.write_text(text.replace("{port}", str(self.port)))

    def reload(self, *, refused: bool = False) -> None:
        """Tell the broker, and wait until it has done so."""
        end = "The configuration was not reloaded" if refused else "Config reloaded."
        before = self.broker.log().count(end)
        os.kill(self.broker.pid, signal.SIGHUP)
        logged(self.broker, end, before + 1)


@pytest.fixture
def reloaded(tmp_path: Path) -> Iterator[Reloaded]:
    with BrokerProcess(tmp_path) as broker:
        yield Reloaded(broker, tmp_path)


PLAIN = "listener {port} 127.0.0.1\nallow_anonymous true\n"


def alive(client: Raw) -> bool:
    client.send(p.Pingreq())
    return isinstance(client.take(), p.Pingresp)


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("max_qos 7\n", "Error: 'max_qos' must be between 0 and 2 inclusive."),
        ("nonsense 1\n", "Error: Unknown configuration variable 'nonsense'."),
        ("password_file /does/not/exist\n", '/does/not/exist"'),
        ("log_dest file /does/not/exist\n", "Unable to open log file /does/not/exist"),
    ],
)
def test_a_configuration_that_is_wrong_changes_nothing(
    reloaded: Reloaded, wrong: str, said: str
) -> None:
    client = Raw(reloaded.port, "c")
    other = free_port()
    reloaded.write(f"{PLAIN}message_size_limit 10\nlistener {other} 127.0.0.1\n{wrong}")
    reloaded.reload(refused=True)
    assert said in reloaded.broker.log()
    assert alive(client)
    client.send(p.Publish("t", bytes(100), 1, packet_id=1))
    answer = client.take()
    assert isinstance(answer, p.Puback)
    assert answer.reason == 0x10  # it was taken, though nobody wants it
    assert refuses(other)
    reloaded.write(PLAIN)
    reloaded.reload()


def test_a_file_that_is_gone_changes_nothing(reloaded: Reloaded, tmp_path: Path) -> None:
    client = Raw(reloaded.port, "c")
    (tmp_path / "broker.conf").unlink()
    reloaded.reload(refused=True)
    assert "Unable to open config file" in reloaded.broker.log()
    assert alive(client)


def test_a_new_listener_on_a_port_that_is_taken_changes_nothing(reloaded: Reloaded) -> None:
    client = Raw(reloaded.port, "c")
    good = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        reloaded.write(
            f"allow_anonymous true\nlistener {good} 127.0.0.1\nlistener {port} 127.0.0.1\n"
        )
        reloaded.reload(refused=True)
    assert f"Address already in use (port {port} on 127.0.0.1)" in reloaded.broker.log()
    assert "broker.conf:3." in reloaded.broker.log()
    assert alive(client)
    assert refuses(good)
    Raw(reloaded.port, "d")


def test_listeners_come_and_go_and_the_others_stay(reloaded: Reloaded, tmp_path: Path) -> None:
    second, path = free_port(), tmp_path / "s"
    stays = Raw(reloaded.port, "stays")
    reloaded.write(f"{PLAIN}listener {second} 127.0.0.1\nlistener 0 {path}\n")
    reloaded.reload()
    leaves = Raw(second, "leaves")
    leaves3 = Raw(second, "leaves3", version=4)
    assert path.exists()
    reloaded.write(PLAIN)
    reloaded.reload()
    goodbye = leaves.take()
    assert isinstance(goodbye, p.Disconnect)
    assert goodbye.reason == 0x8B
    assert leaves.take() is None
    assert leaves3.take() is None
    assert refuses(second)
    assert not path.exists()
    assert alive(stays)
    Raw(reloaded.port, "new")


def test_settings_change_for_those_who_are_connected(reloaded: Reloaded) -> None:
    client = Raw(reloaded.port, "c")
    reloaded.write(f"{PLAIN}message_size_limit 10\nlog_type all\n")
    reloaded.reload()
    client.send(p.Publish("t", bytes(100), 1, packet_id=1))
    answer = client.take()
    assert isinstance(answer, p.Puback)
    assert answer.reason == 0x97
    logged(reloaded.broker, "Received PUBLISH from c")
    reloaded.write(PLAIN)
    reloaded.reload()
    client.send(p.Publish("t", bytes(100), 1, packet_id=2))
    assert isinstance(client.take(), p.Puback)
    assert reloaded.broker.log().count("Received PUBLISH from c") == 1


def test_a_listener_changes_in_place(reloaded: Reloaded) -> None:
    stays = Raw(reloaded.port, "stays")
    reloaded.write("listener {port} 127.0.0.1\nmax_connections 1\nallow_anonymous true\n")
    reloaded.reload()
    assert alive(stays)
    with pytest.raises((OSError, AssertionError)):
        Raw(reloaded.port, "late")


def test_whom_the_new_rules_do_not_let_in_is_shown_out(reloaded: Reloaded) -> None:
    client = Raw(reloaded.port, "c")
    reloaded.write("listener {port} 127.0.0.1\nallow_anonymous false\n")
    reloaded.reload()
    goodbye = client.take()
    assert isinstance(goodbye, p.Disconnect)
    assert goodbye.reason == 0x98
    why = "Client c is shown out: clients without a user name are not let in any more."
    logged(reloaded.broker, why)


def test_rates_begin_and_end_with_a_reload(reloaded: Reloaded) -> None:
    client = Raw(reloaded.port, "c")
    reloaded.write(f"{PLAIN}rate_limit_bytes 1000\n")
    reloaded.reload()
    client.send(p.Publish("t", bytes(100_000)))
    client.send(p.Pingreq())  # not read for 99 seconds
    client.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.take()
    reloaded.write(PLAIN)
    reloaded.reload()
    client.socket.settimeout(10)
    assert isinstance(client.take(), p.Pingresp)


def test_what_needs_a_restart_is_said_by_its_name(reloaded: Reloaded, tmp_path: Path) -> None:
    reloaded.write(f"{PLAIN}pid_file {tmp_path}/pid\n")
    reloaded.reload()
    assert (
        f"Warning: The 'pid_file' option was changed from nothing to {tmp_path}/pid, which needs "
        "a restart of the broker."
    ) in reloaded.broker.log()
    assert not (tmp_path / "pid").exists()


def test_sys_can_be_switched_on_and_off(reloaded: Reloaded) -> None:
    reloaded.write(f"{PLAIN}sys_interval 0\n")
    reloaded.reload()
    reloaded.write(f"{PLAIN}sys_interval 1\n")
    reloaded.reload()
    client = Raw(reloaded.port, "c")
    client.subscribe("$SYS/broker/uptime")
    for _ in range(3):
        assert isinstance(client.take(), p.Publish)


class Crowd(asyncio.Protocol):
    """One of many subscribers: counts what it gets, acknowledges, and notices its end."""

    lost = 0

    def __init__(self, name: str) -> None:
        self.connection = Connection(CLIENT, 5)
        self.connection.send(p.Connect(name, 5, True), 0.0)
        self.got: set[bytes] = set()
        self.ready = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._flush()

    def data_received(self, data: bytes) -> None:
        for packet in self.connection.receive_data(data, 0.0):
            if isinstance(packet, p.Connack):
                self.connection.send(p.Subscribe(1, [p.SubscribeTo("crowd", 1)]), 0.0)
            elif isinstance(packet, p.Suback):
                self.ready.set_result(None)
            elif isinstance(packet, p.Publish):
                self.got.add(packet.payload)
                if packet.qos:
                    self.connection.send(p.Puback(packet.packet_id), 0.0)
        self._flush()

    def _flush(self) -> None:
        assert self._transport is not None
        self._transport.write(b"".join(self.connection.data_to_send()))

    def connection_lost(self, exc: Exception | None) -> None:
        Crowd.lost += 1

    def close(self) -> None:
        assert self._transport is not None
        self._transport.abort()


@pytest.fixture
def crowd_size() -> Iterator[int]:
    """How many clients there may be: 1,000 where the system lets a process have as many files."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = 4096 if most == resource.RLIM_INFINITY else min(4096, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, allowed), most))
    yield min(1000, allowed // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


async def test_reloads_under_many_clients_and_traffic_drop_none_and_lose_nothing(
    crowd_size: int,
    reloaded: Reloaded,
) -> None:
    loop = asyncio.get_running_loop()
    Crowd.lost = 0
    crowd = []
    for number in range(crowd_size):
        _, one = await loop.create_connection(
            lambda number=number: Crowd(f"crowd-{number}"), "127.0.0.1", reloaded.port
        )
        crowd.append(one)
    await asyncio.gather(*(one.ready for one in crowd))
    publisher = await asyncio.to_thread(Raw, reloaded.port, "publisher")
    sent: set[bytes] = set()
    extra = (
        "max_qos 2\n",
        "log_type all\n",
        f"listener {free_port()} 127.0.0.1\n",
        "nonsense\n",
        "",
    )

    def publish_and_reload() -> None:
        for number in range(60):
            payload = b"%d" % number
            publisher.send(p.Publish("crowd", payload, 1, packet_id=number + 1))
            sent.add(payload)
            assert isinstance(publisher.take(), p.Puback)
            if number % 10 == 5:
                reloaded.write(PLAIN + extra[number // 10 % len(extra)])
                os.kill(reloaded.broker.pid, signal.SIGHUP)

    await asyncio.to_thread(publish_and_reload)
    deadline = time.monotonic() + 30
    while not all(one.got == sent for one in crowd):
        assert time.monotonic() < deadline, "messages are missing"
        assert Crowd.lost == 0, "a client was dropped"
        await asyncio.sleep(0.02)
    assert Crowd.lost == 0
    until(lambda: "Config reloaded." in reloaded.broker.log(), "a reload")
    for one in crowd:
        one.close()


async def test_sigterm_under_load_is_clean(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        loop = asyncio.get_running_loop()
        crowd = []
        for number in range(50):
            _, one = await loop.create_connection(
                lambda number=number: Crowd(f"crowd-{number}"), "127.0.0.1", broker.port
            )
            crowd.append(one)
        await asyncio.gather(*(one.ready for one in crowd))
        publisher = await asyncio.to_thread(Raw, broker.port, "publisher")
        for number in range(2000):
            publisher.connection.send(p.Publish("crowd", b"%d" % number), 0.0)
        publisher.socket.sendall(b"".join(publisher.connection.data_to_send()))
        assert await asyncio.to_thread(broker.stop) == 0
        deadline = time.monotonic() + 10
        while not all(one.connection.closing for one in crowd):  # each was told why
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
    assert "terminating" in broker.log()
