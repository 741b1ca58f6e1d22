"""Whole networks of sockets against plain models, in any order of events.

What holds in each of them: a message arrives once or not at all, whole, in the order of its sender,
where it belongs and nowhere else; and what does not arrive is counted, or was on its way when a
connection broke.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from midge.patterns.errors import SocketError
from midge.patterns.pattern import Pattern
from midge.patterns.pipe import Pipe
from tests.unit.patterns.wire import (
    Net,
    Wire,
    ZmtpWire,
    new_pipe,
    received,
    sent,
    socket,
    take,
)

SHORT = settings(max_examples=40, stateful_step_count=30, deadline=None)
prefixes = st.text("ab", max_size=2).map(str.encode)
wire_kinds = st.sampled_from([Wire, ZmtpWire])


class PubSub(RuleBasedStateMachine):
    """Two publishers and three subscribers that come, go, and change their minds."""

    @initialize(kind=st.sampled_from(["PUB", "XPUB"]), wires=wire_kinds, bound=st.booleans())
    def build(self, kind: str, wires: type[Wire], bound: bool) -> None:
        self.net = Net(wires)
        self.pubs = [socket(kind, send_mark=0) for _ in range(2)]
        self.subs = [socket("SUB", receive_mark=0) for _ in range(3)]
        self.wanted: list[Counter[bytes]] = [Counter() for _ in self.subs]
        self.wires = {
            (p, s): self.net.join(*((sub, pub) if bound else (pub, sub)))
            for p, pub in enumerate(self.pubs)
            for s, sub in enumerate(self.subs)
        }
        self.count = 0

    @rule(s=st.integers(0, 2), prefix=prefixes)
    def subscribe(self, s: int, prefix: bytes) -> None:
        self.subs[s].subscribe(prefix)
        self.wanted[s][prefix] += 1

    @rule(s=st.integers(0, 2), prefix=prefixes)
    def unsubscribe(self, s: int, prefix: bytes) -> None:
        self.subs[s].unsubscribe(prefix)
        self.wanted[s][prefix] = max(self.wanted[s][prefix] - 1, 0)

    @rule(p=st.integers(0, 1), s=st.integers(0, 2))
    def break_or_mend(self, p: int, s: int) -> None:
        wire = self.wires[p, s]
        if wire.up:
            wire.cut()
        else:
            wire.open()

    @rule(p=st.integers(0, 1), heads=st.lists(prefixes, max_size=4), several=st.booleans())
    def publish(self, p: int, heads: list[bytes], several: bool) -> None:
        self.net.run()  # what was asked for is known from here on
        items: list[Any] = []
        for head in heads:
            self.count += 1
            body = b"%d" % self.count
            items.append([head, body] if several else head + body)
        assert self.pubs[p].send_many(items) == len(items)
        self.net.run()
        for s, sub in enumerate(self.subs):
            wanted = [prefix for prefix, times in self.wanted[s].items() if times]
            expected = [
                item
                for item in items
                if self.wires[p, s].up
                and any((item[0] if several else item).startswith(prefix) for prefix in wanted)
            ]
            assert received(sub) == expected

    @rule()
    def look(self) -> None:
        """XPUB has heard of each prefix that is in use, and of no other."""
        self.net.run()
        for p, pub in enumerate(self.pubs):
            in_use = {
                prefix
                for s, wanted in enumerate(self.wanted)
                for prefix, times in wanted.items()
                if times and self.wires[p, s].up
            }
            assert pub.topics_count() == len(in_use)
            if pub.type_name == "XPUB":
                for item in received(pub):
                    known: set[bytes] = self.__dict__.setdefault(f"known{p}", set())
                    assert (item[1:] in known) == (item[:1] == b"\0")
                    (known.add if item[:1] == b"\1" else known.discard)(item[1:])
                assert self.__dict__.get(f"known{p}", set()) == in_use


class Rotation(RuleBasedStateMachine):
    """PUSH against a list: who is next, who is full, who waits."""

    @initialize(mark=st.integers(0, 3))
    def build(self, mark: int) -> None:
        self.mark = mark
        self.push = socket("PUSH", send_mark=mark)
        self.turn: list[Pipe] = []
        self.waiting: dict[Pipe, list[bytes]] = {}
        self.count = 0

    @rule(connecting=st.booleans())
    def come(self, connecting: bool) -> None:
        pipe = new_pipe(self.push, connecting)
        self.push.attach(pipe)
        self.turn.append(pipe)
        self.waiting[pipe] = []

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        pipe = data.draw(st.sampled_from(list(self.waiting)))
        self.push.detach(pipe)
        if pipe in self.turn:
            self.turn.remove(pipe)
        assert pipe.dropped.get("peer-gone", 0) == len(self.waiting.pop(pipe))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), flight=st.integers(0, 2))
    def write(self, data: st.DataObject, flight: int) -> None:
        """The wire takes everything, and keeps some of it for itself."""
        pipe = data.draw(st.sampled_from(list(self.waiting)))
        taken = sent(pipe)
        assert taken == self.waiting[pipe]
        self.waiting[pipe].clear()
        pipe.in_flight = min(flight, len(taken))
        take(self.push, pipe)
        if pipe not in self.turn and (not self.mark or pipe.in_flight < self.mark):
            self.turn.append(pipe)

    @rule(several=st.integers(0, 3))
    def send(self, several: int) -> None:
        items = [b"%d" % (self.count + number) for number in range(several)]
        accepted = self.push.send_many(items) if several != 1 else int(self.push.send(items[0]))
        self.count += accepted
        for item in items[:accepted]:
            pipe = self.turn.pop(0)
            self.waiting[pipe].append(item)
            if not self.mark or len(self.waiting[pipe]) + pipe.in_flight < self.mark:
                self.turn.append(pipe)
        assert accepted == several or not self.turn

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "push"):
            assert self.push.can_send() == bool(self.turn)
            assert {pipe for pipe in self.waiting if pipe.active} == set(self.turn)
            for pipe, items in self.waiting.items():
                assert sent(pipe) == items
                assert pipe.dirty or not items


class Pipelines(RuleBasedStateMachine):
    """PUSH and PULL over wires with marks: everything arrives, or is where it was lost."""

    @initialize(marks=st.tuples(st.integers(0, 4), st.integers(0, 4)), wires=wire_kinds)
    def build(self, marks: tuple[int, int], wires: type[Wire]) -> None:
        self.net = Net(wires)
        self.pushes = [socket("PUSH", send_mark=marks[0]) for _ in range(2)]
        self.pulls = [socket("PULL", receive_mark=marks[1]) for _ in range(2)]
        for number, push in enumerate(self.pushes):
            for pull in self.pulls:
                self.net.join(*((push, pull) if number else (pull, push)))
        self.accepted: list[list[bytes]] = []
        self.found: list[list[bytes]] = []
        self.last: dict[tuple[int, bytes], int] = {}

    @rule(p=st.integers(0, 1), count=st.integers(1, 4))
    def send(self, p: int, count: int) -> None:
        for _ in range(count):
            item = [b"%d" % p, b"%d" % len(self.accepted)]
            if not self.pushes[p].send(item):
                break
            self.accepted.append(item)

    @rule()
    def run(self) -> None:
        self.net.run()

    @rule(p=st.integers(0, 1), limit=st.integers(1, 5))
    def receive(self, p: int, limit: int) -> None:
        for item in self.pulls[p].receive_many(limit):
            assert item in self.accepted
            assert item not in self.found
            number = int(item[1])
            assert self.last.get((p, item[0]), -1) < number
            self.last[p, item[0]] = number
            self.found.append(item)

    @rule(w=st.integers(0, 3))
    def mend(self, w: int) -> None:
        if not self.net.wires[w].up:
            self.net.wires[w].open()

    @rule(w=st.integers(0, 3))
    def break_when_idle(self, w: int) -> None:
        """What the wire has taken may be lost with it; what the pipe has may not."""
        wire = self.net.wires[w]
        self.net.run()
        if wire.up and not any(wire.flights):
            wire.cut()

    def teardown(self) -> None:
        if not hasattr(self, "net"):
            return
        for wire in self.net.wires:
            if not wire.up:
                wire.open()
        before = -1
        while before != len(self.found):
            before = len(self.found)
            self.net.run()
            for p in range(2):
                self.receive(p, 1000)
        lost = sum(push.dropped.get("peer-gone", 0) for push in self.pushes)
        assert len(self.found) + lost == len(self.accepted)


class Conversations(RuleBasedStateMachine):
    """Impatient clients, two proxies' worth of envelopes, workers, and connections that break."""

    @initialize(wires=wire_kinds)
    def build(self, wires: type[Wire]) -> None:
        self.net = Net(wires)
        self.clients = [
            socket("REQ", seed, req_relaxed=True, req_correlate=True) for seed in (1, 2)
        ]
        self.workers = [socket("REP", seed) for seed in (3, 4)]
        self.front, self.back = socket("ROUTER"), socket("DEALER")
        for client in self.clients:
            self.net.join(client, self.front)
        for number, worker in enumerate(self.workers):
            self.net.join(*((worker, self.back) if number else (self.back, worker)))
        self.asked: list[Any] = [None, None]
        self.count = 0

    @rule(c=st.integers(0, 1), several=st.booleans())
    def ask(self, c: int, several: bool) -> None:
        self.count += 1
        body = b"%d of %d" % (self.count, c)
        question = [body, b""] if several else body
        assert self.clients[c].can_send()
        assert self.clients[c].send(question)
        self.asked[c] = question

    @rule()
    def relay(self) -> None:
        self.net.run()
        for one, other in ((self.front, self.back), (self.back, self.front)):
            while other.can_send() and (item := one.receive()) is not None:
                assert other.send(item)
        self.net.run()

    @rule(w=st.integers(0, 1))
    def work(self, w: int) -> None:
        worker = self.workers[w]
        if worker.can_receive():
            worker.send([b"re", *_parts(worker.receive())])

    @rule(c=st.integers(0, 1))
    def hear(self, c: int) -> None:
        client = self.clients[c]
        if client.can_receive():
            assert client.receive() == [b"re", *_parts(self.asked[c])]
            self.asked[c] = None

    @rule(w=st.integers(0, 3))
    def break_and_mend(self, w: int) -> None:
        wire = self.net.wires[w]
        if wire.up:
            wire.cut()
        wire.open()

    @precondition(lambda self: hasattr(self, "net"))
    @rule(c=st.integers(0, 1))
    def everything_works_again_when_nothing_breaks(self, c: int) -> None:
        self.ask(c, False)
        for _ in range(6):
            self.relay()
            for w in range(2):
                while self.workers[w].can_receive():
                    self.work(w)
        assert self.clients[c].can_receive()
        self.hear(c)


