"""Sockets that give futures, under the name that they have for Tornado.

Tornado runs in asyncio's loop and its futures are asyncio's, so these are the sockets of
:mod:`midge.zmq.asyncio`.
"""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

import midge.zmq.asyncio as _asyncio
from midge.zmq.eventloop.ioloop import IOLoop as _IOLoop  # says that Tornado is missing


class Socket(_asyncio.Socket):
    """A socket whose send, receive and poll give futures."""


class Poller(_asyncio.Poller):
    """A poller whose ``poll`` gives a future."""

    _socket_class = Socket


class Context(_asyncio.Context):
    """A context that makes such sockets."""

    _socket_class = Socket
    _instance: Any = None


__all__ = ["CancelledError", "Context", "Poller", "Socket"]
_NEEDED = _IOLoop
