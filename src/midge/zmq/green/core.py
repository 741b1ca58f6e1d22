"""Context and Socket for gevent: those of :mod:`midge.zmq`, waiting in another way.

A call that waits runs the socket's own reactor, as everywhere, but the reactor leaves the wait to
gevent's hub. While nobody is in a call the context's I/O thread looks after the socket, as
everywhere; or the hub, where gevent has made greenlets of threads.
"""

from __future__ import annotations

import time

import gevent

import midge.zmq as _zmq
from midge.net.zeromq.io_thread import IoThread
from midge.zmq.core import ContextCore
from midge.zmq.green.waiting import sleep

#: How often the end of a context looks whether its sockets are gone.
_LOOK_S = 0.005


class Socket(_zmq.Socket[bytes]):
    """A socket whose calls let other greenlets run while they wait."""

    _repr_cls = "zmq.green.Socket"


class GreenCore(ContextCore):
    """What a context is whose calls leave their waits to the hub."""

    def _new_io_thread(self) -> IoThread:
        made = super()._new_io_thread()
        made.sleep = sleep
        return made

    def wait_empty(self, timeout_s: float) -> bool:
        """Let others run until all sockets are gone."""
        deadline = time.monotonic() + timeout_s
        while not self.blocking.wait_empty(0):
            if time.monotonic() >= deadline:
                return False
            gevent.sleep(_LOOK_S)
        return True


class Context(_zmq.Context[Socket]):
    """A context that makes sockets for gevent."""

    _socket_class = Socket
    _core_class = GreenCore
    _instance = None  # not the one of the blocking sockets
    _repr_cls = "zmq.green.Context"


__all__ = ["Context", "Socket"]
