"""midge.zmq for asyncio: ``send``, ``recv`` and ``poll`` give futures; no thread is behind them.

The sockets run in whichever loop runs, asyncio's own or uvloop (:mod:`midge.zmq.loop_socket`). A
cancelled receive has taken no message (:mod:`midge.zmq.receiving`). A socket that was made or bound
while no loop ran is looked after by the context's thread until it is first used in one.
"""

from __future__ import annotations

import asyncio
import selectors
import warnings
from collections.abc import Awaitable
from typing import Any

import midge.zmq as _zmq
from midge.zmq.constants import PollEvent
from midge.zmq.socket_async import Socket


class Poller(_zmq.Poller):
    """A poller whose ``poll`` gives a future."""

    _socket_class = Socket
    _READ = selectors.EVENT_READ
    _WRITE = selectors.EVENT_WRITE

    def poll(  # type: ignore[override]
        self, timeout: float | None = -1
    ) -> Awaitable[list[tuple[Any, int]]]:
        """Wait until one is ready; a future of those that are, with their events."""
        return asyncio.ensure_future(self._poll(timeout))

    async def _poll(self, timeout: float | None) -> list[tuple[Any, int]]:
        found = self._now()
        if found or timeout == 0:
            return found
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        waiting: list[Any] = []
        wrapped: list[Socket] = []
        descriptors: list[int] = []

        def wake(_: Any = None) -> None:
            if not woken.done():
                woken.set_result(None)

        try:
            for one, events in self.sockets:
                if isinstance(one, _zmq.Socket):
                    socket = one
                    if not isinstance(one, Socket):
                        socket = self._socket_class.from_socket(one)
                        wrapped.append(socket)
                    waiter: Any = socket.poll(None, events)
                    waiter.add_done_callback(wake)
                    waiting.append(waiter)
                else:
                    fd = one if isinstance(one, int) else one.fileno()
                    descriptors.append(fd)
                    if events & PollEvent.POLLIN:
                        loop.add_reader(fd, wake)
                    if events & PollEvent.POLLOUT:
                        loop.add_writer(fd, wake)
            limit_s = None if timeout is None or timeout < 0 else timeout / 1000
            await asyncio.wait([woken], timeout=limit_s)
        finally:
            for waiter in waiting:
                waiter.cancel()
            for fd in descriptors:
                loop.remove_reader(fd)
                loop.remove_writer(fd)
            for socket in wrapped:
                socket._detach()
                socket._core.blocking.leave_loop()
        return self._now()

    def _now(self) -> list[tuple[Any, int]]:
        return super().poll(0)


class Context(_zmq.Context[Socket]):
    """A context that makes sockets for asyncio."""

    _socket_class = Socket
    _instance = None
    _repr_cls = "zmq.asyncio.Context"


class ZMQEventLoop(asyncio.SelectorEventLoop):
    """Kept for its name: any event loop will do."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        _deprecated()
        super().__init__(selector)


def install() -> None:
    """Kept for its name: nothing needs to be installed."""
    _deprecated()


def _deprecated() -> None:
    warnings.warn(
        "ZMQEventLoop and install() are not needed: any event loop will do.",
        DeprecationWarning,
        stacklevel=3,
    )


__all__ = ["Context", "Poller", "Socket", "ZMQEventLoop", "install"]
