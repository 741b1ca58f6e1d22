"""MQTT 5.0 chapters 1 and 2, 3.1.1 the same: strings, integers, headers, packet identifiers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import Peer, World
from tests.conformance.support import (
    assert_closed_with,
    frame,
    payloads,
    prop,
    raw_connect,
    raw_properties,
    raw_publish,
    raw_subscribe,
    raw_unsubscribe,
    string,
    two,
    varint,
)

VERSIONS = pytest.mark.parametrize("version", [4, 5])

ILL_FORMED = {
    "surrogate": b"a\xed\xa0\x80b",
    "last surrogate": b"\xed\xbf\xbf",
    "overlong": b"\xc0\xaf",
    "overlong NUL": b"\xc0\x80",
    "lone continuation": b"\x80",
    "cut short": b"a\xe2\x82",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "not a byte of UTF-8": b"\xff",
}


def in_connect(version: int, text: bytes) -> list[bytes]:
    """CONNECTs with ``text`` as client identifier, will topic and user name."""
    will = raw_properties(version) + string(text) + string(b"payload")
    return [
        raw_connect(version, payload=string(text)),
        raw_connect(version, 0x06, payload=string(b"c") + will),
        raw_connect(version, 0x82, payload=string(b"c") + string(text)),
    ]


def in_others(version: int, text: bytes) -> list[bytes]:
    """Packets of a connected client with ``text`` as topic or filter."""
    return [
        raw_publish(version, text),
        raw_publish(version, text, 0x32, two(1)),
        raw_subscribe(version, text),
        raw_unsubscribe(version, text),
    ]


def string_properties(text: bytes) -> list[bytes]:
    """PUBLISHes of 5.0 with ``text`` in each property that is a string, or half of a pair."""
    return [
        raw_publish(5, properties=data)
        for data in (
            prop(0x03, string(text)),
            prop(0x08, string(text)),
            prop(0x26, string(text) + string(b"v")),
            prop(0x26, string(b"k") + string(text)),
        )
    ]


def assert_refused(first: bytes, *others: bytes, version: int, reasons: set[int]) -> None:
    """A new connection that sends this is closed; in 5.0 with one of the reasons."""
    peer = World().peer(version)
    peer.send(first, *others)
    assert peer.closed
    packets = peer.take()
    if version == 5:
        goodbye = packets[-1]
        assert isinstance(goodbye, p.Connack | p.Disconnect)
        assert goodbye.reason in reasons
    else:
        # At most the CONNACK of the good CONNECT in front.
        assert [packet for packet in packets if not isinstance(packet, p.Connack)] == []
        assert len(packets) == len(others)


@pytest.mark.spec("MQTT-1.5.4-1", "3.1.1:MQTT-1.5.3-1")
@pytest.mark.spec("MQTT-3.1.3-4", "MQTT-3.1.3-11", "MQTT-3.1.3-12")
@pytest.mark.spec("3.1.1:MQTT-3.1.3-4", "3.1.1:MQTT-3.1.3-10", "3.1.1:MQTT-3.1.3-11")
@VERSIONS
@pytest.mark.parametrize("text", ILL_FORMED.values(), ids=ILL_FORMED.keys())
@pytest.mark.parametrize("field", [0, 1, 2], ids=["client id", "will topic", "user name"])
def test_a_connect_with_an_ill_formed_string_is_malformed(
    version: int, text: bytes, field: int
) -> None:
    packet = in_connect(version, text)[field]
    assert_refused(packet, version=version, reasons={Reason.MALFORMED_PACKET})


@pytest.mark.spec("MQTT-1.5.4-1", "MQTT-3.3.2-1", "MQTT-3.8.3-1", "MQTT-3.10.3-1")
@pytest.mark.spec("3.1.1:MQTT-1.5.3-1", "3.1.1:MQTT-3.3.2-1")
@pytest.mark.spec("3.1.1:MQTT-3.8.3-1", "3.1.1:MQTT-3.10.3-1")
@VERSIONS
@pytest.mark.parametrize("text", ILL_FORMED.values(), ids=ILL_FORMED.keys())
@pytest.mark.parametrize("field", range(4), ids=["QoS 0", "QoS 1", "SUBSCRIBE", "UNSUBSCRIBE"])
def test_a_topic_or_filter_that_is_ill_formed_is_malformed(
    version: int, text: bytes, field: int
) -> None:
    packet = in_others(version, text)[field]
    assert_refused(raw_connect(version), packet, version=version, reasons={Reason.MALFORMED_PACKET})


@pytest.mark.spec("MQTT-1.5.4-1", "MQTT-1.5.7-1", "MQTT-3.3.2-13", "MQTT-3.3.2-19")
@pytest.mark.parametrize("text", ILL_FORMED.values(), ids=ILL_FORMED.keys())
@pytest.mark.parametrize("field", range(4), ids=["content type", "response", "name", "value"])
def test_a_property_with_an_ill_formed_string_is_malformed(text: bytes, field: int) -> None:
    packet = string_properties(text)[field]
    assert_refused(raw_connect(5), packet, version=5, reasons={Reason.MALFORMED_PACKET})


@pytest.mark.spec("MQTT-1.5.4-2", "MQTT-4.7.3-2", "3.1.1:MQTT-1.5.3-2", "3.1.1:MQTT-4.7.3-2")
@VERSIONS
@pytest.mark.parametrize("text", [b"\0", b"a\0b", b"a/\0"])
def test_no_string_may_have_a_nul(version: int, text: bytes) -> None:
    reasons: set[int] = {
        Reason.MALFORMED_PACKET,
        Reason.TOPIC_NAME_INVALID,
        Reason.TOPIC_FILTER_INVALID,
    }
    for packet in in_connect(version, text):
        assert_refused(packet, version=version, reasons=reasons)
    for packet in in_others(version, text):
        assert_refused(raw_connect(version), packet, version=version, reasons=reasons)
    for packet in string_properties(text) if version == 5 else ():
        assert_refused(raw_connect(5), packet, version=5, reasons=reasons)


@pytest.mark.spec("MQTT-1.5.4-3", "3.1.1:MQTT-1.5.3-3")
@VERSIONS
def test_a_byte_order_mark_is_part_of_a_topic(version: int) -> None:
    world = World()
    subscriber = world.connect("sub", version=version)
    subscriber.subscribe("plain")
    subscriber.subscribe("\ufeffmarked")
    world.connect("pub", version=version).send(
        raw_publish(version, b"\xef\xbb\xbfplain"),
        raw_publish(version, b"\xef\xbb\xbfmarked"),
        raw_publish(version, b"marked"),
    )
    assert b"\xef\xbb\xbfmarked" in (raw := subscriber.raw())
    assert b"plain" not in raw
    assert raw.count(b"marked") == 1


@pytest.mark.spec("MQTT-1.5.4-3")
def test_a_byte_order_mark_in_a_property_is_forwarded() -> None:
    world = World()
    subscriber = world.connect("sub")
    subscriber.subscribe("t")
    data = prop(0x03, string(b"\xef\xbb\xbftext"))
    world.connect("pub").send(raw_publish(5, properties=data))
    assert data in subscriber.raw()


@pytest.mark.spec("MQTT-1.5.5-1")
@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"\x30\x84\x00" + string(b"t") + b"\0", id="remaining length"),
        pytest.param(b"\xc0\x80\x00", id="remaining length of 0"),
        pytest.param(b"\x30\xff\xff\xff\xff\x01", id="five bytes"),
        pytest.param(frame(0x30, string(b"t") + b"\x80\x00"), id="property length"),
        pytest.param(
            raw_subscribe(5, properties=prop(0x0B, b"\x85\x00")), id="subscription identifier"
        ),
        pytest.param(raw_publish(5, properties=b"\x81\x00\x01"), id="property identifier"),
    ],
)
def test_an_integer_that_is_longer_than_it_needs_is_malformed(packet: bytes) -> None:
    assert_refused(raw_connect(5), packet, version=5, reasons={Reason.MALFORMED_PACKET})


@pytest.mark.spec("MQTT-1.5.5-1")
@pytest.mark.parametrize("size", [0, 1, 120, 121, 122, 123, 127, 128, 16370, 16384, 70000])
@VERSIONS
def test_every_length_that_the_broker_sends_is_in_its_shortest_form(
    version: int, size: int
) -> None:
    world = World()
    subscriber = world.connect("sub", version=version)
    subscriber.subscribe("t")
    payload = b"x" * size
    world.connect("pub").publish("t", payload)
    assert subscriber.raw() == raw_publish(version, payload=payload)


@pytest.mark.spec("MQTT-1.5.5-1")
@pytest.mark.parametrize("identifier", [1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455])
def test_a_subscription_identifier_is_delivered_in_its_shortest_form(identifier: int) -> None:
    world = World()
    subscriber = world.connect("sub")
    subscriber.subscribe("t", identifier=identifier)
    world.connect("pub").publish("t")
    assert subscriber.raw() == raw_publish(5, properties=prop(0x0B, varint(identifier)))


@pytest.mark.spec("MQTT-1.5.7-1", "MQTT-3.3.2-17", "MQTT-3.3.2-18")
@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
        ),
        max_size=6,
    )
)
def test_any_pairs_of_strings_are_forwarded_as_they_came(pairs: list[tuple[str, str]]) -> None:
    world = World()
    subscriber = world.connect("sub")
    subscriber.subscribe("t")
    data = b"".join(prop(0x26, string(name) + string(value)) for name, value in pairs)
    world.connect("pub").send(raw_publish(5, properties=data))
    assert subscriber.raw() == raw_publish(5, properties=data)


# -- headers --------------------------------------------------------------------------------------

#: A good packet of each type that a client may send to a connected server, and its right flags.
GOOD = {
    "PUBACK": (0x40, two(1)),
    "PUBREC": (0x50, two(1)),
    "PUBREL": (0x62, two(1)),
    "PUBCOMP": (0x70, two(1)),
    "SUBSCRIBE": (0x82, two(1) + b"%" + string(b"t") + b"\0"),
    "UNSUBSCRIBE": (0xA2, two(1) + b"%" + string(b"t")),
    "PINGREQ": (0xC0, b""),
    "DISCONNECT": (0xE0, b""),
}

WRONG_FLAGS = [
    pytest.param(kind, flags, id=f"{kind} {flags:04b}")
    for kind, (first, _) in GOOD.items()
    for flags in range(16)
    if flags != first & 0x0F
]


def body_for(version: int, body: bytes) -> bytes:
    return body.replace(b"%", raw_properties(version))


@pytest.mark.spec("MQTT-2.1.3-1", "MQTT-3.6.1-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1", "MQTT-3.14.1-1")
@pytest.mark.spec("3.1.1:MQTT-2.2.2-1", "3.1.1:MQTT-2.2.2-2", "3.1.1:MQTT-3.6.1-1")
@pytest.mark.spec("3.1.1:MQTT-3.8.1-1", "3.1.1:MQTT-3.10.1-1", "3.1.1:MQTT-3.14.1-1")
@VERSIONS
@pytest.mark.parametrize(("kind", "flags"), WRONG_FLAGS)
def test_wrong_header_flags_are_malformed(version: int, kind: str, flags: int) -> None:
    first, body = GOOD[kind]
    client = World().connect("c", version=version)
    client.send(frame(first & 0xF0 | flags, body_for(version, body)))
    assert_closed_with(client, Reason.MALFORMED_PACKET)


@pytest.mark.spec("MQTT-2.1.3-1", "3.1.1:MQTT-2.2.2-2")
@VERSIONS
@pytest.mark.parametrize("flags", range(1, 16))
def test_a_connect_with_header_flags_is_malformed(version: int, flags: int) -> None:
    peer = World().peer(version)
    peer.send(bytes((0x10 | flags,)) + raw_connect(version)[1:])
    assert_closed_with(peer, Reason.MALFORMED_PACKET)


@pytest.mark.spec("MQTT-2.1.3-1", "3.1.1:MQTT-2.2.2-1")
@VERSIONS
def test_the_broker_s_own_packets_have_the_listed_flags(version: int) -> None:
    world = World()
    peer = world.peer(version)
    peer.send(
        raw_connect(version),
        raw_subscribe(version, options=2),
        raw_publish(version, first=0x34, packet_id=two(1)),
    )
    # The exchange of the broker's own PUBLISH, which has identifier 1, and of the client's.
    peer.send(frame(0x50, two(1)), frame(0x62, two(1)), frame(0x70, two(1)))
    peer.send(raw_unsubscribe(version), frame(0xC0, b""))
    firsts = first_bytes(peer)
    assert sorted(firsts) == [0x20, 0x34, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0]


def first_bytes(peer: Peer) -> list[int]:
    """The first byte of each packet that came, read without midge's decoder."""
    data = peer.raw()
    firsts = []
    pos = 0
    while pos < len(data):
        firsts.append(data[pos])
        length = shift = 0
        while True:
            pos += 1
            length |= (data[pos] & 0x7F) << shift
            shift += 7
            if not data[pos] & 0x80:
                break
        pos += 1 + length
    assert pos == len(data)
    return firsts


