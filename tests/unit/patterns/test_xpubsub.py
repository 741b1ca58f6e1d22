"""XPUB and XSUB (RFC 29): subscriptions that the program sees and sends, and proxies of them."""

from __future__ import annotations

import errno

import pytest

from midge.patterns.errors import SocketError
from midge.patterns.pipe import CANCEL, SUBSCRIBE
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

# -- XPUB --------------------------------------------------------------------------------------


def test_the_first_wish_and_the_last_cancel_are_received() -> None:
    xpub = socket("XPUB")
    first, second = peer(xpub), peer(xpub)
    xpub.subscribed(first, b"a")
    assert xpub.can_receive()
    xpub.subscribed(second, b"a")
    xpub.subscribed(first, b"a")
    assert received(xpub) == [b"\1a"]
    xpub.cancelled(first, b"a")
    assert received(xpub) == []
    xpub.cancelled(second, b"a")
    xpub.cancelled(second, b"a")
    xpub.cancelled(first, b"never asked for")
    assert received(xpub) == [b"\0a"]


def test_verbose_receives_every_wish_and_verboser_every_cancel_as_well() -> None:
    for verboser in (False, True):
        xpub = socket("XPUB", xpub_verbose=True, xpub_verboser=verboser)
        first, second = peer(xpub), peer(xpub)
        for pipe in (first, second, second):
            xpub.subscribed(pipe, b"a")
        assert received(xpub) == [b"\1a"] * 3
        xpub.cancelled(first, b"a")
        assert received(xpub) == ([b"\0a"] if verboser else [])
        xpub.cancelled(second, b"a")
        assert received(xpub) == [b"\0a"]


@pytest.mark.parametrize("connecting", [False, True])
@pytest.mark.parametrize("verboser", [False, True])
def test_when_a_peer_is_gone_its_subscriptions_are_received_as_cancelled(
    verboser: bool, connecting: bool
) -> None:
    xpub = socket("XPUB", xpub_verboser=verboser)
    leaver, stayer = peer(xpub, connecting), peer(xpub)
    xpub.subscribed(leaver, b"a")
    xpub.subscribed(leaver, b"b")
    xpub.subscribed(stayer, b"b")
    received(xpub)
    if connecting:
        xpub.lost(leaver)
    xpub.detach(leaver)
    assert received(xpub) == ([b"\0a", b"\0b"] if verboser else [b"\0a"])
    xpub.detach(leaver)
    assert received(xpub) == []


def test_wishes_are_received_in_the_order_in_which_they_came_over_all_peers() -> None:
    # In turns, the end of the subscription would be received before its beginning.
    xpub = socket("XPUB")
    first, second = peer(xpub), peer(xpub)
    xpub.subscribed(first, b"other")
    xpub.subscribed(first, b"a")
    xpub.subscribed(second, b"a")
    xpub.cancelled(first, b"a")
    xpub.cancelled(second, b"a")
    assert received(xpub) == [b"\1other", b"\1a", b"\0a"]
    xpub.subscribed(second, b"x")
    xpub.subscribed(second, b"y")
    xpub.cancelled(second, b"y")
    xpub.subscribed(first, b"y")
    assert xpub.receive_many(2) == [b"\1x", b"\1y"]
    assert xpub.last_pipe is second
    assert xpub.receive_many(5) == [b"\0y", b"\1y"]
    assert xpub.last_pipe is first


def test_messages_of_subscribers_come_in_their_place() -> None:
    xpub = socket("XPUB")
    pipe = peer(xpub)
    xpub.deliver(pipe, [b"up", [b"a", b"b"]])
    xpub.subscribed(pipe, b"a")
    xpub.deliver(pipe, [b"more"])
    assert received(xpub) == [b"up", [b"a", b"b"], b"\1a", b"more"]


def test_an_xpub_that_was_paused_reads_on() -> None:
    xpub = socket("XPUB", receive_mark=2)
    pipe = peer(xpub)
    xpub.subscribed(pipe, b"a")
    xpub.subscribed(pipe, b"b")
    pipe.paused = True
    xpub.receive()
    assert xpub.resumed == [pipe]


