"""pyzmq's name for the room that its sockets are in; here they are in :mod:`midge.zmq` itself."""

from __future__ import annotations

from midge.zmq import context, error, frame, poll, socket, tracker, version
from midge.zmq.context import Context
from midge.zmq.frame import Frame, Message
from midge.zmq.poll import Poller, select
from midge.zmq.proxying import device
from midge.zmq.socket import Socket
from midge.zmq.tracker import MessageTracker

__all__ = [
    "Context",
    "Frame",
    "Message",
    "MessageTracker",
    "Poller",
    "Socket",
    "context",
    "device",
    "error",
    "frame",
    "poll",
    "select",
    "socket",
    "tracker",
    "version",
]
