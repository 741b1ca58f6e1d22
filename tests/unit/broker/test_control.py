"""``$CONTROL/queue/v1``: queues are made, looked into, emptied and removed by messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from midge.auth.base import ALLOWED, DELIVER, DENY, Authorizer, Decision, Identity
from midge.broker.control import RESPONSE, TOPIC
from midge.broker.sys_tree import SysTree
from midge.config.queue_settings import QueueSettings
from midge.limits import (
    CONTROL_COMMANDS_MAX,
    CONTROL_REQUESTS_MAX,
    CONTROL_SLICE,
    SLICE_ENTRIES,
)
from midge.message import Message
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import Reason
from midge.store.memory import MemoryStore
from midge.testing.pair import Peer, World


class Admin:
    """A client that gives orders."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.peer = world.connect("admin")
        self.peer.subscribe(RESPONSE)

    def send(self, *commands: dict[str, Any]) -> None:
        self.peer.publish(TOPIC, json.dumps({"commands": commands}).encode(), 1)

    def ask(self, command: str, **values: Any) -> Any:
        """The answer to one command."""
        self.send({"command": command, **values})
        self.world.advance(0.5)
        (response,) = self.responses()
        assert response["command"] == command
        return response

    def do(self, command: str, **values: Any) -> Any:
        """The same, of one that can be done: its data."""
        response = self.ask(command, **values)
        assert "error" not in response, response
        return response.get("data", {})

    def responses(self) -> list[Any]:
        (message,) = self.peer.messages()
        assert message.topic == RESPONSE
        found: list[Any] = json.loads(message.payload)["responses"]
        return found


@pytest.fixture
def admin() -> Admin:
    return Admin(World())


def fill(world: World, name: str, count: int) -> None:
    """Put messages into a queue, past the wire."""
    queue = world.broker.queues.need(name)
    for number in range(count):
        queue.put(Message(f"$queue/{name}", b"%d" % number, 1), world.clock.now())


def test_a_queue_is_made_changed_and_removed(admin: Admin) -> None:
    assert admin.do("createQueue", queue="orders", settings="from shop/# prefetch=1") == {
        "settings": "from shop/# prefetch=1"
    }
    admin.peer.publish("shop/1", b"x", 1)
    queue = admin.world.broker.queues.get("orders")
    assert queue is not None
    assert queue.waiting == 1
    admin.do("createQueue", queue="orders", settings="lease_s=5")
    assert queue.settings == QueueSettings(lease_s=5.0)
    assert queue.waiting == 1
    assert admin.do("deleteQueue", queue="orders")["removed"] >= 0
    assert admin.world.broker.queues.get("orders") is None
    assert admin.ask("deleteQueue", queue="orders")["error"] == "there is no queue 'orders'"


def test_queues_are_listed_by_the_page(admin: Admin) -> None:
    for number in range(5):
        admin.do("createQueue", queue=f"q{number}")
    fill(admin.world, "q1", 3)
    assert admin.do("listQueues", offset=1, count=2) == {
        "totalCount": 5,
        "queues": [
            {"queue": "q1", "waiting": 3, "inFlight": 0, "consumers": 0},
            {"queue": "q2", "waiting": 0, "inFlight": 0, "consumers": 0},
        ],
    }


def test_a_queue_is_shown_with_its_counters_and_consumers(admin: Admin) -> None:
    world = admin.world
    worker = world.connect("worker")
    worker.subscribe("$queue/jobs", 1)
    fill(world, "jobs", 3)
    world.settle()
    found = admin.do("getQueue", queue="jobs")
    assert (found["waiting"], found["inFlight"], found["put"]) == (0, 3, 3)
    assert found["totalConsumers"] == 1
    (consumer,) = found["consumers"]
    assert "worker" in consumer["name"]
    assert (consumer["unacknowledged"], consumer["taken"]) == (3, 3)