#: What a message of several parts is to an XPUB: the messages that its program receives, and the
#: prefixes that the peer has then; with ONLY_FIRST_SUBSCRIBE the same, where it is another thing.
MIXTURES: list[tuple[list[bytes], list[object], set[bytes], list[object], set[bytes]]] = [
    ([b"u", b"v"], [[b"u", b"v"]], set(), [[b"u", b"v"]], set()),
    ([b"\1a", b"\1b"], [b"\1a", b"\1b"], {b"a", b"b"}, [b"\1a", b"\1b"], {b"a", b"b"}),
    ([b"u", b"\1c"], [b"u", b"\1c"], {b"c"}, [[b"u", b"\1c"]], set()),
    ([b"\1d", b"u"], [b"\1d", b"u"], {b"d"}, [b"\1d", b"u"], {b"d"}),
    ([b"\1d", b"\0d"], [b"\1d", b"\0d"], set(), [b"\1d", b"\0d"], set()),
    ([b"u", b"\0no", b"v"], [[b"u", b"v"]], set(), [[b"u", b"\0no", b"v"]], set()),
    ([b"\0no", b"u", b"v"], [[b"u", b"v"]], set(), [[b"u", b"v"]], set()),
    (
        [b"u", b"w", b"\1e", b"", b"\2"],
        [[b"u", b"w"], b"\1e", [b"", b"\2"]],
        {b"e"},
        [[b"u", b"w", b"\1e", b"", b"\2"]],
        set(),
    ),
    (
        [b"\1f", b"u", b"\1g"],
        [b"\1f", b"u", b"\1g"],
        {b"f", b"g"},
        [b"\1f", b"u", b"\1g"],
        {b"f", b"g"},
    ),
    ([b"", b"\1"], [b"", b"\1"], {b""}, [[b"", b"\1"]], set()),
]


#: Parts of which no message is left.
WISHES = {b"\1a", b"\1b", b"\1d", b"\0d"}


@pytest.mark.parametrize(("parts", "heard", "wanted", "heard_first", "wanted_first"), MIXTURES)
@pytest.mark.parametrize("only_first", [False, True])
def test_parts_of_a_message_that_look_like_wishes_are_wishes(
    parts: list[bytes],
    heard: list[object],
    wanted: set[bytes],
    heard_first: list[object],
    wanted_first: set[bytes],
    only_first: bool,
) -> None:
    if only_first:
        heard, wanted = heard_first, wanted_first
    prefixes = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b""]
    xpub = socket("XPUB", only_first_subscribe=only_first)
    pipe = peer(xpub)
    xpub.deliver(pipe, [b"before", parts, [b"and", b"after"]])
    assert received(xpub) == [b"before", *heard, [b"and", b"after"]]
    assert {prefix for prefix in prefixes if xpub._subscriptions.exactly(prefix)} == wanted
    pub = socket("PUB", only_first_subscribe=only_first)
    pipe = peer(pub)
    pub.deliver(pipe, [b"before", parts])
    assert {prefix for prefix in prefixes if pub._subscriptions.exactly(prefix)} == wanted
    assert pub.dropped == {"unwanted": 1 if set(parts) <= WISHES else 2}
    # And from an XSUB that has the same set, the same arrives, whatever it has understood of it.
    net = Net()
    xsub = socket("XSUB", only_first_subscribe=only_first)
    xpub = socket("XPUB", only_first_subscribe=only_first)
    net.join(xsub, xpub)
    xsub.send(parts)
    net.run()
    assert received(xpub) == heard
    assert {prefix for prefix in prefixes if xpub._subscriptions.exactly(prefix)} == wanted
    assert xsub.topics_count() == len(wanted)


def test_in_manual_mode_a_wish_in_a_message_is_the_programs_to_grant() -> None:
    xpub = socket("XPUB", xpub_manual=True)
    pipe = peer(xpub)
    xpub.deliver(pipe, [[b"u", b"\1a"]])
    assert xpub.receive_many(2) == [b"u", b"\1a"]
    assert xpub.subscriber_count() == 0
    xpub.subscribe(b"granted")
    assert xpub.subscriber_count(b"granted") == 1


