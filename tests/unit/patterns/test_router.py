"""DEALER and ROUTER (RFC 28): peers by name."""

from __future__ import annotations

import errno
from typing import Any

import pytest

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


def cannot_reach(router: Any, item: Any) -> bool:
    try:
        router.send(item)
    except SocketError as error:
        return error.errno == errno.EHOSTUNREACH
    return False


# -- names --------------------------------------------------------------------------------------


def test_a_peer_without_a_name_gets_one_of_a_zero_byte_and_four_more() -> None:
    router = socket("ROUTER")
    first, second = peer(router), peer(router)
    for pipe in (first, second):
        assert len(pipe.routing_id) == 5
        assert pipe.routing_id[0] == 0
    assert first.routing_id != second.routing_id
    assert first.routing_id[1:] != b"\0\0\0\0"  # where they begin is not to be guessed
    assert peer(socket("ROUTER", seed=2)).routing_id != peer(socket("ROUTER")).routing_id


def test_generated_names_go_round_and_pass_over_those_in_use() -> None:
    router = socket("ROUTER")
    first = peer(router)
    router._next_id = int.from_bytes(first.routing_id[1:]) - 1  # type: ignore[attr-defined]
    assert peer(router).routing_id != first.routing_id
    router._next_id = 0xFFFFFFFF  # type: ignore[attr-defined]
    assert peer(router).routing_id == b"\0\0\0\0\0"


def test_a_peer_is_called_as_it_calls_itself() -> None:
    router = socket("ROUTER")
    pipe = peer(router, identity=b"ann")
    router.deliver(pipe, [b"hello", [b"two", b"parts"], b""])
    assert received(router) == [[b"ann", b"hello"], [b"ann", b"two", b"parts"], [b"ann", b""]]
    router.send([b"ann", b"hi"])
    router.send([b"ann", b"", b"body"])
    assert take(router, pipe) == [b"hi", [b"", b"body"]]


def test_a_peer_cannot_call_itself_as_only_we_call_peers() -> None:
    router = socket("ROUTER", router_handover=True)
    honest = peer(router)
    thief = peer(router, identity=honest.routing_id)
    assert thief.routing_id != honest.routing_id
    router.send([honest.routing_id, b"secret"])
    assert (sent(honest), sent(thief)) == ([b"secret"], [])


def test_the_program_may_name_the_peer_of_its_next_connect() -> None:
    router = socket("ROUTER", connect_routing_id=b"boss")
    pipe = new_pipe(router, connecting=True)
    router.attach(pipe)
    assert router.options.connect_routing_id == b""
    assert router.peers() == [pipe]
    assert router.send([b"boss", b"before the connection"])
    pipe.identity = b"what it says"
    pipe.ready = True
    router.ready(pipe)
    router.deliver(pipe, [b"x"])
    assert received(router) == [[b"boss", b"x"]]
    assert take(router, pipe) == [b"before the connection"]


def test_such_a_name_is_for_a_connect_and_for_nobody_who_comes() -> None:
    router = socket("ROUTER", connect_routing_id=b"boss")
    assert peer(router).routing_id != b"boss"
    assert router.options.connect_routing_id == b"boss"


def test_such_a_name_must_be_new() -> None:
    router = socket("ROUTER")
    peer(router, identity=b"ann")
    router.options.connect_routing_id = b"ann"
    with pytest.raises(SocketError) as caught:
        router.attach(new_pipe(router, connecting=True))
    assert caught.value.errno == errno.EINVAL
    assert len(router.peers()) == 1


def test_where_the_pipe_comes_with_the_connection_a_name_that_is_taken_is_passed_over() -> None:
    # With IMMEDIATE there is no program to be told.
    router = socket("ROUTER", immediate=True)
    peer(router, identity=b"ann")
    router.options.connect_routing_id = b"ann"
    pipe = new_pipe(router, connecting=True, ready=True)
    router.attach(pipe)
    router.ready(pipe)
    assert pipe.routing_id != b"ann"
    assert router.refused == []


