"""Who is let in, who is turned away, and what CONNACK says (5.0 sections 3.1.4 and 3.2)."""

from __future__ import annotations

import pytest

from midge.auth.base import ALLOWED, Decision, Identity, Pending, deny
from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.connecting import PASSWORD, USER, WILL, Doorkeeper, connect_payload
from tests.conformance.support import (
    FROM_SERVER,
    Bystander,
    assert_closed_with,
    come_back,
    frame,
    having,
    lasting,
    payloads,
    prop,
    raw_connect,
    raw_properties,
    raw_publish,
    raw_subscribe,
    string,
    two,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])


@pytest.mark.spec("MQTT-3.1.4-2", "MQTT-3.2.2-7", "MQTT-3.2.2-8", "MQTT-4.13.2-1")
@pytest.mark.spec("3.1.1:MQTT-3.2.2-5")
@VERSIONS
def test_a_client_that_fails_authentication_is_told_and_closed(version: int) -> None:
    world = World(authenticator=Doorkeeper(b"right"))
    peer = world.connect("c", version=version, username="u", password=b"wrong")
    assert peer.closed
    assert peer.connack is not None
    assert peer.connack.reason == (Reason.BAD_USER_NAME_OR_PASSWORD if version == 5 else 4)
    assert not world.connect("c", version=version, username="u", password=b"right").closed


@pytest.mark.spec("MQTT-3.2.2-6", "3.1.1:MQTT-3.2.2-4")
@VERSIONS
def test_a_refusal_says_that_no_session_is_present_even_where_one_is(version: int) -> None:
    world = World(authenticator=Doorkeeper(b"right"))
    properties = lasting() if version == 5 else None
    client = world.connect(
        "c",
        version=version,
        clean_start=False,
        username="u",
        password=b"right",
        properties=properties,
    )
    client.drop()
    peer = world.peer(version)
    peer.send(p.Connect("c", version, False, username="u", password=b"wrong"))
    assert peer.raw()[2] == 0
    again = world.connect("c", version=version, clean_start=False, username="u", password=b"right")
    assert again.connack is not None
    assert again.connack.session_present, "the refusal cost the client its session"


@pytest.mark.spec("MQTT-3.1.4-6", "3.1.1:MQTT-3.1.4-5")
@VERSIONS
def test_nothing_behind_a_refused_connect_is_acted_upon(version: int) -> None:
    world = World(authenticator=Doorkeeper(b"right"))
    watcher = world.connect("w", username="w", password=b"right")
    watcher.subscribe("#")
    peer = world.peer(version)
    flags = 2 | USER | PASSWORD
    peer.send(
        raw_connect(version, flags, payload=connect_payload(version, "id", "user", "password")),
        raw_publish(version, b"t", 0x31, payload=b"x"),
        raw_publish(version, b"t", 0x32, two(1), payload=b"x"),
        raw_subscribe(version),
    )
    assert peer.closed
    packets = peer.take()
    assert len(packets) == 1
    assert isinstance(packets[0], p.Connack)
    assert payloads(watcher) == []
    watcher.subscribe("t")
    assert payloads(watcher) == [], "a retained message was stored"


@pytest.mark.spec("MQTT-3.1.4-2", "MQTT-3.1.4-6", "3.1.1:MQTT-3.1.4-5")
@VERSIONS
def test_a_refused_connect_takes_nobody_over_and_its_will_is_never_sent(version: int) -> None:
    world = World(authenticator=Doorkeeper(b"right"))
    watcher = world.connect("w", username="w", password=b"right")
    watcher.subscribe("#")
    rightful = world.connect("c", version=version, username="u", password=b"right")
    rightful.subscribe("t")
    thief = world.connect(
        "c", version=version, username="u", password=b"wrong", will=p.Will("w", b"gone")
    )
    assert thief.closed
    thief.drop()
    world.advance(1000)
    assert payloads(watcher) == []
    watcher.publish("t", b"for the rightful one")
    assert payloads(rightful) == [b"for the rightful one"]


