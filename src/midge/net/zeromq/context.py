"""What the engines of one ZeroMQ context share: the names of inproc, and chance.

Engines of one context may live on different threads and loops, so that what is here is guarded by a
lock of its own. It is held for a look into a table, never while anything of an engine is called.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from midge.limits import ZMQ_INPROC_WAITING_MAX

if TYPE_CHECKING:
    from midge.net.zeromq.inproc import InprocListener, InprocWire


class EngineContext:
    """See the module.

    Attributes:
        random: gives as many unpredictable bytes as it is asked for.
    """

    __slots__ = ("_bound", "_lock", "_waiting", "random")

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self.random = random
        # It may be taken again: a finalizer can unbind while this thread looks a name up.
        self._lock = threading.RLock()
        self._bound: dict[str, InprocListener] = {}
        self._waiting: dict[str, list[InprocWire]] = {}

    def chance(self) -> float:
        """A number from 0 up to 1, for delays that shall differ."""
        return int.from_bytes(self.random(2), "big") / 65536

    def bind_inproc(self, name: str, listener: InprocListener) -> list[InprocWire] | None:
        """Take a name. Returns who waits for it, or ``None`` when it is taken already."""
        with self._lock:
            if name in self._bound:
                return None
            self._bound[name] = listener
            return self._waiting.pop(name, [])

    def unbind_inproc(self, name: str, listener: InprocListener) -> None:
        """Give a name back."""
        with self._lock:
            if self._bound.get(name) is listener:
                del self._bound[name]

    def find_inproc(self, name: str, wire: InprocWire | None = None) -> InprocListener | None:
        """Who has bound a name; when nobody has, ``wire`` waits for it."""
        with self._lock:
            found = self._bound.get(name)
            if found is None and wire is not None:
                waiting = self._waiting.setdefault(name, [])
                if len(waiting) < ZMQ_INPROC_WAITING_MAX:
                    waiting.append(wire)
            return found

    def forget_inproc(self, name: str, wire: InprocWire) -> None:
        """``wire`` waits no longer."""
        with self._lock:
            waiting = self._waiting.get(name)
            if waiting is not None and wire in waiting:
                waiting.remove(wire)
                if not waiting:
                    del self._waiting[name]