# -- packet identifiers and properties ------------------------------------------------------------


@pytest.mark.spec("MQTT-2.2.1-2", "3.1.1:MQTT-2.3.1-5")
@VERSIONS
def test_a_publish_at_qos_0_has_no_identifier_either_way(version: int) -> None:
    world = World()
    subscriber = world.connect("sub", version=version)
    subscriber.subscribe("t")
    # Two bytes that would be an identifier are the payload's in 3.1.1, properties in 5.0.
    world.connect("pub", version=version).send(raw_publish(version, payload=two(7)))
    assert subscriber.raw() == raw_publish(version, payload=two(7))


@pytest.mark.spec("MQTT-2.2.1-3", "3.1.1:MQTT-2.3.1-1")
@VERSIONS
@pytest.mark.parametrize(
    "kind", ["PUBLISH 1", "PUBLISH 2", "SUBSCRIBE", "UNSUBSCRIBE", "PUBACK", "PUBREL"]
)
def test_an_identifier_of_0_is_refused(version: int, kind: str) -> None:
    packet = {
        "PUBLISH 1": raw_publish(version, first=0x32, packet_id=two(0)),
        "PUBLISH 2": raw_publish(version, first=0x34, packet_id=two(0)),
        "SUBSCRIBE": raw_subscribe(version, packet_id=0),
        "UNSUBSCRIBE": raw_unsubscribe(version, packet_id=0),
        "PUBACK": frame(0x40, two(0)),
        "PUBREL": frame(0x62, two(0)),
    }[kind]
    assert_refused(
        raw_connect(version),
        packet,
        version=version,
        reasons={Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR},
    )


