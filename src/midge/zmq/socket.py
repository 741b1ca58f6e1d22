"""Socket: pyzmq's, blocking, over :class:`midge.net.zeromq.blocking.BlockingEngine`.

Here are names, conversions and exceptions; what sockets do is below. The shortest ways are those of
``send`` with bytes and ``recv`` without arguments.
"""

from __future__ import annotations

import errno
import pickle
import random
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Event as ThreadEvent
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, cast, overload
from warnings import warn

from midge.patterns.errors import SocketError
from midge.zmq import monitoring
from midge.zmq.attributes import AttributeSetter
from midge.zmq.constants import (
    Errno,
    Event,
    Flag,
    PollEvent,
    SocketOption,
    SocketType,
    _OptType,
)
from midge.zmq.core import SocketCore, find
from midge.zmq.error import Again, ZMQBindError, ZMQError, raise_as_zmq
from midge.zmq.frame import Frame
from midge.zmq.options import get_option, set_option
from midge.zmq.tracker import _FINISHED_TRACKER, MessageTracker, Tracked
from midge.zmq.utils import jsonapi

if TYPE_CHECKING:
    from typing import Self

    from midge.zmq.context import Context

_SelfT = TypeVar("_SelfT", bound="Socket[Any]")
_ReturnT = TypeVar("_ReturnT", covariant=True)
_T = TypeVar("_T")

_MORE: Final = int(Flag.SNDMORE)
_DONTWAIT: Final = int(Flag.DONTWAIT)
#: Buffers below this are copied when they are sent, whatever ``copy`` says.
COPY_THRESHOLD: Final = 65536
#: Types whose messages name a peer, and those that name a group.
_BY_NUMBER: Final = ("SERVER", "PEER")
_BY_GROUP: Final = ("RADIO", "DISH")


class _SocketContext(Generic[_T]):
    """What ``bind`` and ``connect`` return: leaving it takes them back."""

    def __init__(self, socket: _T, kind: str, addr: str) -> None:
        self.socket = socket
        self.kind = kind
        self.addr = addr

    def __enter__(self) -> _T:
        return self.socket

    def __exit__(self, *exc: object) -> None:
        socket = cast("Socket[Any]", self.socket)
        if socket.closed:
            return
        if self.kind == "bind":
            socket.unbind(self.addr)
        else:
            socket.disconnect(self.addr)

    def __repr__(self) -> str:
        return f"<SocketContext({self.kind}={self.addr!r})>"


