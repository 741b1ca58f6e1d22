"""A broker goes on with a store in which random values are random others, and its clients with it.

Not looked at is what of the messages is there: only that the broker starts, keeps to the protocol,
does what is new as ever, and leaves a store that is sound.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from midge.mqtt.properties import Properties
from midge.store.sqlite import schema
from midge.store.sqlite.salvage import open_store
from midge.testing.pair import Peer, World

ROUNDS = 15
#: A few queued messages more than this lie on the disk.
PAGE = 3
VALUES: list[object] = [
    *(None, 0, -1, 1, 2, 3, 7, 65535, 65536, 2**31, 2**32, 2**63 - 1, -(2**63)),
    *(1.5, 1e300, float("inf")),
    *("", "x", "a/#", "+", "$share/g/a", "$share//a", "$queue/x", "$SYS/x", "\0", "a/" * 40_000),
    *(b"", b"\0", b"\xff", b"\x26\x00\x01a\x00\x01b", b"\x02\x00\x00\x00\x05"),
    *("s1", "jobs", "$share/grp/h/#", "1,2", "268435456", "prefetch=0", "bogus"),
]


def lasting(world: World, client_id: str) -> Peer:
    properties = Properties.of(session_expiry_interval=100)
    return world.connect(client_id, clean_start=False, properties=properties)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with sessions, queues, a group, messages that are under way, and retained ones."""
    path = tmp_path_factory.mktemp("store") / "midge.db"
    store, _, _ = open_store(str(path), "off", "now", PAGE)
    world = World(store=store)
    for client_id in ("s1", "s2"):
        peer = lasting(world, client_id)
        peer.subscribe("h/#", 2)
        peer.subscribe("$share/grp/h/#", 1)
        peer.drop()
    publisher = world.connect("p")
    for number in range(8):
        properties = Properties.of(message_expiry_interval=50) if number % 2 else None
        publisher.publish("h/a", b"%d" % number, 2, properties=properties)
        publisher.publish("$queue/jobs", b"%d" % number, 1)
    publisher.publish("h/r", b"kept", 1, retain=True)
    for _ in range(2):  # some are given out and not acknowledged
        peer = lasting(world, "s1")
        peer.take()
        peer.drop()
    world.settle()
    store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    return path


def spoil(path: Path, chance: random.Random) -> list[tuple[str, str, object]]:
    """Put values where others were; returns table, column and value."""
    database = sqlite3.connect(path)
    done: list[tuple[str, str, object]] = []
    for _ in range(chance.randint(1, 4)):
        table = chance.choice(list(schema.TABLES))
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        column = chance.choice(columns)
        there = [row[0] for row in database.execute(f"SELECT {column} FROM {table}")]
        value = chance.choice(VALUES)
        where, values = "", [value]
        if there and chance.random() < 0.7:
            where = f" WHERE {column} IS ?"
            values.append(chance.choice(there))
        try:
            database.execute(f"UPDATE {table} SET {column} = ?{where}", values)
        except sqlite3.Error:
            continue  # the file itself does not take that
        done.append((table, column, value if not isinstance(value, str) else value[:20]))
    database.commit()
    database.close()
    return done


@pytest.mark.parametrize("seed", range(4))
def test_a_broker_goes_on_whatever_stands_in_its_store(
    tmp_path: Path, whole: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("testing.pair", "broker.durable_outbox", "broker.queue_pages"):
        monkeypatch.setattr(f"midge.{module}.STORE_QUEUE_PAGE", PAGE)
    chance = random.Random(seed)
    for number in range(ROUNDS):
        path = tmp_path / f"{number}.db"
        shutil.copy(whole, path)
        spoiled = spoil(path, chance)
        store, _, _ = open_store(str(path), "off", "now", PAGE)
        try:
            run(World(store=store))
        except Exception as error:
            error.add_note(f"seed {seed}, round {number}: {spoiled!r}")
            raise
        finally:
            store.close()
        store, _, said = open_store(str(path), "off", "later", PAGE)
        store.close()
        assert said == [], spoiled


def run(world: World) -> None:
    """What clients do; each packet that they get is looked at."""
    for client_id in ("s1", "s2"):
        peer = lasting(world, client_id)
        peer.messages()
        peer.drop()
    consumer = world.connect("consumer")
    for filter in ("$queue/jobs", "#"):
        consumer.subscribe(filter, 1)
        consumer.messages()
    publisher = world.connect("publisher")
    publisher.publish("h/new", b"new", 1)
    publisher.publish("$queue/fresh", b"new", 1)
    assert b"new" in [one.payload for one in consumer.messages()]
    world.advance(200)  # sessions end, messages expire
    world.settle()
