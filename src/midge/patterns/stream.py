"""STREAM: plain TCP peers, each under a routing id; what they send comes in pieces as it came.

A peer has its id from the connect on, and the socket's own ROUTING_ID says which it was last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from midge.patterns.errors import invalid
from midge.patterns.options import Options
from midge.patterns.pattern import Pattern, unreachable
from midge.patterns.pipe import Pipe
from midge.patterns.router import Named


class Stream(Named):
    """Messages have two parts: the routing id, and bytes; none open or close (STREAM_NOTIFY)."""

    __slots__ = ("_here",)
    type_name = "STREAM"

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._here: set[Pipe] = set()  # those that are connected

    def attach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.attach`; who comes again keeps its id."""
        self._take_given_name(pipe)
        if self._by_id.get(pipe.routing_id) is not pipe:
            self._call(pipe, self._new_id())
            self.options.routing_id = pipe.routing_id
        super().attach(pipe)
        self.drained(pipe)

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`."""
        self._here.add(pipe)
        if self.options.stream_notify:
            Pattern.deliver(self, pipe, [[pipe.routing_id, b""]])

    def lost(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.lost`."""
        self._gone(pipe)

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        super().detach(pipe)
        self._gone(pipe)

    def _gone(self, pipe: Pipe) -> None:
        if pipe in self._here:
            self._here.discard(pipe)
            if self.options.stream_notify:
                Pattern.deliver(self, pipe, [[pipe.routing_id, b""]])

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`."""
        super().deliver(pipe, [[pipe.routing_id, item] for item in items])

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`; nothing for a peer closes its connection."""
        if type(item) is not list or len(item) != 2:
            raise invalid("STREAM sends a routing id and one part of data")
        pipe = self._by_id.get(bytes(item[0]))
        if pipe is None:
            raise unreachable("no peer has this routing id")
        if not len(item[1]):
            self.refused.append(pipe)
            return True
        if not pipe.room():
            pipe.active = False
            return False
        self._put(pipe, item[1])
        return True