def test_a_mixture_tells_a_peer_that_is_not_there_yet_its_messages_and_later_the_wishes() -> None:
    xsub = socket("XSUB", send_mark=1)
    there, absent = peer(xsub), new_pipe(xsub, connecting=True)
    xsub.attach(absent)
    xsub.send([b"u", b"\1a", b"\0no", b"v"])
    xsub.send([b"\1b", b"w"])
    assert sent(there) == [[b"u", b"\1a", b"v"], [b"\1b", b"w"]]
    assert sent(absent) == [[b"u", b"v"]]
    assert absent.dropped == {"full": 1}
    absent.ready = True
    xsub.ready(absent)
    assert sent(absent) == [(SUBSCRIBE, b"a"), (SUBSCRIBE, b"b"), [b"u", b"v"]]


# -- XPUB_MANUAL -------------------------------------------------------------------------------


def test_in_manual_mode_the_program_says_what_a_peer_gets() -> None:
    xpub = socket("XPUB", xpub_manual=True)
    first, second = peer(xpub), peer(xpub)
    xpub.subscribed(first, b"A")
    xpub.subscribed(second, b"A")
    assert xpub.receive() == b"\1A"
    xpub.subscribe(b"XA")
    assert xpub.receive() == b"\1A"
    xpub.subscribe(b"B")
    for message in (b"A", b"XA", b"B"):
        xpub.send(message)
    assert (sent(first), sent(second)) == ([b"XA"], [b"B"])
    xpub.cancelled(first, b"A")
    assert xpub.receive() == b"\0A"
    xpub.unsubscribe(b"XA")
    xpub.send(b"XA")
    assert sent(first) == [b"XA"]


def test_in_manual_mode_the_end_of_a_peer_cancels_what_it_had_asked_for() -> None:
    xpub = socket("XPUB", xpub_manual=True)
    pipe, other = peer(xpub), peer(xpub)
    for one in (pipe, other):
        xpub.subscribed(one, b"A")
    received(xpub)
    xpub.subscribe(b"granted")
    xpub.detach(pipe)
    xpub.cancelled(pipe, b"A")  # what its wire still had
    assert received(xpub) == [b"\0A"]
    xpub.subscribe(b"to nobody")  # the peer of that message has gone
    assert xpub.subscriber_count(b"to nobody") == 0
    xpub.detach(other)
    assert xpub.topics_count() == 0


def test_a_message_between_a_wish_and_its_answer_does_not_change_who_is_meant() -> None:
    xpub = socket("XPUB", xpub_manual=True)
    asker, talker = peer(xpub), peer(xpub)
    xpub.subscribed(asker, b"A")
    xpub.deliver(talker, [b"by the way"])
    assert xpub.receive_many(2) == [b"\1A", b"by the way"]
    xpub.subscribe(b"A")
    xpub.send(b"A1")
    assert (sent(asker), sent(talker)) == ([b"A1"], [])


def test_without_manual_mode_the_program_has_no_say() -> None:
    xpub = socket("XPUB")
    xpub.subscribed(peer(xpub), b"A")
    xpub.receive()
    for verb in (xpub.subscribe, xpub.unsubscribe):
        with pytest.raises(SocketError) as caught:
            verb(b"A")
        assert caught.value.errno == errno.EINVAL


def test_a_last_value_goes_to_the_last_subscriber_alone() -> None:
    xpub = socket("XPUB", xpub_manual=True, xpub_manual_last_value=True)
    early, late = peer(xpub), peer(xpub)
    for pipe in (early, late):
        xpub.subscribed(pipe, b"A")
        xpub.receive()
        xpub.subscribe(b"A")
        xpub.send(b"A cached")
        xpub.send(b"A new")
    assert sent(early) == [b"A cached", b"A new", b"A new"]
    assert sent(late) == [b"A cached", b"A new"]


@pytest.mark.parametrize("leaves", ["late", "other"])
def test_a_last_value_for_who_has_left_is_for_everybody_again(leaves: str) -> None:
    xpub = socket("XPUB", xpub_manual=True, xpub_manual_last_value=True)
    early, other, late = peer(xpub), peer(xpub), peer(xpub)
    for pipe in (early, other, late):
        xpub.subscribed(pipe, b"A")
        xpub.receive()
        xpub.subscribe(b"A")
    xpub.detach(late if leaves == "late" else other)
    received(xpub)
    xpub.send(b"A1")
    assert (sent(early), sent(late)) == (([b"A1"], []) if leaves == "late" else ([], [b"A1"]))


