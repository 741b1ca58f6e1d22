"""Messages and commands after the handshake."""

from __future__ import annotations

import pytest

from midge.zmtp import events as ev
from midge.zmtp import frames
from midge.zmtp.connection import CLOSED, READY
from midge.zmtp.errors import NotReady
from midge.zmtp.settings import Settings
from tests.unit.zmtp.support import (
    MECHANISMS,
    NOW,
    connect,
    curve_settings,
    described,
    exchange,
    only,
    opened,
    pair,
    received,
    shaken,
    taken,
)


def test_subscriptions_are_commands_and_come_out_in_order_with_messages() -> None:
    subscriber, publisher = pair("XSUB", "XPUB")
    subscriber.send(b"one")
    subscriber.subscribe(b"a")
    subscriber.send(b"\x01b")  # the older form, which XSUB programs may send by hand
    subscriber.cancel(b"a")
    subscriber.send(b"\x02two")
    subscriber.send_multipart([b"\x01x", b"y"])
    wire = taken(subscriber)
    assert b"\x09SUBSCRIBEa" in wire
    assert b"\x06CANCELa" in wire
    assert described(publisher.receive_data(wire, NOW)) == [
        b"one",
        ("Subscribe", b"a"),
        ("Subscribe", b"b"),
        ("Cancel", b"a"),
        b"\x02two",
        [b"\x01x", b"y"],
    ]


def test_parts_that_are_too_large_together_close_an_encrypted_connection_too() -> None:
    client, server = map(connect, curve_settings("PUSH", "PULL", parts_bytes_max=1000))
    exchange(client, server)
    client.send_multipart([b"x" * 491, b"y" * 491])
    client.send(b"z" * 5000)
    assert len(received(server.receive_data(taken(client), NOW))) == 2
    client.send_multipart([b"x" * 491, b"y" * 492, b""])
    assert received(server.receive_data(taken(client), NOW)) == []
    assert server.state == CLOSED


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_subscriptions_and_groups_travel_with_every_mechanism(mechanism: str) -> None:
    subscriber, publisher = shaken(mechanism, "SUB", "PUB")
    subscriber.subscribe(b"weather")
    seen = publisher.receive_data(taken(subscriber), NOW)
    assert only(seen, ev.Subscribe).prefix == b"weather"
    dish, radio = shaken(mechanism, "DISH", "RADIO")
    dish.join(b"movies")
    dish.leave(b"tv")
    seen = radio.receive_data(taken(dish), NOW)
    assert only(seen, ev.Join).group == b"movies"
    assert only(seen, ev.Leave).group == b"tv"


def test_commands_that_are_not_for_us_are_ignored() -> None:
    puller = opened()
    wire = b"".join(
        frames.encode_frame(4, body)
        for body in (b"\x09SUBSCRIBEa", b"\x04JOINa", b"\x04PONG", b"\x03NEWdata")
    )
    assert puller.receive_data(wire, NOW) == []
    assert puller.state == READY


def test_a_command_between_the_parts_of_a_message_does_not_break_it() -> None:
    puller = opened()
    wire = b"\x01\x01a" + frames.encode_frame(4, b"\x04PING\x00\x00") + b"\x00\x01b"
    assert received(puller.receive_data(wire, NOW)) == [[b"a", b"b"]]
    assert taken(puller) == b"\x04\x05\x04PONG"


def test_many_messages_are_sent_as_one_by_one() -> None:
    for bodies in ([], [b"a", b"b"], [b"a", b"bcd" * 200], [b"x" * 9000, b"y"]):
        pusher, puller = pair("PUSH", "PULL")
        pusher.send_many(bodies)
        assert received(puller.receive_data(taken(pusher), NOW)) == bodies
    pusher, puller = shaken("CURVE", "PUSH", "PULL")
    pusher.send_many([b"a", b"b"])
    assert received(puller.receive_data(taken(pusher), NOW)) == [b"a", b"b"]


def test_encoded_messages_are_for_connections_in_clear_text() -> None:
    pusher, puller = pair("PUSH", "PULL")
    pusher.send_encoded(frames.encode_message([b"a", b"b"]))
    assert received(puller.receive_data(taken(pusher), NOW)) == [[b"a", b"b"]]
    secret, _ = shaken("CURVE", "PUSH", "PULL")
    with pytest.raises(NotReady):
        secret.send_encoded(b"\x00\x00")


def test_a_large_body_leaves_as_the_object_that_it_is() -> None:
    pusher, _ = pair("PUSH", "PULL")
    body = b"x" * 100_000
    pusher.send(body)
    assert any(chunk is body for chunk in pusher.data_to_send())


def test_nothing_can_be_sent_before_the_handshake_or_after_the_end() -> None:
    connection = connect(Settings("SUB"))
    closed = pair("SUB", "PUB")[0]
    closed.close()
    for one in (connection, closed):
        for verb in (one.send, one.subscribe, one.cancel, one.ping, one.send_encoded):
            with pytest.raises(NotReady):
                verb(b"x")
        with pytest.raises(NotReady):
            one.send_multipart([b"x"])


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("limit", [0, 10, 300])
def test_a_message_larger_than_allowed_closes_and_one_as_large_does_not(
    mechanism: str, limit: int
) -> None:
    pusher, puller = shaken(mechanism, "PUSH", "PULL")
    one, two = pusher.settings, puller.settings
    two.message_bytes_max = limit
    pusher, puller = connect(one, 3), connect(two, 4)
    exchange(pusher, puller)
    puller.zap_reply(200, NOW)
    exchange(pusher, puller)
    pusher.send(b"x" * limit)
    assert received(puller.receive_data(taken(pusher), NOW)) == [b"x" * limit]
    pusher.send(b"x" * (limit + 1))
    only(puller.receive_data(taken(pusher), NOW), ev.Closed)


def test_what_stood_in_front_of_a_fault_is_delivered_once() -> None:
    for wire in (b"\x00\x01a\xff\x00", b"\x00\x01a\x04\x06\x05READY", b"\x00\x01a\x04\x01\x00"):
        seen = opened().receive_data(wire, NOW)
        assert received(seen) == [b"a"]
        assert isinstance(seen[-1], ev.Closed)


def test_the_end_of_the_stream_is_told_once() -> None:
    puller = opened()
    assert only(puller.receive_eof(NOW), ev.Closed).code == 0
    assert puller.receive_eof(NOW) == []


def test_names_that_are_too_long_are_refused_on_either_side() -> None:
    dish, radio = pair("DISH", "RADIO")
    with pytest.raises(ValueError):
        dish.join(b"x" * 256)
    with pytest.raises(ValueError):
        dish.ping(b"x" * 17)
    long_join = frames.encode_frame(4, b"\x04JOIN" + b"x" * 256)
    only(radio.receive_data(long_join, NOW), ev.Closed)
