"""Context: pyzmq's. What its sockets share, and the defaults of their options."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast
from warnings import warn
from weakref import WeakSet

from midge.patterns.errors import SocketError
from midge.zmq.attributes import LateAttributes
from midge.zmq.constants import ContextOption, Errno, SocketOption
from midge.zmq.core import ContextCore, find
from midge.zmq.error import ZMQError, raise_as_zmq
from midge.zmq.finalizing import finalize
from midge.zmq.socket import Socket

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import TypeVar as TypeVarWithDefault

    # A context of which nothing is said makes blocking sockets.
    _SocketT = TypeVarWithDefault(
        "_SocketT", bound=Socket[Any], covariant=True, default=Socket[bytes]
    )
else:
    _SocketT = TypeVar("_SocketT", bound=Socket[Any], covariant=True)

#: At the end of the program: how long queued messages may still take to leave.
_EXIT_LINGER_S: Final = 2.0
_exiting = False
_open: Final[WeakSet[ContextCore]] = WeakSet()


def _at_exit() -> None:
    """Let what is queued for connected peers leave, but never hang the end of a program."""
    global _exiting
    _exiting = True
    for core in list(_open):
        if not core.closed and core.pid == os.getpid():
            _let_leave(core)


def _let_leave(core: ContextCore) -> None:
    """Wait until everything has left, or its LINGER is over.

    No socket is closed: a daemon thread may be in a call, or make the next one, and is to end with
    the program, without a word. If a socket were closed it would be told, and would tell the user.
    """
    begun = time.monotonic()
    engines = core.blocking.engines
    leaving = []
    for engine in engines:
        own_s = engine.engine.options.linger_ms / 1000
        leaving.append((engine, begun + (_EXIT_LINGER_S if own_s < 0 else own_s)))
    while (now := time.monotonic()) < begun + _EXIT_LINGER_S:
        leaving = [(engine, until) for engine, until in leaving if engine.has_leaving()]
        leaving = [(engine, until) for engine, until in leaving if now < until]
        if not leaving:
            break
        time.sleep(0.002)
    for engine in engines:
        engine.stop_listening()  # and remove the files of ipc


atexit.register(_at_exit)


class Context(LateAttributes, Generic[_SocketT]):
    """What sockets share: inproc names, and the thread that looks after them.

    Options of sockets set on it, as attributes or with ``setsockopt``, go for the sockets that it
    makes from then on.

    Attributes:
        sockopts: those options.
    """

    sockopts: dict[int, Any]
    _core: ContextCore
    _instance: Any = None
    _instance_lock = Lock()
    _instance_pid: int | None = None
    _shadow: bool = False
    _shadow_obj: Any = None
    _warn_destroy_close: bool = False
    _sockets: WeakSet[Any]
    _socket_class: Any = Socket
    _core_class: type[ContextCore] = ContextCore
    _repr_cls = "zmq.Context"

    def __init__(self, io_threads: int | Context[Any] = 1, shadow: Context[Any] | int = 0) -> None:
        """Make a context, or a second object for one that there is."""
        if isinstance(io_threads, Context):
            shadow = io_threads
            io_threads = 1
        self._shadow = not (isinstance(shadow, int) and not shadow)
        if self._shadow:
            self._shadow_obj = shadow
            self._core = _core_of(shadow)
        else:
            try:
                self._core = self._core_class(io_threads)
            except SocketError as error:
                raise_as_zmq(error)
            _open.add(self._core)
        self.sockopts = {}
        self._sockets = WeakSet()

    def __del__(self) -> None:
        if not self._shadow and not _exiting and not self.closed:
            self._warn_destroy_close = True
            if warn is not None and getattr(self, "_sockets", None) is not None:
                warn(f"Unclosed context {self}", ResourceWarning, stacklevel=2, source=self)
            finalize(self.destroy)

    def __repr__(self) -> str:
        name = type(self).__dict__.get("_repr_cls")
        if name is None:
            name = f"{type(self).__module__}.{type(self).__name__}"
        closed = " closed" if self.closed else ""
        count = len(self._sockets)
        sockets = f"{count} socket{'s' if count > 1 else ''}" if count else ""
        return f"<{name}({sockets}) at {hex(id(self))}{closed}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._warn_destroy_close = True
        self.destroy()

    def __copy__(self, memo: Any = None) -> Self:
        return self.shadow(self.underlying)

    __deepcopy__ = __copy__

    @classmethod
    def shadow(cls, address: int | Context[Any]) -> Self:
        """Another object for the context that ``address`` is or names."""
        return cls(shadow=address)

    @classmethod
    def instance(cls, io_threads: int = 1) -> Self:
        """The one context of the process; a forked child has one of its own."""
        with cls._instance_lock:
            found = cls._instance
            if found is None or cls._instance_pid != os.getpid() or found.closed:
                found = cls._instance = cls(io_threads=io_threads)
                cls._instance_pid = os.getpid()
        return cast("Self", found)

    @property
    def underlying(self) -> int:
        """The number that stands for this context in :meth:`shadow`."""
        return self._core.number

    @property
    def closed(self) -> bool:
        """Whether it was terminated."""
        core: ContextCore | None = self.__dict__.get("_core")
        return core is None or core.closed

    # -- the end ----------------------------------------------------------------------------------

    def term(self) -> None:
        """End all calls on its sockets (ContextTerminated), and wait until all are closed.

        A socket is closed when what it has to send has been sent, or its LINGER is over.
        """
        core = self._core
        if core.pid != os.getpid():
            core.closed = True  # the parent's; it is not ours to end
            return
        core.terminate()

    def destroy(self, linger: int | None = None) -> None:
        """Close all its sockets, then terminate it; not while other threads use them.

        Args:
            linger: for all sockets, in place of their LINGER.
        """
        if self.closed:
            return
        for socket in list(self._sockets):
            if socket.closed:
                continue
            if self._warn_destroy_close and warn is not None:
                warn(
                    f"Destroying context with unclosed socket {socket}",
                    ResourceWarning,
                    stacklevel=3,
                    source=socket,
                )
            if linger is not None:
                socket.setsockopt(SocketOption.LINGER, linger)
            socket.close()
        self.term()

    # -- sockets ----------------------------------------------------------------------------------

    def _add_socket(self, socket: Any) -> None:
        self._sockets.add(socket)

    def _rm_socket(self, socket: Any) -> None:
        if getattr(self, "_sockets", None) is not None:
            self._sockets.discard(socket)

    def socket(
        self,
        socket_type: int,
        socket_class: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> _SocketT:
        """Make a socket.

        Args:
            socket_type: one of :class:`SocketType`.
            socket_class: in place of the context's own.
            kwargs: for the class.

        Raises:
            ZMQError: ENOTSUP when the context is closed, EMFILE where there are too many sockets.
        """
        if self.closed:
            raise ZMQError(Errno.EFAULT if self._shadow else Errno.ENOTSUP, "the context is closed")
        if self._core.pid != os.getpid():
            raise ZMQError(
                Errno.ENOTSOCK, "the context belongs to the parent process: make one of your own"
            )
        make = self._socket_class if socket_class is None else socket_class
        made = make(self, socket_type, **kwargs)
        for option, value in self.sockopts.items():
            try:
                made.setsockopt(option, value)
            except ZMQError:
                continue  # an option that is not for this type
        self._add_socket(made)
        return cast(_SocketT, made)

    # -- options ----------------------------------------------------------------------------------

    def set(self, option: int, optval: int) -> None:
        """Set an option of the context.

        Raises:
            ZMQError: EINVAL where there is none, or the value is out of its range.
        """
        self._check()
        try:
            self._core.set(int(option), int(optval))
        except SocketError as error:
            raise_as_zmq(error)

    def get(self, option: int) -> int:
        """The value of an option of the context; see :meth:`set`."""
        self._check()
        try:
            return self._core.get(int(option))
        except SocketError as error:
            raise_as_zmq(error)

    def _check(self) -> None:
        if self.closed:
            raise ZMQError(Errno.EFAULT, "the context is closed")

    def setsockopt(self, opt: int, value: Any) -> None:
        """Set an option of the sockets to come."""
        self.sockopts[opt] = value

    def getsockopt(self, opt: int) -> Any:
        """What :meth:`setsockopt` has set."""
        return self.sockopts[opt]

    def _set_attr_opt(self, name: str, opt: int, value: Any) -> None:
        if name in ContextOption.__members__:
            self.set(opt, value)
        elif name in SocketOption.__members__:
            self.sockopts[opt] = value
        else:
            raise AttributeError(f"No such context or socket option: {name}")

    def _get_attr_opt(self, name: str, opt: int) -> Any:
        if name in ContextOption.__members__:
            return self.get(opt)
        if opt not in self.sockopts:
            raise AttributeError(name)
        return self.sockopts[opt]

    def __delattr__(self, key: str) -> None:
        if key in self.__dict__:
            del self.__dict__[key]
            return
        option = getattr(SocketOption, key.upper(), None)
        if option is None:
            raise AttributeError(f"No such socket option: {key.upper()!r}")
        if option not in self.sockopts:
            raise AttributeError(key)
        del self.sockopts[option]

    def __dir__(self) -> list[str]:
        return [*dir(type(self)), *ContextOption.__members__]


def _core_of(shadow: Any) -> ContextCore:
    if isinstance(shadow, Context):
        return shadow._core
    number = shadow if isinstance(shadow, int) else int(shadow)
    core = find(number)
    if not isinstance(core, ContextCore):
        raise ZMQError(Errno.EFAULT, f"no context has the number {number}")
    return core


SyncContext = Context[Socket[bytes]]

__all__ = ["Context", "SyncContext"]
