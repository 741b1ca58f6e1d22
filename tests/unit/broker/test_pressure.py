"""A receiver that does not keep up: back-pressure first, then it is on its own, all counted."""

from __future__ import annotations

import pytest

from midge.limits import HOLD_MAX_S, OUTBOX_HOLD_BYTES
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.testing.pair import Peer, World

PAYLOAD = b"x" * 10_000
ENOUGH = OUTBOX_HOLD_BYTES // len(PAYLOAD) + 2


def world_with_a_reader_that_stops(fast_lane: bool = True) -> tuple[World, Peer, Peer, Peer]:
    world = World(fast_lane=fast_lane)
    slow = world.connect("slow")
    slow.subscribe("t")
    good = world.connect("good")
    good.subscribe("t")
    publisher = world.connect("publisher")
    slow.stop_reading()
    return world, slow, good, publisher


def test_publishers_wait_for_a_receiver_that_is_behind() -> None:
    world, slow, good, publisher = world_with_a_reader_that_stops()
    for _ in range(ENOUGH * 3):
        publisher.publish("t", PAYLOAD)
    assert publisher.link.held_by is not None
    assert len(good.messages()) < ENOUGH * 3
    slow.start_reading()
    assert publisher.link.held_by is None
    assert len(slow.messages()) == ENOUGH * 3
    assert world.broker.metrics.dropped() == dict.fromkeys(world.broker.metrics.dropped(), 0)
    assert world.broker.metrics.held > 0


def test_nobody_waits_longer_than_the_limit_and_the_others_lose_nothing() -> None:
    for fast_lane in (True, False):
        world, slow, good, publisher = world_with_a_reader_that_stops(fast_lane)
        for number in range(ENOUGH * 3):
            publisher.publish("t", b"%08d" % number + PAYLOAD)
        world.advance(HOLD_MAX_S + 0.1)
        assert publisher.link.held_by is None
        for number in range(ENOUGH * 3, ENOUGH * 5):
            publisher.publish("t", b"%08d" % number + PAYLOAD)
        received = [int(message.payload[:8]) for message in good.messages()]
        assert received == list(range(ENOUGH * 5))
        dropped = world.broker.metrics.dropped_slow
        assert dropped > ENOUGH
        assert slow.link.session is not None
        assert slow.link.session.outbox.dropped == dropped
        assert slow.link.session.outbox.used < OUTBOX_HOLD_BYTES + 2 * len(PAYLOAD)
        slow.start_reading()
        got = [int(message.payload[:8]) for message in slow.messages()]
        assert len(got) + dropped == ENOUGH * 5
        assert got == sorted(got)
        publisher.publish("t", b"after")
        assert [message.payload for message in slow.messages()] == [b"after"]


def test_a_queue_that_fills_holds_its_publishers_before_it_drops() -> None:
    world = World(queued_messages_max=20, inflight_messages_max=5)
    slow = world.connect("slow", version=4)
    slow.subscribe("t", 1)
    publisher = world.connect("publisher", version=4)
    for packet_id in range(1, 101):
        publisher.send(p.Publish("t", b"%d" % packet_id, 1, packet_id=packet_id))
    assert publisher.link.held_by is not None
    assert world.broker.metrics.dropped_queue_full == 0
    got = [int(message.payload) for message in slow.messages()]
    assert got == list(range(1, 101))  # each acknowledgement lets more of them in
    assert publisher.link.held_by is None


def test_a_full_queue_drops_the_newest_and_counts_it() -> None:
    world = World(queued_messages_max=10, inflight_messages_max=5)
    sleeper = world.connect("sleeper", version=4, clean_start=False)
    sleeper.subscribe("t", 1)
    sleeper.drop()
    publisher = world.connect("publisher", version=4)
    for number in range(15):
        publisher.publish("t", b"%d" % number, 1)
    assert world.broker.metrics.dropped_queue_full == 5
    sleeper = world.connect("sleeper", version=4, clean_start=False)
    assert [int(message.payload) for message in sleeper.messages()] == list(range(10))


def test_a_queue_is_bounded_in_bytes_too() -> None:
    world = World(queued_bytes_max=1000)
    sleeper = world.connect("sleeper", version=4, clean_start=False)
    sleeper.subscribe("t", 1)
    sleeper.drop()
    publisher = world.connect("publisher", version=4)
    for _ in range(20):
        publisher.publish("t", b"x" * 99, 1)
    assert world.broker.metrics.dropped_queue_full == 10