def test_messages_are_looked_at_and_stay(admin: Admin) -> None:
    publisher = admin.world.connect("p")
    extras = Properties(user=[("queue-priority", "3")])
    publisher.publish("$queue/jobs", "grüße".encode(), 1)
    publisher.publish("$queue/jobs", b"\xff\x00", 1, properties=extras)
    publisher.publish("$queue/jobs", b"x" * 5000, 1)
    found = admin.do("peekQueue", queue="jobs", count=10)["messages"]
    assert [one.get("payload", one.get("payloadBase64"))[:5] for one in found] == [
        "/wA=",
        "grüße",
        "xxxxx",
    ]
    assert found[0]["priority"] == 3
    assert found[0]["userProperties"] == [["queue-priority", "3"]]
    assert (found[2]["bytes"], found[2]["cut"], len(found[2]["payload"])) == (5000, True, 4096)
    assert admin.do("getQueue", queue="jobs")["waiting"] == 3


@pytest.mark.parametrize("count", [0, 1, CONTROL_SLICE, 3 * CONTROL_SLICE + 1])
@pytest.mark.parametrize("durable", [False, True])
def test_a_queue_is_emptied_a_slice_in_a_turn(count: int, durable: bool) -> None:
    world = World(store=MemoryStore() if durable else None)
    admin = Admin(world)
    admin.do("createQueue", queue="jobs", settings="messages_max=0")
    fill(world, "jobs", count)
    world.settle()
    queue = world.broker.queues.get("jobs")
    assert queue is not None
    admin.send({"command": "purgeQueue", "queue": "jobs"})
    assert queue.waiting == max(count - CONTROL_SLICE, 0)
    world.advance(0.5)
    assert queue.waiting == 0
    (response,) = admin.responses()
    assert response["data"] == {"removed": count}


@pytest.mark.parametrize("durable", [False, True])
def test_messages_are_moved_in_their_order(durable: bool) -> None:
    world = World(store=MemoryStore() if durable else None)
    admin = Admin(world)
    fill(world, "old", 600)
    world.settle()
    admin.send({"command": "moveQueue", "queue": "old", "to": "new", "count": 550})
    world.advance(0.5)
    assert admin.responses()[0]["data"] == {"moved": 550}
    old, new = (world.broker.queues.get(name) for name in ("old", "new"))
    assert old is not None
    assert new is not None
    assert (old.waiting, new.waiting) == (50, 550)
    worker = world.connect("worker")
    worker.subscribe("$queue/new", 1)
    assert [int(message.payload) for message in worker.messages()][:16] == list(range(16))


@pytest.mark.parametrize("full", ["reject", "drop-newest", "drop-oldest"])
def test_no_more_is_moved_than_there_is_room_for(admin: Admin, full: str) -> None:
    fill(admin.world, "old", 10)
    admin.do("createQueue", queue="new", settings=f"messages_max=4 full={full}")
    assert admin.do("moveQueue", queue="old", to="new") == {"moved": 4, "full": True}
    assert admin.do("getQueue", queue="old")["waiting"] == 6


