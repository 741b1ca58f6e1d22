"""CONNECT: its form, its place, and who is let in (5.0 section 3.1, 3.1.1 section 3.1)."""

from __future__ import annotations

import string as alphabets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.auth.base import ALLOWED, Decision, Identity, deny
from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.support import (
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
    raw_unsubscribe,
    string,
    two,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])

WILL, USER, PASSWORD = 0x04, 0x80, 0x40


class Doorkeeper:
    """Lets in whoever says the password, and notes what it was told."""

    def __init__(self, password: bytes | None = None) -> None:
        self.password = password
        self.seen: list[tuple[str, str | None, bytes | None]] = []

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        self.seen.append((client.client_id, client.username, password))
        if self.password is None or password == self.password:
            return ALLOWED
        return deny("wrong password", int(Reason.BAD_USER_NAME_OR_PASSWORD))


# -- the first packet -----------------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.1.0-1", "MQTT-3.14.0-1", "3.1.1:MQTT-3.1.0-1")
@VERSIONS
@pytest.mark.parametrize("kind", range(1, 16))
def test_what_comes_before_connect_is_closed_without_a_word(version: int, kind: int) -> None:
    world = World()
    bystander = Bystander(world)
    packet = {
        3: raw_publish(version, b"bystanders/x"),
        8: raw_subscribe(version),
        10: raw_unsubscribe(version),
        6: frame(0x62, two(1)),
    }.get(kind, frame(kind << 4, b"" if kind > 11 else two(1)))
    if kind == 1:
        packet = raw_connect(version)
    peer = world.peer(version)
    peer.send(packet)
    assert peer.closed == (kind != 1)
    if kind != 1:
        assert peer.raw() == b""
        bystander.assert_untouched()


@pytest.mark.spec("MQTT-3.1.0-2", "3.1.1:MQTT-3.1.0-2")
@VERSIONS
def test_a_second_connect_is_a_protocol_error(version: int) -> None:
    world = World()
    client = world.connect("c", version=version)
    client.send(raw_connect(version))
    assert_closed_with(client, Reason.PROTOCOL_ERROR)


@pytest.mark.spec("MQTT-3.1.0-2", "3.1.1:MQTT-3.1.0-2")
@VERSIONS
def test_a_second_connect_in_the_same_chunk_is_a_protocol_error_too(version: int) -> None:
    peer = World().peer(version)
    peer.send(raw_connect(version), raw_connect(version))
    assert peer.expect(p.Connack).reason == 0
    assert_closed_with(peer, Reason.PROTOCOL_ERROR)


