"""Patterns joined in memory: what an engine does, without sockets.

A :class:`Net` holds sockets and wires. A wire takes a batch from a pipe when the pattern has marked
it dirty and the last batch has arrived, and stops in front of a pipe that is at its mark, until the
pattern says that there is room: so a mark that is forgotten leaves a message behind, and a test
fails. A :class:`ZmtpWire` sends the same through two connections, in pieces of any size.
"""

from __future__ import annotations

import random as random_module
from collections import deque
from collections.abc import Sequence
from typing import Any

from midge.patterns.options import Options
from midge.patterns.pattern import Pattern, create
from midge.patterns.pipe import CANCEL, JOIN, LEAVE, SUBSCRIBE, Command, Encoded, Pipe
from midge.zmtp import events as ev
from midge.zmtp.connection import Connection
from midge.zmtp.settings import Settings

NOW = 1000.0


def socket(type_name: str, seed: int = 1, **options: Any) -> Pattern:
    """A socket type's logic, with options by attribute."""
    values = Options()
    for name, value in options.items():
        setattr(values, name, value)
    return create(type_name, values, random_module.Random(seed).randbytes)


def new_pipe(pattern: Pattern, connecting: bool = False, **attributes: Any) -> Pipe:
    """A pipe as an engine makes it for a socket."""
    options = pattern.options
    pipe = Pipe(options.send_mark, options.receive_mark, connecting=connecting)
    for name, value in attributes.items():
        setattr(pipe, name, value)
    return pipe


def peer(pattern: Pattern, connecting: bool = False, **attributes: Any) -> Pipe:
    """A pipe to a peer of which there is nothing else; it has shaken hands."""
    pipe = new_pipe(pattern, connecting, **attributes)
    pattern.attach(pipe)
    pipe.ready = True
    pattern.ready(pipe)
    return pipe


def sent(pipe: Pipe) -> list[Any]:
    """What waits for a peer, messages and commands as they would be on the wire."""
    return [plain(item) for item in pipe.outgoing]


def plain(item: Any) -> Any:
    """An item without its wrapping; a command as its kind and data."""
    if type(item) is Encoded:
        return item.item
    if type(item) is Command:
        return item.kind, item.data
    return item


def take(pattern: Pattern, pipe: Pipe) -> list[Any]:
    """Take what waits for a peer, as its wire does when everything fits."""
    found = sent(pipe)
    pipe.outgoing.clear()
    pattern.dirty = [one for one in pattern.dirty if one is not pipe]
    pipe.dirty = False
    if not pipe.active:
        pattern.drained(pipe)
    return found


def received(pattern: Pattern) -> list[Any]:
    """Everything that a socket has received."""
    found = []
    while (item := pattern.receive()) is not None:
        found.append(item)
    return found


class Wire:
    """Two pipes and what is between them; the first end connects, the second one is bound."""

    def __init__(self, connecting: Pattern, bound: Pattern) -> None:
        self.patterns = (connecting, bound)
        self.flights: tuple[deque[Any], deque[Any]] = (deque(), deque())
        self.told = [False, False]
        self.up = False
        self.near = new_pipe(connecting, connecting=True, owner=self)
        self.far = new_pipe(bound, owner=self)
        if not connecting.options.immediate:
            connecting.attach(self.near)

    @property
    def pipes(self) -> tuple[Pipe, Pipe]:
        return self.near, self.far

    def open(self) -> None:
        """Shake hands, for the first time or again."""
        assert not self.up
        self.up = True
        near, far = self.patterns
        if self.far.attached or self.far.ready or self.far.dropped:
            self.far = new_pipe(far, owner=self)
        for ours, theirs, pipe in ((near, far, self.near), (far, near, self.far)):
            pipe.socket_type = theirs.type_name
            pipe.identity = theirs.options.routing_id
            pipe.ready = True
            if not pipe.attached and (pipe is self.far or ours.options.immediate):
                ours.attach(pipe)
            ours.ready(pipe)

    def cut(self) -> None:
        """Lose the connection; who connects may come again, who is bound forgets."""
        if not self.up:
            return
        self.up = False
        for flight in self.flights:
            flight.clear()
        near, far = self.patterns
        for pipe in self.pipes:
            pipe.ready = False
            pipe.in_flight = 0
            pipe.paused = False
        self.told[1] = False
        if near.options.immediate:
            near.detach(self.near)
        else:
            near.lost(self.near)
        far.detach(self.far)

    def drop(self) -> None:
        """The same, and the connecting end gives up as well."""
        self.cut()
        self.patterns[0].detach(self.near)

    def move(self) -> bool:
        """Carry what can be carried; whether there was anything."""
        if not self.up:
            return False
        there, back = self._move(0), self._move(1)
        return there or back

    def _move(self, side: int) -> bool:
        pipe, other = self.pipes[side], self.pipes[1 - side]
        flight = self.flights[side]
        moved = False
        if self.told[side] and not flight:
            self.told[side] = False
            flight.extend(pipe.outgoing)
            pipe.outgoing.clear()
            moved = bool(flight)
        while flight and not other.paused and self.up:
            self.carry(side, flight)
            moved = True
            if 0 < other.receive_mark <= len(other.incoming):
                other.paused = True
        pipe.in_flight = len(flight)
        if not pipe.active and pipe.attached and pipe.room():
            self.patterns[side].drained(pipe)
        if pipe.outgoing and not flight:
            self.told[side] = True
        return moved

    def carry(self, side: int, flight: deque[Any]) -> None:
        """Bring one item over."""
        tell(self.patterns[1 - side], self.pipes[1 - side], plain(flight.popleft()))


