"""QoS 0, 1 and 2 both ways, resending, and the order of messages (5.0 sections 4.3, 4.4, 4.6)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.conformance.support import come_back, frame, having, lasting, payloads, raw_publish, two

VERSIONS = pytest.mark.parametrize("version", [4, 5])


def pair_of(version: int, qos: int) -> tuple[World, Peer, Peer]:
    """A world, a subscriber with a lasting session, and a publisher."""
    world = World()
    subscriber = come_back(world, "sub", version)
    subscriber.subscribe("t", qos)
    return world, subscriber, world.connect("pub")


# -- the broker sends -----------------------------------------------------------------------------


@pytest.mark.spec("MQTT-4.3.1-1", "3.1.1:MQTT-4.3.1-1")
@VERSIONS
@pytest.mark.parametrize("published", [0, 1, 2])
def test_qos_0_goes_out_with_qos_0_and_dup_0(version: int, published: int) -> None:
    world, subscriber, publisher = pair_of(version, 0)
    publisher.publish("t", b"x", published)
    assert subscriber.raw() == raw_publish(version, payload=b"x")
    assert not world.connect("w").closed


@pytest.mark.spec("MQTT-4.3.2-2", "MQTT-4.3.3-2", "3.1.1:MQTT-4.3.2-1", "3.1.1:MQTT-4.3.3-1")
@VERSIONS
@pytest.mark.parametrize("qos", [1, 2])
def test_qos_1_and_2_go_out_with_an_identifier_and_dup_0(version: int, qos: int) -> None:
    _, subscriber, publisher = pair_of(version, qos)
    publisher.publish("t", b"x", qos)
    raw = subscriber.raw()
    assert raw[0] == 0x30 | qos << 1
    assert raw[5:7] != two(0)
    assert raw == raw_publish(version, first=0x30 | qos << 1, packet_id=raw[5:7], payload=b"x")


@pytest.mark.spec("MQTT-4.3.2-3", "3.1.1:MQTT-4.3.2-1", "MQTT-4.4.0-1")
@VERSIONS
def test_a_qos_1_message_is_unacknowledged_until_puback(version: int) -> None:
    world, subscriber, publisher = pair_of(version, 1)
    publisher.publish("t", b"x", 1)
    [first] = subscriber.messages(acknowledge=False)
    for _ in range(3):
        subscriber.drop()
        subscriber = come_back(world, "sub", version)
        [again] = subscriber.messages(acknowledge=False)
        assert (again.packet_id, again.payload, again.dup) == (first.packet_id, b"x", True)
    subscriber.send(p.Puback(first.packet_id))
    subscriber.drop()
    come_back(world, "sub", version).expect_nothing()


@pytest.mark.spec("MQTT-4.3.3-3", "MQTT-4.3.3-4", "MQTT-4.3.3-5", "MQTT-4.3.3-6", "MQTT-4.4.0-1")
@pytest.mark.spec("3.1.1:MQTT-4.3.3-1", "3.1.1:MQTT-4.4.0-1")
@VERSIONS
def test_a_qos_2_message_is_resent_until_pubrec_and_its_pubrel_until_pubcomp(version: int) -> None:
    world, subscriber, publisher = pair_of(version, 2)
    publisher.publish("t", b"x", 2)
    [first] = subscriber.messages(acknowledge=False)
    packet_id = first.packet_id
    for _ in range(2):
        subscriber.drop()
        subscriber = come_back(world, "sub", version)
        [again] = subscriber.messages(acknowledge=False)
        assert (again.packet_id, again.payload, again.dup) == (packet_id, b"x", True)
    subscriber.send(p.Pubrec(packet_id))
    assert subscriber.expect(p.Pubrel) == p.Pubrel(packet_id)
    for _ in range(2):
        subscriber.drop()
        subscriber = come_back(world, "sub", version)
        assert subscriber.take() == [p.Pubrel(packet_id)], "not the message again"
    subscriber.send(p.Pubcomp(packet_id))
    subscriber.drop()
    come_back(world, "sub", version).expect_nothing()


@pytest.mark.spec("MQTT-4.4.0-1", "MQTT-4.3.3-6")
@VERSIONS
@pytest.mark.parametrize("qos", [1, 2])
def test_nothing_is_resent_on_a_connection_that_stays(version: int, qos: int) -> None:
    world, subscriber, publisher = pair_of(version, qos)
    publisher.publish("t", b"x", qos)
    [message] = subscriber.messages(acknowledge=False)
    world.advance(100_000)
    subscriber.expect_nothing()
    if qos == 2:
        subscriber.send(p.Pubrec(message.packet_id))
        assert subscriber.take() == [p.Pubrel(message.packet_id)]
        world.advance(100_000)
        subscriber.expect_nothing()


@pytest.mark.spec("MQTT-4.3.3-4")
def test_a_repeated_pubrec_is_answered_again() -> None:
    _, subscriber, publisher = pair_of(5, 2)
    publisher.publish("t", b"x", 2)
    [message] = subscriber.messages(acknowledge=False)
    subscriber.send(p.Pubrec(message.packet_id), p.Pubrec(message.packet_id))
    assert subscriber.take() == [p.Pubrel(message.packet_id)] * 2


@pytest.mark.spec("MQTT-4.4.0-2", "MQTT-4.3.3-4")
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("reason", [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
def test_a_refusal_acknowledges_a_message_and_it_is_not_sent_again(qos: int, reason: int) -> None:
    world, subscriber, publisher = pair_of(5, qos)
    publisher.publish("t", b"x", qos)
    [message] = subscriber.messages(acknowledge=False)
    answer = p.Puback if qos == 1 else p.Pubrec
    subscriber.send(answer(message.packet_id, reason))
    subscriber.expect_nothing()  # no PUBREL for a refused message
    subscriber.drop()
    come_back(world, "sub").expect_nothing()


@pytest.mark.spec("MQTT-4.3.3-7", "MQTT-4.3.3-13")
@pytest.mark.parametrize("state", ["sent", "received"])
def test_a_qos_2_message_that_was_sent_no_longer_expires(state: str) -> None:
    world, subscriber, publisher = pair_of(5, 2)
    publisher.publish("t", b"x", 2, properties=having(message_expiry_interval=10))
    [message] = subscriber.messages(acknowledge=False)
    if state == "received":
        subscriber.send(p.Pubrec(message.packet_id))
        subscriber.expect(p.Pubrel)
    world.advance(60)
    subscriber.drop()
    subscriber = come_back(world, "sub")
    if state == "sent":
        again = subscriber.expect(p.Publish)
        assert (again.packet_id, again.payload, again.dup) == (message.packet_id, b"x", True)
        subscriber.send(p.Pubrec(message.packet_id))
    assert subscriber.take() == [p.Pubrel(message.packet_id)]
    subscriber.send(p.Pubcomp(message.packet_id))
    subscriber.expect_nothing()


# -- the broker receives --------------------------------------------------------------------------


@pytest.mark.spec("MQTT-4.3.2-4", "MQTT-4.3.3-8", "MQTT-4.3.3-11")
@pytest.mark.spec("3.1.1:MQTT-4.3.2-2", "3.1.1:MQTT-4.3.3-2")
@VERSIONS
def test_the_broker_answers_each_step_with_the_identifier(version: int) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("t", 2)
    client = world.connect("c", version=version)
    client.send(p.Publish("t", b"1", 1, packet_id=7))
    assert client.take() == [p.Puback(7)]
    client.send(p.Publish("t", b"2", 2, packet_id=8))
    assert client.take() == [p.Pubrec(8)]
    client.send(p.Pubrel(8))
    assert client.take() == [p.Pubcomp(8)]
    assert payloads(watcher) == [b"1", b"2"]


@pytest.mark.spec("MQTT-4.3.2-5", "3.1.1:MQTT-4.3.2-2")
@VERSIONS
def test_after_puback_the_identifier_means_a_new_message_dup_or_not(version: int) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("t")
    client = world.connect("c", version=version)
    for dup in (False, True, False, True):
        client.send(p.Publish("t", b"dup" if dup else b"new", 1, dup=dup, packet_id=7))
        assert client.expect(p.Puback).packet_id == 7
    assert payloads(watcher) == [b"new", b"dup", b"new", b"dup"]


@pytest.mark.spec("MQTT-4.3.3-10", "3.1.1:MQTT-4.3.3-2")
@VERSIONS
@pytest.mark.parametrize("reconnect", [False, True])
def test_until_pubrel_a_repeat_is_answered_again_and_not_passed_on(
    version: int, reconnect: bool
) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("t", 2)
    client = come_back(world, "c", version)
    client.send(p.Publish("t", b"x", 2, packet_id=8))
    assert client.expect(p.Pubrec) == p.Pubrec(8)
    for _ in range(3):
        if reconnect:
            client.drop()
            client = come_back(world, "c", version)
        client.send(p.Publish("t", b"x", 2, dup=True, packet_id=8))
        assert client.expect(p.Pubrec).packet_id == 8
    client.send(p.Pubrel(8))
    assert client.expect(p.Pubcomp) == p.Pubcomp(8)
    # When it is passed on, at once or at PUBREL, is the receiver's choice (section 4.3.3).
    assert payloads(watcher) == [b"x"]


@pytest.mark.spec("MQTT-4.3.3-12", "3.1.1:MQTT-4.3.3-2")
@VERSIONS
@pytest.mark.parametrize("dup", [False, True])
def test_after_pubcomp_the_identifier_means_a_new_message(version: int, dup: bool) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("t", 2)
    client = world.connect("c", version=version)
    for payload in (b"one", b"two"):
        client.send(p.Publish("t", payload, 2, dup=dup, packet_id=8))
        client.expect(p.Pubrec)
        client.send(p.Pubrel(8))
        client.expect(p.Pubcomp)
    assert payloads(watcher) == [b"one", b"two"]


@pytest.mark.spec("MQTT-4.3.3-9", "MQTT-3.5.2-1")
def test_after_a_refusing_pubrec_the_identifier_means_a_new_message() -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("t", 2)
    client = world.connect("c")
    for _ in range(30):  # more often than Receive Maximum: a refusal gives its credit back
        client.send(p.Publish("$SYS/forbidden", b"x", 2, packet_id=8))
        assert client.expect(p.Pubrec).reason == Reason.NOT_AUTHORIZED
    client.send(p.Publish("t", b"allowed", 2, packet_id=8))
    assert client.expect(p.Pubrec).reason < 0x80
    client.send(p.Pubrel(8))
    assert payloads(watcher) == [b"allowed"]


@pytest.mark.spec("MQTT-4.3.3-13", "MQTT-4.3.3-11")
def test_the_exchange_is_finished_even_if_the_message_expired() -> None:
    world = World()
    client = come_back(world, "c")
    properties = having(message_expiry_interval=1)
    client.send(p.Publish("t", b"x", 2, packet_id=8, properties=properties))
    assert client.expect(p.Pubrec).packet_id == 8
    world.advance(100)
    client.send(p.Publish("t", b"x", 2, dup=True, packet_id=8, properties=properties))
    assert client.expect(p.Pubrec).packet_id == 8
    client.send(p.Pubrel(8))
    assert client.expect(p.Pubcomp) == p.Pubcomp(8)


@VERSIONS
def test_a_pubrel_for_nothing_is_answered_and_says_so(version: int) -> None:
    client = World().connect("c", version=version)
    client.send(p.Pubrel(9))
    reason = Reason.PACKET_IDENTIFIER_NOT_FOUND if version == 5 else 0
    assert client.take() == [p.Pubcomp(9, reason)]


# -- reason codes ---------------------------------------------------------------------------------

LISTED: dict[type[p.Packet], set[int]] = {
    p.Puback: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    p.Pubrec: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    p.Pubrel: {0x00, 0x92},
    p.Pubcomp: {0x00, 0x92},
}


@pytest.mark.spec("MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1")
@pytest.mark.parametrize("topic", ["t", "nobody/cares", "$SYS/x", "$share/g/t"])
def test_the_broker_s_acknowledgements_have_listed_reason_codes(topic: str) -> None:
    world = World()
    client = world.connect("c")
    client.subscribe("t")
    client.send(
        p.Publish(topic, b"x", 1, packet_id=1),
        p.Publish(topic, b"x", 2, packet_id=2),
        p.Pubrel(2),
        p.Pubrel(3),
        p.Pubrec(77),
        p.Pubcomp(78),
        p.Puback(79),
    )
    seen = set()
    for packet in client.take():
        if isinstance(packet, p.Puback | p.Pubrec | p.Pubrel | p.Pubcomp):
            assert packet.reason in LISTED[type(packet)]
            seen.add(type(packet))
    assert seen == set(LISTED)


@pytest.mark.spec("MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1")
@pytest.mark.parametrize(
    ("first", "kind"), [(0x40, p.Puback), (0x50, p.Pubrec), (0x62, p.Pubrel), (0x70, p.Pubcomp)]
)
def test_of_a_client_s_acknowledgements_other_codes_are_refused(
    first: int, kind: type[p.Packet]
) -> None:
    for reason in range(256):
        client = World().connect("c")
        client.send(frame(first, two(1) + bytes((reason,))))
        assert client.closed == (reason not in LISTED[kind]), f"0x{reason:02x}"
        if client.closed:
            goodbye = client.take()[-1]
            assert isinstance(goodbye, p.Disconnect)
            assert goodbye.reason in (Reason.PROTOCOL_ERROR, Reason.MALFORMED_PACKET)


# -- order ----------------------------------------------------------------------------------------


@pytest.mark.spec("MQTT-4.6.0-5", "MQTT-4.6.0-6", "3.1.1:MQTT-4.6.0-5", "3.1.1:MQTT-4.6.0-6")
@pytest.mark.parametrize("version", [4, 5])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_messages_of_one_client_topic_and_qos_keep_their_order(
    version: int, data: st.DataObject
) -> None:
    """Through a small window, a queue, cut connections and late acknowledgements."""
    world = World(inflight_messages_max=3)
    subscriber = come_back(world, "sub", version)
    subscriber.subscribe("t", 2)
    publisher = world.connect("pub")
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    number = 0

    def look(client: Peer, acknowledge: bool) -> None:
        for message in client.messages(acknowledge):
            if not message.dup or int(message.payload) not in seen[message.qos]:
                seen[message.qos].append(int(message.payload))

    for step in data.draw(st.lists(st.sampled_from(["0", "1", "2", "look", "leave"]))):
        if step == "leave":
            subscriber.drop()
            subscriber = come_back(world, "sub", version)
        elif step == "look":
            look(subscriber, acknowledge=data.draw(st.booleans()))
        else:
            publisher.publish("t", str(number).encode(), int(step))
            number += 1
    subscriber.drop()
    subscriber = come_back(world, "sub", version)
    look(subscriber, acknowledge=True)
    for numbers in seen.values():
        assert numbers == sorted(numbers)
        assert len(numbers) == len(set(numbers))


@pytest.mark.spec("3.1.1:MQTT-4.6.0-1", "MQTT-4.6.0-5")
@VERSIONS
def test_messages_are_resent_in_the_order_of_the_first_sending(version: int) -> None:
    world, subscriber, publisher = pair_of(version, 2)
    for index in range(12):
        publisher.publish("t", str(index).encode(), 1 + index % 2)
    first = [(m.packet_id, m.payload) for m in subscriber.messages(acknowledge=False)]
    assert len(first) == 12
    # One in the middle is done; the others are resent as they stood.
    packet_id, _ = first.pop(4)
    subscriber.send(p.Puback(packet_id))
    subscriber.drop()
    again = come_back(world, "sub", version).messages(acknowledge=False)
    assert [(m.packet_id, m.payload) for m in again] == first


@pytest.mark.spec("3.1.1:MQTT-4.6.0-2", "3.1.1:MQTT-4.6.0-3")
@VERSIONS
@pytest.mark.parametrize("qos", [1, 2])
def test_acknowledgements_are_in_the_order_of_the_messages(version: int, qos: int) -> None:
    client = World().connect("c", version=version)
    ids = [9, 3, 65535, 1, 2, 8]
    client.send(*[p.Publish("t", b"x", qos, packet_id=packet_id) for packet_id in ids])
    answers = client.take()
    assert [packet.packet_id for packet in answers] == ids  # type: ignore[attr-defined]


@pytest.mark.spec("3.1.1:MQTT-4.6.0-4")
@VERSIONS
def test_pubrels_are_in_the_order_of_the_pubrecs(version: int) -> None:
    world, subscriber, publisher = pair_of(version, 2)
    for _ in range(6):
        publisher.publish("t", b"", 2)
    ids = [message.packet_id for message in subscriber.messages(acknowledge=False)]
    shuffled = ids[3:] + ids[:3]
    subscriber.send(*[p.Pubrec(packet_id) for packet_id in shuffled])
    assert subscriber.take() == [p.Pubrel(packet_id) for packet_id in shuffled]
    # And once more, in that order, on the next connection.
    subscriber.drop()
    again = come_back(world, "sub", version)
    assert again.take() == [p.Pubrel(packet_id) for packet_id in shuffled]


@pytest.mark.spec("MQTT-4.1.0-1", "MQTT-4.4.0-1")
def test_what_waits_and_what_is_under_way_survive_many_lost_connections_in_order() -> None:
    world = World(inflight_messages_max=2)
    subscriber = world.connect("sub", clean_start=False, properties=lasting())
    subscriber.subscribe("t", 1)
    publisher = world.connect("pub")
    for index in range(6):
        publisher.publish("t", str(index).encode(), 1)
    got = []
    for _ in range(6):
        subscriber.drop()
        subscriber = come_back(world, "sub")
        message = subscriber.messages(acknowledge=False)[0]
        got.append(message.payload)
        subscriber.send(p.Puback(message.packet_id))
    assert got == [str(index).encode() for index in range(6)]
