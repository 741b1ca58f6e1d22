"""The shortest ways of a message through a socket on an event loop; see :mod:`midge.zmq.quick`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from midge.compiled import mypyc_attr
from midge.patterns.errors import SocketError
from midge.zmq.quick import Quick
from midge.zmq.ready import Ready


@mypyc_attr(allow_interpreted_subclasses=True)
class AsyncQuick(Quick):
    """What a message of such a socket passes: the same verbs give futures."""

    __slots__ = ("_done", "_is_running", "_kicked", "_receivers", "_senders")

    # Whether the socket's loop runs: to ask which one does costs a system call.
    _is_running: Callable[[], bool]
    # Those who wait already, and are served first.
    _receivers: deque[Any]
    _senders: deque[Any]
    # A turn of the socket is due.
    _kicked: bool
    # A future that is done, without a result.
    _done: Any

    def recv(self, flags: Any = 0, copy: Any = True, track: Any = False) -> Any:
        """Receive one part of a message; a future of it. See :meth:`midge.zmq.Socket.recv`."""
        inbox = self._inbox
        # (What is there can be had in any loop, or in none, so that nobody asks which one runs.)
        if inbox and copy and not self._rcvmore and not self._receivers:
            item = inbox.pop()
            if type(item) is bytes:
                ready = Ready()
                ready.value = item
                return ready
            inbox.append(item)
        return self._receive_part(flags, copy)

    def recv_multipart(self, flags: Any = 0, copy: Any = True, track: Any = False) -> Any:
        """Receive all parts of a message; a future of the list."""
        if copy and not self._receivers:
            parts = self._take_ahead()
            if parts is not None:
                ready = Ready()
                ready.value = parts
                return ready
        return self._receive_all(flags, copy)

    def send(
        self,
        data: Any,
        flags: Any = 0,
        copy: Any = True,
        track: Any = False,
        routing_id: Any = None,
        group: Any = None,
    ) -> Any:
        """Send one part of a message; a future that is done when it was taken."""
        is_running = self._is_running
        if (
            type(data) is not bytes
            or flags
            or not copy
            or self._parts
            or self._single
            or self._senders
            or not is_running()
        ):
            return self._send_part(data, flags, copy, track, routing_id, group)
        blocking = self._blocking
        credit = blocking.credit
        if credit > 0:
            blocking.credit = credit - 1
            blocking.lane.append(data)
            if not self._kicked:
                self._kick()
            return self._done
        try:
            if blocking.send_ahead(data):
                self._kick()
                return self._done
        except SocketError as error:
            return self._refused(error)
        return self._send_part(data, flags, copy, track, routing_id, group)

    def send_multipart(
        self,
        msg_parts: Sequence[Any],
        flags: Any = 0,
        copy: Any = True,
        track: Any = False,
        **named: Any,
    ) -> Any:
        """Send a message of several parts; a future that is done when it was taken."""
        is_running = self._is_running
        if (
            not flags
            and not named
            and copy
            and not self._senders
            and is_running()
            and self._whole_bytes(msg_parts)
        ):
            try:
                item = msg_parts[0] if len(msg_parts) == 1 else list(msg_parts)
                if self._blocking.send_ahead(item):
                    if not self._kicked:
                        self._kick()
                    return self._done
            except SocketError as error:
                return self._refused(error)
        return self._send_all_parts(msg_parts, flags, copy, track, named)

    # -- the long ways ----------------------------------------------------------------------------

    def _kick(self) -> None:
        raise NotImplementedError

    def _refused(self, error: SocketError) -> asyncio.Future[Any]:
        raise NotImplementedError

    def _receive_part(self, flags: Any, copy: Any) -> asyncio.Future[Any]:
        raise NotImplementedError

    def _receive_all(self, flags: Any, copy: Any) -> asyncio.Future[Any]:
        raise NotImplementedError

    def _send_part(
        self, data: Any, flags: Any, copy: Any, track: Any, routing_id: Any, group: Any
    ) -> asyncio.Future[Any]:
        raise NotImplementedError

    def _send_all_parts(
        self, msg_parts: Sequence[Any], flags: Any, copy: Any, track: Any, named: dict[str, Any]
    ) -> asyncio.Future[Any]:
        raise NotImplementedError
