"""Receive Maximum and the send quota, both ways (5.0 sections 3.3.4 and 4.9)."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.conformance.support import Bystander, assert_closed_with, frame, having, payloads


def told_maximum(client: Peer) -> int:
    assert client.connack is not None
    assert client.connack.properties is not None
    return client.connack.properties.get_int(0x21, 65535)


def subscribed(world: World, maximum: int, qos: int) -> tuple[Peer, Peer]:
    """A subscriber with a Receive Maximum, and a publisher."""
    client = world.connect(
        "c",
        clean_start=False,
        properties=having(receive_maximum=maximum, session_expiry_interval=3600),
    )
    client.subscribe("t", qos)
    return client, world.connect("pub")


@pytest.mark.spec("MQTT-3.3.4-9", "MQTT-4.9.0-1", "MQTT-4.9.0-2")
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("maximum", [1, 2, 5])
def test_the_broker_stays_within_the_client_s_receive_maximum(qos: int, maximum: int) -> None:
    world = World(inflight_messages_max=10)
    client, publisher = subscribed(world, maximum, qos)
    for index in range(12):
        publisher.publish("t", b"%d" % index, qos)
    got = client.messages(acknowledge=False)
    assert len(got) == maximum
    world.advance(1000)
    client.expect_nothing()
    # Each exchange that ends makes room for one more.
    for index in range(12 - maximum):
        message = got.pop(0)
        if qos == 1:
            client.send(p.Puback(message.packet_id))
        else:
            client.send(p.Pubrec(message.packet_id))
            assert client.take() == [p.Pubrel(message.packet_id)], "PUBREC made room"
            client.send(p.Pubcomp(message.packet_id))
        more = client.messages(acknowledge=False)
        assert [m.payload for m in more] == [b"%d" % (index + maximum)]
        got += more


@pytest.mark.spec("MQTT-3.3.4-9", "MQTT-4.9.0-2")
def test_a_refusing_pubrec_makes_room_as_well() -> None:
    world = World()
    client, publisher = subscribed(world, 1, 2)
    for index in range(3):
        publisher.publish("t", b"%d" % index, 2)
    for index in range(3):
        [message] = client.messages(acknowledge=False)
        assert message.payload == b"%d" % index
        client.send(p.Pubrec(message.packet_id, 0x80))


@pytest.mark.spec("MQTT-3.3.4-9", "MQTT-4.9.0-1", "MQTT-4.9.0-2")
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("maximum", [1, 3])
def test_resending_on_a_new_connection_stays_within_its_receive_maximum(
    qos: int, maximum: int
) -> None:
    world = World(inflight_messages_max=10)
    client, publisher = subscribed(world, 8, qos)
    for index in range(12):
        publisher.publish("t", b"%d" % index, qos)
    assert len(client.messages(acknowledge=False)) == 8
    client.drop()
    client = world.connect(
        "c",
        clean_start=False,
        properties=having(receive_maximum=maximum, session_expiry_interval=3600),
    )
    seen = []
    unacknowledged = client.messages(acknowledge=False)
    for _ in range(100):
        assert len(unacknowledged) <= maximum
        if not unacknowledged:
            break
        message = unacknowledged.pop(0)
        seen.append(message.payload)
        if qos == 1:
            client.send(p.Puback(message.packet_id))
        else:
            client.send(p.Pubrec(message.packet_id))
            client.expect(p.Pubrel)
            client.send(p.Pubcomp(message.packet_id))
        unacknowledged += client.messages(acknowledge=False)
    assert seen == [b"%d" % index for index in range(12)]


@pytest.mark.spec("MQTT-3.3.4-10", "MQTT-4.9.0-3")
@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_full_window_delays_nothing_but_messages_above_qos_0(fast_lane: bool) -> None:
    world = World(fast_lane=fast_lane)
    client, publisher = subscribed(world, 1, 2)
    publisher.publish("t", b"1", 2)
    publisher.publish("t", b"2", 2)
    [held] = client.messages(acknowledge=False)
    client.send(
        frame(0xC0, b""),
        p.Subscribe(100, [p.SubscribeTo("u")]),
        p.Unsubscribe(101, ["nothing"]),
        p.Publish("v", b"x", 1, packet_id=102),
        p.Publish("v", b"x", 2, packet_id=103),
        p.Pubrel(103),
    )
    kinds = [type(packet) for packet in client.take()]
    assert kinds == [p.Pingresp, p.Suback, p.Unsuback, p.Puback, p.Pubrec, p.Pubcomp]
    publisher.publish("t", b"at QoS 0", 0)
    publisher.publish("u", b"at QoS 0 too", 0)
    assert payloads(client) == [b"at QoS 0", b"at QoS 0 too"]
    client.send(p.Pubrec(held.packet_id))
    assert client.expect(p.Pubrel).packet_id == held.packet_id
    client.send(p.Pubcomp(held.packet_id))
    assert [m.payload for m in client.messages()] == [b"2"]


@pytest.mark.spec("MQTT-4.9.0-1", "MQTT-3.3.4-7")
@pytest.mark.parametrize("maximum", [1, 2, 20])
@pytest.mark.parametrize("qos", [1, 2])
def test_a_client_may_use_the_whole_receive_maximum_that_it_was_told(
    maximum: int, qos: int
) -> None:
    world = World(inflight_messages_max=maximum)
    client = world.connect("c")
    assert told_maximum(client) == maximum
    for _ in range(3):
        for packet_id in range(1, maximum + 1):
            client.send(p.Publish("t", b"x", qos, packet_id=packet_id))
        assert not client.closed
        for packet_id in range(1, maximum + 1):
            client.send(*([p.Pubrel(packet_id)] if qos == 2 else []))
    assert not client.closed


@pytest.mark.spec("MQTT-3.3.4-7")
@pytest.mark.parametrize("maximum", [1, 2, 20])
def test_exceeding_the_receive_maximum_is_answered_with_0x93(maximum: int) -> None:
    world = World(inflight_messages_max=maximum)
    bystander = Bystander(world)
    client = world.connect("c")
    for packet_id in range(1, maximum + 1):
        client.send(p.Publish("t", b"x", 2, packet_id=packet_id))
        client.expect(p.Pubrec)
    client.send(p.Publish("t", b"x", 2, packet_id=maximum + 1))
    assert_closed_with(client, Reason.RECEIVE_MAXIMUM_EXCEEDED)
    bystander.assert_untouched()


@pytest.mark.spec("MQTT-3.3.4-7", "MQTT-4.9.0-1")
def test_qos_0_does_not_count() -> None:
    world = World(inflight_messages_max=1)
    client = world.connect("c")
    client.send(p.Publish("t", b"x", 2, packet_id=1))
    for _ in range(10):
        client.publish("t", b"x", 0)
    assert not client.closed


def test_3_1_1_has_no_receive_maximum_to_exceed() -> None:
    world = World(inflight_messages_max=1)
    client = world.connect("c", version=4)
    for packet_id in range(1, 30):
        client.send(p.Publish("t", b"x", 2, packet_id=packet_id))
        client.expect(p.Pubrec)
    assert not client.closed
