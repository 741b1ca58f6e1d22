"""A store that always opens: what can be read of a damaged file is saved into a new one.

The damaged file is kept beside it under another name; nobody but its owner deletes it. So is one of
a later midge, or of another program; what fits the tables of this one is taken from it. Rows are
read around the damage: a table that is numbered is halved until the rows that cannot be read are
alone, the others are read from both ends. What has lost its other half then goes (a delivery
without its message, a subscription without its session), and the counts are made anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from typing import Final

from midge.store.base import Contents, StoreError
from midge.store.sqlite import schema
from midge.store.sqlite.batch import insert_into
from midge.store.sqlite.database import DamagedStore, SqliteStore, prepare
from midge.store.sqlite.lock import StoreLock
from midge.store.sqlite.reading import decoded
from midge.store.sqlite.rows import fitted, is_sound

#: Tables by what numbers their rows; the others have keys of several columns.
_NUMBERED: Final = {"session": "key", "queue": "key", "message": "id", "doomed": "session"}
_KEYS: Final = {
    "counter": "name",
    "delivery": "session, seq",
    "incoming": "session, packet_id",
    "retained": "topic",
    "subscription": "session, filter",
}

#: Reads of a table that may fail before the rest of it is given up.
_PATIENCE: Final = 5000


def open_store(
    path: str, sync: str, stamp: str, page: int
) -> tuple[SqliteStore, Contents, list[str]]:
    """Open the store at ``path``, whatever has become of it, and read it.

    Args:
        sync: see :class:`SqliteStore`.
        stamp: what the name of a damaged file ends with: the time.
        page: see :meth:`SqliteStore.read`.

    Returns:
        The store, what it has, and what there is to say about it; nothing where all was well.

    Raises:
        StoreError: the file cannot be made or opened at all, or another broker has it.
    """
    # One file has one lock, and one directory where it is moved aside, whatever links lead to it.
    path = os.path.realpath(path)
    lock = StoreLock(path)
    try:
        store, contents, lines = _open(path, sync, stamp, page)
    except BaseException:
        lock.release()
        raise
    store.lock = lock
    return store, contents, lines


def _open(path: str, sync: str, stamp: str, page: int) -> tuple[SqliteStore, Contents, list[str]]:
    store: SqliteStore | None = None
    try:
        store = SqliteStore(path, sync)
        fault = store.fault()
        if fault is not None:
            raise DamagedStore(f"the store {path} is damaged: {fault}")
        return store, store.read(page), []
    except DamagedStore as error:
        why = str(error)
        if store is not None:
            store.close()
    aside = f"{path}.damaged-{stamp}"
    try:
        saved, lost = rescue(path, aside)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{why}, and no new one can be made: {error}") from error
    lines = [f"Error: {why}.", f"Warning: that file was kept as {aside}."]
    rows = ", ".join(f"{count} {table}" for table, count in saved.items() if count)
    lines.append(f"Warning: saved from it: {rows or 'nothing'}.")
    if lost:
        lines.append(f"Warning: {lost} deliveries were lost with their messages.")
    store = SqliteStore(path, sync)
    return store, store.read(page), lines


def rescue(path: str, aside: str) -> tuple[dict[str, int], int]:
    """Put what can be read of ``path`` into a new file in its place, and the old one to ``aside``.

    Returns:
        How many rows of each table were saved, and how many deliveries had lost their message.

    Raises:
        OSError, sqlite3.Error: there can be no new file; the old one is as it was.
    """
    new_path = f"{path}.rescue"
    _remove(new_path)
    try:
        os.close(os.open(new_path, os.O_RDWR | os.O_CREAT, 0o600))
        saved, lost = _save(path, new_path)
    except BaseException:
        _remove(new_path)  # it would take room, of which there may be too little
        raise
    # A log that stands beside a file that it does not belong to would be played into it: it goes
    # first.
    for ending in ("-wal", "-shm"):
        if os.path.exists(path + ending):
            os.replace(path + ending, aside + ending)
    try:
        os.link(path, aside)  # so that there is a file under its name at every moment
    except OSError:
        os.replace(path, aside)
    os.replace(new_path, path)
    return saved, lost


def _remove(path: str) -> None:
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(path + ending):
            os.unlink(path + ending)


def _save(path: str, new_path: str) -> tuple[dict[str, int], int]:
    new = sqlite3.connect(new_path, isolation_level=None)
    try:
        prepare(new, new_path)
        new.execute("BEGIN")
        saved = _copy(path, new)
        lost = mend(new)
        new.execute("COMMIT")
        new.execute("PRAGMA journal_mode = DELETE")  # all in one file, to be moved
    finally:
        new.close()
    return saved, lost


def _copy(path: str, new: sqlite3.Connection) -> dict[str, int]:
    saved = dict.fromkeys(schema.TABLES, 0)
    try:
        old = sqlite3.connect(path, isolation_level=None)
        old.execute("PRAGMA query_only = 1")
        old.execute("PRAGMA cell_size_check = 1")
        old.text_factory = decoded
    except sqlite3.DatabaseError:
        return saved
    for table in schema.TABLES:
        for row in _readable(old, table):
            if _insert(new, table, row):
                saved[table] += 1
    old.close()
    return saved


def _insert(new: sqlite3.Connection, table: str, row: tuple[object, ...]) -> bool:
    row = fitted(table, row)
    if not is_sound(table, row):
        return False
    try:
        new.execute(insert_into(table), row)
    except sqlite3.Error:
        return False  # not what the table holds
    return True


def _readable(old: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    """The rows of a table that can be read."""
    key = _NUMBERED.get(table)
    if key is None:
        return _from_both_ends(old, table)
    try:
        low, high = old.execute(f"SELECT min({key}), max({key}) FROM {table}").fetchone()
    except sqlite3.DatabaseError:
        # Its ends are in the damage: the largest number there can have been.
        low, high = 0, _highest(old, key)
    if not isinstance(low, int) or not isinstance(high, int):
        return []
    rows: list[tuple[object, ...]] = []
    pending = deque([(low, high)])  # the widest first: what is left when patience ends is small
    failures = 0
    while pending and failures < _PATIENCE:
        first, last = pending.popleft()
        try:
            rows += old.execute(
                f"SELECT * FROM {table} WHERE {key} BETWEEN ? AND ?", (first, last)
            ).fetchall()
        except sqlite3.DatabaseError:
            failures += 1
            if first < last:
                middle = (first + last) // 2
                pending += [(first, middle), (middle + 1, last)]
    return rows


def _highest(old: sqlite3.Connection, key: str) -> int:
    try:
        row = old.execute(
            "SELECT value FROM counter WHERE name = ?", ("message" if key == "id" else "session",)
        ).fetchone()
    except sqlite3.DatabaseError:
        row = None
    return int(row[0]) if row is not None and isinstance(row[0], int) else 1 << 20


def _from_both_ends(old: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    found: dict[tuple[object, ...], None] = {}
    keys = _KEYS[table].split(", ")
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{key} {direction}" for key in keys)
        try:
            for row in old.execute(f"SELECT * FROM {table} ORDER BY {order}"):
                found[row] = None
            break  # all of it
        except (sqlite3.DatabaseError, TypeError):
            continue
    return list(found)


def mend(database: sqlite3.Connection) -> int:
    """Make the tables fit together again; returns how many deliveries had lost their message."""
    execute = database.execute
    for table in ("subscription", "incoming"):
        execute(f"DELETE FROM {table} WHERE session NOT IN (SELECT key FROM session)")
    execute("DELETE FROM queue WHERE key IN (SELECT key FROM session)")
    execute(
        "DELETE FROM delivery WHERE session NOT IN (SELECT key FROM session)"
        " AND session NOT IN (SELECT key FROM queue)"
        " AND session NOT IN (SELECT session FROM doomed)"
    )
    lost = execute("DELETE FROM delivery WHERE message NOT IN (SELECT id FROM message)").rowcount
    execute("DELETE FROM retained WHERE message NOT IN (SELECT id FROM message)")
    # Two sessions of one client: the later one.
    execute(
        "DELETE FROM session WHERE key NOT IN (SELECT max(key) FROM session GROUP BY client_id)"
    )
    execute("CREATE TEMP TABLE needed (id INTEGER PRIMARY KEY, refs INTEGER)")
    execute(
        "INSERT INTO needed SELECT message, count(*) FROM"
        " (SELECT message FROM delivery UNION ALL SELECT message FROM retained) GROUP BY message"
    )
    execute(
        "UPDATE message SET refs ="
        " coalesce((SELECT refs FROM needed WHERE needed.id = message.id), 0)"
    )
    execute("DELETE FROM message WHERE refs = 0")
    execute("DROP TABLE needed")
    for name, column, table in (
        ("session", "key", "session"),
        ("session", "key", "queue"),
        ("message", "id", "message"),
        ("seq", "seq", "delivery"),
    ):
        execute(
            "INSERT OR REPLACE INTO counter VALUES (?1, max("
            f"(SELECT coalesce(max({column}), 0) + 1 FROM {table}),"
            " coalesce((SELECT value FROM counter WHERE name = ?1), 1)))",
            (name,),
        )
    return lost
