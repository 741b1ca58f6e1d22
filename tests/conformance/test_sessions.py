"""Sessions: what is kept, what is forgotten, and what CONNACK says of it (5.0 3.1.2.4, 4.1)."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.conformance.support import assert_closed_with, come_back, having, lasting, payloads

VERSIONS = pytest.mark.parametrize("version", [4, 5])
#: The longest expiry that is not for ever, as a client of 5.0 may ask for it.
FOR_EVER = 0xFFFFFFFF


def session_present(client: Peer) -> bool:
    assert client.connack is not None
    assert client.connack.reason == 0
    return client.connack.session_present


@pytest.mark.spec("MQTT-3.1.2-4", "MQTT-3.1.4-4", "MQTT-3.2.2-2")
@pytest.mark.spec("3.1.1:MQTT-3.1.2-6", "3.1.1:MQTT-3.1.4-3", "3.1.1:MQTT-3.2.2-1")
@VERSIONS
def test_a_clean_start_forgets_the_session_and_says_so(version: int) -> None:
    world = World()
    client = come_back(world, "c", version)
    client.subscribe("t", 2)
    client.drop()
    world.connect("pub").publish("t", b"queued", 1)
    clean = world.connect(
        "c", version=version, clean_start=True, properties=lasting() if version == 5 else None
    )
    assert not session_present(clean)
    world.connect("pub").publish("t", b"later", 1)
    assert payloads(clean) == []


@pytest.mark.spec("MQTT-3.1.2-4", "3.1.1:MQTT-3.1.2-6")
@VERSIONS
def test_a_clean_start_forgets_what_was_under_way_both_ways(version: int) -> None:
    world = World()
    client = come_back(world, "c", version)
    client.subscribe("t", 2)
    client.send(p.Publish("other", qos=2, packet_id=9))  # taken, not released
    world.connect("pub").publish("t", b"under way", 2)
    client.drop()
    clean = world.connect("c", version=version, clean_start=True)
    clean.expect_nothing()
    watcher = world.connect("w")
    watcher.subscribe("other")
    clean.send(p.Publish("other", b"new", qos=2, packet_id=9), p.Pubrel(9))
    assert payloads(watcher) == [b"new"], "the identifier was still taken for a repeat"


@pytest.mark.spec("MQTT-3.1.2-5", "MQTT-3.1.2-23", "MQTT-3.1.4-4", "MQTT-3.2.2-3", "MQTT-4.5.0-1")
@pytest.mark.spec("3.1.1:MQTT-3.1.2-4", "3.1.1:MQTT-3.1.2-5", "3.1.1:MQTT-3.1.4-3")
@pytest.mark.spec("3.1.1:MQTT-3.2.2-2", "3.1.1:MQTT-4.1.0-1", "3.1.1:MQTT-4.5.0-1")
@VERSIONS
@pytest.mark.parametrize("goodbye", ["cut", "DISCONNECT"])
def test_a_session_goes_on_where_its_connection_ended(version: int, goodbye: str) -> None:
    world = World()
    client = come_back(world, "c", version)
    client.subscribe("one", 1)
    client.subscribe("two", 2)
    client.drop() if goodbye == "cut" else client.disconnect()
    publisher = world.connect("pub")
    publisher.publish("one", b"1", 1)
    publisher.publish("two", b"2", 2)
    world.advance(1000)
    again = come_back(world, "c", version)
    assert session_present(again)
    messages = again.messages()
    assert [(m.topic, m.payload, m.qos) for m in messages] == [("one", b"1", 1), ("two", b"2", 2)]
    publisher.publish("one", b"3", 1)
    assert payloads(again) == [b"3"]


@pytest.mark.spec("MQTT-3.1.2-5", "MQTT-4.4.0-1", "3.1.1:MQTT-3.1.2-4", "3.1.1:MQTT-4.4.0-1")
def test_a_session_may_be_taken_up_again_in_another_version() -> None:
    world = World()
    client = come_back(world, "c", 5)
    client.subscribe("t", 2, identifier=7)
    publisher = world.connect("pub")
    properties = having(user=[("a", "b")], content_type="x", message_expiry_interval=100)
    publisher.publish("t", b"sent", 1, properties=properties)
    publisher.publish("t", b"received", 2, properties=properties)
    client.messages(acknowledge=False)
    client.send(p.Pubrec(2))
    client.drop()
    publisher.publish("t", b"queued", 2, properties=properties)
    old = come_back(world, "c", 4)
    assert session_present(old)
    assert old.take() == [
        p.Pubrel(2),
        p.Publish("t", b"sent", 1, dup=True, packet_id=1),
        p.Publish("t", b"queued", 2, packet_id=3),
    ]
    old.drop()
    again = come_back(world, "c", 5)
    assert session_present(again)
    pubrel, *messages = again.take()
    assert pubrel == p.Pubrel(2)
    expected = having([("a", "b")], [7], content_type="x", message_expiry_interval=100)
    for message in messages:
        assert isinstance(message, p.Publish)
        assert message.properties == expected
        assert message.dup


@pytest.mark.spec("MQTT-3.1.2-6", "MQTT-3.2.2-3", "3.1.1:MQTT-3.1.2-4", "3.1.1:MQTT-3.2.2-3")
@VERSIONS
def test_without_a_session_one_is_made_and_kept(version: int) -> None:
    world = World()
    client = come_back(world, "c", version)
    assert not session_present(client)
    client.subscribe("t", 1)
    client.drop()
    world.connect("pub").publish("t", b"kept", 1)
    again = come_back(world, "c", version)
    assert session_present(again)
    assert payloads(again) == [b"kept"]


@pytest.mark.spec("MQTT-3.2.2-1")
@pytest.mark.parametrize("clean_start", [False, True])
@pytest.mark.parametrize("known", [False, True])
@VERSIONS
def test_of_the_connack_flags_only_session_present_is_ever_set(
    version: int, known: bool, clean_start: bool
) -> None:
    world = World()
    if known:
        come_back(world, "c", version).drop()
    peer = world.peer(version)
    peer.send(p.Connect("c", version, clean_start))
    assert peer.raw()[2] == (known and not clean_start)


@pytest.mark.spec("MQTT-4.1.0-1", "3.1.1:MQTT-4.1.0-2")
@VERSIONS
def test_a_session_does_not_end_while_its_client_is_connected(version: int) -> None:
    world = World(persistent_client_expiration_s=20)
    properties = having(session_expiry_interval=10) if version == 5 else None
    client = world.connect("c", version=version, clean_start=False, properties=properties)
    client.subscribe("t", 1)
    world.advance(100_000)
    world.connect("pub").publish("t", b"still", 1)
    assert payloads(client) == [b"still"]


@pytest.mark.spec("MQTT-4.1.0-2", "MQTT-3.1.2-23")
@pytest.mark.parametrize(("away", "kept"), [(9, True), (10, False), (1000, False)])
def test_a_session_ends_when_its_expiry_has_passed(away: int, kept: bool) -> None:
    world = World()
    properties = having(session_expiry_interval=10)
    client = world.connect("c", clean_start=False, properties=properties)
    client.subscribe("t", 1)
    client.drop()
    world.advance(away)
    world.connect("pub").publish("t", b"x", 1)
    again = world.connect("c", clean_start=False, properties=properties)
    assert session_present(again) == kept
    assert payloads(again) == ([b"x"] if kept else [])


@pytest.mark.spec("MQTT-4.1.0-2")
@pytest.mark.parametrize("properties", [None, having(session_expiry_interval=0)])
def test_a_session_without_expiry_ends_with_its_connection(
    properties: object,
) -> None:
    world = World()
    client = world.connect("c", clean_start=False, properties=properties)  # type: ignore[arg-type]
    client.subscribe("t", 1)
    client.drop()
    assert not session_present(world.connect("c", clean_start=False))


@pytest.mark.spec("3.1.1:MQTT-3.1.2-6")
@pytest.mark.parametrize("goodbye", ["cut", "DISCONNECT"])
def test_a_clean_session_of_3_1_1_leaves_nothing_behind(goodbye: str) -> None:
    world = World()
    client = world.connect("c", version=4, clean_start=True)
    client.subscribe("t", 1)
    client.drop() if goodbye == "cut" else client.disconnect()
    world.connect("pub").publish("t", b"x", 1)
    again = world.connect("c", version=4, clean_start=False)
    assert not session_present(again)
    assert payloads(again) == []


@pytest.mark.spec("MQTT-3.1.2-23")
def test_an_expiry_of_all_ones_never_comes() -> None:
    world = World()
    client = world.connect("c", properties=having(session_expiry_interval=FOR_EVER))
    client.drop()
    world.advance(10 * 365 * 86400)
    assert session_present(world.connect("c", clean_start=False))


@pytest.mark.spec("MQTT-4.1.0-2")
def test_disconnect_may_shorten_or_lengthen_what_is_left_of_a_session() -> None:
    world = World()
    for expiry, kept in ((0, False), (5, False), (1000, True)):
        client = world.connect("c", properties=having(session_expiry_interval=100))
        client.disconnect(properties=having(session_expiry_interval=expiry))
        world.advance(200)
        assert session_present(world.connect("c", clean_start=False)) == kept


def test_disconnect_cannot_make_a_session_last_that_was_not_to() -> None:
    """Section 3.14.2.2.2: a protocol error, though without a number."""
    client = World().connect("c")
    client.disconnect(properties=having(session_expiry_interval=10))
    assert_closed_with(client, Reason.PROTOCOL_ERROR)


@pytest.mark.spec("3.1.1:MQTT-3.1.2-7")
@VERSIONS
def test_a_retained_message_does_not_end_with_the_session_that_sent_it(version: int) -> None:
    world = World()
    client = world.connect("c", version=version, clean_start=True)
    client.publish("t", b"kept", retain=True)
    client.disconnect()
    world.connect("c", version=version, clean_start=True).disconnect()
    watcher = world.connect("w")
    watcher.subscribe("t")
    assert payloads(watcher) == [b"kept"]


@pytest.mark.spec("MQTT-4.5.0-1", "3.1.1:MQTT-4.5.0-1")
@pytest.mark.parametrize("qos", [1, 2])
def test_an_accepted_message_goes_to_every_session_that_it_matches(qos: int) -> None:
    world = World()
    filters = ["a/b", "a/+", "#", "+/b"]
    clients = []
    for index, filter in enumerate(filters * 2):
        client = come_back(world, f"c{index}", 4 + index % 2)
        client.subscribe(filter, qos)
        if index % 3 == 0:
            client.drop()
        clients.append(client)
    stranger = come_back(world, "stranger")
    stranger.subscribe("a/c", qos)
    world.connect("pub").publish("a/b", b"x", qos)
    for index, client in enumerate(clients):
        live = come_back(world, f"c{index}", 4 + index % 2) if client.closed else client
        assert payloads(live) == [b"x"]
    assert payloads(stranger) == []
