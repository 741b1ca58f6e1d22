"""A broker in a process of its own that is killed while clients work: the ledger over sockets.

One round: a load of QoS 1 and 2 runs while a timer waits to kill the broker with SIGKILL, at a
moment that the seed says; clients come and go meanwhile. The next round starts the broker with the
same store. Every few rounds everybody reads until nothing more comes, and the ledger is compared.

``python -m tests.faces.crashes [ROUNDS [SEED]]`` runs it by itself (``make crash``).
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from midge.mqtt import packets as p
from midge.mqtt.connection import CLIENT, Connection, Violation
from midge.mqtt.properties import Properties
from midge.store.sqlite import upkeep
from tests.ledger import (
    Client,
    Publisher,
    Subscriber,
    Worker,
    check,
    check_queue,
    check_shared,
)
from tests.process import BrokerProcess

#: Rounds between two comparisons of the ledger.
COMPARE_EVERY = 4
TOPICS = ("t/x", "t/y")
CONFIGURATION = """\
persistence true
persistence_location {directory}
persistence_sync {sync}
max_inflight_messages 100
max_queued_messages 0
queue orders from t/# messages_max=0 lease_s=0 deliveries_max=4 dead=undone
queue jobs messages_max=0 lease_s=0 deliveries_max=4 dead=undone
log_type error
log_type warning
log_type notice
log_type information
connection_messages false
"""


class Wire:
    """A connection over a socket; see :class:`tests.ledger.Line`."""

    def __init__(self, port: int, version: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = Connection(CLIENT, version)
        self.closed = False
        self.connack: p.Connack | None = None
        self._pending: list[p.Packet] = []

    def send(self, packet: p.Packet, /) -> None:
        if self.closed:
            return
        self.connection.send(packet, 0.0)
        try:
            self.socket.sendall(b"".join(self.connection.data_to_send()))
        except OSError:
            # What had arrived before the broker was killed can still be read.
            self.connection.out.clear()

    def take(self) -> list[p.Packet]:
        self._read(0.0)
        packets, self._pending = self._pending, []
        return packets

    def take_connack(self) -> None:
        while not self._pending and not self.closed:
            self._read(10.0)
        if self._pending:
            connack = self._pending.pop(0)
            assert isinstance(connack, p.Connack)
            assert connack.reason == 0
            self.connack = connack

    def _read(self, timeout_s: float) -> None:
        if self.closed:
            return
        try:
            self.socket.settimeout(timeout_s)
            data = self.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        finally:
            self.socket.settimeout(10)
        if not data:
            self.drop()
            return
        packets = self.connection.receive_data(data, 0.0)
        for packet in packets:
            assert not isinstance(packet, Violation), f"the broker sent: {packet.text}"
        self._pending += packets

    def drop(self) -> None:
        self.closed = True
        self.socket.close()


class Crashes:
    """The broker, its clients and the ledger; see the module.

    Attributes:
        killed: how often the broker was killed.
        compared: how many acknowledged messages were looked for, in all.
    """

    def __init__(self, directory: Path, seed: int, sync: str = "full") -> None:
        self.chance = random.Random(seed)
        self.directory = directory
        self.killed = 0
        self.compared = 0
        self.broker = BrokerProcess(directory, CONFIGURATION.format(directory=directory, sync=sync))
        self.publishers = [Publisher("p3", 4, 40), Publisher("p5", 5, 40)]
        self.subscribers = [
            Subscriber("s3", 4),
            Subscriber("s5", 5),
            Subscriber("away", 5),  # comes for the comparisons only
        ]
        self.members = [Subscriber(f"m{i}", 5, "$share/g/t/#") for i in (1, 2)]
        self.producer = Publisher("q5", 5, 40)  # puts into a queue directly
        queues = ("orders", "jobs")
        self.workers = [Worker(f"{q}{i}", f"$queue/{q}") for q in queues for i in (1, 2)]
        self.dead = [Subscriber("dead", 5, "$queue/undone")]
        for client in self.takers():
            client.window = 100
        self.subscribers[1].window = self.chance.choice([10, 30])
        self.broker.start()
        for client in self.takers():
            client.connect(self)
            while not client.subscribed:
                client.read(1)
        self._send_away()

    def _send_away(self) -> None:
        assert self.subscribers[2].line is not None
        self.subscribers[2].line.drop()

    def connect(
        self, client_id: str, *, version: int, clean_start: bool, properties: Properties | None
    ) -> Wire:
        """See :class:`tests.ledger.Dials`."""
        wire = Wire(self.broker.port, version)
        wire.send(p.Connect(client_id, version, clean_start, properties=properties))
        wire.take_connack()
        return wire

    def takers(self) -> list[Subscriber]:
        return [*self.subscribers, *self.members, *self.workers, *self.dead]

    def clients(self) -> list[Client]:
        return [*self.publishers, self.producer, *self.takers()]

    def round(self) -> None:
        """Load, until the broker is killed at a random moment; then it is started again."""
        delay_s = self.chance.uniform(0.005, 0.4)
        death = threading.Timer(delay_s, os.kill, (self.broker.pid, signal.SIGKILL))
        for client in self.clients():
            if client.name != "away" and not client.connected():
                client.connect(self)
        death.start()
        while death.is_alive():
            self._step()
        self.killed += 1
        assert self.broker.stop(signal.SIGKILL) == -signal.SIGKILL, self.broker.log()
        for client in self.clients():  # what had arrived is read, or lost with the connection
            if self.chance.random() < 0.7:
                while client.read(100_000):
                    pass
            if client.line is not None:
                client.line.drop()
        self.broker.start()

    def _step(self) -> None:
        chance = self.chance
        for publisher in self.publishers:
            for _ in range(chance.choice([1, 10, 40])):
                qos = chance.choice([1, 2])
                if chance.random() < 0.1:
                    publisher.retain(f"r/{publisher.name}/{qos}/{chance.randrange(5)}", qos)
                else:
                    # One topic for each QoS: order is promised for those.
                    padding = b"." * chance.choice([0, 0, 0, 100, 5000])
                    publisher.publish(qos, TOPICS[qos - 1], padding)
        for _ in range(chance.choice([1, 10, 40])):
            self.producer.publish(1, "$queue/jobs")
        for client in self.clients():
            client.read(chance.choice([1, 20, 1000]))
        if chance.random() < 0.01:
            client = chance.choice(self.clients())
            if client.line is not None:
                client.line.drop()
        if chance.random() < 0.05:
            for client in self.clients():
                if client.name != "away" and not (client.connected() and chance.random() < 0.97):
                    self._connect_again(client)

    def _connect_again(self, client: Client) -> None:
        """Come back, or take the session over from a connection that still stands."""
        before = client.line
        try:
            client.connect(self)
        except (OSError, AssertionError):
            assert client.line is None or client.line.closed or client.line is before, client.name
        if before is not None:
            before.drop()

    def compare(self) -> None:
        """Everybody comes back and reads all there is; then the ledger must be right."""
        for client in self.clients():
            if not client.connected():
                client.connect(self)
        quiet = time.monotonic()
        deadline = quiet + 60
        while time.monotonic() < quiet + 0.3 or not self._is_idle():
            assert time.monotonic() < deadline, "it does not come to an end"
            if sum(client.read(100_000) for client in self.clients()):
                quiet = time.monotonic()
            else:
                time.sleep(0.002)
        for client in self.clients():
            assert client.connected(), f"{client.name} was disconnected:\n{self.broker.log()}"
        check(self.publishers, self.subscribers)
        check_shared(self.publishers, self.members)
        check_queue([*self.publishers, self.producer], self.workers, self.dead)
        self._compare_retained()
        for publisher in (*self.publishers, self.producer):
            for sent in publisher.acknowledged.values():
                self.compared += len(sent)
                sent.clear()
        for subscriber in self.takers():
            subscriber.got.clear()
        self._send_away()

    def _is_idle(self) -> bool:
        return all(one.idle() for one in (*self.publishers, self.producer))

    def _compare_retained(self) -> None:
        line = self.connect("reader", version=5, clean_start=True, properties=None)
        line.send(p.Subscribe(1, [p.SubscribeTo("r/#", 0)]))
        line.send(p.Pingreq())
        found: dict[str, int] = {}
        packets: list[p.Packet] = []
        while not any(isinstance(packet, p.Pingresp) for packet in packets):
            packets = line.take()
            for packet in packets:
                if isinstance(packet, p.Publish):
                    found[packet.topic] = int(packet.payload)
            assert not line.closed
        line.drop()
        for publisher in self.publishers:
            for topic, value in publisher.kept.items():
                assert found.get(topic, 0) >= value, f"{topic} has {found.get(topic)}, not {value}"

    def finish(self) -> None:
        """Compare, end the broker in peace, and look into its store."""
        self.compare()
        assert self.broker.stop() == 0, self.broker.log()
        path = str(self.directory / "midge.db")
        assert upkeep.verify(path) == []
        numbers = upkeep.stats(path)
        assert numbers["queued"] == numbers["in_flight"] == numbers["incoming"] == 0
        assert numbers["messages"] == numbers["retained"]

    def run(self, rounds: int) -> None:
        """All of it."""
        try:
            for number in range(1, rounds + 1):
                self.round()
                if number % COMPARE_EVERY == 0 and number < rounds:
                    self.compare()
            self.finish()
        finally:
            for client in self.clients():
                if client.line is not None:
                    client.line.drop()
            if self.broker in BrokerProcess.running:
                self.broker.stop()


def main(words: list[str]) -> int:
    """Rounds in chains of a few, each with a store and a seed of its own."""
    rounds = int(words[0]) if words else 200
    seed = int(words[1]) if len(words) > 1 else int(time.time())
    killed = compared = 0
    while killed < rounds:
        sync = ("full", "full", "normal", "off")[seed % 4]
        with tempfile.TemporaryDirectory(prefix="midge-crash-") as directory:
            crashes = Crashes(Path(directory), seed, sync)
            try:
                crashes.run(min(20, rounds - killed))
            except BaseException:
                print(f"seed {seed}, sync {sync}, after {crashes.killed} kills:")
                print(crashes.broker.log())
                raise
        killed += crashes.killed
        compared += crashes.compared
        print(
            f"{killed} of {rounds} kills, seed {seed}, sync {sync}: "
            f"{compared:,} acknowledged messages, all there",
            flush=True,
        )
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