def test_a_second_peer_of_the_same_name_is_refused_and_not_heard() -> None:
    router = socket("ROUTER")
    first = peer(router, identity=b"ann")
    second = peer(router, identity=b"ann")
    assert router.refused == [second]
    router.deliver(second, [b"I am Ann"])
    assert not router.can_receive()
    assert second.dropped == {"unwanted": 1}
    router.send([b"ann", b"x"])
    assert (sent(first), sent(second)) == ([b"x"], [])
    router.detach(second)
    assert router.send([b"ann", b"y"])
    assert sent(first) == [b"x", b"y"]


def test_a_refused_connect_gets_its_name_when_it_comes_again_and_the_name_is_free() -> None:
    router = socket("ROUTER", router_mandatory=True)
    first = peer(router, identity=b"ann")
    second = peer(router, connecting=True, identity=b"ann")
    assert router.refused == [second]
    router.refused.clear()
    router.detach(first)
    router.ready(second)
    assert router.refused == []
    assert second in router.peers()
    assert router.send([b"ann", b"x"])
    assert sent(second) == [b"x"]


def test_with_handover_the_newer_peer_has_the_name() -> None:
    router = socket("ROUTER", router_handover=True, router_notify=2)
    first = peer(router, identity=b"ann")
    router.deliver(first, [b"before"])
    second = peer(router, identity=b"ann")
    assert router.refused == [first]
    router.send([b"ann", b"x"])
    assert (sent(first), sent(second)) == ([], [b"x"])
    router.deliver(first, [b"after"])
    router.deliver(second, [b"hello"])
    messages = received(router)
    assert messages[0] == [b"ann", b"before"]
    assert [b"ann", b"hello"] in messages
    late = next(message for message in messages if message[1] == b"after")
    assert late[0] != b"ann"
    router.detach(first)
    assert not router.can_receive()
    assert router.send([b"ann", b"y"])
    assert sent(second) == [b"x", b"y"]


@pytest.mark.parametrize("immediate", [False, True])
def test_a_peer_that_comes_again_has_the_name_that_it_had(immediate: bool) -> None:
    net = Net()
    router = socket("ROUTER", immediate=immediate, router_mandatory=True)
    dealer = socket("DEALER")
    wire = net.join(router, dealer)
    name = wire.near.routing_id
    assert name
    wire.cut()
    assert cannot_reach(router, [name, b"x"]) == immediate
    wire.open()
    assert wire.near.routing_id == name
    assert router.send([name, b"y"])
    net.run()
    assert received(dealer) == ([b"y"] if immediate else [b"x", b"y"])


# -- sending ------------------------------------------------------------------------------------


def test_a_message_for_nobody_is_dropped_and_counted() -> None:
    router = socket("ROUTER")
    pipe = peer(router)
    assert router.can_send()
    assert router.send([b"nobody", b"x"])
    router.detach(pipe)
    assert router.send([pipe.routing_id, b"x"])
    assert router.dropped == {"unroutable": 2}


def test_with_mandatory_a_message_for_nobody_is_an_error() -> None:
    router = socket("ROUTER", router_mandatory=True)
    assert not router.can_send()
    pipe = peer(router)
    assert cannot_reach(router, [b"nobody", b"x"])
    assert router.can_send()
    router.detach(pipe)
    assert cannot_reach(router, [pipe.routing_id, b"x"])
    assert router.dropped == {}


def test_a_message_for_a_full_peer_is_dropped_or_with_mandatory_waits() -> None:
    for mandatory in (False, True):
        router = socket("ROUTER", send_mark=1, router_mandatory=mandatory)
        pipe = peer(router)
        assert router.send([pipe.routing_id, b"1"])
        assert router.send([pipe.routing_id, b"2"]) is not mandatory
        assert pipe.dropped == ({} if mandatory else {"full": 1})
        assert router.can_send() is not mandatory
        assert not pipe.active
        assert take(router, pipe) == [b"1"]
        assert pipe.active
        assert router.send([pipe.routing_id, b"3"])


