"""What somebody with an account tries in order to get more than the rules give."""

from __future__ import annotations

import pytest

from midge.auth.acl_file import AclFile, parse
from midge.auth.base import (
    ALLOWED,
    PUBLISH,
    SUBSCRIBE,
    WILL,
    Authorizer,
    Decision,
    Identity,
    Pending,
    deny,
)
from midge.mqtt import packets as p
from midge.mqtt.properties import SESSION_EXPIRY_INTERVAL, Properties
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World

REFUSED = int(Reason.NOT_AUTHORIZED)
FOREVER = Properties({SESSION_EXPIRY_INTERVAL: 100})


def acl(text: str) -> AclFile:
    return AclFile(parse(text, "acl")[0])


def world(text: str) -> World:
    return World(authorizer=acl(text))


def topics_of(peer: Peer) -> list[str]:
    return [message.topic for message in peer.messages()]


# -- queues and groups ---------------------------------------------------------------------------

JOBS = "user boss\ntopic readwrite $queue/jobs\nuser worker\ntopic read $queue/jobs\n"


def test_nobody_takes_from_a_queue_that_he_may_not_read() -> None:
    there = world(JOBS)
    boss = there.connect("boss", username="boss")
    thief = there.connect("thief", username="thief")
    assert thief.subscribe("$queue/jobs", 1).reasons == [REFUSED]
    assert isinstance(boss.publish("$queue/jobs", b"x", 1)[0], p.Puback)
    assert topics_of(thief) == []
    worker = there.connect("worker", username="worker")
    assert worker.subscribe("$queue/jobs", 1).reasons == [1]
    assert topics_of(worker) == ["$queue/jobs"]


def test_nobody_makes_queues_who_may_not_use_them() -> None:
    there = world(JOBS)
    thief = there.connect("thief", username="thief")
    for number in range(3):
        thief.publish(f"$queue/own{number}", b"x", 1)
        thief.publish(f"$queue/own{number}", b"x", 0)
        thief.subscribe(f"$queue/own{number}")
    assert len(there.broker.queues) == 0


def test_with_new_rules_who_may_not_read_a_queue_takes_no_more_of_it() -> None:
    there = world(JOBS)
    boss = there.connect("boss", username="boss")
    worker = there.connect("worker", username="worker", properties=FOREVER)
    assert worker.subscribe("$queue/jobs", 1).reasons == [1]
    there.broker.set_rules(None, acl("user boss\ntopic $queue/jobs\n"))
    boss.publish("$queue/jobs", b"x", 1)
    assert topics_of(worker) == []
    worker.drop()
    again = there.connect("worker", username="worker", clean_start=False, properties=FOREVER)
    assert topics_of(again) == []
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    assert queue.waiting == 1


def test_what_waits_for_a_group_is_not_given_to_a_newcomer_who_may_not_have_it() -> None:
    there = world("topic #\nuser a\ntopic read #\nuser b\ntopic read open\n")
    member = there.connect("a", username="a", clean_start=False, properties=FOREVER)
    assert member.subscribe("$share/g/#", 1).reasons == [1]
    member.drop()
    sender = there.connect("sender")
    for topic in ("secret", "open", "secret/2"):
        sender.publish(topic, b"x", 1)
    newcomer = there.connect("b", username="b")
    assert newcomer.subscribe("$share/g/#", 1).reasons == [1]
    assert topics_of(newcomer) == ["open"]
    member = there.connect("a", username="a", clean_start=False, properties=FOREVER)
    assert topics_of(member) == ["secret", "secret/2"]
    assert there.broker.metrics.dropped_no_member == 0


def test_what_waits_for_a_group_in_which_nobody_may_have_it_any_more_is_counted() -> None:
    there = world("topic #\nuser a\ntopic read #\n")
    member = there.connect("a", username="a", clean_start=False, properties=FOREVER)
    member.subscribe("$share/g/#", 1)
    member.drop()
    sender = there.connect("sender")
    for topic in ("secret", "open"):
        sender.publish(topic, b"x", 1)
    there.broker.set_rules(None, acl("user a\ntopic read open\n"))
    member = there.connect("a", username="a", clean_start=False, properties=FOREVER)
    assert topics_of(member) == ["open"]
    assert there.broker.metrics.dropped_no_member == 1


# -- topics that are not asked about ------------------------------------------------------------


