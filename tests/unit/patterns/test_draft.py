"""CLIENT and SERVER (RFC 41), RADIO and DISH (RFC 48), PEER (RFC 52)."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from midge.patterns import prefixes
from midge.patterns.errors import SocketError
from midge.patterns.pipe import JOIN, LEAVE, Encoded
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

SERVERS = pytest.mark.parametrize("type_name", ["SERVER", "PEER"])


def fails_with(one: Any, item: Any) -> int:
    with pytest.raises(SocketError) as caught:
        one.send(item)
    return caught.value.errno


# -- SERVER and PEER ---------------------------------------------------------------------------


@SERVERS
def test_a_peer_is_a_number_that_is_not_0_and_that_it_cannot_choose(type_name: str) -> None:
    server = socket(type_name)
    pipes = [peer(server, identity=b"1234") for _ in range(3)]
    names = {pipe.routing_id for pipe in pipes}
    assert len(names) == 3
    assert all(len(name) == 4 for name in names)
    server._next_id = 0xFFFFFFFF  # type: ignore[attr-defined]
    assert peer(server).routing_id == b"\0\0\0\1"
    server._next_id = 0  # type: ignore[attr-defined]
    assert peer(server).routing_id == b"\0\0\0\2"


@SERVERS
def test_messages_come_with_the_number_and_go_to_it(type_name: str) -> None:
    server = socket(type_name)
    first, second = peer(server), peer(server)
    server.deliver(first, [b"1", [b"not", b"this"], b"2"])
    server.deliver(second, [b"3"])
    assert received(server) == [
        [first.routing_id, b"1"],
        [second.routing_id, b"3"],
        [first.routing_id, b"2"],
    ]
    assert first.dropped == {"malformed": 1}
    assert server.can_send()
    server.send([second.routing_id, b"answer"])
    assert (sent(first), sent(second)) == ([], [b"answer"])


@SERVERS
def test_a_message_for_nobody_is_an_error_and_for_a_full_peer_waits(type_name: str) -> None:
    server = socket(type_name, send_mark=1)
    pipe = peer(server)
    assert fails_with(server, [b"\xff\xff\xff\xff", b"x"]) == errno.EHOSTUNREACH
    assert server.send([pipe.routing_id, b"1"])
    assert server.send([pipe.routing_id, b"2"]) is False
    assert not pipe.active
    assert take(server, pipe) == [b"1"]
    assert server.send([pipe.routing_id, b"2"])
    server.detach(pipe)
    assert fails_with(server, [pipe.routing_id, b"3"]) == errno.EHOSTUNREACH
    assert server.dropped == {"peer-gone": 1}


@SERVERS
@pytest.mark.parametrize("item", [b"x", [b"1234", b"a", b"b"]])
def test_a_message_of_a_server_is_a_number_and_one_part(type_name: str, item: Any) -> None:
    assert fails_with(socket(type_name), item) == errno.EINVAL


def test_the_name_for_a_connect_of_a_router_means_nothing_to_a_peer() -> None:
    one = socket("PEER", connect_routing_id=b"boss")
    pipe = new_pipe(one, connecting=True)
    one.attach(pipe)
    assert len(pipe.routing_id) == 4
    assert one.send([pipe.routing_id, b"before the connection"])
    assert fails_with(one, [b"boss", b"x"]) == errno.EHOSTUNREACH


@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
def test_clients_and_a_server_talk(wires: type[Wire]) -> None:
    net = Net(wires)
    server, clients = socket("SERVER"), [socket("CLIENT") for _ in range(3)]
    for client in clients:
        net.join(client, server)
    for number, client in enumerate(clients):
        client.send(b"%d" % number)
    net.run()
    for name, body in received(server):
        server.send([name, body + body])
    net.run()
    assert [received(client) for client in clients] == [[b"00"], [b"11"], [b"22"]]


@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
def test_peers_talk_both_ways(wires: type[Wire]) -> None:
    net = Net(wires)
    left, right = socket("PEER"), socket("PEER", seed=2)
    wire = net.join(left, right)
    left.send([wire.near.routing_id, b"hello"])
    net.run()
    [[name, body]] = received(right)
    assert (name, body) == (wire.far.routing_id, b"hello")
    right.send([name, b"hi"])
    net.run()
    assert received(left) == [[wire.near.routing_id, b"hi"]]


# -- RADIO and DISH ----------------------------------------------------------------------------


def test_a_message_goes_to_those_who_joined_exactly_its_group() -> None:
    radio = socket("RADIO")
    news, both, none = peer(radio), peer(radio), peer(radio)
    radio.joined(news, b"news")
    for group in (b"news", b"", b"news"):
        radio.joined(both, group)
    for group in (b"news", b"new", b"newspaper", b""):
        assert radio.send([group, b"in " + group])
    assert sent(news) == [[b"news", b"in news"]]
    assert sent(both) == [[b"news", b"in news"], [b"", b"in "]]
    assert sent(none) == []
    assert radio.dropped == {"no-peer": 2}
    assert news.outgoing[0] is both.outgoing[0]
    assert type(news.outgoing[0]) is Encoded


def test_a_radio_never_waits() -> None:
    radio = socket("RADIO", send_mark=1)
    assert radio.can_send()
    assert radio.send([b"g", b"nobody"])
    slow, quick = peer(radio), peer(radio)
    for pipe in (slow, quick):
        radio.joined(pipe, b"g")
    radio.send([b"g", b"1"])
    take(radio, quick)
    radio.send([b"g", b"2"])
    assert (sent(slow), sent(quick)) == ([[b"g", b"1"]], [[b"g", b"2"]])
    assert slow.dropped == {"full": 1}
    assert not slow.active
    take(radio, slow)
    assert slow.active


def test_who_left_a_group_or_altogether_gets_nothing() -> None:
    radio = socket("RADIO")
    leaver, goner, back = peer(radio), peer(radio), peer(radio, connecting=True)
    for pipe in (leaver, goner, back):
        radio.joined(pipe, b"g")
    assert radio.subscriber_count() == radio.subscriber_count(b"g") == 3
    radio.left(leaver, b"g")
    radio.left(leaver, b"never joined")
    radio.detach(goner)
    radio.joined(goner, b"g")
    radio.lost(back)
    radio.send([b"g", b"x"])
    assert radio.dropped == {"no-peer": 1}
    assert radio.topics_count() == 0
    radio.ready(back)
    radio.joined(back, b"g")
    radio.send([b"g", b"y"])
    assert sent(back) == [[b"g", b"y"]]


def test_a_listener_to_datagrams_gets_everything() -> None:
    radio = socket("RADIO")
    pipe = peer(radio, connecting=True, socket_type="UDP")
    member = peer(radio)
    radio.joined(member, b"g")
    radio.send([b"g", b"1"])
    radio.send([b"h", b"2"])
    assert sent(pipe) == [[b"g", b"1"], [b"h", b"2"]]
    radio.detach(pipe)
    radio.send([b"h", b"3"])
    assert radio.dropped == {"peer-gone": 2, "no-peer": 1}


def test_a_group_has_at_most_255_bytes() -> None:
    radio, dish = socket("RADIO"), socket("DISH")
    long = b"g" * 256
    assert fails_with(radio, [long, b"x"]) == errno.EINVAL
    with pytest.raises(SocketError) as caught:
        dish.join(long)
    assert caught.value.errno == errno.EINVAL
    assert radio.send([long[1:], b"x"])
    dish.join(long[1:])


@pytest.mark.parametrize("item", [b"x", [b"a", b"b", b"c"]])
def test_a_message_of_a_radio_is_a_group_and_one_part(item: Any) -> None:
    assert fails_with(socket("RADIO"), item) == errno.EINVAL


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_groups_beyond_what_one_peer_may_join_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "ZMQ_PREFIXES_MAX", 1)
    radio = socket("RADIO")
    pipe = peer(radio)
    radio.joined(pipe, b"a")
    radio.joined(pipe, b"b")
    assert pipe.dropped == {"too-many": 1}
    assert radio.topics_count() == 1


def test_a_dish_joins_a_group_once_and_leaves_it_once() -> None:
    dish = socket("DISH")
    pipe = peer(dish)
    dish.join(b"g")
    with pytest.raises(SocketError):
        dish.join(b"g")
    assert dish.topics_count() == 1
    dish.leave(b"g")
    with pytest.raises(SocketError):
        dish.leave(b"g")
    assert take(dish, pipe) == [(JOIN, b"g"), (LEAVE, b"g")]


def test_after_a_reconnect_a_dish_joins_its_groups_of_then() -> None:
    dish = socket("DISH")
    pipe = new_pipe(dish, connecting=True)
    dish.attach(pipe)
    dish.join(b"a")
    assert sent(pipe) == []
    pipe.ready = True
    dish.ready(pipe)
    dish.join(b"b")
    dish.leave(b"a")
    dish.lost(pipe)
    dish.ready(pipe)
    assert take(dish, pipe) == [(JOIN, b"b")]


def test_a_dish_takes_only_what_it_joined() -> None:
    dish = socket("DISH")
    pipe = peer(dish)
    dish.join(b"g")
    dish.deliver(pipe, [[b"g", b"1"], [b"h", b"2"], b"3", [b"g", b"4", b"5"], [b"g", b""]])
    assert received(dish) == [[b"g", b"1"], [b"g", b""]]
    assert pipe.dropped == {"unwanted": 1, "malformed": 2}


@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
def test_a_dish_hears_what_is_sent_to_its_groups(wires: type[Wire]) -> None:
    net = Net(wires)
    radio, dishes = socket("RADIO"), [socket("DISH") for _ in range(2)]
    dishes[0].join(b"a")
    for dish in dishes:
        net.join(dish, radio)
    dishes[1].join(b"b")
    dishes[1].join(b"a")
    net.run()
    radio.send([b"a", b"1"])
    radio.send([b"b", b""])
    net.run()
    dishes[1].leave(b"a")
    net.run()
    radio.send([b"a", b"3"])
    net.run()
    assert received(dishes[0]) == [[b"a", b"1"], [b"a", b"3"]]
    assert received(dishes[1]) == [[b"a", b"1"], [b"b", b""]]
