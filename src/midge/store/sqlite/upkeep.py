"""What `midge store` does to a file: look, check, copy, give away, take, make smaller.

All of it but :func:`import_lines` works while a broker has the file open: SQLite sees to it that a
reader has one state of the whole, and that who writes waits for the other.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from midge.store.base import StoreError
from midge.store.sqlite import schema
from midge.store.sqlite.batch import insert_into
from midge.store.sqlite.database import prepare
from midge.store.sqlite.lock import StoreLock
from midge.store.sqlite.rows import fitted, is_sound
from midge.store.sqlite.salvage import mend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Pages that are given back in one step; between two of them the broker may write.
_COMPACT_PAGES: Final = 500
#: What must hold, and how often it does not.
_CHECKS: Final = (
    (
        "deliveries without their message",
        "SELECT count(*) FROM delivery WHERE message NOT IN (SELECT id FROM message)",
    ),
    (
        "deliveries without their session",
        "SELECT count(*) FROM delivery WHERE session NOT IN"
        " (SELECT key FROM session UNION SELECT key FROM queue UNION SELECT session FROM doomed)",
    ),
    (
        "retained topics without their message",
        "SELECT count(*) FROM retained WHERE message NOT IN (SELECT id FROM message)",
    ),
    (
        "subscriptions without their session",
        "SELECT count(*) FROM subscription WHERE session NOT IN"
        " (SELECT key FROM session UNION SELECT session FROM doomed)",
    ),
    (
        "incoming identifiers without their session",
        "SELECT count(*) FROM incoming WHERE session NOT IN"
        " (SELECT key FROM session UNION SELECT session FROM doomed)",
    ),
    (
        "messages that are counted wrongly",
        "SELECT count(*) FROM message LEFT JOIN"
        " (SELECT message, count(*) AS needed FROM"
        "  (SELECT message FROM delivery UNION ALL SELECT message FROM retained)"
        "  GROUP BY message) AS need ON need.message = message.id"
        " WHERE refs <> coalesce(needed, 0)",
    ),
    (
        "clients with more than one session",
        "SELECT count(*) FROM (SELECT 1 FROM session GROUP BY client_id HAVING count(*) > 1)",
    ),
)


def open_file(path: str) -> sqlite3.Connection:
    """Open an existing store; nothing is written to it by this.

    Raises:
        StoreError: there is none, or it is no store of this midge.
    """
    if not os.path.exists(path):
        raise StoreError(f"there is no store at {path}")
    try:
        with open(path, "rb"):  # which says why it cannot be; SQLite does not
            pass
        connection = sqlite3.connect(path, timeout=10.0, isolation_level=None)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    try:
        application: int = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreError(f"{path} cannot be read: {error}") from error
    if application != schema.APPLICATION_ID:
        connection.close()
        raise StoreError(f"{path} is not a store of midge")
    if version != schema.VERSION:
        connection.close()
        hint = "; a broker that opens it brings it up to date" if version < schema.VERSION else ""
        raise StoreError(f"{path} has version {version}, this midge writes {schema.VERSION}{hint}")
    return connection


def verify(path: str) -> list[str]:
    """Everything that is wrong with a store, a line each; nothing where all is well.

    Raises:
        StoreError: see :func:`open_file`.
    """
    connection = open_file(path)
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
        wrong = [] if found == ["ok"] else found
        for what, statement in _CHECKS:
            count: int = connection.execute(statement).fetchone()[0]
            if count:
                wrong.append(f"{count} {what}")
    except sqlite3.DatabaseError as error:
        return [f"the file is damaged: {error}"]
    finally:
        connection.close()
    return wrong


def stats(path: str) -> dict[str, int]:
    """Numbers of a store.

    Raises:
        StoreError: see :func:`open_file`, or it is damaged.
    """
    connection = open_file(path)
    try:

        def one(statement: str) -> int:
            return int(connection.execute(statement).fetchone()[0])

        page = one("PRAGMA page_size")
        numbers = {
            "version": one("PRAGMA user_version"),
            "file_bytes": one("PRAGMA page_count") * page,
            "free_bytes": one("PRAGMA freelist_count") * page,
            "wal_bytes": _size(path + "-wal"),
            "sessions": one("SELECT count(*) FROM session"),
            "sessions_connected": one("SELECT count(*) FROM session WHERE connected"),
            "subscriptions": one("SELECT count(*) FROM subscription"),
            "retained": one("SELECT count(*) FROM retained"),
            "messages": one("SELECT count(*) FROM message"),
            "payload_bytes": one("SELECT coalesce(sum(length(payload)), 0) FROM message"),
            "queues": one("SELECT count(*) FROM queue"),
            "queued": one("SELECT count(*) FROM delivery WHERE state IN (0, 3)"),
            "in_flight": one("SELECT count(*) FROM delivery WHERE state IN (1, 2)"),
            "incoming": one("SELECT count(*) FROM incoming"),
            "sessions_ending": one("SELECT count(*) FROM doomed"),
        }
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    finally:
        connection.close()
    return numbers


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def export_lines(path: str) -> Iterator[str]:
    """The whole store as lines of JSON: one a row, the first names the version and their number.

    Bytes are ``{"base64": "..."}``. All rows are of one moment.

    Raises:
        StoreError: see :func:`open_file`, or it is damaged.
    """
    connection = open_file(path)
    try:
        connection.execute("BEGIN")
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in schema.TABLES
        ]
        yield json.dumps({"midge_store": schema.VERSION, "rows": sum(counts)})
        for table in schema.TABLES:
            rows = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in rows.description]
            for row in rows:
                values = {name: _to_json(value) for name, value in zip(names, row, strict=True)}
                yield json.dumps({"table": table, **values}, ensure_ascii=False)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is damaged: {error}; the broker saves what it can") from error
    finally:
        connection.close()


def _to_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return value


def import_lines(path: str, lines: Iterable[str]) -> int:
    """Make a store of the lines of :func:`export_lines`; returns how many rows it has.

    Raises:
        StoreError: there is a file already, a line is not what it should be, or some are missing:
            no file is left.
    """
    lock = StoreLock(path, make=False)  # of a broker whose file was deleted under it
    try:
        if os.path.exists(path):
            raise StoreError(f"{path} exists; an import makes a new store")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            return _import_into(connection, path, lines)
        except BaseException as error:
            connection.close()
            for ending in ("", "-wal", "-shm"):
                if os.path.exists(path + ending):
                    os.unlink(path + ending)
            if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
                raise StoreError(f"the import failed: {error}") from error
            raise
        finally:
            connection.close()
    finally:
        lock.release()


def _import_into(connection: sqlite3.Connection, path: str, lines: Iterable[str]) -> int:
    prepare(connection, path)
    connection.execute("BEGIN")
    count = 0
    wanted: int | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        values = _values(number, line)
        if "midge_store" in values:
            wanted = _announced(number, values)
        else:
            _import_row(connection, number, values)
            count += 1
    if wanted not in (None, count):
        raise StoreError(f"the export says that it has {wanted} rows, but {count} are there")
    mend(connection)
    connection.execute("COMMIT")
    return count


def _values(number: int, line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"line {number} is no row of a store: {error}") from error
    if not isinstance(values, dict):
        raise StoreError(f"line {number} is no row of a store")
    return values


def _announced(number: int, values: dict[str, Any]) -> int | None:
    """How many rows the first line of an export promises; ``None`` where it does not say."""
    version = values["midge_store"]
    if not (isinstance(version, int) and 1 <= version <= schema.VERSION):
        raise StoreError(f"line {number}: an export of version {version}")
    rows = values.get("rows")
    return rows if isinstance(rows, int) else None


def _import_row(connection: sqlite3.Connection, number: int, values: dict[str, Any]) -> None:
    try:
        table = values.pop("table")
        if table not in schema.TABLES:
            raise StoreError(f"line {number}: there is no table {table!r}")
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        later = len(schema.LATER_COLUMNS.get(table, ()))
        first = names[: len(names) - later]
        row = tuple(_from_json(values[name]) for name in first)
        row += tuple(_from_json(values[name]) for name in names[len(first) :] if name in values)
        row = fitted(table, row)
        if not is_sound(table, row):
            raise ValueError(f"no {table} is like that")
        connection.execute(insert_into(table), row)
    except (ValueError, KeyError, TypeError, OverflowError, sqlite3.Error) as error:
        raise StoreError(f"line {number} is no row of a store: {error}") from error


def _from_json(value: object) -> object:
    if isinstance(value, dict):
        return base64.b64decode(value["base64"], validate=True)
    return value


def backup(path: str, target: str) -> int:
    """Copy a store, also while a broker writes to it; returns the bytes of the copy.

    Raises:
        StoreError: there is no store, or the copy cannot be made; none is left then.
    """
    if os.path.exists(target):
        raise StoreError(f"{target} exists")
    source = open_file(path)
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        copy = sqlite3.connect(target)
        with copy:
            source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.close()
    except (OSError, sqlite3.Error) as error:
        if os.path.exists(target):
            os.unlink(target)
        raise StoreError(f"{target} cannot be written: {error}") from error
    finally:
        source.close()
    return os.path.getsize(target)


def compact(path: str, progress: Callable[[int], None] = lambda left: None) -> int:
    """Give free pages back to the file system, a few at a time; returns the bytes that it gave.

    Args:
        progress: told how many pages are left.

    Raises:
        StoreError: see :func:`open_file`, or it cannot be written.
    """
    connection = open_file(path)
    try:
        before: int = connection.execute("PRAGMA page_count").fetchone()[0]
        page: int = connection.execute("PRAGMA page_size").fetchone()[0]
        left: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
        while left:
            progress(left)
            connection.execute(f"PRAGMA incremental_vacuum({_COMPACT_PAGES})").fetchall()
            now: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
            if now >= left:
                break
            left = now
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        after: int = connection.execute("PRAGMA page_count").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} cannot be made smaller: {error}") from error
    finally:
        connection.close()
    return max(0, before - after) * page
