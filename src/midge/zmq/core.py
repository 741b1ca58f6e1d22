"""What stands behind a Socket and a Context: shared by their shadows, and known by a number.

pyzmq hands sockets between objects by the address of the C structure (``underlying``). Here a
number stands for it, good for as long as what it names is open.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from midge.net.zeromq.blocking import BlockingEngine
from midge.net.zeromq.blocking_context import BlockingContext
from midge.net.zeromq.io_thread import IoThread
from midge.patterns.errors import SocketError
from midge.zmq.constants import ContextOption
from midge.zmq.error import raise_as_zmq

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine

_numbers: Final = itertools.count(0x10000, 8)
_known: Final[weakref.WeakValueDictionary[int, Any]] = weakref.WeakValueDictionary()
_known_lock: Final = threading.Lock()

#: What the options of a context are when nobody has set them.
_CONTEXT_DEFAULTS: Final[dict[int, int]] = {
    ContextOption.IO_THREADS: 1,
    ContextOption.MAX_SOCKETS: 1023,
    ContextOption.SOCKET_LIMIT: 65535,
    ContextOption.THREAD_SCHED_POLICY: -1,
    ContextOption.MAX_MSGSZ: 2**31 - 1,
    ContextOption.MSG_T_SIZE: 64,
    ContextOption.THREAD_NAME_PREFIX: 0,
    42: 0,  # IPV6, for new sockets
    70: 1,  # BLOCKY
}
#: As in libzmq: what a subscriber has to say is of no use to anybody once it is closed.
_NEVER_LINGER: Final = frozenset({"SUB", "XSUB", "DISH"})
_READ_ONLY: Final = {ContextOption.SOCKET_LIMIT, ContextOption.MSG_T_SIZE}
_WRITE_ONLY: Final = {
    ContextOption.THREAD_AFFINITY_CPU_ADD,
    ContextOption.THREAD_AFFINITY_CPU_REMOVE,
}


def find(number: int) -> Any:
    """The core that a number names; ``None`` when there is none (any more)."""
    with _known_lock:
        return _known.get(number)


def threads_are_greenlets() -> bool:
    """Whether gevent has put its own in the place of the module threading's."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("threading")


class ContextCore:
    """What a Context is.

    Attributes:
        number: what ``underlying`` is.
        blocking: the context of the sockets.
        sockets: how many are open.
        closed: it was terminated.
        pid: the process that it belongs to.
    """

    def __init__(self, io_threads: int = 1) -> None:
        """Raises SocketError: EINVAL for a number of threads below 0."""
        if io_threads < 0:
            raise SocketError(errno.EINVAL, "a context has no fewer than 0 I/O threads")
        self.number = next(_numbers)
        self.blocking = BlockingContext(io_thread=self._new_io_thread())
        self.options: dict[int, int] = dict(_CONTEXT_DEFAULTS)
        self.options[ContextOption.IO_THREADS] = io_threads
        self.sockets = 0
        self.closed = False
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.monitors = itertools.count(1)
        with _known_lock:
            _known[self.number] = self

    def _new_io_thread(self) -> IoThread:
        if not threads_are_greenlets():
            return IoThread()
        # What a thread would do, the hub does: see there.
        from midge.zmq.green.runner import HubRunner

        return HubRunner()

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until all sockets are closed and have sent what was theirs to send."""
        return self.blocking.wait_empty(timeout_s)

    def get(self, option: int) -> int:
        """The value of an option.

        Raises:
            SocketError: EINVAL where there is none, or it cannot be read.
        """
        if option not in self.options:
            raise SocketError(errno.EINVAL, f"there is no context option {option} to read")
        return self.options[option]

    def set(self, option: int, value: int) -> None:
        """Set an option; those that ask for threads are remembered, and mean nothing here.

        Raises:
            SocketError: EINVAL where there is none, or the value is out of its range.
        """
        if option in _WRITE_ONLY:
            return
        if option not in self.options or option in _READ_ONLY or value < -1:
            raise SocketError(errno.EINVAL, f"the context option {option} cannot be set to {value}")
        if option == ContextOption.MAX_SOCKETS and not 0 < value <= 65535:
            raise SocketError(errno.EINVAL, "a context has 1 to 65535 sockets")
        self.options[option] = value

    def terminate(self) -> None:
        """End all calls, wait until all sockets are closed and have sent what is theirs."""
        with self.lock:
            if self.closed:
                return
        self.blocking.terminate()
        # In slices, so that Ctrl-C is seen.
        while not self.wait_empty(0.2):
            pass
        self.closed = True
        self.blocking.stop()


class SocketCore:
    """What a Socket is.

    Attributes:
        number: what ``underlying`` is.
        context: the core of its context.
        blocking: the socket for blocking calls.
        engine: the socket itself.
    """

    def __init__(self, context: ContextCore, type_name: str) -> None:
        """Raises SocketError: EMFILE, ETERM."""
        with context.lock:
            if context.sockets >= context.options[ContextOption.MAX_SOCKETS]:
                raise SocketError(errno.EMFILE, "the context has its MAX_SOCKETS sockets")
            context.sockets += 1
        try:
            self.blocking = BlockingEngine(type_name, context.blocking)
        except BaseException:
            context.sockets -= 1
            raise
        self.number = next(_numbers)
        self.context = context
        self.engine: SocketEngine = self.blocking.engine
        self.engine.options.ipv6 = bool(context.options[42])
        if type_name in _NEVER_LINGER or not context.options[70]:
            self.engine.options.linger_ms = 0
        self.monitor: Any = None
        #: The object that has an event loop run the socket.
        self.face: Any = None
        self.fd = -1
        self.closed = False
        with _known_lock:
            _known[self.number] = self

    def close(self, linger_ms: int | None) -> None:
        """Close the socket; what it has to send goes on in the background."""
        if self.closed:
            return
        self.closed = True
        if self.face is not None:
            self.face._detach()  # before the descriptor is somebody else's
        linger = self.engine.options.linger_ms if linger_ms is None else linger_ms
        try:
            self.blocking.close(linger)
        except SocketError as error:
            raise_as_zmq(error)
        finally:
            with self.context.lock:
                self.context.sockets -= 1
            if self.fd >= 0 and not self.context.blocking.forked:
                self.blocking.on_change(None)
                os.close(self.fd)
            self.fd = -1

    def signal_fd(self) -> int:
        """A descriptor that becomes readable when something may have changed."""
        if self.fd < 0:
            self.fd = os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            fd = self.fd

            def changed() -> None:
                if self.fd == fd:
                    os.eventfd_write(fd, 1)

            self.blocking.on_change(changed)
        return self.fd

    def calm_fd(self) -> None:
        """The state was looked at: the descriptor is quiet until it changes again."""
        if self.fd >= 0:
            try:
                os.eventfd_read(self.fd)
            except BlockingIOError:
                return