# -- XSUB --------------------------------------------------------------------------------------


def test_a_wish_is_a_message_of_one_part_that_begins_with_1_and_a_cancel_with_0() -> None:
    xsub = socket("XSUB")
    pipe = peer(xsub)
    for message in (b"\1a", b"\0a", b"\2a", b"", [b"\1a", b"b"], memoryview(b"\1b")):
        assert xsub.can_send()
        assert xsub.send(message)
    assert take(xsub, pipe) == [
        (SUBSCRIBE, b"a"),
        (CANCEL, b"a"),
        b"\2a",
        b"",
        [b"\1a", b"b"],
        (SUBSCRIBE, b"b"),
    ]


@pytest.mark.parametrize("verbose", [False, True])
def test_every_wish_is_passed_on_and_the_last_cancel_or_with_verbose_every_one(
    verbose: bool,
) -> None:
    xsub = socket("XSUB", xsub_verbose_unsubscribe=verbose)
    pipe = peer(xsub)
    for message in (b"\1a", b"\1a", b"\0a", b"\0a", b"\0a"):
        xsub.send(message)
    cancels = 2 if verbose else 1
    assert take(xsub, pipe) == [(SUBSCRIBE, b"a")] * 2 + [(CANCEL, b"a")] * cancels
    assert xsub.topics_count() == 0


def test_an_xsub_does_not_filter() -> None:
    xsub = socket("XSUB")
    pipe = peer(xsub)
    xsub.deliver(pipe, [b"welcome", [b"x", b"y"]])
    assert received(xsub) == [b"welcome", [b"x", b"y"]]


def test_messages_go_to_every_publisher_and_are_dropped_for_who_is_full() -> None:
    xsub = socket("XSUB", send_mark=1)
    assert xsub.send(b"nobody")
    assert xsub.dropped == {"no-peer": 1}
    first, second = peer(xsub), peer(xsub)
    take(xsub, first)
    assert first.active
    xsub.send(b"1")
    take(xsub, second)
    xsub.send(b"2")
    assert (sent(first), sent(second)) == ([b"1"], [b"2"])
    assert first.dropped == {"full": 1}
    assert not first.active
    take(xsub, first)
    assert first.active


def test_after_a_reconnect_wishes_come_before_messages() -> None:
    xsub = socket("XSUB")
    pipe = peer(xsub, connecting=True)
    xsub.send(b"\1a")
    take(xsub, pipe)
    pipe.ready = False
    xsub.lost(pipe)
    xsub.send(b"up")
    xsub.send(b"\1b")
    pipe.ready = True
    xsub.ready(pipe)
    assert take(xsub, pipe) == [(SUBSCRIBE, b"a"), (SUBSCRIBE, b"b"), b"up"]


# -- a proxy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
def test_a_proxy_asks_for_what_its_subscribers_want_and_for_nothing_else(
    wires: type[Wire],
) -> None:
    net = Net(wires)
    pub, xsub, xpub = socket("PUB"), socket("XSUB"), socket("XPUB")
    subs = [socket("SUB") for _ in range(2)]
    net.join(xsub, pub)
    wires_of_subs = [net.join(sub, xpub) for sub in subs]

    def relay() -> None:
        net.run()
        while xpub.can_receive() or xsub.can_receive():
            for wish in received(xpub):
                assert xsub.send(wish)
            for message in received(xsub):
                assert xpub.send(message)
            net.run()

    subs[0].subscribe(b"a")
    subs[1].subscribe(b"a")
    subs[1].subscribe(b"b")
    relay()
    assert pub.topics_count() == 2
    for message in (b"a1", [b"b1", b"more"], b"c1"):
        pub.send(message)
    relay()
    assert received(subs[0]) == [b"a1"]
    assert received(subs[1]) == [b"a1", [b"b1", b"more"]]
    assert pub.dropped == {"no-peer": 1}
    subs[0].unsubscribe(b"a")
    relay()
    assert pub.topics_count() == 2
    wires_of_subs[1].drop()
    relay()
    assert pub.topics_count() == 0
    assert xsub.topics_count() == 0