def test_only_who_asked_gets_the_answer(admin: Admin) -> None:
    other = admin.world.connect("other")
    other.subscribe(RESPONSE)
    silent = admin.world.connect("silent")
    silent.publish(TOPIC, b'{"commands": [{"command": "listQueues"}]}', 1)
    assert admin.do("listQueues") == {"totalCount": 0, "queues": []}
    assert other.messages() == []
    silent.expect_nothing()


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", "the request is no JSON"),
        (b"\xff", "the request is no JSON"),
        (b"[" * 50_000, "the request is no JSON"),
        (b"[]", 'a request is {"commands"'),
        (b'{"commands": [1]}', 'a request is {"commands"'),
        (b'{"commands": [{}]}', "None is no command; known are: createQueue"),
        (b'{"commands": [{"command": "listQueues", "count": -1}]}', "count is no whole number"),
        (b'{"commands": [{"command": "createQueue"}]}', "queue is missing, or no text"),
        (b'{"commands": [{"command": "createQueue", "queue": "a/b"}]}', "no name of a queue"),
        (
            b'{"commands": [{"command": "createQueue", "queue": "a", "settings": "x=1"}]}',
            "is no setting of a queue",
        ),
        (
            b'{"commands": [{"command": "createQueue", "queue": "a", "settings": "dead=a"}]}',
            "the dead letters of queue a cannot go to itself",
        ),
        (b'{"commands": [{"command": "purgeQueue", "queue": "a"}]}', "there is no queue 'a'"),
        (b'{"commands": [{"command": "moveQueue", "queue": "a", "to": "b"}]}', "no queue 'a'"),
        (b" " * 70_000, "a request has at most"),
        (
            json.dumps({"commands": [{}] * (CONTROL_COMMANDS_MAX + 1)}).encode(),
            "a request has at most",
        ),
    ],
)
def test_what_cannot_be_done_is_told(admin: Admin, payload: bytes, error: str) -> None:
    admin.peer.publish(TOPIC, payload, 1)
    assert error in admin.responses()[0]["error"]


def test_answers_carry_what_their_commands_carried(admin: Admin) -> None:
    admin.send(
        {"command": "createQueue", "queue": "a", "correlationData": "1"},
        {"command": "flyQueue", "correlationData": 2},
        {"command": "listQueues"},
    )
    first, second, third = admin.responses()
    assert first["correlationData"] == "1"
    assert second["correlationData"] == 2
    assert "error" in second
    assert third["data"]["totalCount"] == 1


def test_more_requests_than_can_wait_are_refused(admin: Admin) -> None:
    admin.do("createQueue", queue="jobs", settings="messages_max=0")
    fill(admin.world, "jobs", 10 * CONTROL_SLICE)
    admin.send({"command": "purgeQueue", "queue": "jobs"})
    for _ in range(CONTROL_REQUESTS_MAX):
        admin.send({"command": "listQueues"})
    assert "too many requests wait" in admin.responses()[0]["error"]
    admin.world.advance(0.5)
    assert len(admin.peer.messages()) == CONTROL_REQUESTS_MAX


def test_a_deleted_queue_ends_what_is_done_with_it(admin: Admin) -> None:
    admin.do("createQueue", queue="jobs", settings="messages_max=0")
    fill(admin.world, "jobs", 3 * CONTROL_SLICE)
    admin.send({"command": "purgeQueue", "queue": "jobs"})
    admin.world.broker.queues.delete("jobs", 0.0)
    admin.world.advance(0.5)
    assert "data" in admin.responses()[0]


def test_the_tree_tells_of_all_queues_together(admin: Admin) -> None:
    world = admin.world
    tree = SysTree(world.broker, "midge", 0.0)
    assert not [topic for topic, _ in tree.update(1.0) if "/queues/" in topic]
    fill(world, "a", 2)
    fill(world, "b", 3)
    told = dict(tree.update(2.0))
    assert told["$SYS/broker/midge/queues/count"] == "2"
    assert told["$SYS/broker/midge/queues/waiting"] == "5"


def test_a_moved_message_waits_as_long_as_it_was_to_wait(admin: Admin) -> None:
    extras = Properties(user=[("queue-delay", "60")])
    admin.peer.publish("$queue/old", b"later", 1, properties=extras)
    assert admin.do("moveQueue", queue="old", to="new") == {"moved": 1}
    worker = admin.world.connect("worker")
    worker.subscribe("$queue/new", 1)
    assert worker.messages() == []
    admin.world.advance(60.0)
    assert [message.payload for message in worker.messages()] == [b"later"]


