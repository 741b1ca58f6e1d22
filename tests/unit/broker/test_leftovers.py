"""A session that ends with very many subscriptions: nobody waits for it, and nothing is left."""

from __future__ import annotations

import pytest

from midge.limits import SLICE_ENTRIES
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.testing.pair import Peer, World

MANY = 3 * SLICE_ENTRIES
LASTING = Properties({props.SESSION_EXPIRY_INTERVAL: 1000})


def subscribe_much(client: Peer, qos: int = 1) -> None:
    for start in range(0, MANY, 500):
        entries = [p.SubscribeTo(f"t/{number}", qos) for number in range(start, start + 500)]
        client.send(p.Subscribe(client.packet_id(), entries))
        client.expect(p.Suback)


def ended(world: World) -> None:
    client = world.connect("c", properties=LASTING)
    subscribe_much(client)
    client.send(p.Subscribe(client.packet_id(), [p.SubscribeTo("$share/g/shared", 1)]))
    client.expect(p.Suback)
    client.disconnect(0, Properties({props.SESSION_EXPIRY_INTERVAL: 0}))


def test_it_ends_at_once_and_what_it_leaves_goes_in_slices() -> None:
    world = World()
    ended(world)
    assert world.broker.sessions.get("c") is None
    subscriptions = world.broker.router.subscriptions
    assert subscriptions.count == MANY + 1
    world.broker.tick(world.clock.now())
    assert subscriptions.count == MANY + 1 - SLICE_ENTRIES
    world.advance(1)
    assert subscriptions.count == subscriptions.shared_count == 0
    assert len(world.broker.sessions.leftovers) == 0
    assert world.broker.sessions.leftovers.next_deadline() is None
    assert list(subscriptions._tree) == []


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_nothing_is_kept_for_it_any_more(qos: int) -> None:
    world = World(queue_qos0=True)
    ended(world)
    publisher = world.connect("p")
    publisher.publish("t/5", b"x", qos)
    leftover = world.broker.sessions.leftovers._sessions[0]
    assert leftover.outbox.queue is None
    assert leftover.outbox.queued_messages == 0


def test_a_shared_subscription_goes_to_those_who_are_there() -> None:
    world = World()
    other = world.connect("other", properties=LASTING)
    other.subscribe("$share/g/shared", 1)
    ended(world)
    other.drop()  # both are away now, but one comes back
    publisher = world.connect("p")
    for number in range(4):
        publisher.publish("shared", b"%d" % number, 1)
    back = world.connect("other", clean_start=False, properties=LASTING)
    assert len(back.messages()) == 4


def test_whoever_takes_its_name_keeps_what_it_subscribes_to() -> None:
    world = World()
    ended(world)
    again = world.connect("c")
    subscribe_much(again)
    world.advance(1)
    assert world.broker.router.subscriptions.count == MANY
    publisher = world.connect("p")
    for number in (0, 1, MANY // 2, MANY - 1):
        publisher.publish(f"t/{number}", b"x", 1)
    assert len(again.messages()) == 4
