"""DEALER and ROUTER: REQ and REP without their order, for who builds something of his own (RFC 28).

ROUTER names each peer by a routing id: the one that the peer gave itself, one that the program gave
it, or one that is made up, a zero byte and four more. The id is the first part of what it receives,
and of what it sends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from midge.patterns.balance import Balanced
from midge.patterns.errors import invalid
from midge.patterns.options import Options
from midge.patterns.pattern import FULL, MALFORMED, UNROUTABLE, Pattern, unreachable
from midge.patterns.pipe import Pipe

NOTIFY_CONNECT: Final = 1
NOTIFY_DISCONNECT: Final = 2


class Dealer(Balanced):
    """Sends to each peer in turn, receives from each in turn."""

    __slots__ = ()
    type_name = "DEALER"

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`."""
        super().ready(pipe)
        if self.options.probe_router:
            self._put(pipe, b"")

    def lost(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.lost`."""
        if self.options.hiccup_message:
            self.deliver(pipe, [self.options.hiccup_message])


class Named(Pattern):
    """A pattern that knows its peers by routing id: ROUTER, STREAM, SERVER, PEER."""

    __slots__ = ("_by_id", "_next_id")

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._by_id: dict[bytes, Pipe] = {}
        self._next_id = int.from_bytes(random(4), "big")

    def _new_id(self) -> bytes:
        while True:
            self._next_id = self._next_id + 1 & 0xFFFFFFFF
            made = b"\0" + self._next_id.to_bytes(4, "big")
            if made not in self._by_id:
                return made

    def attach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.attach`; a name for the next connect is used up."""
        name = self.options.connect_routing_id
        if name and pipe.connecting:
            self.options.connect_routing_id = b""
            if name in self._by_id:
                raise invalid("CONNECT_ROUTING_ID names a peer that there is already")
            pipe.routing_id = name
            self._by_id[name] = pipe
        super().attach(pipe)

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        if self._by_id.get(pipe.routing_id) is pipe:
            del self._by_id[pipe.routing_id]
        super().detach(pipe)

    def drained(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.drained`."""
        pipe.active = pipe.attached and pipe.room()

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`: it depends on the peer."""
        return True


class Router(Named):
    """See the module. Blocks never; with ROUTER_MANDATORY it says what cannot be sent."""

    __slots__ = ()
    type_name = "ROUTER"

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`: the peer gets its name."""
        if not pipe.routing_id and not self._name(pipe):
            return
        if self._by_id.get(pipe.routing_id) is not pipe:
            return
        super().ready(pipe)
        self.drained(pipe)
        if self.options.probe_router:
            self._put(pipe, b"")
        if self.options.router_notify & NOTIFY_CONNECT:
            super().deliver(pipe, [[pipe.routing_id, b""]])

    def _name(self, pipe: Pipe) -> bool:
        """Give the peer its name; false when it cannot have it."""
        name = pipe.identity or self._new_id()
        other = self._by_id.get(name)
        if other is not None and other is not pipe:
            if not self.options.router_handover:
                self._refuse(pipe)
                return False
            # The one who had it until now is closed, and known under a name of its own for what
            # it has sent.
            del self._by_id[name]
            other.routing_id = self._new_id()
            self._refuse(other)
        pipe.routing_id = name
        self._by_id[name] = pipe
        return True

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        name = pipe.routing_id
        known = self._by_id.get(name) is pipe
        super().detach(pipe)
        if known:
            if self.options.router_notify & NOTIFY_DISCONNECT:
                super().deliver(pipe, [[name, b""]])
            if self.options.disconnect_message:
                super().deliver(pipe, [[name, self.options.disconnect_message]])

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`."""
        name = pipe.routing_id
        super().deliver(
            pipe, [[name, *item] if type(item) is list else [name, item] for item in items]
        )

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`; the first part is the routing id of the peer."""
        mandatory = self.options.router_mandatory
        several = type(item) is list
        pipe = self._by_id.get(bytes(item[0] if several else item))
        if pipe is None or not pipe.attached:
            if mandatory:
                raise unreachable("no peer has this routing id")
            self._drop(None, UNROUTABLE)
            return True
        if not several:
            self._drop(pipe, MALFORMED)  # a name and nothing for it
            return True
        mark = pipe.send_mark
        if mark and len(pipe.outgoing) + pipe.in_flight >= mark:
            pipe.active = False
            if mandatory:
                return False
            self._drop(pipe, FULL)
            return True
        pipe.outgoing.append(item[1] if len(item) == 2 else item[1:])
        if not pipe.dirty:
            pipe.dirty = True
            self.dirty.append(pipe)
        return True
