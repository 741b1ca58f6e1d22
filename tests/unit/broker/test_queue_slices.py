"""What concerns very many messages of a queue is done a slice at a time, and loses nothing."""

from __future__ import annotations

import pytest

from midge.broker.queue import Queue
from midge.config.queue_settings import QueueSettings
from midge.message import NEVER, Message
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.store.memory import MemoryStore
from midge.testing.pair import Peer, World

SLICE = 10


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midge.broker.queue.SLICE_ENTRIES", SLICE)


@pytest.fixture(params=[False, True], ids=["in memory", "stored"])
def world(request: pytest.FixtureRequest) -> World:
    return World(store=MemoryStore() if request.param else None, inflight_messages_max=0)


def unlimited(world: World, **more: object) -> Queue:
    settings = QueueSettings(messages_max=0, bytes_max=0, prefetch=0, lease_s=0)
    queue: Queue = world.broker.queues.create("jobs", settings._replace(**more))  # type: ignore[arg-type]
    return queue


def fill(world: World, queue: Queue, count: int, expires_at: float = NEVER) -> None:
    for number in range(count):
        message = Message("$queue/jobs", b"%d" % number, 1, False, None, expires_at)
        queue.put(message, world.clock.now())
    world.settle()


def worker(world: World, name: str, version: int = 5) -> Peer:
    peer = world.connect(name, version=version)
    peer.subscribe("$queue/jobs", 1)
    return peer


def payloads(peer: Peer) -> list[bytes]:
    return [one.payload for one in peer.messages(acknowledge=False)]


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


# -- expired ---------------------------------------------------------------------------------------


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_very_many_expired_messages_go_in_slices(world: World) -> None:
    queue = unlimited(world)
    fill(world, queue, 20 * SLICE, expires_at=world.clock.now() + 5)
    world.clock.time_s += 10  # and nothing ticked
    queue.put(Message("$queue/jobs", b"good", 1), world.clock.now())
    peer = worker(world, "w")
    assert queue.expired <= 3 * SLICE
    world.advance(1)
    assert queue.expired == 20 * SLICE
    assert payloads(peer) == [b"good"]


def test_nothing_is_overtaken_while_expired_messages_go(world: World) -> None:
    queue = unlimited(world)
    peer = worker(world, "w")
    peer.reading = False
    start = world.clock.now()
    fill(world, queue, 5, expires_at=start + 5)
    queue.configure(queue.settings._replace(prefetch=1))
    peer.drop()
    fill(world, queue, 5 * SLICE, expires_at=start + 5)
    queue.put(Message("$queue/jobs", b"first", 1), start)
    world.clock.time_s += 10
    later = worker(world, "later")
    queue.put(Message("$queue/jobs", b"second", 1), world.clock.now())
    world.advance(1)
    assert payloads(later) == [b"first"]


# -- given out -------------------------------------------------------------------------------------


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_consumer_that_takes_very_many_is_given_them_in_slices_and_in_order(
    world: World,
) -> None:
    queue = unlimited(world)
    fill(world, queue, 20 * SLICE)
    peer = worker(world, "w")
    assert queue.in_flight <= 3 * SLICE
    world.advance(1)
    assert payloads(peer) == numbers(20 * SLICE)


# -- handed back -----------------------------------------------------------------------------------


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_what_a_consumer_leaves_with_comes_back_in_slices_before_all_that_came_after(
    world: World,
) -> None:
    queue = unlimited(world)
    first = worker(world, "first")
    fill(world, queue, 10 * SLICE + 5)
    world.advance(1)
    assert queue.in_flight == 10 * SLICE + 5
    first.drop()
    assert queue.waiting <= 2 * SLICE
    assert queue.waiting + queue.in_flight == 10 * SLICE + 5
    queue.put(Message("$queue/jobs", b"new", 1), world.clock.now())
    second = worker(world, "second")
    second.expect_nothing()
    world.advance(1)
    got = second.messages(acknowledge=False)
    assert [one.payload for one in got] == [*numbers(10 * SLICE + 5), b"new"]
    assert [one.dup for one in got] == [True] * (10 * SLICE + 5) + [False]
    assert queue.in_flight == 10 * SLICE + 6


def test_a_session_that_comes_back_meanwhile_gets_each_message_once(world: World) -> None:
    queue = unlimited(world)
    lasting = Properties.of(session_expiry_interval=1000)
    first = world.connect("w", clean_start=False, properties=lasting)
    first.subscribe("$queue/jobs", 1)
    fill(world, queue, 10 * SLICE)
    world.advance(1)
    first.drop()
    again = world.connect("w", clean_start=False, properties=lasting)
    world.advance(1)
    got = again.messages(acknowledge=False)
    assert [one.payload for one in got] == numbers(10 * SLICE)
    for one in got:
        again.send(p.Puback(one.packet_id))
    world.advance(1)
    assert (queue.waiting, queue.in_flight, queue.acknowledged) == (0, 0, 10 * SLICE)


