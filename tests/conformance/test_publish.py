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
    lasting,
    payloads,
    prop,
    raw_publish,
    string,
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


# -- properties -----------------------------------------------------------------------------------

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


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.2.2-9", "MQTT-3.2.2-11")
@pytest.mark.parametrize("max_qos", [0, 1, 2])
def test_a_limit_on_qos_is_told_and_holds(max_qos: int) -> None:
    world = World(max_qos=max_qos)
    client = world.connect("c")
    assert client.connack is not None
    assert client.connack.properties is not None
    assert client.connack.properties.values.get(0x24, 2) == max_qos
    for qos in range(max_qos + 1):
        client.publish("t", b"x", qos)
        assert not client.closed
    if max_qos < 2:
        client.send(p.Publish("t", b"x", max_qos + 1, packet_id=9))
        assert client.closed
        goodbye = client.take()[-1]
        assert isinstance(goodbye, p.Disconnect)
        assert goodbye.reason == Reason.QOS_NOT_SUPPORTED


@pytest.mark.spec("MQTT-3.2.2-10")
@VERSIONS
@pytest.mark.parametrize("max_qos", [0, 1])
def test_a_limit_on_qos_does_not_keep_out_requests_for_more(version: int, max_qos: int) -> None:
    world = World(max_qos=max_qos)
    client = world.connect("c", version=version)
    for qos in range(3):
        assert client.subscribe(f"t/{qos}", qos).reasons == [min(qos, max_qos)]


@pytest.mark.spec("MQTT-3.2.2-14")
def test_a_retained_message_where_nothing_is_retained_is_refused() -> None:
    world = World(retain_available=False)
    client = world.connect("c")
    assert client.connack is not None
    assert client.connack.properties is not None
    assert client.connack.properties.values[0x25] == 0
    client.publish("t", b"x", retain=True)
    assert_closed_with(client, Reason.RETAIN_NOT_SUPPORTED)


@pytest.mark.spec("MQTT-3.2.2-15")
@VERSIONS
def test_a_packet_above_the_server_s_maximum_is_refused_at_its_header(version: int) -> None:
    world = World(packet_bytes_max=1000)
    bystander = Bystander(world)
    client = world.connect("c", version=version)
    if version == 5:
        assert client.connack is not None
        assert client.connack.properties is not None
        assert client.connack.properties.values[0x27] == 1000
    fitting = raw_publish(version, payload=b"x" * 990)
    client.send(raw_publish(version, payload=b"x" * (990 + 1000 - len(fitting))))
    assert not client.closed
    # The header alone is enough: what it announces is never waited for.
    client.send(raw_publish(version, payload=b"x" * 999)[:4])
    assert_closed_with(client, Reason.PACKET_TOO_LARGE)
    bystander.assert_untouched()


@pytest.mark.parametrize("size", [100_001, 268_435_455])
def test_a_connect_that_is_too_large_is_refused_at_its_header(size: int) -> None:
    peer = World().peer(4)
    peer.send(b"\x10" + varint(size))
    assert peer.closed
    assert peer.raw() == b""


@pytest.mark.spec("MQTT-3.1.2-24", "MQTT-3.1.2-25")
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("way", ["live", "queued", "retained", "again"])
def test_a_message_too_large_for_a_client_is_dropped_as_if_it_were_sent(qos: int, way: str) -> None:
    world = World()
    limited = having(session_expiry_interval=3600, maximum_packet_size=100)
    opened = lasting() if way == "again" else limited
    client = world.connect("c", clean_start=False, properties=opened)
    other = world.connect("other")
    if way != "retained":
        client.subscribe("t/#", qos)
        other.subscribe("t/#", qos)
    if way == "queued":
        client.drop()
    publisher = world.connect("pub")
    for index, size in enumerate((200, 50, 200, 51, 3000)):
        publisher.publish(f"t/{index}", b"x" * size, qos, retain=way == "retained")
    if way == "retained":
        client.subscribe("t/#", qos)
        other.subscribe("t/#", qos)
    if way == "again":
        client.messages(acknowledge=False)
        client.drop()
    if client.closed:
        client = world.connect("c", clean_start=False, properties=limited)
    got = [len(payload) for payload in payloads(client)]
    assert got == ([] if qos == 0 and way in ("queued", "again") else [50, 51])
    assert [len(payload) for payload in payloads(other)] == [200, 50, 200, 51, 3000]
    if qos:
        # As if it were sent: it does not fill the window either, not even a small one.
        for _ in range(50):
            publisher.publish("t/x", b"x" * 200, qos)
        publisher.publish("t/x", b"end", qos)
        if way == "retained":
            assert payloads(client)[-1] == b"end"
        else:
            assert payloads(client) == [b"end"]


@pytest.mark.spec("MQTT-3.1.2-24")
@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_maximum_packet_size_is_the_largest_that_is_sent(qos: int, over: int) -> None:
    world = World()
    client = world.connect("c", properties=having(maximum_packet_size=100))
    client.subscribe("t", qos)
    smallest = raw_publish(5, first=0x30 | qos << 1, packet_id=two(1) if qos else b"")
    payload = b"x" * (100 - len(smallest) + over)
    world.connect("pub").publish("t", payload, qos)
    raw = client.raw()
    assert len(raw) == (0 if over else 100)
