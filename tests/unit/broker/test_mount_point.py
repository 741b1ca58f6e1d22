"""Mount points: what clients of such a listener share with others, and what they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.auth.acl_file import AclFile, parse
from midge.config.settings import ListenerSettings
from midge.limits import STRING_BYTES_MAX
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.store.memory import MemoryStore
from midge.testing.pair import Peer, World
from midge.topics.filters import matches
from tests.unit.topics.strategies import filters, topics

LASTING = Properties({props.SESSION_EXPIRY_INTERVAL: 0xFFFFFFFF})
ALIASES = {props.TOPIC_ALIAS_MAXIMUM: 10}


def connect(
    world: World, mount: str | None, client_id: str, *, clean_start: bool = True, **named: object
) -> Peer:
    """A client of a listener with a mount point; ``None``: without."""
    world.listener = ListenerSettings(mount_point=mount)
    return world.connect(client_id, clean_start=clean_start, **named)  # type: ignore[arg-type]


def got(peer: Peer) -> list[tuple[str, bytes]]:
    return [(message.topic, message.payload) for message in peer.messages()]


def names(peer: Peer) -> list[str]:
    return [message.topic for message in peer.messages()]


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("aliases", [False, True])
def test_the_prefix_is_there_for_all_others_and_for_nobody_below(
    version: int, qos: int, aliases: bool
) -> None:
    world = World()
    properties = Properties(dict(ALIASES)) if aliases and version == 5 else None
    outside = connect(world, None, "outside", version=version, properties=properties)
    below = connect(world, "m/", "below", version=version, properties=properties)
    other = connect(world, "n/", "other", version=version, properties=properties)
    for peer in (outside, below, other):
        peer.subscribe("#", qos)
    for _ in range(2):
        below.publish("a/b", b"from below", qos)
        outside.publish("m/c", b"from outside", qos)
        outside.publish("a/b", b"not for below", qos)
        other.publish("a/b", b"elsewhere", qos)
    assert got(below) == [("a/b", b"from below"), ("c", b"from outside")] * 2
    assert got(other) == [("a/b", b"elsewhere")] * 2
    assert (
        got(outside)
        == [
            ("m/a/b", b"from below"),
            ("m/c", b"from outside"),
            ("a/b", b"not for below"),
            ("n/a/b", b"elsewhere"),
        ]
        * 2
    )


@given(
    st.sampled_from(["m/", "m", "a/b/", "$x/"]),
    filters,
    st.lists(st.tuples(topics, st.booleans(), st.integers(0, 2)), max_size=6),
    st.sampled_from([4, 5]),
    st.integers(0, 2),
    st.booleans(),
)
def test_a_client_below_gets_what_its_filter_with_the_prefix_matches(
    mount: str,
    filter: str,
    published: list[tuple[str, bool, int]],
    version: int,
    qos: int,
    aliases: bool,
) -> None:
    world = World()
    properties = Properties(dict(ALIASES)) if aliases and version == 5 else None
    below = connect(world, mount, "below", version=version, properties=properties)
    taken = below.subscribe(filter, qos).reasons[0] < 0x80
    assert taken or not mount.endswith("/")
    publisher = connect(world, None, "publisher")
    expected: list[str] = []
    for topic, mounted, of_message in published:
        name = mount + topic if mounted else topic
        publisher.publish(name, b"x", of_message)
        if (
            taken
            and not name.startswith("$SYS")
            and matches(mount + filter, name)
            and name.startswith(mount)
            and name != mount
        ):
            expected.append(name[len(mount) :])
    assert names(below) == expected


def test_plain_packets_of_others_take_the_long_way_only_where_someone_below_hears_them() -> None:
    world = World()
    below = connect(world, "m/", "below")
    outside = connect(world, None, "outside")
    publisher = connect(world, None, "publisher")
    below.subscribe("t")
    outside.subscribe("+/t")
    assert not below.link.plain
    assert publisher.link.plain
    publisher.send(*[p.Publish("m/t", b"x"), p.Publish("n/t", b"x")] * 3)
    assert set(world.broker.router.plain_routes) == {b"n/t"}
    assert names(below) == ["t"] * 3
    assert sorted(names(outside)) == ["m/t"] * 3 + ["n/t"] * 3
    below.disconnect()
    publisher.send(p.Publish("m/t", b"x"))
    assert b"m/t" in world.broker.router.plain_routes


def test_a_client_that_is_away_does_not_make_its_topics_plain() -> None:
    world = World()
    below = connect(world, "m/", "below", properties=LASTING)
    below.subscribe("t")
    publisher = connect(world, None, "publisher")
    below.drop()
    publisher.send(p.Publish("m/t", b"1"))
    assert not world.broker.router.plain_routes
    below = connect(world, "m/", "below", clean_start=False, properties=LASTING)
    publisher.send(p.Publish("m/t", b"2"))
    assert got(below) == [("t", b"2")]


def test_retained_messages_are_kept_with_the_prefix_and_given_without() -> None:
    world = World()
    below = connect(world, "m/", "below")
    below.publish("t", b"kept", retain=True)
    outside = connect(world, None, "outside")
    outside.publish("t", b"other", retain=True)
    below.subscribe("#", 1)
    outside.subscribe("#", 1)
    assert got(below) == [("t", b"kept")]
    assert sorted(got(outside)) == [("m/t", b"kept"), ("t", b"other")]
    below.publish("t", b"", retain=True)
    assert world.broker.router.retained.get("m/t") is None


def test_a_will_is_said_below() -> None:
    world = World()
    outside = connect(world, None, "outside")
    outside.subscribe("#")
    connect(world, "m/", "below", will=p.Will("gone", b"x", 1)).drop()
    assert got(outside) == [("m/gone", b"x")]


def test_a_will_that_gets_too_long_is_none() -> None:
    world = World()
    below = connect(world, "m/", "below", will=p.Will("t" * STRING_BYTES_MAX, b"x"))
    assert below.link.session is not None
    assert below.link.session.will is None


def test_members_of_a_group_may_be_below_and_outside() -> None:
    world = World()
    below = connect(world, "m/", "below")
    outside = connect(world, None, "outside")
    below.subscribe("$share/g/+", 1)
    outside.subscribe("$share/g/m/+", 1)
    connect(world, "m/", "stranger").subscribe("$share/other/+", 1)
    for _ in range(10):
        connect(world, None, "publisher").publish("m/t", b"x", 1)
    mine, theirs = names(below), names(outside)
    assert mine == ["t"] * 5
    assert theirs == ["m/t"] * 5


def test_unsubscribing_names_what_was_subscribed() -> None:
    world = World()
    below = connect(world, "m/", "below")
    for filter in ("a", "#", "$share/g/a"):
        below.subscribe(filter)
        assert below.unsubscribe(filter).reasons == [0]
        assert below.unsubscribe(filter).reasons == [0x11]
    below.subscribe("a")
    assert below.unsubscribe("m/a").reasons == [0x11]


def test_what_the_broker_says_of_itself_is_not_below() -> None:
    world = World()
    below = connect(world, "m/", "below")
    below.subscribe("$SYS/#")
    below.subscribe("#")
    outside = connect(world, None, "outside")
    outside.subscribe("m/$SYS/#")
    below.publish("$SYS/broker/version", b"mine", 1)
    assert got(outside) == [("m/$SYS/broker/version", b"mine")]
    assert ("$SYS/broker/version", b"mine") in got(below)


def test_aliases_of_a_client_stand_for_topics_below() -> None:
    world = World()
    below = connect(world, "m/", "below")
    outside = connect(world, None, "outside")
    outside.subscribe("#")
    alias = Properties({props.TOPIC_ALIAS: 1})
    below.send(p.Publish("t", b"1", properties=alias), p.Publish("", b"2", properties=alias))
    assert got(outside) == [("m/t", b"1"), ("m/t", b"2")]


def test_a_response_topic_is_as_the_requester_wrote_it() -> None:
    world = World()
    outside = connect(world, None, "outside")
    outside.subscribe("#")
    answer = Properties({props.RESPONSE_TOPIC: "answers"})
    connect(world, "m/", "below").publish("t", b"x", properties=answer)
    (message,) = outside.messages()
    assert message.properties is not None
    assert message.properties.get_str(props.RESPONSE_TOPIC) == "answers"


def test_the_topic_that_is_the_prefix_without_its_slash_has_no_name_below() -> None:
    world = World()
    below = connect(world, "m/", "below")
    below.subscribe("#", 2)
    publisher = connect(world, None, "publisher")
    for qos in (0, 1, 2):
        publisher.publish("m", b"x", qos)
        publisher.publish("m/t", b"x", qos)
    assert names(below) == ["t"] * 3
    assert world.broker.metrics.dropped_forbidden == 3


@pytest.mark.parametrize("version", [4, 5])
def test_what_cannot_be_is_refused(version: int) -> None:
    world = World()
    below = connect(world, "m", "below", version=version)
    refused = 0x8F if version == 5 else 0x80
    for filter in ("+/a", "#", "$share/g/+", "$queue/jobs", "t" * STRING_BYTES_MAX):
        assert below.subscribe(filter).reasons == [refused], filter[:20]
    assert below.subscribe("/+").reasons == [0]
    outside = connect(world, None, "outside")
    outside.subscribe("#", 2)
    for topic in ("$queue/jobs", "t" * STRING_BYTES_MAX):
        for qos in (0, 1, 2):
            answers = below.publish(topic, b"x", qos)
            if version == 5 and qos:
                assert [getattr(answer, "reason", None) for answer in answers] == [0x90]
    assert outside.messages() == []
    assert world.broker.metrics.refused_publishes == 6
    assert not world.broker.queues.all()


def test_rules_speak_of_topics_with_their_prefix() -> None:
    rules, _ = parse("user u\ntopic readwrite m/a/#\ntopic read n/#\n", "acl")
    world = World(authorizer=AclFile(rules, True))
    below = connect(world, "m/", "below", username="u")
    outside = connect(world, None, "outside", username="u")
    assert outside.subscribe("m/a/#", 1).reasons == [1]
    assert below.subscribe("a/#", 1).reasons == [1]
    assert below.subscribe("n/#", 1).reasons == [0x87]
    answers = [below.publish(topic, b"x", 1)[0] for topic in ("a/t", "n/t", "m/a/t", "t")]
    assert [getattr(answer, "reason", None) for answer in answers] == [0, 0x87, 0x87, 0x87]
    assert got(outside) == [("m/a/t", b"x")]


# -- sessions -------------------------------------------------------------------------------------


def test_what_waited_for_a_client_is_given_without_the_prefix() -> None:
    world = World()
    below = connect(world, "m/", "below", properties=LASTING)
    below.subscribe("#", 2)
    publisher = connect(world, None, "publisher")
    publisher.publish("m/1", b"", 2)
    assert len(below.messages(acknowledge=False)) == 1
    below.drop()
    publisher.publish("m/2", b"", 1)
    below = connect(world, "m/", "below", clean_start=False, properties=LASTING)
    assert names(below) == ["1", "2"]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_restart_changes_nothing_below(qos: int) -> None:
    store = MemoryStore()
    world = World(store=store)
    below = connect(world, "m/", "below", properties=LASTING)
    below.subscribe("#", qos)
    publisher = connect(world, None, "publisher")
    publisher.publish("m/1", b"", qos)
    assert names_unacknowledged(below) == ["1"]
    below.drop()
    publisher.publish("m/2", b"", qos)
    publisher.publish("m", b"no name for it", qos)
    publisher.publish("m/3", b"", qos)
    world = World(store=store)
    below = connect(world, "m/", "below", clean_start=False, properties=LASTING)
    assert below.connack is not None
    assert below.connack.session_present
    assert names(below) == ["1", "2", "3"]
    connect(world, None, "publisher").publish("m/4", b"", qos)
    assert names(below) == ["4"]
    assert not World(store=store).broker.sessions.get("below").outbox.queue  # type: ignore[union-attr]


def names_unacknowledged(peer: Peer) -> list[str]:
    return [message.topic for message in peer.messages(acknowledge=False)]


@pytest.mark.parametrize("stored", [False, True])
def test_who_comes_back_by_another_listener_sees_nothing_of_the_first(stored: bool) -> None:
    world = World(store=MemoryStore()) if stored else World()
    client = connect(world, None, "client", properties=LASTING)
    for filter in ("#", "m/mine", "n/#", "$share/g/n/#", "$share/g/m/#"):
        client.subscribe(filter, 2)
    publisher = connect(world, None, "publisher")
    publisher.publish("n/begun", b"", 2)
    client.messages(acknowledge=False)
    client.drop()
    for qos in (1, 2):
        publisher.publish("n/secret", b"", qos)
        publisher.publish("m/mine", b"", qos)
    client = connect(world, "m/", "client", clean_start=False, properties=LASTING)
    assert set(names(client)) == {"mine"}
    publisher.publish("n/secret", b"", 1)
    publisher.publish("m/mine", b"", 1)
    assert set(names(client)) == {"mine"}
    assert client.link.session is not None
    assert sorted(client.link.session.subscriptions) == ["$share/g/m/#", "m/mine"]
    assert world.broker.metrics.dropped_forbidden > 0
    client.drop()
    client = connect(world, None, "client", clean_start=False, properties=LASTING)
    publisher.publish("m/mine", b"", 0)
    assert set(names(client)) == {"m/mine"}


def test_another_mount_point_goes_for_those_who_come_later() -> None:
    world = World()
    below = connect(world, "m/", "below", properties=LASTING)
    below.subscribe("t")
    world.listener.mount_point = "n/"  # a reload
    connect(world, None, "publisher").publish("m/t", b"1")
    below.publish("t", b"2")
    assert got(below) == [("t", b"1"), ("t", b"2")]
