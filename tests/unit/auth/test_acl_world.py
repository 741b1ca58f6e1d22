"""ACL files on a whole broker core: what a client is given is what its rules let it read.

Whatever way a message takes (as it comes, retained, as a will, through a shared subscription, out
of a queue), and whatever way a client takes (wildcards, names with wildcards and slashes in them).
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.auth.acl_file import AclFile, parse
from midge.auth.base import ALLOWED, DELIVER, PUBLISH, SUBSCRIBE, Decision, Identity, Pending, deny
from midge.broker.hooks import Hooks
from midge.limits import LINK_TOPICS_MAX
from midge.mqtt import packets as p
from midge.mqtt.properties import SESSION_EXPIRY_INTERVAL, Properties
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.unit.auth import acl_model as model


def world(text: str, *, refuse_subscribe: bool = False, **named: object) -> World:
    rules, _ = parse(text, "acl")
    return World(authorizer=AclFile(rules, refuse_subscribe), **named)  # type: ignore[arg-type]


def topics_of(peer: Peer) -> list[str]:
    return [message.topic for message in peer.messages()]


class Denials(Hooks):
    """Remembers what was refused."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []

    def denied(self, client_id: str, action: str, topic: str, text: str) -> None:
        self.heard.append((client_id, action, topic))


# -- against the model ----------------------------------------------------------------------

LEVELS = ("a", "b", "v", "in")
NAMES = ("v", "v/in", "in", "a", "+", "#", "v+")
LEVEL = st.sampled_from([*LEVELS, "+", "%c", "%u"])
FILTERS = st.builds(
    lambda levels, deep: "/".join([*levels, "#"] if deep else levels),
    st.lists(LEVEL, min_size=1, max_size=2),
    st.booleans(),
)
LINES = st.lists(
    st.one_of(
        st.tuples(st.just("user"), st.sampled_from(NAMES)),
        st.tuples(
            st.sampled_from(["topic", "pattern"]), st.sampled_from(list(model.GRANTS)), FILTERS
        ),
    ),
    min_size=1,
    max_size=8,
)
SUBSCRIPTIONS = st.sampled_from(["#", "+/#", "v/#", "a/+", "+", "+/in", "v/in", "a"])
TOPICS = st.lists(st.sampled_from(LEVELS), min_size=1, max_size=2).map("/".join)


@settings(max_examples=250, deadline=None)
@given(
    lines=LINES,
    writer=st.tuples(st.sampled_from(NAMES), st.sampled_from([None, *NAMES])),
    reader=st.tuples(st.sampled_from(NAMES), st.sampled_from([None, *NAMES])),
    filter=SUBSCRIPTIONS,
    way=st.sampled_from(["live", "retained", "will", "shared", "queued"]),
    topics=st.lists(TOPICS, min_size=1, max_size=4, unique=True),
    fast_lane=st.booleans(),
)
def test_exactly_what_the_rules_allow_gets_through(
    lines: list[model.Line],
    writer: tuple[str, str | None],
    reader: tuple[str, str | None],
    filter: str,
    way: str,
    topics: list[str],
    fast_lane: bool,
) -> None:
    there = world(model.text_of(lines), fast_lane=fast_lane)
    allowed = [
        topic
        for topic in topics
        if model.covers(filter, topic)
        and model.may(lines, writer[0], writer[1], "w", topic)
        and model.may(lines, reader[0], reader[1], "r", topic)
    ]
    if writer[0] == reader[0]:
        return  # one client id, one connection
    forever = Properties({SESSION_EXPIRY_INTERVAL: 100})
    if way != "retained":
        client = there.connect(reader[0], username=reader[1], clean_start=False, properties=forever)
        assert client.subscribe(f"$share/g/{filter}" if way == "shared" else filter, 1).reasons == [
            1
        ]
        if way == "queued":
            client.disconnect()
    for topic in topics:
        will = p.Will(topic, b"x", 1) if way == "will" else None
        sender = there.connect(writer[0], username=writer[1], will=will)
        assert sender.connack is not None
        assert sender.connack.reason == 0
        if will is None:
            answer = sender.publish(topic, b"x", 1, retain=way == "retained")[0]
            assert isinstance(answer, p.Puback)
            if not model.may(lines, writer[0], writer[1], "w", topic):
                assert answer.reason == Reason.NOT_AUTHORIZED
        sender.drop()
    if way in ("retained", "queued"):
        client = there.connect(reader[0], username=reader[1], clean_start=False, properties=forever)
        if way == "retained":
            assert client.subscribe(filter, 1).reasons == [1]
    assert sorted(topics_of(client)) == sorted(allowed)


