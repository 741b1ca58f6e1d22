"""A socket in Tornado's loop, with callbacks: pyzmq's ZMQStream.

The loop watches the socket's FD, which becomes readable when something may have changed; what has
changed is asked for, and done one message at a time, so that a busy stream leaves the loop its
turns. While there is more to do the stream calls itself in the next turn.
"""

from __future__ import annotations

import asyncio
import pickle
import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, overload

from tornado.log import gen_log

import midge.zmq as zmq
from midge.zmq.asyncio import Socket as AsyncSocket
from midge.zmq.eventloop.ioloop import IOLoop
from midge.zmq.utils import jsonapi

_IN: Final = int(zmq.POLLIN)
_OUT: Final = int(zmq.POLLOUT)


class ZMQStream:
    """Tells when messages have come and when they have left.

    Attributes:
        socket: what it is made of; no longer to be used by itself.
        io_loop: Tornado's loop that it lives in.
    """

    def __init__(self, socket: Any, io_loop: IOLoop | None = None) -> None:
        """Take a blocking socket over; another one is shadowed, with a warning."""
        if isinstance(socket, AsyncSocket):
            warnings.warn(
                "ZMQStream takes blocking sockets: this one is shadowed by one",
                RuntimeWarning,
                stacklevel=2,
            )
            socket = zmq.Socket.shadow(socket)
        self.socket: zmq.Socket[bytes] = socket
        self.io_loop: IOLoop = io_loop or IOLoop.current()
        self._to_send: deque[tuple[Sequence[Any], dict[str, Any]]] = deque()
        self._on_recv: Callable[[Any], Any] | None = None
        self._on_recv_copy = True
        self._on_send: Callable[[Any, Any], Any] | None = None
        self._on_close: Callable[[], Any] | None = None
        self._flushed = False
        self._due = False
        self._fd = socket.fileno()
        self.io_loop.add_handler(self._fd, self._ready, IOLoop.READ)
        for name in _OF_THE_SOCKET:
            setattr(self, name, getattr(socket, name))
        self._plan()

    # -- callbacks --------------------------------------------------------------------------------

    @overload
    def on_recv(self, callback: Callable[[list[bytes]], Any]) -> None: ...
    @overload
    def on_recv(self, callback: Callable[[list[bytes]], Any], copy: Literal[True]) -> None: ...
    @overload
    def on_recv(self, callback: Callable[[list[zmq.Frame]], Any], copy: Literal[False]) -> None: ...
    @overload
    def on_recv(self, callback: Callable[[Any], Any] | None, copy: bool = ...) -> None: ...
    def on_recv(self, callback: Any, copy: bool = True) -> None:
        """Call ``callback`` with the parts of each message; ``None`` stops that.

        A coroutine function's coroutine runs as a task.

        Args:
            callback: gets a list.
            copy: false: a list of frames.
        """
        _check(callback)
        self._on_recv = callback
        self._on_recv_copy = copy
        self._plan()

    def on_recv_stream(
        self, callback: Callable[[ZMQStream, Any], Any] | None, copy: bool = True
    ) -> None:
        """The same, with the stream before the parts."""
        if callback is None:
            self.stop_on_recv()
            return
        _check(callback)
        self.on_recv(lambda parts: callback(self, parts), copy)

    def stop_on_recv(self) -> None:
        """Leave messages where they are."""
        self.on_recv(None)

    def on_send(self, callback: Callable[[Any, Any], Any] | None) -> None:
        """Call ``callback`` with each message that was sent and the tracker, if there is one."""
        _check(callback)
        self._on_send = callback

    def on_send_stream(self, callback: Callable[[ZMQStream, Any, Any], Any] | None) -> None:
        """The same, with the stream first."""
        if callback is None:
            self.stop_on_send()
            return
        _check(callback)
        self.on_send(lambda message, tracker: callback(self, message, tracker))

    def stop_on_send(self) -> None:
        """Tell no longer what was sent."""
        self.on_send(None)

    def on_err(self, callback: Callable[[], Any] | None) -> None:
        """Kept for its name: a ZeroMQ socket has no such event, and it is never called."""
        warnings.warn(
            "on_err does nothing: errors of sockets are raised where they happen",
            DeprecationWarning,
            stacklevel=2,
        )

    def stop_on_err(self) -> None:
        """Kept for its name, as :meth:`on_err` is."""
        self.on_err(None)

    def set_close_callback(self, callback: Callable[[], Any] | None) -> None:
        """Call ``callback`` when the stream was closed."""
        _check(callback)
        self._on_close = callback

    # -- sending ----------------------------------------------------------------------------------

    def send(
        self,
        msg: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        callback: Callable[[Any, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Send a message of one part; see :meth:`send_multipart`."""
        self.send_multipart([msg], flags, copy, track, callback, **kwargs)

    def send_multipart(
        self,
        msg: Sequence[Any],
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        callback: Callable[[Any, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Queue a message; the loop sends it when there is room.

        Args:
            msg: its parts.
            flags: as for the socket's.
            copy: as for the socket's.
            track: as for the socket's.
            callback: from now on called as :meth:`on_send` says.
        """
        named = {"flags": flags, "copy": copy, "track": track, **kwargs}
        self._to_send.append((msg, named))
        if callback is not None:
            self.on_send(callback)
        self._plan()

    def send_string(
        self,
        u: str,
        flags: int = 0,
        encoding: str = "utf-8",
        callback: Callable[[Any, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Send text.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(u, str):
            raise TypeError("str objects only")
        self.send(u.encode(encoding), flags, callback=callback, **kwargs)

    send_unicode = send_string

    def send_json(
        self,
        obj: Any,
        flags: int = 0,
        callback: Callable[[Any, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Send an object as JSON; further arguments go to ``json.dumps``."""
        self.send(jsonapi.dumps(obj, **kwargs), flags, callback=callback)

    def send_pyobj(
        self,
        obj: Any,
        flags: int = 0,
        protocol: int = -1,
        callback: Callable[[Any, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Send an object by pickle. Who receives it must trust who sends it."""
        self.send(pickle.dumps(obj, protocol), flags, callback=callback, **kwargs)

    # -- state ------------------------------------------------------------------------------------

    def receiving(self) -> bool:
        """Whether somebody wants the messages."""
        return self._on_recv is not None

    def sending(self) -> bool:
        """Whether messages wait to be sent."""
        return bool(self._to_send)

    def closed(self) -> bool:
        """Whether it is over; where the socket was closed alone, this ends the rest."""
        if self.socket.closed:
            self._leave()
            return True
        return False

    def flush(self, flag: int = _IN | _OUT, limit: int | None = None) -> int:
        """Do what can be done now, without waiting for the loop.

        Args:
            flag: POLLIN: receive; POLLOUT: send.
            limit: messages either way; ``None``: all there are when it begins.

        Returns:
            How many messages were sent and received.
        """
        wanted = int(flag)
        most_sent = len(self._to_send) if limit is None else limit
        sent = received = 0
        while wanted:
            done = 0
            if wanted & _OUT and self._to_send and sent < most_sent:
                done += self._send_one()
                sent += done
            if wanted & _IN and self._on_recv is not None and (limit is None or received < limit):
                got = self._receive_one()
                received += got
                done += got
            if not done:
                break
        self._plan()
        return sent + received

    def close(self, linger: int | None = None) -> None:
        """End it, and close the socket; the close callback is called once."""
        if self.socket.closed:
            if self._fd >= 0:
                warnings.warn(
                    f"a stream was left watching descriptor {self._fd} after closing socket: "
                    "that may be another one's by now; close the stream instead",
                    stacklevel=2,
                )
                self._leave()
            return
        self._leave()
        self.socket.close(linger)
        if self._on_close is not None:
            callback = self._on_close
            self._on_close = None
            self._call(callback)

    # -- the loop ---------------------------------------------------------------------------------

    def _leave(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self.io_loop.remove_handler(fd)

    def _wanted(self) -> int:
        return (_IN if self._on_recv is not None else 0) | (_OUT if self._to_send else 0)

    def _plan(self) -> None:
        """Have a turn, if something is wanted: the FD tells changes, not what is there already."""
        if not self._due and self._fd >= 0 and self._wanted():
            self._due = True
            self.io_loop.add_callback(self._turn)

    def _turn(self) -> None:
        self._due = False
        self._ready(self._fd, IOLoop.READ)

    def _ready(self, fd: int, events: int) -> None:
        """Something may have changed: send a message, receive a message, come back for more."""
        if self._fd < 0:
            return
        if self.socket.closed:
            gen_log.warning("a stream was woken for a closed socket: %s", self.socket)
            return
        try:
            there = int(self.socket.get(zmq.EVENTS)) & self._wanted()
            if there & _OUT:
                self._send_one()
            if there & _IN:
                self._receive_one()
            if self._fd >= 0 and int(self.socket.get(zmq.EVENTS)) & self._wanted():
                self._plan()
        except Exception:
            gen_log.error("Uncaught exception in ZMQStream callback", exc_info=True)
            raise

    def _send_one(self) -> int:
        message, named = self._to_send[0]
        try:
            tracker = self.socket.send_multipart(
                message, **{**named, "flags": named["flags"] | zmq.DONTWAIT}
            )
        except zmq.Again:
            return 0
        except zmq.ZMQError as error:
            self._to_send.popleft()
            gen_log.error("a message could not be sent: %s", error)
            return 1
        self._to_send.popleft()
        if self._on_send is not None:
            self._call(self._on_send, message, tracker)
        return 1

    def _receive_one(self) -> int:
        try:
            parts = self.socket.recv_multipart(zmq.DONTWAIT, copy=self._on_recv_copy)
        except zmq.Again:
            return 0
        if self._on_recv is not None:
            self._call(self._on_recv, parts)
        return 1

    def _call(self, callback: Callable[..., Any], *arguments: Any) -> None:
        """Call the program; what goes wrong there is logged, later too."""
        try:
            result = callback(*arguments)
        except Exception:
            gen_log.error("Uncaught exception in ZMQStream callback", exc_info=True)
            raise
        if isinstance(result, Awaitable):
            asyncio.ensure_future(result).add_done_callback(_log_failure)


#: Verbs of the socket that a stream has too.
_OF_THE_SOCKET: Final = (
    "bind",
    "bind_to_random_port",
    "connect",
    "getsockopt",
    "getsockopt_string",
    "getsockopt_unicode",
    "setsockopt",
    "setsockopt_string",
    "setsockopt_unicode",
)


def _check(callback: Any) -> None:
    assert callback is None or callable(callback), f"a callback can be called, not {callback!r}"


def _log_failure(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        gen_log.error("Uncaught exception in ZMQStream callback", exc_info=task.exception())


__all__ = ["ZMQStream", "gen_log"]
