"""PUBLISH: flags, topics, subscriptions that match it (5.0 section 3.3, 3.1.1 section 3.3)."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.support import (
    Bystander,
    assert_closed_with,
    come_back,
    frame,
    having,
    payloads,
    prop,
    raw_publish,
    two,
    varint,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])

# -- flags ----------------------------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.3.1-1", "MQTT-4.4.0-1", "3.1.1:MQTT-3.3.1-1", "3.1.1:MQTT-4.4.0-1")
@VERSIONS
@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_sent_again_has_dup_and_only_then(version: int, qos: int) -> None:
    world = World()
    client = come_back(world, "c", version)
    client.subscribe("t", qos)
    world.connect("pub").publish("t", b"x", qos)
    [first] = client.messages(acknowledge=False)
    assert not first.dup
    client.drop()
    again = come_back(world, "c", version)
    [second] = again.messages()
    assert second.dup
    assert second.packet_id == first.packet_id


@pytest.mark.spec("MQTT-3.3.1-2", "MQTT-4.3.1-1", "3.1.1:MQTT-3.3.1-2", "3.1.1:MQTT-4.3.1-1")
@VERSIONS
@pytest.mark.parametrize("retain", [0, 1])
def test_dup_at_qos_0_is_malformed_and_nothing_is_passed_on(version: int, retain: int) -> None:
    world = World()
    bystander = Bystander(world)
    client = world.connect("c", version=version)
    client.send(raw_publish(version, b"bystanders/x", 0x38 | retain, payload=b"x"))
    assert_closed_with(client, Reason.MALFORMED_PACKET)
    bystander.assert_untouched()


@pytest.mark.spec("MQTT-3.3.1-2", "MQTT-3.3.1-3", "MQTT-4.3.1-1", "MQTT-4.3.2-2", "MQTT-4.3.3-2")
@pytest.mark.spec("3.1.1:MQTT-3.3.1-2", "3.1.1:MQTT-3.3.1-3", "3.1.1:MQTT-4.3.1-1")
@VERSIONS
@pytest.mark.parametrize("published", [1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_dup_coming_in_does_not_go_out(version: int, published: int, granted: int) -> None:
    world = World()
    subscriber = world.connect("sub", version=version)
    subscriber.subscribe("t", granted)
    publisher = world.connect("pub", version=version)
    release = [p.Pubrel(1), p.Pubrel(2)] if published == 2 else []
    publisher.send(p.Publish("t", b"x", published, dup=True, packet_id=1), *release[:1])
    [message] = subscriber.messages()
    assert not message.dup
    assert message.qos == min(published, granted)
    # A retained one is no repeat either, for whoever comes later.
    publisher.send(
        p.Publish("r", b"x", published, retain=True, dup=True, packet_id=2), *release[1:]
    )
    subscriber.subscribe("r", granted)
    assert [m.dup for m in subscriber.messages()] == [False]


@pytest.mark.spec("MQTT-3.3.1-4", "3.1.1:MQTT-3.3.1-4")
@VERSIONS
@pytest.mark.parametrize("first", [0x36, 0x37, 0x3E, 0x3F])
def test_qos_3_is_malformed(version: int, first: int) -> None:
    client = World().connect("c", version=version)
    client.send(raw_publish(version, first=first, packet_id=two(1)))
    assert_closed_with(client, Reason.MALFORMED_PACKET)


# -- topics ---------------------------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.3.2-2", "MQTT-4.7.0-1", "3.1.1:MQTT-3.3.2-2", "3.1.1:MQTT-4.7.1-1")
@VERSIONS
@pytest.mark.parametrize("topic", [b"+", b"#", b"a/+", b"a/#", b"a+", b"a#b", b"+/a", b"a/+/b"])
@pytest.mark.parametrize("first", [0x30, 0x31, 0x32])
def test_a_topic_name_with_a_wildcard_is_refused(version: int, topic: bytes, first: int) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("#")
    client = world.connect("c", version=version)
    client.send(raw_publish(version, topic, first, two(1) if first & 6 else b""))
    assert_closed_with(client, Reason.TOPIC_NAME_INVALID, Reason.MALFORMED_PACKET)
    assert payloads(watcher) == []


@pytest.mark.spec("MQTT-3.3.2-1", "3.1.1:MQTT-3.3.2-1")
@VERSIONS
@pytest.mark.parametrize("body", [b"", b"\0", b"\0\5abcd"], ids=["empty", "half", "cut short"])
def test_a_publish_without_its_topic_is_malformed(version: int, body: bytes) -> None:
    client = World().connect("c", version=version)
    client.send(frame(0x30, body))
    assert_closed_with(client, Reason.MALFORMED_PACKET)


@pytest.mark.spec("MQTT-3.3.2-3", "3.1.1:MQTT-3.3.2-3")
@VERSIONS
def test_what_is_delivered_matches_the_subscription(version: int) -> None:
    world = World()
    filters = ["a/b", "a/+", "a/#", "+/b", "#", "a/b/c", "/a/b", "a//b", "A/b", "a/b/", "b", "+"]
    clients = []
    for index, filter in enumerate(filters):
        client = world.connect(f"c{index}", version=version)
        client.subscribe(filter)
        clients.append(client)
    world.connect("pub").publish("a/b", b"x")
    got = [[m.topic for m in client.messages()] for client in clients]
    assert got == [["a/b"]] * 5 + [[]] * 7


# -- overlapping subscriptions --------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.3.4-2", "3.1.1:MQTT-3.3.5-1")
@VERSIONS
@pytest.mark.parametrize("duplicates", [True, False])
@pytest.mark.parametrize("published", [0, 1, 2])
def test_overlapping_subscriptions_deliver_at_the_highest_qos(
    version: int, duplicates: bool, published: int
) -> None:
    world = World(allow_duplicate_messages=duplicates)
    client = world.connect("c", version=version)
    for qos, filter in ((0, "a/#"), (2, "a/+"), (1, "a/b")):
        client.subscribe(filter, qos)
    world.connect("pub").publish("a/b", b"x", published)
    got = sorted(message.qos for message in client.messages())
    assert got[-1] == published
    if duplicates:
        assert got == sorted(min(published, granted) for granted in (0, 1, 2))
    else:
        assert len(got) == 1


@pytest.mark.spec("MQTT-3.3.4-3", "MQTT-3.3.4-4")
def test_a_single_copy_carries_the_identifiers_of_all_subscriptions_that_match() -> None:
    world = World(allow_duplicate_messages=False)
    client = world.connect("c")
    client.subscribe("a/#", identifier=1)
    client.subscribe("a/+", identifier=200)
    client.subscribe("a/b")
    client.subscribe("a/c", identifier=7)
    world.connect("pub").publish("a/b", b"x")
    [message] = client.messages()
    assert message.properties is not None
    assert sorted(message.properties.subscription_ids) == [1, 200]


@pytest.mark.spec("MQTT-3.3.4-3", "MQTT-3.3.4-5")
@pytest.mark.parametrize("qos", [0, 1])
def test_each_of_several_copies_carries_its_own_subscription_s_identifier(qos: int) -> None:
    world = World(allow_duplicate_messages=True)
    client = world.connect("c")
    client.subscribe("a/#", qos, identifier=1)
    client.subscribe("a/+", qos, identifier=200)
    client.subscribe("a/b", qos)
    client.subscribe("$share/g/a/b", qos, identifier=3)
    world.connect("pub").publish("a/b", b"x", qos)
    ids = [
        message.properties.subscription_ids if message.properties is not None else []
        for message in client.messages()
    ]
    assert sorted(ids) == [[], [1], [3], [200]]


@pytest.mark.spec("MQTT-3.3.4-3", "MQTT-3.3.4-5")
@pytest.mark.parametrize("way", ["queued", "retained", "again"])
def test_an_identifier_stays_with_a_message_that_waited(way: str) -> None:
    world = World()
    client = come_back(world, "c")
    if way != "retained":
        client.subscribe("t", 1, identifier=9)
    if way == "queued":
        client.drop()
    world.connect("pub").publish("t", b"x", 1, retain=way == "retained")
    if way == "retained":
        client.subscribe("t", 1, identifier=9)
    if way == "again":
        client.messages(acknowledge=False)
        client.drop()
    client = come_back(world, "c") if client.closed else client
    [message] = client.messages()
    assert message.properties == having(subscription_ids=[9])


@pytest.mark.spec("MQTT-3.3.4-6")
@pytest.mark.parametrize("identifier", [1, 127, 128, 268435455])
def test_a_client_s_publish_with_a_subscription_identifier_is_a_protocol_error(
    identifier: int,
) -> None:
    world = World()
    bystander = Bystander(world)
    client = world.connect("c")
    data = prop(0x0B, varint(identifier))
    client.send(raw_publish(5, b"bystanders/x", properties=data))
    assert_closed_with(client, Reason.PROTOCOL_ERROR)
    bystander.assert_untouched()


# -- answers --------------------------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.3.4-1", "3.1.1:MQTT-3.3.4-1")
@VERSIONS
@pytest.mark.parametrize(
    ("qos", "answer"), [(0, []), (1, [p.Puback]), (2, [p.Pubrec])], ids=["0", "1", "2"]
)
@pytest.mark.parametrize("subscribed", [False, True])
def test_the_answer_to_a_publish_is_the_one_for_its_qos(
    version: int, qos: int, answer: list[type], subscribed: bool
) -> None:
    world = World()
    if subscribed:
        world.connect("sub").subscribe("t")
    client = world.connect("c", version=version)
    client.send(p.Publish("t", b"x", qos, packet_id=5 if qos else 0))
    assert [type(packet) for packet in client.take()] == answer


@pytest.mark.spec("3.1.1:MQTT-3.3.5-2")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_that_is_not_allowed_is_acknowledged_or_closed_in_3_1_1(qos: int) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("$SYS/x")
    client = world.connect("c", version=4)
    client.send(p.Publish("$SYS/x", b"mine", qos, packet_id=5 if qos else 0))
    if not client.closed:
        kinds = [type(packet) for packet in client.take()]
        assert kinds == {0: [], 1: [p.Puback], 2: [p.Pubrec]}[qos]
        client.send(*([p.Pubrel(5)] if qos == 2 else []))
        assert [type(packet) for packet in client.take()] == [p.Pubcomp] * (qos == 2)
    assert payloads(watcher) == []
