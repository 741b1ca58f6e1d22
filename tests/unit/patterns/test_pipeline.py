"""PUSH and PULL (RFC 30), SCATTER and GATHER (RFC 49)."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.patterns.errors import SocketError
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

PUSHERS = ["PUSH", "SCATTER", "DEALER", "CLIENT"]


@pytest.mark.parametrize("type_name", PUSHERS)
def test_a_sender_without_peers_has_to_wait(type_name: str) -> None:
    push = socket(type_name)
    assert not push.can_send()
    assert push.send(b"x") is False
    assert push.send_many([b"x", b"y"]) == 0
    assert push.dropped == {}


@pytest.mark.parametrize("type_name", PUSHERS)
def test_peers_get_messages_in_turn(type_name: str) -> None:
    push = socket(type_name)
    pipes = [peer(push) for _ in range(3)]
    for number in range(7):
        assert push.send(b"%d" % number)
    assert [sent(pipe) for pipe in pipes] == [[b"0", b"3", b"6"], [b"1", b"4"], [b"2", b"5"]]
    assert push.dirty == pipes


@pytest.mark.parametrize("type_name", PUSHERS)
def test_a_full_peer_leaves_the_rotation_and_comes_back(type_name: str) -> None:
    push = socket(type_name, send_mark=2)
    slow, quick = peer(push), peer(push)
    for number in range(3):
        assert push.send(b"%d" % number)
    assert take(push, quick) == [b"1"]
    for number in range(3, 6):
        assert push.send(b"%d" % number)
        take(push, quick)
    assert sent(slow) == [b"0", b"2"]
    assert not slow.active
    assert take(push, slow)
    assert slow.active
    push.send(b"x")
    push.send(b"y")
    assert {*sent(slow), *sent(quick)} == {b"x", b"y"}


@pytest.mark.parametrize("type_name", PUSHERS)
def test_when_every_peer_is_full_the_sender_waits_and_nothing_is_dropped(type_name: str) -> None:
    push = socket(type_name, send_mark=1)
    first, second = peer(push), peer(push)
    assert push.send(b"1")
    assert push.send(b"2")
    assert not push.can_send()
    assert push.send(b"3") is False
    assert (sent(first), sent(second)) == ([b"1"], [b"2"])
    assert push.dropped == {}
    second.outgoing.clear()
    push.drained(second)
    assert push.can_send()
    assert push.send(b"3")
    assert sent(second) == [b"3"]


def test_what_the_wire_holds_keeps_a_peer_full() -> None:
    push = socket("PUSH", send_mark=2)
    pipe = peer(push)
    push.send(b"1")
    pipe.outgoing.clear()
    pipe.in_flight = 1
    assert push.send(b"2")
    assert not push.send(b"3")
    push.drained(pipe)  # told too early: there is no room
    assert not push.can_send()
    pipe.in_flight = 0
    push.drained(pipe)
    push.drained(pipe)  # told twice: it stands in the rotation once
    assert push.send(b"3")
    assert not push.send(b"4")


def test_a_mark_of_0_is_none() -> None:
    push = socket("PUSH", send_mark=0)
    pipe = peer(push)
    assert push.send_many([b"x"] * 5000) == 5000
    assert len(pipe.outgoing) == 5000


def test_a_connecting_pipe_takes_messages_before_there_is_a_connection() -> None:
    push = socket("PUSH")
    pipe = new_pipe(push, connecting=True)
    push.attach(pipe)
    assert push.can_send()
    assert push.send(b"early")
    pipe.ready = True
    push.ready(pipe)
    assert take(push, pipe) == [b"early"]


def test_messages_outlive_the_connection_of_a_connecting_peer_and_of_no_other() -> None:
    push = socket("PUSH")
    near = peer(push, connecting=True)
    push.send(b"kept")
    push.lost(near)
    assert sent(near) == [b"kept"]
    assert push.can_send()
    push.detach(near)
    far = peer(push)
    push.send(b"lost")
    push.detach(far)
    assert push.dropped == {"peer-gone": 2}
    assert not push.can_send()


@given(st.integers(0, 12), st.integers(0, 5), st.integers(0, 5), st.integers(0, 30))
def test_many_at_once_are_as_many_as_one_by_one(
    mark: int, flight: int, before: int, count: int
) -> None:
    one, many = socket("PUSH", send_mark=mark), socket("PUSH", send_mark=mark)
    pipes = peer(one, in_flight=flight), peer(many, in_flight=flight)
    for push in (one, many):
        for _ in range(before):
            push.send(b"before")
    items = [b"%d" % number for number in range(count)]
    accepted = 0
    for item in items:
        accepted += one.send(item)
    assert many.send_many(items) == accepted
    assert sent(pipes[0]) == sent(pipes[1])
    assert one.can_send() == many.can_send()
    assert len(one.dirty) == len(many.dirty) == bool(sent(pipes[0]))


def test_with_conflate_the_last_message_waits_for_each_peer() -> None:
    push = socket("PUSH", conflate=True, send_mark=1)
    first, second = peer(push), peer(push)
    assert push.send_many([b"1", b"2", b"3", b"4", b"5"]) == 5
    assert (sent(first), sent(second)) == ([b"5"], [b"4"])
    assert push.dropped == {"replaced": 3}
    assert push.can_send()


def test_with_conflate_a_message_of_many_parts_is_refused_and_replaces_nothing() -> None:
    push = socket("PUSH", conflate=True)
    pipe = peer(push)
    push.send(b"1")
    with pytest.raises(SocketError) as caught:
        push.send([b"2", b"3"])
    assert caught.value.errno == errno.EINVAL
    assert sent(pipe) == [b"1"]
    assert push.dropped == {}


# -- one part only (RFC 49, 41, 51) -------------------------------------------------------------


@pytest.mark.parametrize("type_name", ["SCATTER", "CLIENT", "CHANNEL"])
def test_the_types_for_several_threads_send_one_part_only(type_name: str) -> None:
    one = socket(type_name)
    pipe = peer(one)
    assert one.thread_safe
    for attempt in (lambda: one.send([b"a", b"b"]), lambda: one.send_many([b"c", [b"a", b"b"]])):
        with pytest.raises(SocketError) as caught:
            attempt()
        assert caught.value.errno == errno.EINVAL
    assert [item for item in sent(pipe) if isinstance(item, list)] == []


@pytest.mark.parametrize("type_name", ["GATHER", "CLIENT", "CHANNEL"])
def test_the_types_for_several_threads_discard_messages_of_several_parts(type_name: str) -> None:
    one = socket(type_name)
    pipe = peer(one)
    one.deliver(pipe, [b"1", [b"2", b"3"], b"4"])
    assert received(one) == [b"1", b"4"]
    assert one.dropped == {"malformed": 1}


@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
@pytest.mark.parametrize("kinds", [("PUSH", "PULL"), ("SCATTER", "GATHER")])
def test_a_stream_arrives_whole_and_in_order(kinds: tuple[str, str], wires: type[Wire]) -> None:
    net = Net(wires)
    push, pull = socket(kinds[0], send_mark=7), socket(kinds[1], receive_mark=3)
    net.join(push, pull)
    wanted = [b"%d" % number for number in range(200)]
    found, number = [], 0
    while len(found) < 200:
        while number < 200 and push.send(wanted[number]):
            number += 1
        net.run()
        found += received(pull)
        net.run()
    assert found == wanted
    assert push.dropped == pull.dropped == {}
