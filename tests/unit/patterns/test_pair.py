"""PAIR (RFC 31) and CHANNEL (RFC 51): one peer, both ways."""

from __future__ import annotations

import pytest

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

BOTH = pytest.mark.parametrize("type_name", ["PAIR", "CHANNEL"])


@BOTH
@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
def test_messages_go_both_ways(type_name: str, wires: type[Wire]) -> None:
    net = Net(wires)
    left, right = socket(type_name), socket(type_name)
    net.join(left, right)
    left.send(b"1")
    right.send(b"2")
    right.send(b"3")
    net.run()
    assert received(left) == [b"2", b"3"]
    assert received(right) == [b"1"]


@BOTH
def test_without_a_peer_the_sender_waits(type_name: str) -> None:
    one = socket(type_name)
    assert not one.can_send()
    assert one.send(b"x") is False


@BOTH
def test_at_the_mark_the_sender_waits_until_there_is_room(type_name: str) -> None:
    one = socket(type_name, send_mark=2)
    pipe = peer(one)
    assert one.send(b"1")
    assert one.send(b"2")
    assert not one.can_send()
    assert not pipe.active
    assert one.send(b"3") is False
    assert take(one, pipe) == [b"1", b"2"]
    assert one.can_send()
    assert pipe.active
    assert one.send(b"3")


@BOTH
def test_a_second_peer_is_refused_and_not_heard(type_name: str) -> None:
    one = socket(type_name)
    first, second = peer(one), peer(one)
    assert one.refused[:1] == [second]
    assert one.peers() == [first]
    one.deliver(second, [b"let me in"])
    one.send(b"hello")
    assert not one.can_receive()
    assert one.dropped == second.dropped == {"unwanted": 1}
    assert (sent(first), sent(second)) == ([b"hello"], [])
    one.detach(second)
    assert one.peers() == [first]


@BOTH
def test_when_the_first_peer_has_left_the_next_one_may_come(type_name: str) -> None:
    one = socket(type_name)
    first = peer(one)
    one.send(b"lost")
    one.detach(first)
    assert one.dropped == {"peer-gone": 1}
    second = peer(one)
    assert one.refused == []
    assert one.send(b"hello")
    assert sent(second) == [b"hello"]


@BOTH
def test_a_second_connect_gets_in_when_it_tries_again_and_there_is_room(type_name: str) -> None:
    one = socket(type_name)
    first = peer(one)
    waiting = new_pipe(one, connecting=True)
    one.attach(waiting)
    assert one.refused == [waiting]
    one.refused.clear()
    one.ready(waiting)
    assert one.refused == [waiting]
    one.refused.clear()
    one.detach(first)
    one.ready(waiting)
    assert one.refused == []
    assert one.peers() == [waiting]
    assert one.send(b"hello")
    assert sent(waiting) == [b"hello"]


def test_what_was_queued_for_a_connecting_peer_is_sent_after_the_reconnect() -> None:
    net = Net()
    left, right = socket("PAIR"), socket("PAIR")
    wire = net.join(left, right)
    wire.cut()
    left.send([b"kept", b"whole"])
    wire.open()
    net.run()
    assert received(right) == [[b"kept", b"whole"]]
