"""One batch as statements of SQL, and in slices that are short enough for a turn of the loop."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from midge.limits import STORE_SLICE_BYTES, STORE_SLICE_ROWS
from midge.store.sqlite.rows import COLUMNS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from midge.store.journal import Changes

    Row = Sequence[object]

_INSERT: Final = {
    table: f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * count)})"
    for table, count in COLUMNS.items()
}


def insert_into(table: str) -> str:
    """The statement that puts a row into a table, in place of one with the same key."""
    return _INSERT[table]


def statements(changes: Changes) -> Iterator[tuple[str, Iterable[Row]]]:
    """What writes a batch, with the rows of each statement, in the order in which it must go."""
    new = changes.messages
    references = changes.references
    yield _INSERT["message"], ((*row, references[number]) for number, row in new.items())
    yield _INSERT["delivery"], changes.deliveries.values()
    yield (
        "UPDATE delivery SET packet_id = ?, state = ? WHERE session = ? AND seq = ?",
        ((*state, *about) for about, state in changes.states.items()),
    )
    yield "DELETE FROM delivery WHERE session = ? AND seq = ?", changes.done
    yield from _session_statements(changes)
    incoming = changes.incoming.items()
    yield _INSERT["incoming"], (taken for taken, there in incoming if there)
    yield (
        "DELETE FROM incoming WHERE session = ? AND packet_id = ?",
        (taken for taken, there in incoming if not there),
    )
    retained = changes.retained.items()
    yield _INSERT["retained"], ((topic, number) for topic, number in retained if number is not None)
    yield (
        "DELETE FROM retained WHERE topic = ?",
        ((topic,) for topic, number in retained if number is None),
    )
    yield (
        "UPDATE message SET refs = refs + ? WHERE id = ?",
        ((by, number) for number, by in references.items() if number not in new),
    )
    yield (
        "DELETE FROM message WHERE id = ? AND refs <= 0",
        ((number,) for number, by in references.items() if by < 0),
    )
    counters = zip(("session", "message", "seq"), changes.counters, strict=True)
    yield _INSERT["counter"], counters


def _session_statements(
    changes: Changes,
) -> Iterator[tuple[str, Iterable[Row]]]:
    queues = changes.queues
    yield "DELETE FROM queue WHERE key = ?", ((key,) for key, row in queues.items() if row is None)
    yield _INSERT["queue"], (row for row in queues.values() if row is not None)
    yield (
        "UPDATE queue SET given = max(given, ?) WHERE key = ?",
        ((seq, key) for key, seq in changes.given.items()),
    )
    ended = [(key,) for key, row in changes.sessions.items() if row is None]
    yield "DELETE FROM session WHERE key = ?", ended
    yield _INSERT["doomed"], ended
    yield _INSERT["session"], (row for row in changes.sessions.values() if row is not None)
    yield (
        "DELETE FROM subscription WHERE session = ? AND filter = ?",
        (about for about, row in changes.subscriptions.items() if row is None),
    )
    yield (
        _INSERT["subscription"],
        (row for row in changes.subscriptions.values() if row is not None),
    )


# -- slices ---------------------------------------------------------------------------------------


def slices(statement: str, values: Iterable[Row]) -> Iterator[tuple[list[Row], int]]:
    """What a statement writes, a slice at a time, each with how much of a turn it takes.

    A whole turn is ``STORE_SLICE_ROWS``.
    """
    if statement is _INSERT["message"]:
        for part in _by_size(values):
            yield part, STORE_SLICE_ROWS
    else:
        for part in _by_number(values):
            yield part, len(part)


def _by_number(values: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows a slice at a time; of a large batch a list of all would take too long to make."""
    rest = iter(values)
    while part := list(islice(rest, STORE_SLICE_ROWS)):
        yield part


def _by_size(messages: Iterable[Row]) -> Iterator[list[Row]]:
    """Messages a slice at a time, and large ones fewer: they are copied, and may fill the cache."""
    part: list[Row] = []
    size = 0
    for row in messages:
        part.append(row)
        payload = row[2]
        assert isinstance(payload, bytes)
        size += len(payload)
        if size >= STORE_SLICE_BYTES or len(part) == STORE_SLICE_ROWS:
            yield part
            part = []
            size = 0
    if part:
        yield part


def sweep(writer: sqlite3.Connection, limit: int) -> int:
    """Remove up to ``limit`` rows of a session that ended; returns how many."""
    row = writer.execute("SELECT session FROM doomed LIMIT 1").fetchone()
    if row is None:
        return 0
    session: int = row[0]
    found = writer.execute(
        "SELECT seq, message FROM delivery WHERE session = ? LIMIT ?", (session, limit)
    ).fetchall()
    writer.executemany(
        "DELETE FROM delivery WHERE session = ? AND seq = ?", [(session, seq) for seq, _ in found]
    )
    messages = [(message,) for _, message in found]
    writer.executemany("UPDATE message SET refs = refs - 1 WHERE id = ?", messages)
    writer.executemany("DELETE FROM message WHERE id = ? AND refs <= 0", messages)
    count = len(found)
    for table, column in (("subscription", "filter"), ("incoming", "packet_id")):
        if count < limit:
            rows_of_it = f"SELECT {column} FROM {table} WHERE session = ?1 LIMIT ?2"
            count += writer.execute(
                f"DELETE FROM {table} WHERE session = ?1 AND {column} IN ({rows_of_it})",
                (session, limit - count),
            ).rowcount
    if count < limit:
        writer.execute("DELETE FROM doomed WHERE session = ?", (session,))
    return count
