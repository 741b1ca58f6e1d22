"""The socket that tells what happens to another one's connections."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from midge.net.zeromq.blocking import BlockingEngine
from midge.patterns import monitor
from midge.patterns.errors import SocketError

if TYPE_CHECKING:
    from midge.zmq.core import SocketCore

#: Events that wait for a program that does not read them; what is more is lost, and counted by the
#: PAIR's own mark.
_WAITING_MAX = 1000


class Monitor:
    """Sends the events of one socket to whoever connects to its endpoint."""

    def __init__(self, core: SocketCore, addr: str, events: int) -> None:
        """Raises SocketError: EPROTONOSUPPORT for anything but inproc, EADDRINUSE."""
        if not addr.startswith("inproc://"):
            raise SocketError(errno.EPROTONOSUPPORT, "a monitor listens at inproc:// only")
        self._events = events
        self._pair = BlockingEngine("PAIR", core.context.blocking)
        self._pair.engine.options.send_mark = _WAITING_MAX
        try:
            self._pair.call(self._pair.engine.bind, addr)
        except SocketError:
            self._pair.close(0)
            raise

    def tell(self, event: int, value: int, endpoint: str) -> None:
        """An event; called on whatever thread does the socket's I/O."""
        if event & self._events:
            try:
                self._pair.send(monitor.encode_event(event, value, endpoint), 0)
            except SocketError:
                return  # the context ends

    def stop(self) -> None:
        """The last event, and the end."""
        self.tell(monitor.MONITOR_STOPPED, 0, "")
        self._pair.close(0)


def start(core: SocketCore, addr: str | None, events: int) -> None:
    """Monitor a socket from here on; without an address: no longer."""
    stop(core)
    if addr is None:
        return
    made = Monitor(core, addr, events)
    core.monitor = made
    core.engine.on_monitor = made.tell


def stop(core: SocketCore) -> None:
    """End it."""
    made: Monitor | None = core.monitor
    if made is not None:
        core.engine.on_monitor = None
        core.monitor = None
        made.stop()
