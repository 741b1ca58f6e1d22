"""Whether the files of an open store are still where they were opened.

What somebody deletes, or moves away, or puts another file in place of, goes on for those who have
it open: SQLite writes to it without an error, and at the next start nothing of that is there. So a
store looks before each commit, which costs a few microseconds; what was lost is made anew from the
files that are still open, and what lies in its place by then is moved aside.

Not seen is that somebody writes into the files themselves, with ``cp`` for example.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Final

#: The files of a store: what is written, and the memory that those who have it open share.
_ENDINGS: Final = ("", "-wal", "-shm")


class Place:
    """The files of an open store, held open to compare them with what has their names."""

    __slots__ = ("_files", "_path")

    def __init__(self, path: str) -> None:
        """Note what lies at ``path`` now.

        Raises:
            OSError: it cannot be opened.
        """
        self._path = path
        self._files: list[tuple[str, int]] = []
        for ending in _ENDINGS:
            with contextlib.suppress(FileNotFoundError):
                # For writing, or a file system of layers may show two files under one name.
                self._files.append((path + ending, os.open(path + ending, os.O_RDWR)))

    def is_lost(self) -> bool:
        """Whether one of the files is no longer there, or is another one."""
        return any(_is_other(name, file) for name, file in self._files)

    def make_anew(self, source: sqlite3.Connection) -> None:
        """Put a copy of an open store where its files were.

        Raises:
            OSError, sqlite3.Error: it cannot be made; all is as before then.
        """
        new_path = f"{self._path}.rescue"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new_path)
        os.close(os.open(new_path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        copy = sqlite3.connect(new_path, isolation_level=None)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # all in one file, to be moved
        finally:
            copy.close()
        name, file = self._files[0]
        if os.path.exists(name) and _is_other(name, file):
            os.replace(name, _free_name(f"{name}.replaced"))
        for ending in _ENDINGS[1:]:  # they belong to what was there
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path + ending)
        os.replace(new_path, self._path)

    def close(self) -> None:
        """Give the files up. Only after SQLite has: the locks of a process go with any of them."""
        for _, file in self._files:
            os.close(file)
        self._files.clear()


def _is_other(name: str, file: int) -> bool:
    try:
        return not os.path.samestat(os.stat(name), os.fstat(file))
    except OSError:
        return True


def _free_name(name: str) -> str:
    number = 1
    while os.path.exists(f"{name}-{number}"):
        number += 1
    return f"{name}-{number}"
