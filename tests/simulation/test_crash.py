"""The broker dies at any moment, and nothing that was acknowledged is lost or doubled.

Publishers and subscribers here are correct clients with sessions of their own: they send again what
was not acknowledged and know which QoS 2 identifiers they have seen. The broker is thrown away in
the middle of anything, with what its store had not committed, and a new one starts from the store.
The ledger: what a publisher holds an acknowledgement for reaches every subscriber; at QoS 2 once;
in order. Seeded, so that a failure can be run again.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.store.base import Store
from midge.store.memory import MemoryStore
from midge.store.sqlite.database import SqliteStore
from midge.testing.pair import Peer, World

STEPS = 250


class Client:
    """A client whose own session outlives everything."""

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.window = 20
        self.peer: Peer | None = None

    def connected(self) -> bool:
        return self.peer is not None and not self.peer.closed

    def connect(self, world: World) -> None:
        self.peer = world.connect(
            self.name,
            version=self.version,
            clean_start=False,
            properties=self.properties() if self.version == 5 else None,
        )
        self.came_back()

    def properties(self) -> Properties:
        return Properties.of(session_expiry_interval=1_000_000, receive_maximum=self.window)

    def came_back(self) -> None:
        raise NotImplementedError

    def handle(self, packet: p.Packet) -> None:
        raise NotImplementedError

    def read(self, limit: int) -> None:
        """Handle some of what came."""
        if not self.connected():
            return
        assert self.peer is not None
        packets = self.peer.take()
        self.peer._pending = packets[limit:]
        for packet in packets[:limit]:
            self.handle(packet)


class Publisher(Client):
    """Sends numbered messages of QoS 1 and 2."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(name, version)
        self.count = 0
        self.in_flight: dict[int, tuple[int, bytes]] = {}  # id: QoS, payload
        self.released: dict[int, None] = {}
        self.acknowledged: dict[int, list[bytes]] = {1: [], 2: []}

    def publish(self, qos: int) -> None:
        if not self.connected() or len(self.in_flight) + len(self.released) > 15:
            return
        self.count += 1
        packet_id = 1 + self.count % 60_000
        payload = f"{self.name} {qos} {self.count}".encode()
        self.in_flight[packet_id] = qos, payload
        self.send(packet_id, dup=False)

    def send(self, packet_id: int, dup: bool) -> None:
        assert self.peer is not None
        qos, payload = self.in_flight[packet_id]
        self.peer.send(p.Publish("t/x", payload, qos, False, dup, packet_id))

    def came_back(self) -> None:
        assert self.peer is not None
        for packet_id in list(self.in_flight):
            self.send(packet_id, dup=True)
        for packet_id in list(self.released):
            self.peer.send(p.Pubrel(packet_id))

    def handle(self, packet: p.Packet) -> None:
        assert self.peer is not None
        if isinstance(packet, p.Puback | p.Pubrec):
            found = self.in_flight.pop(packet.packet_id, None)
            if packet.reason >= 0x80:
                return
            if found is not None:
                self.acknowledged[found[0]].append(found[1])
        if isinstance(packet, p.Pubrec):
            self.released[packet.packet_id] = None
            self.peer.send(p.Pubrel(packet.packet_id))
        elif isinstance(packet, p.Pubcomp):
            self.released.pop(packet.packet_id, None)


