"""Handshake intervals, heartbeats and times to live, with a clock moved by hand."""

from __future__ import annotations

import errno

import pytest

from midge.zmtp import events as ev
from midge.zmtp import frames
from midge.zmtp.connection import READY
from midge.zmtp.greeting import OPENING
from midge.zmtp.settings import Settings
from tests.unit.zmtp.support import NOW, connect, exchange, only, opened, pair, taken


def test_a_silent_peer_is_cut_after_the_handshake_interval() -> None:
    connection = connect(Settings("PULL", handshake_s=5.0))
    connection.receive_data(OPENING, NOW + 4)
    assert connection.next_deadline() == NOW + 5
    assert connection.tick(NOW + 4.9) == []
    failed = only(connection.tick(NOW + 5), ev.HandshakeFailed)
    assert (failed.kind, failed.code) == (ev.NO_DETAIL, errno.ETIMEDOUT)
    assert connection.next_deadline() is None


def test_a_handshake_without_interval_may_take_for_ever() -> None:
    assert connect(Settings("PULL", handshake_s=0.0)).next_deadline() is None


def test_a_ready_connection_without_heartbeats_has_no_deadline() -> None:
    assert opened().next_deadline() is None


def test_a_ping_is_answered_with_its_context() -> None:
    left, right = pair("PUSH", "PULL")
    left.ping(b"context of 16 by")
    assert right.receive_data(taken(left), NOW) == []
    assert taken(right) == b"\x04\x15\x04PONGcontext of 16 by"


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00" + b"x" * 17])
def test_a_malformed_ping_closes(data: bytes) -> None:
    only(opened().receive_data(frames.encode_frame(4, b"\x04PING" + data), NOW), ev.Closed)


def test_a_flood_of_pings_is_not_answered_by_a_flood() -> None:
    puller = opened()
    ping = frames.encode_frame(4, b"\x04PING\x00\x00")
    puller.receive_data(ping * 1000, NOW)
    assert taken(puller).count(b"PONG") == 16
    puller.receive_data(ping, NOW)
    assert taken(puller).count(b"PONG") == 1


def test_a_heartbeat_keeps_a_living_peer_and_gives_up_on_a_dead_one() -> None:
    left, right = pair("PUSH", "PULL", heartbeat_s=1.0, heartbeat_timeout_s=3.0)
    assert left.next_deadline() == NOW + 1
    assert left.tick(NOW + 1) == []
    exchange(left, right, NOW + 1.5)
    assert left.state == READY
    assert left.next_deadline() == NOW + 2.5  # heard at 1.5: the next one counts from there
    for second in (2.5, 3.5, 4.5):
        assert left.tick(NOW + second) == []
    only(left.tick(NOW + 5.5), ev.Closed)


def test_traffic_of_any_kind_is_a_sign_of_life() -> None:
    left, right = pair("PULL", "PUSH", heartbeat_s=1.0)
    left.tick(NOW + 1)
    right.send(b"x")
    left.receive_data(taken(right), NOW + 1.9)
    assert left.tick(NOW + 2.5) == []
    assert left.state == READY


def test_a_time_to_live_is_sent_and_makes_every_ping_due() -> None:
    left, right = pair("PULL", "PUSH", heartbeat_s=1.0, heartbeat_ttl_s=2.5)
    right.send(b"x")
    left.receive_data(taken(right), NOW + 0.9)
    assert left.next_deadline() == NOW + 1
    left.tick(NOW + 1)
    assert taken(left) == b"\x04\x07\x04PING\x00\x19"


def test_silence_beyond_the_time_to_live_of_a_ping_closes_and_traffic_prevents_it() -> None:
    ping = frames.encode_frame(4, b"\x04PING\x00\x0a")
    puller = opened()
    puller.receive_data(ping, NOW)
    assert puller.next_deadline() == NOW + 1
    only(puller.tick(NOW + 1), ev.Closed)
    puller = opened()
    puller.receive_data(ping, NOW)
    puller.receive_data(b"\x00\x00", NOW + 0.5)
    assert puller.next_deadline() is None
