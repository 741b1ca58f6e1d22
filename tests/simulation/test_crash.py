"""The broker dies at any moment, and nothing that was acknowledged is lost or doubled.

The broker is thrown away in the middle of anything, with what its store had not committed, and a
new one starts from the store. The ledger (:mod:`tests.ledger`): what a publisher holds an
acknowledgement for reaches every subscriber; at QoS 2 once; in order. Seeded, so that a failure can
be run again.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from midge.store.base import Store
from midge.store.memory import MemoryStore
from midge.store.sqlite.database import SqliteStore
from midge.testing.pair import World
from tests.ledger import Client, Publisher, Subscriber, check

STEPS = 250


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
            if client.line is not None:
                client.line.drop()
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
            client.line = None
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
            if all(one.idle() for one in self.publishers) and not any(
                client.unread for client in self.clients()
            ):
                break
        for _ in range(200):
            for client in self.clients():
                client.read(100)

    def check(self) -> None:
        check(self.publishers, self.subscribers)
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
