"""Queues through crashes: what a producer holds an acknowledgement for is done by somebody.

Producers and workers come and go, workers acknowledge, refuse, or leave with messages in their
hands; the broker is thrown away in the middle of anything with what its store had not committed.
The ledger: each acknowledged message is acknowledged by a worker in the end, or has been refused so
often that it is a dead letter; nothing is left behind. What was given more than once was marked:
but for what its producer sent again, which makes it another message, and for what was given in the
last moment before a crash, of which the store does not know.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from midge.broker.queue_consumers import MqttConsumer
from midge.config.queue_settings import QueueSettings
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.store.base import Store
from midge.store.memory import MemoryStore
from midge.store.sqlite.database import SqliteStore
from midge.testing.pair import Peer, World

STEPS = 250
#: Where producers publish, and what workers take it from.
PLACES = {"$queue/jobs": "$queue/jobs", "t": "$share/g/t", "shop/1/orders": "$queue/orders"}


class Producer:
    """Sends numbered messages until each is acknowledged."""

    def __init__(self, name: str, topic: str) -> None:
        self.name = name
        self.topic = topic
        self.count = 0
        self.in_flight: dict[int, bytes] = {}
        self.acknowledged: list[bytes] = []
        self.sent_again: set[bytes] = set()
        self.peer: Peer | None = None

    def connect(self, world: World) -> None:
        self.peer = world.connect(self.name)
        for packet_id, payload in self.in_flight.items():
            self.sent_again.add(payload)
            self._send(packet_id, payload)

    def publish(self) -> None:
        self.count += 1
        payload = f"{self.name} {self.count}".encode()
        self.in_flight[self.count] = payload
        if self.peer is not None and not self.peer.closed:
            self._send(self.count, payload)

    def _send(self, packet_id: int, payload: bytes) -> None:
        assert self.peer is not None
        self.peer.send(p.Publish(self.topic, payload, 1, packet_id=packet_id))

    def read(self) -> None:
        if self.peer is None:
            return
        for packet in self.peer.take():
            if isinstance(packet, p.Puback) and packet.reason < 0x80:
                payload = self.in_flight.pop(packet.packet_id, None)
                if payload is not None:
                    self.acknowledged.append(payload)


class Worker:
    """Takes messages, and does with them what chance says."""

    def __init__(self, name: str, filter: str, lasting: bool) -> None:
        self.name = name
        self.filter = filter
        self.lasting = lasting
        self.hands: list[p.Publish] = []
        self.seen: dict[bytes, int] = {}
        self.done: list[bytes] = []
        self.unmarked: list[bytes] = []
        self.peer: Peer | None = None

    def connect(self, world: World, window: int) -> None:
        self.hands.clear()
        expiry_s = 1_000_000 if self.lasting else 0
        self.peer = world.connect(
            self.name,
            clean_start=False,
            properties=Properties.of(session_expiry_interval=expiry_s, receive_maximum=window),
        )
        self.peer.send(p.Subscribe(1, [p.SubscribeTo(self.filter, 1)]))

    def read(self) -> None:
        if self.peer is None:
            return
        for packet in self.peer.take():
            if isinstance(packet, p.Publish):
                self.hands.append(packet)
                if packet.payload in self.seen and not packet.dup:
                    self.unmarked.append(packet.payload)
                self.seen[packet.payload] = 1

    def work(self, chance: random.Random) -> None:
        chance.shuffle(self.hands)
        for message in self.hands[: chance.randrange(10)]:
            self.hands.remove(message)
            refuses = self.filter.startswith("$queue") and chance.random() < 0.1
            self._answer(message, 0x80 if refuses else 0)

    def finish(self) -> None:
        for message in self.hands:
            self._answer(message, 0)
        self.hands.clear()

    def _answer(self, message: p.Publish, reason: int) -> None:
        if self.peer is None or self.peer.closed:
            return
        self.peer.send(p.Puback(message.packet_id, reason))
        if not reason:
            self.done.append(message.payload)


class Factory:
    """A broker with a store, producers and workers."""

    def __init__(self, seed: int, path: Path | None, fragile: bool = True) -> None:
        self.chance = random.Random(seed)
        self.fragile = fragile
        self.path = path
        self.memory = MemoryStore()
        self.crashes = 0
        self.producers = [Producer(f"p{i}", topic) for i, topic in enumerate([*PLACES] * 2)]
        self.workers = [
            Worker(f"w{i}", filter, lasting=i < 3 or i % 2 == 0)
            for i, filter in enumerate([*PLACES.values()] * 2)
        ]
        self.start()
        self.broker_queues()
        for worker in self.workers:
            worker.connect(self.world, 3)
        self.world.settle()

    def start(self) -> None:
        if self.path is None:
            self.store: Store = self.memory
        else:
            self.store = SqliteStore(str(self.path), "off")
        self.world = World(store=self.store)

    def broker_queues(self) -> None:
        create = self.world.broker.queues.create
        create("jobs", QueueSettings(deliveries_max=0, lease_s=50.0))
        create("orders", QueueSettings(("shop/+/orders",), deliveries_max=3, lease_s=50.0))

    def step(self) -> None:
        chance = self.chance
        what = chance.random()
        self.world.committing = chance.random() < 0.6
        producer, worker = chance.choice(self.producers), chance.choice(self.workers)
        if what < 0.35:
            for _ in range(chance.randrange(8)):
                producer.publish()
        elif what < 0.6:
            worker.read()
            worker.work(chance)
        elif what < 0.7:
            producer.read()
        elif what < 0.76 and worker.peer is not None:
            worker.peer.drop()
        elif what < 0.9:
            if worker.peer is None or worker.peer.closed:
                worker.connect(self.world, chance.choice([1, 3, 100]))
            if producer.peer is None or producer.peer.closed:
                producer.connect(self.world)
        elif what < 0.96 or not self.fragile:
            self.world.advance(chance.choice([0.1, 20.0]))
        else:
            self.crash()
        self.world.settle()

    def crash(self) -> None:
        self.crashes += 1
        self.store.close()
        for one in (*self.producers, *self.workers):
            if one.peer is not None:
                one.peer.closed = True
                one.peer = None
        self.start()

    def finish(self) -> None:
        self.world.committing = True
        self.world.settle()
        for _ in range(1000):
            for producer in self.producers:
                if producer.peer is None or producer.peer.closed:
                    producer.connect(self.world)
                producer.read()
            for worker in self.workers:
                if worker.peer is None or worker.peer.closed:
                    worker.connect(self.world, 100)
                worker.read()
                worker.finish()
            self.world.advance(2.0)
            self.world.settle()
            if not any(one.in_flight for one in self.producers) and self.is_empty():
                return

    def is_empty(self) -> bool:
        """Whether nothing waits but dead letters, and nobody has anything."""
        groups = {one.queue for worker in self.workers for one in self.consumers_of(worker)}
        return not any(one.waiting or one.in_flight for one in groups)

    def consumers_of(self, worker: Worker) -> list[MqttConsumer]:
        session = self.world.broker.sessions.get(worker.name)
        return [] if session is None else session.outbox.consumers or []

    def check(self) -> None:
        done = {payload for worker in self.workers for payload in worker.done}
        dead = self.dead_letters()
        for producer in self.producers:
            assert not producer.in_flight
            missing = set(producer.acknowledged) - done - dead
            assert not missing, (producer.topic, sorted(missing)[:5])
        if not self.crashes:
            sent_again = {payload for one in self.producers for payload in one.sent_again}
            for worker in self.workers:
                assert not set(worker.unmarked) - sent_again, worker.filter
        self.world.settle()
        contents = self.store.read(100)
        left = {row.key: row.name for row in contents.queues}
        assert all(left.get(row.session) == "orders.dead" for row in contents.deliveries)
        assert set(contents.messages) == {row.message for row in contents.deliveries}
        for queue in self.world.broker.queues.all():
            if not queue.name.endswith(".dead"):
                assert (queue.waiting, queue.bytes, queue.in_flight) == (0, 0, 0)

    def dead_letters(self) -> set[bytes]:
        queue = self.world.broker.queues.get("orders.dead")
        if queue is None:
            return set()
        found = [item.message.payload for item in queue.peek(10_000)]
        assert len(found) == queue.waiting
        return set(found)


def run(factory: Factory, steps: int = STEPS) -> None:
    for _ in range(steps):
        factory.step()
    factory.finish()
    factory.check()


@pytest.mark.parametrize("seed", range(40))
def test_what_was_acknowledged_is_done(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    page = random.Random(seed).choice([1, 3, 500])
    monkeypatch.setattr("midge.broker.queue_pages.STORE_QUEUE_PAGE", page)
    monkeypatch.setattr("midge.broker.durable_outbox.STORE_QUEUE_PAGE", page)
    monkeypatch.setattr("midge.testing.pair.STORE_QUEUE_PAGE", page)
    run(Factory(seed, None))


@pytest.mark.parametrize("seed", range(10))
def test_without_crashes_what_is_given_again_is_always_marked(seed: int) -> None:
    factory = Factory(seed, None, fragile=False)
    run(factory)
    assert factory.crashes == 0


@pytest.mark.parametrize("seed", range(1000, 1006))
def test_the_same_with_the_store_in_a_file(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midge.broker.queue_pages.STORE_QUEUE_PAGE", 3)
    monkeypatch.setattr("midge.testing.pair.STORE_QUEUE_PAGE", 3)
    factory = Factory(seed, tmp_path / "midge.db")
    run(factory)
    factory.store.close()


def test_there_are_crashes_and_work_in_these_tests() -> None:
    factory = Factory(3, None)
    run(factory, STEPS * 3)
    assert factory.crashes >= 5
    assert sum(len(one.acknowledged) for one in factory.producers) > 300
