"""SUBSCRIBE and UNSUBSCRIBE, their answers and what follows (5.0 sections 3.8 to 3.11)."""

from __future__ import annotations

import pytest

from midge.auth.base import ALLOWED, SUBSCRIBE, Decision, Identity, deny
from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.support import (
    FROM_SERVER,
    Bystander,
    assert_closed_with,
    come_back,
    frame,
    payloads,
    prop,
    raw_properties,
    raw_subscribe,
    string,
    two,
    varint,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])

# -- the form of SUBSCRIBE ------------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.8.3-2", "3.1.1:MQTT-3.8.3-3")
@VERSIONS
def test_a_subscribe_without_a_filter_is_a_protocol_error(version: int) -> None:
    client = World().connect("c", version=version)
    client.send(frame(0x82, two(1) + raw_properties(version)))
    assert_closed_with(client, Reason.PROTOCOL_ERROR)


@pytest.mark.spec("MQTT-3.8.3-2", "3.1.1:MQTT-3.8.3-3")
@VERSIONS
@pytest.mark.parametrize("entry", [string(b"t"), b"\0", b"\0\5abc", string(b"t") + b"\0\0"])
def test_a_filter_without_options_or_cut_short_is_malformed(version: int, entry: bytes) -> None:
    client = World().connect("c", version=version)
    client.send(frame(0x82, two(1) + raw_properties(version) + entry))
    assert_closed_with(client, Reason.MALFORMED_PACKET)


@pytest.mark.spec("3.1.1:MQTT-3.8.3-4")
@pytest.mark.parametrize("options", [*range(3, 16), 0x10, 0x40, 0x80, 0xC1, 0xFF])
def test_in_3_1_1_any_option_but_qos_0_to_2_ends_the_connection(options: int) -> None:
    client = World().connect("c", version=4)
    client.send(raw_subscribe(4, options=options))
    assert_closed_with(client, 0)


@pytest.mark.spec("MQTT-3.8.3-5")
@pytest.mark.parametrize("options", [0x40, 0x80, 0xC0, 0x41, 0x82, 0xFD])
def test_reserved_bits_in_the_options_are_malformed(options: int) -> None:
    world = World()
    bystander = Bystander(world)
    client = world.connect("c")
    client.send(raw_subscribe(5, options=options))
    assert_closed_with(client, Reason.MALFORMED_PACKET)
    bystander.assert_untouched()


@pytest.mark.parametrize("options", [0x03, 0x30, 0x31, 0x0B])
def test_qos_3_and_retain_handling_3_are_refused(options: int) -> None:
    """Section 3.8.3.1 calls them protocol errors, without a number."""
    client = World().connect("c")
    client.send(raw_subscribe(5, options=options))
    assert client.closed
    goodbye = client.expect(p.Disconnect)
    assert goodbye.reason in (Reason.PROTOCOL_ERROR, Reason.MALFORMED_PACKET)


@pytest.mark.parametrize("data", [prop(0x0B, b"\0"), prop(0x0B, b"\1") * 2])
def test_a_subscription_identifier_of_0_or_given_twice_is_a_protocol_error(data: bytes) -> None:
    """Section 3.8.2.1.2, where it has no number."""
    client = World().connect("c")
    client.send(raw_subscribe(5, properties=data))
    assert_closed_with(client, Reason.PROTOCOL_ERROR)


@pytest.mark.parametrize("identifier", [1, 268435455])
def test_a_subscription_identifier_within_its_range_is_taken(identifier: int) -> None:
    client = World().connect("c")
    client.send(raw_subscribe(5, properties=prop(0x0B, varint(identifier))))
    assert client.expect(p.Suback).reasons == [0]


BAD_FILTERS = ["a#", "#/a", "a/#/b", "a/b#", "##", "a+", "+a", "a/+b/c", "a/b+", "++", "a/#+"]


@pytest.mark.spec("MQTT-4.7.1-1", "MQTT-4.7.1-2", "3.1.1:MQTT-4.7.1-2", "3.1.1:MQTT-4.7.1-3")
@VERSIONS
@pytest.mark.parametrize("filter", BAD_FILTERS)
@pytest.mark.parametrize("prefix", ["", "x/", "$share/g/"])
def test_a_wildcard_that_is_not_a_level_of_its_own_is_refused(
    version: int, filter: str, prefix: str
) -> None:
    client = World().connect("c", version=version)
    client.send(raw_subscribe(version, (prefix + filter).encode()))
    assert_closed_with(client, Reason.TOPIC_FILTER_INVALID, Reason.MALFORMED_PACKET)


