"""`midge store`: what it says, and that it harms nothing."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from pathlib import Path

import pytest

from midge.cli.main import main
from midge.message import Message
from midge.mqtt.properties import Properties
from midge.store.base import SubscriptionRow
from midge.store.journal import Journal
from midge.store.sqlite import schema
from midge.store.sqlite.database import SqliteStore
from midge.store.sqlite.salvage import open_store


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(path) as connection:
        found = {
            table: connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in schema.TABLES
        }
    connection.close()
    return found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a bit of everything, closed."""
    path = tmp_path / "midge.db"
    database = SqliteStore(str(path), "off")
    journal = Journal()
    key = journal.new_session()
    journal.keep_session(key, "clïent", "user", 77, None, False, 5.0)
    journal.keep_subscription(SubscriptionRow(key, "a/#", 2, True, False, 1, 9))
    properties = Properties.of(content_type="text", user_property=[("a", "b")])
    for number in range(10):
        journal.queue(
            key, Message("a/b", bytes([number, 255]), 1, False, properties), 1, False, (9,)
        )
    journal.take_incoming(key, 12)
    journal.retain(Message("kept", b"\x00\xff", 1, True), None)
    for _ in database.write(journal.take()[1]):
        pass
    database.commit()
    database.close()
    return path


def test_a_sound_store_is_said_to_be(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "verify", str(store)]) == 0
    assert capfd.readouterr().out == f"{store} is sound.\n"


