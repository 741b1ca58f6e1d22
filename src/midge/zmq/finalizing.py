"""What finalizers do: not where they run, if that is a thread that sockets live from.

The garbage collector runs in whichever thread happens to allocate something, the I/O thread of a
context among them, in the middle of its work. There nothing may wait for sockets that only this
thread can empty, nor may a socket be closed under its feet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from midge.net.zeromq.io_thread import in_io_thread


def finalize(end: Callable[[], None]) -> None:
    """Close something, here or in a thread of its own."""
    if in_io_thread():
        threading.Thread(target=end, name="midge-zmq-end", daemon=True).start()
    else:
        end()