def test_an_answer_has_an_end(admin: Admin) -> None:
    extras = Properties(user=[("k" * 60_000, "v"), *[("a", "b")] * 40])
    for _ in range(20):
        admin.peer.publish("$queue/jobs", b"x" * 10_000, 1, properties=extras)
    admin.send(*[{"command": "peekQueue", "queue": "jobs", "count": 100}] * 20)
    (message,) = admin.peer.messages()
    assert len(message.payload) < 600_000
    responses = json.loads(message.payload)["responses"]
    assert len(responses) == 20
    shown = responses[0]["data"]["messages"][0]
    assert shown["cut"]
    assert len(shown["userProperties"]) == 16
    assert "too large already" in responses[-1]["error"]


def test_a_queue_with_consumers_is_removed_only_by_force(admin: Admin) -> None:
    world = admin.world
    worker = world.connect("worker")
    worker.subscribe("$queue/jobs", 1)
    fill(world, "jobs", 3)
    world.settle()
    error = admin.ask("deleteQueue", queue="jobs")["error"]
    assert error == "jobs has consumers: client worker; with force they are disconnected"
    assert len(worker.messages(acknowledge=False)) == 3
    assert admin.do("deleteQueue", queue="jobs", force=True) == {"removed": 3}
    assert worker.expect(p.Disconnect).reason == Reason.ADMINISTRATIVE_ACTION
    assert worker.closed
    assert world.broker.queues.get("jobs") is None


@pytest.mark.parametrize("version", [4, 5])
def test_who_comes_back_after_its_queue_was_removed_has_to_subscribe_again(version: int) -> None:
    store = MemoryStore()
    admin = Admin(World(store=store))
    world = admin.world
    extras = Properties.of(session_expiry_interval=3600) if version == 5 else None

    def connect() -> Peer:
        return world.connect("worker", version=version, clean_start=False, properties=extras)

    worker = connect()
    worker.subscribe("$queue/jobs", 1)
    admin.do("deleteQueue", queue="jobs", force=True)
    assert worker.closed
    worker = connect()
    assert worker.connack is not None
    assert worker.connack.session_present
    session = world.broker.sessions.get("worker")
    assert session is not None
    assert not session.subscriptions
    worker.subscribe("$queue/jobs", 1)
    fill(world, "jobs", 1)
    world.settle()
    assert len(worker.messages()) == 1
    again = World(store=store)
    queue = again.broker.queues.get("jobs")
    assert queue is not None
    assert len(queue.consumers) == 1


def test_a_consumer_that_is_away_counts_until_it_is_forced_out(admin: Admin) -> None:
    world = admin.world
    worker = world.connect("w", properties=Properties.of(session_expiry_interval=3600))
    worker.subscribe("$queue/jobs", 1)
    worker.drop()
    assert "jobs has consumers" in admin.ask("deleteQueue", queue="jobs")["error"]
    assert admin.do("deleteQueue", queue="jobs", force=True) == {"removed": 0}
    session = world.broker.sessions.get("w")
    assert session is not None
    assert not session.subscriptions
    assert world.broker.router.subscriptions.count == 1  # the admin's


def test_a_removed_queue_is_let_go_of_a_slice_at_a_time(admin: Admin) -> None:
    world = admin.world
    admin.do("createQueue", queue="jobs", settings="messages_max=0")
    fill(world, "jobs", 3 * SLICE_ENTRIES)
    queue = world.broker.queues.get("jobs")
    assert queue is not None
    left = queue.ready
    admin.send({"command": "deleteQueue", "queue": "jobs"})
    assert admin.responses()[0]["data"] == {"removed": 3 * SLICE_ENTRIES}
    assert len(left.fifo) == 2 * SLICE_ENTRIES
    assert len(world.broker.queues.remains) == 1
    world.advance(0.5)
    assert len(left.fifo) == 0
    assert len(world.broker.queues.remains) == 0


class OnlyReads(Authorizer):
    """Lets everything pass but the delivery of what ``barred`` names."""

    def __init__(self, barred: str) -> None:
        self.barred = barred

    def authorize(self, identity: Identity, action: int, topic: str) -> Decision:
        return Decision(DENY) if action == DELIVER and topic == self.barred else ALLOWED


