"""A shared subscription against a ledger: each message reaches one member, whoever comes and goes.

Members take at QoS 0, 1 and 2, with sessions that last and sessions that do not; they leave with
messages in their hands; rules bar some of them from the topic. One of them lasts and is never
barred, so that nothing may be dropped for want of a member. Nobody gets what somebody has done;
what is given a second time at QoS 1 is marked (at QoS 0 there is no mark, and at QoS 2 it begins an
exchange of its own); in the end nothing is missing.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from midge.auth.base import ALLOWED, DELIVER, DENY, Authorizer, Decision, Identity
from midge.broker.consumer import Consumer
from midge.broker.groups import Group
from midge.broker.queue_consumers import Member
from midge.broker.queue_item import Item
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.store.memory import MemoryStore
from midge.testing.pair import Peer, World

#: Name, QoS, whether the session lasts. At QoS 2 a message is its member's own, and would end with
#: a session that does not.
MEMBERS = {"anchor": (1, True), "b": (1, False), "c": (2, True), "d": (0, False), "e": (1, True)}


class Rules(Authorizer):
    """Lets everybody do everything, but gives nothing of the topic to those who are barred."""

    def __init__(self) -> None:
        self.barred: frozenset[str] = frozenset()

    def authorize(self, identity: Identity, action: int, topic: str) -> Decision:
        barred = action == DELIVER and identity.client_id in self.barred
        return Decision(DENY) if barred else ALLOWED


class GroupModel(RuleBasedStateMachine):
    durable = False

    def __init__(self) -> None:
        super().__init__()
        self.rules = Rules()
        self.world = World(
            store=MemoryStore() if self.durable else None,
            authorizer=self.rules,
            queued_messages_max=0,
        )
        self.publisher = self.world.connect("publisher")
        self.members: dict[str, Peer] = {}
        self.sent: list[bytes] = []
        self.held: set[bytes] = set()
        self.done: set[bytes] = set()
        self.connect("anchor", 2)

    def connect(self, name: str, window: int) -> None:
        qos, lasts = MEMBERS[name]
        peer = self.world.connect(
            name,
            clean_start=not lasts,
            properties=Properties.of(
                receive_maximum=window, session_expiry_interval=100_000 if lasts else 0
            ),
        )
        peer.send(p.Subscribe(1000, [p.SubscribeTo("$share/g/t", qos)]))
        self.members[name] = peer

    def read(self, name: str, answers: bool) -> int:
        """Take what is there; what comes for the answers is taken by the next one who reads."""
        peer = self.members[name]
        packets = peer.take()
        for packet in packets:
            if isinstance(packet, p.Publish):
                assert name not in self.rules.barred, "it may not have that"
                known = packet.payload in self.held
                assert not known or packet.dup or packet.qos != 1, "it was not marked"
                assert packet.payload not in self.done, "it was given to two"
                self.held.add(packet.payload)
                if answers or not packet.qos:
                    self.done.add(packet.payload)
                if answers and packet.qos:
                    answer = p.Puback if packet.qos == 1 else p.Pubrec
                    peer.send(answer(packet.packet_id))
            elif isinstance(packet, p.Pubrel):
                peer.send(p.Pubcomp(packet.packet_id))
        return len(packets)

    @rule(qos=st.integers(1, 2), count=st.integers(1, 5))
    def publish(self, qos: int, count: int) -> None:
        for _ in range(count):
            self.sent.append(b"%d" % len(self.sent))
            self.publisher.publish("t", self.sent[-1], qos)

    @rule(name=st.sampled_from(list(MEMBERS)), window=st.integers(1, 4))
    def come(self, name: str, window: int) -> None:
        if name not in self.members:
            self.connect(name, window)

    @rule(barred=st.frozensets(st.sampled_from(["b", "d", "e"])))
    def change_rules(self, barred: frozenset[str]) -> None:
        """Who may not have the topic from here on; what is on its way to it is read before."""
        while sum(self.read(name, answers=True) for name in self.members):
            pass
        self.rules.barred = barred
        self.world.broker.set_rules(None, self.rules)
        self.world.advance(0.1)

    @precondition(lambda self: self.members)
    @rule(data=st.data(), answers=st.booleans())
    def take(self, data: st.DataObject, answers: bool) -> None:
        name = data.draw(st.sampled_from(list(self.members)))
        # Who does not answer leaves: an answer that never comes is a message that is never done.
        self.read(name, answers)
        if not answers:
            self.members.pop(name).drop()

    @invariant()
    def what_waits_is_counted(self) -> None:
        group = self.group()
        sessions = [self.world.broker.sessions.get(name) for name in MEMBERS]
        on_their_way = [
            item
            for session in sessions
            if session is not None
            for item in session.outbox.outgoing.waiting.values()
            if isinstance(item, Item)
        ]
        assert group.in_flight == len(on_their_way) == len(set(on_their_way))
        ready = group.ready
        aside = len(group._aside)
        assert group.waiting == aside + len(ready.fifo) + sum(map(len, ready.heaps)) + ready.paged
        if group.waiting:
            assert not any(self.may_get_more(one) for one in group.consumers)

    def may_get_more(self, consumer: Consumer) -> bool:
        assert isinstance(consumer, Member)
        barred = consumer.subscription.session.client_id in self.rules.barred
        return consumer.has_credit() and not barred

    def group(self) -> Group:
        session = self.world.broker.sessions.get("anchor")
        assert session is not None
        assert session.outbox.consumers is not None
        (consumer,) = session.outbox.consumers
        assert isinstance(consumer.queue, Group)
        return consumer.queue

    def teardown(self) -> None:
        self.change_rules(frozenset())
        for name in MEMBERS:
            if name not in self.members:
                self.connect(name, 4)
        for _ in range(2 * len(self.sent) + 2):
            for name in MEMBERS:
                self.read(name, answers=True)
        assert self.done == set(self.sent)
        assert (self.group().waiting, self.group().bytes, self.group().in_flight) == (0, 0, 0)


class DurableGroupModel(GroupModel):
    durable = True


TestGroup = GroupModel.TestCase
TestGroup.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestDurableGroup = DurableGroupModel.TestCase
TestDurableGroup.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
