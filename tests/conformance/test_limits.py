"""What the broker tells of its limits, what the client tells of its own, and that both hold."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.support import (
    Bystander,
    assert_closed_with,
    having,
    lasting,
    payloads,
    raw_publish,
    two,
    varint,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])


@pytest.mark.spec("MQTT-3.2.2-9", "MQTT-3.2.2-11")
@pytest.mark.parametrize("max_qos", [0, 1, 2])
def test_a_limit_on_qos_is_told_and_holds(max_qos: int) -> None:
    world = World(max_qos=max_qos)
    client = world.connect("c")
    assert client.connack is not None
    assert client.connack.properties is not None
    assert client.connack.properties.values.get(0x24, 2) == max_qos
    for qos in range(max_qos + 1):
        client.publish("t", b"x", qos)
        assert not client.closed
    if max_qos < 2:
        client.send(p.Publish("t", b"x", max_qos + 1, packet_id=9))
        assert client.closed
        goodbye = client.take()[-1]
        assert isinstance(goodbye, p.Disconnect)
        assert goodbye.reason == Reason.QOS_NOT_SUPPORTED


@pytest.mark.spec("MQTT-3.2.2-10")
@VERSIONS
@pytest.mark.parametrize("max_qos", [0, 1])
def test_a_limit_on_qos_does_not_keep_out_requests_for_more(version: int, max_qos: int) -> None:
    world = World(max_qos=max_qos)
    client = world.connect("c", version=version)
    for qos in range(3):
        assert client.subscribe(f"t/{qos}", qos).reasons == [min(qos, max_qos)]


@pytest.mark.spec("MQTT-3.2.2-14")
def test_a_retained_message_where_nothing_is_retained_is_refused() -> None:
    world = World(retain_available=False)
    client = world.connect("c")
    assert client.connack is not None
    assert client.connack.properties is not None
    assert client.connack.properties.values[0x25] == 0
    client.publish("t", b"x", retain=True)
    assert_closed_with(client, Reason.RETAIN_NOT_SUPPORTED)


@pytest.mark.spec("MQTT-3.2.2-15")
@VERSIONS
def test_a_packet_above_the_server_s_maximum_is_refused_at_its_header(version: int) -> None:
    world = World(packet_bytes_max=1000)
    bystander = Bystander(world)
    client = world.connect("c", version=version)
    if version == 5:
        assert client.connack is not None
        assert client.connack.properties is not None
        assert client.connack.properties.values[0x27] == 1000
    fitting = raw_publish(version, payload=b"x" * 990)
    client.send(raw_publish(version, payload=b"x" * (990 + 1000 - len(fitting))))
    assert not client.closed
    subscriber = world.connect("sub")
    subscriber.subscribe("t")
    other = world.connect("d", version=version)
    other.send(raw_publish(version, payload=b"x" * 1000))
    assert_closed_with(other, Reason.PACKET_TOO_LARGE)
    assert payloads(subscriber) == []
    # The header alone is enough: what it announces is never waited for.
    client.send(raw_publish(version, payload=b"x" * 999)[:4])
    assert_closed_with(client, Reason.PACKET_TOO_LARGE)
    bystander.assert_untouched()


@pytest.mark.parametrize("size", [100_001, 268_435_455])
def test_a_connect_that_is_too_large_is_refused_at_its_header(size: int) -> None:
    peer = World().peer(4)
    peer.send(b"\x10" + varint(size))
    assert peer.closed
    assert peer.raw() == b""


@pytest.mark.spec("MQTT-3.1.2-24", "MQTT-3.1.2-25")
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("way", ["live", "queued", "retained", "again"])
def test_a_message_too_large_for_a_client_is_dropped_as_if_it_were_sent(qos: int, way: str) -> None:
    world = World()
    limited = having(session_expiry_interval=3600, maximum_packet_size=100)
    opened = lasting() if way == "again" else limited
    client = world.connect("c", clean_start=False, properties=opened)
    other = world.connect("other")
    if way != "retained":
        client.subscribe("t/#", qos)
        other.subscribe("t/#", qos)
    if way == "queued":
        client.drop()
    publisher = world.connect("pub")
    for index, size in enumerate((200, 50, 200, 51, 3000)):
        publisher.publish(f"t/{index}", b"x" * size, qos, retain=way == "retained")
    if way == "retained":
        client.subscribe("t/#", qos)
        other.subscribe("t/#", qos)
    if way == "again":
        client.messages(acknowledge=False)
        client.drop()
    if client.closed:
        client = world.connect("c", clean_start=False, properties=limited)
    got = [len(payload) for payload in payloads(client)]
    assert got == ([] if qos == 0 and way in ("queued", "again") else [50, 51])
    assert [len(payload) for payload in payloads(other)] == [200, 50, 200, 51, 3000]
    if qos:
        # As if it were sent: it does not fill the window either, not even a small one.
        for _ in range(50):
            publisher.publish("t/x", b"x" * 200, qos)
        publisher.publish("t/x", b"end", qos)
        if way == "retained":
            assert payloads(client)[-1] == b"end"
        else:
            assert payloads(client) == [b"end"]


@pytest.mark.spec("MQTT-3.1.2-24")
@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_maximum_packet_size_is_the_largest_that_is_sent(qos: int, over: int) -> None:
    world = World()
    client = world.connect("c", properties=having(maximum_packet_size=100))
    client.subscribe("t", qos)
    smallest = raw_publish(5, first=0x30 | qos << 1, packet_id=two(1) if qos else b"")
    payload = b"x" * (100 - len(smallest) + over)
    world.connect("pub").publish("t", payload, qos)
    raw = client.raw()
    assert len(raw) == (0 if over else 100)