@pytest.mark.spec("MQTT-4.7.1-1", "MQTT-4.7.1-2", "3.1.1:MQTT-4.7.1-2", "3.1.1:MQTT-4.7.1-3")
@VERSIONS
@pytest.mark.parametrize(
    "filter", ["#", "+", "a/#", "+/+", "a/+/b", "+/a/#", "/+", "+/", "/#", "a//+", "$SYS/#"]
)
def test_wildcards_may_stand_in_any_level_and_hash_in_the_last(version: int, filter: str) -> None:
    client = World().connect("c", version=version)
    assert client.subscribe(filter, 1).reasons == [1]


@pytest.mark.spec("MQTT-4.7.3-1", "3.1.1:MQTT-4.7.3-1")
@VERSIONS
def test_an_empty_filter_is_refused(version: int) -> None:
    for packet in (
        raw_subscribe(version, b""),
        frame(0xA2, two(1) + raw_properties(version) + string(b"")),
    ):
        client = World().connect("c", version=version)
        client.send(packet)
        assert_closed_with(client, Reason.TOPIC_FILTER_INVALID, Reason.MALFORMED_PACKET)


# -- SUBACK ---------------------------------------------------------------------------------------


class NoSecrets:
    """Forbids subscriptions to what begins with ``secret``."""

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        return deny("secret") if action == SUBSCRIBE and topic.startswith("secret") else ALLOWED


@pytest.mark.spec("MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-3.8.4-5", "MQTT-3.8.4-6", "MQTT-3.8.4-7")
@pytest.mark.spec("MQTT-3.9.3-1", "MQTT-3.9.3-2")
@pytest.mark.spec("3.1.1:MQTT-3.8.4-1", "3.1.1:MQTT-3.8.4-2", "3.1.1:MQTT-3.8.4-4")
@pytest.mark.spec("3.1.1:MQTT-3.8.4-5", "3.1.1:MQTT-3.9.3-1", "3.1.1:MQTT-3.9.3-2")
@VERSIONS
@pytest.mark.parametrize("max_qos", [1, 2])
def test_suback_has_for_each_filter_in_order_what_was_granted_or_that_it_failed(
    version: int, max_qos: int
) -> None:
    world = World(authorizer=NoSecrets(), max_qos=max_qos)
    client = world.connect("c", version=version)
    wanted = [("a", 2), ("secret/x", 1), ("b", 0), ("c", 1), ("a", 1), ("secret", 0), ("d", 2)]
    client.send(p.Subscribe(77, [p.SubscribeTo(filter, qos) for filter, qos in wanted]))
    packets = client.take()
    assert len(packets) == 1
    suback = packets[0]
    assert isinstance(suback, p.Suback)
    failed = Reason.NOT_AUTHORIZED if version == 5 else 0x80
    assert suback.packet_id == 77
    assert set(suback.reasons) <= FROM_SERVER[p.Suback]
    assert suback.reasons == [
        failed if filter.startswith("secret") else min(qos, max_qos) for filter, qos in wanted
    ]
    assert not client.closed
    publisher = world.connect("pub")
    for topic in ("a", "b", "secret", "secret/x", "c", "d"):
        publisher.publish(topic, topic.encode(), max_qos)
    got = [(m.topic, m.qos) for m in client.messages()]
    assert got == [("a", 1), ("b", 0), ("c", 1), ("d", max_qos)]


@pytest.mark.spec("MQTT-3.8.4-5", "3.1.1:MQTT-3.8.4-4")
@VERSIONS
def test_several_filters_act_like_several_subscribes(version: int) -> None:
    worlds = []
    filters = [("a/#", 1), ("a/b", 2), ("a/b", 0), ("+/b", 0)]
    for together in (True, False):
        world = World()
        publisher = world.connect("pub")
        publisher.publish("a/b", b"retained", 2, retain=True)
        client = world.connect("c", version=version)
        if together:
            client.send(p.Subscribe(1, [p.SubscribeTo(filter, qos) for filter, qos in filters]))
            assert client.expect(p.Suback).reasons == [1, 2, 0, 0]
        else:
            client.send(
                *[
                    p.Subscribe(index, [p.SubscribeTo(filter, qos)])
                    for index, (filter, qos) in enumerate(filters, 1)
                ]
            )
        publisher.publish("a/b", b"live", 2)
        worlds.append(sorted((m.payload, m.qos, m.retain) for m in client.messages()))
    assert worlds[0] == worlds[1]
    assert len(worlds[0]) > 4


