"""Two connections in memory: every mechanism, any chunking, and peers that do it wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.zmtp import events as ev
from midge.zmtp.connection import CLOSED, READY, Connection
from midge.zmtp.settings import Settings
from tests.unit.zmtp.support import (
    CLIENT_PUBLIC,
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
    taken,
)


def send(connection: Connection, message: bytes | list[bytes]) -> None:
    if isinstance(message, bytes):
        connection.send(message)
    else:
        connection.send_multipart(message)


def secured(kind: str) -> tuple[Connection, Connection]:
    """A client and a server that have shaken hands, the server's ZAP having said yes."""
    if kind == "NULL":
        return pair("PUSH", "PULL")
    settings = plain_settings("PUSH", "PULL") if kind == "PLAIN" else curve_settings("PUSH", "PULL")
    left, right = connect(settings[0], 3), connect(settings[1], 4)
    _, seen = exchange(left, right)
    if kind == "PLAIN":
        request = only(seen, ev.ZapRequest)
        assert request.credentials == [b"ann", b"secret"]
        assert request.domain == b"house"
        right.zap_reply(200, NOW, user_id="ann")
        exchange(left, right)
    return left, right


@pytest.mark.parametrize("kind", ["NULL", "PLAIN", "CURVE"])
def test_each_mechanism_comes_to_be_ready(kind: str) -> None:
    left, right = secured(kind)
    assert (left.state, right.state) == (READY, READY)
    assert left.version == right.version == (3, 1)
    assert left.plain == (kind != "CURVE")


@pytest.mark.parametrize("kind", ["NULL", "PLAIN", "CURVE"])
@given(st.lists(messages, max_size=8), st.lists(st.integers(0, 5000), max_size=6))
def test_messages_arrive_as_they_were_sent_in_any_chunking(
    kind: str, sent: list[bytes | list[bytes]], places: list[int]
) -> None:
    left, right = secured(kind)
    for message in sent:
        send(left, message)
    got: list[bytes | list[bytes]] = []
    for chunk in cut(taken(left), places):
        got += received(right.receive_data(chunk, NOW))
    assert got == sent


@given(st.lists(st.integers(0, 400), max_size=12))
def test_a_handshake_may_come_in_any_chunking(places: list[int]) -> None:
    left, right = connect(Settings("DEALER", identity=b"me")), connect(Settings("ROUTER"))
    events: list[ev.Event] = []
    for _ in range(6):
        for chunk in cut(taken(left), places):
            events += right.receive_data(chunk, NOW)
        for chunk in cut(taken(right), places):
            left.receive_data(chunk, NOW)
    ready = only(events, ev.Ready)
    assert ready.identity == b"me"
    assert ready.socket_type == "DEALER"


def test_curve_hides_what_is_sent() -> None:
    left, right = secured("CURVE")
    left.send(b"a secret that is long enough to be recognised")
    data = taken(left)
    assert b"secret" not in data
    assert received(right.receive_data(data, NOW)) == [
        b"a secret that is long enough to be recognised"
    ]


def test_a_frame_of_curve_that_was_changed_on_the_way_ends_the_connection() -> None:
    left, right = secured("CURVE")
    left.send(b"x" * 50)
    data = bytearray(taken(left))
    data[-1] ^= 1
    events = right.receive_data(bytes(data), NOW)
    assert not received(events)
    only(events, ev.Closed)


def test_a_client_that_knows_another_server_is_refused() -> None:
    client, server = curve_settings("PUSH", "PULL")
    client.curve_server = CLIENT_PUBLIC
    left, right = connect(client, 3), connect(server, 4)
    seen = exchange(left, right)
    assert any(isinstance(event, ev.HandshakeFailed) for event in seen[1])
    assert right.state == CLOSED


