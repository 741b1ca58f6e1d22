"""Named queues and shared subscriptions over MQTT: who gets what, when, and what is left."""

from __future__ import annotations

import itertools

import pytest

from midge.auth.base import ALLOWED, DELIVER, DENY, Authorizer, Decision, Identity
from midge.broker.groups import Group
from midge.config.queue_settings import QueueSettings
from midge.message import Message
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.store.memory import MemoryStore
from midge.testing.pair import Peer, World

LONG = 100_000


def worker(world: World, name: str, window: int = 100, version: int = 5, qos: int = 1) -> Peer:
    """A client that takes from the queue ``jobs``, and acknowledges by hand."""
    properties = Properties.of(receive_maximum=window) if version == 5 else None
    peer = world.connect(name, version=version, properties=properties)
    peer.subscribe("$queue/jobs", qos)
    return peer


def put(world: World, *payloads: bytes, qos: int = 1, **properties: str) -> list[int]:
    """Publish to the queue; returns the reasons of the acknowledgements."""
    user = [(name.replace("_", "-"), value) for name, value in properties.items()]
    publisher = world.connect("publisher")
    for packet_id, payload in enumerate(payloads, 1):
        publisher.send(
            p.Publish(
                "$queue/jobs",
                payload,
                qos,
                packet_id=packet_id if qos else 0,
                properties=Properties.of(user_property=user) if user else None,
            )
        )
    return [publisher.expect(p.Puback).reason for _ in payloads] if qos == 1 else []


def got(peer: Peer) -> list[p.Publish]:
    return peer.messages(acknowledge=False)


def payloads(peer: Peer) -> list[bytes]:
    return [message.payload for message in got(peer)]


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def configure(world: World, **settings: object) -> None:
    world.broker.queues.create("jobs", QueueSettings(**settings))  # type: ignore[arg-type]


def test_what_is_put_in_waits_for_a_consumer_in_order() -> None:
    world = World()
    assert put(world, *numbers(5)) == [0] * 5
    assert payloads(worker(world, "w")) == numbers(5)


def test_each_message_goes_to_one_consumer() -> None:
    world = World()
    workers = [worker(world, f"w{number}") for number in range(3)]
    put(world, *numbers(9))
    shares = [payloads(one) for one in workers]
    assert sorted(itertools.chain(*shares)) == numbers(9)
    assert [len(share) for share in shares] == [3, 3, 3]


@pytest.mark.parametrize("version", [4, 5])
def test_a_message_is_gone_once_it_is_acknowledged(version: int) -> None:
    world = World()
    put(world, b"job")
    first = worker(world, "w1", version=version)
    (message,) = got(first)
    first.send(p.Puback(message.packet_id))
    first.drop()
    assert payloads(worker(world, "w2")) == []


@pytest.mark.parametrize("version", [4, 5])
def test_what_a_consumer_leaves_undone_goes_to_the_next_marked_and_first(version: int) -> None:
    world = World()
    first = worker(world, "w1", window=2, version=5)
    put(world, *numbers(4))
    assert payloads(first) == [b"0", b"1"]
    first.drop()
    messages = got(worker(world, "w2", version=version))
    assert [message.payload for message in messages] == numbers(4)
    assert [message.dup for message in messages] == [True, True, False, False]
    if version == 5:
        assert messages[0].properties is not None
        assert messages[0].properties.user == [("deliveries", "2")]
        assert messages[3].properties is None or not messages[3].properties.user


def test_a_message_is_not_sent_to_whoever_comes_back_if_another_has_it() -> None:
    world = World()
    lasting = Properties.of(session_expiry_interval=LONG)
    first = world.connect("w1", clean_start=False, properties=lasting)
    first.subscribe("$queue/jobs", 1)
    put(world, b"job")
    (message,) = got(first)
    first.drop()
    second = worker(world, "w2")
    assert payloads(second) == [b"job"]
    first = world.connect("w1", clean_start=False, properties=lasting)
    assert payloads(first) == []
    first.send(p.Puback(message.packet_id))  # too late, and nothing to anybody
    put(world, b"next")
    assert payloads(first) + payloads(second) == [b"next"]


