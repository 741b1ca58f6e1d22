"""The store in a file: write-ahead log, one transaction a batch, one call to make it safe.

:meth:`SqliteStore.write` runs in the thread of the event loop: it puts a batch into the open
transaction, which costs a few microseconds a row and does not wait for the disk; a large batch in
several steps, so that no turn of the loop is long.
:meth:`SqliteStore.commit` is one call into SQLite, which lets go of the interpreter's lock while it
writes and syncs; so it is run in a helper thread, and the loop goes on collecting the next batch.
(Row by row in the helper thread would fight for the lock with the loop at each of them.)

Pages are read through a connection of their own, which in a write-ahead log waits for nobody.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from itertools import islice
from typing import TYPE_CHECKING, Final

from midge.limits import (
    STORE_CACHE_BYTES,
    STORE_PAGE_BYTES,
    STORE_QUEUE_PAGE_BYTES,
    STORE_SLICE_BYTES,
    STORE_SLICE_ROWS,
    STORE_WAL_BYTES,
)
from midge.store.base import (
    QUEUED,
    Contents,
    DeliveryRow,
    MessageRow,
    StoreError,
)
from midge.store.sqlite import rows, schema
from midge.store.sqlite.place import Place
from midge.store.sqlite.rows import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from midge.store.journal import Changes
    from midge.store.sqlite.lock import StoreLock

    Row = Sequence[object]
    Reading = Callable[[tuple[object, ...]], tuple[DeliveryRow, MessageRow | None] | None]

#: What ``persistence_sync`` may be, and what SQLite calls it.
SYNCS: Final = {"full": "FULL", "normal": "NORMAL", "off": "OFF"}

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

#: Errors that say nothing about the file itself. (Read-only does: we have opened it for writing
#: before, so it can only be its header that says so.)
_ENVIRONMENT: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
}
_INSERT: Final = {
    table: f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * count)})"
    for table, count in COLUMNS.items()
}


def insert_into(table: str) -> str:
    """The statement that puts a row into a table, in place of one with the same key."""
    return _INSERT[table]


class DamagedStore(StoreError):
    """The file cannot be read as a store of this midge."""


class SqliteStore:
    """See :class:`midge.store.base.Store`.

    Attributes:
        path: of the file; next to it stand its ``-wal`` and ``-shm``.
        lock: kept until the store is closed.
    """

    __slots__ = ("_left", "_open", "_place", "_reader", "_sync", "_writer", "lock", "path")

    def __init__(self, path: str, sync: str = "full") -> None:
        """Open the file, or make it; readable for its owner alone, since it holds payloads.

        Raises:
            DamagedStore: it is no store, or a damaged one: see :mod:`midge.store.sqlite.salvage`.
            StoreError: it cannot be opened at all.
        """
        self.path = path
        self.lock: StoreLock | None = None
        self._sync = sync
        self._open = False
        #: The store was made anew: what is open is no longer what lies at the path.
        self._left = False
        self._connect()

    def _connect(self) -> None:
        path = self.path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._writer = _connect(path)
            prepare(self._writer, path)
            self._writer.execute(f"PRAGMA synchronous = {SYNCS[self._sync]}")
            self._reader = _connect(path)
            self._reader.execute("PRAGMA query_only = 1")
            # From here on it is the event loop that would wait for a file that another process has.
            self._writer.execute("PRAGMA busy_timeout = 0")
            self._reader.execute("PRAGMA busy_timeout = 0")
            self._place = Place(path)
        except OSError as error:
            raise StoreError(f"the store {path} cannot be opened: {error.strerror}") from error
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _ENVIRONMENT:
                raise _failure(path, "opened", error) from error
            raise DamagedStore(f"the store {path} is damaged: {error}") from error

    def _move_to_new_files(self) -> None:
        """Open what was made anew, and give up what was open until now."""
        old = self._reader, self._writer, self._place
        try:
            self._connect()
        except StoreError:
            self._reader, self._writer, self._place = old
            raise
        self._left = False
        for one in old:
            one.close()

    # -- writing ------------------------------------------------------------------------------

    def write(self, changes: Changes) -> Iterator[None]:
        """See :meth:`midge.store.base.Store.write`."""
        if self._left:
            self._move_to_new_files()
        writer = self._writer
        written = 0
        try:
            if not self._open:
                writer.execute("BEGIN IMMEDIATE")
                self._open = True
            for statement, values in statements(changes):
                by_size = statement is _INSERT["message"]
                for part in _by_size(values) if by_size else _by_number(values):
                    writer.executemany(statement, part)
                    written += STORE_SLICE_ROWS if by_size else len(part)
                    if written >= STORE_SLICE_ROWS:
                        yield
                        written = 0
            if written:
                yield
            sweep(writer, STORE_SLICE_ROWS)
        except sqlite3.Error as error:
            self._roll_back()
            raise _failure(self.path, "written", error) from error
        except Exception:
            self._roll_back()  # half of a batch must not be there when it is tried again
            raise

    def commit(self) -> None:
        """See :meth:`midge.store.base.Store.commit`."""
        if self._place.is_lost():
            self._roll_back()
            raise self._made_anew()
        if not self._open:
            return
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise _failure(self.path, "written", error) from error
        self._open = False

    def _made_anew(self) -> StoreError:
        """Put the store where it was again; what is to be said of that."""
        lost = f"the store {self.path} was deleted, moved or replaced while the broker has it open"
        try:
            self._place.make_anew(self._writer)
        except (OSError, sqlite3.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            return StoreError(f"{lost}, and cannot be made anew: {why}")
        self._left = True
        return StoreError(f"{lost}; it was made anew")

    def _roll_back(self) -> None:
        self._open = False
        # Where it fails, what is open stays so, and the next BEGIN fails and comes here again.
        with contextlib.suppress(sqlite3.Error):
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def fault(self) -> str | None:
        """What is wrong with the file as a whole; ``None`` where nothing is. Reads all of it."""
        try:
            found: str = self._reader.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            return str(error)
        return None if found == "ok" else found

    def has_leftovers(self) -> bool:
        """See :meth:`midge.store.base.Store.has_leftovers`."""
        try:
            return self._writer.execute("SELECT 1 FROM doomed LIMIT 1").fetchone() is not None
        except sqlite3.Error:
            return False  # whoever writes will be told why

    def close(self) -> None:
        """See :meth:`midge.store.base.Store.close`."""
        self._roll_back()
        self._reader.close()
        self._writer.close()
        self._place.close()
        if self.lock is not None:
            self.lock.release()

    # -- reading ------------------------------------------------------------------------------

    def read(self, page: int) -> Contents:
        """See :meth:`midge.store.base.Store.read`.

        Raises:
            DamagedStore: a part of it cannot be read.
        """
        try:
            return read_contents(self._reader, page)
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            raise DamagedStore(f"the store {self.path} is damaged: {error}") from error

    def page(
        self, session: int, after: int, limit: int
    ) -> list[tuple[DeliveryRow, MessageRow | None]]:
        """See :meth:`midge.store.base.Store.page`."""
        where = session, after, QUEUED, limit
        try:
            try:
                found = self._reader.execute(_PAGE, where)
                return list(_joined(found, STORE_QUEUE_PAGE_BYTES))
            except (TypeError, ValueError, sqlite3.OperationalError):
                # Of the last, a text that is none; for anything else this fails in the same way.
                self._reader.text_factory = decoded
                found = self._reader.execute(_PAGE, where)
                return list(_joined(found, STORE_QUEUE_PAGE_BYTES, _around_damage))
        except sqlite3.Error as error:
            raise _failure(self.path, "read", error) from error
        finally:
            self._reader.text_factory = str


def _connect(path: str) -> sqlite3.Connection:
    # It may be that somebody looks into the file while it is opened: for that long it is waited.
    # No implicit transactions; used by two threads, but never by both at a time.
    return sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)


def decoded(raw: bytes) -> str | bytes:
    """A text of the file; what is none any more is given as bytes, which no row may have there."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _failure(path: str, what: str, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0)
    # The latter is no room for the file of the memory that readers share.
    full = code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE
    why = "database or disk is full" if full else str(error)
    if code & 0xFF == sqlite3.SQLITE_IOERR and not full:
        why += f" ({error.sqlite_errorname})"  # which of many
    busy = code & 0xFF == sqlite3.SQLITE_BUSY
    return StoreError(f"the store {path} cannot be {what}: {why}", full, busy)


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make an empty file a store, and an older store one of today.

    Raises:
        DamagedStore: it is neither.
    """
    connection.execute(f"PRAGMA page_size = {STORE_PAGE_BYTES}")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and application != schema.APPLICATION_ID:
        raise DamagedStore(f"{path} is a database of another program")
    if version > schema.VERSION:
        raise DamagedStore(
            f"the store {path} has version {version}, which a later midge made; "
            f"this one knows versions up to {schema.VERSION}",
        )
    if not tables:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA cache_size = -{STORE_CACHE_BYTES // 1024}")
    connection.execute(f"PRAGMA journal_size_limit = {STORE_WAL_BYTES}")
    connection.execute("PRAGMA temp_store = MEMORY")
    if tables and version == schema.VERSION:
        return  # nothing was written: it opens on a full disk
    connection.execute("BEGIN IMMEDIATE")
    if not tables:
        for statement in schema.TABLES.values():
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    for older in range(version if tables else schema.VERSION, schema.VERSION):
        for statement in schema.MIGRATIONS.get(older, ()):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    connection.execute("COMMIT")


# -- one batch ------------------------------------------------------------------------------------


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


# -- deliveries -----------------------------------------------------------------------------------


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


# -- the whole ------------------------------------------------------------------------------------


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
