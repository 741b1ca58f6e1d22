"""STREAM: plain TCP peers, each under a routing id; what they send comes in pieces as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from midge.patterns.errors import invalid
from midge.patterns.pattern import Pattern, unreachable
from midge.patterns.pipe import Pipe
from midge.patterns.router import Named


class Stream(Named):
    """Messages have two parts: the routing id, and bytes; none open or close (STREAM_NOTIFY)."""

    __slots__ = ()
    type_name = "STREAM"

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`."""
        if not pipe.routing_id:
            pipe.routing_id = pipe.identity or self._new_id()
        self._by_id[pipe.routing_id] = pipe
        self.drained(pipe)
        if self.options.stream_notify:
            Pattern.deliver(self, pipe, [[pipe.routing_id, b""]])

    def lost(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.lost`."""
        self._say_gone(pipe)

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        known = pipe.attached and self._by_id.get(pipe.routing_id) is pipe
        was_ready = known and pipe.routing_id != b""
        super().detach(pipe)
        if was_ready:
            self._say_gone(pipe)

    def _say_gone(self, pipe: Pipe) -> None:
        if self.options.stream_notify and pipe.routing_id:
            Pattern.deliver(self, pipe, [[pipe.routing_id, b""]])

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`."""
        super().deliver(pipe, [[pipe.routing_id, item] for item in items])

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`; nothing for a peer closes its connection."""
        if type(item) is not list or len(item) != 2:
            raise invalid("STREAM sends a routing id and one part of data")
        pipe = self._by_id.get(bytes(item[0]))
        if pipe is None or not pipe.attached:
            raise unreachable("no peer has this routing id")
        if not len(item[1]):
            self.refused.append(pipe)
            return True
        if not pipe.room():
            pipe.active = False
            return False
        self._put(pipe, item[1])
        return True
