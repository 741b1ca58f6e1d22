"""A broker starts, whatever has happened to its file, and says what it did."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from midge.client import sync
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from tests.process import BrokerProcess

LASTING = Properties.of(session_expiry_interval=1000)
MESSAGES = 300


def client(broker: BrokerProcess, client_id: str, *, clean: bool = False) -> sync.Client:
    """A client whose session lasts."""
    return sync.connect(
        f"mqtt://127.0.0.1:{broker.port}",
        client_id=client_id,
        version=p.MQTT_5,
        clean_start=clean,
        properties=LASTING,
        timeout_s=10,
    )


def payload(number: int) -> bytes:
    return b"%04d" % number + bytes(200)


@pytest.fixture
def broker(tmp_path: Path) -> BrokerProcess:
    """One that has run, with messages for a client that is away; it is stopped."""
    lines = f"persistence true\npersistence_location {tmp_path}/\npersistence_sync off\n"
    broker = BrokerProcess(tmp_path, lines + "sys_interval 1\nmax_queued_messages 0\n")
    with broker:
        with client(broker, "away") as away:
            away.subscribe("t/#", qos=1)
        with client(broker, "publisher") as publisher:
            for number in range(MESSAGES):
                publisher.publish("t/x", payload(number), qos=1)
            publisher.publish("kept/x", b"last", qos=1, retain=True)
    return broker


def damage_zeroed_pages(file: Path, seed: int) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(2):
        page = random.Random(seed).randrange(1, len(content) // 4096)
        content[page * 4096 : (page + 1) * 4096] = bytes(4096)
    file.write_bytes(content)


def damage_truncated(file: Path, seed: int) -> None:
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.truncate(random.Random(seed).randrange(size // 4, size))


def damage_header(file: Path, seed: int) -> None:
    with file.open("r+b") as opened:
        opened.write(random.Random(seed).randbytes(100))


def damage_version(file: Path, seed: int) -> None:
    with closing(sqlite3.connect(file)) as opened:
        opened.execute(f"PRAGMA user_version = {99 + seed}")


def damage_other_program(file: Path, seed: int) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as opened:
        opened.execute("CREATE TABLE holidays (day TEXT)")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("damage", "all_is_saved"),
    [
        (damage_zeroed_pages, False),
        (damage_truncated, False),
        (damage_header, False),
        (damage_version, True),
        (damage_other_program, False),
    ],
)
def test_a_broker_starts_with_a_damaged_file_and_says_so(
    broker: BrokerProcess,
    tmp_path: Path,
    damage: Callable[[Path, int], None],
    all_is_saved: bool,
    seed: int,
) -> None:
    file = tmp_path / "midge.db"
    damage(file, seed)
    damaged = file.read_bytes()
    with broker:
        log = broker.log()
        aside = list(tmp_path.glob("midge.db.damaged-*[0-9]"))
        assert len(aside) == 1
        assert f"Warning: that file was kept as {aside[0]}." in log
        # Nothing of it is thrown away; SQLite counts in the header that it was opened.
        assert aside[0].read_bytes()[100:] == damaged[100:]
        assert "Warning: saved from it: " in log
        with client(broker, "away") as away:
            away.subscribe("new/#", qos=1)
            numbers = [int(message.payload[:4]) for message in away.messages(0.3)]
            assert numbers == sorted(set(numbers)), "in order, none twice"
            if all_is_saved:
                assert numbers == list(range(MESSAGES))
            # And it goes on from there.
            with client(broker, "publisher") as publisher:
                publisher.publish("new/x", payload(9999), qos=1)
            assert away.receive(5).payload == payload(9999)
    with broker:  # the new file is sound
        assert broker.log().count("Warning: that file was kept as") == 1


def test_what_an_ended_session_has_left_goes_though_nothing_else_happens(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    def deliveries() -> int:
        with closing(sqlite3.connect(tmp_path / "midge.db")) as reader:
            return int(reader.execute("SELECT count(*) FROM delivery").fetchone()[0])

    with broker:
        with client(broker, "publisher") as publisher:
            for number in range(MESSAGES, 1200):
                publisher.publish("t/x", payload(number), qos=1)
        assert deliveries() == 1200
        with client(broker, "away", clean=True):
            deadline = time.monotonic() + 15
            while deliveries():
                assert time.monotonic() < deadline, f"{deliveries()} are still there"
                time.sleep(0.05)