@pytest.mark.spec("MQTT-2.2.1-4", "MQTT-4.3.2-1", "MQTT-4.3.3-1")
@pytest.mark.spec("3.1.1:MQTT-2.3.1-4", "3.1.1:MQTT-2.3.1-1")
@VERSIONS
@pytest.mark.parametrize("qos", [1, 2])
def test_the_broker_s_messages_under_way_have_identifiers_of_their_own(
    version: int, qos: int
) -> None:
    world = World(inflight_messages_max=50)
    subscriber = world.connect("sub", version=version)
    subscriber.subscribe("t", qos)
    publisher = world.connect("pub")
    for _ in range(30):
        publisher.publish("t", b"", qos)
    ids = [message.packet_id for message in subscriber.messages(acknowledge=False)]
    assert len(set(ids)) == 30
    assert 0 not in ids


@pytest.mark.spec("MQTT-2.2.1-4", "MQTT-4.3.2-1")
def test_identifiers_go_round_without_touching_one_that_is_in_use() -> None:
    world = World(inflight_messages_max=10)
    subscriber = world.connect("sub")
    subscriber.subscribe("t", 1)
    publisher = world.connect("pub")
    publisher.publish("t", b"held", 1)
    [held] = subscriber.messages(acknowledge=False)
    # Put the table near its end instead of sending 65,535 messages through it.
    session = world.broker.sessions.get("sub")
    assert session is not None
    session.outbox.outgoing._last_id = 65533
    for _ in range(4):
        publisher.publish("t", b"", 1)
    ids = [message.packet_id for message in subscriber.messages()]
    assert ids == [65534, 65535, held.packet_id + 1, held.packet_id + 2]