def test_a_client_is_not_held_because_of_its_own_outbox() -> None:
    world = World(queued_messages_max=10, inflight_messages_max=2)
    both = world.connect("both", version=4)
    both.subscribe("t", 1)
    for packet_id in range(1, 31):
        both.send(p.Publish("t", b"x", 1, packet_id=packet_id))
    assert both.link.held_by is None


def test_a_held_publisher_that_goes_away_is_forgotten() -> None:
    _, slow, _, publisher = world_with_a_reader_that_stops()
    for _ in range(ENOUGH * 2):
        publisher.publish("t", PAYLOAD)
    assert publisher.link.held_by is not None
    publisher.drop()
    slow.start_reading()
    assert len(slow.messages()) > 0


def test_a_slow_receiver_that_goes_away_lets_its_publishers_go_on() -> None:
    _, slow, good, publisher = world_with_a_reader_that_stops()
    for _ in range(ENOUGH * 2):
        publisher.publish("t", PAYLOAD)
    assert publisher.link.held_by is not None
    slow.drop()
    assert publisher.link.held_by is None
    assert len(good.messages()) == ENOUGH * 2


def test_ten_thousand_retained_messages_reach_a_subscriber_at_qos_1() -> None:
    world = World()
    publisher = world.connect("publisher", version=4)
    for number in range(10_000):
        publisher.send(p.Publish(f"r/{number}", b"x", 1, retain=True, packet_id=number + 1))
    subscriber = world.connect("subscriber", version=4)
    subscriber.subscribe("r/#", 1)
    topics = {message.topic for message in subscriber.messages()}
    assert len(topics) == 10_000
    publisher.send(p.Publish("r/x", b"x", 1, retain=True, packet_id=1))
    assert [message.topic for message in subscriber.messages()] == ["r/x"]


def test_messages_larger_than_a_receiver_takes_are_dropped_and_counted() -> None:
    world = World()
    small = world.connect("small", properties=Properties({props.MAXIMUM_PACKET_SIZE: 50}))
    small.subscribe("t", 1)
    publisher = world.connect("publisher")
    for qos in (0, 1):
        publisher.publish("t", b"x" * 100, qos)
        publisher.publish("t", b"y", qos)
    assert [message.payload for message in small.messages()] == [b"y", b"y"]
    assert world.broker.metrics.dropped_too_large == 2
    assert small.link.session is not None
    assert len(small.link.session.outbox.outgoing) == 0


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_client_that_subscribes_and_does_not_read_cannot_be_owed_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("midge.links.mqtt_subscribe.RETAINED_OWED_MAX", 100)
    world = World()
    publisher = world.connect("publisher")
    for number in range(60):
        publisher.publish(f"r/{number}", b"x" * 20_000, retain=True)
    greedy = world.connect("greedy")
    greedy.stop_reading()
    for packet_id in range(1, 6):
        greedy.send(p.Subscribe(packet_id, [p.SubscribeTo("r/#", 1)]))
    assert greedy.link.session is not None
    assert greedy.link.session.outbox.owed <= 160
    greedy.start_reading()
    reasons = [packet.reasons[0] for packet in greedy.take() if isinstance(packet, p.Suback)]
    assert reasons[0] == 1
    assert reasons[-1] == 0x97
    assert greedy.link.session.outbox.owed == 0


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_session_has_a_limit_of_subscriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midge.links.mqtt_subscribe.SUBSCRIPTIONS_MAX", 3)
    world = World()
    for version, refusal in ((5, 0x97), (4, 0x80)):
        client = world.connect("c", version=version)
        for number in range(3):
            assert client.subscribe(f"t/{number}").reasons == [0]
        assert client.subscribe("t/3").reasons == [refusal]
        assert client.subscribe("t/2", 1).reasons == [1]


def test_a_message_that_is_too_large_sets_no_topic_alias() -> None:
    world = World()
    small = world.connect(
        "small",
        properties=Properties({props.MAXIMUM_PACKET_SIZE: 60, props.TOPIC_ALIAS_MAXIMUM: 5}),
    )
    small.subscribe("t/#", 1)
    publisher = world.connect("publisher")
    publisher.publish("t/x", b"x" * 100, 1)
    publisher.publish("t/x", b"y" * 50, 1)  # fits, but not with the alias beside the topic
    publisher.publish("t/x", b"z", 1)
    publisher.publish("t/x", b"z", 1)
    found = [(message.topic, message.payload) for message in small.messages()]
    assert found == [("t/x", b"y" * 50), ("t/x", b"z"), ("t/x", b"z")]
