"""Tornado's loop under pyzmq's names; it needs nothing done to it."""

from __future__ import annotations

import warnings

try:
    from tornado.ioloop import IOLoop, PeriodicCallback
except ImportError as error:
    raise ModuleNotFoundError(
        "midge.zmq.eventloop needs Tornado: pip install tornado", name="tornado"
    ) from error

ZMQIOLoop = IOLoop


def install() -> None:
    """Kept for its name: nothing needs to be installed."""
    warnings.warn("install() is not needed: any event loop will do", DeprecationWarning, 2)


__all__ = ["IOLoop", "PeriodicCallback", "ZMQIOLoop", "install"]
