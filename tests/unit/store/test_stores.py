"""The stores keep what the journal tells them: the file and the dictionaries are equal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from midge.message import Message
from midge.mqtt.packets import Will
from midge.mqtt.properties import Properties
from midge.store.base import (
    QUEUED,
    RELEASED,
    SENT,
    Contents,
    Store,
    StoreError,
    SubscriptionRow,
)
from midge.store.journal import Changes, Journal
from midge.store.memory import MemoryStore
from midge.store.sqlite import upkeep
from midge.store.sqlite.database import DamagedStore, SqliteStore
from midge.store.sqlite.salvage import rescue


def image(contents: Contents) -> dict[str, object]:
    """What a store contains, comparable."""
    return {
        "sessions": sorted(contents.sessions),
        "subscriptions": sorted(contents.subscriptions),
        "incoming": sorted(contents.incoming),
        "deliveries": sorted(contents.deliveries),
        "queued": contents.queued,
        "messages": contents.messages,
        "retained": contents.retained,
        "next": (contents.next_session, contents.next_message, contents.next_seq),
    }


def write(store: Store, changes: Changes) -> None:
    for _ in store.write(changes):
        pass


def test_nobody_waits_in_the_loop_for_a_file_that_another_process_has(tmp_path: Path) -> None:
    path = str(tmp_path / "midge.db")
    store = SqliteStore(path, "off")
    journal = Journal()
    journal.keep_session(journal.new_session(), "c", None, 10, None, False)
    _, changes = journal.take()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for connection in (store._writer, store._reader):
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (0,)
    with pytest.raises(StoreError, match="locked") as error:
        write(store, changes)
    assert error.value.busy
    assert not error.value.full
    assert store.page(1, 0, 10) == []  # readers do not wait for writers
    other.execute("ROLLBACK")
    other.close()
    write(store, changes)
    store.commit()
    assert len(store.read(10).sessions) == 1
    store.close()


class Stores(RuleBasedStateMachine):
    """Random changes, commits and crashes; after each commit both stores hold the same."""

    @initialize(directory=st.uuids())
    def begin(self, directory: object) -> None:
        import tempfile

        self.directory = tempfile.TemporaryDirectory()
        self.path = str(Path(self.directory.name) / "midge.db")
        self.file = SqliteStore(self.path, "off")
        self.memory = MemoryStore()
        self.journal = Journal()
        self.sessions: list[int] = []
        self.waiting: dict[int, tuple[int, int, int]] = {}  # seq: session, message, state
        self.retained: dict[str, Message] = {}
        self.fresh: Message | None = None

    def teardown(self) -> None:
        self.file.close()
        self.directory.cleanup()

    @rule(expiry_s=st.integers(1, 100), with_will=st.booleans(), connected=st.booleans())
    def new_session(self, expiry_s: int, with_will: bool, connected: bool) -> None:
        key = self.journal.new_session()
        will = Will("w", b"gone", 1, True, Properties.of(will_delay_interval=3))
        self.journal.keep_session(
            key, f"c{key}", None, expiry_s, will if with_will else None, connected, 12.5
        )
        self.sessions.append(key)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def end_session(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.sessions))
        self.sessions.remove(key)
        self.journal.end_session(key)
        self.waiting = {seq: row for seq, row in self.waiting.items() if row[0] != key}

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), filter=st.sampled_from(["a/#", "b", "$share/g/c"]), keep=st.booleans())
    def subscription(self, data: st.DataObject, filter: str, keep: bool) -> None:
        key = data.draw(st.sampled_from(self.sessions))
        if keep:
            self.journal.keep_subscription(
                SubscriptionRow(key, filter, data.draw(st.integers(0, 2)), True, False, 2, 7)
            )
        else:
            self.journal.drop_subscription(key, filter)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), payload=st.binary(max_size=5), retain=st.booleans())
    def publish(self, data: st.DataObject, payload: bytes, retain: bool) -> None:
        """One message for some sessions, retained or not."""
        properties = Properties.of(content_type="x", user_property=[("k", "v")])
        message = Message("tö", payload, 2, retain, properties, 99.0, "origin")
        if retain:
            self.journal.retain(message, self.retained.get(message.topic))
            self.retained[message.topic] = message
        receivers = data.draw(st.lists(st.sampled_from(self.sessions), unique=True))
        for key in receivers:
            seq = self.journal.queue(key, message, 2, retain, (1, 2))
            self.waiting[seq] = key, message.stored, QUEUED

    @rule()
    def clear_retained(self) -> None:
        self.journal.drop_retained("tö", self.retained.pop("tö", None))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), state=st.sampled_from([SENT, RELEASED]))
    def change(self, data: st.DataObject, state: int) -> None:
        seq = data.draw(st.sampled_from(sorted(self.waiting)))
        session, message, _ = self.waiting[seq]
        self.journal.change(session, seq, 17, state)
        self.waiting[seq] = session, message, state

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.waiting)))
        session, message, _ = self.waiting.pop(seq)
        self.journal.done(session, seq, message)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), packet_id=st.integers(1, 3), take=st.booleans())
    def incoming(self, data: st.DataObject, packet_id: int, take: bool) -> None:
        key = data.draw(st.sampled_from(self.sessions))
        if take:
            self.journal.take_incoming(key, packet_id)
        else:
            self.journal.release_incoming(key, packet_id)

    @rule()
    def commit(self) -> None:
        _, changes = self.journal.take()
        for store in (self.memory, self.file):
            write(store, changes)
            store.commit()
        # Read through another connection: what a new process would see.
        other = SqliteStore(self.path, "off")
        try:
            while other.has_leftovers():
                write(other, Journal(other.read(0)).take()[1])
                other.commit()
            assert image(other.read(1000)) == image(self.memory.read(1000))
            assert image(other.read(2)) == image(self.memory.read(2))
            for key in self.sessions:
                assert other.page(key, 1, 3) == self.memory.page(key, 1, 3)
        finally:
            other.close()

    @invariant()
    def what_waits_is_known(self) -> None:
        """The model of the test itself: nothing of an ended session waits."""
        assert all(row[0] in self.sessions for row in self.waiting.values())

    @rule()
    def check_model(self) -> None:
        """After a commit the store holds just what waits, with its messages."""
        self.commit()
        contents = self.memory.read(1000)
        assert {row.seq: (row.session, row.message, row.state) for row in contents.deliveries} == (
            self.waiting
        )
        needed = {row[1] for row in self.waiting.values()} | set(contents.retained.values())
        assert set(contents.messages) == needed
        rows = self.file._writer.execute("SELECT id FROM message").fetchall()
        assert {row[0] for row in rows} == needed


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def committed(store: SqliteStore, journal: Journal) -> None:
    write(store, journal.take()[1])
    store.commit()


def test_what_was_not_committed_is_not_there_after_a_crash(tmp_path: Path) -> None:
    path = str(tmp_path / "midge.db")
    store = SqliteStore(path)
    journal = Journal()
    key = journal.new_session()
    journal.keep_session(key, "kept", None, 10, None, True)
    committed(store, journal)
    journal.keep_session(journal.new_session(), "lost", None, 10, None, True)
    write(store, journal.take()[1])
    store.close()
    again = SqliteStore(path)
    assert [row.client_id for row in again.read(10).sessions] == ["kept"]
    again.close()


def test_a_message_that_comes_and_goes_within_a_batch_is_never_written() -> None:
    journal = Journal()
    key = journal.new_session()
    message = Message("t", b"x", 1)
    seq = journal.queue(key, message, 1, False, ())
    journal.change(key, seq, 1, SENT)
    journal.done(key, seq, message.stored)
    changes = journal.take()[1]
    assert not changes.messages
    assert not changes.references
    assert not changes.deliveries
    assert not changes.done
    assert not changes


def test_a_message_for_many_sessions_is_stored_once(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "midge.db"))
    journal = Journal()
    message = Message("t", b"x" * 100, 1)
    keys = [journal.new_session() for _ in range(50)]
    seqs = [journal.queue(key, message, 1, False, ()) for key in keys]
    number = message.stored
    committed(store, journal)
    count = "SELECT count(*), max(refs) FROM message"
    assert store._writer.execute(count).fetchone() == (1, 50)
    for key, seq in zip(keys, seqs, strict=True):
        journal.done(key, seq, number)
    committed(store, journal)
    assert store._writer.execute(count).fetchone() == (0, None)
    store.close()


def test_the_deliveries_of_an_ended_session_go_a_slice_at_a_time(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "midge.db"))
    journal = Journal()
    key = journal.new_session()
    journal.keep_session(key, "c", None, 10, None, False)
    for number in range(1200):
        journal.queue(key, Message("t", b"%d" % number, 1), 1, False, ())
    committed(store, journal)
    journal.end_session(key)
    left: list[int] = []
    while not left or store.has_leftovers():
        committed(store, journal)
        left.append(store._writer.execute("SELECT count(*) FROM message").fetchone()[0])
    assert left == [950, 700, 450, 200, 0]
    store.close()


def test_a_store_of_a_later_midge_is_not_touched(tmp_path: Path) -> None:
    path = str(tmp_path / "midge.db")
    store = SqliteStore(path)
    store._writer.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(DamagedStore, match="version 99, which a later midge made"):
        SqliteStore(path)


def test_a_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    import sqlite3

    path = str(tmp_path / "other.db")
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(DamagedStore, match="another program"):
        SqliteStore(path)


def test_a_file_that_is_no_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(DamagedStore, match="damaged"):
        SqliteStore(str(path))


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "midge.db"
    SqliteStore(str(path)).close()
    assert path.stat().st_mode & 0o077 == 0


def store_of_version_1(path: str) -> None:
    """A file as the first version of the store made it."""
    store = SqliteStore(path)
    journal = Journal()
    key = journal.new_session()
    journal.keep_session(key, "c", None, 10, None, False)
    journal.keep_subscription(SubscriptionRow(key, "a/#", 1, True, False, 2, 7))
    journal.queue(key, Message("a/b", b"x", 1), 1, False, ())
    committed(store, journal)
    store._writer.execute("ALTER TABLE subscription DROP COLUMN owed")
    store._writer.execute("PRAGMA user_version = 1")
    store.close()


def test_a_store_of_an_earlier_midge_becomes_one_of_today(tmp_path: Path) -> None:
    path = str(tmp_path / "midge.db")
    store_of_version_1(path)
    with pytest.raises(StoreError, match="version 1, this midge writes 2; a broker that opens it"):
        upkeep.verify(path)
    store = SqliteStore(path)
    contents = store.read(10)
    store.close()
    assert contents.subscriptions == [SubscriptionRow(1, "a/#", 1, True, False, 2, 7, False)]
    assert len(contents.deliveries) == 1
    assert upkeep.verify(path) == []


def test_a_damaged_store_of_an_earlier_midge_is_saved_as_well(tmp_path: Path) -> None:
    path = str(tmp_path / "midge.db")
    store_of_version_1(path)
    saved, _ = rescue(path, path + ".aside")
    assert saved["subscription"] == saved["delivery"] == 1
    assert upkeep.verify(path) == []


def test_an_export_of_an_earlier_midge_can_be_imported(tmp_path: Path) -> None:
    path = str(tmp_path / "midge.db")
    store_of_version_1(path)
    SqliteStore(path).close()
    lines = [line.replace(', "owed": 0', "") for line in upkeep.export_lines(path)]
    lines[0] = '{"midge_store": 1}'
    assert not any("owed" in line for line in lines)
    copy = str(tmp_path / "copy.db")
    upkeep.import_lines(copy, lines)
    store = SqliteStore(copy)
    assert store.read(10).subscriptions == [SubscriptionRow(1, "a/#", 1, True, False, 2, 7, False)]
    store.close()
    lines[0] = '{"midge_store": 3}'
    with pytest.raises(StoreError, match="line 1: an export of version 3"):
        upkeep.import_lines(str(tmp_path / "other.db"), lines)