@pytest.mark.parametrize("status", [300, 400, 500])
def test_who_is_not_let_in_is_told_and_the_connection_ends(status: int) -> None:
    settings = plain_settings("PUSH", "PULL")
    left, right = connect(settings[0], 3), connect(settings[1], 4)
    exchange(left, right)
    failed = only(right.zap_reply(status, NOW), ev.HandshakeFailed)
    assert (failed.kind, failed.code) == (ev.AUTH, status)
    seen, _ = exchange(left, right)
    if status != 300:  # a temporary error is not told: the client may try again
        only(seen, ev.HandshakeFailed)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Settings("PUSH"), Settings("PUSH")),
        (Settings("PUB"), Settings("PULL")),
        (Settings("REQ"), Settings("PUB")),
        (Settings("PUSH"), plain_settings("PUSH", "PULL")[1]),
        (plain_settings("PUSH", "PULL")[0], plain_settings("PULL", "PUSH")[0]),
        (curve_settings("PUSH", "PULL")[0], Settings("PULL")),
    ],
    ids=["same type", "pub and pull", "req and pub", "mechanisms", "two clients", "curve and null"],
)
def test_those_who_do_not_fit_part_with_a_reason(ours: Settings, theirs: Settings) -> None:
    left, right = connect(ours, 3), connect(theirs, 4)
    seen = exchange(left, right)
    assert CLOSED in (left.state, right.state)
    failed = [event for side in seen for event in side if isinstance(event, ev.HandshakeFailed)]
    assert failed
    assert all(event.text for event in failed)


def test_subscriptions_are_events_of_the_publisher() -> None:
    left, right = pair("SUB", "PUB")
    left.subscribe(b"a")
    left.cancel(b"a")
    events = right.receive_data(taken(left), NOW)
    assert only(events, ev.Subscribe).prefix == b"a"
    assert only(events, ev.Cancel).prefix == b"a"


def test_a_part_that_is_too_large_is_refused_at_its_header() -> None:
    left, right = connect(Settings("PUSH")), connect(Settings("PULL", message_bytes_max=100))
    exchange(left, right)
    left.send(b"x" * 101)
    events = right.receive_data(taken(left)[:12], NOW)
    only(events, ev.Closed)


def test_a_peer_that_falls_silent_is_given_up() -> None:
    settings = Settings("PUSH", heartbeat_s=1.0, heartbeat_timeout_s=2.0)
    left, right = connect(settings), connect(Settings("PULL"))
    exchange(left, right)
    left.tick(NOW + 1.0)
    exchange(left, right, NOW + 1.1)
    assert left.state == READY
    left.tick(NOW + 2.2)
    taken(left)  # lost on the way
    deadline = left.next_deadline()
    assert deadline is not None
    only(left.tick(NOW + 10.0), ev.Closed)


def test_a_handshake_has_a_time_limit() -> None:
    left = connect(Settings("PUSH", handshake_s=5.0))
    assert left.next_deadline() == NOW + 5.0
    assert not left.tick(NOW + 4.9)
    only(left.tick(NOW + 5.0), ev.HandshakeFailed)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x00" * 64, b"\x01\x00", b"\xff" * 80],
    ids=["http", "tls", "zeros", "zmtp 1", "ones"],
)
def test_what_is_no_zmtp_is_dropped(garbage: bytes) -> None:
    connection = connect(Settings("PULL"))
    events = connection.receive_data(garbage, NOW)
    events += connection.tick(NOW + 60)
    only(events, ev.HandshakeFailed)
    assert connection.state == CLOSED


@given(st.binary(max_size=300), st.booleans(), st.lists(st.integers(0, 300), max_size=4))
def test_no_bytes_of_a_peer_raise(data: bytes, greeted: bool, places: list[int]) -> None:
    connection = connect(Settings("PULL"))
    if greeted:
        other = connect(Settings("PUSH"))
        exchange(connection, other)
    for chunk in cut(data, places):
        events = connection.receive_data(chunk, NOW)
        if connection.state == CLOSED:
            assert not events or isinstance(events[-1], ev.Closed | ev.HandshakeFailed)
    connection.receive_eof(NOW)
    assert connection.state == CLOSED
