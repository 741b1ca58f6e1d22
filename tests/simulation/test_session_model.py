"""A session against a model: nothing lost, nothing doubled at QoS 2, order kept, whatever is cut.

A publisher and a subscriber, both with lasting sessions, talk through the broker core on a manual
clock. Either side's connection may be cut at any point, with packets read, unread, or half
acknowledged. The model is a ledger: what was published, and what the subscriber has taken.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.testing.pair import Peer, World

TOPICS = ("t/0", "t/1")
LASTING = {props.SESSION_EXPIRY_INTERVAL: 0xFFFFFFFF}


class Subscriber:
    """A client that keeps its side of the session across connections."""

    def __init__(self, world: World, version: int) -> None:
        self.world = world
        self.version = version
        self.peer: Peer | None = None
        self.unread: list[p.Packet] = []
        self.taken: list[tuple[int, str, int]] = []  # (qos, topic, number), duplicates included
        self.unreleased: set[int] = set()  # QoS 2 identifiers that we have and must not take again
        self.owed: list[p.Packet] = []  # acknowledgements not sent yet

    def connect(self, receive_maximum: int) -> None:
        values: dict[int, int | str | bytes] = dict(LASTING)
        values[props.RECEIVE_MAXIMUM] = receive_maximum
        self.peer = self.world.connect(
            "sub",
            version=self.version,
            clean_start=False,
            properties=Properties(values) if self.version == 5 else None,
        )
        assert self.peer.connack is not None
        assert self.peer.connack.reason == 0
        if not self.peer.connack.session_present:
            self.peer.subscribe("t/#", 2)
        self.unread = []
        self.owed = []

    def cut(self) -> None:
        assert self.peer is not None
        self.peer.drop()
        self.peer = None
        self.unread = []
        self.owed = []

    def read(self, count: int) -> None:
        """Look at up to ``count`` packets; answers are owed, not sent."""
        assert self.peer is not None
        self.unread += self.peer.take()
        for packet in self.unread[:count]:
            if isinstance(packet, p.Publish):
                self._take(packet)
            elif isinstance(packet, p.Pubrel):
                self.unreleased.discard(packet.packet_id)
                self.owed.append(p.Pubcomp(packet.packet_id))
        del self.unread[:count]

    def _take(self, packet: p.Publish) -> None:
        number = int(packet.payload)
        if packet.qos == 2:
            self.owed.append(p.Pubrec(packet.packet_id))
            if packet.packet_id in self.unreleased:
                assert packet.dup
                return
            self.unreleased.add(packet.packet_id)
        elif packet.qos == 1:
            self.owed.append(p.Puback(packet.packet_id))
        self.taken.append((packet.qos, packet.topic, number))

    def answer(self, count: int) -> None:
        """Send up to ``count`` of the answers that are owed."""
        assert self.peer is not None
        for packet in self.owed[:count]:
            self.peer.send(packet)
        del self.owed[:count]


class SessionModel(RuleBasedStateMachine):
    version = 5

    def __init__(self) -> None:
        super().__init__()
        self.world = World(queued_messages_max=0, inflight_messages_max=5)
        self.subscriber = Subscriber(self.world, self.version)
        self.subscriber.connect(5)
        self.publisher = self.connect_publisher()
        self.number = 0
        self.ledger: list[tuple[int, str, int]] = []  # (qos, topic, number)
        self.in_doubt: p.Publish | None = None  # sent at QoS 2, connection cut before PUBREC

    def connect_publisher(self) -> Peer:
        return self.world.connect(
            "pub",
            version=self.version,
            clean_start=False,
            properties=Properties(dict(LASTING)) if self.version == 5 else None,
        )

    @rule(qos=st.integers(0, 2), topic=st.sampled_from(TOPICS))
    def publish(self, qos: int, topic: str) -> None:
        self.number += 1
        online = self.subscriber.peer is not None
        self.publisher.publish(topic, b"%d" % self.number, qos)
        if qos or online:
            self.ledger.append((qos, topic, self.number))

    @rule(topic=st.sampled_from(TOPICS), heard=st.booleans())
    def publish_with_the_connection_cut_behind_it(self, topic: str, heard: bool) -> None:
        """The publisher does not see the PUBREC, comes back and sends again with DUP."""
        self.number += 1
        payload = b"%d" % self.number
        packet_id = self.publisher.packet_id() + 1000
        if heard:
            self.publisher.send(p.Publish(topic, payload, 2, False, False, packet_id))
        self.publisher.drop()
        self.publisher = self.connect_publisher()
        self.publisher.send(p.Publish(topic, payload, 2, False, True, packet_id))
        assert self.publisher.expect(p.Pubrec).reason < 0x80
        self.publisher.send(p.Pubrel(packet_id))
        self.publisher.expect(p.Pubcomp)
        self.ledger.append((2, topic, self.number))

    @precondition(lambda self: self.subscriber.peer is not None)
    @rule(count=st.integers(1, 4))
    def read(self, count: int) -> None:
        self.subscriber.read(count)

    @precondition(lambda self: self.subscriber.peer is not None)
    @rule(count=st.integers(1, 4))
    def answer(self, count: int) -> None:
        self.subscriber.answer(count)

    @precondition(lambda self: self.subscriber.peer is not None)
    @rule()
    def cut(self) -> None:
        self.subscriber.cut()

    @precondition(lambda self: self.subscriber.peer is None)
    @rule(receive_maximum=st.integers(1, 8))
    def come_back(self, receive_maximum: int) -> None:
        self.subscriber.connect(receive_maximum)

    @precondition(lambda self: self.subscriber.peer is not None)
    @rule()
    def take_over(self) -> None:
        """A second connection of the same client, while the first is there."""
        first = self.subscriber.peer
        assert first is not None
        self.subscriber.connect(5)
        assert first.closed

    @rule(seconds=st.integers(1, 600))
    def wait(self, seconds: int) -> None:
        self.world.advance(seconds)

    @invariant()
    def nothing_is_doubled_at_qos_2(self) -> None:
        exact = [entry for entry in self.subscriber.taken if entry[0] == 2]
        assert len(exact) == len(set(exact))

    @invariant()
    def no_more_than_the_window_is_in_flight(self) -> None:
        session = self.world.broker.sessions.get("sub")
        assert session is not None
        outgoing = session.outbox.outgoing
        assert len(outgoing) <= 5

    def teardown(self) -> None:
        if self.subscriber.peer is not None:
            self.subscriber.cut()
        self.subscriber.connect(3)
        for _ in range(len(self.ledger) * 4 + 10):
            self.subscriber.read(100)
            self.subscriber.answer(100)
        self.nothing_is_doubled_at_qos_2()
        taken = self.subscriber.taken
        for qos in (1, 2):
            published = [entry for entry in self.ledger if entry[0] == qos]
            assert set(published) <= set(taken), "lost"
            for topic in TOPICS:
                wanted = [number for _, on, number in published if on == topic]
                first_seen: list[int] = []
                for entry_qos, on, number in taken:
                    if entry_qos == qos and on == topic and number not in first_seen:
                        first_seen.append(number)
                assert first_seen == wanted, "out of order"
        assert set(taken) <= set(self.ledger), "invented"
        session = self.world.broker.sessions.get("sub")
        assert session is not None
        assert len(session.outbox.outgoing) == 0


class SessionModel311(SessionModel):
    version = 4


_settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestSession5 = SessionModel.TestCase
TestSession5.settings = _settings
TestSession311 = SessionModel311.TestCase
TestSession311.settings = _settings