def test_a_consumer_has_no_more_than_the_prefetch_unacknowledged() -> None:
    world = World()
    configure(world, prefetch=1)
    slow, quick = worker(world, "slow"), worker(world, "quick")
    put(world, *numbers(6))
    taken = [b""] * 0
    assert payloads(slow) == [b"0"]
    for _ in range(5):
        (message,) = got(quick)
        taken.append(message.payload)
        quick.send(p.Puback(message.packet_id))
    assert taken == numbers(6)[1:]
    assert got(quick) == []


def test_a_consumer_gets_no_more_than_its_receive_maximum() -> None:
    world = World()
    configure(world, prefetch=0)
    small = worker(world, "small", window=3)
    put(world, *numbers(5))
    messages = got(small)
    assert len(messages) == 3
    small.send(p.Puback(messages[1].packet_id))
    assert payloads(small) == [b"3"]


@pytest.mark.parametrize("reason", [0x80, 0x83, 0x99])
def test_a_refused_message_goes_to_somebody_else(reason: int) -> None:
    world = World()
    configure(world, prefetch=1)
    first, second = worker(world, "w1"), worker(world, "w2")
    put(world, b"job")
    (message,) = got(first)
    first.send(p.Puback(message.packet_id, reason))
    (again,) = got(second)
    assert (again.payload, again.dup) == (b"job", True)


def test_what_nobody_manages_goes_to_the_dead_letters_with_the_reason() -> None:
    world = World()
    configure(world, deliveries_max=3)
    only = worker(world, "w")
    put(world, b"poison")
    for _ in range(3):
        (message,) = got(only)
        only.send(p.Puback(message.packet_id, 0x83))
    assert got(only) == []
    undertaker = world.connect("u")
    undertaker.subscribe("$queue/jobs.dead", 1)
    (letter,) = got(undertaker)
    assert (letter.topic, letter.payload) == ("$queue/jobs", b"poison")
    assert letter.properties is not None
    assert letter.properties.user == [
        ("dead-letter-queue", "jobs"),
        ("dead-letter-reason", "given out 3 times; refused by client w with reason 0x83"),
    ]


def test_a_silent_consumer_loses_its_message_to_the_next() -> None:
    world = World()
    configure(world, lease_s=30.0, prefetch=1)
    silent, other = worker(world, "silent"), worker(world, "other")
    put(world, b"job")
    (message,) = got(silent)
    world.advance(29)
    assert got(other) == []
    world.advance(2)
    (again,) = got(other)
    assert (again.payload, again.dup) == (b"job", True)
    silent.send(p.Puback(message.packet_id))  # too late
    queue = world.broker.queues.need("jobs")
    assert (queue.late, queue.timed_out, queue.acknowledged, queue.in_flight) == (1, 1, 0, 1)
    other.send(p.Puback(again.packet_id))
    assert (queue.acknowledged, queue.in_flight, queue.waiting) == (1, 0, 0)


def test_at_qos_0_what_was_sent_is_done_and_counted() -> None:
    world = World()
    fickle = worker(world, "w", qos=0)
    put(world, *numbers(3))
    messages = got(fickle)
    assert [(message.qos, message.payload) for message in messages] == [
        (0, payload) for payload in numbers(3)
    ]
    fickle.drop()
    assert payloads(worker(world, "w2")) == []
    assert world.broker.queues.need("jobs").unconfirmed == 3


def test_exactly_once_is_not_promised() -> None:
    world = World()
    peer = world.connect("w")
    peer.send(p.Subscribe(7, [p.SubscribeTo("$queue/jobs", 2)]))
    assert peer.expect(p.Suback).reasons == [1]


def test_higher_priorities_come_first() -> None:
    world = World()
    put(world, b"plain")
    put(world, b"three", queue_priority="3")
    put(world, b"nine", queue_priority="9")
    put(world, b"also three", queue_priority="3")
    put(world, b"nonsense", queue_priority="x")
    assert payloads(worker(world, "w")) == [b"nine", b"three", b"also three", b"plain", b"nonsense"]


def test_a_delayed_message_comes_when_its_delay_is_over() -> None:
    world = World()
    one = worker(world, "w")
    put(world, b"later", queue_delay="10.5")
    put(world, b"now")
    assert payloads(one) == [b"now"]
    world.advance(10)
    assert payloads(one) == []
    world.advance(1)
    assert payloads(one) == [b"later"]