@pytest.mark.spec("MQTT-3.8.4-3", "3.1.1:MQTT-3.8.4-3")
@VERSIONS
@pytest.mark.parametrize("filter", ["t", "+", "#"])
def test_the_same_filter_again_replaces_the_subscription(version: int, filter: str) -> None:
    world = World()
    client = world.connect("c", version=version)
    publisher = world.connect("pub")
    for qos in (1, 2, 0, 1):
        assert client.subscribe(filter, qos).reasons == [qos]
        publisher.publish("t", b"x", 2)
        assert [m.qos for m in client.messages()] == [qos]
    client.unsubscribe(filter)
    publisher.publish("t", b"x", 2)
    assert payloads(client) == []


@pytest.mark.spec("MQTT-3.8.4-3")
def test_every_option_of_the_old_subscription_is_gone() -> None:
    world = World()
    client = world.connect("c")
    client.subscribe("t", 1, no_local=True, retain_as_published=True, identifier=5)
    client.subscribe("t", 1)
    client.publish("t", b"x", 1, retain=True)
    [message] = client.messages()
    assert not message.retain
    assert message.properties is None


@pytest.mark.spec("MQTT-3.8.4-4", "3.1.1:MQTT-3.8.4-3")
@VERSIONS
@pytest.mark.parametrize("qos", [1, 2])
def test_no_message_is_lost_when_a_subscription_is_replaced(version: int, qos: int) -> None:
    world = World(inflight_messages_max=2)
    client = come_back(world, "c", version)
    client.subscribe("t", qos)
    publisher = world.connect("pub")
    sent = []
    for index in range(12):
        sent.append(b"%d" % index)
        publisher.publish("t", sent[-1], qos)
        if index % 3 == 2:
            # In the middle of deliveries: some in flight, some waiting.
            client.send(raw_subscribe(version, options=qos, packet_id=1000 + index))
    assert payloads(client) == sent