@pytest.mark.parametrize("mandatory", [False, True])
def test_a_name_and_nothing_for_it_is_dropped(mandatory: bool) -> None:
    router = socket("ROUTER", router_mandatory=mandatory)
    assert router.send(b"name")
    assert router.dropped == {"malformed": 1}


def test_a_name_may_be_any_buffer() -> None:
    router = socket("ROUTER")
    pipe = peer(router, identity=b"ann")
    router.send([memoryview(b"ann"), b"x"])
    router.send([bytearray(b"ann"), b"y"])
    assert sent(pipe) == [b"x", b"y"]


def test_what_waits_for_a_peer_that_leaves_is_lost_and_counted() -> None:
    router = socket("ROUTER")
    pipe = peer(router)
    router.send([pipe.routing_id, b"x", b"y"])
    router.detach(pipe)
    assert router.dropped == {"peer-gone": 1}


# -- who comes and goes -------------------------------------------------------------------------


@pytest.mark.parametrize("notify", [0, 1, 2, 3])
def test_notify_says_who_came_and_who_went(notify: int) -> None:
    router = socket("ROUTER", router_notify=notify)
    pipe = peer(router, identity=b"ann")
    router.deliver(pipe, [b"x"])
    router.detach(pipe)
    came = [[b"ann", b""]] if notify & 1 else []
    went = [[b"ann", b""]] if notify & 2 else []
    assert received(router) == [*came, [b"ann", b"x"], *went]
    router.detach(pipe)
    assert not router.can_receive()


def test_a_connection_that_broke_is_told_once_and_so_is_the_next_one() -> None:
    router = socket("ROUTER", router_notify=3)
    pipe = peer(router, connecting=True, identity=b"ann")
    router.lost(pipe)
    router.lost(pipe)
    assert received(router) == [[b"ann", b""], [b"ann", b""]]
    router.ready(pipe)
    assert received(router) == [[b"ann", b""]]
    router.lost(pipe)
    router.detach(pipe)
    assert received(router) == [[b"ann", b""]]


def test_the_message_of_a_disconnect_comes_under_the_name_of_the_peer() -> None:
    router = socket("ROUTER", disconnect_message=b"bye", router_notify=2)
    pipe = peer(router, identity=b"ann")
    router.detach(pipe)
    assert received(router) == [[b"ann", b"bye"], [b"ann", b""]]


def test_a_raw_router_tells_who_came_and_went_as_libzmq_does() -> None:
    router = socket("ROUTER", router_raw=True)
    pipe = peer(router)
    router.deliver(pipe, [b"GET /"])
    router.detach(pipe)
    name = pipe.routing_id
    assert received(router) == [[name, b""], [name, b"GET /"], [name, b""]]


# -- DEALER -------------------------------------------------------------------------------------


def test_a_dealer_takes_and_gives_messages_as_they_are() -> None:
    dealer = socket("DEALER")
    pipe = peer(dealer)
    dealer.send([b"", b"x"])
    dealer.send(b"y")
    assert take(dealer, pipe) == [[b"", b"x"], b"y"]
    dealer.deliver(pipe, [b"a", [b"", b"b"]])
    assert received(dealer) == [b"a", [b"", b"b"]]


@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
def test_many_dealers_and_a_router_do_not_mix_anything_up(wires: type[Wire]) -> None:
    net = Net(wires)
    router = socket("ROUTER", receive_mark=2)
    dealers = [socket("DEALER", send_mark=3, routing_id=b"%d" % index) for index in range(4)]
    for dealer in dealers:
        net.join(dealer, router)
    answered = 0
    for round_ in range(5):
        for index, dealer in enumerate(dealers):
            assert dealer.send([b"%d" % index, b"%d" % round_])
        while True:
            net.run()
            if not router.can_receive():
                break
            name, index_, number = router.receive()
            assert name == index_
            assert router.send([name, number])
            answered += 1
        for dealer in dealers:
            assert received(dealer) == [b"%d" % round_]
    assert answered == 20
