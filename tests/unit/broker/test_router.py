"""The router remembers receivers by topic, and forgets them in time."""

from __future__ import annotations

import gc
import weakref

import pytest

from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.encode import encode
from midge.mqtt.properties import Properties
from midge.testing.pair import World


def test_what_is_remembered_does_not_outlive_its_subscriber() -> None:
    world = World()
    publisher = world.connect("publisher")
    for number in range(5):
        client = world.connect(f"c{number}")
        client.subscribe("exact/topic")
        publisher.publish("exact/topic", b"x")
        assert len(client.messages()) == 1
        client.disconnect()
        publisher.publish("exact/topic", b"nobody")
    assert len(world.broker.router._known) <= 2
    assert len(world.broker.sessions) == 1


@pytest.mark.source_only("it gives compiled code what its types do not allow")
def test_sessions_that_ended_are_garbage() -> None:
    world = World()
    publisher = world.connect("publisher")

    class Canary:
        pass

    canaries = []
    for number in range(5):
        client = world.connect(f"c{number}", version=4)
        client.subscribe(f"exact/{number}")
        publisher.publish(f"exact/{number}", b"x")
        client.messages()
        session = client.link.session
        assert session is not None
        canary = Canary()
        session.username = canary  # type: ignore[assignment]
        canaries.append(weakref.ref(canary))
        client.disconnect()
        del client, session, canary
    gc.collect()
    assert [canary() for canary in canaries] == [None] * 5


def test_all_who_get_a_message_in_one_form_share_it_whoever_comes_between_them() -> None:
    world = World()
    publisher = world.connect("publisher", version=5)
    forms = [(1, 0), (0, 0), (1, 7), (2, 0), (1, 0), (0, 0), (1, 8), (2, 0), (1, 0)]
    clients = []
    for number, (qos, identifier) in enumerate(forms):
        client = world.connect(f"c{number}", version=5)
        assert client.subscribe("t", qos, identifier=identifier).reasons == [qos]
        clients.append(client)
    publisher.publish("t", b"x", qos=2)
    held: dict[tuple[int, int], set[int]] = {}
    for client, form in zip(clients, forms, strict=True):
        assert client.link.session is not None
        for delivery in client.link.session.outbox.outgoing.waiting.values():
            held.setdefault(form, set()).add(id(delivery))
        (message,) = client.messages()
        assert (message.qos, message.payload) == (form[0], b"x")
        ids = [] if message.properties is None else message.properties.subscription_ids
        assert ids == [form[1]] * bool(form[1])
    assert {form: len(ones) for form, ones in held.items()} == {
        (1, 0): 1,
        (2, 0): 1,
        (1, 7): 1,
        (1, 8): 1,
    }


def test_a_client_that_comes_back_speaking_otherwise_is_spoken_to_so() -> None:
    world = World()
    publisher = world.connect("publisher", version=4)
    lasting = {props.SESSION_EXPIRY_INTERVAL: 100}
    for fields in (
        {"version": 4},
        {"version": 5, "properties": Properties(dict(lasting))},
        {"version": 5, "properties": Properties({**lasting, props.TOPIC_ALIAS_MAXIMUM: 3})},
        {"version": 5, "properties": Properties({**lasting, props.MAXIMUM_PACKET_SIZE: 60})},
        {"version": 4},
    ):
        client = world.connect("client", clean_start=False, **fields)  # type: ignore[arg-type]
        assert client.connack is not None
        if not client.connack.session_present:
            client.subscribe("t", 0)
        for _ in range(2):
            publisher.publish("t", b"x" * 10)
            publisher.publish("t", b"y" * 100)
        small = "properties" in fields and 39 in fields["properties"].values  # type: ignore[attr-defined]
        assert len(client.messages()) == (2 if small else 4)
        client.drop()


def test_nothing_of_a_client_that_was_taken_over_is_heard_any_more() -> None:
    world = World()
    watcher = world.connect("watcher")
    watcher.subscribe("#")
    old = world.peer(5)
    old.send(p.Connect("twin", 5))
    new = world.peer(5)
    # Both in one turn: the old connection's bytes come before its close is done.
    new.link.receive_data(encode(p.Connect("twin", 5), 5), world.clock.now())
    old.link.receive_data(encode(p.Publish("late", b"x"), 5), world.clock.now())
    world.settle()
    assert watcher.messages() == []
    goodbye = old.take()[-1]
    assert isinstance(goodbye, p.Disconnect)
    assert goodbye.reason == 0x8E


def test_a_queue_that_stays_full_does_not_hold_its_publishers_again_and_again() -> None:
    world = World(queued_messages_max=20, inflight_messages_max=5)
    lazy = world.connect("lazy", version=4)
    lazy.subscribe("t", 1)
    publisher = world.connect("publisher", version=4)
    for packet_id in range(1, 40):
        publisher.send(p.Publish("t", b"x", 1, packet_id=packet_id))
    assert publisher.link.held_by is not None
    world.advance(1.5)  # the limit of patience
    assert publisher.link.held_by is None
    held = world.broker.metrics.held
    for packet_id in range(40, 80):
        publisher.send(p.Publish("t", b"x", 1, packet_id=packet_id))
    assert world.broker.metrics.held == held
    assert world.broker.metrics.dropped_queue_full > 0
    assert len(lazy.messages()) == 25  # 5 in flight and 20 in the queue
    publisher.publish("t", b"again", 1)
    assert [message.payload for message in lazy.messages()] == [b"again"]
