"""PUSH and PULL: work goes to the next peer with room, and comes from each in turn (RFC 30).

SCATTER and GATHER are the same for one-part messages and several threads (RFC 49).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from midge.patterns.balance import Balanced
from midge.patterns.errors import invalid, not_supported
from midge.patterns.pattern import MALFORMED, UNWANTED, Pattern
from midge.patterns.pipe import Pipe


class Push(Balanced):
    """Sends; blocks while no peer has room."""

    __slots__ = ()
    type_name = "PUSH"
    conflates = True

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`: nobody may send to this type."""
        self._drop(pipe, UNWANTED, len(items))

    def receive(self) -> Any:
        """See :meth:`Pattern.receive`."""
        raise not_supported(f"{self.type_name} sockets do not receive")


class Pull(Pattern):
    """Receives, from each peer in turn."""

    __slots__ = ()
    type_name = "PULL"
    conflates = True


class Scatter(Push):
    """PUSH for one-part messages."""

    __slots__ = ()
    type_name = "SCATTER"
    thread_safe = True
    conflates = False

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`."""
        if type(item) is list:
            raise invalid("SCATTER sends messages of one part")
        return super().send(item)

    def send_many(self, items: Sequence[Any]) -> int:
        """See :meth:`Pattern.send_many`."""
        if any(type(item) is list for item in items):
            raise invalid("SCATTER sends messages of one part")
        return super().send_many(items)


class Gather(Pull):
    """PULL for one-part messages."""

    __slots__ = ()
    type_name = "GATHER"
    thread_safe = True
    conflates = False

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`; messages of several parts are not for this type."""
        super().deliver(pipe, only_single(self, pipe, items))


def only_single(pattern: Pattern, pipe: Pipe, items: Sequence[Any]) -> Sequence[Any]:
    """Those of the messages that have one part; the others are dropped, as RFC 41 and 49 say."""
    if list not in set(map(type, items)):
        return items
    single = [item for item in items if type(item) is not list]
    pattern._drop(pipe, MALFORMED, len(items) - len(single))
    return single
