"""What all socket types share: the queues, the turns, the marks, the counters."""

from __future__ import annotations

import errno

import pytest

from midge.patterns import pattern as pattern_module
from midge.patterns.errors import EFSM, ENOCOMPATPROTO, ETERM, SocketError
from midge.patterns.options import Options
from midge.patterns.pattern import CAUSES, create
from midge.patterns.pipe import SUBSCRIBE, Command, Encoded, Pipe
from midge.patterns.types import TYPES
from midge.zmtp.sockets import PEERS
from tests.unit.patterns.wire import new_pipe, peer, received, socket, take

RECEIVERS = sorted(set(TYPES) - {"PUSH", "SCATTER", "PUB", "RADIO"})
SENDERS = sorted(set(TYPES) - {"PULL", "GATHER", "SUB", "DISH"})


def test_there_is_a_pattern_for_each_type_of_zmtp_and_for_stream() -> None:
    assert set(TYPES) == set(PEERS) | {"STREAM"}


@pytest.mark.parametrize("type_name", TYPES)
def test_a_pattern_knows_its_type(type_name: str) -> None:
    made = socket(type_name)
    assert made.type_name == type_name
    assert made.peers() == []
    assert not made.can_receive()
    assert made.subscriber_count() == made.topics_count() == 0


def test_an_unknown_type_is_an_error() -> None:
    with pytest.raises(SocketError) as caught:
        create("TELEX", Options(), bytes)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("type_name", sorted(set(TYPES) - set(RECEIVERS)))
def test_types_that_only_send_do_not_receive(type_name: str) -> None:
    one = socket(type_name)
    with pytest.raises(SocketError) as caught:
        one.receive()
    assert caught.value.errno == errno.ENOTSUP
    pipe = peer(one)
    one.deliver(pipe, [b"unasked", b"for"])
    assert not one.can_receive()
    assert one.dropped == pipe.dropped == {"unwanted": 2}


@pytest.mark.parametrize("type_name", sorted(set(TYPES) - set(SENDERS)))
def test_types_that_only_receive_do_not_send(type_name: str) -> None:
    one = socket(type_name)
    peer(one)
    assert not one.can_send()
    with pytest.raises(SocketError) as caught:
        one.send(b"x")
    assert caught.value.errno == errno.ENOTSUP


@pytest.mark.parametrize("type_name", sorted(set(TYPES) - {"SUB"}))
def test_only_subscribers_have_subscriptions(type_name: str) -> None:
    for verb in (socket(type_name).subscribe, socket(type_name).unsubscribe):
        with pytest.raises(SocketError) as caught:
            verb(b"a")
        assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("type_name", sorted(set(TYPES) - {"DISH"}))
def test_only_a_dish_has_groups(type_name: str) -> None:
    for verb in (socket(type_name).join, socket(type_name).leave):
        with pytest.raises(SocketError) as caught:
            verb(b"a")
        assert caught.value.errno == errno.EINVAL


def test_errors_have_the_numbers_of_libzmq_and_a_text() -> None:
    assert (EFSM, ENOCOMPATPROTO, ETERM) == (156384763, 156384764, 156384765)
    assert "current state" in str(SocketError(EFSM))
    assert str(SocketError(errno.EAGAIN)) == "EAGAIN"
    assert str(SocketError(errno.EINVAL, "no such thing")) == "no such thing"


def test_every_cause_has_a_meaning() -> None:
    named = {
        value
        for name, value in vars(pattern_module).items()
        if name.isupper() and isinstance(value, str)
    }
    assert named == set(CAUSES)
    assert all(CAUSES.values())


# -- receiving ----------------------------------------------------------------------------------


