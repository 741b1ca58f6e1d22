"""A server of type ANY: on one port it is whatever fits its peer."""

from __future__ import annotations

import pytest

from midge.zmtp import events as ev
from midge.zmtp import frames
from midge.zmtp.connection import READY
from midge.zmtp.greeting import OPENING
from midge.zmtp.settings import Settings
from midge.zmtp.sockets import ANY, COUNTERPARTS, NUMBERS_V2, PEERS
from tests.unit.zmtp.support import (
    MECHANISMS,
    NOW,
    connect,
    curve_settings,
    exchange,
    only,
    pair,
    plain_settings,
    received,
    taken,
)

UNSERVED = sorted(set(PEERS) - set(COUNTERPARTS))


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("kind", sorted(COUNTERPARTS))
def test_each_type_of_peer_finds_its_counterpart(mechanism: str, kind: str) -> None:
    if mechanism == "NULL":
        peer, server = connect(Settings(kind), 3), connect(Settings(ANY), 4)
    else:
        make = plain_settings if mechanism == "PLAIN" else curve_settings
        of_peer, of_server = make(kind, ANY)
        peer, server = connect(of_peer, 3), connect(of_server, 4)
    seen_by_peer, seen_by_server = exchange(peer, server)
    if mechanism == "PLAIN":
        only(seen_by_server, ev.ZapRequest)
        seen_by_server += server.zap_reply(200, NOW)
        theirs, ours = exchange(peer, server)
        seen_by_peer += theirs
        seen_by_server += ours
    assert only(seen_by_server, ev.Ready).socket_type == kind
    assert only(seen_by_peer, ev.Ready).socket_type == COUNTERPARTS[kind]
    assert server.socket_type == COUNTERPARTS[kind]
    assert kind in PEERS[server.socket_type]


@pytest.mark.parametrize("kind", UNSERVED)
def test_types_that_a_server_is_nothing_to_are_refused(kind: str) -> None:
    peer, server = connect(Settings(kind)), connect(Settings(ANY))
    _, seen = exchange(peer, server)
    assert kind in only(seen, ev.HandshakeFailed).text
    assert not [event for event in seen if isinstance(event, ev.Ready)]


@pytest.mark.parametrize("kind", sorted(set(COUNTERPARTS) & set(NUMBERS_V2)))
def test_peers_of_2_0_find_it_as_well(kind: str) -> None:
    server = connect(Settings(ANY))
    taken(server)
    greeting = OPENING[:10] + bytes((1, NUMBERS_V2.index(kind))) + frames.encode_frame(0, b"")
    seen = server.receive_data(greeting, NOW)
    assert only(seen, ev.Ready).socket_type == kind
    assert taken(server)[:1] == bytes((NUMBERS_V2.index(COUNTERPARTS[kind]),))


def test_a_2_0_peer_that_is_nothing_here_is_refused() -> None:
    server = connect(Settings(ANY))
    greeting = OPENING[:10] + bytes((1, NUMBERS_V2.index("PAIR"))) + frames.encode_frame(0, b"")
    assert "PAIR" in only(server.receive_data(greeting, NOW), ev.HandshakeFailed).text


def test_subscriptions_reach_the_server_and_messages_the_peer() -> None:
    subscriber, server = pair("SUB", ANY)
    subscriber.subscribe(b"a")
    _, seen = exchange(subscriber, server)
    assert only(seen, ev.Subscribe).prefix == b"a"
    server.send_multipart([b"a/b", b"x"])
    heard, _ = exchange(subscriber, server)
    assert received(heard) == [[b"a/b", b"x"]]


def test_one_connection_does_not_decide_for_the_next() -> None:
    settings = Settings(ANY)
    for kind in ("PUSH", "SUB", "REQ"):
        peer, server = connect(Settings(kind)), connect(settings)
        exchange(peer, server)
        assert (server.state, server.socket_type) == (READY, COUNTERPARTS[kind])
    assert settings.socket_type == ANY
