"""Other people's clients and ``midge broker``: each of them as publisher and as subscriber."""

from __future__ import annotations

import itertools

import pytest

from tests.interop.clients import (
    KINDS,
    Client,
    Gmqtt,
    Mosquitto,
    MqttJs,
    Paho,
    Properties,
    Received,
    Will,
)
from tests.interop.conftest import Room


def marks(*kinds: type[Client]) -> list[pytest.MarkDecorator]:
    return [pytest.mark.peer(kind.peer) for kind in kinds]


EACH = [
    pytest.param(kind, version, marks=marks(kind), id=f"{kind.__name__}-{version}")
    for kind in KINDS
    for version in kind.versions
]
PAIRS = [
    pytest.param(one, other, marks=marks(one, other), id=f"{one.__name__}-{other.__name__}")
    for one in KINDS
    for other in KINDS
]
#: Shared subscriptions are not for 3.1.
SHARING = [each for each in EACH if str(each.id).endswith(("4", "5"))]

#: Outside ASCII, outside the basic plane, and with what is special elsewhere.
TOPIC = "ü/温度/🦟 $x"


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_each_client_hears_itself_at_each_qos(room: Room, kind: type[Client], version: int) -> None:
    client = room.client(kind, version)
    client.subscribe(f"{room.topic}/#", 2)
    for qos in (0, 1, 2):
        payload = f"ä {qos}".encode() + bytes(range(256))
        client.publish(f"{room.topic}/{TOPIC}/{qos}", payload, qos)
        assert client.take(1) == [Received(f"{room.topic}/{TOPIC}/{qos}", payload, qos, False)]


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_qos_is_the_lower_of_the_publishers_and_the_subscribers(
    room: Room, kind: type[Client], version: int
) -> None:
    client = room.client(kind, version)
    client.subscribe(f"{room.topic}/#", 1)
    for qos in (0, 1, 2):
        client.publish(f"{room.topic}/{qos}", b"x", qos)
        assert client.take(1)[0].qos == min(qos, 1)


@pytest.mark.parametrize(("publisher", "subscriber"), PAIRS)
def test_every_client_understands_every_other_in_another_version(
    room: Room, publisher: type[Client], subscriber: type[Client]
) -> None:
    for qos, (one, other) in enumerate([(4, 5), (5, 4), (5, 5)]):
        topic = f"{room.topic}/{qos}"
        receiver = room.client(subscriber, other)
        receiver.subscribe(topic, qos)
        sender = room.client(publisher, one)
        sender.publish(topic, b"x" * 300, qos)
        assert receiver.take(1) == [Received(topic, b"x" * 300, qos, False)]
        if (one, other) == (5, 5):
            check_properties(sender, receiver, topic)
        room.close(receiver)
        room.close(sender)


