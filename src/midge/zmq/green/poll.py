"""A poller that lets other greenlets run while it waits."""

from __future__ import annotations

import time
from typing import Any

import midge.zmq as _zmq
from midge.patterns.errors import SocketError
from midge.zmq.constants import PollEvent
from midge.zmq.error import raise_as_zmq
from midge.zmq.green.waiting import READ, WRITE, wait_for
from midge.zmq.poll import descriptor


class Poller(_zmq.Poller):
    """See :class:`midge.zmq.Poller`."""

    def poll(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        """Wait until one is ready; returns those that are, with their events."""
        deadline = None
        if timeout is not None and timeout >= 0:
            deadline = time.monotonic() + timeout / 1000
        while True:
            found = super().poll(0)
            left_s = None if deadline is None else deadline - time.monotonic()
            if found or (left_s is not None and left_s <= 0.0):
                return found
            self._wait(left_s)

    def _wait(self, timeout_s: float | None) -> None:
        """Wait until somebody has something to do, or the hub has done something for a socket."""
        wanted: dict[int, int] = {}
        begun = []
        try:
            for one, events in self.sockets:
                if isinstance(one, _zmq.Socket):
                    blocking = one._core.blocking
                    blocking.begin_wait()
                    begun.append(blocking)
                    wanted[blocking.reactor.fd] = READ
                    continue
                fd = descriptor(one)
                if events & (PollEvent.POLLIN | PollEvent.POLLPRI | PollEvent.POLLERR):
                    wanted[fd] = wanted.get(fd, 0) | READ
                if events & PollEvent.POLLOUT:
                    wanted[fd] = wanted.get(fd, 0) | WRITE
            wait_for(wanted.items(), timeout_s)
        except SocketError as error:
            raise_as_zmq(error)
        finally:
            for blocking in begun:
                blocking.end_wait()


__all__ = ["Poller"]