# -- the documented hole ----------------------------------------------------------------------


@pytest.mark.parametrize("client_id", ["v/in", "v/#", "+", "#", "v/", "+/in"])
@pytest.mark.parametrize("placeholder", ["%c", "%u"])
def test_nobody_names_himself_into_the_subtree_of_v(client_id: str, placeholder: str) -> None:
    there = world(f"pattern readwrite dev/{placeholder}/#")
    victim = there.connect("v", username="v")
    victim.subscribe("dev/v/#")
    thief = there.connect(client_id, username=client_id)
    for filter in ("#", "dev/#", "dev/v/#", "dev/v/in/#", f"dev/{client_id}"):
        if filter.count("#") <= 1 and "#/" not in filter:
            thief.subscribe(filter)
    victim.publish("dev/v/in/secret", b"mine")
    assert topics_of(victim) == ["dev/v/in/secret"]
    thief.expect_nothing()
    thief.publish("dev/v/in/secret", b"forged")
    thief.publish("dev/v/in", b"forged")
    victim.expect_nothing()


# -- one by one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_publish_that_is_refused_is_acknowledged_as_its_version_can(
    qos: int, version: int
) -> None:
    hooks = Denials()
    there = world("topic read #\nuser w\ntopic write a", hooks=hooks)
    reader = there.connect("reader")
    reader.subscribe("#")
    writer = there.connect("writer", username="w", version=version)
    answers = writer.publish("b", b"x", qos)
    if qos:
        assert answers[0].reason == (Reason.NOT_AUTHORIZED if version == 5 else 0)  # type: ignore[attr-defined]
    reader.expect_nothing()
    assert hooks.heard == [("writer", "publish", "b")]
    writer.publish("a", b"x", qos)
    assert topics_of(reader) == ["a"]


def test_a_refused_retained_message_neither_replaces_nor_clears_the_old_one() -> None:
    there = world("topic read #\nuser w\ntopic write a")
    there.connect("w", username="w").publish("a", b"kept", retain=True)
    stranger = there.connect("s")
    stranger.publish("a", b"forged", retain=True)
    stranger.publish("a", b"", retain=True)
    reader = there.connect("r")
    reader.subscribe("a")
    assert [message.payload for message in reader.messages()] == [b"kept"]


@pytest.mark.parametrize("check_retain_source", [True, False])
def test_a_retained_message_is_given_only_while_its_publisher_may_still_write(
    check_retain_source: bool,
) -> None:
    there = world(
        "topic read #\nuser w\ntopic write a\ntopic write b",
        check_retain_source=check_retain_source,
    )
    writer = there.connect("w", username="w")
    writer.publish("a", b"x", retain=True)
    writer.publish("b", b"x", retain=True)
    writer.disconnect()
    rules, _ = parse("topic read #\nuser w\ntopic write b", "acl")
    there.broker.set_rules(None, AclFile(rules))
    reader = there.connect("r")
    reader.subscribe("#")
    assert sorted(topics_of(reader)) == (["b"] if check_retain_source else ["a", "b"])


def test_a_will_that_may_not_be_published_does_not_keep_its_client_out() -> None:
    hooks = Denials()
    there = world("topic read #\nuser w\ntopic write ok", hooks=hooks)
    reader = there.connect("r")
    reader.subscribe("#")
    for topic in ("bad", "ok"):
        client = there.connect("w", username="w", will=p.Will(topic, b"x"))
        assert client.connack is not None
        assert client.connack.reason == 0
        client.drop()
    assert topics_of(reader) == ["ok"]
    assert hooks.heard == [("w", "will", "bad")]


def test_a_will_is_judged_by_the_rules_of_the_day_on_which_it_is_published() -> None:
    there = world("topic readwrite #")
    reader = there.connect("r")
    reader.subscribe("#")
    client = there.connect("w", will=p.Will("last", b"x"))
    there.broker.set_rules(None, AclFile(parse("topic read #", "acl")[0]))
    client.drop()
    reader.expect_nothing()


