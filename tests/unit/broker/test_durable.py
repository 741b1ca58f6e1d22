"""What outlives the broker, seen from its clients: what they are told, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from midge.broker.durable_outbox import DurableOutbox
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.store.memory import MemoryStore
from midge.store.sqlite.database import SqliteStore
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


@pytest.mark.parametrize("qos", [1, 2])
def test_those_of_refused_messages_keep_it_too(world: World, qos: int) -> None:
    # [MQTT-4.6.0-2], [MQTT-4.6.0-3]
    lasting(world, "away").subscribe("kept", 2)
    publisher = world.connect("p")
    world.committing = False
    publisher.send(p.Publish("kept", b"x", qos, packet_id=1))
    publisher.send(p.Publish("$SYS/refused", b"x", qos, packet_id=2))
    publisher.expect_nothing()
    world.committing = True
    world.settle()
    answers = publisher.take()
    assert [one.packet_id for one in answers if isinstance(one, p.Puback | p.Pubrec)] == [1, 2]


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


# -- on the way to a client ------------------------------------------------------------------------


def test_what_is_not_safe_yet_counts_in_the_window_of_the_next_connection(world: World) -> None:
    client = lasting(world, "c")
    client.subscribe("t", 2)
    world.committing = False
    publisher = world.connect("p")
    for number in range(3):
        publisher.send(p.Publish("t", b"%d" % number, 2, False, False, number + 1))
    client.drop()
    client = lasting(world, "c", receive_maximum=1)
    client.expect_nothing()
    world.committing = True
    world.settle()
    assert client.expect(p.Publish).payload == b"0"
    client.expect_nothing()
    client.send(p.Pubrec(1))
    client.expect(p.Pubrel)
    client.send(p.Pubcomp(1))
    assert [one.payload for one in client.messages()] == [b"1", b"2"]


def test_what_became_safe_keeps_its_place_behind_what_is_sent_again(world: World) -> None:
    client = lasting(world, "c")
    client.subscribe("t", 2)
    publisher = world.connect("p")
    publisher.publish("t", b"0", 2)
    publisher.publish("t", b"1", 2)
    world.committing = False
    publisher.send(p.Publish("t", b"2", 2, False, False, 9))
    client.drop()
    client = lasting(world, "c", receive_maximum=1)
    world.committing = True
    world.settle()
    assert [one.payload for one in client.messages()] == [b"0", b"1", b"2"]


def fill(world: World, count: int, **properties: int) -> None:
    publisher = world.connect("filler")
    wanted = Properties.of(**properties) if properties else None
    for number in range(count):
        publisher.publish("t", b"%d" % number, 1, properties=wanted)


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_very_many_expired_messages_are_dropped_in_slices(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midge.broker.durable_outbox.STORE_QUEUE_PAGE", 10)
    monkeypatch.setattr("midge.broker.durable_outbox.SLICE_ENTRIES", 20)
    away = lasting(world, "away")
    away.subscribe("t", 1)
    away.drop()
    world.settings.queued_messages_max = 0
    fill(world, 200, message_expiry_interval=1)
    world.advance(5)
    fill(world, 3)
    world.committing = False
    client = lasting(world, "away")
    session = world.broker.sessions.get("away")
    assert session is not None
    assert 20 <= session.outbox.dropped < 100  # one slice for each time that it may write
    client.expect_nothing()
    world.committing = True
    world.settle()
    assert session.outbox.dropped == 200
    assert [one.payload for one in client.messages()] == [b"0", b"1", b"2"]
    assert session.outbox.queued_messages == session.outbox.queued_bytes == 0


def test_what_a_client_may_not_have_any_more_is_dropped_a_page_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midge.broker.durable_outbox.STORE_QUEUE_PAGE", 2)
    away = lasting(world, "away")
    away.subscribe("t", 1)
    away.drop()
    world.settings.queued_messages_max = 0
    fill(world, 5000)  # more pages than calls can be nested
    session = world.broker.sessions.get("away")
    assert session is not None
    session.outbox.keep_only(lambda message: message.payload.endswith(b"999"))
    client = lasting(world, "away")
    expected = [b"999", b"1999", b"2999", b"3999", b"4999"]
    assert [one.payload for one in client.messages()] == expected
    assert session.outbox.queued_messages == session.outbox.queued_bytes == 0
    # It was about what had waited then.
    client.drop()
    fill(world, 5)
    assert [one.payload for one in lasting(world, "away").messages()] == [
        b"%d" % number for number in range(5)
    ]


def test_a_session_that_was_connected_expires_no_later_than_the_limit_says() -> None:
    world = World(store=MemoryStore())
    lasting(world, "c")
    world = crash(world, persistent_client_expiration_s=10)
    world.advance(11)
    assert world.broker.sessions.get("c") is None


def test_so_does_one_that_was_left_when_there_was_no_limit(world: World) -> None:
    peer = lasting(world, "c")
    peer.disconnect(0, Properties.of(session_expiry_interval=0xFFFFFFFF))
    world.settle()
    world = crash(world, persistent_client_expiration_s=10)
    world.settle()
    assert world.store is not None
    # And that is noted: or each start of the broker would put it off.
    assert [row.ends_at for row in world.store.read(0).sessions] == [world.clock.now() + 10]
    world.advance(11)
    assert world.broker.sessions.get("c") is None


def test_a_clock_that_was_put_back_does_not_make_a_session_last_longer(world: World) -> None:
    world.advance(1_000_000)
    lasting(world, "c").disconnect()
    world = crash(world)
    world.advance(990)
    assert world.broker.sessions.get("c") is not None
    world.advance(20)
    assert world.broker.sessions.get("c") is None


@pytest.mark.parametrize("topic", ["", "a/#", "a/+/b", "a\0b", "x" * 70_000])
def test_a_message_with_a_damaged_topic_goes_and_the_others_come(
    tmp_path: Path, topic: str
) -> None:
    world = World(store=SqliteStore(str(tmp_path / "midge.db"), "off"))
    away = lasting(world, "away")
    away.subscribe("#", 1)
    away.drop()
    publisher = world.connect("p")
    for name in ("before", "damaged", "after"):
        publisher.publish(name, b"x", 1, retain=True)
    world.settle()
    assert isinstance(world.store, SqliteStore)
    world.store._writer.execute("UPDATE message SET topic = ? WHERE topic = 'damaged'", (topic,))
    world = crash_and_open(world)
    watcher = world.connect("watcher")
    watcher.subscribe("#")
    assert sorted(one.topic for one in watcher.messages()) == ["after", "before"]
    assert [one.topic for one in lasting(world, "away").messages()] == ["before", "after"]
    assert isinstance(world.store, SqliteStore)
    world.store.close()


def test_an_expiry_that_grew_with_a_clock_that_was_put_back_fits_its_packet(world: World) -> None:
    world.advance(1_000_000)
    lasting(world, "away").subscribe("t", 1)
    world.peers[-1].drop()
    publisher = world.connect("p")
    longest = Properties.of(message_expiry_interval=0xFFFFFFFF)
    publisher.publish("t", b"x", 1, retain=True, properties=longest)
    world = crash(world)
    got = lasting(world, "away").messages()
    reader = world.connect("reader")
    reader.subscribe("t")
    got += reader.messages()
    assert [one.properties for one in got] == [longest, longest]


def test_a_delivery_of_a_session_is_never_in_the_state_of_a_queue(tmp_path: Path) -> None:
    world = World(store=SqliteStore(str(tmp_path / "midge.db"), "off"))
    away = lasting(world, "away")
    away.subscribe("#", 1)
    away.drop()
    publisher = world.connect("p")
    for name in ("before", "damaged", "after"):
        publisher.publish(name, b"x", 1)
    world.settle()
    assert isinstance(world.store, SqliteStore)
    world.store._writer.execute("UPDATE delivery SET state = 3 WHERE seq = 2")
    world = crash_and_open(world)
    assert [one.topic for one in lasting(world, "away").messages()] == ["before", "after"]
    assert isinstance(world.store, SqliteStore)
    world.store.close()


def crash_and_open(world: World) -> World:
    """The same as :func:`crash`, for a store in a file."""
    assert isinstance(world.store, SqliteStore)
    world.store.close()
    return World(store=SqliteStore(world.store.path, "off"))


def test_those_who_waited_for_the_disk_and_left_are_forgotten(world: World) -> None:
    lasting(world, "away").subscribe("t", 1)
    keeper = world.broker.keeper
    assert keeper is not None
    keeper.journal.failing = True
    for _ in range(5000):
        publisher = world.connect("p", version=4)
        publisher.send(p.Publish("t", b"x", 1, False, False, 1))
        publisher.drop()
    assert keeper.delayed == 5000
    assert len(keeper._relief) <= 1024


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_large_messages_of_a_client_that_is_away_are_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midge.broker.durable_outbox.STORE_QUEUE_PAGE_BYTES", 100_000)
    monkeypatch.setattr("midge.store.sqlite.reading.STORE_QUEUE_PAGE_BYTES", 100_000)
    path = str(tmp_path / "midge.db")
    world = World(store=SqliteStore(path, "off"))
    away = lasting(world, "away")
    away.subscribe("t", 1)
    away.drop()
    world.settings.queued_messages_max = 0
    publisher = world.connect("p")
    sent = [b"%d" % number + bytes(30_000) for number in range(20)]
    for payload in sent:
        publisher.publish("t", payload, 1)
    session = world.broker.sessions.get("away")
    assert session is not None
    outbox = session.outbox
    assert isinstance(outbox, DurableOutbox)

    def in_memory() -> int:
        return len(outbox.queue or ())

    assert in_memory() == 4
    assert outbox.paged == 16
    assert world.store is not None
    world.store.close()
    world = World(store=SqliteStore(path, "off"), queued_messages_max=0)
    session = world.broker.sessions.get("away")
    assert session is not None
    outbox = session.outbox
    assert isinstance(outbox, DurableOutbox)
    assert in_memory() == 4
    client = lasting(world, "away")
    assert [one.payload for one in client.messages()] == sent
    assert outbox.queued_messages == outbox.queued_bytes == outbox.paged == 0


# -- retained messages of a new subscription -------------------------------------------------------


def test_the_retained_messages_that_were_not_sent_yet_come_after_a_crash(tmp_path: Path) -> None:
    path = str(tmp_path / "midge.db")
    world = World(store=SqliteStore(path, "off"))
    publisher = world.connect("p")
    for number in range(30):
        publisher.publish(f"kept/{number:02}", b"%d" % number, 1, retain=True)
    slow = lasting(world, "slow", receive_maximum=10)
    slow.send(p.Subscribe(1, [p.SubscribeTo("kept/#", 1)]))
    first = slow.take()
    assert any(isinstance(packet, p.Suback) for packet in first)
    assert len(first) == 1 + 10
    assert world.store is not None
    world.store.close()
    world = World(store=SqliteStore(path, "off"))
    slow = lasting(world, "slow", receive_maximum=10)
    got = {one.topic for one in slow.messages()}
    assert got == {f"kept/{number:02}" for number in range(30)}
    # They are owed no more.
    assert world.store is not None
    world.store.close()
    world = World(store=SqliteStore(path, "off"))
    lasting(world, "slow", receive_maximum=10).expect_nothing()


def test_what_is_owed_to_a_subscription_that_was_given_up_is_not_noted(world: World) -> None:
    publisher = world.connect("p")
    for number in range(30):
        publisher.publish(f"kept/{number:02}", b"%d" % number, 1, retain=True)
    slow = lasting(world, "slow", receive_maximum=10)
    slow.send(p.Subscribe(1, [p.SubscribeTo("kept/#", 1)]))
    slow.take()
    slow.send(p.Unsubscribe(2, ["kept/#"]))
    slow.take()
    session = world.broker.sessions.get("slow")
    assert session is not None
    session.outbox.keep_only(lambda message: False)
    assert world.store is not None
    world.settle()
    assert world.store.read(0).subscriptions == []
