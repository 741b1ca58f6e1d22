"""ZeroMQ with the names of pyzmq: ``import midge.zmq as zmq`` is the only change to a program.

Sockets speak ZMTP with any libzmq peer; there is no libzmq here. What pyzmq does not have:
``Socket.stats``, ``wait_peers``, ``wait_subscribed``, ``send_many``, ``recv_many``, and sockets
that can be iterated over.
"""

from __future__ import annotations

from typing import Final

from midge.zmq import constants
from midge.zmq.constants import *  # noqa: F403
from midge.zmq.context import Context, SyncContext
from midge.zmq.curve import curve_keypair, curve_public
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
    strerror,
)
from midge.zmq.frame import Frame, Message
from midge.zmq.poll import Poller, select, zmq_poll
from midge.zmq.proxying import device, proxy, proxy_steerable
from midge.zmq.socket import COPY_THRESHOLD, Socket, SyncSocket
from midge.zmq.stopwatch import Stopwatch
from midge.zmq.tracker import _FINISHED_TRACKER, MessageTracker
from midge.zmq.version import (
    __revision__,
    __version__,
    pyzmq_version,
    pyzmq_version_info,
    zmq_version,
    zmq_version_info,
)

#: The newer socket types are there.
DRAFT_API: Final = True
PYZMQ_DRAFT_API: Final = True
#: The longest path of an ipc endpoint.
IPC_PATH_MAX_LEN: Final = 107


def has(capability: str) -> bool:
    """Whether something is supported: ``"ipc"``, ``"curve"``, ``"draft"``, ``"ws"``, ..."""
    name = capability.lower()
    if name == "curve":
        return _installed("nacl")
    if name in ("ws", "wss"):
        return _installed("wsproto")
    return name in ("ipc", "draft", "tcp", "inproc", "udp")


def get_includes() -> list[str]:
    """Directories with libzmq's headers: none, for there is no libzmq to build against."""
    return []


def get_library_dirs() -> list[str]:
    """Directories with libzmq itself: none."""
    return []


def _installed(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def zmq_errno() -> int:
    """Kept for its name: errors come as exceptions, so there is no last one."""
    return 0


# They look at the names above.
from midge.zmq import backend, sugar, utils  # noqa: E402

__all__ = [
    "COPY_THRESHOLD",
    "DRAFT_API",
    "IPC_PATH_MAX_LEN",
    "PYZMQ_DRAFT_API",
    "_FINISHED_TRACKER",
    "Again",
    "Context",
    "ContextTerminated",
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
    "__revision__",
    "__version__",
    "backend",
    "constants",
    "curve_keypair",
    "curve_public",
    "device",
    "get_includes",
    "get_library_dirs",
    "has",
    "proxy",
    "proxy_steerable",
    "pyzmq_version",
    "pyzmq_version_info",
    "select",
    "strerror",
    "sugar",
    "utils",
    "zmq_errno",
    "zmq_poll",
    "zmq_version",
    "zmq_version_info",
]
__all__ += constants.__all__
