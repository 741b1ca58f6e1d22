"""Topic names, filters and matching (5.0 section 4.7, 3.1.1 section 4.7)."""

from __future__ import annotations

import pytest

from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.support import assert_closed_with, payloads, raw_publish, two

VERSIONS = pytest.mark.parametrize("version", [4, 5])


@pytest.mark.spec("MQTT-4.7.3-1", "3.1.1:MQTT-4.7.3-1")
@VERSIONS
@pytest.mark.parametrize("first", [0x30, 0x31, 0x32, 0x34])
def test_an_empty_topic_name_is_refused(version: int, first: int) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("#")
    client = world.connect("c", version=version)
    client.send(raw_publish(version, b"", first, two(1) if first & 6 else b""))
    assert client.closed
    if version == 4:
        assert_closed_with(client, 0)
    else:
        [goodbye] = client.take()
        assert goodbye.reason in (Reason.PROTOCOL_ERROR, Reason.TOPIC_NAME_INVALID)  # type: ignore[attr-defined]
    assert payloads(watcher) == []


@pytest.mark.spec("MQTT-4.7.3-1", "3.1.1:MQTT-4.7.3-1")
@VERSIONS
@pytest.mark.parametrize("topic", ["a", "/", "//", " ", "a/", "/a"])
def test_one_character_is_enough_for_a_topic_and_a_filter(version: int, topic: str) -> None:
    world = World()
    client = world.connect("c", version=version)
    client.subscribe(topic)
    world.connect("pub", version=version).publish(topic, b"x")
    assert payloads(client) == [b"x"]


@pytest.mark.spec("MQTT-4.7.2-1", "3.1.1:MQTT-4.7.2-1")
@VERSIONS
@pytest.mark.parametrize("topic", ["$x", "$x/y", "$/y", "$x/y/z"])
@pytest.mark.parametrize("retain", [False, True])
def test_a_leading_wildcard_does_not_match_a_topic_that_begins_with_a_dollar(
    version: int, topic: str, retain: bool
) -> None:
    world = World()
    client = world.connect("c", version=version)
    levels = topic.split("/")
    blind = ["#", "+", "+/#", "/".join(["+", *levels[1:]]), "/".join("+" for _ in levels)]
    seeing = [topic, levels[0] + "/#", "/".join([levels[0], *("+" for _ in levels[1:])])]
    publisher = world.connect("pub")
    if retain:
        publisher.publish(topic, b"x", retain=True)
    for filter in blind:
        client.subscribe(filter)
    publisher.publish(topic, b"x")
    assert payloads(client) == []
    for filter in seeing:
        other = world.connect("other", version=version)
        other.subscribe(filter)
        publisher.publish(topic, b"x")
        assert payloads(other) == [b"x"] * (1 + retain)
    assert payloads(client) == []


@pytest.mark.spec("MQTT-4.7.2-1", "3.1.1:MQTT-4.7.2-1")
def test_a_shared_leading_wildcard_does_not_match_it_either() -> None:
    world = World()
    client = world.connect("c")
    client.subscribe("$share/g/#")
    client.subscribe("$share/h/+/y")
    world.connect("pub").publish("$x/y", b"x")
    assert payloads(client) == []


SIMILAR = [
    ("ACCOUNTS", "accounts"),
    ("a/b", "/a/b"),
    ("a/b", "a/b/"),
    ("a/b", "a//b"),
    ("a b", "ab"),
    ("\u00e9", "e\u0301"),  # composed and decomposed
    ("\ufb01", "fi"),  # a ligature
    ("\u2126", "\u03a9"),  # ohm and omega
    ("\u00df", "ss"),
    ("a\u00ad", "a"),  # a soft hyphen
    ("a\u200b", "a"),  # a space without width
    ("\ufeffa", "a"),
    ("\uff0f", "/"),
    ("a/../b", "b"),
    ("a%2Fb", "a/b"),
    ("\ufffd", "\ufffc"),
]


@pytest.mark.spec("MQTT-4.7.3-4", "3.1.1:MQTT-4.7.3-4")
@VERSIONS
@pytest.mark.parametrize("pair", SIMILAR, ids=[ascii(pair) for pair in SIMILAR])
def test_matching_compares_characters_as_they_are(version: int, pair: tuple[str, str]) -> None:
    world = World()
    publisher = world.connect("pub", version=version)
    clients = [world.connect(f"c{index}", version=version) for index in range(2)]
    for client, filter in zip(clients, pair, strict=True):
        client.subscribe(filter)
    for topic in pair:
        publisher.publish(topic, b"live")
        publisher.publish(topic, b"kept", retain=True)
    for client, topic in zip(clients, pair, strict=True):
        assert [(m.topic, m.payload) for m in client.messages()] == [
            (topic, b"live"),
            (topic, b"kept"),
        ]
        client.subscribe(topic)
        assert [m.topic for m in client.messages()] == [topic]
        client.unsubscribe(pair[1 - pair.index(topic)])
        publisher.publish(topic, b"after")
        assert payloads(client) == [b"after"]


@pytest.mark.spec("MQTT-4.7.3-4", "3.1.1:MQTT-4.7.3-4")
@VERSIONS
def test_a_topic_arrives_in_the_bytes_it_was_published_with(version: int) -> None:
    world = World()
    client = world.connect("c", version=version)
    client.subscribe("#")
    for topic in ("\ue000\U0010fffd", "e\u0301/\u00e9", "\ufeff"):
        data = raw_publish(version, topic.encode())
        world.connect("pub", version=version).send(data)
        assert client.raw() == data
