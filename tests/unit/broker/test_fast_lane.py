"""The fast lane against the long way: the same bytes in must give the same bytes out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.broker.plain_run import repeats, respell
from midge.limits import KNOWN_EXTRAS_MAX
from midge.mqtt import packets as p
from midge.mqtt.encode import encode
from midge.mqtt.properties import MAXIMUM_PACKET_SIZE, TOPIC_ALIAS_MAXIMUM, Properties
from midge.testing.pair import Peer, World

TOPICS = ["a", "a/b", "a/c", "b", "$x/a", "ü/é"]
FILTERS = ["a", "a/#", "+", "#", "a/b", "$x/#", "$share/g/a/+", "ü/é"]

plain_publishes = st.builds(
    p.Publish,
    topic=st.sampled_from(TOPICS),
    payload=st.binary(max_size=300),
)
other_packets = st.one_of(
    st.builds(
        p.Publish,
        topic=st.sampled_from(TOPICS),
        payload=st.binary(max_size=20),
        retain=st.just(True),
    ),
    st.builds(
        p.Publish,
        topic=st.sampled_from(TOPICS),
        qos=st.just(1),
        packet_id=st.integers(1, 50),
    ),
    st.just(p.Pingreq()),
)
with_properties = st.builds(
    p.Publish,
    topic=st.sampled_from(TOPICS),
    payload=st.binary(max_size=30),
    properties=st.sampled_from(
        [
            Properties.of(content_type="text"),
            Properties.of(content_type="text", response_topic="r", correlation_data=b"7"),
            Properties.of(message_expiry_interval=60),
            Properties.of(payload_format_indicator=1),
            Properties(user=[("k", "v"), ("k", "w")]),
            Properties(user=[("k", "v" * 200)]),
        ]
    ),
)
# Runs of the same packet are what the lane is made for, so they must be common here.
runs = st.tuples(
    st.one_of(plain_publishes, plain_publishes, with_properties, other_packets), st.integers(1, 5)
)
traffic = st.lists(runs, min_size=1, max_size=12)
subscriptions = st.lists(
    st.tuples(st.sampled_from(FILTERS), st.integers(0, 2), st.booleans()), min_size=1, max_size=4
)
subscribers = st.lists(
    st.tuples(st.sampled_from([4, 5]), st.sampled_from(["", "alias", "small"]), subscriptions),
    min_size=1,
    max_size=4,
)


def outcome(
    fast_lane: bool,
    version: int,
    who: list[tuple[int, str, list[tuple[str, int, bool]]]],
    data: bytes,
    cuts: list[int],
) -> list[list[p.Packet]]:
    world = World(fast_lane=fast_lane)
    peers: list[Peer] = []
    for number, (peer_version, trait, filters) in enumerate(who):
        values: dict[int, int | str | bytes] = {}
        if trait == "alias":
            values[TOPIC_ALIAS_MAXIMUM] = 1
        elif trait == "small":
            values[MAXIMUM_PACKET_SIZE] = 100
        peer = world.connect(
            f"s{number}",
            version=peer_version,
            properties=Properties(values) if peer_version == 5 and values else None,
        )
        for filter, qos, no_local in filters:
            peer.subscribe(
                filter,
                qos,
                no_local=no_local and peer_version == 5 and not filter.startswith("$share"),
            )
        peers.append(peer)
    publisher = world.connect("publisher", version=version)
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    publisher.send_chunks(*chunks)
    return [peer.take() for peer in [*peers, publisher]]


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([4, 5]), subscribers, traffic, st.data())
def test_with_and_without_the_fast_lane_everybody_gets_the_same(
    version: int,
    who: list[tuple[int, str, list[tuple[str, int, bool]]]],
    sent: list[tuple[p.Packet, int]],
    draw: st.DataObject,
) -> None:
    data = b"".join(encode(packet, version) * count for packet, count in sent)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=3)))
    fast = outcome(True, version, who, data, cuts)
    slow = outcome(False, version, who, data, cuts)
    assert fast == slow


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([4, 5]),
    st.lists(st.sampled_from([4, 5]), min_size=1, max_size=4),
    st.lists(st.tuples(st.one_of(plain_publishes, with_properties), st.integers(1, 5)), min_size=1),
    st.integers(0, 300),
)
def test_a_shared_subscription_gets_the_same_with_and_without_the_fast_lane(
    version: int, members: list[int], sent: list[tuple[p.Publish, int]], cut: int
) -> None:
    filters = [("$share/g/#", 1, False), ("$share/h/a/+", 0, False)]
    who = [(one, "", filters[number % 3 == 2 :][:1]) for number, one in enumerate(members)]
    data = b"".join(encode(packet, version) * count for packet, count in sent)
    fast = outcome(True, version, who, data, [min(cut, len(data))])
    assert fast == outcome(False, version, who, data, [min(cut, len(data))])


def test_a_run_to_a_shared_subscription_is_one_slice_for_each_member() -> None:
    world = World()
    members = [world.connect(f"m{number}", version=4) for number in range(3)]
    for member in members:
        member.subscribe("$share/g/a/#")
    publisher = world.connect("p", version=4)
    packets = [encode(p.Publish("a/b", b"%d" % number), 4) for number in range(7)]
    router = world.broker.router
    data = b"".join(packets)
    assert router.fanout.forward_plain(data, 4, router, publisher.link, 0.0) == len(data)
    assert [member.link.connection.out for member in members] == [
        [b"".join(packets[0::3])],
        [b"".join(packets[1::3])],
        [b"".join(packets[2::3])],
    ]


def test_a_member_that_does_not_read_is_passed_over_at_qos_0() -> None:
    world = World()
    members = [world.connect(f"m{number}") for number in range(2)]
    for member in members:
        member.subscribe("$share/g/a", 0)
    members[0].reading = False
    publisher = world.connect("p")
    got = 0
    for _ in range(400):
        publisher.publish("a", b"x" * 16_000)
        got += len(members[1].messages())
    assert got > 300
    assert world.broker.metrics.dropped_slow == 0


def test_the_lane_is_really_taken() -> None:
    world = World()
    receiver = world.connect("r", version=4)
    receiver.subscribe("a/#")
    publisher = world.connect("p", version=4)
    data = encode(p.Publish("a/b", b"x"), 4) * 10
    router = world.broker.router
    consumed = router.fanout.forward_plain(data, 4, router, publisher.link, 0.0)
    assert consumed == len(data)
    assert receiver.link.connection.out == [data]  # one slice for the whole run


@given(st.lists(plain_publishes, min_size=1, max_size=10))
def test_respelling_a_run_is_encoding_it_in_the_other_version(sent: list[p.Publish]) -> None:
    three = b"".join(encode(packet, 4) for packet in sent)
    five = b"".join(encode(packet, 5) for packet in sent)
    assert respell(three, 4) == five
    assert respell(five, 5) == three


@given(
    st.integers(1, 70),
    st.integers(0, 3),
    st.integers(0, 600),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 80), st.integers(0, 255)), max_size=3),
    st.integers(0, 5),
)
def test_packets_that_begin_alike_are_counted_as_one_by_one(
    length: int, payload: int, number: int, changes: list[tuple[int, int, int]], rest: int
) -> None:
    prefix = bytes(range(1, length + 1))
    step = length + payload
    data = bytearray(b"before" + (prefix + b"p" * payload) * number + prefix[:rest])
    for packet, column, value in changes:
        if packet < number and column < step:
            data[6 + packet * step + column] = value
    wanted = 0
    while data[6 + wanted * step :][:length] == prefix and 6 + (wanted + 1) * step <= len(data):
        wanted += 1
    assert repeats(bytes(data), prefix, 6, step) == wanted


def test_properties_that_came_before_take_the_lane() -> None:
    world = World()
    receiver = world.connect("r", version=5)
    receiver.subscribe("a/#")
    publisher = world.connect("p", version=5)
    router = world.broker.router
    data = encode(p.Publish("a/b", b"x", properties=Properties.of(content_type="text")), 5) * 10
    for consumed in (0, len(data), len(data)):
        assert router.fanout.forward_plain(data, 5, router, publisher.link, 0.0) == consumed
    assert receiver.link.connection.out == [data, data]
    older = world.connect("o", version=4)
    older.subscribe("a/b")
    assert router.fanout.forward_plain(data, 5, router, publisher.link, 0.0) == 0


@pytest.mark.parametrize(
    "properties",
    [
        Properties.of(message_expiry_interval=60),  # it counts down
        Properties.of(topic_alias=1),  # it is between two ends of a connection
        Properties(user=[("k", "v" * 200)]),  # its length takes two bytes
    ],
)
def test_properties_that_change_or_are_long_take_the_long_way(properties: Properties) -> None:
    world = World()
    world.connect("r", version=5).subscribe("a/#")
    publisher = world.connect("p", version=5)
    router = world.broker.router
    data = encode(p.Publish("a/b", b"x", properties=properties), 5) * 2
    for _ in range(3):
        assert router.fanout.forward_plain(data, 5, router, publisher.link, 0.0) == 0


def test_no_more_properties_are_remembered_than_there_is_room_for() -> None:
    world = World()
    world.connect("r", version=5).subscribe("a/#")
    publisher = world.connect("p", version=5)
    for number in range(KNOWN_EXTRAS_MAX + 10):
        publisher.send(p.Publish("a/b", b"x", properties=Properties.of(content_type=f"{number}")))
    assert len(world.broker.router.fanout._known_extras) == 10


def test_an_invalid_topic_in_the_lane_is_an_error_of_its_sender_alone() -> None:
    world = World()
    receiver = world.connect("r", version=4)
    receiver.subscribe("#")
    publisher = world.connect("p", version=4)
    good = encode(p.Publish("a", b"x"), 4)
    publisher.send(good + b"\x30\x04\x00\x02a+" + good)
    assert publisher.closed
    assert not receiver.closed
    assert [packet.payload for packet in receiver.messages()] == [b"x"]


def test_an_empty_topic_does_not_slip_through_the_lane() -> None:
    world = World()
    publisher = world.connect("p", version=5)
    publisher.send(b"\x30\x05\x00\x00\x00hi")
    assert publisher.closed
