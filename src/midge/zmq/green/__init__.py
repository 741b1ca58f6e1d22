"""midge.zmq for gevent: a call that waits lets other greenlets run.

``import midge.zmq.green as zmq`` is the only change to a program, whether it calls
``monkey.patch_all()`` or not. After that call, sockets of :mod:`midge.zmq` itself do the same, and
there is no thread: gevent's hub runs the sockets (:mod:`midge.zmq.green.runner`).
"""

from __future__ import annotations

try:
    import gevent  # noqa: F401
except ImportError as error:
    raise ModuleNotFoundError(
        "midge.zmq.green needs gevent: pip install gevent", name="gevent"
    ) from error

import midge.zmq as _zmq
from midge.zmq import *  # noqa: F403
from midge.zmq.green.core import Context, Socket  # type: ignore[assignment]
from midge.zmq.green.device import device, proxy
from midge.zmq.green.poll import Poller

__all__ = [*_zmq.__all__]
__all__ += ["Context", "Poller", "Socket", "device", "proxy"]
