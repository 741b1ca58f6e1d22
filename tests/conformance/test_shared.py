"""Shared subscriptions (5.0 section 4.8.2); what 3.1.1 is given of them is the same."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.conformance.support import assert_closed_with, come_back, payloads, raw_subscribe

VERSIONS = pytest.mark.parametrize("version", [4, 5])


@pytest.mark.spec("MQTT-4.8.2-1", "MQTT-4.8.2-2")
@VERSIONS
@pytest.mark.parametrize(
    "filter",
    [
        "$share//t",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share/+/t",
        "$share/#/t",
        "$share/a+b/t",
        "$share/g#/t",
        "$share/#",
    ],
)
def test_a_shared_filter_without_a_good_name_or_a_filter_is_refused(
    version: int, filter: str
) -> None:
    client = World().connect("c", version=version)
    client.send(raw_subscribe(version, filter.encode()))
    assert client.closed
    if version == 4:
        assert_closed_with(client, 0)
    else:
        [goodbye] = client.take()
        assert goodbye.reason in (  # type: ignore[attr-defined]
            Reason.TOPIC_FILTER_INVALID,
            Reason.PROTOCOL_ERROR,
            Reason.MALFORMED_PACKET,
        )


@pytest.mark.spec("MQTT-4.8.2-1", "MQTT-4.8.2-2")
@VERSIONS
@pytest.mark.parametrize("name", ["g", "1", "$", "a b", "\u00e9"])
@pytest.mark.parametrize("filter", ["t", "#", "+", "/t", "t/#"])
def test_each_message_goes_to_one_member_of_a_group(version: int, name: str, filter: str) -> None:
    world = World()
    members = [world.connect(f"m{index}", version=version) for index in range(3)]
    for member in members:
        assert member.subscribe(f"$share/{name}/{filter}", 1).reasons == [1]
    everyone = world.connect("everyone")
    everyone.subscribe(filter, 1)
    publisher = world.connect("pub")
    topic = {"/t": "/t", "+": "t", "#": "t", "t": "t", "t/#": "t/u"}[filter]
    sent = [b"%d" % index for index in range(12)]
    for payload in sent:
        publisher.publish(topic, payload, 1)
    got = [payloads(member) for member in members]
    assert sorted(payload for part in got for payload in part) == sorted(sent)
    assert all(got), "a member got nothing at all"
    assert payloads(everyone) == sent


@pytest.mark.spec("MQTT-4.8.2-3")
@pytest.mark.parametrize("published", [0, 1, 2])
def test_shared_delivery_respects_each_member_s_granted_qos(published: int) -> None:
    world = World()
    members = [world.connect(f"m{qos}") for qos in range(3)]
    for qos, member in enumerate(members):
        member.subscribe("$share/g/t", qos)
    publisher = world.connect("pub")
    for _ in range(9):
        publisher.publish("t", b"x", published)
    for qos, member in enumerate(members):
        assert {m.qos for m in member.messages()} == {min(qos, published)}


@pytest.mark.spec("MQTT-4.8.2-3")
def test_a_group_whose_members_changed_respects_the_new_qos() -> None:
    world = World()
    member = world.connect("m")
    publisher = world.connect("pub")
    for qos in (2, 0, 1):
        member.subscribe("$share/g/t", qos)
        publisher.publish("t", b"x", 2)
        assert [m.qos for m in member.messages()] == [qos]


def under_way(qos: int, version: int = 5) -> tuple[World, Peer, Peer, p.Publish]:
    """Two members with lasting sessions; the first has a message that it did not acknowledge."""
    world = World()
    members = [come_back(world, f"m{index}", version) for index in range(2)]
    for member in members:
        member.subscribe("$share/g/t", qos)
    world.connect("pub").publish("t", b"x", qos)
    for member, other in (members, members[::-1]):
        messages = member.messages(acknowledge=False)
        if messages:
            return world, member, other, messages[0]
    raise AssertionError("nobody got it")


@pytest.mark.spec("MQTT-4.8.2-4")
@VERSIONS
@pytest.mark.parametrize("state", ["sent", "received"])
def test_a_qos_2_delivery_under_way_is_completed_to_the_same_member(
    version: int, state: str
) -> None:
    world, member, other, message = under_way(2, version)
    if state == "received":
        member.send(p.Pubrec(message.packet_id))
        member.expect(p.Pubrel)
    member.drop()
    world.advance(60)
    assert payloads(other) == []
    for peer in world.peers:
        if peer.link.client_id == member.link.client_id:
            raise AssertionError("the member is still there")
    member = come_back(world, member.link.client_id, version)
    if state == "sent":
        again = member.expect(p.Publish)
        assert (again.packet_id, again.payload, again.dup) == (message.packet_id, b"x", True)
        member.send(p.Pubrec(message.packet_id))
    assert member.expect(p.Pubrel) == p.Pubrel(message.packet_id)
    member.send(p.Pubcomp(message.packet_id))
    assert payloads(other) == []


@pytest.mark.spec("MQTT-4.8.2-5")
@pytest.mark.parametrize("end", ["expiry", "clean start"])
def test_if_the_member_s_session_ends_nobody_else_gets_its_qos_2_message(end: str) -> None:
    world, member, other, message = under_way(2)
    member.drop()
    if end == "expiry":
        world.advance(1_000_000)
    else:
        world.connect(member.link.client_id, clean_start=True)
    assert payloads(other) == []
    assert message.qos == 2
    # The group goes on without it.
    world.connect("pub2").publish("t", b"next", 2)
    assert payloads(other) == [b"next"]


@pytest.mark.spec("MQTT-4.8.2-6")
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("reason", [0x80, 0x87, 0x97, 0x99])
def test_a_message_that_a_member_refuses_is_dropped(qos: int, reason: int) -> None:
    world, member, other, message = under_way(qos)
    answer = p.Puback if qos == 1 else p.Pubrec
    member.send(answer(message.packet_id, reason))
    world.advance(60)
    assert payloads(other) == []
    member.expect_nothing()
    member.drop()
    come_back(world, member.link.client_id).expect_nothing()
    assert payloads(other) == []


def test_groups_of_different_names_each_get_every_message() -> None:
    world = World()
    first = world.connect("a")
    first.subscribe("$share/g/t")
    second = world.connect("b")
    second.subscribe("$share/h/t")
    world.connect("pub").publish("t", b"x")
    assert payloads(first) == payloads(second) == [b"x"]
