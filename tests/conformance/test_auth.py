"""AUTH and extended authentication (5.0 sections 3.15 and 4.12)."""

from __future__ import annotations

import pytest

from midge.auth.extended import ALLOW, CONTINUE, DENY, Step
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.conformance.support import (
    FROM_SERVER,
    Bystander,
    assert_closed_with,
    frame,
    having,
    payloads,
    prop,
    raw_properties,
    raw_publish,
    raw_subscribe,
    raw_unsubscribe,
    string,
    two,
)

METHOD = "COUNT"


class Count:
    """A method for tests: the client counts down from 3, one AUTH a number."""

    def __init__(self) -> None:
        self.left = 3

    def step(self, data: bytes | None) -> Step:
        if data == b"bad":
            return Step(DENY, text="wrong number")
        self.left -= 1
        if self.left:
            return Step(CONTINUE, b"%d more" % self.left)
        return Step(ALLOW, b"welcome", "counted")


class CountMethod:
    def begin(self, client_id: str, username: str | None) -> Count:
        return Count()


def world_with_method() -> World:
    return World(extended={METHOD: CountMethod()})


def auth(reason: int, data: bytes = b"n", method: str = METHOD) -> p.Auth:
    return p.Auth(reason, having(authentication_method=method, authentication_data=data))


def begin(world: World, properties: Properties | None = None) -> Peer:
    """A client that has sent CONNECT with the method and owes the next AUTH."""
    peer = world.peer(5)
    if properties is None:
        properties = having(authentication_method=METHOD, authentication_data=b"n")
    peer.send(p.Connect("c", will=p.Will("will", b"gone"), properties=properties))
    return peer


def connected(world: World) -> Peer:
    """A client that has been through the whole exchange."""
    peer = begin(world)
    for _ in range(2):
        assert peer.expect(p.Auth).reason == Reason.CONTINUE_AUTHENTICATION
        peer.send(auth(0x18))
    assert peer.expect(p.Connack).reason == 0
    return peer


@pytest.mark.spec("MQTT-4.12.0-2", "MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.2.0-1")
@pytest.mark.spec("MQTT-3.15.2-1")
def test_an_exchange_names_its_method_in_every_packet_and_ends_in_connack() -> None:
    world = world_with_method()
    peer = begin(world)
    for number in (b"2 more", b"1 more"):
        [packet] = peer.take()
        assert packet == auth(0x18, number)
        peer.send(auth(0x18))
    connack = peer.expect(p.Connack)
    assert connack.reason == 0
    assert connack.properties is not None
    assert connack.properties.get_str(0x15) == METHOD
    assert connack.properties.get_bytes(0x16) == b"welcome"
    peer.expect_nothing()
    assert not peer.closed


@pytest.mark.spec("MQTT-4.12.0-1")
def test_a_client_with_an_unknown_method_is_refused_and_closed() -> None:
    peer = begin(world_with_method(), having(authentication_method="OTHER"))
    assert_closed_with(peer, Reason.BAD_AUTHENTICATION_METHOD)


@pytest.mark.spec("MQTT-4.12.0-4", "MQTT-4.13.2-1")
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_client_whose_authentication_fails_is_closed(at: int) -> None:
    world = world_with_method()
    bystander = Bystander(world)
    data = b"bad" if at == 0 else b"n"
    peer = begin(world, having(authentication_method=METHOD, authentication_data=data))
    for number in range(1, at + 1):
        peer.expect(p.Auth)
        peer.send(auth(0x18, b"bad" if number == at else b"n"))
    assert_closed_with(peer, Reason.NOT_AUTHORIZED)
    bystander.assert_untouched()


@pytest.mark.spec("MQTT-4.12.0-5", "MQTT-4.12.1-1")
@pytest.mark.parametrize("when", ["connecting", "connected"])
@pytest.mark.parametrize("method", ["OTHER", "count", ""])
def test_an_auth_with_another_method_is_refused(when: str, method: str) -> None:
    world = world_with_method()
    if when == "connecting":
        peer = begin(world)
        peer.expect(p.Auth)
        peer.send(auth(0x18, method=method))
    else:
        peer = connected(world)
        peer.send(auth(0x19, method=method))
    assert peer.closed
    [goodbye] = peer.take()
    assert isinstance(goodbye, p.Connack if when == "connecting" else p.Disconnect)
    assert goodbye.reason in (Reason.PROTOCOL_ERROR, Reason.BAD_AUTHENTICATION_METHOD)


