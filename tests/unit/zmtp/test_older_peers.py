"""Peers that speak 2.0 and 3.0."""

from __future__ import annotations

import pytest

from midge.zmtp import events as ev
from midge.zmtp import frames
from midge.zmtp.greeting import OPENING, rest_of_greeting
from midge.zmtp.metadata import encode_metadata
from midge.zmtp.settings import Settings
from tests.unit.zmtp.support import (
    NOW,
    connect,
    curve_settings,
    only,
    plain_settings,
    received,
    taken,
)


def peer_v2(number: int, identity: bytes = b"") -> bytes:
    return OPENING[:10] + bytes((1, number)) + frames.encode_frame(0, identity)


def test_a_2_0_peer_is_spoken_to_in_its_own_way() -> None:
    connection = connect(Settings("ROUTER", identity=b"us"))
    assert taken(connection) == OPENING
    assert connection.receive_data(peer_v2(5)[:11], NOW) == []
    assert taken(connection) == b"\x06" + b"\x00\x02us"
    ready = only(connection.receive_data(peer_v2(5, b"them")[11:], NOW), ev.Ready)
    assert (ready.socket_type, ready.identity, ready.version) == ("DEALER", b"them", (2, 0))
    assert ready.metadata["Socket-Type"] == b"DEALER"
    connection.send_multipart([b"a", b"b"])
    assert taken(connection) == b"\x01\x01a\x00\x01b"
    assert received(connection.receive_data(b"\x00\x01c", NOW)) == [b"c"]


def test_a_2_0_publisher_and_subscriber_use_messages_for_subscriptions() -> None:
    subscriber = connect(Settings("SUB"))
    only(subscriber.receive_data(peer_v2(1), NOW), ev.Ready)
    taken(subscriber)
    subscriber.subscribe(b"a")
    subscriber.cancel(b"a")
    assert taken(subscriber) == b"\x00\x02\x01a\x00\x02\x00a"
    publisher = connect(Settings("PUB"))
    seen = publisher.receive_data(peer_v2(2) + b"\x00\x02\x01a\x00\x01\x00", NOW)
    assert only(seen, ev.Subscribe).prefix == b"a"
    assert only(seen, ev.Cancel).prefix == b""


@pytest.mark.parametrize(
    ("ours", "number"),
    [
        (Settings("PULL"), 7),
        (Settings("PULL"), 200),
        (Settings("PULL", zap=True), 8),
        (Settings("CLIENT"), 0),
        (plain_settings("PULL", "PULL")[0], 8),
        (curve_settings("PUSH", "PULL")[1], 8),
    ],
)
def test_a_2_0_peer_that_does_not_fit_or_would_get_around_security_is_refused(
    ours: Settings, number: int
) -> None:
    connection = connect(ours)
    failed = only(connection.receive_data(peer_v2(number), NOW), ev.HandshakeFailed)
    assert failed.kind == ev.PROTOCOL


@pytest.mark.parametrize("wire", [b"\x04\x05\x04PING", b"\x01\x01a\x04\x00"])
def test_a_2_0_peer_has_no_commands(wire: bytes) -> None:
    connection = connect(Settings("PULL"))
    seen = connection.receive_data(peer_v2(8) + wire, NOW)
    only(seen, ev.Ready)
    only(seen, ev.Closed)


def test_a_3_0_peer_gets_subscriptions_as_messages() -> None:
    connection = connect(Settings("SUB"))
    ready = b"\x05READY" + encode_metadata([("Socket-Type", b"PUB")])
    greeting = OPENING + b"\x00" + rest_of_greeting("NULL", False)[1:]
    seen = connection.receive_data(greeting + frames.encode_frame(4, ready), NOW)
    assert only(seen, ev.Ready).version == (3, 0)
    taken(connection)
    connection.subscribe(b"a")
    connection.cancel(b"b")
    assert taken(connection) == b"\x00\x02\x01a\x00\x02\x00b"
