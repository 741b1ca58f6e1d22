"""Keep alive, and the time limit for CONNECT (5.0 section 3.1.2.10)."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.support import (
    Bystander,
    assert_closed_with,
    frame,
    payloads,
    raw_connect,
    raw_publish,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])


@pytest.mark.spec("MQTT-3.1.2-22", "MQTT-3.2.2-22", "3.1.1:MQTT-3.1.2-24")
@VERSIONS
@pytest.mark.parametrize("keepalive_s", [1, 10, 65535])
def test_silence_for_one_and_a_half_keep_alives_ends_the_connection(
    version: int, keepalive_s: int
) -> None:
    world = World()
    bystander = Bystander(world)
    client = world.connect("c", version=version, keepalive_s=keepalive_s)
    world.advance(keepalive_s * 1.5 - 0.1)
    assert not client.closed
    world.advance(0.2)
    assert_closed_with(client, Reason.KEEP_ALIVE_TIMEOUT)
    bystander.assert_untouched()


@pytest.mark.spec("MQTT-3.1.2-22", "3.1.1:MQTT-3.1.2-24")
@VERSIONS
def test_the_end_is_that_of_a_network_that_failed(version: int) -> None:
    world = World()
    watcher = world.connect("w")
    watcher.subscribe("w")
    world.connect("c", version=version, keepalive_s=10, will=p.Will("w", b"gone"))
    world.advance(14)
    assert payloads(watcher) == []
    world.advance(2)
    assert payloads(watcher) == [b"gone"]


@pytest.mark.spec("MQTT-3.1.2-22", "3.1.1:MQTT-3.1.2-24")
@VERSIONS
@pytest.mark.parametrize(
    "packet", [frame(0xC0, b""), frame(0x40, b"\0\x09"), None], ids=["PINGREQ", "PUBACK", "PUBLISH"]
)
def test_any_packet_keeps_a_client_alive(version: int, packet: bytes | None) -> None:
    world = World()
    client = world.connect("c", version=version, keepalive_s=10)
    for _ in range(10):
        world.advance(14)
        client.send(raw_publish(version) if packet is None else packet)
    assert not client.closed


@pytest.mark.spec("MQTT-3.1.2-22", "3.1.1:MQTT-3.1.2-24")
@VERSIONS
def test_what_is_sent_to_a_client_does_not_keep_it_alive(version: int) -> None:
    world = World()
    client = world.connect("c", version=version, keepalive_s=10)
    client.subscribe("t")
    publisher = world.connect("pub")
    for _ in range(4):
        world.advance(4)
        publisher.publish("t")
    assert client.closed


@pytest.mark.spec("MQTT-3.1.2-22", "3.1.1:MQTT-3.1.2-24")
@VERSIONS
def test_a_packet_that_never_becomes_whole_does_not_keep_a_client_alive(version: int) -> None:
    world = World()
    client = world.connect("c", version=version, keepalive_s=10)
    for byte in raw_publish(version, payload=b"x" * 100)[:50]:
        client.send(bytes((byte,)))
        world.advance(1)
    assert client.closed


@pytest.mark.spec("MQTT-3.2.2-22", "MQTT-3.1.2-22", "3.1.1:MQTT-3.1.2-24")
@VERSIONS
def test_a_keep_alive_of_0_is_none(version: int) -> None:
    world = World()
    client = world.connect("c", version=version, keepalive_s=0)
    world.advance(1_000_000)
    assert not client.closed


@pytest.mark.spec("MQTT-3.1.2-21", "MQTT-3.2.2-21")
@pytest.mark.parametrize("asked", [0, 60, 65535])
def test_a_server_keep_alive_is_told_and_is_the_one_that_holds(asked: int) -> None:
    world = World(max_keepalive_s=20)
    client = world.connect("c", keepalive_s=asked)
    assert client.connack is not None
    assert client.connack.properties is not None
    assert client.connack.properties.values[0x13] == 20
    world.advance(29)
    assert not client.closed
    world.advance(2)
    assert_closed_with(client, Reason.KEEP_ALIVE_TIMEOUT)


@pytest.mark.spec("MQTT-3.2.2-22")
def test_a_keep_alive_within_the_limit_is_the_client_s_own() -> None:
    world = World(max_keepalive_s=20)
    client = world.connect("c", keepalive_s=8)
    assert client.connack is not None
    assert client.connack.properties is not None
    assert 0x13 not in client.connack.properties.values
    world.advance(11.9)
    assert not client.closed
    world.advance(0.2)
    assert client.closed


@VERSIONS
@pytest.mark.parametrize("step", [0, 1], ids=["nothing at all", "a byte a second"])
def test_a_connect_that_does_not_come_in_time_is_cut(version: int, step: int) -> None:
    world = World(connect_timeout_s=10)
    bystander = Bystander(world)
    peer = world.peer(version)
    connect = raw_connect(version)
    assert len(connect) > 9
    for second in range(9):
        if step:
            peer.send(connect[second : second + 1])
        world.advance(1)
    assert not peer.closed
    world.advance(1.1)
    assert peer.closed
    assert peer.raw() == b""
    bystander.assert_untouched()
