"""Waiting for descriptors in a greenlet, so that the others run meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from gevent import get_hub
from gevent.event import Event

READ = 1
WRITE = 2


def wait_for(descriptors: Iterable[tuple[int, int]], timeout_s: float | None) -> None:
    """Let others run until a descriptor is ready, for ``timeout_s`` at most.

    Args:
        descriptors: each with ``READ``, ``WRITE`` or both.
        timeout_s: ``None``: for ever.
    """
    ready = Event()
    loop = get_hub().loop
    watchers = []
    try:
        for fd, events in descriptors:
            watcher = loop.io(fd, events)
            watchers.append(watcher)
            watcher.start(ready.set)
        ready.wait(timeout_s)
    finally:
        for watcher in watchers:
            watcher.stop()
            watcher.close()


def sleep(fd: int, timeout_s: float | None) -> None:
    """The same for one descriptor that is read from; see ``IoThread.sleep``."""
    wait_for(((fd, READ),), timeout_s)