def test_who_may_not_read_the_answers_gets_none() -> None:
    world = World(authorizer=OnlyReads(RESPONSE))
    admin = Admin(world)
    admin.send({"command": "createQueue", "queue": "jobs"})
    assert world.broker.queues.get("jobs") is not None  # to write there is another right
    admin.peer.expect_nothing()
    world.broker.set_rules(None, None)
    assert admin.do("listQueues")["totalCount"] == 1


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_orders_are_taken_while_the_memory_is_full(version: int, qos: int) -> None:
    world = World()
    fill(world, "jobs", 5)
    peer = world.connect("admin", version=version)
    peer.subscribe(RESPONSE)
    world.broker.metrics.memory_full = True
    peer.publish(TOPIC, b'{"commands": [{"command": "purgeQueue", "queue": "jobs"}]}', qos)
    (message,) = peer.messages()
    assert json.loads(message.payload)["responses"][0]["data"] == {"removed": 5}


def test_orders_are_taken_while_the_disk_fails() -> None:
    world = World(store=MemoryStore())
    admin = Admin(world)
    fill(world, "jobs", 5)
    world.settle()
    assert world.broker.keeper is not None
    world.broker.keeper.journal.failing = True
    assert admin.do("purgeQueue", queue="jobs") == {"removed": 5}


@pytest.mark.parametrize("before", ["true", "false"])
def test_a_queue_that_is_empty_may_move_onto_the_disk_and_off_it(before: str) -> None:
    store = MemoryStore()
    admin = Admin(World(store=store))
    after = "false" if before == "true" else "true"
    admin.do("createQueue", queue="jobs", settings=f"durable={before}")
    fill(admin.world, "jobs", 2)
    error = admin.ask("createQueue", queue="jobs", settings=f"durable={after}")["error"]
    assert f"jobs has durable={before}, which can be changed while it is empty only" in error
    assert "2 messages" in error
    assert admin.do("getQueue", queue="jobs")["durable"] == (before == "true")
    admin.do("purgeQueue", queue="jobs")
    admin.do("createQueue", queue="jobs", settings=f"durable={after}")
    fill(admin.world, "jobs", 3)
    admin.world.settle()
    found = World(store=store).broker.queues.get("jobs")
    if after == "true":
        assert found is not None
        assert found.waiting == 3
    else:
        assert found is None


@pytest.mark.source_only("it replaces what compiled code does not look up again")
@pytest.mark.parametrize("order", ["purgeQueue", "moveQueue"])
def test_no_more_is_emptied_than_the_disk_can_follow(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midge.broker.keeper.STORE_PENDING_ROWS", CONTROL_SLICE)
    world = World(store=MemoryStore())
    admin = Admin(world)
    admin.do("createQueue", queue="jobs", settings="messages_max=0")
    admin.do("createQueue", queue="other", settings="messages_max=0")
    for _ in range(5):
        fill(world, "jobs", CONTROL_SLICE)
        world.settle()
    queue = world.broker.queues.get("jobs")
    assert queue is not None
    world.committing = False
    admin.send({"command": order, "queue": "jobs", "to": "other"})
    world.advance(0.5)
    assert queue.waiting >= 2 * CONTROL_SLICE
    admin.peer.expect_nothing()
    world.committing = True
    world.advance(0.5)
    assert queue.waiting == 0
    (response,) = admin.responses()
    assert 5 * CONTROL_SLICE in response["data"].values()


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_an_order_that_the_disk_cannot_take_is_answered() -> None:
    world = World(store=MemoryStore())
    admin = Admin(world)
    fill(world, "jobs", 5 * CONTROL_SLICE)
    world.settle()
    assert world.broker.keeper is not None
    world.committing = False
    world.broker.keeper.journal.failing = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("midge.broker.keeper.STORE_PENDING_ROWS", 1)
        error = admin.ask("purgeQueue", queue="jobs")["error"]
    assert (
        error == f"the store cannot be written; {CONTROL_SLICE} messages were taken out until then"
    )