@pytest.mark.spec("MQTT-4.12.0-5")
@pytest.mark.parametrize("body", [b"", b"\x18", b"\x18\0", b"\x18" + raw_properties(5, b"")])
def test_an_auth_without_its_method_is_refused(body: bytes) -> None:
    peer = begin(world_with_method())
    peer.expect(p.Auth)
    peer.send(frame(0xF0, body))
    assert peer.closed
    [goodbye] = peer.take()
    assert isinstance(goodbye, p.Connack)
    assert goodbye.reason in (Reason.PROTOCOL_ERROR, Reason.MALFORMED_PACKET)


@pytest.mark.spec("MQTT-4.12.0-6", "MQTT-4.12.0-7")
def test_without_a_method_no_auth_is_sent_and_none_is_taken() -> None:
    world = world_with_method()
    client = world.connect("c", username="u", password=b"p")
    assert client.connack is not None
    assert client.connack.properties is not None
    assert 0x15 not in client.connack.properties.values
    client.expect_nothing()
    client.send(auth(0x19))
    assert_closed_with(client, Reason.PROTOCOL_ERROR)


@pytest.mark.spec("MQTT-4.12.0-7")
def test_an_auth_from_a_3_1_1_client_is_closed() -> None:
    client = World().connect("c", version=4)
    client.send(frame(0xF0, b""))
    assert_closed_with(client, 0)


@pytest.mark.spec("MQTT-3.1.2-30", "MQTT-3.2.0-1", "MQTT-3.14.0-1")
@pytest.mark.parametrize(
    "packet",
    [
        raw_publish(5, b"watched", payload=b"x"),
        raw_publish(5, b"watched", 0x32, two(1), payload=b"x"),
        raw_subscribe(5),
        raw_unsubscribe(5),
        frame(0xC0, b""),
        frame(0x40, two(1)),
    ],
    ids=["PUBLISH 0", "PUBLISH 1", "SUBSCRIBE", "UNSUBSCRIBE", "PINGREQ", "PUBACK"],
)
def test_while_it_authenticates_a_client_sends_nothing_else(packet: bytes) -> None:
    world = world_with_method()
    watcher = world.connect("w")
    watcher.subscribe("#")
    peer = begin(world)
    peer.expect(p.Auth)
    peer.send(packet)
    assert peer.closed
    [goodbye] = peer.take()
    assert isinstance(goodbye, p.Connack), "a DISCONNECT before a CONNACK"
    assert goodbye.reason == Reason.PROTOCOL_ERROR
    assert payloads(watcher) == []


@pytest.mark.spec("MQTT-3.2.2-8", "MQTT-3.14.0-1", "MQTT-3.1.2-30")
@pytest.mark.parametrize(
    "packet",
    [
        raw_publish(5, properties=prop(0x23, two(0))),
        raw_publish(5, b"a/#"),
        raw_publish(5, properties=prop(0x01, b"\2")),
        raw_subscribe(5, b"a#"),
        b"\x30\xff\xff\xff\x7f",
        b"\xf0\x01\x77",
    ],
    ids=["topic alias 0", "bad topic", "bad format", "bad filter", "too large", "bad AUTH"],
)
def test_bad_input_before_connack_is_answered_by_a_connack_with_a_listed_code(
    packet: bytes,
) -> None:
    peer = begin(world_with_method())
    peer.expect(p.Auth)
    peer.send(packet)
    raw = peer.raw()
    assert peer.closed
    assert raw[0] == 0x20
    assert raw[2] == 0
    assert raw[3] in FROM_SERVER[p.Connack] - {0}


@pytest.mark.spec("MQTT-3.1.2-30", "MQTT-3.14.0-1")
def test_a_client_that_gives_up_its_authentication_is_closed_without_a_will() -> None:
    world = world_with_method()
    watcher = world.connect("w")
    watcher.subscribe("will")
    peer = begin(world)
    peer.expect(p.Auth)
    peer.disconnect()
    assert peer.closed
    assert peer.raw() == b""
    assert payloads(watcher) == []


@pytest.mark.spec("MQTT-3.1.4-3", "MQTT-4.12.0-4")
def test_a_client_takes_its_namesake_over_when_it_has_authenticated_and_not_before() -> None:
    world = world_with_method()
    old = world.connect("c")
    peer = begin(world)
    peer.expect(p.Auth)
    peer.send(auth(0x18))
    assert not old.closed
    other = begin(world)
    other.expect(p.Auth)
    other.send(auth(0x18, b"bad"))
    assert other.closed
    assert not old.closed
    peer.expect(p.Auth)
    peer.send(auth(0x18))
    assert_closed_with(old, Reason.SESSION_TAKEN_OVER)
    assert peer.expect(p.Connack).reason == 0


