"""Poller and select: wait for several sockets, and for anything with a descriptor."""

from __future__ import annotations

from typing import Any

from midge.net.zeromq.blocking import BlockingEngine
from midge.net.zeromq.waiting import wait_any
from midge.patterns.errors import SocketError
from midge.zmq.constants import PollEvent
from midge.zmq.error import ZMQError, raise_as_zmq
from midge.zmq.socket import Socket

POLLIN = PollEvent.POLLIN
POLLOUT = PollEvent.POLLOUT
POLLERR = PollEvent.POLLERR


def zmq_poll(sockets: list[tuple[Any, int]], timeout: int = -1) -> list[tuple[Any, int]]:
    """Wait until one of the sockets is ready.

    Args:
        sockets: each with its events; a socket, a descriptor, or an object with ``fileno``.
        timeout: milliseconds; -1: for ever.

    Returns:
        Those that are ready, with their events; a descriptor for what is no socket.

    Raises:
        TypeError: for what cannot be waited for.
        ZMQError: a socket is closed (ENOTSOCK), or its context (ContextTerminated).
    """
    items: list[tuple[BlockingEngine | int, int]] = []
    results: list[Any] = []
    pending: list[tuple[int, int]] = []
    for position, (one, events) in enumerate(sockets):
        if isinstance(one, Socket):
            if one.closed:
                raise ZMQError(88, "a socket that is polled is closed")
            items.append((one._core.blocking, int(events)))
            results.append(one)
            if one._more and events & POLLIN:
                pending.append((position, int(POLLIN)))  # the rest of a message is there
        else:
            fd = descriptor(one)
            items.append((fd, int(events)))
            results.append(fd)
    try:
        found = wait_any(items, 0 if pending else int(timeout))
    except SocketError as error:
        raise_as_zmq(error)
    for position, events in pending:
        if position not in dict(found):
            found.append((position, events))
    return [(results[position], events) for position, events in sorted(found)]


def descriptor(one: Any) -> int:
    """The descriptor of what is no socket.

    Raises:
        TypeError: it has none.
    """
    if isinstance(one, int):
        return one
    fileno = getattr(one, "fileno", None)
    if fileno is None:
        raise TypeError(f"Socket must be a 0MQ socket, an integer fd or have a fileno(): {one!r}")
    return int(fileno())


class Poller:
    """A set of sockets to wait for, with the events of each.

    Attributes:
        sockets: as pairs of socket and events.
    """

    sockets: list[tuple[Any, int]]
    _map: dict[Any, int]

    def __init__(self) -> None:
        self.sockets = []
        self._map = {}

    def __contains__(self, socket: Any) -> bool:
        return socket in self._map

    def register(self, socket: Any, flags: int = POLLIN | POLLOUT) -> None:
        """Wait for a socket, or anything with a descriptor; without flags: no longer."""
        if not flags:
            if socket in self._map:
                self.unregister(socket)
            return
        if socket in self._map:
            self.sockets[self._map[socket]] = (socket, flags)
        else:
            self._map[socket] = len(self.sockets)
            self.sockets.append((socket, flags))

    def modify(self, socket: Any, flags: int = POLLIN | POLLOUT) -> None:
        """The same as :meth:`register`."""
        self.register(socket, flags)

    def unregister(self, socket: Any) -> None:
        """Wait for it no longer.

        Raises:
            KeyError: it was not waited for.
        """
        position = self._map.pop(socket)
        self.sockets.pop(position)
        for later, _ in self.sockets[position:]:
            self._map[later] -= 1

    def poll(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        """Wait until one is ready; returns those that are, with their events.

        Args:
            timeout: milliseconds; ``None`` or less than 0: for ever.
        """
        milliseconds = -1 if timeout is None or timeout < 0 else int(timeout)
        return zmq_poll(self.sockets, milliseconds)


def select(
    rlist: list[Any], wlist: list[Any], xlist: list[Any], timeout: float | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """``select.select``, also for sockets.

    Args:
        timeout: seconds; ``None`` or less than 0: for ever.
    """
    milliseconds = -1 if timeout is None or timeout < 0 else int(timeout * 1000)
    wanted: dict[Any, int] = {}
    for one, event in (
        *((one, POLLIN) for one in rlist),
        *((one, POLLOUT) for one in wlist),
        *((one, POLLERR) for one in xlist),
    ):
        wanted[one] = wanted.get(one, 0) | event
    ready = dict(zmq_poll(list(wanted.items()), milliseconds))

    def has(one: Any, event: int) -> bool:
        key = one if isinstance(one, Socket) else descriptor(one)
        return bool(ready.get(key, 0) & event)

    return (
        [one for one in rlist if has(one, POLLIN)],
        [one for one in wlist if has(one, POLLOUT)],
        [one for one in xlist if has(one, POLLERR)],
    )


__all__ = ["Poller", "select"]