class Undecided:
    """Decides later."""

    def __init__(self) -> None:
        self.pending: list[Pending] = []

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        if client.client_id == "watcher":
            return ALLOWED
        self.pending.append(Pending())
        return self.pending[-1]


@pytest.mark.spec("MQTT-3.1.4-6", "MQTT-3.2.0-1", "3.1.1:MQTT-3.1.4-5", "3.1.1:MQTT-3.2.0-1")
@VERSIONS
@pytest.mark.parametrize("chunks", ["one", "several"])
@pytest.mark.parametrize("decision", [ALLOWED, deny("no")], ids=["allowed", "denied"])
def test_what_comes_behind_connect_waits_for_a_decision_that_comes_later(
    version: int, decision: Decision, chunks: str
) -> None:
    undecided = Undecided()
    world = World(authenticator=undecided)
    watcher = world.connect("watcher")
    watcher.subscribe("t")
    peer = world.peer(version)
    packets = [
        raw_connect(version),
        raw_subscribe(version, b"u"),
        raw_publish(version, b"t", payload=b"x"),
        frame(0xC0, b""),
    ]
    peer.send_chunks(*(packets if chunks == "several" else [b"".join(packets)]))
    peer.expect_nothing()
    assert payloads(watcher) == []
    undecided.pending[0].settle(decision, world.clock.now())
    world.settle()
    kinds = [type(packet) for packet in peer.take()]
    if decision is ALLOWED:
        assert kinds == [p.Connack, p.Suback, p.Pingresp]
        assert payloads(watcher) == [b"x"]
    else:
        assert kinds == [p.Connack]
        assert peer.closed
        assert payloads(watcher) == []


@pytest.mark.spec("MQTT-3.1.4-5", "3.1.1:MQTT-3.1.4-4", "MQTT-3.2.0-1", "3.1.1:MQTT-3.2.0-1")
@VERSIONS
def test_a_good_connect_is_answered_first_of_all(version: int) -> None:
    world = World()
    first = come_back(world, "c", version)
    first.subscribe("t", 1)
    first.drop()
    world.connect("pub").publish("t", b"waiting", 1)
    peer = world.peer(version)
    # Everything that could bring an answer, in one chunk with CONNECT.
    peer.send(
        raw_connect(version, 0x00),
        raw_subscribe(version, packet_id=7),
        raw_publish(version, first=0x32, packet_id=two(8)),
        frame(0xC0, b""),
    )
    packets = peer.take()
    connack = packets.pop(0)
    assert isinstance(connack, p.Connack)
    assert connack.reason == 0
    kinds = {type(packet) for packet in packets}
    assert kinds == {p.Publish, p.Suback, p.Puback, p.Pingresp}


@pytest.mark.spec("MQTT-3.2.0-1", "MQTT-3.2.0-2", "MQTT-3.14.0-1", "3.1.1:MQTT-3.2.0-1")
@pytest.mark.parametrize(
    ("version", "properties"),
    [
        pytest.param(4, b"", id="3.1.1"),
        pytest.param(5, b"", id="5.0"),
        pytest.param(5, prop(0x21, two(0)), id="5.0, bad value"),
        pytest.param(5, prop(0x17, b"\2"), id="5.0, bad flag"),
        pytest.param(5, prop(0x7F, b""), id="5.0, unknown property"),
    ],
)
def test_a_connection_gets_one_connack_and_no_disconnect_before_it(
    version: int, properties: bytes
) -> None:
    peer = World().peer(version)
    peer.send(raw_connect(version, properties=properties), raw_connect(version), b"\xf0\x00")
    kinds = [type(packet) for packet in peer.take()]
    if properties:
        assert kinds == [p.Connack]
    else:
        assert kinds == ([p.Connack, p.Disconnect] if version == 5 else [p.Connack])