def tell(pattern: Pattern, pipe: Pipe, item: Any) -> None:
    """What an engine tells a pattern that has an item."""
    if type(item) is not tuple:
        pattern.deliver(pipe, [item])
        return
    kind, data = item
    {
        SUBSCRIBE: pattern.subscribed,
        CANCEL: pattern.cancelled,
        JOIN: pattern.joined,
        LEAVE: pattern.left,
    }[kind](pipe, data)


class ZmtpWire(Wire):
    """A wire whose items are bytes on their way."""

    chunk_sizes: Sequence[int] = (1,)

    def open(self) -> None:
        self.conns = tuple(
            Connection(Settings(one.type_name, identity=one.options.routing_id), NOW)
            for one in self.patterns
        )
        self._turn = 0
        for _ in range(4):
            self._exchange(0)
            self._exchange(1)
        super().open()

    def carry(self, side: int, flight: deque[Any]) -> None:
        conn = self.conns[side]
        while flight:
            item = flight.popleft()
            if type(item) is Encoded:
                conn.send_encoded(item.data)
            elif type(item) is Command:
                _send_command(conn, item)
            elif type(item) is list:
                conn.send_multipart(item)
            else:
                conn.send(item)
        self._exchange(side)

    def _exchange(self, side: int) -> None:
        data = b"".join(self.conns[side].data_to_send())
        while data:
            size = max(self.chunk_sizes[self._turn % len(self.chunk_sizes)], 1)
            self._turn += 1
            chunk, data = data[:size], data[size:]
            for event in self.conns[1 - side].receive_data(chunk, NOW):
                self._heed(1 - side, event)

    def _heed(self, side: int, event: ev.Event) -> None:
        pattern, pipe = self.patterns[side], self.pipes[side]
        if isinstance(event, ev.Messages):
            pattern.deliver(pipe, event.items)
        elif isinstance(event, ev.Subscribe):
            pattern.subscribed(pipe, event.prefix)
        elif isinstance(event, ev.Cancel):
            pattern.cancelled(pipe, event.prefix)
        elif isinstance(event, ev.Join):
            pattern.joined(pipe, event.group)
        elif isinstance(event, ev.Leave):
            pattern.left(pipe, event.group)
        else:
            assert isinstance(event, ev.Ready), event


def _send_command(conn: Connection, command: Command) -> None:
    verbs = {
        SUBSCRIBE: conn.subscribe,
        CANCEL: conn.cancel,
        JOIN: conn.join,
        LEAVE: conn.leave,
    }
    verbs[command.kind](command.data)


class Net:
    """Sockets and the wires between them."""

    def __init__(self, wires: type[Wire] = Wire) -> None:
        self.kind = wires
        self.wires: list[Wire] = []

    def join(self, connecting: Pattern, bound: Pattern) -> Wire:
        """Connect one socket to another, handshake included."""
        wire = self.kind(connecting, bound)
        self.wires.append(wire)
        wire.open()
        self.run()
        return wire

    def run(self) -> None:
        """Do what the patterns have marked, until they mark nothing more."""
        for _ in range(10_000):
            self.heed_marks()
            moved = [wire.move() for wire in self.wires]
            if not any(moved) and not any(self._marked()):
                return
        raise AssertionError("the sockets never fall silent")

    def _marked(self) -> list[bool]:
        patterns = {id(one): one for wire in self.wires for one in wire.patterns}.values()
        return [bool(one.dirty or one.resumed or one.refused) for one in patterns]

    def heed_marks(self) -> None:
        for wire in list(self.wires):
            for pattern in wire.patterns:
                for pipe in pattern.dirty:
                    assert pipe.dirty
                    pipe.dirty = False
                    owner = pipe.owner
                    if isinstance(owner, Wire) and pipe in owner.pipes:
                        owner.told[owner.pipes.index(pipe)] = True
                pattern.dirty.clear()
                pattern.resumed.clear()
                for pipe in list(pattern.refused):
                    if isinstance(pipe.owner, Wire):
                        pipe.owner.cut()
                pattern.refused.clear()