@pytest.mark.spec("MQTT-2.2.1-5", "3.1.1:MQTT-2.3.1-6")
@VERSIONS
@pytest.mark.parametrize("packet_id", [1, 255, 256, 65535])
def test_acknowledgements_carry_the_identifier_that_was_sent(version: int, packet_id: int) -> None:
    client = World().connect("c", version=version)
    client.send(p.Publish("t", qos=1, packet_id=packet_id))
    assert client.expect(p.Puback).packet_id == packet_id
    client.send(p.Publish("t", qos=2, packet_id=packet_id))
    assert client.expect(p.Pubrec).packet_id == packet_id
    client.send(p.Pubrel(packet_id))
    assert client.expect(p.Pubcomp).packet_id == packet_id


@pytest.mark.spec("MQTT-2.2.1-5", "3.1.1:MQTT-2.3.1-6")
@VERSIONS
def test_a_pubrel_carries_the_identifier_of_its_publish(version: int) -> None:
    world = World()
    subscriber = world.connect("sub", version=version)
    subscriber.subscribe("t", 2)
    publisher = world.connect("pub")
    for _ in range(3):
        publisher.publish("t", b"", 2)
    ids = [message.packet_id for message in subscriber.messages(acknowledge=False)]
    for packet_id in reversed(ids):
        subscriber.send(p.Pubrec(packet_id))
        assert subscriber.expect(p.Pubrel).packet_id == packet_id


