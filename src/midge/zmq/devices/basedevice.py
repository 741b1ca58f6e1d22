"""Device: a proxy whose sockets are made where it runs.

What is to be bound, connected and set is noted first, and done when the device starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing import Process
from threading import Thread
from typing import Any

from midge.zmq.constants import DeviceType, Errno, SocketType
from midge.zmq.context import Context
from midge.zmq.error import ZMQBindError, ZMQError
from midge.zmq.proxying import proxy


class Side:
    """What one socket of a device is to become."""

    def __init__(self, socket_type: int) -> None:
        self.socket_type = socket_type
        self.binds: list[str] = []
        self.connects: list[str] = []
        self.options: list[tuple[int, Any]] = []

    def prepare(self, socket: Any) -> None:
        """Do to a socket what was noted: the options first, then the endpoints."""
        for option, value in self.options:
            socket.setsockopt(option, value)
        for endpoint in self.binds:
            socket.bind(endpoint)
        for endpoint in self.connects:
            socket.connect(endpoint)


class Device:
    """A proxy between two sockets; :meth:`start` runs it until its context ends.

    Attributes:
        daemon: it does not keep the program alive.
        done: it has ended.
        context_factory: what makes its context: that of the process for threads.
    """

    context_factory: Callable[[], Any] = Context.instance
    daemon: bool
    done: bool

    def __init__(
        self,
        device_type: int = DeviceType.QUEUE,
        in_type: int | None = None,
        out_type: int | None = None,
    ) -> None:
        """Raises TypeError where a socket type is missing; ``out_type`` -1: there is one socket."""
        if in_type is None:
            raise TypeError("in_type must be specified")
        if out_type is None:
            raise TypeError("out_type must be specified")
        self.device_type = device_type
        self.in_type = in_type
        self.out_type = out_type
        self._in = Side(in_type)
        self._out = Side(out_type)
        self._random_addrs: list[str] = []
        self._sockets: list[Any] = []
        self.daemon = True
        self.done = False

    def bind_in(self, addr: str) -> None:
        """Bind the front."""
        self._in.binds.append(addr)

    def bind_in_to_random_port(self, addr: str, *args: int, **kwargs: int) -> int:
        """Bind the front to a free port, and return it."""
        port = self._reserve_random_port(addr, *args, **kwargs)
        self.bind_in(f"{addr}:{port}")
        return port

    def connect_in(self, addr: str) -> None:
        """Connect the front."""
        self._in.connects.append(addr)

    def setsockopt_in(self, opt: int, value: Any) -> None:
        """Set an option of the front."""
        self._in.options.append((opt, value))

    def bind_out(self, addr: str) -> None:
        """Bind the back."""
        self._out.binds.append(addr)

    def bind_out_to_random_port(self, addr: str, *args: int, **kwargs: int) -> int:
        """Bind the back to a free port, and return it."""
        port = self._reserve_random_port(addr, *args, **kwargs)
        self.bind_out(f"{addr}:{port}")
        return port

    def connect_out(self, addr: str) -> None:
        """Connect the back."""
        self._out.connects.append(addr)

    def setsockopt_out(self, opt: int, value: Any) -> None:
        """Set an option of the back."""
        self._out.options.append((opt, value))

    def _reserve_random_port(self, addr: str, *args: int, **kwargs: int) -> int:
        with Context[Any]() as context, context.socket(SocketType.PUSH) as binder:
            for _ in range(5):
                port: int = binder.bind_to_random_port(addr, *args, **kwargs)
                endpoint = f"{addr}:{port}"
                if endpoint not in self._random_addrs:
                    self._random_addrs.append(endpoint)
                    return port
        raise ZMQBindError("Could not reserve random port.")

    def _setup_sockets(self) -> Any:
        self._context = self.context_factory()
        front = self._make(self._in)
        if self.out_type < 0:
            self._out.prepare(front)
            return front, front
        return front, self._make(self._out)

    def _make(self, side: Side) -> Any:
        made = self._context.socket(side.socket_type)
        self._sockets.append(made)
        side.prepare(made)
        return made

    def run_device(self) -> None:
        """Make the sockets and move messages; what a kind of device does."""
        front, back = self._setup_sockets()
        proxy(front, back)

    def run(self) -> None:
        """Run until the context ends."""
        try:
            self.run_device()
        except ZMQError as error:
            if error.errno not in (Errno.ETERM, Errno.ENOTSOCK):
                raise
        finally:
            self.done = True
            for made in self._sockets:
                if not made.closed:
                    made.close()

    def start(self) -> None:
        """Run it here and now; devices in the background override this."""
        self.run()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, ``timeout`` seconds at most."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.done and (until is None or time.monotonic() < until):
            time.sleep(0.001)


class BackgroundDevice(Device):
    """A device that something else runs: a thread or a process."""

    launcher: Any = None
    _launch_class: Any = None

    def start(self) -> None:
        """Run it in the background."""
        self.launcher = self._launch_class(target=self.run)
        self.launcher.daemon = self.daemon
        self.launcher.start()

    def join(self, timeout: float | None = None) -> None:
        """See :meth:`Device.join`."""
        self.launcher.join(timeout=timeout)


class ThreadDevice(BackgroundDevice):
    """A device in a thread."""

    _launch_class = Thread


class ProcessDevice(BackgroundDevice):
    """A device in a process of its own, with a context of its own."""

    _launch_class = Process
    context_factory = Context


__all__ = ["Device", "ProcessDevice", "ThreadDevice"]
