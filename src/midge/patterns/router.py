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
from midge.patterns.pattern import FULL, MALFORMED, UNROUTABLE, UNWANTED, Pattern, unreachable
from midge.patterns.pipe import Pipe

NOTIFY_CONNECT: Final = 1
NOTIFY_DISCONNECT: Final = 2


class Dealer(Balanced):
    """Sends to each peer in turn, receives from each in turn."""

    __slots__ = ()
    type_name = "DEALER"
    conflates = True
    greets = True
    tells_of_hiccups = True

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`."""
        super().ready(pipe)
        if self.options.probe_router:
            self._put(pipe, b"")


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

    def _take_given_name(self, pipe: Pipe) -> None:
        """Call a peer that we connect to as CONNECT_ROUTING_ID says, which is used up by that."""
        name = self.options.connect_routing_id
        if name and pipe.connecting and not pipe.routing_id:
            self.options.connect_routing_id = b""
            if name not in self._by_id:
                self._call(pipe, name)
            elif not pipe.ready:  # in the program's connect, which is where the mistake is
                raise invalid("CONNECT_ROUTING_ID names a peer that there is already")

    def _call(self, pipe: Pipe, name: bytes) -> None:
        pipe.routing_id = name
        self._by_id[name] = pipe

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        super().detach(pipe)
        if self._by_id.get(pipe.routing_id) is pipe:
            del self._by_id[pipe.routing_id]

    def drained(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.drained`."""
        pipe.active = pipe.attached and pipe.room()

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`: it depends on the peer."""
        return True

    def may_send(self) -> bool:
        """See :meth:`Pattern.may_send`: it depends on the peer."""
        return True


class Router(Named):
    """See the module. Blocks never; with ROUTER_MANDATORY it says what cannot be sent."""

    __slots__ = ("_here",)
    type_name = "ROUTER"
    greets = True
    tells_of_disconnects = True

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._here: set[Pipe] = set()  # those that are connected and have a name

    def attach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.attach`."""
        self._take_given_name(pipe)
        super().attach(pipe)

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`: the peer gets its name, which it keeps when it comes again."""
        if self._by_id.get(pipe.routing_id) is not pipe and not self._name(pipe):
            return
        if not pipe.attached:
            super().attach(pipe)  # refused the last time, and now its name is free
        super().ready(pipe)
        self.drained(pipe)
        if self.options.probe_router:
            self._put(pipe, b"")
        self._here.add(pipe)
        if self.options.router_raw or self.options.router_notify & NOTIFY_CONNECT:
            Pattern.deliver(self, pipe, [[pipe.routing_id, b""]])

    def _name(self, pipe: Pipe) -> bool:
        """Give the peer its name; false when it cannot have it."""
        name = pipe.routing_id or pipe.identity
        if not name or (name[0] == 0 and name != pipe.routing_id):
            name = self._new_id()  # those with a zero byte are ours to give (RFC 37, metadata)
        other = self._by_id.get(name)
        if other is not None:
            if not self.options.router_handover:
                self._refuse(pipe)
                return False
            # The one who had it until now is closed; what it still says comes under a new name.
            self._here.discard(other)
            other.routing_id = self._new_id()
            self._refuse(other)
        self._call(pipe, name)
        return True

    def lost(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.lost`."""
        super().lost(pipe)
        self._gone(pipe)

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        super().detach(pipe)
        self._gone(pipe)

    def _gone(self, pipe: Pipe) -> None:
        if pipe in self._here:
            self._here.discard(pipe)
            if self.options.router_raw or self.options.router_notify & NOTIFY_DISCONNECT:
                Pattern.deliver(self, pipe, [[pipe.routing_id, b""]])

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`; a peer that was refused its name is not heard."""
        name = pipe.routing_id
        if not name:
            self._drop(pipe, UNWANTED, len(items))
            return
        super().deliver(
            pipe, [[name, *item] if type(item) is list else [name, item] for item in items]
        )

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`; the first part is the routing id of the peer."""
        if type(item) is not list:
            self._drop(None, MALFORMED)  # a name and nothing for it
            return True
        name = item[0]
        pipe = self._by_id.get(name if type(name) is bytes else bytes(name))
        if pipe is None:
            if self.options.router_mandatory:
                raise unreachable("no peer has this routing id")
            self._drop(None, UNROUTABLE)
            return True
        outgoing = pipe.outgoing
        mark = pipe.send_mark
        if mark and len(outgoing) + pipe.in_flight >= mark:
            pipe.active = False
            if self.options.router_mandatory:
                return False
            self._drop(pipe, FULL)
            return True
        outgoing.append(item[1] if len(item) == 2 else item[1:])
        if not pipe.dirty:
            pipe.dirty = True
            self.dirty.append(pipe)
        return True

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`; with ROUTER_MANDATORY: to anybody at all."""
        if not self.options.router_mandatory:
            return True
        return any(pipe.room() for pipe in self._by_id.values())
