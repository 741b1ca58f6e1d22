"""PINGREQ and DISCONNECT, from both sides (5.0 sections 3.12 to 3.14)."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.decode import packet_length
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.conformance.support import (
    Bystander,
    assert_closed_with,
    come_back,
    frame,
    having,
    payloads,
    prop,
    raw_connect,
    raw_properties,
    raw_publish,
    raw_subscribe,
    string,
    two,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])


@pytest.mark.spec("MQTT-3.12.4-1", "3.1.1:MQTT-3.12.4-1")
@VERSIONS
def test_each_pingreq_is_answered_by_a_pingresp(version: int) -> None:
    client = World().connect("c", version=version)
    client.send(frame(0xC0, b""))
    assert client.raw() == b"\xd0\x00"
    client.send(frame(0xC0, b"") * 3)
    assert client.raw() == b"\xd0\x00" * 3


# -- from the client ------------------------------------------------------------------------------

FROM_CLIENT = {
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
}  # fmt: skip


@pytest.mark.spec("MQTT-3.14.2-1")
def test_a_client_s_disconnect_has_a_reason_code_for_clients() -> None:
    for reason in range(256):
        client = World().connect("c")
        client.send(frame(0xE0, bytes((reason,))))
        assert client.closed
        if reason in FROM_CLIENT:
            assert client.raw() == b"", f"0x{reason:02x}"
        else:
            [goodbye] = client.take()
            assert isinstance(goodbye, p.Disconnect), f"0x{reason:02x}"
            assert goodbye.reason in (Reason.PROTOCOL_ERROR, Reason.MALFORMED_PACKET)


@pytest.mark.spec("MQTT-3.14.1-1", "3.1.1:MQTT-3.14.1-1")
@VERSIONS
@pytest.mark.parametrize("flags", [1, 2, 4, 8, 15])
def test_a_disconnect_with_reserved_bits_is_malformed_and_does_not_take_the_will_away(
    version: int, flags: int
) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("w")
    client = world.connect("c", version=version, will=p.Will("w", b"gone"))
    client.send(bytes((0xE0 | flags, 0)))
    assert_closed_with(client, Reason.MALFORMED_PACKET)
    assert payloads(watcher) == [b"gone"]


@pytest.mark.spec("MQTT-3.14.4-1", "MQTT-3.14.4-2", "3.1.1:MQTT-3.14.4-2", "3.1.1:MQTT-3.14.4-1")
@VERSIONS
def test_after_a_client_s_disconnect_nothing_is_answered_or_acted_upon(version: int) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("#")
    client = world.connect("c", version=version)
    client.send(
        frame(0xE0, b""),
        raw_publish(version, b"t", 0x32, two(1), payload=b"x"),
        frame(0xC0, b""),
        raw_subscribe(version),
    )
    assert client.closed
    assert client.raw() == b""
    assert payloads(watcher) == []


WRONG_DISCONNECTS = {
    "session expiry twice": (b"\0" + raw_properties(5, prop(0x11, b"\0\0\0\0") * 2), {0x82}),
    "server reference": (b"\0" + raw_properties(5, prop(0x1C, string(b"x"))), {0x81, 0x82}),
    "property of PUBLISH": (b"\0" + raw_properties(5, prop(0x23, two(1))), {0x81, 0x82}),
    "properties cut short": (b"\0\5\x11\0\0", {0x81}),
    "bytes behind": (b"\0\0\0", {0x81}),
    "session expiry raised from 0": (
        b"\0" + raw_properties(5, prop(0x11, b"\0\0\0\1")),
        {0x82},
    ),
}


@pytest.mark.spec("MQTT-4.13.1-1")
@pytest.mark.parametrize("name", WRONG_DISCONNECTS)
def test_a_disconnect_of_a_wrong_form_is_answered_and_is_no_goodbye(name: str) -> None:
    body, reasons = WRONG_DISCONNECTS[name]
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("w")
    client = world.connect("c", will=p.Will("w", b"gone"))
    client.send(frame(0xE0, body))
    assert client.closed
    [goodbye] = client.take()
    assert isinstance(goodbye, p.Disconnect)
    assert goodbye.reason in reasons
    assert payloads(watcher) == [b"gone"]


# -- from the server ------------------------------------------------------------------------------


def taken_over(world: World, client: Peer) -> None:
    world.connect("c")


def shut_down(world: World, client: Peer) -> None:
    world.broker.shut_down(world.clock.now())
    world.settle()


def keep_alive(world: World, client: Peer) -> None:
    world.advance(16)


def protocol_error(world: World, client: Peer) -> None:
    client.send(raw_connect(client.version), frame(0xC0, b""))


def malformed(world: World, client: Peer) -> None:
    client.send(b"\x36\x03\0\1t", frame(0xC0, b""))


def window_exceeded(world: World, client: Peer) -> None:
    client.send(*[raw_publish(5, b"t", 0x34, two(index)) for index in range(1, 30)])


def too_large(world: World, client: Peer) -> None:
    client.send(b"\x30\xff\xff\xff\x7f")


ENDS = {
    taken_over: Reason.SESSION_TAKEN_OVER,
    shut_down: Reason.SERVER_SHUTTING_DOWN,
    keep_alive: Reason.KEEP_ALIVE_TIMEOUT,
    protocol_error: Reason.PROTOCOL_ERROR,
    malformed: Reason.MALFORMED_PACKET,
    window_exceeded: Reason.RECEIVE_MAXIMUM_EXCEEDED,
    too_large: Reason.PACKET_TOO_LARGE,
}


def ways(*without: object) -> pytest.MarkDecorator:
    """Every way in which the server ends a connection, but for some."""
    ends = [end for end in ENDS if end not in without]
    return pytest.mark.parametrize("end", ends, ids=[end.__name__ for end in ends])


@pytest.mark.spec("MQTT-3.14.2-1", "MQTT-3.14.2-2", "MQTT-3.14.4-1", "MQTT-3.14.4-2")
@pytest.mark.spec("MQTT-4.13.2-1")
@ways()
def test_the_server_s_disconnect_says_why_and_is_the_last_word(end: object) -> None:
    world = World()
    client = world.connect("c", keepalive_s=10, properties=having(session_expiry_interval=3600))
    client.subscribe("#")
    end(world, client)  # type: ignore[operator]
    assert client.closed
    packets = client.take()
    goodbye = packets.pop()
    assert isinstance(goodbye, p.Disconnect)
    assert goodbye.reason == ENDS[end]  # type: ignore[index]
    assert not any(isinstance(packet, p.Disconnect) for packet in packets)
    if goodbye.properties is not None:
        assert 0x11 not in goodbye.properties.values
    # Nothing follows, whatever happens.
    if end is not shut_down:
        world.connect("pub").publish("t", b"x")
    client.expect_nothing()


@pytest.mark.spec("MQTT-3.14.0-1", "3.1.1:MQTT-4.8.0-1")
@ways(window_exceeded)  # 3.1.1 has no Receive Maximum
def test_before_5_0_the_server_closes_without_a_word(end: object) -> None:
    world = World()
    client = world.connect("c", version=4, keepalive_s=10)
    end(world, client)  # type: ignore[operator]
    assert client.closed
    assert client.raw() == b""


def goodbye_size(data: bytes) -> int:
    """The length of the last packet, which must be a DISCONNECT; 0 where there is none."""
    pos = end = 0
    first = 0
    while end < len(data):
        pos = end
        first = data[pos]
        _, end = packet_length(data, pos)
    return end - pos if first >> 4 == p.DISCONNECT else 0


@pytest.mark.spec("MQTT-3.14.2-3", "MQTT-3.14.2-4", "MQTT-3.1.2-24")
@ways()
def test_a_disconnect_fits_the_client_s_maximum_packet_size(end: object) -> None:
    """Down to 3 bytes, where there is room for the code and nothing else; and to 2 and 1."""
    whole = 0
    for limit in [*range(40, 0, -1), 200]:
        world = World()
        # The CONNACK would not fit, so the limit becomes what it is after it.
        client = world.connect("c", keepalive_s=10)
        client.link.connection.peer_packet_bytes_max = limit
        end(world, client)  # type: ignore[operator]
        assert client.closed
        size = goodbye_size(client.raw())
        assert size <= limit
        if limit >= 3:
            assert size, "there was room for the reason"
        whole = max(whole, size)
    assert whole > 3, "no reason string was ever sent: this test would see nothing"


def test_shutting_down_keeps_sessions_and_tells_every_client() -> None:
    world = World()
    clients = [come_back(world, f"c{version}", version) for version in (4, 5)]
    peer = world.peer(5)  # connected, without a CONNECT
    world.broker.shut_down(world.clock.now())
    world.settle()
    for client in clients:
        assert_closed_with(client, Reason.SERVER_SHUTTING_DOWN)
    assert peer.raw() == b""


@pytest.mark.spec("MQTT-4.13.2-1", "MQTT-4.13.1-1")
@ways(shut_down)  # which is for everybody
def test_the_end_of_one_connection_touches_nobody_else(end: object) -> None:
    world = World()
    bystander = Bystander(world)
    client = world.connect("c", keepalive_s=10)
    end(world, client)  # type: ignore[operator]
    assert client.closed
    bystander.assert_untouched()
