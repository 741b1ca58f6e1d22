"""Topic aliases, both ways (5.0 sections 3.1.2.11.5, 3.2.2.3.8 and 3.3.2.3.4)."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.decode import decode_packet, packet_length
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.conformance.support import (
    assert_closed_with,
    having,
    prop,
    raw_publish,
    two,
)


def aliased(topic: bytes, alias: int, payload: bytes = b"") -> bytes:
    return raw_publish(5, topic, properties=prop(0x23, two(alias)), payload=payload)


def told_maximum(client: Peer) -> int:
    assert client.connack is not None
    assert client.connack.properties is not None
    return client.connack.properties.get_int(0x22)


@pytest.mark.spec("MQTT-3.3.2-12", "MQTT-3.2.2-17")
@pytest.mark.parametrize("maximum", [1, 10, 65535])
def test_every_alias_up_to_the_server_s_maximum_is_taken(maximum: int) -> None:
    world = World(topic_alias_max=maximum)
    watcher = world.connect("w")
    watcher.subscribe("#")
    client = world.connect("c")
    assert told_maximum(client) == maximum
    aliases = {1, (maximum + 1) // 2, maximum}
    for alias in aliases:
        client.send(aliased(b"t/%d" % alias, alias))
    for alias in aliases:
        client.send(aliased(b"", alias, b"again"))
    assert not client.closed
    topics = [message.topic for message in watcher.messages()]
    assert topics == [f"t/{alias}" for alias in aliases] * 2


@pytest.mark.spec("MQTT-3.3.2-12")
def test_an_alias_may_be_given_a_new_topic_and_works_at_every_qos() -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("#", 2)
    client = world.connect("c")
    alias = having(topic_alias=3)
    for topic, qos in (("one", 0), ("", 1), ("", 2), ("two", 1), ("", 0)):
        client.publish(topic, b"", qos, properties=alias)
    messages = watcher.messages()
    assert [(m.topic, m.qos) for m in messages] == [
        ("one", 0),
        ("one", 1),
        ("one", 2),
        ("two", 1),
        ("two", 0),
    ]


@pytest.mark.spec("MQTT-3.3.2-8", "MQTT-3.3.2-9", "MQTT-3.2.2-17", "MQTT-3.2.2-18")
@pytest.mark.parametrize(("maximum", "alias"), [(10, 0), (10, 11), (10, 65535), (0, 1), (0, 0)])
@pytest.mark.parametrize("topic", [b"t", b""])
def test_an_alias_of_0_or_above_the_maximum_is_refused(
    maximum: int, alias: int, topic: bytes
) -> None:
    world = World(topic_alias_max=maximum)
    client = world.connect("c")
    assert told_maximum(client) == maximum
    client.send(aliased(topic, alias))
    assert_closed_with(client, Reason.TOPIC_ALIAS_INVALID)


def test_an_alias_that_was_never_set_is_a_protocol_error() -> None:
    """Section 3.3.2.3.4 says so without a number."""
    client = World().connect("c")
    client.send(aliased(b"", 1))
    assert_closed_with(client, Reason.PROTOCOL_ERROR)


@pytest.mark.spec("MQTT-3.3.2-7")
@pytest.mark.parametrize("clean_start", [False, True])
def test_an_alias_of_the_last_connection_is_not_known_on_the_next(clean_start: bool) -> None:
    world = World()
    properties = having(session_expiry_interval=100)
    client = world.connect("c", properties=properties)
    client.send(aliased(b"t", 1))
    client.drop()
    again = world.connect("c", clean_start=clean_start, properties=properties)
    again.send(aliased(b"", 1))
    assert_closed_with(again, Reason.PROTOCOL_ERROR)


@pytest.mark.spec("MQTT-3.3.2-7")
def test_an_alias_belongs_to_one_client_alone() -> None:
    world = World()
    world.connect("one").send(aliased(b"t", 1))
    other = world.connect("two")
    other.send(aliased(b"", 1))
    assert_closed_with(other, Reason.PROTOCOL_ERROR)


def resolve(messages: list[p.Publish]) -> list[tuple[str, int]]:
    """Topics as a client that follows the aliases sees them, each with the alias that came."""
    known: dict[int, str] = {}
    found = []
    for message in messages:
        alias = 0 if message.properties is None else message.properties.get_int(0x23)
        if message.topic and alias:
            known[alias] = message.topic
        found.append((message.topic or known[alias], alias))
    return found


@pytest.mark.spec("MQTT-3.1.2-26", "MQTT-3.3.2-11", "MQTT-3.3.2-8")
@pytest.mark.parametrize("maximum", [1, 2, 3, 65535])
@pytest.mark.parametrize("qos", [0, 1])
def test_the_broker_stays_within_the_client_s_maximum(maximum: int, qos: int) -> None:
    world = World(topic_alias_broker_max=100)
    client = world.connect("c", properties=having(topic_alias_maximum=maximum))
    client.subscribe("#", qos)
    publisher = world.connect("pub")
    topics = ["a", "b", "a", "c", "d", "b", "a", "e", "a"]
    for topic in topics:
        publisher.publish(topic, b"", qos)
    found = resolve(read_raw(client))
    assert [topic for topic, _ in found] == topics
    used = {alias for _, alias in found}
    assert used <= set(range(maximum + 1))
    assert used - {0}, "an alias was allowed, and none was used: this test would see nothing"


@pytest.mark.spec("MQTT-3.1.2-27", "MQTT-3.3.2-11")
@pytest.mark.parametrize("properties", [None, having(topic_alias_maximum=0)])
def test_the_broker_uses_no_alias_where_the_client_allows_none(properties: object) -> None:
    world = World()
    client = world.connect("c", properties=properties)  # type: ignore[arg-type]
    client.subscribe("#")
    publisher = world.connect("pub")
    for _ in range(3):
        publisher.publish("a")
    assert client.raw() == raw_publish(5, b"a") * 3


@pytest.mark.spec("MQTT-3.1.2-27", "MQTT-3.3.2-7")
def test_an_alias_that_came_in_does_not_go_out() -> None:
    world = World()
    client = world.connect("c")
    client.subscribe("#")
    world.connect("pub").send(aliased(b"a", 1), aliased(b"", 1))
    assert client.raw() == raw_publish(5, b"a") * 2


@pytest.mark.spec("MQTT-3.3.2-7")
def test_the_broker_s_own_aliases_begin_anew_with_each_connection() -> None:
    world = World()
    properties = having(topic_alias_maximum=5, session_expiry_interval=100)
    publisher = world.connect("pub")
    client = world.connect("c", properties=properties)
    client.subscribe("#", 1)
    publisher.publish("a", b"", 1)
    publisher.publish("a", b"", 1)
    client.drop()
    publisher.publish("a", b"", 1)
    again = world.peer(5)
    again.send(p.Connect("c", clean_start=False, properties=properties))
    # resolve() fails for an alias whose topic did not come on this connection.
    found = resolve(read_raw(again))
    assert [topic for topic, _ in found] == ["a", "a", "a"]
    assert found[-1][1], "no alias was used: this test would see nothing"


def read_raw(client: Peer) -> list[p.Publish]:
    """Messages as they stand on the wire, aliases not resolved."""
    data = client.raw()
    found = []
    pos = 0
    while pos < len(data):
        start, end = packet_length(data, pos)
        packet = decode_packet(data, start, end, data[pos], 5)
        if isinstance(packet, p.Publish):
            found.append(packet)
        pos = end
    return found
