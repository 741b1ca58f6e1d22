"""pyzmq's name for the room that its sockets are in; here they are in :mod:`midge.zmq` itself."""

from __future__ import annotations

from midge.zmq import context, error, frame, poll, socket, stopwatch, tracker, version
from midge.zmq.constants import DeviceType
from midge.zmq.context import Context, SyncContext
from midge.zmq.error import (
    Again,
    ContextTerminated,
    DraftFDWarning,
    InterruptedSystemCall,
    NotDone,
    ZMQBaseError,
    ZMQBindError,
    ZMQError,
    ZMQVersionError,
)
from midge.zmq.frame import Frame, Message
from midge.zmq.poll import Poller, select
from midge.zmq.proxying import device, proxy
from midge.zmq.socket import Socket, SyncSocket
from midge.zmq.stopwatch import Stopwatch
from midge.zmq.sugar import attrsettr
from midge.zmq.tracker import _FINISHED_TRACKER, MessageTracker
from midge.zmq.version import (
    pyzmq_version,
    pyzmq_version_info,
    zmq_version,
    zmq_version_info,
)

__all__ = [
    "_FINISHED_TRACKER",
    "Again",
    "Context",
    "ContextTerminated",
    "DeviceType",
    "DraftFDWarning",
    "Frame",
    "InterruptedSystemCall",
    "Message",
    "MessageTracker",
    "NotDone",
    "Poller",
    "Socket",
    "Stopwatch",
    "SyncContext",
    "SyncSocket",
    "ZMQBaseError",
    "ZMQBindError",
    "ZMQError",
    "ZMQVersionError",
    "attrsettr",
    "context",
    "device",
    "error",
    "frame",
    "poll",
    "proxy",
    "pyzmq_version",
    "pyzmq_version_info",
    "select",
    "socket",
    "stopwatch",
    "tracker",
    "version",
    "zmq_version",
    "zmq_version_info",
]