def test_the_directory_does_for_the_file(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "verify", str(store.parent)]) == 0
    assert "is sound" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("DELETE FROM message WHERE id = 3", "1 deliveries without their message"),
        ("UPDATE message SET refs = 7 WHERE id = 3", "1 messages that are counted wrongly"),
        ("DELETE FROM session", "10 deliveries without their session"),
        ("INSERT INTO retained VALUES ('x', 99)", "1 retained topics without their message"),
    ],
)
def test_what_does_not_fit_is_said(
    store: Path, statement: str, complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute(statement)
    connection.close()
    assert main(["store", "verify", str(store)]) == 1
    assert complaint in capfd.readouterr().out.splitlines()


def test_damage_is_said(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(store.read_bytes())
    data[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    store.write_bytes(data)
    assert main(["store", "verify", str(store)]) == 1
    assert capfd.readouterr().out


def test_stats_count(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "stats", str(store), "--json"]) == 0
    numbers = json.loads(capfd.readouterr().out)
    assert numbers["sessions"] == 1
    assert numbers["queued"] == 10
    assert numbers["messages"] == 11
    assert numbers["payload_bytes"] == 22
    assert numbers["retained"] == 1
    assert numbers["incoming"] == 1
    assert main(["store", "stats", str(store)]) == 0
    assert "queued                            10" in capfd.readouterr().out


def test_what_is_exported_can_be_imported(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines"
    copy = tmp_path / "copy.db"
    assert main(["store", "export", str(store), str(lines)]) == 0
    assert main(["store", "import", str(copy), str(lines)]) == 0
    assert dump(copy) == dump(store)
    capfd.readouterr()
    assert main(["store", "export", str(store)]) == 0
    assert capfd.readouterr().out == lines.read_text()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nonsense", "line 2 is no row of a store"),
        ('{"table": "nothing"}', "there is no table 'nothing'"),
        ('{"table": "doomed"}', "line 2 is no row of a store"),
        ('{"midge_store": 99}', "an export of version 99"),
        ("[]", "line 2 is no row of a store"),
        ("[" * 100_000, "line 2 is no row of a store"),
        ('{"table": "doomed", "session": "x"}', "line 2 is no row of a store"),
        ('{"table": "doomed", "session": 100000000000000000000}', "line 2 is no row of a store"),
        ('{"table": "retained", "topic": {"base64": "!"}, "message": 1}', "line 2 is no row"),
        ('{"midge_store": 2, "rows": 3}', "it has 3 rows, but 0 are there"),
        ("\udc84\udcff", "can't decode byte 0x84"),
    ],
)
def test_a_bad_line_ends_the_import_and_leaves_nothing(
    tmp_path: Path, line: str, complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines"
    lines.write_text(f'{{"midge_store": 1}}\n{line}\n', errors="surrogateescape")
    assert main(["store", "import", str(tmp_path / "new.db"), str(lines)]) == 1
    assert complaint in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["lines"]


def test_an_export_that_was_cut_short_is_not_taken_for_the_whole(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines"
    assert main(["store", "export", str(store), str(lines)]) == 0
    whole = lines.read_text().splitlines(keepends=True)
    lines.write_text("".join(whole[:-1]))
    assert main(["store", "import", str(tmp_path / "new.db"), str(lines)]) == 1
    assert f"has {len(whole) - 1} rows, but {len(whole) - 2}" in capfd.readouterr().err
    assert not (tmp_path / "new.db").exists()


def test_an_export_that_cannot_be_written_is_not_left_behind(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["store", "export", str(store), str(tmp_path / "lines")]) == 1
    assert capfd.readouterr().err == f"Error: {tmp_path / 'lines'}: No space left on device\n"
    assert not (tmp_path / "lines").exists()


def test_an_import_and_a_backup_and_an_export_overwrite_nothing(
    store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = store.read_bytes()
    for command in (["import"], ["backup", str(store)], ["export", str(store)]):
        assert main(["store", command[0], str(store), *command[1:]]) == 1
        error = capfd.readouterr().err
        assert "exists" in error
        assert "Errno" not in error
    assert store.read_bytes() == before


def test_nothing_is_imported_under_a_broker_whose_file_was_deleted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "midge.db")
    store, _, _ = open_store(path, "off", "now", 10)
    os.unlink(path)
    lines = tmp_path / "lines"
    lines.write_text('{"midge_store": 2}\n')
    assert main(["store", "import", path, str(lines)]) == 1
    assert "in use by a running broker" in capfd.readouterr().err
    store.close()
    assert main(["store", "import", path, str(lines)]) == 0


def test_a_backup_is_the_store_while_it_is_written(store: Path, tmp_path: Path) -> None:
    running = SqliteStore(str(store), "off")
    journal = Journal(running.read(0))
    journal.retain(Message("later", b"x", 1, True), None)
    for _ in running.write(journal.take()[1]):
        pass
    running.commit()
    journal.retain(Message("not yet", b"x", 1, True), None)
    for _ in running.write(journal.take()[1]):
        pass
    copy = tmp_path / "copy.db"
    assert main(["store", "backup", str(store), str(copy)]) == 0
    running.commit()
    running.close()
    assert sorted(str(row[0]) for row in dump(copy)["retained"]) == ["kept", "later"]
    assert sorted(str(row[0]) for row in dump(store)["retained"]) == ["kept", "later", "not yet"]


def test_compacting_gives_space_back_while_the_store_is_open(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    running = SqliteStore(str(path), "off")
    journal = Journal()
    key = journal.new_session()
    messages = [Message("t", b"x" * 1000, 1) for _ in range(2000)]
    seqs = [journal.queue(key, message, 1, False, ()) for message in messages]
    numbers = [message.stored for message in messages]
    for _ in running.write(journal.take()[1]):
        pass
    running.commit()
    for seq, number in zip(seqs, numbers, strict=True):
        journal.done(key, seq, number)
    for _ in running.write(journal.take()[1]):
        pass
    running.commit()
    running._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.stat().st_size
    assert main(["store", "compact", str(path)]) == 0
    running._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < before // 4
    journal.retain(Message("still", b"works", 1, True), None)
    for _ in running.write(journal.take()[1]):
        pass
    running.commit()
    running.close()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "no command given"),
        (["dance"], "unknown command 'dance'"),
        (["verify"], "'verify' needs the file"),
        (["verify", "a", "b"], "'verify' takes no 'b'"),
        (["backup", "a"], "'backup' needs the name of the copy"),
    ],
)
def test_a_wrong_command_line_is_explained(
    words: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", *words]) == 2
    assert complaint in capfd.readouterr().err


@pytest.mark.parametrize("command", ["verify", "stats", "export", "compact"])
def test_what_cannot_be_read_is_said_with_the_reason(
    tmp_path: Path, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "midge.db").mkdir()
    assert main(["store", command, str(tmp_path)]) == 1
    error = capfd.readouterr().err
    assert error == f"Error: {tmp_path / 'midge.db'} cannot be read: Is a directory\n"


def test_a_file_that_is_not_there_is_an_error_and_not_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.db"
    assert main(["store", "verify", str(path)]) == 1
    assert "there is no store at" in capfd.readouterr().err
    assert not path.exists()
