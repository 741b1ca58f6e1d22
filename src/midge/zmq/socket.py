"""Socket: pyzmq's, blocking.

Here are the names; the shortest ways, ``send`` and ``recv``, are in :mod:`midge.zmq.quick`.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from midge.patterns.errors import SocketError
from midge.zmq import monitoring
from midge.zmq.constants import Errno, Event, PollEvent, SocketType
from midge.zmq.error import Again, ZMQError, raise_as_zmq
from midge.zmq.frame import Frame
from midge.zmq.socket_base import COPY_THRESHOLD
from midge.zmq.tracker import MessageTracker
from midge.zmq.transfer import Transfer
from midge.zmq.utils import jsonapi

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import TypeVar as TypeVarWithDefault

    _ReturnT = TypeVarWithDefault("_ReturnT", covariant=True, default=bytes)
else:
    _ReturnT = TypeVar("_ReturnT", covariant=True)


class Socket(Transfer, Generic[_ReturnT]):
    """A ZeroMQ socket; made by ``Context.socket``.

    Options are attributes, in any case. It may be used from any one thread at a time.
    """

    _repr_cls = "zmq.Socket"

    # -- sending ----------------------------------------------------------------------------------

    if TYPE_CHECKING:  # see Quick

        @overload
        def send(
            self, data: Any, flags: int = ..., copy: Literal[True] = ..., track: bool = ...,
            routing_id: int | None = ..., group: str | None = ...,
        ) -> None: ...  # fmt: skip
        @overload
        def send(
            self, data: Any, flags: int = ..., *, copy: Literal[False], track: bool = ...,
            routing_id: int | None = ..., group: str | None = ...,
        ) -> MessageTracker: ...  # fmt: skip
        @overload
        def send(
            self, data: Any, flags: int = ..., copy: bool = ..., track: bool = ...,
            routing_id: int | None = ..., group: str | None = ...,
        ) -> MessageTracker | None: ...  # fmt: skip
        def send(self, data: Any, *arguments: Any, **named: Any) -> Any: ...

    def send_multipart(
        self,
        msg_parts: Sequence[Any],
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        **kwargs: Any,
    ) -> MessageTracker | None:
        """Send a message of several parts, as a whole.

        Raises:
            TypeError: a part is no buffer; nothing is sent.
        """
        return self._put_all(msg_parts, flags, copy, track, **kwargs)

    def send_many(self, messages: Sequence[Any], flags: int = 0) -> int:
        """Send many messages, each bytes or a list of parts, in one call.

        Returns:
            How many were taken: fewer than there are when SNDTIMEO ended or with DONTWAIT.
        """
        return self._put_many(messages, flags)

    # -- receiving --------------------------------------------------------------------------------

    if TYPE_CHECKING:

        @overload
        def recv(self, flags: int = ..., *, copy: Literal[False], track: bool = ...) -> Frame: ...
        @overload
        def recv(self, flags: int = ..., copy: Literal[True] = ..., track: bool = ...) -> bytes: ...
        @overload
        def recv(self, flags: int = ..., copy: bool = ..., track: bool = ...) -> bytes | Frame: ...
        def recv(self, *arguments: Any, **named: Any) -> Any: ...

    def recv_into(
        self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0, copy: bool = True
    ) -> int:
        """Receive one part into a buffer; returns how many bytes the part had.

        Args:
            buffer: writable and contiguous.
            nbytes: use at most so many bytes of it; 0: all. What is more is lost.
        """
        return self._take_into(buffer, nbytes, flags)

    @overload
    def recv_multipart(
        self, flags: int = ..., *, copy: Literal[False], track: bool = ...
    ) -> list[Frame]: ...
    @overload
    def recv_multipart(
        self, flags: int = ..., copy: Literal[True] = ..., track: bool = ...
    ) -> list[bytes]: ...
    @overload
    def recv_multipart(
        self, flags: int = ..., copy: bool = ..., track: bool = ...
    ) -> list[bytes] | list[Frame]: ...
    def recv_multipart(self, flags: int = 0, copy: bool = True, track: bool = False) -> list[Any]:
        """Receive all parts of a message; see :meth:`recv`."""
        return (self._take_ahead() if copy else None) or self._take_all(flags, copy)

    def recv_many(self, limit: int = 1000, flags: int = 0) -> list[bytes | list[bytes]]:
        """Receive what is there, at least one message: bytes, or a list of several parts each.

        Raises:
            Again: there was nothing, at once or within RCVTIMEO.
        """
        return self._take_many(limit, flags)

    def __iter__(self) -> Iterator[bytes | list[bytes]]:
        """Messages for ever: bytes, or a list of several parts each."""
        while True:
            parts = self.recv_multipart()
            yield parts[0] if len(parts) == 1 else parts

    # -- conversions ------------------------------------------------------------------------------

    def _deserialize(self, recvd: Any, load: Callable[[Any], Any]) -> Any:
        """What was received as an object; a socket whose ``recv`` gives a future overrides it."""
        return load(recvd)

    def send_serialized(
        self,
        msg: Any,
        serialize: Callable[[Any], Sequence[Any]],
        flags: int = 0,
        copy: bool = True,
        **kwargs: Any,
    ) -> MessageTracker | None:
        """Send what ``serialize`` makes parts of."""
        return self.send_multipart(serialize(msg), flags=flags, copy=copy, **kwargs)

    def recv_serialized(
        self, deserialize: Callable[[list[Any]], Any], flags: int = 0, copy: bool = True
    ) -> Any:
        """Receive a message and give what ``deserialize`` makes of its parts."""
        frames = self.recv_multipart(flags=flags, copy=copy)
        return self._deserialize(frames, deserialize)

    def send_string(
        self, u: str, flags: int = 0, copy: bool = True, encoding: str = "utf-8", **kwargs: Any
    ) -> MessageTracker | None:
        """Send text.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(u, str):
            raise TypeError("str objects only")
        return self.send(u.encode(encoding), flags=flags, copy=copy, **kwargs)

    send_unicode = send_string

    def recv_string(self, flags: int = 0, encoding: str = "utf-8") -> str:
        """Receive text."""
        received = self.recv(flags=flags)
        return cast(str, self._deserialize(received, lambda data: data.decode(encoding)))

    recv_unicode = recv_string

    def send_pyobj(
        self, obj: Any, flags: int = 0, protocol: int = pickle.DEFAULT_PROTOCOL, **kwargs: Any
    ) -> MessageTracker | None:
        """Send an object by pickle. Who receives it must trust who sends it."""
        sent = self.send(pickle.dumps(obj, protocol), flags=flags, **kwargs)
        return cast("MessageTracker | None", sent)

    def recv_pyobj(self, flags: int = 0) -> Any:
        """Receive an object by pickle, from somebody who may run any code here."""
        return self._deserialize(self.recv(flags), pickle.loads)

    def send_json(self, obj: Any, flags: int = 0, **kwargs: Any) -> MessageTracker | None:
        """Send an object as JSON; further arguments go to ``json.dumps``."""
        own = {name: kwargs.pop(name) for name in ("routing_id", "group") if name in kwargs}
        sent = self.send(jsonapi.dumps(obj, **kwargs), flags=flags, **own)
        return cast("MessageTracker | None", sent)

    def recv_json(self, flags: int = 0, **kwargs: Any) -> Any:
        """Receive an object as JSON; further arguments go to ``json.loads``."""
        return self._deserialize(self.recv(flags), lambda data: jsonapi.loads(data, **kwargs))

    # -- looking on -------------------------------------------------------------------------------

    def poll(self, timeout: int | None = None, flags: int = PollEvent.POLLIN) -> int:
        """Wait for events; returns those that are there, 0 for none in time.

        Args:
            timeout: milliseconds; ``None`` or -1: for ever.
        """
        if self.closed:
            raise ZMQError(Errno.ENOTSUP)
        if self._more and flags & PollEvent.POLLIN:
            timeout = 0
        try:
            found = self._core.blocking.poll(-1 if timeout is None else int(timeout), int(flags))
        except SocketError as error:
            raise_as_zmq(error)
        if self._more:
            found |= int(flags) & int(PollEvent.POLLIN)
        return found

    def stats(self) -> dict[str, Any]:
        """Where its messages are and went: queues, drops and their causes, by peer.

        See :mod:`midge.net.zeromq.statistics` for what is in it.
        """
        return cast("dict[str, Any]", self._call(self._core.engine.stats))

    def wait_peers(self, n: int = 1, timeout: float | None = None) -> None:
        """Wait until ``n`` peers are connected, ``timeout`` seconds at most.

        Raises:
            Again: they were not.
        """
        pattern = self._core.engine.pattern
        self._wait_until(lambda: sum(1 for pipe in pattern.peers() if pipe.ready) >= n, timeout)

    def wait_subscribed(
        self, prefix: str | bytes | None = None, n: int = 1, timeout: float | None = None
    ) -> None:
        """Wait until ``n`` peers hear what begins with ``prefix``.

        So that nothing is published before somebody hears it. Who has subscribed to a beginning
        of ``prefix`` counts, also to ``b""``; without a prefix, who has subscribed to anything.

        Raises:
            Again: they have not, within ``timeout`` seconds.
        """
        wanted = prefix.encode() if isinstance(prefix, str) else prefix
        pattern = self._core.engine.pattern
        self._wait_until(lambda: pattern.subscriber_count(wanted) >= n, timeout)

    def _wait_until(self, reached: Callable[[], bool], timeout_s: float | None) -> None:
        self._check()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        blocking = self._core.blocking
        try:
            while not blocking.call(reached):
                left_ms = 100
                if deadline is not None:
                    left_ms = min(left_ms, int((deadline - time.monotonic()) * 1000))
                    if left_ms < 0:
                        raise Again
                # No event that the program could poll for: the reactor runs, and we look again.
                blocking.poll(min(left_ms, 10), 0)
        except SocketError as error:
            raise_as_zmq(error)

    def monitor(self, addr: str | None, events: int = Event.ALL) -> None:
        """Tell what happens to connections, at an inproc endpoint; ``None`` ends that."""
        self._check()
        if addr is not None and not isinstance(addr, str):
            raise TypeError(f"expected str, got: {addr!r}")
        try:
            monitoring.start(self._core, addr, int(events))
        except SocketError as error:
            raise_as_zmq(error)

    def get_monitor_socket(self, events: int | None = None, addr: str | None = None) -> Self:
        """A PAIR that receives the events, for ``utils.monitor.recv_monitor_message``."""
        if self._monitor_socket is not None and not self._monitor_socket.closed:
            return cast("Self", self._monitor_socket)
        if addr is None:
            addr = f"inproc://monitor.s-{self.underlying}"
        self.monitor(addr, Event.ALL if events is None else events)
        socket = self.context.socket(SocketType.PAIR)
        self._monitor_socket = socket
        socket.connect(addr)
        return cast("Self", socket)

    def disable_monitor(self) -> None:
        """End what :meth:`monitor` began."""
        self._monitor_socket = None
        self.monitor(None, 0)


SyncSocket = Socket[bytes]

__all__ = ["COPY_THRESHOLD", "Socket", "SyncSocket"]