def test_messages_are_taken_from_each_peer_in_turn_and_per_message_not_per_part() -> None:
    pull = socket("PULL")
    first, second, third = (peer(pull) for _ in range(3))
    pull.deliver(first, [b"a1", [b"a2", b"a2'"], b"a3"])
    pull.deliver(second, [[b"b1", b"b1'"]])
    pull.deliver(third, [b"c1", b"c2"])
    assert received(pull) == [b"a1", [b"b1", b"b1'"], b"c1", [b"a2", b"a2'"], b"c2", b"a3"]
    assert not pull.can_receive()


def test_the_pipe_of_the_last_message_is_known() -> None:
    pull = socket("PULL")
    first, second = peer(pull), peer(pull)
    pull.deliver(second, [b"b"])
    pull.deliver(first, [b"a"])
    assert pull.receive() == b"b"
    assert pull.last_pipe is second
    assert pull.receive() == b"a"
    assert pull.last_pipe is first


def test_a_batch_from_one_peer_is_the_same_as_one_by_one() -> None:
    pull = socket("PULL")
    pipe = peer(pull)
    pull.deliver(pipe, [b"1", b"2", b"3"])
    assert pull.receive_many(2) == [b"1", b"2"]
    assert pull.last_pipe is pipe
    assert pull.can_receive()
    assert pull.receive_many(1) == [b"3"]
    assert not pull.can_receive()
    assert pull.receive_many(5) == []
    pull.deliver(pipe, [b"4"])
    assert pull.receive() == b"4"
    assert pull.resumed == []  # nobody was paused


def test_a_batch_from_several_peers_takes_turns() -> None:
    pull = socket("PULL")
    first, second = peer(pull), peer(pull)
    pull.deliver(first, [b"a1", b"a2", b"a3"])
    pull.deliver(second, [b"b1", b"b2"])
    assert pull.receive_many(4) == [b"a1", b"b1", b"a2", b"b2"]
    assert pull.receive_many(4) == [b"a3"]


def test_what_a_peer_sent_before_it_left_can_still_be_had() -> None:
    pull = socket("PULL")
    pipe = peer(pull)
    pull.deliver(pipe, [b"1", b"2"])
    pull.detach(pipe)
    assert pull.peers() == []
    assert received(pull) == [b"1", b"2"]


@pytest.mark.parametrize("batch", [False, True])
def test_reading_goes_on_when_half_of_the_mark_is_free_and_that_is_said_once(batch: bool) -> None:
    pull = socket("PULL", receive_mark=4)
    pipe = peer(pull)
    pull.deliver(pipe, [b"1", b"2", b"3", b"4"])
    pipe.paused = True
    if batch:
        pull.receive_many(1)
        assert pull.resumed == []
        pull.receive_many(1)
    else:
        pull.receive()
        assert pull.resumed == []
        pull.receive()
    assert pull.resumed == [pipe]
    assert not pipe.paused
    received(pull)
    assert pull.resumed == [pipe]


@pytest.mark.parametrize("type_name", ["REP", "REQ", "SUB", "DISH", "GATHER", "PUSH", "PUB"])
def test_a_paused_peer_whose_messages_are_all_dropped_is_read_again(type_name: str) -> None:
    # What is dropped leaves room, and nobody will ever receive it.
    one = socket(type_name, receive_mark=2)
    pipe = peer(one)
    pipe.paused = True
    one.deliver(pipe, [[b"neither", b"this"], [b"nor", b"that"]])
    assert sum(one.dropped.values()) == 2
    assert one.resumed == [pipe]


# -- options that are for some types only -------------------------------------------------------


@pytest.mark.parametrize("type_name", TYPES)
def test_a_greeting_is_sent_by_those_types_that_have_one(type_name: str) -> None:
    one = socket(type_name, hello_message=b"hello")
    pipe = peer(one, True)
    greets = type_name in ("ROUTER", "DEALER", "CLIENT", "SERVER", "PEER")
    assert take(one, pipe) == ([b"hello"] if greets else [])
    one.lost(pipe)
    one.ready(pipe)
    assert take(one, pipe) == ([b"hello"] if greets else [])


