"""Other people's clients and ``midge broker``: each of them as publisher and as subscriber."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.clients import KINDS, Client, Gmqtt, Received, Will
from tests.process import BrokerProcess


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker for all: every test has client ids and topics of its own."""
    directory: Path = tmp_path_factory.mktemp("broker")
    with BrokerProcess(directory) as running:
        yield running


class Room:
    """Makes clients for one test and closes them behind it."""

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self._name = "".join(letter if letter.isalnum() else "-" for letter in name)
        self._open: list[Client] = []
        self._count = 0
        #: The beginning of all topics of this test.
        self.topic = f"t/{self._name}"

    def client(self, kind: Any, version: int, client_id: str | None = None, **more: Any) -> Client:
        self._count += 1
        name = f"{self._name}-{client_id or self._count}"
        client: Client = kind(self._port, name, version, **more)
        client.connect()
        self._open.append(client)
        return client

    def drop(self, client: Client) -> None:
        self._open.remove(client)
        client.drop()

    def close(self, client: Client) -> None:
        self._open.remove(client)
        client.close()

    def close_all(self) -> None:
        """Close what is open, each although another could not be closed."""
        with contextlib.ExitStack() as stack:
            for client in self._open:
                stack.callback(client.close)


@pytest.fixture
def room(broker: BrokerProcess, request: pytest.FixtureRequest) -> Iterator[Room]:
    made = Room(broker.port, request.node.name)
    yield made
    made.close_all()


def marks(kind: Any) -> list[pytest.MarkDecorator]:
    return [pytest.mark.peer(kind.peer)]


EACH = [
    pytest.param(kind, version, marks=marks(kind), id=f"{kind.__name__}-{version}")
    for kind in KINDS
    for version in kind.versions  # type: ignore[attr-defined]
]
PAIRS = [
    pytest.param(one, other, marks=marks(one) + marks(other), id=f"{one.__name__}-{other.__name__}")
    for one in KINDS
    for other in KINDS
]
#: One connection for many messages: mosquitto_pub makes a new one for each.
LASTING = [each for each in EACH if "Mosquitto" not in str(each.id)]
#: Shared subscriptions are not for 3.1.
SHARING = [each for each in EACH if str(each.id).endswith(("4", "5"))]


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_each_client_hears_itself_at_each_qos(room: Room, kind: Any, version: int) -> None:
    client = room.client(kind, version)
    client.subscribe(f"{room.topic}/#", 2)
    for qos in (0, 1, 2):
        payload = f"ä {qos}".encode() + bytes(range(1, 40))
        client.publish(f"{room.topic}/ü/{qos}", payload, qos)
        assert client.take(1) == [Received(f"{room.topic}/ü/{qos}", payload, qos, False)]


@pytest.mark.parametrize(("publisher", "subscriber"), PAIRS)
def test_every_client_understands_every_other_in_another_version(
    room: Room, publisher: Any, subscriber: Any
) -> None:
    for qos, (one, other) in enumerate([(4, 5), (5, 4), (5, 5)]):
        topic = f"{room.topic}/{qos}"
        receiver = room.client(subscriber, other)
        receiver.subscribe(topic, qos)
        sender = room.client(publisher, one)
        sender.publish(topic, b"x" * 300, qos)
        assert receiver.take(1) == [Received(topic, b"x" * 300, qos, False)]
        room.close(receiver)
        room.close(sender)


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_a_retained_message_waits_for_its_subscriber(room: Room, kind: Any, version: int) -> None:
    publisher = room.client(kind, version)
    publisher.publish(f"{room.topic}/state", b"on", 1, retain=True)
    subscriber = room.client(kind, version)
    subscriber.subscribe(f"{room.topic}/+", 1)
    (message,) = subscriber.take(1)
    assert message.payload == b"on"
    assert message.retain or kind is Gmqtt  # which does not say so in every version
    publisher.publish(f"{room.topic}/state", b"", 1, retain=True)
    assert subscriber.take(1)[0].payload == b""
    late = room.client(kind, version)
    late.subscribe(f"{room.topic}/#", 1)
    publisher.publish(f"{room.topic}/other", b"new", 1)
    assert late.take(1)[0].payload == b"new"


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_a_session_keeps_what_was_missed(room: Room, kind: Any, version: int) -> None:
    sleeper = room.client(kind, version, "sleeper", clean=False)
    sleeper.subscribe(f"{room.topic}/#", 1)
    room.drop(sleeper)
    publisher = room.client(kind, version)
    for number in range(5):
        publisher.publish(f"{room.topic}/{number}", b"%d" % number, 1)
    sleeper = room.client(kind, version, "sleeper", clean=False)
    if kind.__name__ == "Mosquitto":
        sleeper.subscribe(f"{room.topic}/#", 1)  # the process is only started by it
    assert [message.payload for message in sleeper.take(5)] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_a_will_is_published_when_the_connection_is_cut(
    room: Room, kind: Any, version: int
) -> None:
    watcher = room.client(kind, version)
    watcher.subscribe(f"{room.topic}/will", 1)
    mortal = room.client(kind, version, will=Will(f"{room.topic}/will", b"gone"))
    mortal.subscribe(f"{room.topic}/x", 0)
    room.drop(mortal)
    assert watcher.take(1)[0].payload == b"gone"


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_a_large_payload_goes_through_whole(room: Room, kind: Any, version: int) -> None:
    payload = bytes(range(256)) * 4096  # 1 MiB
    subscriber = room.client(kind, version)
    subscriber.subscribe(f"{room.topic}/big", 1)
    subscriber.publish(f"{room.topic}/big", payload, 1)
    assert subscriber.take(1)[0].payload == payload


@pytest.mark.parametrize(("kind", "version"), LASTING)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_many_messages_come_in_order(room: Room, kind: Any, version: int, qos: int) -> None:
    subscriber = room.client(kind, version)
    subscriber.subscribe(f"{room.topic}/#", qos)
    publisher = room.client(kind, version)
    for number in range(100):
        publisher.publish(f"{room.topic}/n", b"%d" % number, qos)
    numbers = [int(message.payload) for message in subscriber.take(100)]
    assert numbers == list(range(100))


@pytest.mark.parametrize(("kind", "version"), SHARING)
def test_a_shared_subscription_gives_each_message_to_one(
    room: Room, kind: Any, version: int
) -> None:
    members = [room.client(kind, version) for _ in range(2)]
    for member in members:
        member.subscribe(f"$share/g/{room.topic}/#", 1)
    publisher = room.client(kind, version)
    for number in range(10):
        publisher.publish(f"{room.topic}/n", b"%d" % number, 1)
    shares = [[int(message.payload) for message in member.take(5)] for member in members]
    assert sorted(shares[0] + shares[1]) == list(range(10))