@pytest.mark.spec("MQTT-2.2.1-6", "MQTT-3.8.4-2", "MQTT-3.10.4-5", "3.1.1:MQTT-2.3.1-7")
@pytest.mark.spec("3.1.1:MQTT-3.8.4-2", "3.1.1:MQTT-3.10.4-4")
@VERSIONS
@pytest.mark.parametrize("packet_id", [1, 255, 256, 65535])
def test_suback_and_unsuback_carry_the_identifier_of_the_request(
    version: int, packet_id: int
) -> None:
    client = World().connect("c", version=version)
    client.send(raw_subscribe(version, packet_id=packet_id))
    assert client.expect(p.Suback).packet_id == packet_id
    client.send(raw_unsubscribe(version, packet_id=packet_id))
    assert client.expect(p.Unsuback).packet_id == packet_id


@pytest.mark.spec("MQTT-2.2.2-1")
def test_a_packet_without_properties_says_so_with_a_length_of_0() -> None:
    world = World()
    subscriber = world.connect("sub")
    subscriber.send(raw_subscribe(5, packet_id=3), raw_unsubscribe(5, b"u", packet_id=4))
    assert subscriber.raw() == frame(0x90, two(3) + b"\0" + b"\0") + frame(
        0xB0, two(4) + b"\0" + b"\x11"
    )
    world.connect("pub", version=4).publish("t", b"p")
    assert subscriber.raw() == raw_publish(5, payload=b"p")


@pytest.mark.spec("MQTT-2.2.2-1")
@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(frame(0x82, two(1)), id="SUBSCRIBE"),
        pytest.param(frame(0xA2, two(1)), id="UNSUBSCRIBE"),
        pytest.param(frame(0x30, string(b"t")), id="PUBLISH"),
    ],
)
def test_a_packet_whose_property_length_is_left_out_is_malformed(packet: bytes) -> None:
    assert_refused(raw_connect(5), packet, version=5, reasons={Reason.MALFORMED_PACKET})


def test_the_fixture_packets_are_good_ones() -> None:
    """Else the tests above could pass for the wrong reason."""
    for version in (4, 5):
        for packet in in_connect(version, b"good"):
            peer = World().peer(version)
            peer.send(packet)
            assert not peer.closed
        for packet in [
            *in_others(version, b"good"),
            *(string_properties(b"g") if version == 5 else []),
        ]:
            client = World().connect("c", version=version)
            client.send(packet)
            assert not client.closed
        for kind, (first, body) in GOOD.items():
            world = World()
            client = world.connect("c", version=version)
            client.subscribe("x", 2)
            if kind in ("PUBACK", "PUBREC", "PUBCOMP"):
                world.connect("pub").publish("x", b"", 1 if kind == "PUBACK" else 2)
                assert payloads_of_open(client) == 1
            client.send(frame(first, body_for(version, body)))
            packets = client.take()
            assert not any(isinstance(packet, p.Disconnect) for packet in packets)
            assert client.closed == (kind == "DISCONNECT")


def payloads_of_open(client: Peer) -> int:
    return len(client.messages(acknowledge=False))


@pytest.mark.spec("3.1.1:MQTT-3.3.2-1", "MQTT-3.3.2-1")
@VERSIONS
def test_the_topic_comes_first_in_what_the_broker_sends(version: int) -> None:
    world = World()
    subscriber = world.connect("sub", version=version)
    subscriber.subscribe("a/b", 1)
    world.connect("pub").publish("a/b", b"payload", 1)
    assert subscriber.raw() == raw_publish(version, b"a/b", 0x32, two(1), payload=b"payload")
    assert payloads(subscriber) == []
