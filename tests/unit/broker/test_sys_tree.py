"""What the broker tells about itself: names, forms, what is told when."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.broker.sys_tree import SysTree
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.testing.pair import World

EXPIRY = Properties({props.SESSION_EXPIRY_INTERVAL: 10})

#: As Mosquitto 2.1 publishes them.
NAMES = """
version uptime clients/total clients/maximum clients/disconnected clients/inactive
clients/connected clients/active clients/expired messages/stored store/messages/count
store/messages/bytes subscriptions/count shared_subscriptions/count heap/current heap/maximum
messages/received messages/sent bytes/received bytes/sent publish/bytes/received
publish/bytes/sent packet/out/count packet/out/bytes connections/socket/count
publish/messages/dropped publish/messages/received publish/messages/sent
"""
LOADS = """
messages/received messages/sent publish/dropped publish/received publish/sent bytes/received
bytes/sent sockets connections
"""


def make(world: World) -> SysTree:
    return SysTree(world.broker, "midge version 1", world.clock.now())


def first(tree: SysTree, world: World) -> dict[str, str]:
    return dict(tree.first(world.clock.now(), 1000))


def after(tree: SysTree, world: World, seconds: float) -> dict[str, str]:
    world.advance(seconds)
    return dict(tree.update(world.clock.now(), 1000))


def test_at_first_every_name_of_mosquitto_is_told_and_no_other() -> None:
    world = World()
    told = first(make(world), world)
    expected = {f"$SYS/broker/{name}" for name in NAMES.split()}
    expected |= {"$SYS/broker/retained messages/count"}
    expected |= {
        f"$SYS/broker/load/{name}/{span}"
        for name in LOADS.split()
        for span in ("1min", "5min", "15min")
    }
    assert set(told) == expected
    assert told["$SYS/broker/version"] == "midge version 1"
    assert told["$SYS/broker/uptime"] == "0 seconds"
    assert {value for name, value in told.items() if "/load/" in name} == {"0.00"}


def test_what_is_not_known_is_not_told() -> None:
    world = World()
    assert not [topic for topic, _ in make(world).first(0.0) if "heap" in topic]


def test_only_what_has_changed_is_told_again() -> None:
    world = World()
    tree = make(world)
    first(tree, world)
    assert after(tree, world, 10) == {"$SYS/broker/uptime": "10 seconds"}
    world.connect("c")
    told = after(tree, world, 10)
    assert told["$SYS/broker/clients/connected"] == told["$SYS/broker/clients/active"] == "1"
    assert "$SYS/broker/clients/disconnected" not in told
    assert "$SYS/broker/version" not in told


def test_every_count_counts_what_its_name_says() -> None:
    world = World()
    tree = make(world)
    first(tree, world)
    away = world.connect("away", properties=EXPIRY)
    away.subscribe("t/#", 1)
    away.subscribe("$share/g/t", 1)
    away.drop()
    here = world.connect("here")
    here.subscribe("t/x")
    here.publish("t/x", b"12345", 1, retain=True)
    here.publish("t/y", b"123", 0)
    told = after(tree, world, 5)
    counts = {name.removeprefix("$SYS/broker/"): value for name, value in told.items()}
    expected = {
        "clients/total": "2",
        "clients/maximum": "2",
        "clients/connected": "1",
        "clients/disconnected": "1",
        "messages/stored": "2",
        "store/messages/count": "2",
        "retained messages/count": "1",
        "subscriptions/count": "2",
        "shared_subscriptions/count": "1",
        "publish/messages/received": "2",
        "publish/bytes/received": "8",
        "publish/messages/sent": "1",
        "publish/bytes/sent": "5",
        "connections/socket/count": "2",
        # CONNECT, 2 SUBSCRIBE; CONNECT, SUBSCRIBE, 2 PUBLISH
        "messages/received": "7",
        # CONNACK, 2 SUBACK; CONNACK, SUBACK, PUBLISH, PUBACK
        "messages/sent": "7",
    }
    assert {name: counts.get(name) for name in expected} == expected
    assert int(counts["store/messages/bytes"]) >= 5
    told = after(tree, world, 20)
    assert told["$SYS/broker/clients/expired"] == "1"
    assert told["$SYS/broker/clients/total"] == "1"
    assert "$SYS/broker/clients/maximum" not in told


def test_all_packets_out_are_counted_whatever_sends_them() -> None:
    world = World()
    sent = 0
    for version in (4, 5):
        client = world.connect(f"c{version}", version=version, properties=None)
        others = world.connect(f"d{version}", version=version)
        client.subscribe("a/#", 2)
        others.publish("a/1", b"x", 0)
        others.publish("a/2", b"x", 1)
        others.publish("a/3", b"x", 2)
        messages = client.messages()
        assert len(messages) == 3
        client.unsubscribe("a/#")
        client.send(p.Pingreq())
        client.expect(p.Pingresp)
        client.disconnect()
        others.send(b"\xf0\x00" if version == 4 else b"\x00\x00")
        assert others.closed
        # CONNACK 2, SUBACK, UNSUBACK, PINGRESP, PUBLISH 3, PUBREL, PUBACK, PUBREC, PUBCOMP
        sent += 12 + (version == 5)  # and a DISCONNECT for who broke the rules
    assert world.broker.metrics.packets_sent == sent


def test_what_mosquitto_has_no_name_for_is_told_once_there_is_any() -> None:
    world = World(queued_messages_max=1, clients_max=2, inflight_messages_max=1)
    tree = make(world)
    first(tree, world)
    away = world.connect("away", properties=EXPIRY)
    away.subscribe("t", 1)
    away.drop()
    publisher = world.connect("p")
    for _ in range(3):
        publisher.publish("t", b"", 1)
    world.connect("late")
    told = after(tree, world, 1)
    assert told["$SYS/broker/midge/dropped/queue_full"] == "2"
    assert told["$SYS/broker/midge/refused/clients"] == "1"
    assert told["$SYS/broker/publish/messages/dropped"] == "2"


@pytest.mark.parametrize(("span", "seconds"), [("1min", 60), ("5min", 300), ("15min", 900)])
def test_a_load_is_the_moving_average_of_a_minute(span: str, seconds: int) -> None:
    world = World()
    tree = make(world)
    first(tree, world)
    publisher = world.connect("p")
    tree.update(world.clock.now(), 1000)
    load = 0.0
    for count in (30, 0, 7):
        for _ in range(count):
            publisher.publish("t")
        told = after(tree, world, 10)
        rate = count * 6.0
        load = rate + exp(-10 / seconds) * (load - rate)
        assert told[f"$SYS/broker/load/publish/received/{span}"] == f"{load:.2f}"


def test_a_load_that_hardly_moves_is_not_told() -> None:
    world = World()
    tree = make(world)
    first(tree, world)
    world.connect("p")
    after(tree, world, 10)
    for _ in range(1000):
        told = after(tree, world, 10)
    assert list(told) == ["$SYS/broker/uptime"]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0.5, 100)), min_size=1, max_size=20))
def test_a_load_stays_between_the_least_and_the_greatest_rate(
    steps: list[tuple[int, float]],
) -> None:
    world = World()
    tree = make(world)
    first(tree, world)
    publisher = world.connect("p")
    tree.update(world.clock.now(), 1000)
    rates = [0.0]
    last = "0.00"
    for count, seconds in steps:
        for _ in range(count):
            publisher.publish("t")
        rates.append(count * 60 / seconds)
        told = after(tree, world, seconds)
        last = told.get("$SYS/broker/load/publish/received/5min", last)
        assert min(rates) - 0.02 <= float(last) <= max(rates) + 0.02
