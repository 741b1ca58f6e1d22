"""A full disk: what cannot be kept is not acknowledged, and what was acknowledged is not lost."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from midge.client import sync
from midge.errors import MidgeError, ProtocolError
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from tests.process import BrokerProcess

LASTING = Properties.of(session_expiry_interval=1000)
LARGE = bytes(100_000)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system, and not everywhere")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def broker(tmp_path: Path, small: Path) -> Iterator[BrokerProcess]:
    (small / "store").mkdir()
    lines = f"persistence true\npersistence_location {small / 'store'}/\nmax_queued_messages 0\n"
    with BrokerProcess(tmp_path, lines + "sys_interval 1\n") as running:
        yield running


def fill(place: Path) -> Path:
    """Leave no room; returns what to delete to have it again."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


def passing(broker: BrokerProcess) -> sync.Client:
    """A client of which nothing is to be kept."""
    return sync.connect(f"mqtt://127.0.0.1:{broker.port}", timeout_s=5)


def client(broker: BrokerProcess, client_id: str, version: int = p.MQTT_5) -> sync.Client:
    """A client with a lasting session."""
    return sync.connect(
        f"mqtt://127.0.0.1:{broker.port}",
        client_id=client_id,
        version=version,
        clean_start=False,
        properties=LASTING if version == p.MQTT_5 else None,
        timeout_s=2,
    )


def until(found: Callable[[], bool]) -> None:
    """Wait for what will come, sooner or later."""
    deadline = time.monotonic() + 15
    while not found():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def publish_until_unanswered(broker: BrokerProcess, acknowledged: list[int]) -> None:
    """Publish large messages: the first that finds no room is not answered."""
    with client(broker, "during") as publisher:
        for n in range(100, 200):
            try:
                publisher.publish("t/x", b"%04d" % n + LARGE, qos=1)
            except MidgeError:
                return
            acknowledged.append(n)
    raise AssertionError("there was room for all")


def number(payload: bytes) -> int:
    return int(payload[:4])


def test_a_full_disk_loses_nothing_and_heals(broker: BrokerProcess, small: Path) -> None:
    with client(broker, "away") as away:
        away.subscribe("t/#", qos=1)
    acknowledged = []
    with client(broker, "before") as publisher:
        for n in range(20):
            publisher.publish("t/x", b"%04d" % n, qos=1)
            acknowledged.append(n)
    filler = fill(small)
    publish_until_unanswered(broker, acknowledged)
    until(lambda: "cannot be written: database or disk is full" in broker.log())
    with client(broker, "refused") as publisher, pytest.raises(ProtocolError) as told:
        publisher.publish("t/x", b"0200", qos=1)  # now it is known: that is said at once
    assert told.value.reason == 0x97
    with passing(broker) as other:  # who wants nothing kept goes on
        other.subscribe("now/#", qos=1)
        other.publish("now/x", b"served", qos=1)
        assert other.receive(5).payload == b"served"
    filler.unlink()
    until(lambda: "The store can be written again." in broker.log())
    with client(broker, "after") as publisher:
        for n in range(300, 310):
            publisher.publish("t/x", b"%04d" % n, qos=1)
            acknowledged.append(n)
    broker.stop(9)
    broker.start()
    with client(broker, "away") as away:
        got = [number(message.payload) for message in away.messages(1)]
    assert [n for n in got if n in acknowledged] == acknowledged  # all of them, once, in order
    assert not {200} & set(got)  # what was refused does not come by itself


def test_clients_that_cannot_be_refused_wait_for_room(broker: BrokerProcess, small: Path) -> None:
    with client(broker, "away") as away:
        away.subscribe("t/#", qos=1)
    filler = fill(small)
    publish_until_unanswered(broker, [])
    with client(broker, "older", p.MQTT_311) as publisher:
        with pytest.raises(MidgeError):
            publisher.publish("t/x", b"0500", qos=1)  # no answer: 3.1.1 has no word for no
        filler.unlink()
        until(lambda: "The store can be written again." in broker.log())
        assert publisher.publish("t/x", b"0501", qos=1) == 0
    with client(broker, "away") as away:
        got = [number(message.payload) for message in away.messages(1)]
    assert 501 in got


def test_a_broker_can_be_ended_while_the_disk_is_full(broker: BrokerProcess, small: Path) -> None:
    with client(broker, "away") as away:
        away.subscribe("t/#", qos=1)
    acknowledged: list[int] = []
    filler = fill(small)
    publish_until_unanswered(broker, acknowledged)
    assert broker.stop() == 0
    assert "could not be written at the end" in broker.log()
    filler.unlink()
    broker.start()
    with client(broker, "away") as away:
        got = [number(message.payload) for message in away.messages(1)]
    assert got[: len(acknowledged)] == acknowledged


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_starts_while_the_disk_is_full(
    broker: BrokerProcess, small: Path, number: signal.Signals
) -> None:
    with client(broker, "away") as away:
        away.subscribe("t/#", qos=1)
    acknowledged: list[int] = []
    filler = fill(small)
    publish_until_unanswered(broker, acknowledged)
    broker.stop(number)
    broker.start()
    with passing(broker) as other:
        other.subscribe("now/#", qos=1)
        other.publish("now/x", b"served", qos=1)
        assert other.receive(5).payload == b"served"
    filler.unlink()
    with client(broker, "after") as publisher:
        publisher.publish("t/x", b"0300", qos=1)
    with client(broker, "away") as away:
        got = [int(message.payload[:4]) for message in away.messages(1)]
    assert got == [*acknowledged, 300]


def test_a_full_disk_is_seen_in_the_sys_tree(broker: BrokerProcess, small: Path) -> None:
    with client(broker, "away") as away:
        away.subscribe("t/#", qos=1)
    fill(small)
    with passing(broker) as looks:
        looks.subscribe("$SYS/broker/midge/store/#")
        publish_until_unanswered(broker, [])
        seen: dict[str, bytes] = {}

        def failures() -> bool:
            for message in looks.messages(0.1):
                seen[message.topic] = message.payload
            return int(seen.get("$SYS/broker/midge/store/failing", b"0")) == 1

        until(failures)