def _parts(item: Any) -> list[bytes]:
    return item if isinstance(item, list) else [item]


class Names(RuleBasedStateMachine):
    """A ROUTER whose peers take names from each other: a message goes to who has the name now."""

    @initialize(handover=st.booleans(), mandatory=st.booleans())
    def build(self, handover: bool, mandatory: bool) -> None:
        self.router: Pattern = socket(
            "ROUTER", router_handover=handover, router_mandatory=mandatory, send_mark=2
        )
        self.handover = handover
        self.mandatory = mandatory
        self.holders: dict[bytes, Pipe] = {}
        self.others: list[Pipe] = []
        self.waiting: Counter[Pipe] = Counter()

    @rule(name=st.sampled_from([b"ann", b"bob", b""]))
    def come(self, name: bytes) -> None:
        pipe = new_pipe(self.router, identity=name)
        self.router.attach(pipe)
        pipe.ready = True
        self.router.ready(pipe)
        holder = self.holders.get(name)
        if holder is None or self.handover:
            assert self.router.refused == ([holder] if holder is not None else [])
            if holder is not None:
                self.others.append(holder)
            self.holders[pipe.routing_id] = pipe
            assert pipe.routing_id == (name or pipe.routing_id)
        else:
            assert self.router.refused == [pipe]
            self.others.append(pipe)
        self.router.refused.clear()

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.holders)))
        pipe = self.holders.pop(name)
        self.router.detach(pipe)
        assert pipe.dropped.get("peer-gone", 0) == self.waiting.pop(pipe, 0)

    @precondition(lambda self: self.others)
    @rule()
    def refused_ones_go(self) -> None:
        self.router.detach(self.others.pop())

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        pipe = data.draw(st.sampled_from(list(self.holders.values())))
        take(self.router, pipe)
        del self.waiting[pipe]

    @rule(name=st.sampled_from([b"ann", b"bob", b"\0none"]))
    def send(self, name: bytes) -> None:
        holder = self.holders.get(name)
        before = Counter(self.router.dropped)
        accepted: bool | None = None
        with suppress(SocketError):
            accepted = self.router.send([name, b"for " + name])
        dropped = Counter(self.router.dropped) - before
        if holder is None:
            assert (accepted, dropped) == (
                (None, {}) if self.mandatory else (True, {"unroutable": 1})
            )
        elif self.waiting[holder] == 2:
            assert (accepted, dropped) == ((False, {}) if self.mandatory else (True, {"full": 1}))
        else:
            assert (accepted, dropped) == (True, {})
            self.waiting[holder] += 1
            assert sent(holder)[-1] == b"for " + name

    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        pipes = [*self.holders.values(), *self.others]
        if not pipes:
            return
        pipe = data.draw(st.sampled_from(pipes))
        self.router.deliver(pipe, [b"x"])
        heard = received(self.router)
        if pipe in self.others:
            assert all(name not in self.holders for name, _ in heard)
        else:
            [[name, _]] = heard
            assert self.holders[name] is pipe

    @invariant()
    def can_send(self) -> None:
        if hasattr(self, "router"):
            room = any(self.waiting[pipe] < 2 for pipe in self.holders.values())
            assert self.router.can_send() == (room or not self.mandatory)


for machine in (PubSub, Rotation, Pipelines, Conversations, Names):
    machine.TestCase.settings = SHORT
TestPubSub = PubSub.TestCase
TestRotation = Rotation.TestCase
TestPipelines = Pipelines.TestCase
TestConversations = Conversations.TestCase
TestNames = Names.TestCase