@pytest.mark.parametrize("retain", [False, True])
def test_topics_of_replies_that_nobody_waits_for_are_topics_like_others(retain: bool) -> None:
    there = world("user reader\ntopic read $reply/#\n")
    reader = there.connect("r", username="reader")
    reader.subscribe("$reply/#", 1)
    thief = there.connect("thief", username="thief")
    (answer,) = thief.publish("$reply/covert", b"x", 1, retain=retain)
    assert isinstance(answer, p.Puback)
    assert answer.reason == REFUSED
    assert topics_of(reader) == []
    assert len(there.broker.router.retained) == 0


# -- decisions that come when the rules are others ----------------------------------------------


class Later(Authorizer):
    """Everybody may do everything, but hears of it later; what is given is given at once."""

    def __init__(self) -> None:
        self.open: list[Pending] = []

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        if action not in (PUBLISH, SUBSCRIBE, WILL):
            return ALLOWED
        self.open.append(Pending())
        return self.open[-1]

    def answer(self, there: World) -> None:
        while self.open:
            pending = self.open.pop(0)
            if pending.settled is None:
                pending.settle(ALLOWED, there.clock.now())
            there.settle()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_publish_that_waits_for_its_answer_is_judged_by_the_rules_of_then(qos: int) -> None:
    later = Later()
    there = World(authorizer=later)
    writer = there.connect("w")
    writer.send(
        p.Publish("t", b"x", qos, retain=True, packet_id=1 if qos else 0),
        p.Publish("open", b"x", 0, retain=True),
    )
    there.broker.set_rules(None, acl("topic write open"))
    later.answer(there)
    assert there.broker.router.retained.get("t") is None
    assert there.broker.router.retained.get("open") is not None
    if qos:
        (answer,) = writer.take()
        assert answer.reason == REFUSED  # type: ignore[attr-defined]


def test_a_publish_whose_rules_have_gone_meanwhile_is_let_pass() -> None:
    later = Later()
    there = World(authorizer=later)
    writer = there.connect("w")
    writer.send(p.Publish("t", b"x", retain=True))
    there.broker.set_rules(None, None)
    later.answer(there)
    assert there.broker.router.retained.get("t") is not None


@pytest.mark.parametrize("mount", [None, "m/"])
def test_a_subscription_that_waits_for_its_answer_is_judged_by_the_rules_of_then(
    mount: str | None,
) -> None:
    later = Later()
    there = World(authorizer=later, mount_point=mount)
    reader = there.connect("r")
    reader.send(p.Subscribe(1, [p.SubscribeTo("a", 1), p.SubscribeTo("b", 1)]))
    later.open[0].settle(ALLOWED, there.clock.now())
    place = mount or ""
    rules = parse(f"topic read {place}b", "acl")[0]
    there.broker.set_rules(None, AclFile(rules, refuse_subscribe=True))
    later.answer(there)
    assert reader.expect(p.Suback).reasons == [REFUSED, 1]
    session = there.broker.sessions.get("r")
    assert session is not None
    assert list(session.subscriptions) == [f"{place}b"]


def test_a_will_that_waits_for_its_answer_is_judged_by_the_rules_of_then() -> None:
    later = Later()
    there = World(authorizer=later)
    writer = there.connect("w", will=p.Will("t", b"x"))
    there.broker.set_rules(None, acl("topic read #"))
    later.answer(there)
    session = there.broker.sessions.get("w")
    assert session is not None
    assert session.will is None
    assert writer.link is not None


class Door:
    """Lets in whoever has one of its names; says so later."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.open: list[tuple[Pending, str | None]] = []

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        pending = Pending()
        self.open.append((pending, client.username))
        return pending

    def answer(self, there: World) -> None:
        for pending, name in self.open:
            decision = ALLOWED if name in self.names else deny("no")
            pending.settle(decision, there.clock.now())
        self.open.clear()
        there.settle()


@pytest.mark.parametrize("name", ["old", "both"])
def test_who_waits_at_the_door_is_let_in_by_the_passwords_of_then(name: str) -> None:
    before, after = Door("old", "both"), Door("both")
    there = World(authenticator=before)
    client = there.peer()
    client.send(p.Connect("c", 5, True, 60, username=name, password=b"x"))
    there.broker.set_rules(after, None)
    before.answer(there)
    client.expect_nothing()
    after.answer(there)
    reason = client.expect(p.Connack).reason
    assert reason == (0 if name == "both" else REFUSED)
