"""Waiting for several blocking sockets at once, and for other descriptors: what a poller does.

The caller's thread runs the reactors of all the sockets while it waits, as it does for one.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import Final

from midge.net.zeromq.blocking import BlockingEngine
from midge.net.zeromq.engine import POLLIN, POLLOUT

POLLERR: Final = 4
POLLPRI: Final = 8
_SYSTEM: Final = (
    (POLLIN, select.POLLIN),
    (POLLOUT, select.POLLOUT),
    (POLLPRI, select.POLLPRI),
)
#: What the system says without being asked.
_BROKEN: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL


def wait_any(
    items: Sequence[tuple[BlockingEngine | int, int]], timeout_ms: int = -1
) -> list[tuple[int, int]]:
    """Wait until one of ``items`` is ready.

    Args:
        items: sockets and descriptors, each with the events that are waited for.
        timeout_ms: for how long; -1: for ever.

    Returns:
        Position in ``items`` and events, for each that is ready; nothing when none was in time.

    Raises:
        SocketError: ETERM or ENOTSOCK, as soon as one of the sockets has that.
    """
    deadline = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000
    begun: list[BlockingEngine] = []
    try:
        for item, _ in items:
            if not isinstance(item, int):
                item.begin_wait()
                begun.append(item)
        poller = _system_poll(items)
        while True:
            found = _look(items, poller)
            left_s = None if deadline is None else deadline - time.monotonic()
            if found or (left_s is not None and left_s <= 0.0):
                return found
            poller.poll(_system_timeout(begun, left_s))
    finally:
        for engine in begun:
            engine.end_wait()


def _system_poll(items: Sequence[tuple[BlockingEngine | int, int]]) -> select.poll:
    poller = select.poll()
    wanted: dict[int, int] = {}
    for item, mask in items:
        if isinstance(item, int):
            bits = sum(system for ours, system in _SYSTEM if mask & ours)
            wanted[item] = wanted.get(item, 0) | bits
        else:
            wanted[item.reactor.fd] = select.POLLIN
    for fd, bits in wanted.items():
        poller.register(fd, bits)
    return poller


def _look(
    items: Sequence[tuple[BlockingEngine | int, int]], poller: select.poll
) -> list[tuple[int, int]]:
    """What is ready now."""
    ready = dict(poller.poll(0))
    found = []
    looked: dict[BlockingEngine, int] = {}
    for position, (item, mask) in enumerate(items):
        if isinstance(item, int):
            events = _from_system(ready.get(item, 0), mask)
        else:
            if item not in looked:
                looked[item] = item.look()
            events = looked[item] & mask
        if events:
            found.append((position, events))
    return found


def _from_system(bits: int, mask: int) -> int:
    events = sum(ours for ours, system in _SYSTEM if bits & system and mask & ours)
    if bits & _BROKEN:
        # A reader finds the end of the stream, or the error, by reading.
        events |= (mask & POLLIN) | POLLERR if bits & select.POLLHUP else POLLERR
    return events


def _system_timeout(engines: Sequence[BlockingEngine], left_s: float | None) -> float | None:
    """Milliseconds until somebody has something to do."""
    for engine in engines:
        at = engine.reactor.next_deadline()
        if at is not None:
            due_s = max(at - time.monotonic(), 0.0)
            left_s = due_s if left_s is None else min(left_s, due_s)
    return None if left_s is None else left_s * 1000 + 0.5
