"""The life of a socket, its endpoints and its options, with pyzmq's names.

Messages are moved by :mod:`midge.zmq.transfer`; the whole is :class:`midge.zmq.socket.Socket`.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast
from warnings import warn

from midge.patterns.errors import SocketError
from midge.zmq import monitoring
from midge.zmq.attributes import AttributeSetter, define_options
from midge.zmq.constants import Errno, SocketOption, SocketType, _OptType
from midge.zmq.core import SocketCore, find
from midge.zmq.error import ZMQBindError, ZMQError, raise_as_zmq
from midge.zmq.finalizing import finalize
from midge.zmq.options import get_option, set_option
from midge.zmq.quick import Quick

if TYPE_CHECKING:
    from typing import Self

    from midge.zmq.context import Context

_SelfT = TypeVar("_SelfT", bound="SocketBase")
_T = TypeVar("_T")

#: Buffers below this are copied when they are sent, whatever ``copy`` says.
COPY_THRESHOLD: Final = 65536
#: Types whose messages name a peer, and those that name a group.
BY_NUMBER: Final = ("SERVER", "PEER")
BY_GROUP: Final = ("RADIO", "DISH")


class _SocketContext(Generic[_T]):
    """What ``bind`` and ``connect`` return: leaving it takes them back."""

    def __init__(self, socket: _T, kind: str, addr: str) -> None:
        self.socket = socket
        self.kind = kind
        self.addr = addr

    def __enter__(self) -> _T:
        return self.socket

    def __exit__(self, *exc: object) -> None:
        socket = cast("SocketBase", self.socket)
        if socket.closed:
            return
        if self.kind == "bind":
            socket.unbind(self.addr)
        else:
            socket.disconnect(self.addr)

    def __repr__(self) -> str:
        return f"<SocketContext({self.kind}={self.addr!r})>"


class SocketBase(Quick, AttributeSetter):
    """What every socket has, whatever its ``send`` and ``recv`` give.

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
    _last_metadata: Any
    _send_item: Callable[[Any, int], bool]
    _receive_item: Callable[[int], Any]
    _repr_cls = "zmq.Socket"

    def __init__(
        self,
        ctx_or_socket: Any = None,
        socket_type: int = 0,
        *,
        shadow: SocketBase | int = 0,
        copy_threshold: int | None = None,
    ) -> None:
        """Make a socket of a context, or a second object for one that there is.

        Raises:
            ZMQError: EINVAL for an unknown type, EMFILE where there are too many.
        """
        self.__dict__["_closed"] = True  # should this fail
        self.__dict__["_shadow"] = True
        if isinstance(ctx_or_socket, SocketBase):
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
        self._single = self._type_name in BY_NUMBER or self._type_name in BY_GROUP
        self._inbox = core.blocking.inbox
        self._send_item = core.blocking.send
        self._blocking = core.blocking
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
        if isinstance(shadow, SocketBase):
            return shadow.context
        from midge.zmq.context import Context

        return Context.shadow(core.context.number)

    # -- its life ---------------------------------------------------------------------------------

    def __del__(self) -> None:
        if not self._shadow and not self.closed:
            if warn is not None:
                warn(f"Unclosed socket {self}", ResourceWarning, stacklevel=2, source=self)
            finalize(self.close)

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
    def shadow(cls, address: int | SocketBase) -> Self:
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

    def connect_peer(self, addr: str) -> int:
        """Connect a PEER, and return the ``routing_id`` by which it can send there at once.

        Raises:
            ZMQError: ENOTSUP for another type of socket, EFAULT with IMMEDIATE set.
        """
        engine = self._core.engine
        made: list[int] = []

        def connect(endpoint: str) -> None:
            if engine.type_name != "PEER":
                raise SocketError(errno.ENOTSUP, "only PEER sockets have connect_peer")
            if engine.options.immediate:
                raise SocketError(errno.EFAULT, "with IMMEDIATE, a peer has no routing id yet")
            engine.connect(endpoint)
            made.append(int.from_bytes(engine.pattern.peers()[-1].routing_id, "big"))

        self._endpoint(connect, addr)
        return made[0]

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
        if key[:1] == "_" or key in self.__dict__:  # no option begins with that
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


def _core_of(shadow: Any) -> SocketCore:
    if isinstance(shadow, SocketBase):
        return shadow._core
    number = shadow if isinstance(shadow, int) else int(shadow)
    core = find(number)
    if not isinstance(core, SocketCore):
        raise ZMQError(Errno.ENOTSOCK, f"no socket has the number {number}")
    return core


define_options(SocketBase, SocketOption.__members__)