def check_properties(sender: Client, receiver: Client, topic: str) -> None:
    """All that every library can say of a message arrives, the user properties in their order."""
    sent = Properties(
        user=(("zebra", "1"), ("ape", "2"), ("ü", "ß")),
        content_type="text/plain",
        response_topic=f"{topic}/answers",
        correlation=b"n7",
        expiry_s=1000,
    )
    sender.publish(topic, b"{}", 1, properties=sent)
    (message,) = receiver.take(1)
    left = message.properties.expiry_s
    assert left is not None
    assert 0 < left <= 1000
    assert message.properties._replace(expiry_s=1000) == sent


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_a_retained_message_waits_for_its_subscriber(
    room: Room, kind: type[Client], version: int
) -> None:
    publisher = room.client(kind, version)
    publisher.publish(f"{room.topic}/state", b"on", 1, retain=True)
    subscriber = room.client(kind, version)
    subscriber.subscribe(f"{room.topic}/+", 1)
    (message,) = subscriber.take(1)
    assert message.payload == b"on"
    assert message.retain or kind is Gmqtt  # which does not say so in every version
    publisher.publish(f"{room.topic}/state", b"", 1, retain=True)
    (cleared,) = subscriber.take(1)
    assert (cleared.payload, cleared.retain) == (b"", False)
    late = room.client(kind, version)
    late.subscribe(f"{room.topic}/#", 1)
    publisher.publish(f"{room.topic}/other", b"new", 1)
    assert late.take(1)[0].payload == b"new"


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_a_session_keeps_what_was_missed(room: Room, kind: type[Client], version: int) -> None:
    sleeper = room.client(kind, version, "sleeper", clean=False)
    sleeper.subscribe(f"{room.topic}/#", 2)
    room.drop(sleeper)
    publisher = room.client(kind, version)
    for number in range(6):
        publisher.publish(f"{room.topic}/{number}", b"%d" % number, 1 + number % 2)
    sleeper = room.client(kind, version, "sleeper", clean=False)
    if kind is Mosquitto:
        sleeper.subscribe(f"{room.topic}/#", 2)  # the process is only started by it
    missed = sleeper.take(6)
    # A library may hold a QoS 2 message back until it is released: order is that of each QoS.
    assert [message.payload for message in missed if message.qos == 1] == [b"0", b"2", b"4"]
    assert [message.payload for message in missed if message.qos == 2] == [b"1", b"3", b"5"]


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_a_clean_session_has_missed_nothing_and_hears_nothing(
    room: Room, kind: type[Client], version: int
) -> None:
    leaver = room.client(kind, version, "leaver", clean=False)
    leaver.subscribe(f"{room.topic}/#", 1)
    room.drop(leaver)
    publisher = room.client(kind, version)
    publisher.publish(f"{room.topic}/missed", b"missed", 1)
    again = room.client(kind, version, "leaver")
    again.subscribe(f"{room.topic}/new", 1)
    publisher.publish(f"{room.topic}/old", b"old", 1)
    publisher.publish(f"{room.topic}/new", b"new", 1)
    assert again.take(1)[0].payload == b"new"


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_a_will_is_published_when_the_connection_is_cut_and_only_then(
    room: Room, kind: type[Client], version: int
) -> None:
    watcher = room.client(kind, version)
    watcher.subscribe(f"{room.topic}/will", 2)
    for polite in (True, False):
        will = Will(f"{room.topic}/will", b"%d" % polite, qos=1, retain=True)
        mortal = room.client(kind, version, will=will)
        if polite:
            mortal.publish(f"{room.topic}/x", b"x", 1)
            room.close(mortal)
        else:
            mortal.subscribe(f"{room.topic}/x", 0)
            room.drop(mortal)
    assert watcher.take(1) == [Received(f"{room.topic}/will", b"0", 1, False)]
    late = room.client(kind, version)
    late.subscribe(f"{room.topic}/will", 0)
    assert late.take(1)[0].payload == b"0"


@pytest.mark.parametrize(("kind", "version"), EACH)
def test_a_large_payload_goes_through_whole(room: Room, kind: type[Client], version: int) -> None:
    payload = bytes(range(256)) * 4096  # 1 MiB
    subscriber = room.client(kind, version)
    subscriber.subscribe(f"{room.topic}/big", 2)
    for qos in (0, 1, 2):
        subscriber.publish(f"{room.topic}/big", payload, qos)
        (message,) = subscriber.take(1)
        assert message.payload == payload
        assert message.qos == qos


@pytest.mark.parametrize(("kind", "version"), EACH)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_thousands_of_messages_come_in_order(
    room: Room, kind: type[Client], version: int, qos: int
) -> None:
    subscriber = room.client(kind, version)
    subscriber.subscribe(f"{room.topic}/#", qos)
    publisher = room.client(kind, version)
    sent = [b"%d" % number for number in range(1000 if qos == 2 else 2000)]
    publisher.publish_all(f"{room.topic}/n", sent, qos)
    assert [message.payload for message in subscriber.take(len(sent))] == sent
    publisher.publish(f"{room.topic}/end", b"end", qos)
    assert subscriber.take(1)[0].payload == b"end"  # and none of them twice


@pytest.mark.parametrize(("kind", "version"), SHARING)
def test_a_shared_subscription_gives_each_message_to_one(
    room: Room, kind: type[Client], version: int
) -> None:
    members = [room.client(kind, version) for _ in range(2)]
    for member in members:
        member.subscribe(f"$share/g/{room.topic}/#", 1)
    publisher = room.client(kind, version)
    for number in range(10):
        publisher.publish(f"{room.topic}/n", b"%d" % number, 1)
    shares = [[int(message.payload) for message in member.take(5)] for member in members]
    assert sorted(shares[0] + shares[1]) == list(range(10))


@pytest.mark.parametrize("kinds", [(Mosquitto, Paho, MqttJs)], ids=["all"])
@pytest.mark.peer("mosquitto_sub")
@pytest.mark.peer("paho")
@pytest.mark.peer("mqtt.js")
def test_a_group_may_be_of_several_kinds_and_versions(
    room: Room, kinds: tuple[type[Client], ...]
) -> None:
    members = [room.client(kind, version) for kind, version in zip(kinds, (4, 5, 4), strict=True)]
    for member in members:
        member.subscribe(f"$share/g/{room.topic}/#", 1)
    publisher = room.client(Paho, 5)
    publisher.publish_all(f"{room.topic}/n", [b"%d" % number for number in range(30)], 1)
    shares = [[int(message.payload) for message in member.take(10)] for member in members]
    assert sorted(itertools.chain(*shares)) == list(range(30))