class Socket(AttributeSetter, Generic[_ReturnT]):
    """A ZeroMQ socket; made by ``Context.socket``.

    Options are attributes, in any case. It may be used from any one thread at a time.

    Attributes:
        context: whose it is.
        type: its type.
        copy_threshold: buffers smaller than this are copied, whatever ``copy`` says.
    """

    context: Context[Any]
    type: SocketType
    copy_threshold: int
    _core: SocketCore
    _shadow: bool
    _shadow_obj: Any
    _closed: bool
    _monitor_socket: Any
    _type_name: str
    _more: list[Any]
    _parts: list[Any]
    _rcvmore: bool
    _single: bool
    _last_metadata: Any
    _inbox: Any
    _send_item: Callable[[Any, int], bool]
    _receive_item: Callable[[int], Any]
    _repr_cls = "zmq.Socket"

    def __init__(
        self,
        ctx_or_socket: Any = None,
        socket_type: int = 0,
        *,
        shadow: Socket[Any] | int = 0,
        copy_threshold: int | None = None,
    ) -> None:
        """Make a socket of a context, or a second object for one that there is.

        Raises:
            ZMQError: EINVAL for an unknown type, EMFILE where there are too many.
        """
        self.__dict__["_closed"] = True  # should this fail
        self.__dict__["_shadow"] = True
        if isinstance(ctx_or_socket, Socket):
            shadow = ctx_or_socket
            ctx_or_socket = None
        if isinstance(shadow, int) and not shadow:
            core = self._new_core(ctx_or_socket, socket_type)
            self.context = ctx_or_socket
            self._shadow = False
        else:
            core = _core_of(shadow)
            self._shadow = True
            self.context = self._shadow_context(shadow, core)
        self._shadow_obj = shadow or None
        self._core = core
        self.copy_threshold = COPY_THRESHOLD if copy_threshold is None else copy_threshold
        self._type_name = core.engine.type_name
        self.__dict__["type"] = SocketType[self._type_name]
        self._monitor_socket = None
        self._more = []
        self._parts = []
        self._rcvmore = False
        self._last_metadata = None
        self._single = self._type_name in _BY_NUMBER or self._type_name in _BY_GROUP
        self._inbox = core.blocking.inbox
        self._send_item = core.blocking.send
        self._receive_item = core.blocking.receive
        self._closed = False

    @staticmethod
    def _new_core(context: Any, socket_type: int) -> SocketCore:
        if context is None:
            raise TypeError("a socket needs a context, or another socket to shadow")
        try:
            name = SocketType(socket_type).name
            return SocketCore(context._core, name)
        except ValueError:
            raise ZMQError(errno.EINVAL, f"there is no socket type {socket_type}") from None
        except SocketError as error:
            raise_as_zmq(error)

    @staticmethod
    def _shadow_context(shadow: Any, core: SocketCore) -> Any:
        if isinstance(shadow, Socket):
            return shadow.context
        from midge.zmq.context import Context

        return Context.shadow(core.context.number)

    # -- its life ---------------------------------------------------------------------------------

    def __del__(self) -> None:
        if not self._shadow and not self.closed:
            if warn is not None:
                warn(f"Unclosed socket {self}", ResourceWarning, stacklevel=2, source=self)
            self.close()

    def __repr__(self) -> str:
        name = type(self).__dict__.get("_repr_cls")
        if name is None:
            name = f"{type(self).__module__}.{type(self).__name__}"
        closed = " closed" if self._closed else ""
        kind = self.__dict__.get("_type_name", "?")
        return f"<{name}(zmq.{kind}) at {hex(id(self))}{closed}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __copy__(self, memo: Any = None) -> Self:
        return self.shadow(self.underlying)

    __deepcopy__ = __copy__

    @classmethod
    def shadow(cls, address: int | Socket[Any]) -> Self:
        """Another object for the socket that ``address`` is or names."""
        return cls(shadow=address)

    @property
    def underlying(self) -> int:
        """The number that stands for this socket in :meth:`shadow`."""
        return self._core.number

    @property
    def closed(self) -> bool:
        """Whether it was closed, by this object or another one for the same socket."""
        if not self._closed and self._core.closed:
            self._closed = True
        return self._closed

    def close(self, linger: int | None = None) -> None:
        """Close it; what is queued is sent in the background for as long as LINGER says.

        Args:
            linger: milliseconds, in place of the option LINGER.
        """
        if self.context is not None:
            self.context._rm_socket(self)
        if self._closed:
            return
        self._closed = True
        if not self._core.closed:
            monitoring.stop(self._core)
            self._core.close(linger)

    def _check(self) -> None:
        if self._closed or self._core.closed:
            raise ZMQError(Errno.ENOTSOCK, "Socket operation on non-socket: it is closed")

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self._check()
        try:
            return self._core.blocking.call(function, *arguments)
        except SocketError as error:
            raise_as_zmq(error)

    # -- endpoints --------------------------------------------------------------------------------

    def _endpoint(self, function: Callable[[str], Any], addr: str | bytes) -> str:
        if isinstance(addr, bytes):
            addr = addr.decode("utf-8")
        if not isinstance(addr, str):
            raise TypeError(f"expected str, got: {addr!r}")
        try:
            self._call(function, addr)
        except ZMQError as error:
            if addr not in error.strerror:
                error.strerror += f" (addr={addr!r})"
            raise
        return addr

    def bind(self: _SelfT, addr: str) -> _SocketContext[_SelfT]:
        """Listen at an endpoint, ``tcp://*:5555``; as a context manager, until it is left.

        Raises:
            ZMQError: EINVAL, EPROTONOSUPPORT, EADDRINUSE, EADDRNOTAVAIL and others of the system.
        """
        self._endpoint(self._core.engine.bind, addr)
        return _SocketContext(self, "bind", self._core.engine.last_endpoint)

    def connect(self: _SelfT, addr: str) -> _SocketContext[_SelfT]:
        """Connect to an endpoint, now and whenever the connection breaks; see :meth:`bind`."""
        return _SocketContext(self, "connect", self._endpoint(self._core.engine.connect, addr))

    def unbind(self, addr: str) -> None:
        """Stop listening at an endpoint.

        Raises:
            ZMQError: ENOENT where nothing is bound.
        """
        self._endpoint(self._core.engine.unbind, addr)

    def disconnect(self, addr: str) -> None:
        """Give a connection up; see :meth:`unbind`."""
        self._endpoint(self._core.engine.disconnect, addr)

    def bind_to_random_port(
        self, addr: str, min_port: int = 49152, max_port: int = 65536, max_tries: int = 100
    ) -> int:
        """Bind to a free port and return it.

        Without a range, the system chooses, so that nobody can take it in between.

        Raises:
            ZMQBindError: ``max_tries`` ports of the range were taken.
        """
        if (min_port, max_port) == (49152, 65536):
            self.bind(f"{addr}:*")
            return int(self._core.engine.last_endpoint.rpartition(":")[2])
        for _ in range(max_tries):
            port = random.randrange(min_port, max_port)
            try:
                self.bind(f"{addr}:{port}")
            except ZMQError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
        raise ZMQBindError("Could not bind socket to random port.")

    # -- options ----------------------------------------------------------------------------------

    def set(self, option: int, optval: Any) -> None:
        """Set an option: an int, or bytes.

        Raises:
            TypeError: the value is not of the option's type.
            ZMQError: EINVAL for an option or a value that there is not, ENOTSUP for one that is
                not supported here.
        """
        self._check()
        try:
            set_option(self._core, option, optval)
        except SocketError as error:
            raise_as_zmq(error)

    def get(self, option: int) -> Any:
        """The value of an option: an int, or bytes.

        Raises:
            ZMQError: EINVAL for one that there is not, or that cannot be read.
        """
        self._check()
        if option == SocketOption.RCVMORE:
            return int(self._rcvmore)
        if option == SocketOption.FD:
            return self._core.signal_fd()
        try:
            return get_option(self._core, option)
        except SocketError as error:
            raise_as_zmq(error)

    setsockopt = set
    getsockopt = get

    def set_string(self, option: int, optval: str, encoding: str = "utf-8") -> None:
        """Set an option to text.

        Raises:
            TypeError: it is no text.
        """
        if not isinstance(optval, str):
            raise TypeError(f"strings only, not {type(optval)}: {optval!r}")
        self.set(option, optval.encode(encoding))

    setsockopt_unicode = setsockopt_string = set_string

    def get_string(self, option: int, encoding: str = "utf-8") -> str:
        """The value of an option as text.

        Raises:
            TypeError: the option is a number.
        """
        if SocketOption(option)._opt_type != _OptType.bytes:
            raise TypeError(f"option {option} will not return a string to be decoded")
        return cast(bytes, self.get(option)).decode(encoding)

    getsockopt_unicode = getsockopt_string = get_string

    def __setattr__(self, key: str, value: Any) -> None:
        if key in self.__dict__:
            object.__setattr__(self, key, value)
            return
        name = key.lower()
        if name in ("subscribe", "unsubscribe"):
            if isinstance(value, str):
                value = value.encode("utf-8")
            self.set(SocketOption[name.upper()], value)
            return
        super().__setattr__(key, value)

    def __dir__(self) -> list[str]:
        return [*dir(type(self)), *SocketOption.__members__]

    @property
    def socket_type(self) -> int:
        """The old name of :attr:`type`."""
        warn("Socket.socket_type is deprecated, use Socket.type", DeprecationWarning, stacklevel=2)
        return self.type

    def fileno(self) -> int:
        """A descriptor that is readable when EVENTS may have changed; for other event loops."""
        return cast(int, self.get(SocketOption.FD))

    def get_hwm(self) -> int:
        """The high-water mark for sending."""
        return cast(int, self.get(SocketOption.SNDHWM))

    def set_hwm(self, value: int) -> None:
        """Set both high-water marks, for later binds and connects."""
        self.set(SocketOption.SNDHWM, value)
        self.set(SocketOption.RCVHWM, value)

    hwm = property(get_hwm, set_hwm, None, "Both high-water marks, in messages.")

    def subscribe(self, topic: str | bytes) -> None:
        """Ask for messages that begin with ``topic`` (SUB)."""
        self.set(SocketOption.SUBSCRIBE, topic.encode() if isinstance(topic, str) else topic)

    def unsubscribe(self, topic: str | bytes) -> None:
        """Take one subscription back."""
        self.set(SocketOption.UNSUBSCRIBE, topic.encode() if isinstance(topic, str) else topic)

    def join(self, group: str | bytes) -> None:
        """Ask for the messages of a group (DISH)."""
        name = group.encode() if isinstance(group, str) else group
        self._call(self._core.engine.pattern.join, name)

    def leave(self, group: str | bytes) -> None:
        """Take that back."""
        name = group.encode() if isinstance(group, str) else group
        self._call(self._core.engine.pattern.leave, name)

    # -- sending ----------------------------------------------------------------------------------

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
    def send(
        self,
        data: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        routing_id: int | None = None,
        group: str | None = None,
    ) -> MessageTracker | None:
        """Send one part of a message; with SNDMORE, more parts follow.

        Args:
            data: bytes, another buffer, or a Frame.
            flags: DONTWAIT and SNDMORE.
            copy: false: a large buffer is sent as it is, and must not be changed until then.
            track: with ``copy=False``: make a tracker that says when that is.
            routing_id: for SERVER and PEER: to whom.
            group: for RADIO: to which group.

        Returns:
            A tracker with ``copy=False`` and for frames; else nothing.

        Raises:
            TypeError: the data is no buffer.
            Again: there was no room for it, at once or within SNDTIMEO.
            ContextTerminated: the context has ended.
            ZMQError: ENOTSUP, EFSM, EHOSTUNREACH and others, by socket type.
        """
        if (
            type(data) is not bytes
            or flags
            or not copy
            or self._parts
            or self._single
            or routing_id is not None
            or group is not None
        ):
            return self._send_part(data, flags, copy, track, routing_id, group)
        try:
            if self._send_item(data, self._core.engine.options.send_timeout_ms):
                return None
        except SocketError as error:
            self._raise(error)
        raise Again

    def _send_part(
        self,
        data: Any,
        flags: int,
        copy: bool,
        track: bool,
        routing_id: int | None,
        group: str | bytes | None,
    ) -> MessageTracker | None:
        self._check()
        part, tracker = self._part(data, copy, track)
        if self._single:
            self._send_whole(self._addressed(part, data, routing_id, group), flags)
            return tracker
        if flags & _MORE:
            self._check_send()
            self._parts.append(part)
            return tracker
        item: Any = part
        if self._parts:
            item = [*self._parts, part]
            self._parts = []
        self._send_whole(item, flags)
        return tracker

    def _check_send(self) -> None:
        """Say now that this type cannot send, or not now, and not with the last part."""
        pattern = self._core.engine.pattern
        if not self._parts and self._type_name in ("REQ", "REP"):
            can = self._call(pattern.can_send)
            waits = self._type_name == "REQ" and not getattr(pattern, "_waits", False)
            if not can and not waits:
                raise ZMQError(Errno.EFSM)

    def _part(self, data: Any, copy: bool, track: bool) -> tuple[Any, MessageTracker | None]:
        if isinstance(data, Frame):
            return data._data, data.tracker or _FINISHED_TRACKER
        if isinstance(data, str):
            raise TypeError("str objects are not allowed, encode them or use send_string")
        if type(data) is bytes:
            if copy:
                return data, None
            if not track:
                return data, _FINISHED_TRACKER
        else:
            view = memoryview(data)
            if copy or (not track and view.nbytes < self.copy_threshold):
                return bytes(view), None if copy else _FINISHED_TRACKER
            if not track:
                return view.cast("B") if view.contiguous else bytes(view), _FINISHED_TRACKER
        if memoryview(data).nbytes < self.copy_threshold:
            return bytes(data), _FINISHED_TRACKER
        held = Tracked(data)
        held.event = ThreadEvent()
        return held, MessageTracker(held.event)

    def _addressed(
        self, part: Any, data: Any, routing_id: int | None, group: str | bytes | None
    ) -> list[Any]:
        """For the types that name a peer or a group: that, then the part."""
        if self._type_name in _BY_GROUP:
            if group is None and isinstance(data, Frame):
                group = data._group
            name = group.encode() if isinstance(group, str) else group or b""
            return [name, part]
        number = routing_id
        if number is None:
            number = data._routing_id if isinstance(data, Frame) else 0
        return [number.to_bytes(4, "big"), part]

    def _send_whole(self, item: Any, flags: int) -> None:
        timeout_ms = 0 if flags & _DONTWAIT else self._core.engine.options.send_timeout_ms
        try:
            if self._send_item(item, timeout_ms):
                return
        except SocketError as error:
            self._raise(error)
        raise Again

    def _raise(self, error: SocketError) -> None:
        if self._core.closed:
            self._closed = True
        raise_as_zmq(error)

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
        if not msg_parts:
            raise ValueError("a message has one part at least")
        tracker: MessageTracker | None = None
        trackers = []
        parts = []
        for index, given in enumerate(msg_parts):
            if type(given) is bytes and copy:
                parts.append(given)
                continue
            try:
                part, tracker = self._part(given, copy, track)
            except TypeError:
                shown = repr(given)
                if len(shown) > 32:
                    shown = shown[:32] + "..."
                raise TypeError(
                    f"Frame {index} ({shown}) does not support the buffer interface."
                ) from None
            parts.append(part)
            if tracker is not None and tracker is not _FINISHED_TRACKER:
                trackers.append(tracker)
        if self._closed or self._single or self._parts or flags & _MORE:
            for given in msg_parts[:-1]:
                self.send(given, flags | _MORE, copy=copy, track=track, **kwargs)
            return self.send(msg_parts[-1], flags, copy=copy, track=track, **kwargs)
        self._send_whole(parts[0] if len(parts) == 1 else parts, flags)
        return MessageTracker(*trackers) if trackers else tracker

    def send_many(self, messages: Sequence[Any], flags: int = 0) -> int:
        """Send many messages, each bytes or a list of parts, in one call.

        Returns:
            How many were taken: fewer than there are when SNDTIMEO ended or with DONTWAIT.
        """
        self._check()
        if self._single:
            raise ZMQError(Errno.ENOTSUP, f"send_many is not for {self._type_name}")
        items = [_whole(message) for message in messages]
        timeout_ms = 0 if flags & _DONTWAIT else self._core.engine.options.send_timeout_ms
        try:
            return self._core.blocking.send_many(items, timeout_ms)
        except SocketError as error:
            raise_as_zmq(error)

    # -- receiving --------------------------------------------------------------------------------

    @overload
    def recv(self, flags: int = ..., *, copy: Literal[False], track: bool = ...) -> Frame: ...
    @overload
    def recv(self, flags: int = ..., copy: Literal[True] = ..., track: bool = ...) -> bytes: ...
    @overload
    def recv(self, flags: int = ..., copy: bool = ..., track: bool = ...) -> bytes | Frame: ...
    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> bytes | Frame:
        """Receive one part of a message; RCVMORE says whether more follow.

        Args:
            flags: DONTWAIT.
            copy: false: give a Frame.
            track: accepted for pyzmq's sake.

        Raises:
            Again: there was nothing, at once or within RCVTIMEO.
            ContextTerminated: the context has ended.
            ZMQError: ENOTSUP, EFSM and others, by socket type.
        """
        if self._more:
            part = self._more.pop(0)
            self._rcvmore = bool(self._more)
            return part if copy else self._frame(part)
        try:
            item = self._inbox.popleft()
        except IndexError:
            item = self._wait_for_item(flags)
        if type(item) is bytes:
            self._rcvmore = False
            return item if copy else self._new_frame(item)
        return self._first_part(item, copy)

    def _wait_for_item(self, flags: int) -> Any:
        timeout_ms = 0 if flags & _DONTWAIT else self._core.engine.options.receive_timeout_ms
        try:
            item = self._receive_item(timeout_ms)
        except SocketError as error:
            self._raise(error)
        if item is None:
            raise Again
        return item

    def _first_part(self, item: Any, copy: bool) -> bytes | Frame:
        if type(item) is not list:  # a buffer that inproc has handed over
            self._rcvmore = False
            return bytes(item) if copy else self._new_frame(item)
        if self._single:
            self._rcvmore = False
            if copy:
                return bytes(item[1])
            frame = self._new_frame(item[1])
            if self._type_name in _BY_GROUP:
                frame._group = bytes(item[0])
            else:
                frame._routing_id = int.from_bytes(item[0], "big")
            return frame
        self._more = item[1:]
        self._rcvmore = True
        return _as_bytes(item[0]) if copy else self._new_frame(item[0])

    def _new_frame(self, part: Any) -> Frame:
        """A frame of the message that was taken last, which knows its peer."""
        pipe = self._core.blocking.last_pipe
        metadata: dict[str, bytes] = {} if pipe is None else pipe.metadata
        if pipe is not None and pipe.user_id and "User-Id" not in metadata:
            metadata = {**metadata, "User-Id": pipe.user_id.encode()}
        self._last_metadata = metadata
        return self._frame(part)

    def _frame(self, part: Any) -> Frame:
        frame = Frame(part)
        frame.more = self._rcvmore
        if self._last_metadata:
            frame._metadata = self._last_metadata
        return frame

    def recv_into(
        self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0, copy: bool = True
    ) -> int:
        """Receive one part into a buffer; returns how many bytes the part had.

        Args:
            buffer: writable and contiguous.
            nbytes: use at most so many bytes of it; 0: all. What is more is lost.
        """
        view = memoryview(buffer)
        if not view.contiguous:
            raise BufferError("the buffer is not contiguous")
        if view.readonly:
            raise ValueError("the buffer cannot be written to")
        view = view.cast("B")
        if nbytes < 0:
            raise ValueError(f"{nbytes=} must be non-negative")
        room = nbytes or view.nbytes
        if room > view.nbytes:
            raise ValueError(f"{nbytes=} exceeds the {view.nbytes} bytes of the buffer")
        data = self.recv(flags)
        count = min(room, len(data))
        view[:count] = data[:count]
        return len(data)

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
        parts = [self.recv(flags, copy=copy, track=track)]
        if self._more:
            rest = self._more
            self._more = []
            if copy:
                parts += [_as_bytes(part) for part in rest]
            else:
                for index, part in enumerate(rest):
                    self._rcvmore = index < len(rest) - 1
                    parts.append(self._frame(part))
            self._rcvmore = False
        return parts

    def recv_many(self, limit: int = 1000, flags: int = 0) -> list[Any]:
        """Receive what is there, at least one message: bytes, or a list of several parts each.

        Raises:
            Again: there was nothing, at once or within RCVTIMEO.
        """
        self._check()
        if self._single:
            raise ZMQError(Errno.ENOTSUP, f"recv_many is not for {self._type_name}")
        timeout_ms = 0 if flags & _DONTWAIT else self._core.engine.options.receive_timeout_ms
        try:
            items = self._core.blocking.receive_many(limit, timeout_ms)
        except SocketError as error:
            raise_as_zmq(error)
        if not items:
            raise Again
        return items

    def __iter__(self) -> Iterator[Any]:
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
    ) -> Any:
        """Send text.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(u, str):
            raise TypeError("str objects only")
        return self.send(u.encode(encoding), flags=flags, copy=copy, **kwargs)

    send_unicode = send_string

    def recv_string(self, flags: int = 0, encoding: str = "utf-8") -> Any:
        """Receive text."""
        return self._deserialize(self.recv(flags=flags), lambda data: data.decode(encoding))

    recv_unicode = recv_string

    def send_pyobj(
        self, obj: Any, flags: int = 0, protocol: int = pickle.DEFAULT_PROTOCOL, **kwargs: Any
    ) -> Any:
        """Send an object by pickle. Who receives it must trust who sends it."""
        return self.send(pickle.dumps(obj, protocol), flags=flags, **kwargs)

    def recv_pyobj(self, flags: int = 0) -> Any:
        """Receive an object by pickle, from somebody who may run any code here."""
        return self._deserialize(self.recv(flags), pickle.loads)

    def send_json(self, obj: Any, flags: int = 0, **kwargs: Any) -> Any:
        """Send an object as JSON; further arguments go to ``json.dumps``."""
        own = {name: kwargs.pop(name) for name in ("routing_id", "group") if name in kwargs}
        return self.send(jsonapi.dumps(obj, **kwargs), flags=flags, **own)

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
        """Wait until ``n`` peers have subscribed, to ``prefix`` or to anything.

        So that nothing is published before somebody hears it.

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

    def get_monitor_socket(self, events: int | None = None, addr: str | None = None) -> Any:
        """A PAIR that receives the events, for ``utils.monitor.recv_monitor_message``."""
        if self._monitor_socket is not None and not self._monitor_socket.closed:
            return self._monitor_socket
        if addr is None:
            addr = f"inproc://monitor.s-{self.underlying}"
        self.monitor(addr, Event.ALL if events is None else events)
        socket = self.context.socket(SocketType.PAIR)
        self._monitor_socket = socket
        socket.connect(addr)
        return socket

    def disable_monitor(self) -> None:
        """End what :meth:`monitor` began."""
        self._monitor_socket = None
        self.monitor(None, 0)


def _as_bytes(part: Any) -> bytes:
    return part if type(part) is bytes else bytes(part)


def _whole(message: Any) -> Any:
    if type(message) is bytes:
        return message
    if isinstance(message, list | tuple):
        parts = [_as_bytes(part) for part in message]
        return parts[0] if len(parts) == 1 else parts
    return message._data if isinstance(message, Frame) else bytes(memoryview(message))


def _core_of(shadow: Any) -> SocketCore:
    if isinstance(shadow, Socket):
        return shadow._core
    number = shadow if isinstance(shadow, int) else int(shadow)
    core = find(number)
    if not isinstance(core, SocketCore):
        raise ZMQError(Errno.ENOTSOCK, f"no socket has the number {number}")
    return core


SyncSocket = Socket[bytes]

__all__ = ["Socket", "SyncSocket"]
