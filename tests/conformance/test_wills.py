"""Wills: kept, sent, held back, forgotten (5.0 sections 3.1.2.5, 3.1.3.2, 3.14.4)."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.conformance.support import (
    come_back,
    having,
    lasting,
    payloads,
    prop,
    raw_connect,
    raw_properties,
    raw_publish,
    string,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])


def watch(world: World, filter: str = "w", qos: int = 2) -> Peer:
    watcher = world.connect("watcher")
    watcher.subscribe(filter, qos, retain_as_published=True)
    return watcher


def delayed(seconds: int) -> p.Will:
    return p.Will("w", b"gone", properties=having(will_delay_interval=seconds))


@pytest.mark.spec("MQTT-3.1.2-7", "MQTT-3.1.2-8", "3.1.1:MQTT-3.1.2-8", "3.1.1:MQTT-3.1.2-9")
@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("end", ["cut", "protocol error", "keep alive", "taken over"])
def test_a_will_is_sent_once_when_the_connection_ends_without_a_goodbye(
    version: int, qos: int, end: str
) -> None:
    world = World()
    watcher = watch(world)
    client = world.connect("c", version=version, keepalive_s=10, will=p.Will("w", b"gone", qos=qos))
    watcher.expect_nothing()
    if end == "cut":
        client.drop()
    elif end == "protocol error":
        client.send(raw_connect(version))
    elif end == "keep alive":
        world.advance(16)
    else:
        world.connect("c", version=version)
    assert client.closed
    world.advance(1000)
    messages = watcher.messages()
    assert [(m.topic, m.payload, m.qos) for m in messages] == [("w", b"gone", qos)]


@pytest.mark.spec("MQTT-3.1.2-8", "3.1.1:MQTT-3.1.2-8")
@VERSIONS
def test_a_server_that_shuts_down_sends_the_wills_of_those_that_it_closes(version: int) -> None:
    world = World()
    watcher = come_back(world, "watcher")
    watcher.subscribe("w", 1)
    world.connect("c", version=version, will=p.Will("w", b"gone", 1, retain=True))
    world.broker.shut_down(world.clock.now())
    world.settle()
    assert watcher.closed
    again = come_back(world, "watcher")
    assert b"gone" in payloads(again) + payloads(watcher)
    late = world.connect("late")
    late.subscribe("w")
    assert payloads(late) == [b"gone"]


@pytest.mark.spec("MQTT-3.1.2-8", "MQTT-3.1.2-10", "MQTT-3.14.4-3")
@pytest.mark.spec("3.1.1:MQTT-3.1.2-8", "3.1.1:MQTT-3.1.2-10", "3.1.1:MQTT-3.14.4-3")
@VERSIONS
@pytest.mark.parametrize("lasts", [False, True])
def test_a_normal_disconnect_takes_the_will_away_for_good(version: int, lasts: bool) -> None:
    world = World()
    watcher = watch(world)
    for _ in range(2):
        properties = lasting() if lasts and version == 5 else None
        client = world.connect(
            "c",
            version=version,
            clean_start=not lasts,
            will=p.Will("w", b"gone"),
            properties=properties,
        )
        client.disconnect()
    # Without a will of its own, the session must not have kept the old one.
    client = come_back(world, "c", version)
    client.drop()
    world.advance(100_000)
    assert payloads(watcher) == []


@pytest.mark.spec("MQTT-3.1.2-8")
@pytest.mark.parametrize("reason", [0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x97, 0x98, 0x99])
def test_a_disconnect_with_another_reason_leaves_the_will_to_be_sent(reason: int) -> None:
    world = World()
    watcher = watch(world)
    client = world.connect("c", will=p.Will("w", b"gone"))
    client.disconnect(reason)
    assert client.closed
    assert payloads(watcher) == [b"gone"]


@pytest.mark.spec("MQTT-3.1.2-10", "3.1.1:MQTT-3.1.2-10")
@VERSIONS
def test_a_will_that_was_sent_is_not_sent_again(version: int) -> None:
    world = World()
    watcher = watch(world)
    client = world.connect(
        "c",
        version=version,
        clean_start=False,
        will=p.Will("w", b"gone"),
        properties=lasting() if version == 5 else None,
    )
    client.drop()
    assert payloads(watcher) == [b"gone"]
    come_back(world, "c", version).drop()
    world.advance(100_000)
    assert payloads(watcher) == []


@pytest.mark.spec("3.1.1:MQTT-3.1.2-12")
@VERSIONS
def test_without_a_will_none_is_sent(version: int) -> None:
    world = World()
    watcher = watch(world, "#")
    world.connect("c", version=version).drop()
    world.advance(1000)
    assert payloads(watcher) == []


@pytest.mark.spec("MQTT-3.1.2-14", "MQTT-3.1.2-15")
@pytest.mark.spec("3.1.1:MQTT-3.1.2-16", "3.1.1:MQTT-3.1.2-17")
@VERSIONS
@pytest.mark.parametrize("retain", [False, True])
def test_will_retain_says_whether_the_will_is_retained(version: int, retain: bool) -> None:
    world = World()
    watcher = watch(world)
    world.connect("c", version=version, will=p.Will("w", b"gone", retain=retain)).drop()
    assert [m.retain for m in watcher.messages()] == [retain]
    late = world.connect("late")
    late.subscribe("w")
    assert payloads(late) == [b"gone"] * retain


@pytest.mark.spec("MQTT-3.1.2-8")
def test_a_will_waits_for_its_delay() -> None:
    world = World()
    watcher = watch(world)
    world.connect("c", will=delayed(30), properties=lasting()).drop()
    world.advance(29.9)
    assert payloads(watcher) == []
    world.advance(0.2)
    assert payloads(watcher) == [b"gone"]
    world.advance(100_000)
    assert payloads(watcher) == []


@pytest.mark.spec("MQTT-3.1.2-8")
@pytest.mark.parametrize("expiry", [0, 10])
def test_a_will_delay_ends_with_its_session(expiry: int) -> None:
    world = World()
    watcher = watch(world)
    client = world.connect(
        "c", will=delayed(3000), properties=having(session_expiry_interval=expiry)
    )
    client.drop()
    if expiry:
        world.advance(9)
        assert payloads(watcher) == []
        world.advance(2)
    assert payloads(watcher) == [b"gone"]


@pytest.mark.spec("MQTT-3.1.2-8")
def test_a_clean_start_ends_the_session_and_so_sends_the_will_that_waits() -> None:
    world = World()
    watcher = watch(world)
    world.connect("c", will=delayed(3000), properties=lasting()).drop()
    world.connect("c", clean_start=True)
    assert payloads(watcher) == [b"gone"]


@pytest.mark.spec("MQTT-3.1.2-8", "MQTT-3.1.3-9")
@pytest.mark.parametrize("version", [4, 5])
def test_a_reconnect_within_the_delay_keeps_the_will_from_being_sent(version: int) -> None:
    world = World()
    watcher = watch(world)
    world.connect("c", clean_start=False, will=delayed(30), properties=lasting()).drop()
    world.advance(29)
    again = come_back(world, "c", version)
    world.advance(100)
    again.drop()
    world.advance(100_000)
    assert payloads(watcher) == []


@pytest.mark.spec("MQTT-3.1.3-9")
def test_a_take_over_is_a_reconnect_within_the_delay() -> None:
    world = World()
    watcher = watch(world)
    old = world.connect("c", clean_start=False, will=delayed(30), properties=lasting())
    come_back(world, "c")
    assert old.closed
    world.advance(1000)
    assert payloads(watcher) == []


@pytest.mark.spec("MQTT-3.1.3-10", "MQTT-3.3.2-18")
def test_the_properties_of_a_will_are_forwarded_in_their_order() -> None:
    world = World()
    watcher = watch(world)
    pairs = [(b"b", b"1"), (b"a", b"2"), (b"b", b"1"), (b"", b""), (b"b", b"0")]
    user = b"".join(prop(0x26, string(name) + string(value)) for name, value in pairs)
    others = [
        prop(0x01, b"\1"),
        prop(0x03, string(b"text")),
        prop(0x08, string(b"r")),
        prop(0x09, string(b"\0\1")),
    ]
    will = raw_properties(5, user + b"".join(others)) + string(b"w") + string(b"gone")
    client = world.peer(5)
    client.send(raw_connect(5, 0x06, payload=string(b"c") + will))
    client.drop()
    raw = watcher.raw()
    # The order of what is not a user property is nobody's concern.
    assert user in raw
    assert all(other in raw for other in others)
    assert len(raw) == len(
        raw_publish(5, b"w", properties=user + b"".join(others), payload=b"gone")
    )


@pytest.mark.spec("MQTT-3.1.2-10")
def test_the_message_expiry_of_a_will_begins_when_it_is_sent() -> None:
    world = World()
    will = p.Will(
        "w",
        b"gone",
        1,
        properties=having(message_expiry_interval=50, will_delay_interval=100),
    )
    watcher = come_back(world, "watcher")
    watcher.subscribe("w", 1)
    watcher.drop()
    world.connect("c", will=will, properties=lasting()).drop()
    world.advance(120)
    [message] = come_back(world, "watcher").messages()
    assert message.properties == having(message_expiry_interval=30)


@pytest.mark.spec("MQTT-3.2.2-12")
@pytest.mark.parametrize("max_qos", [0, 1])
def test_a_will_above_the_qos_limit_is_refused_and_closed(max_qos: int) -> None:
    world = World(max_qos=max_qos)
    for qos in range(3):
        peer = world.connect(f"c{qos}", will=p.Will("w", qos=qos))
        assert peer.closed == (qos > max_qos)
        assert peer.connack is not None
        assert peer.connack.reason == (Reason.QOS_NOT_SUPPORTED if qos > max_qos else 0)


@pytest.mark.spec("MQTT-3.2.2-13")
def test_a_retained_will_where_nothing_is_retained_is_refused_and_closed() -> None:
    world = World(retain_available=False)
    peer = world.connect("c", will=p.Will("w", retain=True))
    assert peer.closed
    assert peer.connack is not None
    assert peer.connack.reason == Reason.RETAIN_NOT_SUPPORTED
    assert not world.connect("c", will=p.Will("w")).closed
