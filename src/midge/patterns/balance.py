"""Sending to one peer at a time, to each that has room in turn: PUSH, DEALER, REQ and their kin.

A peer at its mark leaves the rotation, and comes back when its wire has made room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from midge.patterns.options import Options
from midge.patterns.pattern import Pattern
from midge.patterns.pipe import Pipe


class Balanced(Pattern):
    """A pattern that sends round robin."""

    __slots__ = ("_active",)

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._active: deque[Pipe] = deque()

    def attach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.attach`."""
        super().attach(pipe)
        self.drained(pipe)

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        if pipe.active:
            self._active.remove(pipe)
        super().detach(pipe)

    def drained(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.drained`."""
        if not pipe.active and pipe.attached and (pipe.conflate or pipe.room()):
            pipe.active = True
            self._active.append(pipe)

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`."""
        active = self._active
        if not active:
            return False
        pipe = active[0]
        outgoing = pipe.outgoing
        if pipe.conflate:
            self._replace(pipe, item)
            active.rotate(-1)
            return True
        outgoing.append(item)
        if not pipe.dirty:
            pipe.dirty = True
            self.dirty.append(pipe)
        mark = pipe.send_mark
        if mark and len(outgoing) + pipe.in_flight >= mark:
            active.popleft()
            pipe.active = False
        elif len(active) > 1:
            active.rotate(-1)
        return True

    def send_many(self, items: Sequence[Any]) -> int:
        """See :meth:`Pattern.send_many`; to one peer, in one go."""
        active = self._active
        if len(active) != 1 or active[0].conflate or not items:
            return super().send_many(items)
        pipe = active[0]
        outgoing = pipe.outgoing
        mark = pipe.send_mark
        count = len(items)
        if mark:
            count = min(count, mark - len(outgoing) - pipe.in_flight)
        outgoing.extend(items if count == len(items) else items[:count])
        if not pipe.dirty:
            pipe.dirty = True
            self.dirty.append(pipe)
        if mark and len(outgoing) + pipe.in_flight >= mark:
            active.popleft()
            pipe.active = False
        return count

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`."""
        return bool(self._active)

    def may_send(self) -> bool:
        """See :meth:`Pattern.may_send`."""
        return self.can_send()