def test_a_shared_subscription_passes_over_those_who_may_not_have_the_message() -> None:
    there = world("topic #\nuser blind\ntopic write #")
    seeing = there.connect("s")
    blind = [there.connect(f"b{number}", username="blind") for number in range(3)]
    for member in (*blind, seeing):
        member.subscribe("$share/g/t/#")
    sender = there.connect("p")
    for number in range(8):
        sender.publish(f"t/{number}", b"x")
    assert len(topics_of(seeing)) == 8
    assert not any(topics_of(member) for member in blind)
    seeing.disconnect()
    sender.publish("t/x", b"x")
    assert there.broker.metrics.dropped_no_member == 1


def test_new_rules_count_at_once_for_those_who_are_there() -> None:
    there = World()
    reader = there.connect("r")
    reader.subscribe("#")
    writer = there.connect("w")
    writer.publish("a/b")
    assert topics_of(reader) == ["a/b"]
    there.broker.set_rules(None, AclFile(parse("topic a/#\ntopic write b", "acl")[0]))
    for topic in ("a/b", "b", "c"):
        writer.publish(topic)
    assert topics_of(reader) == ["a/b"]
    there.broker.set_rules(None, None)
    for topic in ("a/b", "b", "c"):
        writer.publish(topic)
    assert topics_of(reader) == ["a/b", "b", "c"]


def test_what_was_queued_is_looked_at_again_when_the_client_comes_back() -> None:
    there = world("topic #")
    lasting = Properties({SESSION_EXPIRY_INTERVAL: 100})
    reader = there.connect("r", clean_start=False, properties=lasting)
    reader.subscribe("#", 1)
    reader.disconnect()
    writer = there.connect("w")
    for topic in ("open", "secret", "open2"):
        writer.publish(topic, b"x", 1)
    there.broker.set_rules(None, AclFile(parse("topic #\ntopic deny secret", "acl")[0]))
    reader = there.connect("r", clean_start=False, properties=lasting)
    assert topics_of(reader) == ["open", "open2"]
    session = there.broker.sessions.get("r")
    assert session is not None
    assert (session.outbox.queued_messages, session.outbox.queued_bytes) == (0, 0)
    assert there.broker.metrics.dropped_forbidden == 1


def test_nobody_inherits_the_session_of_another_user_by_its_client_id() -> None:
    there = world("topic #\nuser bob\ntopic #\nuser eve\ntopic #")
    lasting = Properties({SESSION_EXPIRY_INTERVAL: 100})
    bob = there.connect("c", username="bob", clean_start=False, properties=lasting)
    bob.subscribe("#", 1)
    bob.disconnect()
    there.connect("w").publish("private", b"for bob", 1)
    eve = there.connect("c", username="eve", clean_start=False, properties=lasting)
    assert eve.connack is not None
    assert not eve.connack.session_present
    there.connect("w").publish("private", b"for bob", 1)
    eve.expect_nothing()


@pytest.mark.parametrize("version", [4, 5])
def test_acl_refuse_subscribe_is_told_in_suback(version: int) -> None:
    there = world("topic read a/#", refuse_subscribe=True)
    client = there.connect("c", version=version)
    refused = Reason.NOT_AUTHORIZED if version == 5 else 0x80
    assert client.subscribe("a/+").reasons == [0]
    assert client.subscribe("b").reasons == [refused]
    assert client.subscribe("$share/g/b").reasons == [refused]
    assert client.subscribe("$share/g/a/b").reasons == [0]
    assert client.subscribe("#").reasons == [0]


# -- answers that come later ----------------------------------------------------------------------


