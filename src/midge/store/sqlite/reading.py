"""What is read of a store: all of it at the start, and later a page of what waits.

At the start, whatever is damaged is an error, and the file is mended
(:mod:`midge.store.sqlite.salvage`). Later it is read around: the rest comes.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from midge.limits import STORE_QUEUE_PAGE_BYTES
from midge.store.base import QUEUED, Contents, DeliveryRow, MessageRow
from midge.store.sqlite import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Reading = Callable[[tuple[object, ...]], tuple[DeliveryRow, MessageRow | None] | None]

_MESSAGE_COLUMNS: Final = (
    "m.id, m.topic, m.payload, m.qos, m.retain, m.properties, m.expires_at, m.origin"
)
_DELIVERY_COLUMNS: Final = (
    "d.session, d.seq, d.message, d.qos, d.retain, d.ids, d.packet_id, d.state,"
    " d.priority, d.ready_at"
)
_PAGE: Final = (
    f"SELECT {_DELIVERY_COLUMNS}, {_MESSAGE_COLUMNS} FROM delivery d"
    " LEFT JOIN message m ON m.id = d.message"
    " WHERE d.session = ? AND d.seq > ? AND d.state = ? ORDER BY d.seq LIMIT ?"
)


def read_contents(reader: sqlite3.Connection, page: int) -> Contents:
    """All of a store but what is behind the first page of each queue."""
    contents = Contents()
    for row in reader.execute("SELECT * FROM session ORDER BY key"):
        contents.sessions.append(rows.session(row))
    for row in reader.execute("SELECT * FROM subscription ORDER BY session, filter"):
        contents.subscriptions.append(rows.subscription(row))
    contents.incoming = [rows.incoming(row) for row in reader.execute("SELECT * FROM incoming")]
    contents.retained = dict(
        rows.retained(row) for row in reader.execute("SELECT topic, message FROM retained")
    )
    _read_messages(reader, contents, "JOIN retained r ON r.message = m.id", ())
    for row in reader.execute("SELECT * FROM queue ORDER BY key"):
        contents.queues.append(rows.queue(row))
    keys = [session.key for session in contents.sessions]
    for key in keys + [queue.key for queue in contents.queues]:
        _read_deliveries(reader, contents, key, page)
    _read_counters(reader, contents)
    return contents


def _read_counters(reader: sqlite3.Connection, contents: Contents) -> None:
    """The numbers that are next; one that is taken would put a row in the place of another.

    Raises:
        ValueError: one is.
    """
    found = dict(rows.counter(row) for row in reader.execute("SELECT name, value FROM counter"))
    contents.next_session = found.get("session", 1)
    contents.next_message = found.get("message", 1)
    contents.next_seq = found.get("seq", 1)
    last_message = reader.execute("SELECT max(id) FROM message").fetchone()[0]
    keys = [session.key for session in contents.sessions]
    keys += [queue.key for queue in contents.queues]
    if (
        contents.next_message <= (last_message or 0)
        or contents.next_session <= max(keys, default=0)
        or contents.next_seq <= max((row.seq for row in contents.deliveries), default=0)
    ):
        raise ValueError("a number is to be given that is taken")
    if len(set(keys)) < len(keys):
        raise ValueError("a queue has the number of a session")


def _read_messages(
    reader: sqlite3.Connection, contents: Contents, which: str, values: Iterable[int]
) -> None:
    for row in reader.execute(f"SELECT {_MESSAGE_COLUMNS} FROM message m {which}", tuple(values)):
        contents.messages[row[0]] = rows.message(row)


def _read_deliveries(
    reader: sqlite3.Connection, contents: Contents, session: int, page: int
) -> None:
    count, size = reader.execute(
        "SELECT count(*), total(length(CAST(m.topic AS BLOB)) + length(m.payload))"
        " FROM delivery d LEFT JOIN message m ON m.id = d.message"
        " WHERE d.session = ? AND d.state = ?",
        (session, QUEUED),
    ).fetchone()
    if count:
        contents.queued[session] = int(count), int(size)
    for which, limit in ((f"d.state <> {QUEUED}", -1), (f"d.state = {QUEUED}", page)):
        found = reader.execute(
            f"SELECT {_DELIVERY_COLUMNS}, {_MESSAGE_COLUMNS} FROM delivery d"
            " LEFT JOIN message m ON m.id = d.message"
            f" WHERE d.session = ? AND {which} ORDER BY d.seq LIMIT ?",
            (session, limit),
        )
        for delivery, message in _joined(found, None if limit < 0 else STORE_QUEUE_PAGE_BYTES):
            contents.deliveries.append(delivery)
            if message is not None:
                contents.messages[message.id] = message


# -- deliveries -----------------------------------------------------------------------------------


def read_page(
    reader: sqlite3.Connection, session: int, after: int, limit: int
) -> list[tuple[DeliveryRow, MessageRow | None]]:
    """What waits for a session or in a queue, from behind a number on; around what is damaged."""
    where = session, after, QUEUED, limit
    try:
        try:
            found = reader.execute(_PAGE, where)
            return list(_joined(found, STORE_QUEUE_PAGE_BYTES))
        except (TypeError, ValueError, sqlite3.OperationalError):
            # Of the last, a text that is none; for anything else this fails in the same way.
            reader.text_factory = decoded
            found = reader.execute(_PAGE, where)
            return list(_joined(found, STORE_QUEUE_PAGE_BYTES, _around_damage))
    finally:
        reader.text_factory = str


def _strictly(row: tuple[object, ...]) -> tuple[DeliveryRow, MessageRow | None]:
    """A delivery with its message; a damaged one is an error."""
    return rows.delivery(row[:10]), None if row[10] is None else rows.message(row[10:])


def _around_damage(row: tuple[object, ...]) -> tuple[DeliveryRow, MessageRow | None] | None:
    """The same without an error: a delivery without its message, or nothing at all."""
    session, seq, message = row[:3]
    if not (isinstance(session, int) and isinstance(seq, int)):
        return None
    try:
        return _strictly(row)
    except (TypeError, ValueError):
        number = message if isinstance(message, int) else 0
        return DeliveryRow(session, seq, number, 0, False, "", 0, QUEUED), None


def _joined(
    found: Iterable[tuple[object, ...]], bytes_max: int | None, read: Reading = _strictly
) -> Iterator[tuple[DeliveryRow, MessageRow | None]]:
    """Deliveries with their messages, up to the one that fills ``bytes_max``."""
    size = 0
    for row in found:
        pair = read(row)
        if pair is None:
            continue
        yield pair
        message = pair[1]
        if message is not None:
            size += len(message.payload)
            if bytes_max is not None and size >= bytes_max:
                return


def decoded(raw: bytes) -> str | bytes:
    """A text of the file; what is none any more is given as bytes, which no row may have there."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
