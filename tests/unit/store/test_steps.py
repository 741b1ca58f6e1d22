"""Writing in steps: each is short, and what fails in the middle leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from midge.limits import STORE_SLICE_BYTES, STORE_SLICE_ROWS
from midge.message import Message
from midge.store.base import SubscriptionRow
from midge.store.journal import Changes, Journal
from midge.store.sqlite import database
from midge.store.sqlite.database import SqliteStore
from midge.store.sqlite.upkeep import verify


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(tmp_path / "midge.db"), "off")
    yield store
    store.close()


def committed(store: SqliteStore, changes: Changes) -> None:
    for _ in store.write(changes):
        pass
    store.commit()


def one(store: SqliteStore, statement: str) -> int:
    return int(store._writer.execute(statement).fetchone()[0])


def test_large_messages_are_written_a_few_in_a_step(store: SqliteStore) -> None:
    journal = Journal()
    key = journal.new_session()
    for _ in range(20):
        journal.queue(key, Message("t", b"x" * (STORE_SLICE_BYTES // 2), 1), 1, False, ())
    steps = store.write(journal.take()[1])
    seen = [one(store, "SELECT count(*) FROM message") for _ in steps]
    store.commit()
    assert max(after - before for before, after in pairwise([0, *seen])) == 2
    assert seen[-1] == 20


def test_a_session_with_very_many_subscriptions_goes_in_steps(store: SqliteStore) -> None:
    journal = Journal()
    key, other = journal.new_session(), journal.new_session()
    for session in (key, other):
        journal.keep_session(session, f"c{session}", None, 10, None, False)
        for number in range(4 * STORE_SLICE_ROWS):
            row = SubscriptionRow(session, f"f/{number}", 1, False, False, 0, 0)
            journal.keep_subscription(row)
        for packet_id in range(1, STORE_SLICE_ROWS + 1):
            journal.take_incoming(session, packet_id)
    committed(store, journal.take()[1])
    journal.end_session(key)
    left = 5 * STORE_SLICE_ROWS
    count = f"(SELECT count(*) FROM subscription WHERE session = {key})"
    count += f" + (SELECT count(*) FROM incoming WHERE session = {key})"
    batches = 0
    while not batches or store.has_leftovers():
        committed(store, journal.take()[1])
        now = one(store, f"SELECT {count}")
        assert left - now <= STORE_SLICE_ROWS
        assert verify(store.path) == []
        assert [row.key for row in store.read(1).sessions] == [other]
        left = now
        batches += 1
    assert left == 0
    assert batches in (5, 6)
    assert one(store, "SELECT count(*) FROM subscription") == 4 * STORE_SLICE_ROWS


@pytest.mark.parametrize("fault", [MemoryError(), OverflowError(), KeyError("x")])
def test_a_batch_in_which_anything_fails_is_written_once_when_it_is_tried_again(
    store: SqliteStore, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal()
    key = journal.new_session()
    journal.keep_session(key, "c", None, 10, None, False)
    message = Message("t", b"x", 1)
    journal.queue(key, message, 1, False, ())
    journal.retain(message, None)
    committed(store, journal.take()[1])
    journal.queue(key, message, 1, False, ())  # refs + 1, which must not happen twice
    _, changes = journal.take()
    statements = database.statements

    def failing(changes: Changes) -> Iterator[tuple[str, Iterable[Sequence[object]]]]:
        yield from statements(changes)
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(database, "statements", failing)
        for _ in range(3):
            with pytest.raises(type(fault)):
                committed(store, changes)
    committed(store, changes)
    assert one(store, "SELECT refs FROM message") == 3
    assert verify(store.path) == []
