"""PUB and SUB (RFC 29): to everybody whose prefix the first part begins with."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.patterns import prefixes
from midge.patterns.errors import SocketError
from midge.patterns.pipe import CANCEL, SUBSCRIBE, Encoded
from tests.unit.patterns.wire import (
    Net,
    Wire,
    ZmtpWire,
    new_pipe,
    peer,
    received,
    sent,
    socket,
    take,
)

PUBLISHERS = pytest.mark.parametrize("type_name", ["PUB", "XPUB"])


def subscriber(pub: Any, *wanted: bytes, **attributes: Any) -> Any:
    pipe = peer(pub, **attributes)
    for prefix in wanted:
        pub.subscribed(pipe, prefix)
    return pipe


# -- the publisher -----------------------------------------------------------------------------


@PUBLISHERS
def test_a_message_goes_to_those_whose_prefix_its_first_part_begins_with(type_name: str) -> None:
    pub = socket(type_name)
    everything, news, others, nothing = (
        subscriber(pub, *wanted) for wanted in ([b""], [b"news", b"ne"], [b"newspaper", b"x"], [])
    )
    for message in (b"news today", [b"new", b"news"], b"xyz", b""):
        assert pub.send(message)
    assert sent(everything) == [b"news today", [b"new", b"news"], b"xyz", b""]
    assert sent(news) == [b"news today", [b"new", b"news"]]
    assert sent(others) == [b"xyz"]
    assert sent(nothing) == []


@PUBLISHERS
def test_a_message_comes_once_however_many_prefixes_match(type_name: str) -> None:
    pub = socket(type_name)
    pipe = subscriber(pub, b"", b"a", b"ab", b"a")
    pub.send(b"abc")
    assert sent(pipe) == [b"abc"]


def test_one_cancel_ends_a_subscription_however_often_the_peer_asked_for_it() -> None:
    # Subscribers of libzmq tell every wish, but of the cancels only the last.
    pub = socket("PUB")
    pipe = subscriber(pub, b"a", b"a", b"a")
    pub.cancelled(pipe, b"a")
    pub.send(b"abc")
    assert sent(pipe) == []
    assert pub.topics_count() == 0


@PUBLISHERS
def test_a_publisher_without_subscribers_drops_and_counts(type_name: str) -> None:
    pub = socket(type_name)
    assert pub.can_send()
    assert pub.send(b"x")
    pipe = subscriber(pub, b"y")
    assert pub.send(b"x")
    assert pub.send_many([b"x", b"x"]) == 2
    assert pub.dropped == {"no-peer": 4}
    assert pipe.dropped == {}


@PUBLISHERS
def test_what_a_subscriber_has_no_room_for_is_dropped_for_him_alone(type_name: str) -> None:
    pub = socket(type_name, send_mark=2)
    slow, quick = subscriber(pub, b""), subscriber(pub, b"")
    for number in range(4):
        assert pub.can_send()
        assert pub.send([b"%d" % number, b"whole"])
        take(pub, quick)
    assert sent(slow) == [[b"0", b"whole"], [b"1", b"whole"]]
    assert pub.dropped == slow.dropped == {"full": 2}
    assert quick.dropped == {}
    take(pub, slow)
    assert slow.active
    pub.send(b"4")
    assert sent(slow) == [b"4"]


heads = st.sampled_from([b"", b"a", b"b", b"ab", memoryview(b"ab")])
several_parts = st.tuples(heads, st.binary(max_size=1)).map(list)


@given(
    st.integers(0, 6),
    st.lists(
        st.tuples(st.integers(0, 4), st.sets(st.sampled_from([b"", b"a", b"ab"]))), max_size=3
    ),
    st.lists(heads | several_parts, max_size=9),
)
def test_many_at_once_are_as_many_as_one_by_one(
    mark: int, subscribers: list[tuple[int, set[bytes]]], items: list[Any]
) -> None:
    one, many = socket("PUB", send_mark=mark), socket("PUB", send_mark=mark)
    pipes = [
        [subscriber(pub, *sorted(wanted), in_flight=some) for some, wanted in subscribers]
        for pub in (one, many)
    ]
    for item in items:
        assert one.send(item)
    assert many.send_many(items) == len(items)
    assert [sent(pipe) for pipe in pipes[0]] == [sent(pipe) for pipe in pipes[1]]
    assert one.dropped == many.dropped
    assert [pipe.dropped for pipe in pipes[0]] == [pipe.dropped for pipe in pipes[1]]
    assert [pipe.dirty for pipe in pipes[0]] == [pipe.dirty for pipe in pipes[1]]


@PUBLISHERS
def test_with_nodrop_the_sender_waits_until_all_who_want_it_have_room(type_name: str) -> None:
    pub = socket(type_name, send_mark=1, xpub_nodrop=True)
    slow, quick, other = subscriber(pub, b"a"), subscriber(pub, b"a"), subscriber(pub, b"b")
    assert pub.send(b"a1")
    take(pub, quick)
    assert not pub.can_send()
    assert pub.send(b"a2") is False
    assert pub.send_many([b"b1", b"a2", b"b2"]) == 1
    assert (sent(slow), sent(quick), sent(other)) == ([b"a1"], [], [b"b1"])
    assert not slow.active
    take(pub, slow)
    take(pub, other)
    assert pub.can_send()
    assert pub.send(b"a2")
    assert (sent(slow), sent(quick)) == ([b"a2"], [b"a2"])
    assert pub.dropped == {}


def test_with_conflate_each_subscriber_has_the_last_message_that_it_wants() -> None:
    pub = socket("PUB", conflate=True, send_mark=1)
    first, second = subscriber(pub, b"a"), subscriber(pub, b"")
    for message in (b"a1", b"b1", b"a2", b"b2"):
        assert pub.send(message)
    assert (sent(first), sent(second)) == ([b"a2"], [b"b2"])
    assert first.dropped == {"replaced": 1}
    assert second.dropped == {"replaced": 3}
    with pytest.raises(SocketError) as caught:
        pub.send([b"a", b"b"])
    assert caught.value.errno == errno.EINVAL


def test_with_inverted_matching_a_message_goes_to_those_who_did_not_ask_for_it() -> None:
    pub = socket("PUB", invert_matching=True)
    news, sport, all_ = subscriber(pub, b"news"), subscriber(pub, b"sport"), subscriber(pub, b"")
    pub.send(b"news today")
    assert (sent(news), sent(sport), sent(all_)) == ([], [b"news today"], [])


def test_a_message_for_several_is_one_object_for_all_of_them() -> None:
    pub = socket("PUB")
    first, second = subscriber(pub, b""), subscriber(pub, b"")
    pub.send([b"a", b"b"])
    assert type(first.outgoing[0]) is Encoded
    assert first.outgoing[0] is second.outgoing[0]


@PUBLISHERS
def test_a_subscriber_that_left_gets_nothing_and_what_waited_for_it_is_counted(
    type_name: str,
) -> None:
    pub = socket(type_name)
    pipe = subscriber(pub, b"", b"a")
    pub.send(b"abc")
    pub.detach(pipe)
    assert pub.dropped == {"peer-gone": 1}
    pub.send(b"abc")
    pub.subscribed(pipe, b"a")
    pub.send(b"abc")
    assert sent(pipe) == []
    assert pub.subscriber_count() == pub.topics_count() == 0


@PUBLISHERS
def test_a_subscriber_that_we_connect_to_says_again_what_it_wants(type_name: str) -> None:
    pub = socket(type_name)
    pipe = subscriber(pub, b"a", connecting=True)
    pub.lost(pipe)
    pub.send(b"a")
    assert sent(pipe) == []
    pub.ready(pipe)
    pub.subscribed(pipe, b"b")
    pub.send(b"a")
    pub.send(b"b")
    assert sent(pipe) == [b"b"]


@PUBLISHERS
def test_subscribers_and_topics_can_be_counted(type_name: str) -> None:
    pub = socket(type_name)
    for wanted in ([b"a", b"b"], [b"a"], []):
        subscriber(pub, *wanted)
    assert pub.subscriber_count() == 2
    assert [pub.subscriber_count(prefix) for prefix in (b"a", b"b", b"c")] == [2, 1, 0]
    assert pub.topics_count() == 2
    assert len(pub.peers()) == 3


@PUBLISHERS
def test_who_has_subscribed_to_a_beginning_of_a_prefix_hears_it(type_name: str) -> None:
    pub = socket(type_name)
    for wanted in ([b"wea", b"w"], [b"weather: "], [b""], [b"news"]):
        subscriber(pub, *wanted)
    assert pub.subscriber_count(b"weather") == 2
    assert pub.subscriber_count(b"weather: fine") == 3
    assert pub.subscriber_count(b"") == 1
    assert pub.subscriber_count(b"we") == 2
    assert pub.subscriber_count() == 4


@PUBLISHERS
def test_with_inverted_matching_those_hear_a_prefix_who_have_not_subscribed(type_name: str) -> None:
    pub = socket(type_name, invert_matching=True)
    for wanted in ([b"wea"], [b"news"], []):
        subscriber(pub, *wanted)
    assert pub.subscriber_count(b"weather") == 2
    assert pub.subscriber_count() == 2


@pytest.mark.source_only("it replaces what compiled code does not look up again")
@PUBLISHERS
def test_subscriptions_beyond_what_one_peer_may_have_are_counted(
    type_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixes, "ZMQ_PREFIXES_MAX", 2)
    pub = socket(type_name)
    pipe = subscriber(pub, b"a", b"b", b"c")
    pub.send(b"c")
    assert sent(pipe) == []
    assert pipe.dropped == {"too-many": 1}


@PUBLISHERS
def test_the_welcome_is_for_everybody_and_comes_first(type_name: str) -> None:
    pub = socket(type_name, xpub_welcome_message=b"welcome")
    pipe = subscriber(pub, b"", connecting=True)
    pub.send(b"x")
    assert take(pub, pipe) == [b"welcome", b"x"]
    pub.lost(pipe)
    pub.ready(pipe)
    assert take(pub, pipe) == [b"welcome"]


# -- the subscriber ------------------------------------------------------------------------------


def test_wishes_are_counted_and_told_and_the_last_cancel_is_told() -> None:
    sub = socket("SUB")
    pipe = peer(sub)
    for prefix in (b"a", b"a", b"b"):
        sub.subscribe(prefix)
    assert take(sub, pipe) == [(SUBSCRIBE, b"a"), (SUBSCRIBE, b"a"), (SUBSCRIBE, b"b")]
    assert sub.topics_count() == 2
    sub.unsubscribe(b"a")
    assert take(sub, pipe) == []
    sub.unsubscribe(b"a")
    sub.unsubscribe(b"a")
    sub.unsubscribe(b"never wanted")
    assert take(sub, pipe) == [(CANCEL, b"a")]
    assert sub.topics_count() == 1


def test_every_publisher_is_told_also_one_that_comes_later() -> None:
    sub = socket("SUB")
    early = peer(sub)
    sub.subscribe(b"a")
    late = peer(sub)
    assert take(sub, early) == take(sub, late) == [(SUBSCRIBE, b"a")]


def test_after_a_reconnect_the_wishes_of_then_are_told_once() -> None:
    sub = socket("SUB")
    pipe = new_pipe(sub, connecting=True)
    sub.attach(pipe)
    sub.subscribe(b"a")
    assert sent(pipe) == []  # there is nobody to be told
    pipe.ready = True
    sub.ready(pipe)
    sub.subscribe(b"b")
    sub.unsubscribe(b"a")
    pipe.ready = False
    sub.lost(pipe)
    sub.subscribe(b"c")
    pipe.ready = True
    sub.ready(pipe)
    assert take(sub, pipe) == [(SUBSCRIBE, b"b"), (SUBSCRIBE, b"c")]


def test_wishes_wait_for_no_mark() -> None:
    sub = socket("SUB", send_mark=1)
    pipe = peer(sub)
    for number in range(50):
        sub.subscribe(b"%d" % number)
    assert len(take(sub, pipe)) == 50


def test_what_a_publisher_sends_unasked_is_dropped_and_counted() -> None:
    sub = socket("SUB")
    pipe = peer(sub)
    sub.deliver(pipe, [b"x"])
    sub.subscribe(b"a")
    sub.subscribe(b"bc")
    sub.deliver(pipe, [b"a1", b"b", [b"x", b"a"], [b"bcd", b"x"], b""])
    assert received(sub) == [b"a1", [b"bcd", b"x"]]
    assert sub.dropped == pipe.dropped == {"unwanted": 4}


def test_what_has_come_and_is_not_wanted_any_more_is_not_received() -> None:
    sub = socket("SUB", receive_mark=4)
    first, second = peer(sub), peer(sub)
    sub.subscribe(b"a")
    sub.subscribe(b"b")
    sub.deliver(first, [b"a1", b"b1", b"a2"])
    sub.deliver(second, [b"a3"])
    first.paused = True
    sub.unsubscribe(b"a")
    assert sub.resumed == [first]
    assert received(sub) == [b"b1"]
    assert first.dropped == {"unwanted": 2}
    assert second.dropped == {"unwanted": 1}
    sub.deliver(second, [b"b2"])
    assert received(sub) == [b"b2"]


def test_with_inverted_matching_a_subscriber_takes_what_it_did_not_ask_for() -> None:
    sub = socket("SUB", invert_matching=True)
    pipe = peer(sub)
    sub.deliver(pipe, [b"a1", b"b1"])
    sub.subscribe(b"a")
    sub.deliver(pipe, [b"a2", b"b2"])
    assert received(sub) == [b"b1", b"b2"]
    sub.subscribe(b"")
    sub.deliver(pipe, [b"c"])
    assert received(sub) == []


# -- both --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
@pytest.mark.parametrize("pub_connects", [False, True])
def test_a_subscriber_gets_what_it_wants_from_every_publisher(
    wires: type[Wire], pub_connects: bool
) -> None:
    net = Net(wires)
    pubs, subs = [socket("PUB") for _ in range(2)], [socket("SUB") for _ in range(2)]
    subs[0].subscribe(b"a")
    subs[1].subscribe(b"")
    for pub in pubs:
        for sub in subs:
            net.join(*((pub, sub) if pub_connects else (sub, pub)))
    for number, pub in enumerate(pubs):
        pub.send([b"a", b"%d" % number])
        pub.send([b"b", b"%d" % number])
    net.run()
    assert sorted(received(subs[0])) == [[b"a", b"0"], [b"a", b"1"]]
    assert sorted(received(subs[1])) == [[a, b] for a in (b"a", b"b") for b in (b"0", b"1")]


chunks = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@given(st.lists(st.binary(max_size=3), max_size=8), st.data(), chunks)
@settings(max_examples=40)
def test_over_the_wire_in_any_chunking_it_is_the_same(
    wanted: list[bytes], data: st.DataObject, sizes: list[int]
) -> None:
    net = Net(ZmtpWire)
    pub, sub = socket("PUB"), socket("SUB")
    for prefix in wanted:
        sub.subscribe(prefix)
    wire = net.join(sub, pub)
    assert isinstance(wire, ZmtpWire)
    wire.chunk_sizes = sizes
    items = st.one_of(
        st.binary(max_size=5), st.lists(st.binary(max_size=5), min_size=2, max_size=3)
    )
    messages = data.draw(st.lists(items, max_size=10))
    for message in messages:
        pub.send(message)
    net.run()
    heads = [item[0] if isinstance(item, list) else item for item in messages]
    assert received(sub) == [
        item
        for item, head in zip(messages, heads, strict=True)
        if any(head.startswith(prefix) for prefix in wanted)
    ]
