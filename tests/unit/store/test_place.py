"""A store that is deleted, moved or replaced under the broker is made anew, with all it had."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from midge.message import Message
from midge.store.base import StoreError
from midge.store.journal import Journal
from midge.store.sqlite import upkeep
from midge.store.sqlite.database import SqliteStore


def retain(store: SqliteStore, journal: Journal, topic: str) -> None:
    """Keep a retained message, again and again if need be."""
    journal.retain(Message(topic, b"x" * 5000, 1, True), None)
    _, changes = journal.take()
    for attempt in range(3):
        try:
            for _ in store.write(changes):
                pass
            store.commit()
        except StoreError:
            assert attempt < 2
        else:
            return


def topics(path: Path) -> list[str]:
    """What is retained, as another process sees it."""
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT topic FROM retained ORDER BY topic")]
    connection.close()
    return found


def delete(*endings: str) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        for ending in endings:
            os.unlink(f"{path}{ending}")

    return do


def replace_with_nothing(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"")
    other.replace(path)


def replace_with_a_backup(path: Path) -> None:
    upkeep.backup(str(path), f"{path}.copy")
    os.replace(f"{path}.copy", path)


def move_away(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        os.replace(f"{path}{ending}", f"{path}{ending}.old")


def replace_the_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("old"))
    path.parent.mkdir()


LOSSES: dict[str, Callable[[Path], None]] = {
    "all is deleted": delete("", "-wal", "-shm"),
    "the database is deleted": delete(""),
    "the log is deleted": delete("-wal"),
    "the shared memory is deleted": delete("-shm"),
    "log and shared memory are deleted": delete("-wal", "-shm"),
    "an empty file is put in its place": replace_with_nothing,
    "a backup is put in its place": replace_with_a_backup,
    "all is moved away": move_away,
    "the directory is another one": replace_the_directory,
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("idle", [False, True])
def test_whatever_becomes_of_the_files_what_was_committed_is_kept(
    tmp_path: Path, loss: str, idle: bool
) -> None:
    path = tmp_path / "store" / "midge.db"
    path.parent.mkdir()
    store = SqliteStore(str(path), "off")
    journal = Journal()
    retain(store, journal, "before")
    LOSSES[loss](path)
    if idle:
        with pytest.raises(StoreError, match="was made anew"):
            store.commit()  # as at the end of a broker, when there is nothing to write
        expected = ["before"]
    else:
        retain(store, journal, "after")
        retain(store, journal, "later")
        expected = ["after", "before", "later"]
    assert topics(path) == expected
    store.close()
    assert upkeep.verify(str(path)) == []
    again = SqliteStore(str(path), "off")
    assert sorted(again.read(10).retained) == expected
    again.close()
    assert not path.with_name("midge.db.rescue").exists()


def test_what_lies_in_its_place_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    store = SqliteStore(str(path), "off")
    journal = Journal()
    for number in (1, 2):
        retain(store, journal, "t")
        other = tmp_path / "other"
        other.write_text(f"the other {number}")
        other.replace(path)
        retain(store, journal, "u")
        assert (tmp_path / f"midge.db.replaced-{number}").read_text() == f"the other {number}"
    store.close()


def test_where_it_cannot_be_made_anew_that_is_said_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "store" / "midge.db"
    path.parent.mkdir()
    store = SqliteStore(str(path), "off")
    journal = Journal()
    retain(store, journal, "before")
    path.parent.rename(tmp_path / "elsewhere")
    journal.retain(Message("after", b"x", 1, True), None)
    _, changes = journal.take()
    for _ in range(2):
        for _ in store.write(changes):
            pass
        with pytest.raises(StoreError, match="cannot be made anew: No such file or directory"):
            store.commit()
    (tmp_path / "elsewhere").rename(path.parent)  # it is where it was
    for _ in store.write(changes):
        pass
    store.commit()
    assert topics(path) == ["after", "before"]
    store.close()


def test_pages_are_read_while_the_store_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    store = SqliteStore(str(path), "off")
    journal = Journal()
    key = journal.new_session()
    journal.keep_session(key, "c", None, 10, None, False)
    journal.queue(key, Message("t", b"x", 1), 1, False, ())
    for _ in store.write(journal.take()[1]):
        pass
    store.commit()
    assert len(store.page(key, 0, 10)) == 1
    path.unlink()
    assert len(store.page(key, 0, 10)) == 1
    with pytest.raises(StoreError, match="made anew"):
        store.commit()
    assert len(store.page(key, 0, 10)) == 1  # from what is open still
    retain(store, journal, "t")
    assert len(store.page(key, 0, 10)) == 1  # and from the new one
    store.close()


def test_files_are_given_up_with_the_store(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    store = SqliteStore(str(tmp_path / "midge.db"), "off")
    journal = Journal()
    for _ in range(3):
        (tmp_path / "midge.db").unlink()
        retain(store, journal, "t")
    store.close()
    assert set(os.listdir("/proc/self/fd")) == before
