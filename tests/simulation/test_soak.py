"""Many clients doing anything in any order: the broker's books balance, and nobody is left waiting.

Seeded, so that a failure can be run again. Small marks make pressure common; after each step the
accounts of every outbox are counted anew, and in the end, when everybody reads, nothing is held.
"""

from __future__ import annotations

import random

import pytest

from midge.broker.backlog import Backlog
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World

TOPICS = ["a", "a/b", "a/c", "b/c", "d"]
FILTERS = ["a", "a/#", "+/c", "#", "d", "$share/g/a/#", "$share/g/#", "$share/h/d"]
STEPS = 400


class Soak:
    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("midge.broker.outbox",):
            monkeypatch.setattr(f"{module}.OUTBOX_HOLD_BYTES", 2_000)
            monkeypatch.setattr(f"{module}.OUTBOX_BYTES_MAX", 6_000)
        self.random = random.Random(seed)
        self.world = World(
            queued_messages_max=self.random.choice([0, 12]),
            queued_bytes_max=self.random.choice([0, 3_000]),
            queue_qos0=self.random.random() < 0.3,
            inflight_messages_max=4,
            allow_duplicate_messages=self.random.random() < 0.7,
        )
        self.peers: dict[str, Peer] = {}

    def step(self) -> None:
        action = self.random.choice(
            [self.connect, self.publish, self.publish, self.publish, self.subscribe, self.subscribe,
             self.unsubscribe, self.acknowledge, self.acknowledge, self.drop, self.goodbye,
             self.stop_reading, self.start_reading, self.wait]
        )  # fmt: skip
        action()
        self.world.settle()
        self.check_books()

    def any_peer(self) -> Peer | None:
        alive = [peer for peer in self.peers.values() if not peer.closed]
        return self.random.choice(alive) if alive else None

    def connect(self) -> None:
        name = f"c{self.random.randrange(6)}"
        version = self.random.choice([4, 5])
        values: dict[int, int | str | bytes] = {}
        if version == 5:
            values[props.SESSION_EXPIRY_INTERVAL] = self.random.choice([0, 5, 0xFFFFFFFF])
            if self.random.random() < 0.3:
                values[props.RECEIVE_MAXIMUM] = self.random.randint(1, 5)
            if self.random.random() < 0.3:
                values[props.TOPIC_ALIAS_MAXIMUM] = 2
            if self.random.random() < 0.2:
                values[props.MAXIMUM_PACKET_SIZE] = 150
        will = None
        if self.random.random() < 0.4:
            delay = {props.WILL_DELAY_INTERVAL: self.random.choice([0, 3])}
            will = p.Will("d", b"gone", 1, False, Properties(delay) if version == 5 else None)
        self.peers[name] = self.world.connect(
            name,
            version=version,
            clean_start=self.random.random() < 0.4,
            keepalive_s=self.random.choice([0, 20]),
            will=will,
            properties=Properties(values) if values else None,
        )

    def publish(self) -> None:
        peer = self.any_peer()
        if peer is None:
            return
        for _ in range(self.random.choice([1, 1, 3])):
            qos = self.random.randrange(3)
            payload = bytes(self.random.choice([1, 30, 400]))
            packet_id = peer.packet_id() if qos else 0
            retain = self.random.random() < 0.15
            packet = p.Publish(self.random.choice(TOPICS), payload, qos, retain, False, packet_id)
            peer.send(packet, *([p.Pubrel(packet_id)] if qos == 2 else []))

    def subscribe(self) -> None:
        peer = self.any_peer()
        if peer is not None:
            entry = p.SubscribeTo(self.random.choice(FILTERS), self.random.randrange(3))
            peer.send(p.Subscribe(peer.packet_id(), [entry]))

    def unsubscribe(self) -> None:
        peer = self.any_peer()
        if peer is not None:
            peer.send(p.Unsubscribe(peer.packet_id(), [self.random.choice(FILTERS)]))

    def acknowledge(self) -> None:
        peer = self.any_peer()
        if peer is not None and peer.reading:
            peer.messages()

    def drop(self) -> None:
        peer = self.any_peer()
        if peer is not None and self.random.random() < 0.5:
            peer.drop()

    def goodbye(self) -> None:
        peer = self.any_peer()
        if peer is not None and self.random.random() < 0.5:
            peer.disconnect()

    def stop_reading(self) -> None:
        peer = self.any_peer()
        if peer is not None:
            peer.stop_reading()

    def start_reading(self) -> None:
        peer = self.any_peer()
        if peer is not None:
            peer.start_reading()

    def wait(self) -> None:
        self.world.advance(self.random.choice([0.2, 1.5, 6.0, 40.0]))

    def check_books(self) -> None:
        broker = self.world.broker
        for session in broker.sessions.all():
            outbox = session.outbox
            entries = list(outbox.queue or ())
            waiting = [entry for entry in entries if not isinstance(entry, Backlog)]
            owed = [entry for entry in entries if isinstance(entry, Backlog)]
            assert outbox.queued_messages == len(waiting)
            assert outbox.queued_bytes == sum(delivery.size() for delivery in waiting)
            assert outbox.owed == sum(len(each.messages) - each.index for each in owed)
            assert (outbox in broker.crowd) == outbox.crowded
            assert len(outbox.outgoing) <= 65_535
            assert outbox.open <= (outbox.link is not None)
            for link in outbox.waiters or ():
                assert link.held_by is outbox
            assert set(session.subscriptions) <= set(FILTERS)
        counted = sum(len(session.subscriptions) for session in broker.sessions.all())
        assert broker.router.subscriptions.count == counted

    def finish(self) -> None:
        """Everybody reads and acknowledges; then nothing is left over."""
        for _ in range(30):
            for peer in list(self.peers.values()):
                if not peer.closed:
                    peer.start_reading()
                    peer.messages()
            self.world.settle()
        broker = self.world.broker
        assert not broker.crowd
        for peer in self.peers.values():
            if not peer.closed:
                assert peer.link.held_by is None
                session = peer.link.session
                assert session is not None
                assert session.outbox.queue is None
                assert len(session.outbox.outgoing) == 0
                assert not session.outbox.stalled
                # Whoever was cut off did something wrong; nobody did.
        for peer in self.peers.values():
            assert peer.link.end_reason in (
                -1,
                0,
                Reason.SESSION_TAKEN_OVER,
                Reason.KEEP_ALIVE_TIMEOUT,
            )


@pytest.mark.parametrize("seed", range(25))
def test_the_books_balance_whatever_happens(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    soak = Soak(seed, monkeypatch)
    for _ in range(STEPS):
        soak.step()
    soak.finish()
