"""What outlives the broker, seen from its clients: what they are told, and when."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.store.memory import MemoryStore
from midge.testing.pair import Peer, World


def lasting(world: World, client_id: str, *, clean_start: bool = False, **more: int) -> Peer:
    """A client whose session lasts."""
    properties = Properties.of(session_expiry_interval=1000, **more)
    return world.connect(client_id, clean_start=clean_start, properties=properties)


def crash(world: World, **settings: object) -> World:
    """The broker is gone, with what was not committed; another one starts."""
    assert world.store is not None
    world.store.close()
    return World(store=world.store, **settings)


@pytest.fixture
def world() -> World:
    return World(store=MemoryStore())


# -- acknowledgements wait for what they promise ---------------------------------------------------


def test_an_acknowledgement_waits_until_the_message_is_safe(world: World) -> None:
    lasting(world, "away").subscribe("t", 1)
    publisher = world.connect("p")
    world.committing = False
    publisher.send(p.Publish("t", b"x", 1, False, False, 1))
    publisher.expect_nothing()
    world.committing = True
    world.settle()
    assert publisher.expect(p.Puback).packet_id == 1


def test_what_nobody_lasting_wants_is_acknowledged_at_once(world: World) -> None:
    world.connect("online").subscribe("t", 1)
    publisher = world.connect("p")
    world.committing = False
    publisher.send(p.Publish("t", b"x", 1, False, False, 1))
    assert publisher.expect(p.Puback).packet_id == 1


def test_acknowledgements_keep_their_order(world: World) -> None:
    lasting(world, "away").subscribe("kept", 1)
    publisher = world.connect("p")
    world.committing = False
    publisher.send(p.Publish("kept", b"x", 1, False, False, 1))
    publisher.send(p.Publish("other", b"x", 1, False, False, 2))
    publisher.expect_nothing()
    world.committing = True
    world.settle()
    assert [publisher.expect(p.Puback).packet_id for _ in range(2)] == [1, 2]


def test_a_retained_message_is_acknowledged_when_it_is_safe(world: World) -> None:
    publisher = world.connect("p")
    world.committing = False
    publisher.send(p.Publish("t", b"x", 1, True, False, 1))
    publisher.expect_nothing()


def test_so_is_that_a_topic_has_no_retained_message_any_more(world: World) -> None:
    publisher = world.connect("p")
    publisher.publish("t", b"x", 1, retain=True)
    world.committing = False
    publisher.send(p.Publish("t", b"", 1, True, False, 9))
    publisher.expect_nothing()
    world.committing = True
    world.settle()
    publisher.expect(p.Puback)
    world = crash(world)
    reader = world.connect("r")
    reader.subscribe("t")
    reader.expect_nothing()


def test_a_subscription_is_granted_when_it_is_safe(world: World) -> None:
    away = lasting(world, "away")
    world.committing = False
    away.send(p.Subscribe(1, [p.SubscribeTo("t", 1)]))
    away.expect_nothing()
    world.committing = True
    world.settle()
    assert away.expect(p.Suback).reasons == [1]
    world = crash(world)
    world.connect("p").publish("t", b"x", 1)
    again = lasting(world, "away")
    assert again.connack is not None
    assert again.connack.session_present
    assert [one.payload for one in again.messages()] == [b"x"]


def test_a_subscription_works_before_it_is_safe(world: World) -> None:
    away = lasting(world, "away")
    world.committing = False
    away.send(p.Subscribe(1, [p.SubscribeTo("t", 0)]))
    world.connect("p").publish("t", b"x")
    assert away.expect(p.Publish).payload == b"x"
    world.committing = True
    world.settle()
    away.expect(p.Suback)


def test_the_end_of_a_subscription_is_confirmed_when_it_is_safe(world: World) -> None:
    away = lasting(world, "away")
    away.subscribe("t", 1)
    world.committing = False
    away.send(p.Unsubscribe(2, ["t"]))
    away.expect_nothing()
    world.committing = True
    world.settle()
    away.expect(p.Unsuback)
    world = crash(world)
    world.connect("p").publish("t", b"x", 1)
    lasting(world, "away").expect_nothing()


def test_other_subscriptions_are_granted_at_once(world: World) -> None:
    passing = world.connect("passing")
    world.committing = False
    assert passing.subscribe("t", 1).reasons == [1]


# -- a message is stored for whoever needs it ------------------------------------------------------


def test_a_message_that_is_too_large_for_one_is_kept_for_the_next(world: World) -> None:
    small = lasting(world, "small", maximum_packet_size=100)
    small.subscribe("t", 1)
    lasting(world, "large").subscribe("t", 1)
    world.connect("p").publish("t", b"x" * 200, 1)
    small.expect_nothing()
    world = crash(world)
    assert [one.payload for one in lasting(world, "large").messages()] == [b"x" * 200]


def test_a_message_that_is_too_large_for_all_is_not_kept(world: World) -> None:
    small = lasting(world, "small", maximum_packet_size=100)
    small.subscribe("t", 2)
    publisher = world.connect("p")
    for qos in (1, 2):
        publisher.publish("t", b"x" * 200, qos)
    small.expect_nothing()
    assert world.store is not None
    contents = world.store.read(10)
    assert not contents.messages
    assert not contents.deliveries
