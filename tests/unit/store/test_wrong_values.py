"""A store in which single values are not what they should be: the broker starts all the same."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from midge.message import Message
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.store.base import HELD, QueueRow, SubscriptionRow
from midge.store.journal import Journal
from midge.store.sqlite import schema
from midge.store.sqlite.database import SqliteStore
from midge.store.sqlite.salvage import open_store
from midge.testing.pair import World

LASTING = Properties.of(session_expiry_interval=100)

#: What stands where it should not: no text, another type, too much.
WRONG = {
    "no UTF-8": "CAST(x'ff41' AS TEXT)",
    "bytes": "x'00ff'",
    "a huge number": "1e300",
}
#: Of the right type, and nonsense all the same, by the type of the column.
NONSENSE = {
    "INTEGER": ["-1", "70000"],
    "TEXT": ["''", "'#/x'", "char(0)", "'$share/'", "'$share/g/#/x'", "'$queue/'"],
    "BLOB": ["x''", "x'ffffffffff'"],
    "REAL": ["-1.0", "1e999"],
}


def fill(path: Path) -> None:
    """Two sessions with messages, a queue, a retained topic."""
    store = SqliteStore(str(path), "off")
    journal = Journal()
    for client in ("a", "b"):
        key = journal.new_session()
        journal.keep_session(key, client, None, 10, None, False, 99.0)
        journal.keep_subscription(SubscriptionRow(key, "t/#", 1, False, False, 0, 0))
        journal.take_incoming(key, 7)
        for number in range(3):
            properties = Properties.of(content_type="x")
            message = Message(f"t/{number}", b"x", 1, False, properties, 50.0)
            journal.queue(key, message, 1, False, (3,))
    journal.retain(Message("kept", b"r", 1, True), None)
    queue = journal.new_session()
    journal.keep_queue(QueueRow(queue, "jobs", ""))
    journal.put(queue, Message("q", b"held", 1), HELD, 3, 12.0)
    for _ in store.write(journal.take()[1]):
        pass
    store.commit()
    store._writer.execute("INSERT INTO doomed VALUES (99)")
    store.close()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of such a store."""
    path = tmp_path_factory.mktemp("sound") / "midge.db"
    fill(path)
    return path.read_bytes()


def columns() -> list[tuple[str, str, str]]:
    """Table, column and its type."""
    connection = sqlite3.connect(":memory:")
    found = []
    for table, statement in schema.TABLES.items():
        connection.execute(statement)
        infos = connection.execute(f"PRAGMA table_info({table})")
        found += [(table, info[1], info[2]) for info in infos]
    connection.close()
    return found


def damage(path: Path, table: str, column: str, value: str) -> bool:
    """Put a value into the first row of a table; false where the file itself does not take it."""
    connection = sqlite3.connect(path)
    try:
        infos = connection.execute(f"PRAGMA table_info({table})").fetchall()
        keys = ", ".join(info[1] for info in infos if info[5])
        connection.execute(
            f"UPDATE {table} SET {column} = {value} WHERE ({keys}) ="
            f" (SELECT {keys} FROM {table} ORDER BY {keys} LIMIT 1)"
        )
        connection.commit()
    except sqlite3.IntegrityError:
        return False
    finally:
        connection.close()
    return True


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(("table", "column", "kind"), columns())
def test_the_store_opens_whatever_stands_in_one_row(
    sound: bytes, tmp_path: Path, table: str, column: str, kind: str, wrong: str
) -> None:
    path = tmp_path / "midge.db"
    path.write_bytes(sound)
    if not damage(path, table, column, WRONG[wrong]):
        return
    store, contents, _ = open_store(str(path), "off", "now", 100)
    # And what is another session's is there.
    assert {row.client_id for row in contents.sessions} >= {"b"}
    assert sum(row.session == 2 for row in contents.deliveries) == 3
    assert contents.next_message > max(contents.messages)
    assert contents.next_seq > max(row.seq for row in contents.deliveries)
    store.close()


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [(table, column, value) for table, column, kind in columns() for value in NONSENSE[kind]],
)
def test_the_broker_starts_with_nonsense_in_one_row(
    sound: bytes, tmp_path: Path, table: str, column: str, value: str
) -> None:
    path = tmp_path / "midge.db"
    path.write_bytes(sound)
    if not damage(path, table, column, value):
        return
    store, _, _ = open_store(str(path), "off", "now", 100)
    world = World(store=store)
    for name in "ab":
        peer = world.connect(name, clean_start=False, properties=LASTING)
        peer.send(p.Subscribe(99, [p.SubscribeTo("t/#", 1)]))
        peer.messages()
    publisher = world.connect("p")
    publisher.publish("t/x", b"x", 1)
    publisher.publish("$queue/jobs", b"x", 1)
    publisher.publish("kept", b"x", 1, retain=True)
    reader = world.connect("w")
    reader.send(p.Subscribe(1, [p.SubscribeTo("#", 1), p.SubscribeTo("$queue/jobs", 1)]))
    world.advance(5000)  # sessions and messages expire, delays end
    assert not reader.closed
    store.close()
