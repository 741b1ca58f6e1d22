"""What was acknowledged is kept: the ways by which it could be promised too early, or forgotten."""

from __future__ import annotations

import pytest

from midge.auth.base import ALLOWED, PUBLISH, Authorizer, Decision, Identity, Pending
from midge.config.queue_settings import QueueSettings
from midge.limits import SLICE_ENTRIES
from midge.message import Message
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.store.base import QueueRow, SubscriptionRow
from midge.store.journal import Journal
from midge.store.memory import MemoryStore
from midge.testing.pair import Peer, World


def lasting(world: World, client_id: str, version: int = 5) -> Peer:
    """A client whose session lasts."""
    properties = Properties.of(session_expiry_interval=1000) if version == 5 else None
    return world.connect(client_id, version=version, clean_start=False, properties=properties)


@pytest.fixture
def world() -> World:
    return World(store=MemoryStore())


# -- acknowledged too early ------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_for_a_queue_with_an_age_limit_waits_for_the_disk(world: World, qos: int) -> None:
    # The queue keeps a copy of it, with another expiry.
    world.broker.queues.create("jobs", QueueSettings(age_max_s=100.0))
    publisher = world.connect("p")
    world.committing = False
    publisher.send(p.Publish("$queue/jobs", b"x", qos, packet_id=1))
    publisher.expect_nothing()
    world.committing = True
    world.settle()
    publisher.expect(p.Puback if qos == 1 else p.Pubrec)


# -- taken for a duplicate of what was never passed on ---------------------------------------------


class Slow(Authorizer):
    """Rules that take their time."""

    def __init__(self) -> None:
        self.asked: list[Pending] = []

    def authorize(self, client: Identity, action: str, topic: str) -> Decision:
        if topic != "t" or action != PUBLISH:
            return ALLOWED
        self.asked.append(Pending())
        return self.asked[-1]


@pytest.mark.parametrize("version", [4, 5])
def test_a_publisher_that_left_before_it_was_decided_sends_again_what_counts(
    world: World, version: int
) -> None:
    rules = Slow()
    world.broker.set_rules(None, rules)
    reader = world.connect("r")
    reader.subscribe("t", 2)
    publisher = lasting(world, "p", version)
    publisher.send(p.Publish("t", b"x", 2, packet_id=1))
    publisher.drop()
    again = lasting(world, "p", version)
    again.send(p.Publish("t", b"x", 2, dup=True, packet_id=1))
    again.expect_nothing()
    rules.asked[-1].settle(ALLOWED, world.clock.now())
    world.settle()
    assert again.expect(p.Pubrec).reason == 0
    again.send(p.Pubrel(1))
    again.expect(p.Pubcomp)
    assert [one.payload for one in reader.messages()] == [b"x"]


def test_a_publisher_that_left_a_full_queue_sends_again_what_counts(world: World) -> None:
    world.broker.queues.create("jobs", QueueSettings(messages_max=1, full="reject"))
    world.connect("q").publish("$queue/jobs", b"first", 1)
    publisher = lasting(world, "p", 4)
    publisher.send(p.Publish("$queue/jobs", b"second", 2, packet_id=1))
    publisher.expect_nothing()
    publisher.drop()
    worker = world.connect("w")
    worker.subscribe("$queue/jobs", 1)
    assert [one.payload for one in worker.messages()] == [b"first"]
    again = lasting(world, "p", 4)
    again.send(p.Publish("$queue/jobs", b"second", 2, dup=True, packet_id=1))
    again.expect(p.Pubrec)
    assert [one.payload for one in worker.messages()] == [b"second"]


def test_those_who_waited_for_room_and_left_are_forgotten(world: World) -> None:
    world.broker.queues.create("jobs", QueueSettings(messages_max=1, full="reject"))
    world.connect("q").publish("$queue/jobs", b"first", 1)
    for _ in range(2500):
        publisher = world.connect("p", version=4)
        publisher.send(p.Publish("$queue/jobs", b"x", 1, packet_id=1))
        publisher.drop()
    assert len(world.broker.queues.need("jobs").room) <= 1025


# -- numbers of messages that are in the store no more ---------------------------------------------


def test_a_message_has_no_number_once_its_batch_was_taken_unless_it_is_retained() -> None:
    journal = Journal()
    waiting, kept = Message("a", b"x", 1), Message("b", b"x", 1, True)
    journal.queue(1, waiting, 1, False, ())
    journal.retain(kept, None)
    number = kept.stored
    journal.take()
    assert (waiting.stored, kept.stored) == (0, number)