def test_leases_that_end_meanwhile_are_counted_once(world: World) -> None:
    queue = unlimited(world, lease_s=5.0)
    first = worker(world, "first")
    fill(world, queue, 10 * SLICE)
    world.advance(1)
    world.clock.time_s += 3.999
    first.drop()
    world.clock.time_s += 1
    second = worker(world, "second")
    world.advance(1)
    assert payloads(second) == numbers(10 * SLICE)
    assert (queue.waiting, queue.in_flight) == (0, 10 * SLICE)


def test_a_queue_that_is_deleted_meanwhile_loses_each_message_once(world: World) -> None:
    queue = unlimited(world)
    first = worker(world, "first")
    fill(world, queue, 10 * SLICE)
    world.advance(1)
    first.drop()
    assert world.broker.queues.delete("jobs", world.clock.now()) == 10 * SLICE
    world.advance(1)
    assert queue.waiting == 0


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_queue_with_a_much_lower_limit_drops_in_slices(world: World) -> None:
    queue = unlimited(world, full="drop-oldest")
    fill(world, queue, 20 * SLICE)
    queue.configure(queue.settings._replace(messages_max=5))
    queue.put(Message("$queue/jobs", b"new", 1), world.clock.now())
    assert queue.dropped == SLICE
    for _ in range(40):
        queue.put(Message("$queue/jobs", b"new", 1), world.clock.now())
    assert queue.waiting == 5


# -- how often a message was given -----------------------------------------------------------------


def test_after_a_crash_a_message_counts_as_given_only_if_it_was() -> None:
    world = World(store=MemoryStore())
    world.broker.queues.create("jobs", QueueSettings(prefetch=1, deliveries_max=2))
    publisher = world.connect("p")
    for payload in (b"a", b"b"):
        publisher.publish("$queue/jobs", payload, 1)
    first = worker(world, "first")
    assert payloads(first) == [b"a"]
    user = Properties.of(user_property=[("queue-priority", "5")])
    publisher.publish("$queue/jobs", b"urgent", 1, properties=user)
    other = worker(world, "other")
    assert payloads(other) == [b"urgent"]
    assert world.store is not None
    world.store.close()
    world = World(store=world.store)
    peer = world.connect("again", properties=Properties.of(receive_maximum=10))
    world.broker.queues.create("jobs", QueueSettings(prefetch=10, deliveries_max=2))
    peer.subscribe("$queue/jobs", 1)
    got = {one.payload: one.dup for one in peer.messages(acknowledge=False)}
    assert got == {b"urgent": True, b"a": True, b"b": False}


# -- publishers that wait for room -----------------------------------------------------------------


def test_as_many_publishers_go_on_as_there_is_room_for_and_the_first_come_first() -> None:
    world = World()
    queue = world.broker.queues.create("jobs", QueueSettings(messages_max=1, full="reject"))
    world.connect("p").publish("$queue/jobs", b"0", 1)
    waiting = [world.connect(f"p{number}", version=4) for number in range(1, 60)]
    for number, peer in enumerate(waiting, 1):
        peer.send(p.Publish("$queue/jobs", b"%d" % number, 1, packet_id=1))
    assert queue.rejected == 59
    reader = world.connect("w", properties=Properties.of(receive_maximum=1))
    reader.subscribe("$queue/jobs", 1)
    # One message was given, so there is room for one more.
    world.advance(0.1)
    assert len(queue.room) == 58
    assert queue.rejected == 59  # nobody else has tried
    got = [reader.expect(p.Publish)]
    while len(got) < 60:
        reader.send(p.Puback(got[-1].packet_id))
        world.advance(0.1)
        got.append(reader.expect(p.Publish))
    assert [one.payload for one in got] == numbers(60)
    for peer in waiting:
        peer.expect(p.Puback)


def test_very_many_publishers_go_on_a_few_at_a_time() -> None:
    world = World()
    queue = world.broker.queues.create("jobs", QueueSettings(messages_max=1, full="reject"))
    world.connect("p").publish("$queue/jobs", b"0", 1)
    waiting = [world.connect(f"p{number}", version=4) for number in range(100)]
    for peer in waiting:
        peer.send(p.Publish("$queue/jobs", b"x", 1, packet_id=1))
    queue.configure(queue.settings._replace(messages_max=1000))
    world.broker.tick(world.clock.now())
    assert 80 <= len(queue.room) < 100
    world.advance(0.5)
    assert queue.waiting == 101
    for peer in waiting:
        peer.expect(p.Puback)
