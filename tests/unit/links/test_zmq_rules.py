"""What ZeroMQ peers may: the rules go for them as for MQTT clients, and new rules at once."""

from __future__ import annotations

import pytest

from midge.auth.acl_file import AclFile, parse
from midge.auth.base import ALLOWED, PASS, PUBLISH, Authorizer, Decision, Identity, Pending, deny
from midge.auth.chain import AuthenticatorChain
from midge.limits import ZMQ_REFUSED_S
from midge.links.zmq import ZmqLink
from midge.links.zmq_place import Place
from midge.mqtt.properties import Properties
from midge.testing.pair import World
from midge.zmtp import events as ev
from midge.zmtp.connection import Connection
from midge.zmtp.frames import encode_message
from midge.zmtp.settings import NULL, PLAIN, Settings
from midge.zmtp.sockets import ANY


def acl(text: str) -> AclFile:
    return AclFile(parse(text, "acl")[0])


class Door:
    """Everybody is who he says, with any password."""

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        return ALLOWED if client.username else Decision(PASS, "no name")


class ZmqPeer:
    """The peer's end of one connection."""

    def __init__(self, there: World, kind: str, name: str = "") -> None:
        self.there = there
        mechanism = PLAIN if name else NULL
        zap = there.broker.authenticator is not None
        served = Settings(ANY, mechanism=mechanism, as_server=bool(name), zap=zap)
        now = there.clock.now()
        self.link = ZmqLink(
            there.broker, there.listener, Place(served, "jobs"), "127.0.0.1", 1, 2, now, bytes
        )
        said = Settings(kind, mechanism=mechanism, username=name.encode(), password=b"x")
        self.connection = Connection(said, now, random=bytes)
        self.got: list[ev.Received] = []
        self.exchange()

    def exchange(self) -> None:
        now = self.there.clock.now()
        while True:
            data = b"".join(self.connection.data_to_send())
            if data:
                self.link.receive_data(data, now)
            answer = b"".join(self.link.connection.data_to_send())
            if not data and not answer:
                return
            for event in self.connection.receive_data(answer, now):
                if isinstance(event, ev.Messages):
                    self.got += event.items

    def send(self, *frames: bytes) -> None:
        self.connection.send_multipart(frames)
        self.exchange()

    def received(self) -> list[ev.Received]:
        self.exchange()
        got, self.got = self.got, []
        return got


def published(there: World) -> list[str]:
    """What of the topics ``a`` and ``b`` the reader got."""
    there.settle()
    return [message.topic for message in there.peers[0].messages()]


def with_reader(there: World) -> World:
    reader = there.connect("r", username="reader")
    for filter in ("a", "b", "$SYS/x", "$reply/#"):
        reader.subscribe(filter)
    return there


READER = "user reader\ntopic read #\ntopic read $SYS/#\ntopic read $reply/#\n"


def test_nobody_without_a_name_comes_in_where_such_are_not_let_in() -> None:
    there = World(authenticator=AuthenticatorChain([Door()]), allow_anonymous=False)
    refused = ZmqPeer(there, "PUB").link
    assert (refused.role, refused.end_reason) == (None, 0x87)
    assert refused.is_held()
    there.advance(ZMQ_REFUSED_S - 0.1)  # closed at once, it would not see that it was refused
    assert not refused.closing
    there.advance(0.2)
    assert refused.closing
    assert ZmqPeer(there, "PUB", "bob").link.role is not None
    open_house = World(authenticator=AuthenticatorChain([Door()]), allow_anonymous=True)
    assert ZmqPeer(open_house, "PUB").link.role is not None


def test_new_rules_count_at_once_for_what_a_pub_sends() -> None:
    there = with_reader(World(authorizer=acl(f"{READER}user bob\ntopic a\n"), authenticator=Door()))
    pub = ZmqPeer(there, "PUB", "bob")
    pub.send(b"a", b"1")
    pub.send(b"b", b"2")
    assert published(there) == ["a"]
    there.broker.set_rules(Door(), acl(f"{READER}user bob\ntopic b\n"))
    pub.send(b"a", b"3")
    pub.send(b"b", b"4")
    assert published(there) == ["b"]
    pub.link.receive_eof(there.clock.now())
    assert not there.broker.guests


def test_an_answer_that_comes_after_new_rules_does_not_count() -> None:
    later = Later()
    there = with_reader(World(authorizer=later, authenticator=Door()))
    pub = ZmqPeer(there, "PUB", "bob")
    pub.send(b"a", b"1")
    there.broker.set_rules(Door(), acl(f"{READER}user bob\ntopic b\n"))
    later.pending.settle(ALLOWED, there.clock.now())
    there.broker.released.clear()
    assert published(there) == []


def test_an_answer_that_is_not_by_rules_alone_is_asked_for_each_time() -> None:
    class Once(Authorizer):
        asked = 0

        def authorize(self, client: Identity, action: int, topic: str) -> Decision:
            self.asked += action == PUBLISH
            return ALLOWED if self.asked < 2 or action != PUBLISH else deny("no more")

    there = with_reader(World(authorizer=Once(), authenticator=Door()))
    pub = ZmqPeer(there, "PUB", "bob")
    for _ in range(3):
        pub.send(b"a", b"1")
    assert published(there) == ["a"]


def test_with_new_rules_a_pull_that_may_not_read_its_queue_is_shown_out() -> None:
    allowed = "user bob\ntopic read $queue/jobs\n"
    there = World(authorizer=acl(allowed), authenticator=Door())
    pull = ZmqPeer(there, "PULL", "bob")
    assert not pull.link.closing
    there.broker.set_rules(Door(), acl(allowed))
    assert pull.link not in there.broker.ending
    there.broker.set_rules(Door(), acl("user bob\ntopic read a\n"))
    assert pull.link in there.broker.ending


