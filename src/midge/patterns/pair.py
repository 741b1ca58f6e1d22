"""PAIR: one peer, both ways (RFC 31); CHANNEL is the same for one-part messages (RFC 51)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from midge.patterns.errors import invalid
from midge.patterns.options import Options
from midge.patterns.pattern import UNWANTED, Pattern
from midge.patterns.pipe import Pipe
from midge.patterns.pipeline import only_single


class Pair(Pattern):
    """Talks to the first peer; another is refused, and may be the first when it comes again."""

    __slots__ = ("_pipe",)
    type_name = "PAIR"

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._pipe: Pipe | None = None

    def attach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.attach`."""
        if self._pipe is not None:
            self._refuse(pipe)
            return
        super().attach(pipe)
        self._pipe = pipe
        self.drained(pipe)

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`."""
        if self._pipe is not pipe:
            self.attach(pipe)
        if self._pipe is pipe:
            super().ready(pipe)

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        super().detach(pipe)
        if self._pipe is pipe:
            self._pipe = None

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`."""
        if pipe is self._pipe:
            super().deliver(pipe, items)
        else:
            self._drop(pipe, UNWANTED, len(items))

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`."""
        pipe = self._pipe
        if pipe is None:
            return False
        outgoing = pipe.outgoing
        mark = pipe.send_mark
        if mark and len(outgoing) + pipe.in_flight >= mark:
            pipe.active = False
            return False
        outgoing.append(item)
        if not pipe.dirty:
            pipe.dirty = True
            self.dirty.append(pipe)
        if mark and len(outgoing) + pipe.in_flight >= mark:
            pipe.active = False
        return True

    def drained(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.drained`."""
        pipe.active = pipe.attached and pipe.room()

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`."""
        return self._pipe is not None and self._pipe.room()

    def may_send(self) -> bool:
        """See :meth:`Pattern.may_send`."""
        return self.can_send()


class Channel(Pair):
    """PAIR for one-part messages."""

    __slots__ = ()
    type_name = "CHANNEL"
    thread_safe = True

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`."""
        if type(item) is list:
            raise invalid("CHANNEL sends messages of one part")
        return super().send(item)

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`."""
        super().deliver(pipe, only_single(self, pipe, items))