@pytest.mark.spec("MQTT-3.1.4-3", "3.1.1:MQTT-3.1.4-2", "MQTT-4.13.2-1")
@pytest.mark.parametrize("old_version", [4, 5])
@pytest.mark.parametrize("new_version", [4, 5])
@pytest.mark.parametrize("clean_start", [False, True])
def test_a_client_that_connects_again_takes_over(
    old_version: int, new_version: int, clean_start: bool
) -> None:
    world = World()
    bystander = Bystander(world)
    old = come_back(world, "c", old_version)
    old.subscribe("t", 1)
    new = world.connect("c", version=new_version, clean_start=clean_start)
    assert_closed_with(old, Reason.SESSION_TAKEN_OVER)
    assert not new.closed
    assert new.connack is not None
    assert new.connack.session_present != clean_start
    world.connect("pub").publish("t", b"x")
    assert payloads(new) == ([] if clean_start else [b"x"])
    assert old.raw() == b""
    bystander.assert_untouched()


@pytest.mark.spec("3.1.1:MQTT-3.1.4-1", "3.1.1:MQTT-3.2.2-6")
def test_3_1_1_closes_without_connack_where_no_return_code_fits() -> None:
    for world, will in (
        (World(retain_available=False), p.Will("w", retain=True)),
        (World(max_qos=1), p.Will("w", qos=2)),
    ):
        peer = world.connect("c", version=4, will=will)
        assert peer.closed
        assert peer.connack is None
        assert peer.raw() == b""


@pytest.mark.spec("MQTT-3.1.2-28")
@pytest.mark.parametrize("asked", [None, 0])
def test_response_information_stays_away_from_who_did_not_ask(asked: int | None) -> None:
    properties = None if asked is None else having(request_response_information=asked)
    connack = World().connect("c", properties=properties).connack
    assert connack is not None
    assert connack.properties is not None
    assert 0x1A not in connack.properties.values


WRONG_PROPERTIES = {
    "receive maximum 0": (prop(0x21, two(0)), {0x82}),
    "packet size 0": (prop(0x27, b"\0\0\0\0"), {0x82}),
    "problem information 2": (prop(0x17, b"\2"), {0x82}),
    "response information 2": (prop(0x19, b"\2"), {0x82}),
    "authentication data alone": (prop(0x16, string(b"x")), {0x82}),
    "twice": (prop(0x11, b"\0\0\0\1") * 2, {0x82}),
    "of PUBLISH": (prop(0x23, two(1)), {0x81, 0x82}),
    "of CONNACK": (prop(0x12, string(b"x")), {0x81, 0x82}),
    "of a will": (prop(0x18, b"\0\0\0\1"), {0x81, 0x82}),
    "unknown": (prop(0x7E, b"\0"), {0x81}),
    "cut short": (prop(0x11, b"\0\0"), {0x81}),
}


@pytest.mark.spec("MQTT-3.1.4-1", "MQTT-3.2.2-8", "MQTT-3.14.0-1", "MQTT-4.13.1-1")
@pytest.mark.parametrize("name", WRONG_PROPERTIES)
def test_a_connect_with_wrong_properties_is_refused_by_connack(name: str) -> None:
    data, reasons = WRONG_PROPERTIES[name]
    peer = World().peer(5)
    peer.send(raw_connect(5, properties=data))
    assert peer.closed
    packets = peer.take()
    assert len(packets) == 1
    assert isinstance(packets[0], p.Connack)
    assert packets[0].reason in reasons & FROM_SERVER[p.Connack]


@pytest.mark.spec("MQTT-3.1.4-1")
@pytest.mark.parametrize("topic", [b"", b"a/+", b"#", b"a\0b"])
@VERSIONS
def test_a_will_topic_that_is_no_topic_name_is_refused(version: int, topic: bytes) -> None:
    peer = World().peer(version)
    will = raw_properties(version) + string(topic) + string(b"m")
    peer.send(raw_connect(version, 2 | WILL, payload=string(b"c") + will))
    assert peer.closed
    packets = peer.take()
    if version == 5:
        assert [type(packet) for packet in packets] == [p.Connack]
        assert packets[0].reason in (Reason.TOPIC_NAME_INVALID, Reason.MALFORMED_PACKET)  # type: ignore[attr-defined]
    else:
        assert packets == []