class Later:
    """Answers when it is told to; ``secret`` is refused."""

    def __init__(self) -> None:
        self.open: list[tuple[Pending, str]] = []

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        if action == DELIVER:
            return ALLOWED
        pending = Pending()
        self.open.append((pending, topic))
        return pending

    def answer(self, there: World) -> None:
        """Answer until nobody asks any more."""
        while self.open:
            pending, topic = self.open.pop(0)
            pending.settle(deny("no") if "secret" in topic else ALLOWED, there.clock.now())
            there.settle()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_client_waits_for_its_answer_and_keeps_its_order(qos: int) -> None:
    later = Later()
    there = World(authorizer=later)
    reader = there.connect("r")
    reader.send(
        p.Subscribe(1, [p.SubscribeTo("t/#", 2), p.SubscribeTo("secret"), p.SubscribeTo("u")])
    )
    reader.expect_nothing()
    later.answer(there)
    assert reader.expect(p.Suback).reasons == [2, Reason.NOT_AUTHORIZED, 0]
    writer = there.connect("w")
    other = there.connect("o")
    packets = [
        p.Publish(f"t/{name}", b"x", qos, packet_id=number if qos else 0)
        for number, name in enumerate(("1", "secret", "2", "3"), 1)
    ]
    writer.send(*packets, p.Pingreq())
    writer.expect_nothing()
    other.send(p.Pingreq())
    other.expect(p.Pingresp)  # nobody else waits
    later.answer(there)
    assert topics_of(reader) == ["t/1", "t/2", "t/3"]
    answers = writer.take()
    assert isinstance(answers[-1], p.Pingresp)
    if qos:
        reasons = [one.reason for one in answers[:-1]]  # type: ignore[attr-defined]
        assert reasons == [0, Reason.NOT_AUTHORIZED, 0, 0]


def test_a_client_that_goes_while_it_waits_is_forgotten() -> None:
    later = Later()
    there = World(authorizer=later)
    reader = there.connect("r")
    reader.send(p.Subscribe(1, [p.SubscribeTo("#")]))
    later.answer(there)
    reader.take()
    writer = there.connect("w")
    writer.send(p.Publish("t", b"x"))
    writer.drop()
    later.answer(there)
    reader.expect_nothing()


def test_packets_that_wait_for_an_answer_are_counted_once() -> None:
    later = Later()
    there = World(authorizer=later)
    writer = there.connect("w")
    before = there.broker.metrics.packets_received
    writer.send(*(p.Publish(f"t/{number}", b"x", 1, packet_id=number) for number in range(1, 6)))
    later.answer(there)
    assert len(writer.take()) == 5
    assert there.broker.metrics.packets_received - before == 5


def test_an_answer_that_is_too_large_for_its_client_ends_that_client_alone() -> None:
    later = Later()
    there = World(authorizer=later)
    other = there.connect("o")
    small = there.connect("s", properties=Properties.of(maximum_packet_size=50))
    small.send(p.Subscribe(1, [p.SubscribeTo(f"t/{number}") for number in range(60)]))
    small.expect_nothing()
    later.answer(there)  # its SUBACK has more than 50 bytes
    assert small.closed
    other.send(p.Pingreq())
    other.expect(p.Pingresp)


def test_a_connack_that_comes_late_and_is_too_large_ends_its_client_alone() -> None:
    pending = Pending()

    class Late:
        def authenticate(self, client: Identity, password: bytes | None) -> Decision:
            return pending

    there = World(authenticator=Late())
    small = there.peer(5)
    properties = Properties.of(maximum_packet_size=5)
    small.send(p.Connect("", p.MQTT_5, True, 0, properties=properties))
    pending.settle(ALLOWED, there.clock.now())
    there.settle()
    assert small.closed
    assert len(there.broker.sessions) == 0


def test_a_will_waits_for_its_answer_without_keeping_its_client_waiting() -> None:
    later = Later()
    there = World(authorizer=later)
    reader = there.connect("r")
    reader.send(p.Subscribe(1, [p.SubscribeTo("#")]))
    later.answer(there)
    reader.take()
    for topic, heard in (("last", ["last"]), ("secret", [])):
        client = there.connect("w", will=p.Will(topic, b"x"))
        assert client.connack is not None
        later.answer(there)
        client.drop()
        later.open.clear()
        assert topics_of(reader) == heard


def test_a_client_is_shown_out_when_what_it_came_in_with_expires() -> None:
    class Brief:
        def authenticate(self, client: Identity, password: bytes | None) -> Decision:
            client.valid_until = 60.0
            return ALLOWED

    there = World(authenticator=Brief())
    start = there.clock.now()
    client = there.connect("c")
    there.advance(59.0 - start)
    client.expect_nothing()
    there.advance(1.0)
    assert client.expect(p.Disconnect).reason == Reason.NOT_AUTHORIZED
    assert client.closed


