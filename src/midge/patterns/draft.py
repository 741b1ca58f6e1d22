"""The newer types: one-part messages, several threads. CLIENT and SERVER (RFC 41), RADIO and DISH
(RFC 48), PEER (RFC 52). SCATTER, GATHER and CHANNEL stand with the types that they are like.

Between program and pattern, a message of SERVER and PEER is two parts, the peer's routing id of
four bytes and the body; one of RADIO and DISH is the group and the body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from midge.limits import ZMTP_SHORT_STRING_BYTES_MAX
from midge.patterns.balance import Balanced
from midge.patterns.errors import invalid, not_supported
from midge.patterns.options import Options
from midge.patterns.pattern import (
    FULL,
    MALFORMED,
    NO_PEER,
    TOO_MANY,
    UNWANTED,
    Pattern,
    unreachable,
)
from midge.patterns.pipe import JOIN, LEAVE, Command, Encoded, Pipe
from midge.patterns.pipeline import only_single
from midge.patterns.prefixes import REFUSED, Prefixes
from midge.patterns.router import Named


class Client(Balanced):
    """DEALER for one-part messages."""

    __slots__ = ()
    type_name = "CLIENT"
    thread_safe = True
    greets = True
    tells_of_hiccups = True

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`."""
        if type(item) is list:
            raise invalid("CLIENT sends messages of one part")
        return super().send(item)

    def send_many(self, items: Sequence[Any]) -> int:
        """See :meth:`Pattern.send_many`."""
        if any(type(item) is list for item in items):
            raise invalid("CLIENT sends messages of one part")
        return super().send_many(items)

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`."""
        super().deliver(pipe, only_single(self, pipe, items))


class Server(Named):
    """Knows its peers by numbers of four bytes."""

    __slots__ = ()
    type_name = "SERVER"
    thread_safe = True
    greets = True
    tells_of_disconnects = True

    def _new_id(self) -> bytes:
        while True:
            self._next_id = self._next_id + 1 & 0xFFFFFFFF
            made = self._next_id.to_bytes(4, "big")
            if self._next_id and made not in self._by_id:
                return made

    def attach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.attach`."""
        super().attach(pipe)
        self._call(pipe, self._new_id())
        self.drained(pipe)

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`."""
        single = only_single(self, pipe, items)
        super().deliver(pipe, [[pipe.routing_id, item] for item in single])

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`."""
        if type(item) is not list or len(item) != 2:
            raise invalid(f"{self.type_name} sends one part to one routing id")
        pipe = self._by_id.get(bytes(item[0]))
        if pipe is None:
            raise unreachable("no peer has this routing id")
        if not pipe.room():
            pipe.active = False
            return False
        self._put(pipe, item[1])
        return True


class Peer(Server):
    """SERVER to its like; it may connect as well."""

    __slots__ = ()
    type_name = "PEER"
    tells_of_hiccups = True


class Radio(Pattern):
    """Sends to those who joined a group; like a publisher, it does not wait."""

    __slots__ = ("_groups", "_open")
    type_name = "RADIO"
    thread_safe = True

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._groups: Prefixes[Pipe] = Prefixes()
        self._open: dict[Pipe, None] = {}  # peers that cannot join and get everything

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`; nobody who listens to datagrams can say what it wants."""
        super().ready(pipe)
        if pipe.socket_type == "UDP":
            self._open[pipe] = None

    def joined(self, pipe: Pipe, group: bytes) -> None:
        """See :meth:`Pattern.joined`."""
        if pipe.attached and self._groups.add(group, pipe) == REFUSED:
            self._drop(pipe, TOO_MANY)

    def left(self, pipe: Pipe, group: bytes) -> None:
        """See :meth:`Pattern.left`."""
        self._groups.remove(group, pipe)

    def lost(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.lost`: it will say again what it wants."""
        self._groups.remove_all(pipe)
        self._open.pop(pipe, None)

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        self.lost(pipe)
        super().detach(pipe)

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`."""
        self._drop(pipe, UNWANTED, len(items))

    def receive(self) -> Any:
        """See :meth:`Pattern.receive`."""
        raise not_supported("RADIO sockets do not receive")

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`."""
        if type(item) is not list or len(item) != 2:
            raise invalid("RADIO sends a group and one part")
        _check_group(item[0])
        targets = self._groups.exactly(bytes(item[0]))
        if self._open:
            targets = {**targets, **self._open}
        if not targets:
            self._drop(None, NO_PEER)
            return True
        what = Encoded(item) if len(targets) > 1 else item
        for pipe in targets:
            if pipe.room():
                self._put(pipe, what)
            else:
                pipe.active = False
                self._drop(pipe, FULL)
        return True

    def drained(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.drained`."""
        pipe.active = pipe.attached and pipe.room()

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`."""
        return True

    def subscriber_count(self, prefix: bytes | None = None) -> int:
        """See :meth:`Pattern.subscriber_count`; of a group, or of any."""
        return len(self._groups.owners(prefix))

    def topics_count(self) -> int:
        """See :meth:`Pattern.topics_count`."""
        return len(self._groups)


class Dish(Pattern):
    """Receives the messages of the groups that it has joined."""

    __slots__ = ("_joined",)
    type_name = "DISH"
    thread_safe = True

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._joined: dict[bytes, None] = {}

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`: say which groups."""
        super().ready(pipe)
        pipe.outgoing.clear()  # what was to be said on a connection that is gone
        for group in self._joined:
            self._put(pipe, Command(JOIN, group))

    def join(self, group: bytes) -> None:
        """See :meth:`Pattern.join`."""
        _check_group(group)
        if group in self._joined:
            raise invalid("this group was joined already")
        self._joined[group] = None
        self._tell(JOIN, group)

    def leave(self, group: bytes) -> None:
        """See :meth:`Pattern.leave`."""
        if group not in self._joined:
            raise invalid("this group was not joined")
        del self._joined[group]
        self._tell(LEAVE, group)

    def _tell(self, kind: int, group: bytes) -> None:
        for pipe in self._pipes:
            if pipe.ready:
                self._put(pipe, Command(kind, group))

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`."""
        whole = [item for item in items if type(item) is list and len(item) == 2]
        joined = self._joined
        wanted = [item for item in whole if bytes(item[0]) in joined]
        super().deliver(pipe, wanted)
        if len(whole) < len(items):
            self._drop(pipe, MALFORMED, len(items) - len(whole))
        if len(wanted) < len(whole):
            self._drop(pipe, UNWANTED, len(whole) - len(wanted))

    def topics_count(self) -> int:
        """See :meth:`Pattern.topics_count`."""
        return len(self._joined)


def _check_group(group: Any) -> None:
    if len(group) > ZMTP_SHORT_STRING_BYTES_MAX:
        raise invalid("the name of a group has at most 255 bytes")
