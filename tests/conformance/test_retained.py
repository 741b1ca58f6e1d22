"""Retained messages and the options of a subscription that concern them (5.0 section 3.3.1.3)."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.testing.pair import Peer, World
from tests.conformance.support import come_back, payloads

VERSIONS = pytest.mark.parametrize("version", [4, 5])


def retained(world: World, topic: str = "t") -> list[tuple[bytes, int, bool]]:
    """What somebody new gets of a topic: payload, QoS, RETAIN."""
    client = world.connect("newcomer")
    client.subscribe(topic, 2)
    found = [(m.payload, m.qos, m.retain) for m in client.messages()]
    client.disconnect()
    return found


@pytest.mark.spec("MQTT-3.3.1-5", "3.1.1:MQTT-3.3.1-5", "3.1.1:MQTT-3.3.1-6", "3.1.1:MQTT-3.3.1-8")
@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_retained_message_is_stored_with_its_qos_and_replaces_the_last(
    version: int, qos: int
) -> None:
    world = World()
    publisher = world.connect("pub", version=version)
    for payload in (b"one", b"two"):
        publisher.publish("t", payload, qos, retain=True)
    publisher.publish("u", b"other", 0, retain=True)
    assert retained(world) == [(b"two", qos, True)]


@pytest.mark.spec("3.1.1:MQTT-3.3.1-7", "MQTT-3.3.1-5")
@VERSIONS
def test_a_retained_message_at_qos_0_takes_the_place_of_one_at_qos_2(version: int) -> None:
    world = World()
    publisher = world.connect("pub", version=version)
    publisher.publish("t", b"old", 2, retain=True)
    publisher.publish("t", b"new", 0, retain=True)
    assert retained(world) == [(b"new", 0, True)]


@pytest.mark.spec("MQTT-3.3.1-6", "MQTT-3.3.1-7", "3.1.1:MQTT-3.3.1-10", "3.1.1:MQTT-3.3.1-11")
@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("existed", [False, True])
def test_an_empty_retained_message_is_forwarded_and_clears_its_topic(
    version: int, qos: int, existed: bool
) -> None:
    world = World()
    publisher = world.connect("pub", version=version)
    if existed:
        publisher.publish("t", b"x", retain=True)
    watcher = world.connect("w", version=version)
    watcher.subscribe("t", 2)
    watcher.messages()
    publisher.publish("t", b"", qos, retain=True)
    assert [(m.payload, m.retain) for m in watcher.messages()] == [(b"", False)]
    assert retained(world) == []


@pytest.mark.spec("MQTT-3.3.1-8", "3.1.1:MQTT-3.3.1-12")
@VERSIONS
@pytest.mark.parametrize("payload", [b"", b"live"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_without_retain_nothing_retained_is_stored_removed_or_replaced(
    version: int, payload: bytes, qos: int
) -> None:
    world = World()
    publisher = world.connect("pub", version=version)
    publisher.publish("t", payload, qos)
    assert retained(world) == []
    publisher.publish("t", b"kept", 1, retain=True)
    publisher.publish("t", payload, qos)
    assert retained(world) == [(b"kept", 1, True)]


@pytest.mark.spec("3.1.1:MQTT-3.3.1-6", "3.1.1:MQTT-3.3.1-8", "MQTT-3.3.1-9")
@VERSIONS
def test_a_new_subscription_gets_the_last_retained_message_of_each_topic(version: int) -> None:
    world = World()
    publisher = world.connect("pub")
    for topic in ("a/b", "a/c", "a/b/c", "b"):
        publisher.publish(topic, b"old " + topic.encode(), retain=True)
        publisher.publish(topic, topic.encode(), retain=True)
    client = world.connect("c", version=version)
    client.subscribe("a/+")
    messages = client.messages()
    assert sorted(m.payload for m in messages) == [b"a/b", b"a/c"]
    assert all(m.retain for m in messages)


def first_and_again(handling: int, existing: bool) -> tuple[list[bytes], list[bytes]]:
    """What a subscription with a retain handling gets at first, and when it is made again."""
    world = World()
    world.connect("pub").publish("t", b"r", 1, retain=True)
    client = come_back(world, "c")
    if existing:
        client.subscribe("t", 1, retain_handling=2)
    client.subscribe("t", 1, retain_handling=handling)
    first = payloads(client)
    client.drop()
    client = come_back(world, "c")
    client.subscribe("t", 0, retain_handling=handling)
    return first, payloads(client)


@pytest.mark.spec("MQTT-3.3.1-9", "MQTT-3.8.4-4")
@pytest.mark.parametrize("existing", [False, True])
def test_retain_handling_0_sends_what_is_retained_every_time(existing: bool) -> None:
    assert first_and_again(0, existing) == ([b"r"], [b"r"])


@pytest.mark.spec("MQTT-3.3.1-10")
def test_retain_handling_1_sends_it_to_subscriptions_that_are_new() -> None:
    assert first_and_again(1, existing=False) == ([b"r"], [])
    assert first_and_again(1, existing=True) == ([], [])


@pytest.mark.spec("MQTT-3.3.1-10")
def test_a_subscription_that_was_removed_is_new_again() -> None:
    world = World()
    world.connect("pub").publish("t", b"r", retain=True)
    client = world.connect("c")
    client.subscribe("t", retain_handling=1)
    client.messages()
    client.unsubscribe("t")
    client.subscribe("t", retain_handling=1)
    assert payloads(client) == [b"r"]


@pytest.mark.spec("MQTT-3.3.1-11")
@pytest.mark.parametrize("existing", [False, True])
def test_retain_handling_2_sends_nothing_retained(existing: bool) -> None:
    assert first_and_again(2, existing) == ([], [])


@pytest.mark.spec("3.1.1:MQTT-3.8.4-3")
def test_the_same_subscription_again_gets_the_retained_message_again_in_3_1_1() -> None:
    world = World()
    world.connect("pub").publish("t", b"r", 1, retain=True)
    client = world.connect("c", version=4)
    for qos in (1, 0, 1):
        client.subscribe("t", qos)
        assert [(m.payload, m.qos, m.retain) for m in client.messages()] == [(b"r", qos, True)]


def forwarded(world: World, client: Peer) -> list[bool]:
    """RETAIN of a retained and of an ordinary message, as they reach a standing subscription."""
    publisher = world.connect("pub")
    publisher.publish("t", b"x", retain=True)
    publisher.publish("t", b"x", retain=False)
    return [message.retain for message in client.messages()]


@pytest.mark.spec("MQTT-3.3.1-12", "3.1.1:MQTT-3.3.1-9")
@VERSIONS
@pytest.mark.parametrize("filter", ["t", "#", "$share/g/t"])
def test_without_retain_as_published_forwarded_messages_have_retain_0(
    version: int, filter: str
) -> None:
    world = World()
    client = world.connect("c", version=version)
    client.subscribe(filter)
    assert forwarded(world, client) == [False, False]


@pytest.mark.spec("MQTT-3.3.1-13")
@pytest.mark.parametrize("filter", ["t", "#", "$share/g/t"])
@pytest.mark.parametrize("identifier", [0, 5])
def test_with_retain_as_published_retain_is_forwarded_as_it_came(
    filter: str, identifier: int
) -> None:
    world = World()
    client = world.connect("c")
    client.subscribe(filter, retain_as_published=True, identifier=identifier)
    assert forwarded(world, client) == [True, False]


@pytest.mark.spec("MQTT-3.3.1-12", "MQTT-3.3.1-13")
def test_both_kinds_of_subscriber_of_one_message_get_what_they_asked_for() -> None:
    world = World()
    as_published = world.connect("a")
    as_published.subscribe("t", 1, retain_as_published=True)
    plain = world.connect("b")
    plain.subscribe("t", 1)
    world.connect("pub").publish("t", b"x", 1, retain=True)
    assert [m.retain for m in as_published.messages()] == [True]
    assert [m.retain for m in plain.messages()] == [False]


def test_a_shared_subscription_gets_nothing_retained() -> None:
    """Section 4.8.2, where it has no number."""
    world = World()
    world.connect("pub").publish("t", b"r", retain=True)
    client = world.connect("c")
    assert isinstance(client.subscribe("$share/g/t"), p.Suback)
    assert payloads(client) == []
