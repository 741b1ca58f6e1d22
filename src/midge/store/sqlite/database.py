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
from typing import TYPE_CHECKING, Final

from midge.limits import (
    STORE_CACHE_BYTES,
    STORE_PAGE_BYTES,
    STORE_SLICE_ROWS,
    STORE_WAL_BYTES,
)
from midge.store.base import Contents, DeliveryRow, MessageRow, StoreError
from midge.store.sqlite import schema
from midge.store.sqlite.batch import slices, statements, sweep
from midge.store.sqlite.place import Place
from midge.store.sqlite.reading import read_contents, read_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midge.store.journal import Changes
    from midge.store.sqlite.lock import StoreLock

#: What ``persistence_sync`` may be, and what SQLite calls it.
SYNCS: Final = {"full": "FULL", "normal": "NORMAL", "off": "OFF"}

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
                for part, weight in slices(statement, values):
                    writer.executemany(statement, part)
                    written += weight
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
        try:
            return read_page(self._reader, session, after, limit)
        except sqlite3.Error as error:
            raise _failure(self.path, "read", error) from error


def _connect(path: str) -> sqlite3.Connection:
    # It may be that somebody looks into the file while it is opened: for that long it is waited.
    # No implicit transactions; used by two threads, but never by both at a time.
    return sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)


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
