"""Packets to bytes: every packet reads as it was written, and what does not fit is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.errors import ProtocolError
from midge.limits import VARINT_MAX
from midge.mqtt import packets as p
from midge.mqtt.decode import decode_packet, packet_length
from midge.mqtt.encode import (
    encode,
    encode_ack,
    encode_properties,
    encode_publish_properties,
    publish_parts,
)
from midge.mqtt.primitives import read_varint, write_varint
from midge.mqtt.properties import (
    CONTENT_TYPE,
    REASON_STRING,
    RECEIVE_MAXIMUM,
    TOPIC_ALIAS,
    Properties,
)
from tests.strategies import (
    VERSIONS,
    packet_ids,
    packets,
    properties,
    publishes,
    versions,
    versions_and_packets,
)


def decode(data: bytes, version: int) -> p.Packet:
    """The one packet that ``data`` is."""
    start, end = packet_length(data, 0)
    assert end == len(data), "the length is not that of the packet"
    return decode_packet(data, start, end, data[0], version)


@given(versions_and_packets)
def test_a_packet_of_any_version_reads_as_it_was_written(drawn: tuple[int, p.Packet]) -> None:
    version, packet = drawn
    data = encode(packet, version)
    assert data[0] >> 4 == packet.type
    assert decode(data, version) == packet


@given(
    versions.flatmap(
        lambda version: st.tuples(st.just(version), st.lists(packets(version), max_size=4))
    )
)
def test_packets_one_behind_the_other_are_read_one_by_one(
    drawn: tuple[int, list[p.Packet]],
) -> None:
    version, wanted = drawn
    data = b"".join(encode(packet, version) for packet in wanted)
    read = []
    pos = 0
    while pos < len(data):
        start, end = packet_length(data, pos)
        read.append(decode_packet(data, start, end, data[pos], version))
        pos = end
    assert read == wanted


#: Packets with their bytes, by hand from the specifications' figures.
KNOWN: list[tuple[p.Packet, int, bytes]] = [
    (p.Connect("c", 3, keepalive_s=10), 3, b"\x10\x0f\0\x06MQIsdp\x03\x02\0\x0a\0\x01c"),
    (p.Connect("c", 4, False, 0), 4, b"\x10\x0d\0\x04MQTT\x04\0\0\0\0\x01c"),
    (p.Connect("", 5, True, 65_535), 5, b"\x10\x0d\0\x04MQTT\x05\x02\xff\xff\0\0\0"),
    (
        p.Connect("c", 5, True, 0, "u", b"p", p.Will("t", b"w", 2, True)),
        5,
        b"\x10\x1b\0\x04MQTT\x05\xf6\0\0\0\0\x01c\0\0\x01t\0\x01w\0\x01u\0\x01p",
    ),
    (p.Connect("c", 4, True, 0, bridge=True), 4, b"\x10\x0d\0\x04MQTT\x84\x02\0\0\0\x01c"),
    (p.Connack(), 4, b"\x20\x02\0\0"),
    (p.Connack(0, True), 5, b"\x20\x03\x01\0\0"),
    (p.Connack(0x87), 5, b"\x20\x03\0\x87\0"),
    (p.Publish("a/b", b"x"), 4, b"\x30\x06\0\x03a/bx"),
    (p.Publish("a/b", b"x"), 5, b"\x30\x07\0\x03a/b\0x"),
    (p.Publish("a/b", b"x", 1, True, True, 10), 4, b"\x3b\x08\0\x03a/b\0\x0ax"),
    (p.Publish("t", b"", 2, packet_id=0x1234), 5, b"\x34\x06\0\x01t\x12\x34\0"),
    (
        p.Publish("", b"x", properties=Properties({TOPIC_ALIAS: 5})),
        5,
        b"\x30\x07\0\0\x03\x23\0\x05x",
    ),
    (p.Puback(0x1234), 4, b"\x40\x02\x12\x34"),
    (p.Puback(0x1234, 0x10), 5, b"\x40\x03\x12\x34\x10"),
    (p.Pubrec(1), 5, b"\x50\x02\0\x01"),
    (p.Pubrel(1, 0x92), 5, b"\x62\x03\0\x01\x92"),
    (
        p.Pubcomp(1, 0, Properties({REASON_STRING: "r"})),
        5,
        b"\x70\x08\0\x01\0\x04\x1f\0\x01r",
    ),
    (p.Subscribe(10, [p.SubscribeTo("a/#", 1)]), 4, b"\x82\x08\0\x0a\0\x03a/#\x01"),
    (
        p.Subscribe(10, [p.SubscribeTo("a", 2, True, True, 2), p.SubscribeTo("b")]),
        5,
        b"\x82\x0b\0\x0a\0\0\x01a\x2e\0\x01b\0",
    ),
    (p.Suback(10, [0, 1, 2, 0x80]), 4, b"\x90\x06\0\x0a\0\x01\x02\x80"),
    (p.Suback(10, [0x87]), 5, b"\x90\x04\0\x0a\0\x87"),
    (p.Unsubscribe(10, ["a", "b"]), 4, b"\xa2\x08\0\x0a\0\x01a\0\x01b"),
    (p.Unsuback(10), 4, b"\xb0\x02\0\x0a"),
    (p.Unsuback(10, [0, 0x11]), 5, b"\xb0\x05\0\x0a\0\0\x11"),
    (p.Pingreq(), 4, b"\xc0\0"),
    (p.Pingresp(), 5, b"\xd0\0"),
    (p.Disconnect(), 4, b"\xe0\0"),
    (p.Disconnect(), 5, b"\xe0\0"),
    (p.Disconnect(0x8E), 5, b"\xe0\x01\x8e"),
    (p.Auth(), 5, b"\xf0\0"),
    (
        p.Auth(0x18, Properties.of(authentication_method="m", authentication_data=b"d")),
        5,
        b"\xf0\x0a\x18\x08\x15\0\x01m\x16\0\x01d",
    ),
]


@pytest.mark.parametrize(
    ("packet", "version", "data"), KNOWN, ids=[f"{row[1]} {row[2].hex()}" for row in KNOWN]
)
def test_a_packet_has_the_bytes_of_the_specification(
    packet: p.Packet, version: int, data: bytes
) -> None:
    assert encode(packet, version) == data
    assert decode(data, version) == packet


@pytest.mark.parametrize("length", [127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_publish_around_the_lengths_where_the_header_grows_reads_as_it_was_written(
    length: int, version: int
) -> None:
    head = 3 + (version == 5)  # the topic "t" with its length, and no properties
    packet = p.Publish("t", bytes(length - head))
    data = encode(packet, version)
    assert packet_length(data, 0)[1] - packet_length(data, 0)[0] == length
    assert decode(data, version) == packet
    head_bytes, tail = publish_parts(b"t", packet.payload, 0, False, version, b"")
    assert head_bytes + tail == data


def test_the_largest_packet_is_written_and_a_larger_one_is_not() -> None:
    # Zeros that nobody touches take no memory.
    head, tail = publish_parts(b"t", bytes(VARINT_MAX - 3), 0, False, 4, b"")
    assert head == b"\x30\xff\xff\xff\x7f\0\x01t"
    assert packet_length(head, 0) == (5, 5 + VARINT_MAX)
    assert len(head) + len(tail) == 5 + VARINT_MAX
    too_large = bytes(VARINT_MAX - 2)
    with pytest.raises(ProtocolError, match="too large"):
        publish_parts(b"t", too_large, 0, False, 4, b"")
    with pytest.raises(ProtocolError, match="too large"):
        encode(p.Publish("t", too_large), 4)


# -- what is sent often ---------------------------------------------------------------------------


@given(versions.flatmap(lambda version: st.tuples(st.just(version), publishes(version))))
def test_head_packet_identifier_and_tail_are_the_publish(drawn: tuple[int, p.Publish]) -> None:
    version, packet = drawn
    packet.dup = False
    encoded = encode_properties(packet.properties)
    bare = encoded[read_varint(encoded, 0, len(encoded))[1] :]
    head, tail = publish_parts(
        packet.topic.encode(), packet.payload, packet.qos, packet.retain, version, bare
    )
    between = packet.packet_id.to_bytes(2, "big") if packet.qos else b""
    assert head + between + tail == encode(packet, version)
    if packet.qos:
        packet.dup = True
        again = bytes((head[0] | 8,)) + head[1:] + between + tail
        assert again == encode(packet, version), "bit 3 of the first byte is DUP"


@given(properties(p.PUBLISH), packet_ids)
def test_a_forwarded_publish_is_read_with_the_properties_it_was_given(
    came: Properties | None, packet_id: int
) -> None:
    extras = encode_publish_properties(came, 60, (1, 2), 3)
    head, tail = publish_parts(b"", b"x", 1, False, 5, extras)
    read = decode(head + packet_id.to_bytes(2, "big") + tail, 5)
    assert isinstance(read, p.Publish)
    assert read.packet_id == packet_id
    assert read.properties is not None
    assert read.properties.subscription_ids == [1, 2]
    assert read.properties.values[TOPIC_ALIAS] == 3


@pytest.mark.parametrize("cls", [p.Puback, p.Pubrec, p.Pubrel, p.Pubcomp])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_fast_acknowledgement_is_the_same_as_the_packet(
    version: int, cls: type[p.Puback | p.Pubrec | p.Pubrel | p.Pubcomp]
) -> None:
    for packet_id in (1, 255, 256, 0x1234, 65_535):
        for reason in (0, 0x10, 0x92):
            data = encode_ack(cls.type, packet_id, reason, version)
            assert data == encode(cls(packet_id, reason), version)


# -- versions -------------------------------------------------------------------------------------


@given(st.sampled_from([3, 4]), packets(5))
def test_what_a_version_does_not_have_is_left_out(version: int, packet: p.Packet) -> None:
    if isinstance(packet, p.Auth):
        with pytest.raises(ProtocolError, match="AUTH"):
            encode(packet, version)
        return
    if isinstance(packet, p.Connect | p.Suback | p.Connack | p.Subscribe | p.Publish):
        return  # these have a version of their own, or values that 3.1.1 has no form for
    read = decode(encode(packet, version), version)
    assert type(read) is type(packet)
    assert getattr(read, "properties", None) is None
    assert getattr(read, "reason", 0) == 0
    assert getattr(read, "packet_id", 0) == getattr(packet, "packet_id", 0)


# -- refusals -------------------------------------------------------------------------------------

MISPLACED = Properties({CONTENT_TYPE: "x"})
TWO_IDS = Properties(subscription_ids=[1, 2])

REFUSED: dict[str, p.Packet] = {
    "packet identifier 0": p.Publish("t", qos=1),
    "packet identifier -1": p.Publish("t", qos=1, packet_id=-1),
    "packet identifier 65536": p.Publish("t", qos=2, packet_id=65_536),
    "QoS 3": p.Publish("t", qos=3, packet_id=1),
    "QoS 4": p.Publish("t", qos=4, packet_id=1),
    "QoS -1": p.Publish("t", qos=-1, packet_id=1),
    "DUP at QoS 0": p.Publish("t", dup=True),
    "a topic of 65536 bytes": p.Publish("t" * 65_536),
    "a topic with NUL": p.Publish("a\0b"),
    "a topic with a surrogate": p.Publish("\ud800"),
    "a property of CONNECT in PUBLISH": p.Publish("t", properties=Properties({RECEIVE_MAXIMUM: 1})),
    "an acknowledgement of 0": p.Puback(0),
    "an acknowledgement of 65536": p.Pubrel(65_536),
    "reason 256": p.Puback(1, 256),
    "reason -1": p.Disconnect(-1),
    "a property of PUBLISH in PUBACK": p.Puback(1, 0, MISPLACED),
    "a property of PUBLISH in DISCONNECT": p.Disconnect(0, MISPLACED),
    "a property of PUBLISH in CONNACK": p.Connack(0, False, MISPLACED),
    "a property of PUBLISH in CONNECT": p.Connect("c", properties=MISPLACED),
    "a property of PUBLISH in AUTH": p.Auth(0x18, MISPLACED),
    "a property of CONNECT in a will": p.Connect(
        "c", will=p.Will("t", properties=Properties({RECEIVE_MAXIMUM: 1}))
    ),
    "keep alive 65536": p.Connect("c", keepalive_s=65_536),
    "keep alive -1": p.Connect("c", keepalive_s=-1),
    "a will at QoS 3": p.Connect("c", will=p.Will("t", qos=3)),
    "a will of 65536 bytes": p.Connect("c", will=p.Will("t", bytes(65_536))),
    "a password of 65536 bytes": p.Connect("c", username="u", password=bytes(65_536)),
    "a client id with NUL": p.Connect("\0"),
    "a subscription at QoS 3": p.Subscribe(1, [p.SubscribeTo("a", 3)]),
    "retain handling 3": p.Subscribe(1, [p.SubscribeTo("a", retain_handling=3)]),
    "retain handling 16": p.Subscribe(1, [p.SubscribeTo("a", retain_handling=16)]),
    "a subscription without an identifier": p.Subscribe(0, [p.SubscribeTo("a")]),
    "two subscription identifiers": p.Subscribe(1, [p.SubscribeTo("a")], TWO_IDS),
    "a filter of 65536 bytes": p.Unsubscribe(1, ["a" * 65_536]),
    "a granted QoS of 256": p.Suback(1, [256]),
}


@pytest.mark.parametrize("packet", REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_into_its_packet_is_not_written(packet: p.Packet) -> None:
    with pytest.raises(ProtocolError):
        encode(packet, 5)


def test_a_part_of_a_packet_is_not_written_alone() -> None:
    for part in (p.Will("t"), p.SubscribeTo("a")):
        with pytest.raises(TypeError, match="not a packet of its own"):
            encode(part, 5)


@given(st.lists(st.binary(min_size=1, max_size=1), max_size=3))
def test_encoded_properties_have_their_length_before_them(drawn: list[bytes]) -> None:
    user = [(byte.hex(), "") for byte in drawn]
    data = encode_properties(Properties(user=user))
    body = data[len(write_varint(7 * len(user))) :]
    assert len(body) == 7 * len(user)