@pytest.mark.parametrize("kind", ["PULL", "REP", "PUSH", "REQ"])
def test_nobody_makes_queues_who_may_not_use_them(kind: str) -> None:
    there = World(authorizer=acl("user bob\ntopic a\n"), authenticator=Door())
    peer = ZmqPeer(there, kind, "bob")
    assert peer.link.end_reason == 0x87
    assert len(there.broker.queues) == 0


class Later(Authorizer):
    """Who wants to publish waits for the answer."""

    def __init__(self) -> None:
        self.pending = Pending()

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        return self.pending if action == PUBLISH else ALLOWED


@pytest.mark.parametrize("kind", ["PUSH", "REQ", "DEALER"])
@pytest.mark.parametrize("answer", [ALLOWED, deny("no")])
def test_who_waits_for_the_answer_whether_it_may_makes_no_queue_until_then(
    kind: str, answer: Decision
) -> None:
    later = Later()
    there = World(authorizer=later, authenticator=Door())
    peer = ZmqPeer(there, kind, "bob")
    assert peer.link.is_held()
    peer.link.receive_data(encode_message([b"", b"early"]), there.clock.now())
    assert len(there.broker.queues) == 0
    first, later.pending = later.pending, Pending()
    first.settle(answer, there.clock.now())
    if answer is ALLOWED:
        assert peer.link.is_held()  # the message is asked about as well
        later.pending.settle(ALLOWED, there.clock.now())
        assert there.broker.queues.need("jobs").waiting == 1
        assert peer.link.dropped == {}
    else:
        assert peer.link.end_reason == 0x87
        assert len(there.broker.queues) == 0
    peer.link.receive_eof(there.clock.now())
    assert not there.broker.guests


def test_new_rules_decide_also_about_a_queue_that_was_asked_for_before() -> None:
    later = Later()
    there = World(authorizer=later, authenticator=Door())
    push = ZmqPeer(there, "PUSH", "bob")
    there.broker.set_rules(Door(), acl("user bob\ntopic a\n"))
    later.pending.settle(ALLOWED, there.clock.now())
    assert push.link.end_reason == 0x87
    assert len(there.broker.queues) == 0


@pytest.mark.parametrize("kind", ["PULL", "REP", "PUSH", "REQ"])
def test_who_is_turned_away_is_closed_after_a_while_since_it_comes_again_at_once(kind: str) -> None:
    there = World(authorizer=acl("user bob\ntopic a\n"), authenticator=Door())
    link = ZmqPeer(there, kind, "bob").link
    assert link.is_held()
    assert not link.closing
    link.receive_data(encode_message([b"", b"what?"]), there.clock.now())
    there.advance(ZMQ_REFUSED_S - 0.1)
    assert not link.closing
    there.advance(0.2)
    assert link.closing
    link.receive_eof(there.clock.now())
    assert not there.broker.guests


def test_who_was_turned_away_is_closed_at_once_when_there_are_new_rules() -> None:
    there = World(authorizer=acl("user bob\ntopic a\n"), authenticator=Door())
    link = ZmqPeer(there, "PUSH", "bob").link
    there.broker.set_rules(Door(), acl("user bob\ntopic $queue/jobs\n"))
    assert link in there.broker.ending


@pytest.mark.parametrize("topic", ["$SYS/x", "$reply/gone", "a"])
def test_a_worker_replies_where_it_may_whatever_was_asked_for(topic: str) -> None:
    rules = f"{READER}user bob\ntopic read $queue/jobs\nuser boss\ntopic write $queue/jobs\n"
    there = with_reader(World(authorizer=acl(rules), authenticator=Door()))
    worker = ZmqPeer(there, "REP", "bob")
    boss = there.connect("boss", username="boss")
    boss.publish("$queue/jobs", b"what?", 1, properties=Properties.of(response_topic=topic))
    assert worker.received()
    worker.send(b"", b"that")
    assert published(there) == []


def test_a_reply_never_goes_to_a_topic_of_the_broker_s_own() -> None:
    there = World()
    reader = there.connect("r")
    reader.subscribe("$SYS/x")
    worker = ZmqPeer(there, "REP")
    reader.publish("$queue/jobs", b"what?", 1, properties=Properties.of(response_topic="$SYS/x"))
    assert worker.received()
    worker.send(b"", b"that")
    assert reader.messages() == []


def test_what_comes_while_an_answer_is_waited_for_follows_it_in_order() -> None:
    class Later(Authorizer):
        pending = Pending()

        def authorize(self, client: Identity, action: int, topic: str) -> Decision:
            return self.pending if action == PUBLISH and topic == "a" else ALLOWED

    later = Later()
    there = with_reader(World(authorizer=later, authenticator=Door()))
    pub = ZmqPeer(there, "PUB", "bob")
    for topic in (b"a", b"b", b"b"):
        pub.connection.send_multipart([topic, b"1"])  # all in one chunk
    pub.exchange()
    assert pub.link.is_held()
    assert published(there) == []
    later.pending.settle(ALLOWED, there.clock.now())
    assert not pub.link.is_held()
    there.broker.released.clear()
    assert published(there) == ["a", "b", "b"]


def test_what_can_be_no_topic_is_dropped_and_counted() -> None:
    there = with_reader(World())
    pub = ZmqPeer(there, "PUB")
    pub.send(b"\xfe" * 30_000, b"1")  # its spelling is longer than any topic
    pub.send(b"$SYS/x", b"2")
    pub.send(b"a", b"3")
    assert published(there) == ["a"]
    assert pub.link.dropped == {"topic too long": 1, "not to publish to": 1}
