"""A damaged store opens: what can be read is saved, and the rest is said."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.message import Message
from midge.store.base import StoreError, SubscriptionRow
from midge.store.journal import Journal
from midge.store.sqlite.database import SqliteStore
from midge.store.sqlite.salvage import open_store


def fill(path: Path, sessions: int = 20, messages: int = 100) -> None:
    """A store with sessions that each wait for messages, and retained ones."""
    store = SqliteStore(str(path), "off")
    journal = Journal()
    for number in range(sessions):
        key = journal.new_session()
        journal.keep_session(key, f"client-{number}", None, 1000, None, False)
        journal.keep_subscription(SubscriptionRow(key, f"f/{number}", 1, False, False, 0, 0))
        for index in range(messages):
            journal.queue(key, Message(f"t/{number}", b"%d " % index * 20, 1), 1, False, ())
    journal.retain(Message("kept", b"v", 1, True), None)
    for _ in store.write(journal.take()[1]):
        pass
    store.commit()
    store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()


def check_fits(path: Path) -> int:
    """The tables fit together and everything can be read; returns how many deliveries there are."""
    store = SqliteStore(str(path), "off")
    contents = store.read(1_000_000)
    keys = {row.key for row in contents.sessions}
    assert {row.session for row in contents.subscriptions} <= keys
    assert {row.session for row in contents.deliveries} <= keys
    assert {row.message for row in contents.deliveries} <= set(contents.messages)
    rows = store._reader.execute("SELECT id, refs FROM message").fetchall()
    needed: dict[int, int] = {}
    for row in contents.deliveries:
        needed[row.message] = needed.get(row.message, 0) + 1
    for number in contents.retained.values():
        needed[number] = needed.get(number, 0) + 1
    assert dict(rows) == needed
    assert contents.next_seq > max([0, *(row.seq for row in contents.deliveries)])
    assert contents.next_message > max([0, *contents.messages])
    store.close()
    return len(contents.deliveries)


def test_a_sound_store_opens_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    fill(path)
    store, _, lines = open_store(str(path), "off", "now", 10)
    store.close()
    assert lines == []
    assert check_fits(path) == 2000
    assert not list(tmp_path.glob("*.damaged*"))


def test_nothing_is_written_to_open_a_sound_store_so_that_it_opens_on_a_full_disk(
    tmp_path: Path,
) -> None:
    path = tmp_path / "midge.db"
    fill(path, 2, 2)
    before = path.read_bytes()
    store, _, _ = open_store(str(path), "off", "now", 10)
    assert Path(f"{path}-wal").stat().st_size == 0
    store.close()
    assert path.read_bytes() == before


def test_what_is_no_database_is_moved_aside_and_a_new_store_made(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    path.write_bytes(b"not a database at all" * 500)
    store, _, lines = open_store(str(path), "off", "now", 10)
    store.close()
    assert "damaged" in lines[0]
    assert "saved from it: nothing" in lines[2]
    assert (tmp_path / "midge.db.damaged-now").read_bytes().startswith(b"not a database")
    assert check_fits(path) == 0


def test_a_file_of_another_program_is_kept_whole_beside_the_new_store(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    before = path.read_bytes()
    store, _, lines = open_store(str(path), "off", "now", 10)
    store.close()
    assert "another program" in lines[0]
    assert (tmp_path / "other.db.damaged-now").read_bytes() == before


def test_a_store_of_a_later_midge_is_kept_and_what_fits_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    fill(path, 2, 10)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    store, _, lines = open_store(str(path), "off", "now", 10)
    store.close()
    assert "version 99, which a later midge made" in lines[0]
    assert check_fits(path) == 20


def test_one_zeroed_page_costs_little(tmp_path: Path) -> None:
    """Of 2,000 deliveries nearly all are saved when a page in the middle is gone."""
    path = tmp_path / "midge.db"
    fill(path)
    saved = []
    whole = path.read_bytes()
    for page in range(8, len(whole) // 4096, 23):
        path.write_bytes(whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :])
        store, _, lines = open_store(str(path), "off", "now", 10)
        store.close()
        saved.append(check_fits(path))
        if lines:
            (tmp_path / "midge.db.damaged-now").unlink()
    assert len(saved) >= 3
    assert sorted(saved)[len(saved) // 2] >= 1900


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(["cut", "zero", "noise", "header"]))
def test_whatever_the_damage_the_store_opens_and_fits_together(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    path = tmp_path_factory.mktemp("store") / "midge.db"
    fill(path, 5, 60)
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    pages = len(data) // 4096
    if kind == "cut":
        data = data[: chance.randrange(len(data))]
    elif kind == "header":
        data[chance.randrange(100)] ^= 0xFF
    else:
        for _ in range(chance.randint(1, 3)):
            start = chance.randrange(pages) * 4096
            data[start : start + 4096] = bytes(4096) if kind == "zero" else chance.randbytes(4096)
    path.write_bytes(data)
    store, _, _ = open_store(str(path), "off", "now", 10)
    store.close()
    check_fits(path)


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk is full"), OSError(28, "full")])
def test_where_nothing_can_be_saved_the_file_stays_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = tmp_path / "midge.db"
    path.write_bytes(b"not a database at all" * 500)

    def full(database: sqlite3.Connection) -> int:
        raise error

    monkeypatch.setattr("midge.store.sqlite.salvage.mend", full)
    with pytest.raises(StoreError, match=r"no new one can be made.*full"):
        open_store(str(path), "off", "now", 10)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["midge.db", "midge.db-lock"]
    assert path.read_bytes().startswith(b"not a database")
    monkeypatch.undo()
    store, _, _ = open_store(str(path), "off", "now", 10)
    store.close()


def test_where_there_are_no_links_the_file_is_moved_aside_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "midge.db"
    path.write_bytes(b"not a database at all" * 500)

    def none(source: str, target: str) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", none)
    store, _, _ = open_store(str(path), "off", "now", 10)
    store.close()
    assert (tmp_path / "midge.db.damaged-now").read_bytes().startswith(b"not a database")
    assert check_fits(path) == 0


#: What a hand or a flipped bit may make of values without SQLite noticing.
WRONG_VALUES = [
    "UPDATE message SET payload = 'text' WHERE id = 3",
    "UPDATE message SET payload = 'text'",
    "UPDATE message SET topic = x'ff00' WHERE id = 3",
    "UPDATE message SET topic = CAST(x'ff00' AS TEXT) WHERE id = 3",
    "UPDATE message SET qos = 7 WHERE id = 3",
    "UPDATE message SET expires_at = 'tomorrow' WHERE id = 3",
    "UPDATE delivery SET state = 9 WHERE seq = 3",
    "UPDATE delivery SET state = 1, packet_id = 70000 WHERE seq = 3",
    "UPDATE delivery SET qos = 'x' WHERE seq = 3",
    "UPDATE subscription SET qos = 3",
    "UPDATE session SET ends_at = 'never'",
    "UPDATE session SET client_id = x'00'",
    "UPDATE session SET will_topic = 5.5, will_qos = 9",
    "INSERT INTO incoming VALUES (1, 'x')",
    "INSERT INTO incoming VALUES (1, 99999)",
    "UPDATE retained SET message = 'x'",
    "UPDATE counter SET value = 'x'",
    "UPDATE counter SET name = 'queue' || name",
    "UPDATE counter SET value = 1",
    "DELETE FROM counter",
    "UPDATE counter SET value = 9223372036854775807",
    "UPDATE counter SET value = -1",
    "UPDATE delivery SET seq = 9223372036854775807 WHERE seq = 3",
    "UPDATE message SET id = 9223372036854775807 WHERE id = 3",
    "UPDATE session SET key = 9223372036854775807 WHERE key = 2",
    "UPDATE session SET key = -2 WHERE key = 2",
    "UPDATE subscription SET identifier = -1",
    "UPDATE delivery SET qos = 0, state = 1, packet_id = 7 WHERE seq = 3",
    "UPDATE delivery SET qos = 1, state = 2, packet_id = 7 WHERE seq = 3",
    "UPDATE delivery SET priority = 10 WHERE seq = 3",
    "INSERT INTO queue VALUES (1, 'jobs', '', 0)",
    "ALTER TABLE session ADD COLUMN mine TEXT",
    "DROP TABLE retained",
]


@pytest.mark.parametrize("statement", WRONG_VALUES)
def test_a_store_with_values_that_make_no_sense_opens(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "midge.db"
    fill(path, 2, 5)
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()
    store, _, lines = open_store(str(path), "off", "now", 10)
    store.close()
    assert "damaged" in lines[0]
    check_fits(path)
    again, _, lines = open_store(str(path), "off", "later", 10)
    again.close()
    assert lines == []


def test_sessions_are_saved_from_a_table_with_more_columns_than_it_should_have(
    tmp_path: Path,
) -> None:
    path = tmp_path / "midge.db"
    fill(path, 2, 5)
    database = sqlite3.connect(path)
    database.execute("ALTER TABLE session ADD COLUMN mine TEXT")
    database.execute("PRAGMA user_version = 99")
    database.close()
    store, contents, _ = open_store(str(path), "off", "now", 10)
    store.close()
    assert [row.client_id for row in contents.sessions] == ["client-0", "client-1"]
    assert check_fits(path) == 10


def test_a_page_goes_around_what_is_damaged_in_it(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    fill(path, 1, 10)
    database = sqlite3.connect(path)
    for statement in (
        "UPDATE message SET payload = 'text' WHERE id = 2",
        "UPDATE message SET topic = CAST(x'ff00' AS TEXT) WHERE id = 4",
        "UPDATE delivery SET ids = x'00' WHERE seq = 6",
        "UPDATE delivery SET seq = 'x' WHERE seq = 8",
    ):
        database.execute(statement)
    database.commit()
    database.close()
    store = SqliteStore(str(path), "off")
    page = store.page(1, 0, 100)
    assert [row.seq for row, _ in page] == [1, 2, 3, 4, 5, 6, 7, 9, 10]
    assert [row.seq for row, message in page if message is None] == [2, 4, 6]
    assert [row.message for row, _ in page] == [1, 2, 3, 4, 5, 6, 7, 9, 10]
    store.close()
