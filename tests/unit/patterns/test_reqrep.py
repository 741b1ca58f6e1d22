"""REQ and REP (RFC 28): one request, its reply, and no other order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.patterns.errors import EFSM, SocketError
from midge.patterns.pattern import NOT_ASKED
from tests.unit.patterns.wire import Net, Wire, ZmtpWire, peer, received, sent, socket, take

bodies = st.one_of(st.binary(max_size=9), st.lists(st.binary(max_size=5), min_size=2, max_size=4))


def fails_in_this_state(call: Callable[[], Any]) -> None:
    with pytest.raises(SocketError) as caught:
        call()
    assert caught.value.errno == EFSM


# -- REQ ----------------------------------------------------------------------------------------


def test_a_request_begins_with_an_empty_part() -> None:
    req = socket("REQ")
    pipe = peer(req)
    req.send(b"what")
    assert take(req, pipe) == [[b"", b"what"]]


def test_req_must_send_before_it_receives_and_receive_before_it_sends_again() -> None:
    req = socket("REQ")
    pipe = peer(req)
    fails_in_this_state(req.receive)
    assert req.can_send()
    assert not req.can_receive()
    req.send(b"1")
    assert not req.can_send()
    fails_in_this_state(lambda: req.send(b"2"))
    fails_in_this_state(lambda: req.send_many([b"2"]))
    assert not req.can_receive()
    assert req.receive() is None
    req.deliver(pipe, [[b"", b"answer"]])
    assert req.can_receive()
    assert req.receive() == b"answer"
    fails_in_this_state(req.receive)
    assert req.send(b"2")
    assert take(req, pipe) == [[b"", b"1"], [b"", b"2"]]


def test_without_room_a_request_is_not_made() -> None:
    req = socket("REQ")
    assert req.send(b"1") is False
    fails_in_this_state(req.receive)
    pipe = peer(req)
    assert req.send(b"1")
    assert take(req, pipe) == [[b"", b"1"]]


def test_requests_go_to_each_peer_in_turn() -> None:
    req = socket("REQ")
    first, second = peer(req), peer(req)
    for asked in (first, second, first):
        req.send(b"what")
        assert take(req, asked) == [[b"", b"what"]]
        req.deliver(asked, [[b"", b"that"]])
        assert req.receive() == b"that"


def test_only_the_peer_that_was_asked_is_heard() -> None:
    req = socket("REQ")
    asked, other = peer(req), peer(req)
    req.deliver(asked, [[b"", b"too early"]])
    req.send(b"what")
    req.deliver(other, [[b"", b"not yours"]])
    assert req.receive() is None
    assert other.dropped == {"not-asked": 1}
    req.deliver(asked, [[b"", b"mine"], [b"", b"once more"]])
    assert req.receive() == b"mine"
    assert req.dropped == {"not-asked": 3}


@pytest.mark.parametrize(
    "wrong", [b"no envelope", [b"not empty", b"body"], [b""], [b"", b""][:1], b""]
)
def test_what_has_no_envelope_is_no_reply_and_the_next_one_is(wrong: Any) -> None:
    req = socket("REQ")
    pipe = peer(req)
    req.send(b"what")
    req.deliver(pipe, [wrong])
    assert req.receive() is None
    assert req.dropped == {"malformed": 1}
    req.deliver(pipe, [[b"", b"that", b"and more"]])
    assert req.receive() == [b"that", b"and more"]


def test_an_empty_reply_is_a_reply() -> None:
    req = socket("REQ")
    pipe = peer(req)
    req.send(b"")
    assert take(req, pipe) == [[b"", b""]]
    req.deliver(pipe, [[b"", b""]])
    assert req.receive() == b""


def test_a_batch_of_replies_is_one() -> None:
    req = socket("REQ")
    pipe = peer(req)
    req.send(b"what")
    assert req.receive_many(5) == []
    req.deliver(pipe, [[b"", b"that"]])
    assert req.receive_many(5) == [b"that"]
    assert req.receive_many(0) == []


@pytest.mark.parametrize("connecting", [False, True])
def test_when_the_peer_that_was_asked_is_gone_nobody_else_is_heard(connecting: bool) -> None:
    req = socket("REQ")
    asked, other = peer(req, connecting), peer(req)
    req.send(b"what")
    if connecting:
        req.lost(asked)
    else:
        req.detach(asked)
    req.deliver(other, [[b"", b"not yours"]])
    assert req.receive() is None
    fails_in_this_state(lambda: req.send(b"again"))


def test_a_relaxed_req_asks_the_next_peer_when_the_first_is_gone() -> None:
    req = socket("REQ", req_relaxed=True)
    asked, other = peer(req), peer(req)
    req.send(b"what")
    req.detach(asked)
    assert req.can_send()
    assert req.send(b"what")
    req.deliver(other, [[b"", b"that"]])
    assert req.receive() == b"that"


def test_a_reply_to_a_request_that_was_given_up_is_not_taken_for_the_next_one() -> None:
    req = socket("REQ", req_relaxed=True)
    first, second = peer(req), peer(req)
    req.send(b"1")
    req.deliver(first, [[b"", b"answer to 1"]])
    req.send(b"2")
    assert req.receive() is None
    req.deliver(first, [[b"", b"again"]])
    req.deliver(second, [[b"", b"answer to 2"]])
    assert req.receive() == b"answer to 2"
    assert req.dropped == {"not-asked": 2}


def test_that_is_so_although_the_peer_that_replied_has_left() -> None:
    req = socket("REQ", req_relaxed=True)
    first, second = peer(req), peer(req)
    req.send(b"1")
    req.deliver(first, [[b"", b"answer to 1"]])
    req.detach(first)
    req.send(b"2")
    assert req.receive() is None
    req.deliver(second, [[b"", b"answer to 2"]])
    assert req.receive() == b"answer to 2"


def test_with_correlate_requests_are_numbered_and_late_replies_are_known() -> None:
    req = socket("REQ", req_relaxed=True, req_correlate=True)
    pipe = peer(req)
    req.send(b"1")
    req.send([b"2", b"3"])
    first, second = take(req, pipe)
    assert first[1:] == [b"", b"1"]
    assert second[1:] == [b"", b"2", b"3"]
    assert len(first[0]) == len(second[0]) == 4
    assert int.from_bytes(second[0]) == int.from_bytes(first[0]) + 1
    req.deliver(
        pipe, [[first[0], b"", b"answer to 1"], [b"", b"of nobody"], b"", [second[0], b"x"]]
    )
    assert req.receive() is None
    assert req.dropped == {"not-asked": 1, "malformed": 3}
    req.deliver(pipe, [[second[0], b"", b"answer to 2"]])
    assert req.receive() == b"answer to 2"


def test_the_number_of_a_request_begins_anywhere_and_goes_round() -> None:
    req = socket("REQ", req_relaxed=True, req_correlate=True)
    pipe = peer(req)
    req._number = 0xFFFFFFFF  # type: ignore[attr-defined]
    req.send(b"x")
    assert take(req, pipe) == [[b"\0\0\0\0", b"", b"x"]]
    other = socket("REQ", seed=2, req_correlate=True)
    pipe = peer(other)
    other.send(b"x")
    assert take(other, pipe)[0][0] not in (b"\0\0\0\0", b"\0\0\0\1")


@pytest.mark.parametrize("type_name", ["REQ", "DEALER", "ROUTER"])
def test_probe_router_sends_an_empty_message_to_each_new_peer(type_name: str) -> None:
    one = socket(type_name, probe_router=True)
    pipe = peer(one, True)
    assert take(one, pipe) == [b""]
    one.lost(pipe)
    one.ready(pipe)
    assert take(one, pipe) == [b""]


# -- REP ----------------------------------------------------------------------------------------


def test_rep_must_receive_before_it_sends_and_send_before_it_receives_again() -> None:
    rep = socket("REP")
    pipe = peer(rep)
    fails_in_this_state(lambda: rep.send(b"x"))
    assert not rep.can_send()
    rep.deliver(pipe, [[b"", b"1"], [b"", b"2"]])
    assert rep.receive_many(0) == []
    assert rep.receive_many(1) == [b"1"]
    assert rep.can_send()
    assert not rep.can_receive()
    fails_in_this_state(rep.receive)
    assert rep.send(b"one")
    assert rep.receive() == b"2"
    assert rep.send([b"two", b"parts"])
    assert take(rep, pipe) == [[b"", b"one"], [b"", b"two", b"parts"]]
    assert rep.receive() is None


def test_the_envelope_is_kept_for_the_reply() -> None:
    rep = socket("REP")
    pipe = peer(rep)
    rep.deliver(pipe, [[b"far", b"near", b"", b"body", b"", b"more"]])
    assert rep.receive() == [b"body", b"", b"more"]
    rep.send(b"answer")
    assert take(rep, pipe) == [[b"far", b"near", b"", b"answer"]]


@pytest.mark.parametrize("wrong", [b"", b"body", [b"a", b"b"], [b"a", b""]])
def test_a_request_without_an_envelope_is_dropped_and_counted(wrong: Any) -> None:
    rep = socket("REP")
    pipe = peer(rep)
    rep.deliver(pipe, [wrong, [b"", b"good"]])
    assert rep.receive() == b"good"
    assert rep.dropped == pipe.dropped == {"malformed": 1}


def test_requests_are_taken_from_each_peer_in_turn_and_answered_where_they_came_from() -> None:
    rep = socket("REP")
    first, second = peer(rep), peer(rep)
    rep.deliver(first, [[b"", b"a1"], [b"", b"a2"]])
    rep.deliver(second, [[b"", b"b1"]])
    for body in (b"a1", b"b1", b"a2"):
        assert rep.receive() == body
        rep.send(body)
    assert sent(first) == [[b"", b"a1"], [b"", b"a2"]]
    assert sent(second) == [[b"", b"b1"]]


def test_a_reply_never_waits_for_a_peer_that_has_left_or_is_full() -> None:
    rep = socket("REP", send_mark=1)
    gone, full = peer(rep), peer(rep)
    rep.deliver(gone, [[b"", b"1"]])
    assert rep.receive() == b"1"
    rep.detach(gone)
    assert rep.can_send()
    assert rep.send(b"one")
    assert gone.dropped == {"peer-gone": 1}
    for body in (b"2", b"3"):
        rep.deliver(full, [[b"", body]])
        assert rep.receive() == body
        assert rep.send(body)
    assert sent(full) == [[b"", b"2"]]
    assert full.dropped == {"full": 1}


# -- both ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
@given(conversation=st.lists(st.tuples(bodies, bodies), max_size=6), correlate=st.booleans())
def test_a_conversation_is_what_was_said(
    wires: type[Wire], conversation: list[tuple[Any, Any]], correlate: bool
) -> None:
    net = Net(wires)
    req, rep = socket("REQ", req_correlate=correlate), socket("REP")
    net.join(req, rep)
    for question, answer in conversation:
        assert req.send(question)
        net.run()
        assert rep.receive() == question
        assert rep.send(answer)
        net.run()
        assert req.receive() == answer
    assert req.dropped == rep.dropped == {}


@pytest.mark.parametrize("wires", [Wire, ZmtpWire])
def test_requests_travel_through_routers_and_dealers_and_back(wires: type[Wire]) -> None:
    net = Net(wires)
    clients = [socket("REQ", seed) for seed in (3, 4)]
    workers = [socket("REP", seed) for seed in (5, 6)]
    front, back = socket("ROUTER"), socket("DEALER")
    for client in clients:
        net.join(client, front)
    for worker in workers:
        net.join(worker, back)
    for round_ in range(3):
        for index, client in enumerate(clients):
            assert client.send(b"%d from %d" % (round_, index))
        net.run()
        for request in received(front):
            assert back.send(request)
        net.run()
        for worker in workers:
            while worker.can_receive():
                worker.send([b"re", worker.receive()])
        net.run()
        for reply in received(back):
            assert front.send(reply)
        net.run()
        for index, client in enumerate(clients):
            assert client.receive() == [b"re", b"%d from %d" % (round_, index)]


# -- what is given back ---------------------------------------------------------------------------


def test_a_reply_that_is_given_back_is_the_next_and_the_only_one() -> None:
    req = socket("REQ")
    pipe = peer(req)
    req.send(b"1")
    req.deliver(pipe, [[b"", b"one"]])
    assert req.receive() == b"one"
    assert req.take_back(b"one")
    fails_in_this_state(lambda: req.send(b"2"))
    assert req.can_receive()
    assert req.receive() == b"one"
    # One that is given back when another request is on its way is not that one's reply.
    req.send(b"2")
    assert req.take_back(b"one")
    assert not req.can_receive()
    assert req.dropped == {NOT_ASKED: 1}


@pytest.mark.parametrize("body", [b"what", [b"what", b"else"]])
def test_a_request_that_is_given_back_keeps_its_way_home_and_its_place(body: Any) -> None:
    rep = socket("REP")
    pipe = peer(rep)
    whole = [b"home", b"", *body] if isinstance(body, list) else [b"home", b"", body]
    rep.deliver(pipe, [whole, [b"other", b"", b"next"]])
    assert rep.receive() == body
    assert rep.take_back(body)
    fails_in_this_state(lambda: rep.send(b"reply"))
    assert rep.receive() == body
    rep.send(b"reply")
    assert take(rep, pipe) == [[b"home", b"", b"reply"]]
    assert rep.take_back(body), "its reply has been sent"
    assert rep.receive() == b"next"
