"""Host names to addresses, off the thread: a few threads for the whole process.

``getaddrinfo`` blocks for as long as a name server likes. The threads are daemons that are started
when they are needed, so that a lookup that hangs keeps no program from ending. Numeric addresses
never come here.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable

from midge.limits import ZMQ_RESOLVER_THREADS
from midge.net.zeromq.reactor import Address

_Job = tuple[str, int, int, Callable[[list[Address] | OSError], None]]


class Resolver:
    """A queue of lookups and up to :data:`~midge.limits.ZMQ_RESOLVER_THREADS` who work on it."""

    __slots__ = ("_idle", "_jobs", "_lock", "_pid", "_ready", "_threads")

    def __init__(self) -> None:
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._jobs: deque[_Job] = deque()
        self._threads = 0
        self._idle = 0

    def resolve(
        self, host: str, port: int, family: int, done: Callable[[list[Address] | OSError], None]
    ) -> None:
        """Call ``done`` from some thread with the addresses of a host, or with why there are none.

        Args:
            host: a name; no wildcard.
            port: goes into the addresses.
            family: ``AF_INET``, or ``AF_UNSPEC`` where IPv6 will do as well.
            done: must not block.
        """
        if self._pid != os.getpid():
            self._start_afresh()  # a fork leaves the threads behind
        with self._lock:
            self._jobs.append((host, port, family, done))
            if self._idle < len(self._jobs) and self._threads < ZMQ_RESOLVER_THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name="midge-resolver", daemon=True).start()
            self._ready.notify()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
                while not self._jobs:
                    self._ready.wait()
                self._idle -= 1
                host, port, family, done = self._jobs.popleft()
            done(look_up(host, port, family))


def look_up(host: str, port: int, family: int) -> list[Address] | OSError:
    """The stream addresses of a host, by the system's own means; blocks."""
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except OSError as error:
        return error
    except UnicodeError:
        return OSError(socket.EAI_NONAME, f"{host!r} is no host name")
    return [(entry[0], entry[4]) for entry in found]


#: One for the process: lookups are few.
RESOLVER = Resolver()
