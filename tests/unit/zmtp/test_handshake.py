"""Handshakes that succeed: every mechanism, any chunking, ZAP, and what READY tells."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.zmtp import commands, frames
from midge.zmtp import events as ev
from midge.zmtp.connection import CLOSED, READY
from midge.zmtp.errors import INVALID_METADATA, UNEXPECTED_COMMAND, UNSPECIFIED
from midge.zmtp.greeting import OPENING, rest_of_greeting
from midge.zmtp.settings import Settings
from midge.zmtp.sockets import PEERS, fits
from tests.unit.zmtp.support import (
    CLIENT_PUBLIC,
    MECHANISMS,
    NOW,
    connect,
    curve_settings,
    cut,
    exchange,
    messages,
    only,
    pair,
    plain_settings,
    received,
    send,
    shaken,
    taken,
)

# -- handshakes that succeed -------------------------------------------------------------------


@pytest.mark.parametrize("ours", PEERS)
@pytest.mark.parametrize("theirs", PEERS)
def test_the_handshake_succeeds_where_socket_types_fit_and_nowhere_else(
    ours: str, theirs: str
) -> None:
    left, right = connect(Settings(ours)), connect(Settings(theirs))
    seen_left, seen_right = exchange(left, right)
    if fits(ours, theirs):
        assert only(seen_left, ev.Ready).socket_type == theirs
        assert only(seen_right, ev.Ready).socket_type == ours
    else:
        for seen in (seen_left, seen_right):
            failed = only(seen, ev.HandshakeFailed)
            assert (failed.kind, failed.code) == (ev.PROTOCOL, INVALID_METADATA)


@given(
    st.sampled_from(MECHANISMS),
    st.lists(messages, max_size=12),
    st.lists(messages, max_size=12),
    st.lists(st.integers(0, 10_000), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_messages_arrive_in_order_both_ways_with_every_mechanism(
    mechanism: str,
    going: list[bytes | list[bytes]],
    coming: list[bytes | list[bytes]],
    places: list[int],
) -> None:
    client, server = shaken(mechanism, "PAIR", "PAIR")
    for one, other, batch in ((client, server, going), (server, client, coming)):
        for message in batch:
            send(one, message)
        seen: list[ev.Event] = []
        for chunk in cut(taken(one), places):
            seen += other.receive_data(chunk, NOW)
        assert received(seen) == batch


@given(st.sampled_from(MECHANISMS), st.integers(1, 70))
@settings(max_examples=40, deadline=None)
def test_the_handshake_succeeds_in_any_chunking(mechanism: str, step: int) -> None:
    make = {"NULL": None, "PLAIN": plain_settings, "CURVE": curve_settings}[mechanism]
    one, two = make("REQ", "ROUTER") if make else (Settings("REQ"), Settings("ROUTER"))
    client, server = connect(one, 3), connect(two, 4)
    for _ in range(10):
        for left, right in ((client, server), (server, client)):
            wire = taken(left)
            for at in range(0, len(wire), step):
                for event in right.receive_data(wire[at : at + step], NOW):
                    if isinstance(event, ev.ZapRequest):
                        right.zap_reply(200, NOW)
    assert client.state == server.state == READY


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
def test_ready_tells_identity_and_metadata(mechanism: str) -> None:
    options = {"identity": b"\x01me", "metadata": [("X-City", b"Hamburg")]}
    if mechanism == "NULL":
        one, two = Settings("DEALER", **options), Settings("ROUTER")  # type: ignore[arg-type]
    else:
        two, one = curve_settings("ROUTER", "DEALER", **options)
    left, right = connect(one, 3), connect(two, 4)
    _, seen = exchange(left, right)
    ready = only(seen, ev.Ready)
    assert (ready.socket_type, ready.identity) == ("DEALER", b"\x01me")
    assert ready.metadata == {
        "Socket-Type": b"DEALER",
        "Identity": b"\x01me",
        "X-City": b"Hamburg",
    }
    assert ready.version == (3, 1)


def test_an_identity_is_told_only_by_types_that_have_one() -> None:
    left, right = connect(Settings("PUSH", identity=b"me")), connect(Settings("PULL"))
    _, seen = exchange(left, right)
    assert only(seen, ev.Ready).metadata == {"Socket-Type": b"PUSH"}


def test_the_opening_waits_for_the_version_of_the_peer() -> None:
    connection = connect(Settings("PUSH"))
    assert taken(connection) == OPENING
    assert connection.receive_data(OPENING[:10], NOW) == []
    assert taken(connection) == b""
    connection.receive_data(OPENING[10:], NOW)
    assert taken(connection) == rest_of_greeting("NULL", False)


def test_a_higher_version_is_spoken_to_as_3_1() -> None:
    connection = connect(Settings("PULL"))
    greeting = OPENING[:10] + b"\x04\x07" + rest_of_greeting("NULL", False)[1:]
    connection.receive_data(greeting, NOW)
    assert (connection.version, connection.state) == ((3, 1), 1)


# -- ZAP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_zap_lets_a_peer_in_and_names_it(mechanism: str) -> None:
    credentials: list[bytes] = []
    if mechanism == "NULL":
        one, two = Settings("DEALER"), Settings("ROUTER", zap=True, zap_domain=b"house")
    elif mechanism == "PLAIN":
        one, two = plain_settings("DEALER", "ROUTER")
        credentials = [b"ann", b"secret"]
    else:
        one, two = curve_settings("DEALER", "ROUTER", zap=True, zap_domain=b"house")
        credentials = [CLIENT_PUBLIC]
    client, server = connect(one, 3), connect(two, 4)
    seen_client, seen_server = exchange(client, server)
    request = only(seen_server, ev.ZapRequest)
    assert (request.mechanism, request.credentials) == (mechanism, credentials)
    assert (request.domain, request.address) == (b"house", b"127.0.0.1")
    assert READY not in (client.state, server.state)
    seen_server = server.zap_reply(200, NOW, "ann", {"Team": b"blue"})
    more_client, more_server = exchange(client, server)
    ready = only(seen_server + more_server, ev.Ready)
    assert ready.user_id == "ann"
    assert ready.metadata["User-Id"] == b"ann"
    assert ready.metadata["Team"] == b"blue"
    only(seen_client + more_client, ev.Ready)
    client.send(b"hello")
    assert received(server.receive_data(taken(client), NOW)) == [b"hello"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(("status", "told"), [(400, True), (500, True), (300, False)])
def test_zap_refuses_a_peer_and_tells_it_why_unless_it_may_try_again(
    mechanism: str, status: int, told: bool
) -> None:
    if mechanism == "NULL":
        one, two = Settings("DEALER"), Settings("ROUTER", zap=True)
    elif mechanism == "PLAIN":
        one, two = plain_settings("DEALER", "ROUTER")
    else:
        one, two = curve_settings("DEALER", "ROUTER", zap=True)
    client, server = connect(one, 3), connect(two, 4)
    exchange(client, server)
    failed = only(server.zap_reply(status, NOW), ev.HandshakeFailed)
    assert (failed.kind, failed.code) == (ev.AUTH, status)
    assert server.state == CLOSED
    seen = client.receive_data(taken(server), NOW)
    if told:
        failed = only(seen, ev.HandshakeFailed)
        assert (failed.kind, failed.code) == (ev.AUTH, status)
    else:
        assert seen == []
        failed = only(client.receive_eof(NOW), ev.HandshakeFailed)
        assert (failed.kind, failed.code) == (ev.NO_DETAIL, errno.EPIPE)


def test_an_unknown_status_refuses() -> None:
    client, server = connect(Settings("PUSH")), connect(Settings("PULL", zap=True))
    exchange(client, server)
    assert only(server.zap_reply(201, NOW), ev.HandshakeFailed).code == 500


def test_a_second_answer_and_one_that_nobody_waits_for_are_ignored() -> None:
    client, server = pair("PUSH", "PULL", zap=False)
    assert server.zap_reply(400, NOW) == []
    assert client.state == server.state == READY


def test_nobody_gets_past_a_decision_that_is_pending() -> None:
    one, two = plain_settings("PUSH", "PULL")
    client, server = connect(one), connect(two)
    exchange(client, server)
    early = frames.encode_frame(frames.COMMAND, b"\x08INITIATE" + one.own_metadata)
    failed = only(server.receive_data(early, NOW), ev.HandshakeFailed)
    assert failed.code == UNEXPECTED_COMMAND


def test_the_plain_error_is_spelled_so_that_libzmq_reads_it() -> None:
    one, two = plain_settings("PUSH", "PULL")
    client, server = connect(one), connect(two)
    exchange(client, server)
    server.zap_reply(400, NOW)
    assert taken(server) == b"\x04\x09^RROR\x03400"


def test_the_right_spelling_of_error_is_understood_as_well() -> None:
    one, two = plain_settings("PUSH", "PULL")
    client, server = connect(one), connect(two)
    exchange(client, server)
    failed = only(client.receive_data(b"\x04\x0a\x05ERROR\x03400", NOW), ev.HandshakeFailed)
    assert (failed.kind, failed.code) == (ev.AUTH, 400)


def test_an_error_with_another_reason_is_told_in_words() -> None:
    connection = connect(Settings("PULL"))
    error = commands.encode_error(b"go away")
    wire = OPENING + rest_of_greeting("NULL", False) + frames.encode_frame(4, error)
    failed = only(connection.receive_data(wire, NOW), ev.HandshakeFailed)
    assert (failed.kind, failed.code) == (ev.PROTOCOL, UNSPECIFIED)
    assert "go away" in failed.text