@pytest.mark.parametrize("type_name", RECEIVERS)
def test_a_hiccup_is_told_by_those_types_that_tell_it(type_name: str) -> None:
    one = socket(type_name, hiccup_message=b"hiccup", stream_notify=False)
    pipe = peer(one, True)
    one.lost(pipe)
    if type_name in ("DEALER", "CLIENT"):
        assert received(one) == [b"hiccup"]
    elif type_name == "PEER":
        assert received(one) == [[pipe.routing_id, b"hiccup"]]
    else:
        assert not one.can_receive()


@pytest.mark.parametrize("type_name", RECEIVERS)
@pytest.mark.parametrize("connecting", [False, True])
def test_the_end_of_an_accepted_peer_is_told_by_those_types_that_tell_it(
    type_name: str, connecting: bool
) -> None:
    one = socket(type_name, disconnect_message=b"gone", stream_notify=False)
    pipe = peer(one, connecting)
    one.detach(pipe)
    one.detach(pipe)
    if type_name in ("ROUTER", "SERVER", "PEER") and not connecting:
        assert received(one) == [[pipe.routing_id, b"gone"]]
    else:
        assert not one.can_receive()


@pytest.mark.parametrize("type_name", TYPES)
def test_the_end_of_a_peer_without_anything_leaves_no_trace(type_name: str) -> None:
    one = socket(type_name, stream_notify=False)
    pipe = peer(one)
    one.drained(pipe)
    one.detach(pipe)
    assert not pipe.active
    assert not one.can_receive()
    assert one.dropped == pipe.dropped == {}
    one.drained(pipe)  # by a wire that was still at work
    assert not pipe.active


@pytest.mark.parametrize("type_name", RECEIVERS)
def test_conflating_is_for_those_types_that_can(type_name: str) -> None:
    one = socket(type_name, conflate=True, routing_id=b"me")
    assert peer(one).conflate == (type_name in ("PULL", "SUB", "DEALER"))


def test_only_the_last_message_of_a_peer_is_kept_where_that_is_wanted() -> None:
    pull = socket("PULL", conflate=True)
    first, second = peer(pull), peer(pull)
    pull.deliver(first, [b"0"])
    assert pull.dropped == {}
    assert pull.receive() == b"0"
    pull.deliver(first, [b"1", b"2"])
    pull.deliver(first, [b"3"])
    pull.deliver(second, [b"4"])
    assert received(pull) == [b"3", b"4"]
    assert pull.dropped == {"replaced": 2}
    assert first.dropped == {"replaced": 2}


# -- pipes --------------------------------------------------------------------------------------


def test_what_the_wire_has_counts_against_the_mark() -> None:
    pipe = Pipe(send_mark=3)
    pipe.outgoing.append(b"1")
    pipe.in_flight = 1
    assert pipe.room()
    pipe.in_flight = 2
    assert not pipe.room()
    pipe.send_mark = 0
    assert pipe.room()


def test_messages_for_a_peer_that_left_are_counted_and_wishes_are_not() -> None:
    one = socket("XSUB")
    pipe = peer(one)
    one.send(b"\x01a")
    one.send(b"up")
    one.send([b"up", b"again"])
    assert len(pipe.outgoing) == 3
    one.detach(pipe)
    assert one.dropped == pipe.dropped == {"peer-gone": 2}
    one.detach(pipe)  # which an engine may say twice
    assert one.dropped == {"peer-gone": 2}


def test_a_message_for_many_is_encoded_once() -> None:
    single, several = Encoded(b"body"), Encoded([b"a", b""])
    assert single.data == b"\x00\x04body"
    assert several.data == b"\x01\x01a\x00\x00"
    assert single.data is single.data


def test_things_show_what_they_are() -> None:
    assert repr(Command(SUBSCRIBE, b"a")) == "Command(1, b'a')"
    pipe = new_pipe(socket("PULL"), endpoint="tcp://127.0.0.1:5555")
    assert "5555" in repr(pipe)