# -- protocol name and level ----------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.1.2-1", "3.1.1:MQTT-3.1.2-1")
@pytest.mark.parametrize("level", [3, 4, 5])
@pytest.mark.parametrize("name", [b"MQTX", b"mqtt", b"MQTTT", b"MQT", b"", b"HTTP"])
def test_another_protocol_name_is_not_served(name: bytes, level: int) -> None:
    peer = World().peer(4)
    peer.send(raw_connect(level, name=name), raw_subscribe(level), frame(0xC0, b""))
    assert peer.closed
    # At most it is told that this is an MQTT server that does not serve it.
    assert peer.raw() in (b"", b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00")


@pytest.mark.spec("MQTT-3.1.2-2", "3.1.1:MQTT-3.1.2-2")
@pytest.mark.parametrize("level", [0, 1, 2, 6, 7, 127, 255])
def test_an_unknown_protocol_level_gets_return_code_1_and_the_close(level: int) -> None:
    peer = World().peer(4)
    peer.send(raw_connect(4, level=level), frame(0xC0, b""))
    assert peer.closed
    assert peer.raw() == b"\x20\x02\x00\x01"


@pytest.mark.spec("MQTT-3.1.2-2", "3.1.1:MQTT-3.1.2-2")
@pytest.mark.parametrize("refused", [3, 4, 5])
def test_a_level_that_the_listener_does_not_take_is_refused_and_closed(refused: int) -> None:
    world = World(protocol_versions=frozenset({3, 4, 5}) - {refused})
    peer = world.connect("c", version=refused)
    assert peer.closed
    assert peer.connack is not None
    assert peer.connack.reason == (Reason.UNSUPPORTED_PROTOCOL_VERSION if refused == 5 else 1)
    for accepted in {3, 4, 5} - {refused}:
        assert not world.connect("d", version=accepted).closed


# -- connect flags and payload --------------------------------------------------------------------

_WILL_FIELDS = {4: string(b"w") + string(b"m"), 5: b"\0" + string(b"w") + string(b"m")}


def payload(version: int, *parts: str) -> bytes:
    """CONNECT's payload with the named fields, in that order."""
    fields = {
        "id": string(b"c"),
        "will": _WILL_FIELDS[version],
        "user": string(b"someone"),
        "password": string(b"secret"),
        "rest": b"\0",
    }
    return b"".join(fields[part] for part in parts)


@pytest.mark.spec("MQTT-3.1.2-3", "MQTT-3.1.4-1", "3.1.1:MQTT-3.1.2-3", "3.1.1:MQTT-3.1.4-1")
@VERSIONS
@pytest.mark.parametrize("flags", [0x01, 0x03, 0xC3])
def test_the_reserved_connect_flag_is_malformed(version: int, flags: int) -> None:
    peer = World().peer(version)
    fields = ["id", "user", "password"] if flags & USER else ["id"]
    peer.send(raw_connect(version, flags, payload=payload(version, *fields)))
    assert_closed_with(peer, Reason.MALFORMED_PACKET)


MALFORMED_PAYLOADS = [
    pytest.param(2 | WILL, ["id"], id="will flag without will"),
    pytest.param(2, ["id", "will"], id="will without its flag"),
    pytest.param(2 | USER, ["id"], id="user flag without user"),
    pytest.param(2, ["id", "user"], id="user without its flag"),
    pytest.param(2 | USER | PASSWORD, ["id", "user"], id="password flag without password"),
    pytest.param(2 | USER, ["id", "user", "password"], id="password without its flag"),
    pytest.param(2 | WILL | USER, ["id", "will"], id="user missing behind a will"),
    pytest.param(2, [], id="no client id"),
    pytest.param(2, ["id", "rest"], id="one byte too many"),
]


@pytest.mark.spec("MQTT-3.1.2-9", "MQTT-3.1.2-16", "MQTT-3.1.2-17", "MQTT-3.1.2-18")
@pytest.mark.spec("MQTT-3.1.2-19", "MQTT-3.1.3-3", "MQTT-3.1.4-1")
@pytest.mark.spec("3.1.1:MQTT-3.1.2-9", "3.1.1:MQTT-3.1.2-11", "3.1.1:MQTT-3.1.2-18")
@pytest.mark.spec("3.1.1:MQTT-3.1.2-19", "3.1.1:MQTT-3.1.2-20", "3.1.1:MQTT-3.1.2-21")
@pytest.mark.spec("3.1.1:MQTT-3.1.3-3", "3.1.1:MQTT-3.1.4-1")
@VERSIONS
@pytest.mark.parametrize(("flags", "fields"), MALFORMED_PAYLOADS)
def test_a_payload_that_does_not_fit_its_flags_is_malformed(
    version: int, flags: int, fields: list[str]
) -> None:
    world = World()
    bystander = Bystander(world)
    peer = world.peer(version)
    peer.send(raw_connect(version, flags, payload=payload(version, *fields)))
    assert_closed_with(peer, Reason.MALFORMED_PACKET)
    bystander.assert_untouched()


@pytest.mark.spec("MQTT-3.1.2-11", "MQTT-3.1.2-12", "MQTT-3.1.2-13")
@pytest.mark.spec("3.1.1:MQTT-3.1.2-11", "3.1.1:MQTT-3.1.2-13", "3.1.1:MQTT-3.1.2-14")
@pytest.mark.spec("3.1.1:MQTT-3.1.2-15")
@VERSIONS
@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        pytest.param(2 | WILL | 0x18, ["id", "will"], id="will QoS 3"),
        pytest.param(2 | 0x08, ["id"], id="will QoS 1 without will"),
        pytest.param(2 | 0x10, ["id"], id="will QoS 2 without will"),
        pytest.param(2 | 0x20, ["id"], id="will retain without will"),
    ],
)
def test_will_flags_that_contradict_each_other_are_malformed(
    version: int, flags: int, fields: list[str]
) -> None:
    peer = World().peer(version)
    peer.send(raw_connect(version, flags, payload=payload(version, *fields)))
    assert_closed_with(peer, Reason.MALFORMED_PACKET)


@pytest.mark.spec("3.1.1:MQTT-3.1.2-22")
def test_a_password_without_a_user_name_is_refused_in_3_1_1() -> None:
    peer = World().peer(4)
    peer.send(raw_connect(4, 2 | PASSWORD, payload=payload(4, "id", "password")))
    assert_closed_with(peer, 0)


@pytest.mark.spec("MQTT-3.1.2-19")
def test_a_password_without_a_user_name_is_taken_in_5_0() -> None:
    keeper = Doorkeeper()
    peer = World(authenticator=keeper).peer(5)
    peer.send(raw_connect(5, 2 | PASSWORD, payload=payload(5, "id", "password")))
    assert peer.expect(p.Connack).reason == 0
    assert keeper.seen == [("c", None, b"secret")]


@pytest.mark.spec("MQTT-3.1.3-1", "MQTT-3.1.3-3", "MQTT-3.1.2-9", "MQTT-3.1.2-17", "MQTT-3.1.2-19")
@pytest.mark.spec("3.1.1:MQTT-3.1.3-1", "3.1.1:MQTT-3.1.3-3", "3.1.1:MQTT-3.1.2-9")
@pytest.mark.spec("3.1.1:MQTT-3.1.2-19", "3.1.1:MQTT-3.1.2-21")
@VERSIONS
@pytest.mark.parametrize("has_will", [False, True])
@pytest.mark.parametrize("has_user", [False, True])
def test_the_fields_of_connect_are_read_in_their_order(
    version: int, has_will: bool, has_user: bool
) -> None:
    keeper = Doorkeeper()
    world = World(authenticator=keeper)
    watcher = world.connect("watcher", username="w", password=b"w")
    watcher.subscribe("w")
    fields = ["id"] + ["will"] * has_will + ["user", "password"] * has_user
    flags = 2 | has_will * WILL | has_user * (USER | PASSWORD)
    peer = world.peer(version)
    peer.send(raw_connect(version, flags, payload=payload(version, *fields)))
    assert peer.expect(p.Connack).reason == 0
    assert keeper.seen[-1] == ("c", *((("someone", b"secret")) if has_user else (None, None)))
    peer.drop()
    assert payloads(watcher) == [b"m"] * has_will