class Subscriber(Client):
    """Takes messages, and remembers which QoS 2 identifiers are open."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(name, version)
        self.got: list[bytes] = []
        self.open: set[int] = set()
        self.subscribed = False

    def came_back(self) -> None:
        assert self.peer is not None
        assert self.peer.connack is not None
        assert self.peer.connack.session_present == self.subscribed, "the session was forgotten"
        if not self.subscribed:
            self.peer.send(p.Subscribe(1, [p.SubscribeTo("t/#", 2)]))

    def handle(self, packet: p.Packet) -> None:
        assert self.peer is not None
        if isinstance(packet, p.Publish):
            if packet.qos == 1:
                self.got.append(packet.payload)
                self.peer.send(p.Puback(packet.packet_id))
                return
            if packet.packet_id not in self.open:
                self.open.add(packet.packet_id)
                self.got.append(packet.payload)
            self.peer.send(p.Pubrec(packet.packet_id))
        elif isinstance(packet, p.Pubrel):
            self.open.discard(packet.packet_id)
            self.peer.send(p.Pubcomp(packet.packet_id))
        elif isinstance(packet, p.Suback):
            self.subscribed = True


class Crashes:
    def __init__(self, seed: int, path: Path | None) -> None:
        self.random = random.Random(seed)
        self.path = path
        self.memory = MemoryStore()
        self.publishers = [Publisher("p3", 4), Publisher("p5", 5)]
        self.subscribers = [Subscriber("s3", 4), Subscriber("s5", 5), Subscriber("away", 5)]
        self.subscribers[1].window = self.random.choice([1, 3, 20])
        self.crashes = 0
        self.start()
        for subscriber in self.subscribers:
            subscriber.connect(self.world)
            subscriber.read(10)

    def start(self) -> None:
        self.store: Store = self.memory
        if self.path is not None:
            self.store = SqliteStore(str(self.path), "off")
        self.world = World(
            store=self.store,
            queued_messages_max=0,
            inflight_messages_max=20,  # what publishers may have in flight, too
        )

    def clients(self) -> list[Client]:
        return [*self.publishers, *self.subscribers]

    def step(self) -> None:
        chance = self.random
        client = chance.choice(self.clients())
        action = chance.randrange(20)
        if action < 8:
            chance.choice(self.publishers).publish(chance.choice([1, 2]))
        elif action < 13:
            client.read(chance.choice([1, 2, 100]))
        elif action < 15:
            if not client.connected():
                client.connect(self.world)
        elif action == 15:
            if client.peer is not None:
                client.peer.drop()
        elif action == 16:
            self.world.committing = not self.world.committing
            self.world.settle()
        elif action == 17:
            self.world._commit()
            self.world.settle()
        elif action == 18:
            self.world.advance(chance.random())
        elif chance.random() < 0.4:
            self.crash()

    def crash(self) -> None:
        """The broker is gone; what clients had been sent and not read may have been lost too."""
        self.crashes += 1
        for client in self.clients():
            if self.random.random() < 0.5:
                client.read(self.random.choice([0, 1, 100]))
        for client in self.clients():
            client.peer = None
        self.store.close()
        self.start()

    def finish(self) -> None:
        """Everybody comes back and reads until nothing more comes."""
        self.world.committing = True
        self.world.settle()
        for client in self.clients():
            if not client.connected():
                client.connect(self.world)
        for _ in range(2000):
            for client in self.clients():
                client.read(100)
            if not any(client.peer and client.peer._pending for client in self.clients()) and not (
                any(publisher.in_flight or publisher.released for publisher in self.publishers)
            ):
                break
        for _ in range(200):
            for client in self.clients():
                client.read(100)

    def check(self) -> None:
        for subscriber in self.subscribers:
            got = subscriber.got
            for publisher in self.publishers:
                for qos in (1, 2):
                    sent = publisher.acknowledged[qos]
                    mark = f"{publisher.name} {qos} ".encode()
                    mine = [payload for payload in got if payload.startswith(mark)]
                    missing = set(sent) - set(mine)
                    assert not missing, f"{subscriber.name} never got {sorted(missing)[:5]}"
                    if qos == 2:
                        assert len(mine) == len(set(mine)), f"{subscriber.name} got one twice"
                    first = list(dict.fromkeys(mine))
                    assert first == sorted(first, key=lambda one: int(one.split()[2]))
        # Nothing is left behind.
        contents = self.store.read(100)
        assert not contents.deliveries
        assert not contents.incoming
        assert not contents.messages


@pytest.mark.parametrize("seed", range(40))
def test_what_was_acknowledged_survives_any_crash(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = random.Random(seed).choice([1, 3, 500])
    monkeypatch.setattr("midge.broker.durable_outbox.STORE_QUEUE_PAGE", page)
    monkeypatch.setattr("midge.testing.pair.STORE_QUEUE_PAGE", page)
    crashes = Crashes(seed, None)
    for _ in range(STEPS):
        crashes.step()
    crashes.finish()
    crashes.check()


@pytest.mark.parametrize("seed", range(1000, 1008))
def test_the_same_with_the_store_in_a_file(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midge.broker.durable_outbox.STORE_QUEUE_PAGE", 3)
    monkeypatch.setattr("midge.testing.pair.STORE_QUEUE_PAGE", 3)
    crashes = Crashes(seed, tmp_path / "midge.db")
    for _ in range(STEPS):
        crashes.step()
    crashes.finish()
    crashes.check()
    crashes.store.close()


def test_the_broker_does_die_in_these_tests() -> None:
    crashes = Crashes(1, None)
    for _ in range(STEPS * 4):
        crashes.step()
    assert crashes.crashes >= 5
    assert sum(len(one.acknowledged[2]) for one in crashes.publishers) > 20