def test_an_authentication_that_comes_to_no_end_is_cut() -> None:
    world = World(extended={METHOD: CountMethod()}, connect_timeout_s=10)
    peer = begin(world)
    peer.expect(p.Auth)
    world.advance(9)
    assert not peer.closed
    world.advance(2)
    assert peer.closed


@pytest.mark.spec("MQTT-4.12.1-1", "MQTT-4.12.0-2", "MQTT-4.12.0-5", "MQTT-3.15.2-1")
def test_a_client_may_authenticate_again_and_goes_on_meanwhile() -> None:
    world = world_with_method()
    client = connected(world)
    for _ in range(2):
        client.send(auth(0x19))
        for number in (b"2 more", b"1 more"):
            assert client.expect(p.Auth) == auth(0x18, number)
            client.publish("t", b"x", 1)
            client.send(auth(0x18))
        assert client.expect(p.Auth) == auth(0x00, b"welcome")
    assert not client.closed


@pytest.mark.spec("MQTT-4.12.1-2")
@pytest.mark.parametrize("at", [0, 1])
def test_a_re_authentication_that_fails_ends_the_connection(at: int) -> None:
    world = world_with_method()
    client = connected(world)
    client.send(auth(0x19, b"n" if at else b"bad"))
    if at:
        client.expect(p.Auth)
        client.send(auth(0x18, b"bad"))
    assert_closed_with(client, Reason.NOT_AUTHORIZED)


@pytest.mark.spec("MQTT-3.15.2-1")
def test_a_client_s_auth_has_one_of_its_two_reason_codes_and_in_turn() -> None:
    for reason in range(256):
        client = connected(world_with_method())
        client.send(auth_frame(reason))
        assert client.closed == (reason != 0x19), f"0x{reason:02x}"
        peer = begin(world_with_method())
        peer.expect(p.Auth)
        peer.send(auth_frame(reason))
        assert peer.closed == (reason != 0x18), f"0x{reason:02x}"
        for end in (client, peer):
            if end.closed:
                goodbye = end.take()[-1]
                assert goodbye.reason in (Reason.PROTOCOL_ERROR, Reason.MALFORMED_PACKET)  # type: ignore[attr-defined]


def auth_frame(reason: int) -> bytes:
    data = prop(0x15, string(METHOD)) + prop(0x16, string(b"n"))
    return frame(0xF0, bytes((reason,)) + raw_properties(5, data))


@pytest.mark.spec("MQTT-3.15.1-1", "MQTT-2.1.3-1")
@pytest.mark.parametrize("flags", range(1, 16))
@pytest.mark.parametrize("when", ["connecting", "connected"])
def test_an_auth_with_reserved_bits_is_malformed(flags: int, when: str) -> None:
    world = world_with_method()
    if when == "connected":
        peer = connected(world)
    else:
        peer = begin(world)
        peer.expect(p.Auth)
    peer.send(bytes((0xF0 | flags,)) + auth_frame(0x19)[1:])
    assert_closed_with(peer, Reason.MALFORMED_PACKET)


@pytest.mark.spec("MQTT-3.15.2-2", "MQTT-3.15.2-3", "MQTT-3.1.2-24")
def test_no_auth_is_larger_than_the_client_takes() -> None:
    answered = False
    for limit in range(1, 60):
        world = world_with_method()
        properties = having(
            authentication_method=METHOD,
            authentication_data=b"n",
            maximum_packet_size=limit,
        )
        peer = begin(world, properties)
        raw = peer.raw()
        assert len(raw) <= limit
        answered = answered or raw[:1] == b"\xf0"
        if raw[:1] != b"\xf0":
            assert peer.closed
    assert answered


def test_data_without_a_method_is_a_protocol_error() -> None:
    """Section 3.1.2.11.10, where it has no number."""
    peer = World().peer(5)
    peer.send(p.Connect("c"))
    assert peer.expect(p.Connack).reason == 0
    world = world_with_method()
    client = connected(world)
    data = raw_properties(5, prop(0x16, string(b"n")))
    client.send(frame(0xF0, b"\x19" + data))
    assert client.closed
    [goodbye] = client.take()
    assert isinstance(goodbye, p.Disconnect)
    assert goodbye.reason in (Reason.PROTOCOL_ERROR, Reason.MALFORMED_PACKET)