@pytest.mark.spec("MQTT-3.8.4-8", "3.1.1:MQTT-3.8.4-6")
@VERSIONS
@pytest.mark.parametrize("published", [0, 1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("way", ["live", "queued", "retained"])
def test_messages_come_at_the_lower_of_published_and_granted_qos(
    version: int, published: int, granted: int, way: str
) -> None:
    world = World()
    client = come_back(world, "c", version)
    if way != "retained":
        client.subscribe("t", granted)
    if way == "queued":
        client.drop()
    world.connect("pub").publish("t", b"x", published, retain=way == "retained")
    if way == "retained":
        client.subscribe("t", granted)
    client = come_back(world, "c", version) if client.closed else client
    lower = min(published, granted)
    expected = [] if way == "queued" and lower == 0 else [lower]
    assert [m.qos for m in client.messages()] == expected


# -- No Local -------------------------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.8.3-3")
@pytest.mark.parametrize("filter", ["t", "+", "#"])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("fast_lane", [True, False])
def test_no_local_keeps_a_client_s_messages_from_itself_alone(
    filter: str, qos: int, fast_lane: bool
) -> None:
    world = World(fast_lane=fast_lane)
    client = come_back(world, "c")
    client.subscribe(filter, 2, no_local=True)
    other = world.connect("other")
    other.subscribe(filter, 2)
    client.publish("t", b"mine", qos)
    other.publish("t", b"theirs", qos)
    assert payloads(client) == [b"theirs"]
    assert payloads(other) == [b"mine", b"theirs"]
    # It is the client identifier that counts, not the connection.
    client.drop()
    again = come_back(world, "c")
    again.publish("t", b"mine again", qos)
    assert payloads(again) == []


@pytest.mark.spec("MQTT-3.8.3-3")
def test_without_no_local_a_client_gets_its_own_messages() -> None:
    client = World().connect("c")
    client.subscribe("t")
    client.publish("t", b"mine")
    assert payloads(client) == [b"mine"]


@pytest.mark.spec("MQTT-3.8.3-4")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_no_local_on_a_shared_subscription_is_a_protocol_error(qos: int) -> None:
    world = World()
    bystander = Bystander(world)
    client = world.connect("c")
    client.send(raw_subscribe(5, b"$share/g/bystanders/x", 4 | qos))
    assert_closed_with(client, Reason.PROTOCOL_ERROR)
    bystander.assert_untouched()


# -- UNSUBSCRIBE ----------------------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.10.3-2", "3.1.1:MQTT-3.10.3-2")
@VERSIONS
def test_an_unsubscribe_without_a_filter_is_a_protocol_error(version: int) -> None:
    client = World().connect("c", version=version)
    client.send(frame(0xA2, two(1) + raw_properties(version)))
    assert_closed_with(client, Reason.PROTOCOL_ERROR)


@pytest.mark.spec("MQTT-3.10.4-1", "3.1.1:MQTT-3.10.4-1")
@VERSIONS
@pytest.mark.parametrize("filter", ["a/b", "a/+", "a/#", "#", "+/b"])
def test_unsubscribe_removes_exactly_the_filter_that_it_names(version: int, filter: str) -> None:
    world = World()
    client = world.connect("c", version=version)
    client.subscribe(filter)
    others = {"a/b", "a/+", "a/#", "#", "+/b", "A/b", "a/b/", "/a/b"} - {filter}
    client.unsubscribe(*sorted(others))
    publisher = world.connect("pub")
    publisher.publish("a/b", b"still")
    assert payloads(client) == [b"still"]
    client.unsubscribe(filter)
    publisher.publish("a/b", b"no more")
    assert payloads(client) == []


@pytest.mark.spec("MQTT-3.10.4-1", "3.1.1:MQTT-3.10.4-1")
@VERSIONS
def test_unsubscribe_leaves_other_subscriptions_and_other_clients_alone(version: int) -> None:
    world = World()
    client = world.connect("c", version=version)
    client.subscribe("a/b")
    client.subscribe("a/+")
    other = world.connect("other")
    other.subscribe("a/b")
    client.unsubscribe("a/b")
    world.connect("pub").publish("a/b", b"x")
    assert payloads(client) == [b"x"]
    assert payloads(other) == [b"x"]


@pytest.mark.spec("MQTT-3.10.4-2", "MQTT-3.10.4-3", "3.1.1:MQTT-3.10.4-2", "3.1.1:MQTT-3.10.4-3")
@VERSIONS
@pytest.mark.parametrize("qos", [1, 2])
def test_after_unsubscribe_deliveries_under_way_are_completed_and_none_are_added(
    version: int, qos: int
) -> None:
    world = World()
    client = come_back(world, "c", version)
    client.subscribe("t", qos)
    publisher = world.connect("pub")
    publisher.publish("t", b"under way", qos)
    [message] = client.messages(acknowledge=False)
    client.unsubscribe("t")
    publisher.publish("t", b"too late", qos)
    client.expect_nothing()
    client.drop()
    client = come_back(world, "c", version)
    [again] = client.messages(acknowledge=False)
    assert (again.packet_id, again.payload, again.dup) == (message.packet_id, b"under way", True)
    if qos == 2:
        client.send(p.Pubrec(message.packet_id))
        assert client.expect(p.Pubrel) == p.Pubrel(message.packet_id)
        client.send(p.Pubcomp(message.packet_id))
    else:
        client.send(p.Puback(message.packet_id))
    client.drop()
    come_back(world, "c", version).expect_nothing()


@pytest.mark.spec("MQTT-3.10.4-4", "MQTT-3.10.4-5", "MQTT-3.10.4-6", "MQTT-3.11.3-1")
@pytest.mark.spec("MQTT-3.11.3-2", "3.1.1:MQTT-3.10.4-4", "3.1.1:MQTT-3.10.4-5")
@pytest.mark.spec("3.1.1:MQTT-3.10.4-6")
@VERSIONS
def test_unsuback_answers_once_for_all_filters_in_their_order(version: int) -> None:
    world = World()
    client = world.connect("c", version=version)
    client.subscribe("a")
    client.subscribe("$share/g/b")
    client.subscribe("c/#")
    filters = ["x", "a", "c", "$share/g/b", "a", "c/#", "b"]
    client.send(p.Unsubscribe(99, filters))
    packets = client.take()
    existed = [0x11, 0x00, 0x11, 0x00, 0x11, 0x00, 0x11]
    assert packets == [p.Unsuback(99, existed if version == 5 else [])]
    assert set(existed) <= FROM_SERVER[p.Unsuback]
    publisher = world.connect("pub")
    for topic in ("a", "b", "c/d"):
        publisher.publish(topic)
    assert payloads(client) == []


@pytest.mark.spec("MQTT-3.10.4-5", "3.1.1:MQTT-3.10.4-5", "3.1.1:MQTT-3.10.4-4")
@VERSIONS
def test_unsubscribe_is_answered_even_if_there_was_nothing(version: int) -> None:
    client = World().connect("c", version=version)
    client.send(p.Unsubscribe(5, ["nothing"]))
    assert client.take() == [p.Unsuback(5, [0x11] if version == 5 else [])]