def test_a_queue_is_filled_from_topics() -> None:
    world = World()
    configure(world, filters=("shop/+/orders",))
    publisher = world.connect("shop")
    publisher.publish("shop/1/orders", b"a")
    publisher.publish("shop/1/other", b"b")
    one = worker(world, "w")
    publisher.publish("shop/2/orders", b"c", 1)
    assert [(message.topic, message.payload, message.qos) for message in got(one)] == [
        ("shop/1/orders", b"a", 1),
        ("shop/2/orders", b"c", 1),
    ]
    configure(world)
    publisher.publish("shop/3/orders", b"d", 1)
    assert got(one) == []


def test_a_full_queue_rejects_its_publishers_until_there_is_room() -> None:
    world = World()
    configure(world, messages_max=2)
    assert put(world, *numbers(3)) == [0, 0, 0x97]
    one = worker(world, "w", window=1)
    (message,) = got(one)
    assert put(world, b"fits") == [0]
    assert put(world, b"not") == [0x97]
    one.send(p.Puback(message.packet_id))
    queue = world.broker.queues.need("jobs")
    assert (queue.waiting, queue.in_flight, queue.rejected) == (1, 1, 2)


def test_who_cannot_be_told_waits_until_there_is_room() -> None:
    world = World()
    configure(world, messages_max=1)
    publisher = world.connect("old", version=4)
    for packet_id in (1, 2):
        publisher.send(p.Publish("$queue/jobs", b"%d" % packet_id, 1, packet_id=packet_id))
    assert publisher.expect(p.Puback).packet_id == 1
    publisher.expect_nothing()
    one = worker(world, "w", window=1)
    assert payloads(one) == [b"1"]
    assert publisher.expect(p.Puback).packet_id == 2


@pytest.mark.parametrize(
    ("full", "left"), [("drop-oldest", [b"3", b"4"]), ("drop-newest", [b"0", b"1"])]
)
def test_a_full_queue_drops_what_it_is_told_to_and_counts_it(full: str, left: list[bytes]) -> None:
    world = World()
    configure(world, messages_max=2, full=full)
    assert put(world, *numbers(5)) == [0] * 5
    assert payloads(worker(world, "w")) == left
    assert world.broker.queues.need("jobs").dropped == 3
    assert world.broker.metrics.dropped_queue_full == 3


def test_bytes_are_a_limit_as_well() -> None:
    world = World()
    configure(world, bytes_max=100)
    assert put(world, *[bytes(40)] * 3) == [0, 0, 0x97]


def test_what_is_too_old_is_dropped_and_counted_without_a_consumer() -> None:
    world = World()
    configure(world, age_max_s=10.0)
    put(world, b"old")
    world.advance(11)
    queue = world.broker.queues.need("jobs")
    assert (queue.waiting, queue.expired, queue.bytes) == (0, 1, 0)
    put(world, b"young")
    assert payloads(worker(world, "w")) == [b"young"]


def test_wildcards_do_not_listen_in() -> None:
    world = World()
    spy = world.connect("spy")
    spy.subscribe("#")
    put(world, b"secret")
    assert got(spy) == []


@pytest.mark.parametrize("filter", ["$queue/a/b", "$q/a/b", "$queue/+/b", "$q/a/+"])
def test_what_emqx_calls_a_queue_is_a_shared_subscription(filter: str) -> None:
    world = World()
    members = [world.connect(f"m{number}") for number in range(2)]
    for member in members:
        member.subscribe(filter, 1)
    for payload in numbers(4):
        world.connect("publisher").publish("a/b", payload, 1)
    shares = [payloads(member) for member in members]
    assert [len(share) for share in shares] == [2, 2]
    assert sorted(itertools.chain(*shares)) == numbers(4)


