"""One broker a store: a lock beside the file, held for as long as the broker has it open.

SQLite lets two processes write in turns; two brokers would give the same numbers to different
messages, and each put its rows in the place of the other's. The lock is one of the system: it goes
with the process, however that ends, so that nothing is left to be cleaned up. The file that it is
on stays, empty but for the number of the process. It is not the database's own file, because
systems of files over a network give the same locks to SQLite.

Where there are no such locks, or no room for the file, the store is opened without: it is a guard
against a mistake, and must not be what keeps a broker from starting. `midge store` does not take
it, except to make a new store.
"""

from __future__ import annotations

import contextlib
import os

from midge.store.base import StoreError

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows
    fcntl = None  # type: ignore[assignment]

#: What is put behind the name of the database.
ENDING = "-lock"


class StoreLock:
    """The lock of a store, from when it is made until :meth:`release`."""

    __slots__ = ("_descriptor",)

    def __init__(self, path: str, make: bool = True) -> None:
        """Take the lock of the store at ``path``.

        Args:
            make: make its file where there is none; otherwise nobody can have it, and nor has this.

        Raises:
            StoreError: another process has it.
        """
        self._descriptor = -1
        if fcntl is None:
            return  # type: ignore[unreachable]  # on Windows
        try:
            flags = os.O_RDWR | os.O_CREAT if make else os.O_RDWR
            descriptor = os.open(path + ENDING, flags, 0o600)
        except OSError:
            return  # who opens the store will be told why
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f" (process {holder})" if holder.isdecimal() else ""
            raise StoreError(f"the store {path} is in use by a running broker{who}") from None
        except OSError:
            os.close(descriptor)
            return
        self._descriptor = descriptor
        with contextlib.suppress(OSError):  # the disk may be full
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let others have the store; again is nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
