"""Every limit of the broker by its effect: what is refused, what is counted, what goes on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.broker.expiry import RetainedExpiry
from midge.broker.hooks import Hooks
from midge.broker.link import Link
from midge.broker.rates import Bucket, ConnectRates
from midge.limits import CONNECT_RATE_ADDRESSES_MAX, REFUSALS_TOLD_EVERY_S, SLICE_ENTRIES
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.testing.pair import World

EXPIRY = Properties({props.SESSION_EXPIRY_INTERVAL: 1000})


# -- clients and memory ------------------------------------------------------------------------


def test_no_more_sessions_than_global_max_clients() -> None:
    world = World(clients_max=2)
    world.connect("one", properties=EXPIRY).drop()  # a session counts, also without a connection
    world.connect("two")
    for version, reason in ((5, 0x89), (4, 3)):
        late = world.connect("three", version=version)
        assert late.connack is not None
        assert late.connack.reason == reason
        assert late.closed
    assert world.broker.metrics.refused_clients == 2
    back = world.connect("one", clean_start=False)
    assert back.connack is not None
    assert back.connack.session_present


def test_a_clean_start_of_a_client_that_is_there_needs_no_room() -> None:
    world = World(clients_max=1)
    world.connect("one", properties=EXPIRY)
    again = world.connect("one", clean_start=True)
    assert again.connack is not None
    assert again.connack.reason == 0


def test_at_the_memory_limit_nothing_more_is_kept_and_what_passes_through_passes() -> None:
    world = World()
    away = world.connect("away", properties=EXPIRY)
    away.subscribe("t", 1)
    away.drop()
    live = world.connect("live")
    live.subscribe("t", 1)
    old = world.connect("old", version=4)
    publisher = world.connect("publisher")
    world.broker.metrics.memory_full = True
    publisher.publish("t", b"live")
    assert [message.payload for message in live.messages()] == [b"live"]
    publisher.send(p.Publish("t", b"kept", 1, packet_id=1))
    assert publisher.expect(p.Puback).reason == 0x97
    publisher.send(p.Publish("t", b"kept", 2, packet_id=2))
    assert publisher.expect(p.Pubrec).reason == 0x97
    publisher.send(p.Publish("t", b"retained", 0, retain=True))
    old.send(p.Publish("t", b"kept", 1, packet_id=1))
    assert old.closed  # it cannot be told, and is not to believe that the message was taken
    assert live.messages() == []
    assert len(world.broker.router.retained) == 0
    newcomer = world.connect("newcomer")
    assert newcomer.connack is not None
    assert newcomer.connack.reason == 0x89
    assert world.broker.metrics.refused_memory == 5
    world.broker.metrics.memory_full = False
    publisher.send(p.Publish("t", b"kept", 1, packet_id=3))
    assert publisher.expect(p.Puback).reason == 0


def test_at_the_memory_limit_queues_do_not_grow_and_drops_are_counted() -> None:
    world = World(inflight_messages_max=1)
    slow = world.connect("slow")
    slow.subscribe("t", 1)
    publisher = world.connect("publisher")
    publisher.publish("t", b"1", 1)
    publisher.publish("t", b"2", 1)
    session = world.broker.sessions.get("slow")
    assert session is not None
    assert session.outbox.queued_messages == 1
    will = p.Will("t", b"3", 1)
    leaving = world.connect("leaving", will=will)
    world.broker.metrics.memory_full = True
    leaving.drop()
    assert session.outbox.queued_messages == 1
    assert world.broker.metrics.dropped_memory == 1


# -- bytes on their way --------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [1, 2])
def test_max_inflight_bytes_lets_one_message_go_and_the_next_when_it_is_acknowledged(
    qos: int,
) -> None:
    world = World(inflight_bytes_max=100)
    subscriber = world.connect("s")
    subscriber.subscribe("t", qos)
    publisher = world.connect("p")
    for number in range(4):
        publisher.publish("t", b"%d" % number + bytes(60), qos)
    arrived = [packet for packet in subscriber.take() if isinstance(packet, p.Publish)]
    assert [packet.payload[0] - 48 for packet in arrived] == [0, 1]  # 61, then 122 of 100 bytes
    if qos == 1:
        subscriber.send(p.Puback(arrived[0].packet_id))
    else:
        subscriber.send(p.Pubrec(arrived[0].packet_id))
        subscriber.expect(p.Pubrel)
        subscriber.send(p.Pubcomp(arrived[0].packet_id))
    arrived = [packet for packet in subscriber.take() if isinstance(packet, p.Publish)]
    assert [packet.payload[0] - 48 for packet in arrived] == [2]


def test_a_message_larger_than_max_inflight_bytes_goes_alone() -> None:
    world = World(inflight_bytes_max=10)
    subscriber = world.connect("s")
    subscriber.subscribe("t", 1)
    publisher = world.connect("p")
    publisher.publish("t", bytes(1000), 1)
    publisher.publish("t", bytes(1000), 1)
    assert len([one for one in subscriber.take() if isinstance(one, p.Publish)]) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from([1, 2]), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_what_is_on_its_way_is_weighed_right_whatever_happens(
    steps: list[tuple[int, int, bool]],
) -> None:
    world = World(inflight_bytes_max=400)
    subscriber = world.connect("s", properties=EXPIRY)
    subscriber.subscribe("t", 2)
    publisher = world.connect("p")
    session = world.broker.sessions.get("s")
    assert session is not None
    flight = session.outbox.outgoing
    for size, qos, answers in steps:
        publisher.publish("t", bytes(size), qos)
        if answers:
            for packet in subscriber.take():
                if isinstance(packet, p.Publish) and packet.qos == 1:
                    subscriber.send(p.Puback(packet.packet_id))
                elif isinstance(packet, p.Publish):
                    subscriber.send(p.Pubrec(packet.packet_id, 0x80 if size % 5 == 0 else 0))
                elif isinstance(packet, p.Pubrel):
                    subscriber.send(p.Pubcomp(packet.packet_id))
        if size % 7 == 0:
            subscriber.drop()
            subscriber = world.connect("s", clean_start=False, properties=EXPIRY)
        weight = sum(len(one.message.payload) for one in flight.waiting.values())
        assert flight.bytes == weight
        assert weight <= 400 + 300


# -- rates ---------------------------------------------------------------------------------------


class Told(Hooks):
    def __init__(self) -> None:
        self.throttles: list[float] = []

    def throttled(self, link: Link, wait_s: float) -> None:
        self.throttles.append(wait_s)


@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_client_that_is_too_fast_is_read_later_and_loses_nothing(fast_lane: bool) -> None:
    told = Told()
    world = World(rate_limit_messages=10, hooks=told, fast_lane=fast_lane)
    subscriber = world.connect("s")
    subscriber.subscribe("t")
    publisher = world.connect("p")
    for number in range(50):
        publisher.publish("t", b"%d" % number)
    first = len(subscriber.messages())
    assert first == 11  # one second's worth, and the one that overdrew
    assert publisher.link.is_held()
    world.advance(1.0)
    assert len(subscriber.messages()) == pytest.approx(10, abs=1)
    world.advance(4.0)
    assert len(subscriber.messages()) + first >= 39
    assert not publisher.closed
    assert world.broker.metrics.throttled == len(told.throttles) > 0
    assert sum(world.broker.metrics.dropped().values()) == 0


def test_bytes_have_a_limit_of_their_own() -> None:
    world = World(rate_limit_bytes=1000)
    publisher = world.connect("p")
    publisher.publish("t", bytes(3000))
    assert publisher.link.is_held()
    assert publisher.link.rested_until - world.clock.now() == pytest.approx(2.0, abs=0.1)
    world.advance(2.2)
    assert not publisher.link.is_held()


def test_who_has_to_rest_is_not_missed_by_its_keep_alive() -> None:
    world = World(rate_limit_bytes=100)
    publisher = world.connect("p", keepalive_s=1)
    publisher.publish("t", bytes(1000))
    world.advance(8)
    assert publisher.link.is_held()
    world.advance(2)
    assert not publisher.closed
    publisher.send(p.Pingreq())
    publisher.expect(p.Pingresp)
    world.advance(2)
    assert publisher.closed  # from there on it is


def test_receivers_are_not_slowed_down_by_what_they_are_sent() -> None:
    world = World(rate_limit_messages=5, rate_limit_bytes=5_000)
    subscriber = world.connect("s")
    subscriber.subscribe("t")
    for number in range(20):
        world.connect(f"p{number}").publish("t", bytes(200))
    assert len(subscriber.messages()) == 20
    assert not subscriber.link.is_held()


def test_a_limit_that_is_lifted_lets_the_client_go_on_at_once() -> None:
    world = World(rate_limit_messages=1)
    publisher = world.connect("p")
    for _ in range(3):
        publisher.publish("t", b"")
    assert publisher.link.is_held()
    world.settings.rate_limit_messages = 0
    publisher.link.rates_changed(world.clock.now())
    world.advance(0.001)
    assert not publisher.link.is_held()
    assert world.broker.metrics.publish_received == 3


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 100), st.floats(0, 2)), min_size=1, max_size=40),
)
def test_whoever_waits_as_told_never_exceeds_the_rate(
    rate: int, steps: list[tuple[int, float]]
) -> None:
    now = 0.0
    bucket = Bucket(rate, now)
    taken = 0
    for count, pause in steps:
        now += pause
        taken += count
        now += bucket.take(count, now)
        # What was taken, less the burst of one second, has taken its time.
        assert taken <= rate * (now + 1) + 1e-6


def test_connections_of_one_address_come_at_their_rate() -> None:
    rates = ConnectRates(5)
    assert [rates.admits("10.0.0.1", 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert rates.admits("10.0.0.2", 0.0)
    assert rates.admits("10.0.0.1", 0.2)
    assert not rates.admits("10.0.0.1", 0.2)
    assert rates.admits("", 0.2)  # a Unix socket


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("2001:db8:1::1:2:3:4", "2001:db8:1:0::9", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("::1", "::1", True),
    ],
)
def test_the_addresses_of_one_customer_count_as_one(one: str, other: str, same: bool) -> None:
    rates = ConnectRates(1)
    assert rates.admits(one, 0.0)
    assert rates.admits(other, 0.0) is not same


def test_the_table_of_addresses_has_a_bound_and_forgets_those_that_are_quiet() -> None:
    rates = ConnectRates(1)
    for number in range(CONNECT_RATE_ADDRESSES_MAX):
        assert rates.admits(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert rates.admits("192.0.2.1", 0.5)  # nobody is quiet: let in, not counted
    assert len(rates) == CONNECT_RATE_ADDRESSES_MAX
    assert rates.admits("192.0.2.1", 1.5)
    assert len(rates) == 1
    assert not rates.admits("192.0.2.1", 1.5)


def test_an_address_that_is_refused_again_and_again_is_one_line_in_a_while() -> None:
    rates = ConnectRates(1)
    assert rates.is_news("10.0.0.1", 0.0)
    assert not rates.is_news("10.0.0.1", REFUSALS_TOLD_EVERY_S - 1)
    assert rates.is_news("10.0.0.2", 1.0)
    assert rates.is_news("10.0.0.1", REFUSALS_TOLD_EVERY_S + 1)


# -- retained messages that expire ---------------------------------------------------------------


def expiring(seconds: int) -> Properties:
    return Properties({props.MESSAGE_EXPIRY_INTERVAL: seconds})


def test_expired_retained_messages_are_removed_at_the_interval_and_not_before() -> None:
    world = World(retain_expiry_check_min=1)
    RetainedExpiry(world.broker).begin(world.clock.now())
    publisher = world.connect("p")
    publisher.send(p.Publish("short", b"1", retain=True, properties=expiring(10)))
    publisher.send(p.Publish("long", b"22", retain=True, properties=expiring(90)))
    publisher.send(p.Publish("for ever", b"333", retain=True))
    publisher.send(p.Publish("was short", b"1", retain=True, properties=expiring(10)))
    publisher.send(p.Publish("was short", b"4444", retain=True))
    world.advance(59)
    assert len(world.broker.router.retained) == 4
    world.advance(2)
    assert len(world.broker.router.retained) == 3
    world.advance(60)
    assert len(world.broker.router.retained) == 2
    assert world.broker.router.retained.bytes == 7


def test_many_that_expire_at_once_are_removed_in_steps() -> None:
    world = World(retain_expiry_check_min=1)
    expiry = RetainedExpiry(world.broker)
    expiry.begin(world.clock.now())
    publisher = world.connect("p")
    for number in range(SLICE_ENTRIES + 5):
        publisher.send(p.Publish(f"t/{number}", b"x", retain=True, properties=expiring(1)))
    world.clock.time_s += 61
    world.broker.tick(world.clock.now())
    assert len(world.broker.router.retained) == 5
    world.advance(1)
    assert len(world.broker.router.retained) == 0