def test_what_a_group_stores_later_is_there_although_another_receiver_is_done(world: World) -> None:
    # The same message: for a lasting session, that has had it, and in a group that does not last.
    quick = lasting(world, "quick")
    quick.subscribe("t", 1)
    slow = world.connect("slow", properties=Properties.of(receive_maximum=1))
    slow.subscribe("$share/g/t", 1)
    publisher = world.connect("p")
    publisher.publish("t", b"1", 1)
    publisher.publish("t", b"2", 1)
    assert [one.payload for one in quick.messages()] == [b"1", b"2"]  # acknowledged, and forgotten
    member = lasting(world, "member")
    member.send(p.Subscribe(7, [p.SubscribeTo("$share/g/t", 1)]))
    store = world.store
    assert isinstance(store, MemoryStore)
    contents = store.read(100)
    assert all(row.message in contents.messages for row in contents.deliveries)


def test_a_retained_message_that_was_replaced_is_stored_for_everyone_it_is_owed_to(
    world: World,
) -> None:
    publisher = world.connect("p")
    publisher.publish("t", b"old", 1, retain=True)
    properties = Properties.of(session_expiry_interval=1000, receive_maximum=1)
    first = world.connect("first", clean_start=False, properties=properties)
    second = world.connect("second", clean_start=False, properties=properties)
    for reader in (first, second):
        reader.subscribe("hold", 1)
    publisher.publish("hold", b"", 1)
    held = [reader.expect(p.Publish).packet_id for reader in (first, second)]
    for reader in (first, second):
        reader.subscribe("t", 1)  # owed "old" behind what fills the window
    publisher.publish("t", b"new", 1, retain=True)
    first.send(p.Puback(held[0]))
    assert [one.payload for one in first.messages()] == [b"old", b"new"]
    second.send(p.Puback(held[1]))
    assert second.expect(p.Publish).payload == b"old"  # and not acknowledged
    store = world.store
    assert isinstance(store, MemoryStore)
    contents = store.read(100)
    assert all(row.message in contents.messages for row in contents.deliveries)


# -- what is collected while the disk fails --------------------------------------------------------


def test_sessions_and_queues_that_come_and_go_within_a_batch_leave_nothing_in_it() -> None:
    journal = Journal()
    kept = Message("kept", b"x", 1, True)
    journal.retain(kept, None)
    stays = journal.new_session()
    journal.keep_session(stays, "stays", None, 10, None, True)
    for number in range(3 * SLICE_ENTRIES):
        key = journal.new_session()
        if number % 2:
            journal.keep_session(key, f"c{number}", None, 10, None, True)
            journal.keep_subscription(SubscriptionRow(key, "t", 1, False, False, 0, 0))
            journal.take_incoming(key, 1)
            journal.queue(key, kept, 1, True, ())
            journal.queue(key, Message("t", b"x", 1), 1, False, ())
            journal.end_session(key)
        else:
            journal.keep_queue(QueueRow(key, "jobs", ""))
            journal.given(key, journal.put(key, Message("t", b"x", 1), 0, 0, 0.0))
            journal.end_queue(key)
        assert len(journal.changes) <= 8 * SLICE_ENTRIES
    _, changes = journal.take()
    assert list(changes.sessions) == [stays]
    assert changes.references == {kept.stored: 1}
    assert list(changes.messages) == [kept.stored]
    assert len(changes) == 4
    # What the disk knows of is to be removed from it.
    journal.end_session(stays)
    assert journal.take()[1].sessions == {stays: None}


@pytest.mark.source_only("it replaces what compiled code does not look up again")
@pytest.mark.parametrize("version", [4, 5])
def test_messages_of_qos_0_for_a_stored_queue_wait_for_the_disk_as_well(
    world: World, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midge.broker.keeper.STORE_PENDING_ROWS", 10)
    world.broker.queues.create("jobs", QueueSettings(durable=True))
    world.settle()
    world.committing = False
    publisher = world.connect("p", version=version)
    for _ in range(100):
        publisher.send(p.Publish("$queue/jobs", b"x"))
    assert world.broker.keeper is not None
    assert len(world.broker.keeper.journal.changes) <= 13
    world.committing = True
    world.settle()
    assert world.broker.queues.need("jobs").waiting == 100
