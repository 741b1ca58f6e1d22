"""CONNECT: its form, its place, and who is let in (5.0 section 3.1, 3.1.1 section 3.1)."""

from __future__ import annotations

import string as alphabets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.connecting import PASSWORD, USER, WILL, Doorkeeper, connect_payload
from tests.conformance.support import (
    Bystander,
    assert_closed_with,
    come_back,
    frame,
    lasting,
    payloads,
    raw_connect,
    raw_publish,
    raw_subscribe,
    raw_unsubscribe,
    string,
    two,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])


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


@pytest.mark.spec("MQTT-3.1.2-3", "MQTT-3.1.4-1", "3.1.1:MQTT-3.1.2-3", "3.1.1:MQTT-3.1.4-1")
@VERSIONS
@pytest.mark.parametrize("flags", [0x01, 0x03, 0xC3])
def test_the_reserved_connect_flag_is_malformed(version: int, flags: int) -> None:
    peer = World().peer(version)
    fields = ["id", "user", "password"] if flags & USER else ["id"]
    peer.send(raw_connect(version, flags, payload=connect_payload(version, *fields)))
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
    peer.send(raw_connect(version, flags, payload=connect_payload(version, *fields)))
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
    peer.send(raw_connect(version, flags, payload=connect_payload(version, *fields)))
    assert_closed_with(peer, Reason.MALFORMED_PACKET)


@pytest.mark.spec("3.1.1:MQTT-3.1.2-22")
def test_a_password_without_a_user_name_is_refused_in_3_1_1() -> None:
    peer = World().peer(4)
    peer.send(raw_connect(4, 2 | PASSWORD, payload=connect_payload(4, "id", "password")))
    assert_closed_with(peer, 0)


@pytest.mark.spec("MQTT-3.1.2-19")
def test_a_password_without_a_user_name_is_taken_in_5_0() -> None:
    keeper = Doorkeeper()
    peer = World(authenticator=keeper).peer(5)
    peer.send(raw_connect(5, 2 | PASSWORD, payload=connect_payload(5, "id", "password")))
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
    peer.send(raw_connect(version, flags, payload=connect_payload(version, *fields)))
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