@pytest.mark.parametrize("name", ["a" * 201, "$a", "\u200e"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    world = World()
    peer = world.connect("w")
    peer.send(p.Subscribe(7, [p.SubscribeTo("$queue/" + name, 1)]))
    assert peer.expect(p.Suback).reasons[0] >= 0x80
    peer.send(p.Publish("$queue/" + name, b"", 1, packet_id=1))
    assert peer.expect(p.Puback).reason == 0x90


def test_whoever_unsubscribes_gets_no_more_but_may_finish() -> None:
    world = World()
    one = worker(world, "w", window=1)
    put(world, *numbers(2))
    (message,) = got(one)
    one.send(p.Unsubscribe(9, ["$queue/jobs"]))
    assert one.expect(p.Unsuback).reasons == [0]
    one.send(p.Puback(message.packet_id))
    assert got(one) == []
    queue = world.broker.queues.need("jobs")
    assert (queue.acknowledged, queue.waiting, queue.consumers) == (1, 1, [])


def test_a_queue_that_is_deleted_takes_its_messages_along() -> None:
    world = World()
    put(world, *numbers(3))
    assert world.broker.queues.delete("jobs", world.clock.now(), force=True) == 3
    assert payloads(worker(world, "w")) == []
    assert world.broker.metrics.dropped_session_end == 3


def test_a_queue_can_be_looked_into_and_emptied() -> None:
    world = World()
    queue = world.broker.queues.need("jobs")
    for payload in numbers(3):
        queue.put(Message("t", payload), world.clock.now())
    queue.put(Message("t", b"first"), world.clock.now(), priority=1)
    queue.put(Message("t", b"later"), world.clock.now(), delay_s=5)
    seen = [item.message.payload for item in queue.peek(10)]
    assert seen == [b"first", *numbers(3), b"later"]
    popped = []
    while (item := queue.pop(world.clock.now())) is not None:
        popped.append(item.message.payload)
    assert popped == seen
    assert (queue.waiting, queue.bytes) == (0, 0)


# -- shared subscriptions -------------------------------------------------------------------------


def members_of(world: World, count: int, window: int = 20) -> list[Peer]:
    found = []
    for number in range(count):
        properties = Properties.of(receive_maximum=window, session_expiry_interval=LONG)
        member = world.connect(f"m{number}", clean_start=False, properties=properties)
        member.subscribe("$share/g/t", 1)
        found.append(member)
    return found


def test_what_no_member_has_credit_for_goes_to_the_first_that_does() -> None:
    world = World()
    slow, quick = members_of(world, 2, window=2)
    publisher = world.connect("publisher")
    for payload in numbers(8):
        publisher.publish("t", payload, 1)
    assert len(got(slow)) == 2
    taken = []
    while messages := got(quick):
        for message in messages:
            taken.append(message.payload)
            quick.send(p.Puback(message.packet_id))
    assert len(taken) == 6


def test_a_member_that_leaves_leaves_its_qos_1_messages_to_the_others() -> None:
    world = World()
    first, second = members_of(world, 2)
    publisher = world.connect("publisher")
    for payload in numbers(4):
        publisher.publish("t", payload, 1)
    mine = got(second)
    theirs = payloads(first)
    first.drop()
    again = got(second)
    assert [message.payload for message in again] == theirs
    assert all(message.dup for message in again)
    assert len(mine) == 2


def test_what_waits_for_a_group_whose_members_are_away_is_there_when_one_comes_back() -> None:
    world = World()
    for member in members_of(world, 2):
        member.drop()
    publisher = world.connect("publisher")
    for payload in numbers(3):
        publisher.publish("t", payload, 1)
    back = world.connect(
        "m1", clean_start=False, properties=Properties.of(session_expiry_interval=LONG)
    )
    assert payloads(back) == numbers(3)


def test_the_last_member_takes_what_waits_with_it() -> None:
    world = World()
    (member,) = members_of(world, 1)
    member.drop()
    world.connect("publisher").publish("t", b"x", 1)
    world.advance(LONG + 1)
    assert world.broker.metrics.dropped_session_end == 1
    assert world.broker.router.subscriptions.shared_count == 0


def test_a_lease_ends_in_time_whatever_was_due_before() -> None:
    world = World()
    configure(world, lease_s=30.0)
    first = worker(world, "w1")
    put(world, b"early")
    (message,) = got(first)
    first.send(p.Puback(message.packet_id))
    world.advance(31)  # nothing is due then any more
    put(world, b"tomorrow", queue_delay="80000")
    put(world, b"job")
    assert payloads(first) == [b"job"]
    world.advance(31)
    assert world.broker.queues.need("jobs").timed_out == 1


def test_whoever_was_silent_gets_the_message_again_where_there_is_nobody_else() -> None:
    world = World()
    configure(world, lease_s=30.0, prefetch=1)
    only = worker(world, "w")
    put(world, b"job")
    assert payloads(only) == [b"job"]
    world.advance(31)
    assert payloads(only) == [b"job"]


def test_other_settings_count_at_once() -> None:
    world = World()
    configure(world, prefetch=1, lease_s=300.0)
    first = worker(world, "w1")
    put(world, *numbers(4))
    assert payloads(first) == [b"0"]
    configure(world, prefetch=3, lease_s=300.0)
    world.advance(0)
    assert payloads(first) == [b"1", b"2"]
    configure(world, prefetch=3, lease_s=30.0)
    world.advance(31)
    assert world.broker.queues.need("jobs").timed_out == 3


def test_a_queue_that_is_made_smaller_than_it_is_says_so_to_publishers() -> None:
    world = World()
    put(world, *numbers(4))
    configure(world, messages_max=2)
    assert put(world, b"more") == [0x97]
    configure(world, messages_max=10)
    assert put(world, b"more") == [0]


def test_room_is_made_by_the_oldest_of_those_that_count_least() -> None:
    world = World()
    configure(world, messages_max=3, full="drop-oldest")
    put(world, b"urgent", queue_priority="9")
    put(world, *numbers(4))
    put(world, b"soon", queue_priority="5")
    assert payloads(worker(world, "w")) == [b"urgent", b"soon", b"3"]


def test_a_large_message_makes_as_much_room_as_it_needs() -> None:
    world = World()
    configure(world, bytes_max=200, full="drop-oldest")
    put(world, *numbers(10))
    for _ in range(5):
        put(world, b"x" * 300)
    assert world.broker.queues.need("jobs").waiting == 1


def test_whoever_subscribes_again_has_no_more_than_the_prefetch() -> None:
    world = World()
    configure(world, prefetch=2)
    first = worker(world, "w")
    put(world, *numbers(6))
    assert payloads(first) == [b"0", b"1"]
    first.subscribe("$queue/jobs", 1)
    assert payloads(first) == []


def test_a_message_too_large_for_a_consumer_at_qos_0_is_not_lost() -> None:
    world = World()
    small = world.connect("w", properties=Properties.of(maximum_packet_size=100))
    small.subscribe("$queue/jobs", 0)
    put(world, b"x" * 300)
    assert payloads(small) == []
    dead = world.broker.queues.get("jobs.dead")
    assert dead is not None
    assert dead.waiting == 1


def test_dead_letters_do_not_go_in_circles() -> None:
    world = World()
    world.broker.queues.create("a", QueueSettings(dead="b"))
    world.broker.queues.create("b", QueueSettings(dead="a"))
    small = world.connect("w", properties=Properties.of(maximum_packet_size=100))
    small.subscribe("$queue/a", 1)
    small.subscribe("$queue/b", 1)
    world.connect("p").publish("$queue/a", b"x" * 300, 1)
    assert world.broker.metrics.dropped_dead == 1


def test_what_a_deleted_queue_had_is_counted_once() -> None:
    world = World()
    first = worker(world, "w", window=1)
    put(world, *numbers(3))
    assert payloads(first) == [b"0"]
    assert world.broker.queues.delete("jobs", world.clock.now(), force=True) == 3
    first.drop()
    assert world.broker.metrics.dropped_session_end == 3


def test_what_waited_for_a_group_is_there_when_its_first_lasting_member_comes() -> None:
    world = World(store=MemoryStore())
    brief = world.connect("brief", properties=Properties.of(receive_maximum=1))
    brief.subscribe("$share/g/t", 1)
    publisher = world.connect("p")
    for payload in numbers(6):
        publisher.publish("t", payload, 1)
    assert payloads(brief) == [b"0"]
    lasting = world.connect(
        "lasting",
        clean_start=False,
        properties=Properties.of(session_expiry_interval=LONG, receive_maximum=1),
    )
    lasting.send(p.Subscribe(1, [p.SubscribeTo("$share/g/t", 1)]))
    (first,) = [one for one in lasting.take() if isinstance(one, p.Publish)]
    assert first.payload == b"1"
    world = World(store=world.store)
    lasting = world.connect(
        "lasting",
        clean_start=False,
        properties=Properties.of(session_expiry_interval=LONG),
    )
    assert sorted(payloads(lasting)) == numbers(6)[1:]


def test_a_lasting_consumer_that_comes_back_gets_its_messages_again() -> None:
    world = World()
    configure(world, prefetch=1)
    lasting = Properties.of(session_expiry_interval=LONG)
    only = world.connect("w", clean_start=False, properties=lasting)
    only.subscribe("$queue/jobs", 1)
    put(world, *numbers(2))
    assert payloads(only) == [b"0"]
    only.drop()
    only = world.connect("w", clean_start=False, properties=lasting)
    (message,) = got(only)
    assert (message.payload, message.dup) == (b"0", True)
    only.send(p.Puback(message.packet_id))
    assert payloads(only) == [b"1"]


class OnlyFor(Authorizer):
    """Gives messages of each topic to those alone whose ids it begins with."""

    def authorize(self, identity: Identity, action: int, topic: str) -> Decision:
        forbidden = action == DELIVER and not identity.client_id.startswith(topic[0])
        return Decision(DENY) if forbidden else ALLOWED


def test_what_a_member_may_not_have_waits_for_one_that_may_and_holds_up_nobody() -> None:
    world = World(authorizer=OnlyFor())
    one_by_one = Properties.of(receive_maximum=1)
    a, b = (world.connect(name, properties=one_by_one) for name in "ab")
    for member in (a, b):
        member.subscribe("$share/g/#", 1)
    publisher = world.connect("p")
    for topic in ("a/1", "a/2", "a/3", "b/1", "b/2"):
        publisher.publish(topic, topic.encode(), 1)
    assert [message.payload for message in b.messages()] == [b"b/1", b"b/2"]
    group = group_of(world, "a")
    assert group.waiting == 2
    assert [message.payload for message in a.messages()] == [b"a/1", b"a/2", b"a/3"]
    assert (group.waiting, group.bytes, group.in_flight) == (0, 0, 0)


def test_what_waits_for_one_member_stays_when_that_one_subscribes_again() -> None:
    world = World(authorizer=OnlyFor())
    one_by_one = Properties.of(receive_maximum=1)
    a, b = (world.connect(name, properties=one_by_one) for name in "ab")
    for member in (a, b):
        member.subscribe("$share/g/#", 1)
    publisher = world.connect("p")
    for topic in ("a/1", "a/2", "a/3"):
        publisher.publish(topic, topic.encode(), 1)
    first = a.expect(p.Publish)
    a.subscribe("$share/g/#", 1)
    a.send(p.Puback(first.packet_id))
    assert [message.payload for message in a.messages()] == [b"a/2", b"a/3"]
    assert world.broker.metrics.dropped_no_member == 0


def test_all_that_waits_aside_goes_to_a_member_without_acknowledgements_that_may_have_it() -> None:
    rules = OnlyFor()
    world = World(authorizer=rules)
    lasting = Properties.of(session_expiry_interval=LONG)
    away = world.connect("a", clean_start=False, properties=lasting)
    away.subscribe("$share/g/#", 1)
    away.drop()
    there = world.connect("b")
    there.subscribe("$share/g/#", 0)
    publisher = world.connect("p")
    for _ in range(50):
        publisher.publish("a/1", b"x", 1)
    there.expect_nothing()
    world.broker.set_rules(None, None)
    world.advance(0.1)
    assert len(there.messages()) == 50


def test_what_no_member_may_have_any_more_is_dropped_and_counted() -> None:
    world = World(authorizer=OnlyFor())
    first = world.connect("a", properties=Properties.of(receive_maximum=1))
    first.subscribe("$share/g/#", 1)
    other = world.connect("b")
    other.subscribe("$share/g/#", 1)
    publisher = world.connect("p")
    for _ in range(3):
        publisher.publish("a/1", b"x", 1)
    group = group_of(world, "b")
    assert group.waiting == 2
    first.drop()
    assert group.waiting == 0
    assert world.broker.metrics.dropped_no_member == 3
    assert payloads(other) == []


def test_what_waits_aside_comes_when_the_rules_let_it() -> None:
    world = World(authorizer=OnlyFor())
    first = world.connect("a", properties=Properties.of(receive_maximum=1))
    first.subscribe("$share/g/#", 1)
    other = world.connect("b")
    other.subscribe("$share/g/#", 1)
    publisher = world.connect("p")
    for _ in range(3):
        publisher.publish("a/1", b"x", 1)
    assert payloads(other) == []
    world.broker.set_rules(None, None)
    world.advance(0.1)
    assert len(other.messages()) == 2


def group_of(world: World, client_id: str) -> Group:
    session = world.broker.sessions.get(client_id)
    assert session is not None
    (group,) = [one.group for one in session.subscriptions.values()]
    assert group is not None
    return group


@pytest.fixture
def small_packets(monkeypatch: pytest.MonkeyPatch) -> int:
    """No packet can be larger than this: all have read of the 256 MiB of MQTT."""
    most = 0x20_0000
    monkeypatch.setattr("midge.mqtt.primitives.VARINT_MAX", most)
    return most


@pytest.mark.source_only("it replaces what compiled code does not look up again")
@pytest.mark.parametrize("qos", [0, 1])
def test_a_message_that_no_packet_can_hold_goes_to_the_dead_letters(
    small_packets: int, qos: int
) -> None:
    world = World(packet_bytes_max=1 << 24)
    configure(world)
    peer = worker(world, "w", qos=qos)
    queue = world.broker.queues.need("jobs")
    queue.put(Message("$queue/jobs", bytes(small_packets)), 0.0)
    queue.put(Message("$queue/jobs", b"next"), 0.0)
    world.settle()
    assert payloads(peer) == [b"next"]
    assert (queue.buried, queue.waiting, queue.in_flight) == (1, 0, qos)
    (letter,) = world.broker.queues.need("jobs.dead").peek(9)
    assert len(letter.message.payload) == small_packets


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_message_that_is_too_large_with_the_number_of_its_deliveries_goes_there_too(
    small_packets: int,
) -> None:
    world = World(packet_bytes_max=1 << 24)
    configure(world)
    queue = world.broker.queues.need("jobs")
    peer = worker(world, "w")
    other = worker(world, "v")
    head = 2 + len("$queue/jobs") + 2 + 1
    queue.put(Message("$queue/jobs", bytes(small_packets - head)), 0.0)
    world.settle()
    assert len(got(peer)) == 1
    peer.drop()
    world.settle()
    assert got(other) == []
    assert (queue.buried, queue.waiting, queue.in_flight) == (1, 0, 0)
    assert not other.link.session.outbox.outgoing.waiting  # type: ignore[union-attr]


@pytest.mark.source_only("it replaces what compiled code does not look up again")
@pytest.mark.parametrize("aliases", [0, 5])
def test_what_is_too_large_for_one_receiver_the_others_get(
    small_packets: int, aliases: int
) -> None:
    world = World(packet_bytes_max=1 << 24)
    properties = Properties.of(topic_alias_maximum=aliases) if aliases else None
    modern = world.connect("5", version=5, properties=properties)
    old = world.connect("3", version=4)
    for peer in (modern, old):
        peer.subscribe("t")
    message = Message("t", bytes(small_packets - 3))
    world.broker.router.publish(message, None, 0.0)
    world.settle()
    world.broker.router.publish(Message("t", b"next"), None, 0.0)
    world.settle()
    assert [len(one.payload) for one in old.messages()] == [small_packets - 3, 4]
    (one,) = modern.messages()
    assert (one.topic, one.payload) == ("t", b"next")
    assert world.broker.metrics.dropped_too_large == 1


@pytest.mark.source_only("its consumer derives from a compiled class")
def test_a_message_that_cannot_be_given_for_a_fault_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("a fault")

    world = World()
    configure(world)
    peer = worker(world, "w")
    queue = world.broker.queues.need("jobs")
    with monkeypatch.context() as patch:
        patch.setattr("midge.broker.outbox.Outbox.send_item", broken)
        with pytest.raises(RuntimeError):
            queue.put(Message("$queue/jobs", b"poison"), 0.0)
    queue.put(Message("$queue/jobs", b"next"), 0.0)
    world.settle()
    assert payloads(peer) == [b"next"]
    assert (queue.buried, queue.waiting, queue.in_flight) == (1, 0, 1)
    assert [item.message.payload for item in world.broker.queues.need("jobs.dead").peek(9)] == [
        b"poison"
    ]