def test_subscribing_asks_about_the_filter_of_a_shared_subscription() -> None:
    asked: list[tuple[int, str]] = []

    class Notes:
        def authorize(self, client: Identity, action: int, topic: str) -> Decision:
            asked.append((action, topic))
            return ALLOWED

    World(authorizer=Notes()).connect("c").subscribe("$share/g/a/+")
    assert asked == [(SUBSCRIBE, "a/+")]


@pytest.mark.parametrize(
    "text", [None, "topic readwrite #\ntopic readwrite $SYS/#\ntopic $share/#"]
)
def test_of_sys_only_the_state_of_bridges_may_be_written_and_nothing_of_share(
    text: str | None,
) -> None:
    there = World() if text is None else world(text)
    reader = there.connect("r")
    reader.subscribe("$SYS/#")
    state = "$SYS/broker/connection/there.here/state"
    for topic in (state, "$SYS/broker/uptime", "$SYS/broker/connection/x/y", "$share/g/t"):
        client = there.connect("w", will=p.Will(topic, b"0"))
        assert client.connack is not None
        assert client.connack.reason == 0  # a bridge must come in, whatever its will is
        client.publish(topic, b"1")
        client.drop()
        expected = [b"1", b"0"] if topic == state else []
        assert [message.payload for message in reader.messages()] == expected


# -- the fast lane under rules ------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    lines=LINES,
    chunks=st.lists(
        st.lists(st.tuples(TOPICS, st.integers(1, 3)), min_size=1, max_size=5),
        min_size=1,
        max_size=5,
    ),
    later=LINES,
    changed_after=st.integers(0, 5),
)
def test_with_the_fast_lane_and_without_it_the_same_comes_through(
    lines: list[model.Line],
    chunks: list[list[tuple[str, int]]],
    later: list[model.Line],
    changed_after: int,
) -> None:
    heard: list[list[tuple[str, bytes]]] = []
    for fast_lane in (True, False):
        there = world(model.text_of(lines), fast_lane=fast_lane)
        reader = there.connect("r", username="v")
        reader.subscribe("#")
        writer = there.connect("in", username="a", version=4)
        count = 0
        for index, chunk in enumerate(chunks):
            if index == changed_after:
                there.broker.set_rules(None, AclFile(parse(model.text_of(later), "acl")[0]))
            packets = []
            for topic, repeats in chunk:
                for _ in range(repeats):
                    count += 1
                    packets.append(p.Publish(topic, b"%03d" % count))
            writer.send(*packets)
        heard.append([(message.topic, message.payload) for message in reader.messages()])
        allowed = []
        count = 0
        for index, chunk in enumerate(chunks):
            rules = later if index >= changed_after else lines
            for topic, repeats in chunk:
                for _ in range(repeats):
                    count += 1
                    if model.may(rules, "in", "a", "w", topic) and model.may(
                        rules, "r", "v", "r", topic
                    ):
                        allowed.append((topic, b"%03d" % count))
        assert heard[-1] == allowed


def test_what_was_allowed_once_takes_the_fast_lane_and_its_memory_has_an_end() -> None:
    there = world("topic #\ntopic deny no")
    reader = there.connect("r")
    reader.subscribe("#")
    writer = there.connect("w")
    asked: list[str] = []
    authorizer = there.broker.authorizer
    assert authorizer is not None
    real = authorizer.authorize

    class Counts:
        def authorize(self, client: Identity, action: int, topic: str) -> Decision:
            if action == PUBLISH:
                asked.append(topic)
            return real(client, action, topic)

    there.broker.set_rules(None, Counts())
    for _ in range(5):
        writer.publish("yes")
        writer.publish("no")
    assert asked.count("yes") == 1
    assert asked.count("no") == 5
    assert topics_of(reader) == ["yes"] * 5
    for number in range(LINK_TOPICS_MAX + 5):
        writer.publish(str(number))
    assert writer.link.allowed is not None
    assert len(writer.link.allowed) <= LINK_TOPICS_MAX
