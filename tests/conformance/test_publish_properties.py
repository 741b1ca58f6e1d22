"""The properties of a message on their way through, and its expiry (5.0 section 3.3.2.3)."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.support import (
    come_back,
    having,
    payloads,
    prop,
    raw_publish,
    string,
    two,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])

FORWARDED = {
    "payload format 0": having(payload_format_indicator=0),
    "payload format 1": having(payload_format_indicator=1),
    "content type": having(content_type="text/plain; charset=utf-8"),
    "empty content type": having(content_type=""),
    "response topic": having(response_topic="reply/to/\u00e9"),
    "correlation data": having(correlation_data=bytes(range(256))),
    "empty correlation data": having(correlation_data=b""),
    "user properties": having(user=[("b", "2"), ("a", "1"), ("b", "2"), ("", ""), ("b", "0")]),
    "all": having(
        user=[("k", "v")],
        payload_format_indicator=1,
        content_type="t",
        response_topic="r",
        correlation_data=b"c",
    ),
}


@pytest.mark.spec("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17")
@pytest.mark.spec("MQTT-3.3.2-18", "MQTT-3.3.2-20")
@pytest.mark.parametrize("way", ["live", "queued", "retained", "shared", "again"])
@pytest.mark.parametrize("name", FORWARDED)
def test_the_properties_of_a_message_are_forwarded_as_they_came(name: str, way: str) -> None:
    properties = FORWARDED[name]
    world = World()
    client = come_back(world, "c")
    if way != "retained":
        client.subscribe("$share/g/t" if way == "shared" else "t", 1)
    if way == "queued":
        client.drop()
    world.connect("pub").publish("t", b"x", 1, retain=way == "retained", properties=properties)
    if way == "retained":
        client.subscribe("t", 1)
    if way == "again":
        client.messages(acknowledge=False)
        client.drop()
    client = come_back(world, "c") if client.closed else client
    [message] = client.messages()
    assert message.properties == properties


@pytest.mark.spec("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17")
@pytest.mark.spec("MQTT-3.3.2-18", "MQTT-3.3.2-20")
@pytest.mark.parametrize("first", [0x30, 0x31, 0x32])
def test_every_property_is_forwarded_with_the_bytes_that_came(first: int) -> None:
    """The same without midge's codec, which could be wrong in the same way both ways."""
    world = World()
    client = world.connect("c")
    client.subscribe("t", 1)
    user = b"".join(prop(0x26, string(name) + string(b"v")) for name in (b"z", b"a", b"z", b""))
    others = [
        prop(0x01, b"\1"),
        prop(0x03, string(b"text")),
        prop(0x08, string(b"reply/to")),
        prop(0x09, string(b"\0\xff")),
    ]
    packet_id = two(1) if first & 6 else b""
    data = raw_publish(5, b"t", first, packet_id, user + b"".join(others), b"payload")
    world.connect("pub").send(data)
    raw = client.raw()
    assert user in raw
    assert all(other in raw for other in others)
    assert len(raw) == len(data)


@pytest.mark.spec("MQTT-3.3.2-17")
def test_every_subscriber_gets_the_user_properties() -> None:
    world = World()
    clients = [world.connect(f"c{index}") for index in range(3)]
    for qos, client in enumerate(clients):
        client.subscribe("t", qos)
    old = world.connect("old", version=4)
    old.subscribe("t")
    properties = having(user=[("x", "1"), ("x", "2")])
    world.connect("pub").publish("t", b"x", 2, properties=properties)
    for client in clients:
        assert [m.properties for m in client.messages()] == [properties]
    assert old.raw() == raw_publish(4, payload=b"x")


@pytest.mark.spec("MQTT-3.3.2-14", "MQTT-3.3.2-13")
@pytest.mark.parametrize("topic", [b"a/+", b"#", b"+", b"a/#/b"])
def test_a_response_topic_with_a_wildcard_is_refused(topic: bytes) -> None:
    client = World().connect("c")
    client.send(raw_publish(5, properties=prop(0x08, string(topic))))
    assert client.closed
    goodbye = client.expect(p.Disconnect)
    assert goodbye.reason in (Reason.PROTOCOL_ERROR, Reason.TOPIC_NAME_INVALID)


@pytest.mark.spec("MQTT-3.3.2-5")
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("way", ["away", "window", "retained"])
def test_a_message_that_expired_before_it_was_sent_on_is_dropped(qos: int, way: str) -> None:
    world = World()
    client = world.connect(
        "c",
        clean_start=False,
        properties=having(session_expiry_interval=3600, receive_maximum=1),
    )
    publisher = world.connect("pub")
    client.subscribe("t", qos)
    publisher.publish("t", b"first", qos)
    [first] = client.messages(acknowledge=False)
    if way == "away":
        client.drop()
    expiring = having(message_expiry_interval=10)
    publisher.publish("t", b"expires", qos, retain=way == "retained", properties=expiring)
    publisher.publish("u", b"", qos)
    world.advance(11)
    if way == "retained":
        late = world.connect("late")
        late.subscribe("t", qos)
        assert payloads(late) == []
    if way == "away":
        client = come_back(world, "c")
        assert payloads(client) == [b"first"]
    else:
        client.send(p.Puback(first.packet_id) if qos == 1 else p.Pubrec(first.packet_id))
        assert payloads(client) == []


@pytest.mark.spec("MQTT-3.3.2-6", "MQTT-3.3.2-5")
@pytest.mark.parametrize("waited", [0, 1, 7, 9])
@pytest.mark.parametrize("way", ["queued", "retained"])
def test_the_expiry_that_is_forwarded_is_what_is_left(waited: int, way: str) -> None:
    world = World()
    client = come_back(world, "c")
    if way == "queued":
        client.subscribe("t", 1)
        client.drop()
    expiring = having(message_expiry_interval=10)
    world.connect("pub").publish("t", b"x", 1, retain=way == "retained", properties=expiring)
    world.advance(waited)
    if way == "queued":
        client = come_back(world, "c")
    else:
        client.subscribe("t", 1)
    [message] = client.messages()
    assert message.properties == having(message_expiry_interval=10 - waited)


@pytest.mark.spec("MQTT-3.3.2-6")
@pytest.mark.parametrize("fast_lane", [True, False])
def test_the_expiry_of_a_message_that_did_not_wait_is_the_one_it_came_with(
    fast_lane: bool,
) -> None:
    world = World(fast_lane=fast_lane)
    client = world.connect("c")
    client.subscribe("t")
    properties = having(message_expiry_interval=10)
    world.connect("pub").publish("t", b"x", properties=properties)
    assert [m.properties for m in client.messages()] == [properties]