# -- client identifiers ---------------------------------------------------------------------------


@pytest.mark.spec("MQTT-3.1.3-5", "3.1.1:MQTT-3.1.3-5")
@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabets.digits + alphabets.ascii_letters, min_size=1, max_size=23),
    st.sampled_from([4, 5]),
)
def test_an_identifier_of_1_to_23_digits_and_letters_is_taken(client_id: str, version: int) -> None:
    client = World().connect(client_id, version=version)
    assert not client.closed
    assert client.connack is not None
    assert client.connack.reason == 0


@pytest.mark.spec("MQTT-3.1.3-2", "3.1.1:MQTT-3.1.3-2")
@VERSIONS
def test_a_session_is_found_by_the_client_identifier_alone(version: int) -> None:
    world = World()
    for client_id in ("one", "two"):
        client = come_back(world, client_id, version)
        client.subscribe(client_id, 1)
        client.drop()
    world.connect("pub").publish("one", b"for one", 1)
    world.connect("pub").publish("two", b"for two", 1)
    for client_id in ("two", "one"):
        # Another user name: it is the identifier that counts.
        client = world.connect(
            client_id,
            version=version,
            clean_start=False,
            username="somebody",
            properties=lasting() if version == 5 else None,
        )
        assert payloads(client) == [f"for {client_id}".encode()]
    stranger = come_back(world, "ONE", version)
    assert stranger.connack is not None
    assert not stranger.connack.session_present


@pytest.mark.spec("MQTT-3.1.3-6", "MQTT-3.1.3-7", "MQTT-3.2.2-16")
def test_an_empty_identifier_is_replaced_by_one_that_is_told_and_nobody_else_has() -> None:
    world = World(auto_id_prefix="")
    # These are the next identifiers that this world would give.
    taken = {"00000001", "00000002"}
    for client_id in taken:
        world.connect(client_id)
    given_ids = []
    for _ in range(5):
        client = world.connect("", properties=lasting())
        assert client.connack is not None
        assert client.connack.properties is not None
        given_ids.append(client.connack.properties.values[0x12])
        assert not client.closed
    assert len(set(given_ids)) == 5
    assert not taken & set(given_ids)


@pytest.mark.spec("MQTT-3.1.3-7")
def test_the_identifier_that_was_given_is_the_session_s() -> None:
    world = World()
    client = world.connect("", properties=lasting())
    assert client.connack is not None
    assert client.connack.properties is not None
    given_id = client.connack.properties.get_str(0x12)
    assert given_id
    client.subscribe("t", 1)
    client.drop()
    world.connect("pub").publish("t", b"kept", 1)
    again = come_back(world, given_id)
    assert again.connack is not None
    assert again.connack.session_present
    assert payloads(again) == [b"kept"]


@pytest.mark.spec("3.1.1:MQTT-3.1.3-6")
def test_3_1_1_clients_without_an_identifier_do_not_disturb_each_other() -> None:
    world = World()
    clients = [world.connect("", version=4) for _ in range(3)]
    for client in clients:
        client.subscribe("t")
    world.connect("pub").publish("t", b"x")
    assert [payloads(client) for client in clients] == [[b"x"]] * 3


@pytest.mark.spec("3.1.1:MQTT-3.1.3-7", "3.1.1:MQTT-3.1.3-8", "3.1.1:MQTT-3.1.3-9")
@pytest.mark.spec("3.1.1:MQTT-3.2.2-5")
def test_an_empty_identifier_without_a_clean_session_gets_return_code_2() -> None:
    peer = World().peer(4)
    peer.send(raw_connect(4, 0x00, payload=string(b"")))
    assert peer.closed
    assert peer.raw() == b"\x20\x02\x00\x02"


@pytest.mark.spec("MQTT-3.1.3-8", "3.1.1:MQTT-3.1.3-9")
@VERSIONS
def test_a_client_whose_identifier_is_refused_is_told_and_closed(version: int) -> None:
    peer = World(allow_zero_length_client_id=False).connect("", version=version)
    assert peer.closed
    assert peer.connack is not None
    assert peer.connack.reason == (Reason.CLIENT_IDENTIFIER_NOT_VALID if version == 5 else 2)


# -- letting in and turning away ------------------------------------------------------------------


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
        raw_connect(version, flags, payload=payload(version, "id", "user", "password")),
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
    assert packets[0].reason in reasons


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
