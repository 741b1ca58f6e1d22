"""Bytes to packets: a row for each malformed form with its reason code, and any bytes at all.

The bytes in the tables are written out by hand, so that they do not depend on the encoder.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from midge.errors import MalformedPacket, ProtocolError
from midge.limits import TOPIC_LEVELS_MAX, VARINT_MAX
from midge.mqtt import packets as p
from midge.mqtt.decode import decode_packet, packet_length
from midge.mqtt.encode import encode
from midge.mqtt.primitives import write_binary as sized
from midge.mqtt.primitives import write_varint
from midge.mqtt.properties import TOPIC_ALIAS, Properties
from midge.mqtt.reasons import ALLOWED
from tests.strategies import VERSIONS, versions, versions_and_packets

ALL = (3, 4, 5)
OLD = (3, 4)
V31 = (3,)
V311 = (4,)
V5 = (5,)

#: Malformed Packet and Protocol Error.
MALFORMED = 0x81
PROTOCOL = 0x82


def decode(first: int, body: bytes, version: int) -> p.Packet:
    """Decode a body in the middle of other bytes, none of which may matter."""
    before, behind = b"\xff\x00\x7f", b"\x00\xff\x00\x00"
    data = before + body + behind
    return decode_packet(data, len(before), len(before) + len(body), first, version)


def refusal(first: int, body: bytes, version: int) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode(first, body, version)
    return caught.value


def connect(
    flags: int = 0x02,
    payload: bytes = b"\0\x01c",
    version: int = 4,
    properties: bytes = b"\0",
    name: bytes | None = None,
    level: int | None = None,
) -> bytes:
    """The body of a CONNECT."""
    if name is None:
        name = b"MQIsdp" if version == 3 else b"MQTT"
    head = sized(name) + bytes((version if level is None else level, flags)) + b"\0\x3c"
    return head + (properties if version == 5 else b"") + payload


# -- the fixed header -----------------------------------------------------------------------------

LENGTHS = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, VARINT_MAX]


@pytest.mark.parametrize("before", [0, 1, 5])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_length_gives_the_place_of_the_body_though_the_body_has_not_come(
    length: int, before: int
) -> None:
    data = bytes(before) + b"\x30" + write_varint(length)
    assert packet_length(data, before) == (len(data), len(data) + length)
    assert packet_length(data + b"\xff\xff", before) == (len(data), len(data) + length)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_header_that_is_not_complete_gives_nothing_yet(length: int) -> None:
    data = b"\x30" + write_varint(length)
    for size in range(len(data)):
        assert packet_length(data[:size], 0) == (0, 0)


@pytest.mark.spec("MQTT-1.5.5-1")
@pytest.mark.parametrize("length", [b"\x80\x00", b"\x80\x80\x00", b"\xff\xff\xff\x00"])
def test_a_length_longer_than_it_needs_to_be_is_malformed(length: bytes) -> None:
    with pytest.raises(MalformedPacket, match="longer than it needs") as caught:
        packet_length(b"\x30" + length, 0)
    assert caught.value.reason == MALFORMED


@pytest.mark.parametrize("length", [b"\x80" * 4, b"\xff" * 4, b"\xff\xff\xff\xff\x01"])
def test_a_length_of_more_than_four_bytes_is_malformed(length: bytes) -> None:
    with pytest.raises(MalformedPacket, match="more than 268435455") as caught:
        packet_length(b"\x30" + length, 0)
    assert caught.value.reason == MALFORMED


#: A good body for each packet, by type and version.
BODIES = {
    p.CONNECT: {version: connect(version=version) for version in ALL},
    p.CONNACK: {3: b"\0\0", 4: b"\0\0", 5: b"\0\0\0"},
    p.PUBACK: dict.fromkeys(ALL, b"\0\x01"),
    p.PUBREC: dict.fromkeys(ALL, b"\0\x01"),
    p.PUBREL: dict.fromkeys(ALL, b"\0\x01"),
    p.PUBCOMP: dict.fromkeys(ALL, b"\0\x01"),
    p.SUBSCRIBE: {3: b"\0\x01\0\x01a\0", 4: b"\0\x01\0\x01a\0", 5: b"\0\x01\0\0\x01a\0"},
    p.SUBACK: {3: b"\0\x01\0", 4: b"\0\x01\0", 5: b"\0\x01\0\0"},
    p.UNSUBSCRIBE: {3: b"\0\x01\0\x01a", 4: b"\0\x01\0\x01a", 5: b"\0\x01\0\0\x01a"},
    p.UNSUBACK: {3: b"\0\x01", 4: b"\0\x01", 5: b"\0\x01\0\0"},
    p.PINGREQ: dict.fromkeys(ALL, b""),
    p.PINGRESP: dict.fromkeys(ALL, b""),
    p.DISCONNECT: dict.fromkeys(ALL, b""),
    p.AUTH: {5: b""},
}
FLAGS = {packet_type: 2 if packet_type in (6, 8, 10) else 0 for packet_type in BODIES}


@pytest.mark.spec("MQTT-2.1.3-1", "3.1.1:MQTT-2.2.2-1", "3.1.1:MQTT-2.2.2-2")
@pytest.mark.parametrize("packet_type", BODIES, ids=[p.NAMES[key] for key in BODIES])
def test_the_flags_of_a_packet_are_those_of_its_type(packet_type: int) -> None:
    for version, body in BODIES[packet_type].items():
        good = {FLAGS[packet_type]}
        if version == 3 and packet_type in (p.PUBREL, p.SUBSCRIBE, p.UNSUBSCRIBE):
            good.add(FLAGS[packet_type] | 8)  # 3.1 sends these again with DUP
        for flags in range(16):
            first = packet_type << 4 | flags
            if flags in good:
                assert decode(first, body, version).type == packet_type
            else:
                error = refusal(first, body, version)
                assert error.reason == MALFORMED
                assert p.NAMES[packet_type] in str(error)
                assert "flags" in str(error)


@pytest.mark.parametrize("version", ALL)
def test_packet_type_0_does_not_exist_and_auth_only_in_5(version: int) -> None:
    types = (0,) if version == 5 else (0, 15)
    for packet_type in types:
        error = refusal(packet_type << 4, b"", version)
        assert error.reason == MALFORMED


ACKS = [p.PUBACK, p.PUBREC, p.PUBREL, p.PUBCOMP]


# -- every packet: cut off, and too long ----------------------------------------------------------


@given(versions_and_packets)
def test_a_packet_that_ends_early_never_passes_for_what_it_was(
    drawn: tuple[int, p.Packet],
) -> None:
    version, packet = drawn
    data = encode(packet, version)
    start, end = packet_length(data, 0)
    for stop in range(start, end):
        try:
            shorter = decode_packet(data, start, stop, data[0], version)
        except ProtocolError:
            continue
        assert shorter != packet


@given(versions_and_packets, st.binary(min_size=1, max_size=3))
def test_a_packet_with_something_behind_it_never_passes_for_what_it_was(
    drawn: tuple[int, p.Packet], tail: bytes
) -> None:
    version, packet = drawn
    data = encode(packet, version)
    start, end = packet_length(data, 0)
    try:
        longer = decode_packet(data + tail, start, end + len(tail), data[0], version)
    except ProtocolError:
        return
    # In 5.0 a success and the length of no properties may be left out, and here are not.
    if not (version == 5 and packet.type in (*ACKS, p.DISCONNECT) and not any(tail)):
        assert longer != packet


#: What one byte more than its body makes of a packet. PUBLISH takes it as payload, and a list of
#: filters or reason codes goes on.
TRAILING = [
    (p.CONNECT, ALL),
    (p.CONNACK, ALL),
    (p.PUBACK, OLD),
    (p.PUBREC, OLD),
    (p.PUBREL, OLD),
    (p.PUBCOMP, OLD),
    (p.UNSUBACK, OLD),
    (p.PINGREQ, ALL),
    (p.PINGRESP, ALL),
    (p.DISCONNECT, OLD),
]


@pytest.mark.parametrize(
    ("packet_type", "for_versions"), TRAILING, ids=[p.NAMES[row[0]] for row in TRAILING]
)
def test_bytes_behind_the_last_field_are_malformed(
    packet_type: int, for_versions: tuple[int, ...]
) -> None:
    for version in for_versions:
        body = BODIES[packet_type][version] + b"\0"
        error = refusal(packet_type << 4 | FLAGS[packet_type], body, version)
        assert error.reason == MALFORMED
        assert "1 bytes too many" in str(error)


@pytest.mark.parametrize("packet_type", [4, 5, 6, 7, 14, 15])
def test_in_5_bytes_behind_the_properties_are_malformed(packet_type: int) -> None:
    head = b"" if packet_type >= 14 else b"\0\x01"
    properties = b"\x04\x15\0\x01m" if packet_type == p.AUTH else b"\0"
    first = packet_type << 4 | FLAGS[packet_type]
    assert decode(first, head + b"\0" + properties, 5).type == packet_type
    error = refusal(first, head + b"\0" + properties + b"\0", 5)
    assert error.reason == MALFORMED
    assert "too many" in str(error)


# -- one row for each malformed form --------------------------------------------------------------

#: First byte, body, versions, reason code, and a piece of the text that says what is wrong.
BAD: dict[str, tuple[int, bytes, tuple[int, ...], int, str]] = {
    # PUBLISH
    "QoS 3": (0x36, b"\0\x01t\0\x01\0", ALL, MALFORMED, "QoS 3"),
    "QoS 3 with DUP": (0x3E, b"\0\x01t\0\x01\0", ALL, MALFORMED, "QoS 3"),
    "DUP at QoS 0": (0x38, b"\0\x01t\0", ALL, MALFORMED, "DUP"),
    "DUP at QoS 0, retained": (0x39, b"\0\x01t\0", ALL, MALFORMED, "DUP"),
    "publish without a body": (0x30, b"", ALL, MALFORMED, "too short"),
    "publish with half a length": (0x30, b"\0", ALL, MALFORMED, "too short"),
    "topic beyond the end": (0x30, b"\0\x02t", ALL, MALFORMED, "past the end"),
    "topic of 65535 beyond the end": (0x30, b"\xff\xfft", ALL, MALFORMED, "past the end"),
    "no packet identifier": (0x32, b"\0\x01t", ALL, MALFORMED, "packet identifier"),
    "half a packet identifier": (0x34, b"\0\x01t\0", ALL, MALFORMED, "packet identifier"),
    "packet identifier 0": (0x32, b"\0\x01t\0\0\0", ALL, PROTOCOL, "identifier 0"),
    "packet identifier 0 at QoS 2": (0x34, b"\0\x01t\0\0\0", ALL, PROTOCOL, "identifier 0"),
    "topic with +": (0x30, b"\0\x03a/+\0", ALL, MALFORMED, "wildcard"),
    "topic with #": (0x30, b"\0\x03a/#\0", ALL, MALFORMED, "wildcard"),
    "topic with + in a level": (0x30, b"\0\x03a+b\0", ALL, MALFORMED, "wildcard"),
    "topic with NUL": (0x30, b"\0\x03a\0b\0", ALL, MALFORMED, "NUL"),
    "topic with a surrogate": (0x30, b"\0\x03\xed\xa0\x80\0", ALL, MALFORMED, "UTF-8"),
    "topic with an overlong form": (0x30, b"\0\x02\xc0\x80\0", ALL, MALFORMED, "UTF-8"),
    "topic cut in a character": (0x30, b"\0\x01\xc3\0", ALL, MALFORMED, "UTF-8"),
    "no topic": (0x30, b"\0\0", OLD, PROTOCOL, "without a topic"),
    "no topic, no alias": (0x30, b"\0\0\0", V5, PROTOCOL, "without a topic"),
    "no topic, other properties": (0x30, b"\0\0\x02\x01\x01", V5, PROTOCOL, "without a topic"),
    "no properties at all": (0x30, b"\0\x01t", V5, MALFORMED, "integer"),
    "topic alias 0": (0x30, b"\0\x01t\x03\x23\0\0", V5, 0x94, "topic_alias"),
    "payload format 2": (0x30, b"\0\x01t\x02\x01\x02", V5, PROTOCOL, "payload_format"),
    "properties beyond the end": (0x30, b"\0\x01t\x05\x01\x01", V5, MALFORMED, "past the end"),
    # CONNECT
    "protocol name wrong": (0x10, connect(name=b"MQTX"), ALL, 0x84, "another protocol"),
    "protocol name in lower case": (0x10, connect(name=b"mqtt"), ALL, 0x84, "another protocol"),
    "protocol name empty": (0x10, connect(name=b""), ALL, 0x84, "another protocol"),
    "level 3 of MQTT": (0x10, connect(level=3), ALL, 0x84, "version 3"),
    "level 6 of MQTT": (0x10, connect(level=6), ALL, 0x84, "version 6"),
    "level 0 of MQTT": (0x10, connect(level=0), ALL, 0x84, "version 0"),
    "level 4 of MQIsdp": (0x10, connect(name=b"MQIsdp", level=4), ALL, 0x84, "version 4"),
    "a bridge of level 5": (0x10, connect(level=0x85), ALL, 0x84, "version 133"),
    "a bridge of level 6": (0x10, connect(level=0x86), ALL, 0x84, "version 134"),
    "connect cut behind the level": (0x10, connect()[:7], ALL, MALFORMED, "too short"),
    "connect cut in the keep alive": (0x10, connect()[:9], ALL, MALFORMED, "too short"),
    "connect without a client id": (0x10, connect()[:10], ALL, MALFORMED, "ends within"),
    "reserved flag": (0x10, connect(0x03), ALL, MALFORMED, "reserved"),
    "will QoS without a will": (0x10, connect(0x0A), ALL, MALFORMED, "no will"),
    "will retain without a will": (0x10, connect(0x22), ALL, MALFORMED, "no will"),
    "will at QoS 3": (0x10, connect(0x1E, b"\0\x01c\0\x01t\0\0"), ALL, MALFORMED, "QoS 3"),
    "will announced, not there": (0x10, connect(0x06), ALL, MALFORMED, "ends within"),
    "will without a payload": (0x10, connect(6, b"\0\x01c\0\x01t"), ALL, MALFORMED, "ends within"),
    "will topic empty": (0x10, connect(6, b"\0\x01c\0\0\0\0"), ALL, MALFORMED, "topic"),
    "will topic a filter": (0x10, connect(6, b"\0\x01c\0\x01#\0\0"), ALL, MALFORMED, "wildcard"),
    "will topic with NUL": (0x10, connect(6, b"\0\x01c\0\x01\0\0\0"), ALL, MALFORMED, "U+0000"),
    "user name announced": (0x10, connect(0x82), ALL, MALFORMED, "ends within"),
    "password announced": (0x10, connect(0xC2, b"\0\x01c\0\x01u"), ALL, MALFORMED, "ends within"),
    "password alone": (0x10, connect(0x42, b"\0\x01c\0\x01p"), ALL, MALFORMED, "no user name"),
    "password alone in 3.1": (
        0x10,
        connect(0x42, b"\0\x01c\0\x01p", version=3),
        ALL,
        MALFORMED,
        "no user name",
    ),
    "user name that is not there": (
        0x10,
        connect(2, b"\0\x01c\0\x01u"),
        ALL,
        MALFORMED,
        "too many",
    ),
    "half a user name in 3.1": (
        0x10,
        connect(0x82, b"\0\x01c\0", 3),
        ALL,
        MALFORMED,
        "ends within",
    ),
    "client id with NUL": (0x10, connect(payload=b"\0\x01\0"), ALL, MALFORMED, "U+0000"),
    "client id not UTF-8": (0x10, connect(payload=b"\0\x01\xff"), ALL, MALFORMED, "UTF-8"),
    "client id beyond the end": (0x10, connect(payload=b"\0\x02c"), ALL, MALFORMED, "past the end"),
    "receive maximum 0": (
        0x10,
        connect(version=5, properties=b"\x03\x21\0\0"),
        ALL,
        PROTOCOL,
        "receive_maximum",
    ),
    "authentication data alone": (
        0x10,
        connect(version=5, properties=b"\x04\x16\0\x01x"),
        ALL,
        PROTOCOL,
        "without a method",
    ),
    "a will's property in CONNECT": (
        0x10,
        connect(version=5, properties=b"\x05\x18\0\0\0\x01"),
        ALL,
        MALFORMED,
        "will_delay_interval",
    ),
    "a property of CONNECT in a will": (
        0x10,
        connect(0x06, b"\0\x01c\x03\x21\0\x01\0\x01t\0\0", version=5),
        ALL,
        MALFORMED,
        "in a will",
    ),
    # CONNACK
    "connack of one byte": (0x20, b"\0", ALL, MALFORMED, "too short"),
    "connack with reserved flags": (0x20, b"\x02\0\0", ALL, MALFORMED, "reserved"),
    "connack with return code 6": (0x20, b"\0\x06", OLD, PROTOCOL, "return code 6"),
    "connack with reason code 1": (0x20, b"\0\x01\0", V5, PROTOCOL, "reason code 0x01"),
    "connack without properties": (0x20, b"\0\0", V5, MALFORMED, "integer"),
    "session present, refused": (0x20, b"\x01\x05", OLD, PROTOCOL, "session present"),
    "session present, refused in 5": (0x20, b"\x01\x87\0", V5, PROTOCOL, "session present"),
    "maximum QoS 2": (0x20, b"\0\0\x02\x24\x02", V5, PROTOCOL, "maximum_qos"),
    # SUBSCRIBE
    "subscribe with identifier 0": (0x82, b"\0\0\0\0\x01a\0", ALL, PROTOCOL, "identifier 0"),
    "subscribe of one byte": (0x82, b"\0", ALL, MALFORMED, "too short"),
    "subscribe without filters": (0x82, b"\0\x01", OLD, PROTOCOL, "without a filter"),
    "subscribe without filters in 5": (0x82, b"\0\x01\0", V5, PROTOCOL, "without a filter"),
    "subscribe without properties": (0x82, b"\0\x01", V5, MALFORMED, "integer"),
    "no options": (0x82, b"\0\x01\0\x01a", OLD, MALFORMED, "options"),
    "no options in 5": (0x82, b"\0\x01\0\0\x01a", V5, MALFORMED, "options"),
    "no options for the second": (0x82, b"\0\x01\0\x01a\0\0\x01b", OLD, MALFORMED, "options"),
    "reserved options": (0x82, b"\0\x01\0\0\x01a\x40", V5, MALFORMED, "reserved"),
    "the other reserved option": (0x82, b"\0\x01\0\0\x01a\x80", V5, MALFORMED, "reserved"),
    "options of 5": (0x82, b"\0\x01\0\x01a\x04", OLD, MALFORMED, "reserved"),
    "subscribe at QoS 3": (0x82, b"\0\x01\0\x01a\x03", OLD, PROTOCOL, "QoS 3"),
    "subscribe at QoS 3 in 5": (0x82, b"\0\x01\0\0\x01a\x03", V5, PROTOCOL, "QoS 3"),
    "retain handling 3": (0x82, b"\0\x01\0\0\x01a\x30", V5, PROTOCOL, "retain handling"),
    "no local, shared": (0x82, b"\0\x01\0\0\x0a$share/g/a\x04", V5, PROTOCOL, "No Local"),
    "filter empty": (0x82, b"\0\x01\0\0\0", OLD, MALFORMED, "at least one"),
    "filter a+": (0x82, b"\0\x01\0\x02a+\0", OLD, MALFORMED, "alone"),
    "filter #/a": (0x82, b"\0\x01\0\x03#/a\0", OLD, MALFORMED, "last"),
    "filter with NUL": (0x82, b"\0\x01\0\x01\0\0", OLD, MALFORMED, "U+0000"),
    "filter not UTF-8": (0x82, b"\0\x01\0\x01\xff\0", OLD, MALFORMED, "UTF-8"),
    "filter beyond the end": (0x82, b"\0\x01\0\x05a\0", OLD, MALFORMED, "past the end"),
    "share without a group": (0x82, b"\0\x01\0\0\x09$share//a\0", V5, MALFORMED, "no group"),
    "share without a filter": (0x82, b"\0\x01\0\0\x08$share/g\0", V5, MALFORMED, "no topic filter"),
    "share with an empty filter": (
        0x82,
        b"\0\x01\0\0\x09$share/g/\0",
        V5,
        MALFORMED,
        "no topic filter",
    ),
    "share with a wildcard": (0x82, b"\0\x01\0\0\x0a$share/+/a\0", V5, MALFORMED, "wildcard"),
    "subscription identifier 0": (0x82, b"\0\x01\x02\x0b\0\0\x01a\0", V5, PROTOCOL, "zero"),
    "two subscription identifiers": (
        0x82,
        b"\0\x01\x04\x0b\x01\x0b\x02\0\x01a\0",
        V5,
        PROTOCOL,
        "more than one",
    ),
    # UNSUBSCRIBE
    "unsubscribe with identifier 0": (0xA2, b"\0\0\0\0\x01a", ALL, PROTOCOL, "identifier 0"),
    "unsubscribe without filters": (0xA2, b"\0\x01", OLD, PROTOCOL, "without a filter"),
    "unsubscribe without filters in 5": (0xA2, b"\0\x01\0", V5, PROTOCOL, "without a filter"),
    "unsubscribe from nothing": (0xA2, b"\0\x01\0\0", OLD, MALFORMED, "at least one"),
    "unsubscribe with a bad filter": (0xA2, b"\0\x01\0\x02a#", OLD, MALFORMED, "last|alone"),
    "unsubscribe with half a filter": (0xA2, b"\0\x01\0\x01a\0", OLD, MALFORMED, "ends within"),
    # SUBACK, UNSUBACK
    "suback without codes": (0x90, b"\0\x01", OLD, MALFORMED, "without a reason"),
    "suback without codes in 5": (0x90, b"\0\x01\0", V5, MALFORMED, "without a reason"),
    "suback with identifier 0": (0x90, b"\0\0\0\0", ALL, PROTOCOL, "identifier 0"),
    "suback with return code 3": (0x90, b"\0\x01\x03", OLD, PROTOCOL, "return code"),
    "suback with a second wrong code": (0x90, b"\0\x01\0\x81", OLD, PROTOCOL, "return code"),
    "suback with reason code 3": (0x90, b"\0\x01\0\x03", V5, PROTOCOL, "reason code 0x03"),
    "unsuback without codes": (0xB0, b"\0\x01\0", V5, MALFORMED, "without a reason"),
    "unsuback with reason code 1": (0xB0, b"\0\x01\0\x01", V5, PROTOCOL, "reason code 0x01"),
    "unsuback with identifier 0": (0xB0, b"\0\0\0\0", V5, PROTOCOL, "identifier 0"),
    # DISCONNECT, AUTH
    "disconnect with a body": (0xE0, b"\0", OLD, MALFORMED, "too many"),
    "disconnect with reason 1": (0xE0, b"\x01", V5, PROTOCOL, "reason code 0x01"),
    "disconnect with half properties": (0xE0, b"\0\x05\x11\0", V5, MALFORMED, "past the end"),
    "auth of one byte": (0xF0, b"\x18", V5, MALFORMED, "integer"),
    "auth with reason 1": (0xF0, b"\x01\x04\x15\0\x01m", V5, PROTOCOL, "reason code 0x01"),
    "auth without a method": (0xF0, b"\x18\0", V5, PROTOCOL, "without its"),
    "auth with data alone": (0xF0, b"\x18\x04\x16\0\x01d", V5, PROTOCOL, "without its"),
}


@pytest.mark.parametrize(
    ("first", "body", "for_versions", "reason", "text"), BAD.values(), ids=BAD.keys()
)
def test_a_malformed_form_has_its_reason_code_and_its_text(
    first: int, body: bytes, for_versions: tuple[int, ...], reason: int, text: str
) -> None:
    for version in for_versions:
        error = refusal(first, body, version)
        assert error.reason == reason, error
        assert isinstance(error, MalformedPacket) == (reason == MALFORMED)
        assert any(piece in str(error) for piece in text.split("|")), error


@pytest.mark.parametrize("packet_type", ACKS, ids=[p.NAMES[key] for key in ACKS])
def test_an_acknowledgement_has_a_packet_identifier_that_is_not_0(packet_type: int) -> None:
    first = packet_type << 4 | FLAGS[packet_type]
    for version in ALL:
        for body in (b"", b"\x01"):
            error = refusal(first, body, version)
            assert error.reason == MALFORMED
            assert "too short" in str(error)
        error = refusal(first, b"\0\0", version)
        assert error.reason == PROTOCOL
        assert "identifier 0" in str(error)


@pytest.mark.parametrize("packet_type", ACKS, ids=[p.NAMES[key] for key in ACKS])
def test_in_5_an_acknowledgement_may_leave_out_its_properties_and_its_success(
    packet_type: int,
) -> None:
    first = packet_type << 4 | FLAGS[packet_type]
    for body in (b"\x12\x34", b"\x12\x34\0", b"\x12\x34\0\0"):
        packet = decode(first, body, 5)
        assert isinstance(packet, p._Ack)
        assert (packet.type, packet.packet_id) == (packet_type, 0x1234)
        assert (packet.reason, packet.properties) == (0, None)


@pytest.mark.spec("MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1")
@pytest.mark.spec("MQTT-3.9.3-2", "MQTT-3.11.3-2", "MQTT-3.14.2-1", "MQTT-3.15.2-1")
@pytest.mark.parametrize("packet_type", ALLOWED, ids=[p.NAMES[key] for key in ALLOWED])
def test_a_packet_carries_only_the_reason_codes_of_its_table(packet_type: int) -> None:
    first = packet_type << 4 | FLAGS[packet_type]
    forms = {
        p.CONNACK: b"\0%b\0",
        p.SUBACK: b"\0\x01\0%b",
        p.UNSUBACK: b"\0\x01\0%b",
        p.DISCONNECT: b"%b",
        p.AUTH: b"%b\x04\x15\0\x01m",
    }
    form = forms.get(packet_type, b"\0\x01%b")
    for reason in range(256):
        body = form % bytes((reason,))
        if reason in ALLOWED[packet_type]:
            assert decode(first, body, 5).type == packet_type
        else:
            error = refusal(first, body, 5)
            assert error.reason == PROTOCOL
            assert f"{reason:#04x}" in str(error)


# -- what is taken --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", OLD)
def test_a_bridge_of_mosquitto_marks_itself_in_the_version(version: int) -> None:
    packet = decode(0x10, connect(version=version, level=version | 0x80), 0)
    assert isinstance(packet, p.Connect)
    assert packet.bridge
    assert packet.version == version


@pytest.mark.parametrize("flags", [0x82, 0xC2])
def test_in_3_1_a_user_name_and_a_password_may_be_missing_though_announced(flags: int) -> None:
    packet = decode(0x10, connect(flags, version=3), 0)
    assert isinstance(packet, p.Connect)
    assert packet.username is None
    assert packet.password is None
    if flags == 0xC2:
        packet = decode(0x10, connect(flags, b"\0\x01c\0\x01u", version=3), 0)
        assert isinstance(packet, p.Connect)
        assert packet.username == "u"
        assert packet.password is None


@pytest.mark.parametrize("flags", [0x03, 0x0A, 0x12, 0x22, 0x1B, 0x3B])
def test_in_3_1_the_flags_that_mean_nothing_may_have_any_value(flags: int) -> None:
    assert decode(0x10, connect(flags, version=3), 0) == decode(0x10, connect(version=3), 0)
    assert refusal(0x10, connect(flags, version=4), 0).reason == MALFORMED
    assert refusal(0x10, connect(flags, version=5), 0).reason == MALFORMED


def test_a_password_alone_is_taken_in_5() -> None:
    packet = decode(0x10, connect(0x42, b"\0\x01c\0\x01p", version=5), 0)
    assert isinstance(packet, p.Connect)
    assert (packet.username, packet.password) == (None, b"p")


def test_the_version_argument_does_not_matter_to_connect() -> None:
    for version in ALL:
        packets = [decode(0x10, connect(version=version), argument) for argument in (0, 3, 4, 5)]
        assert packets == [packets[0]] * 4


@pytest.mark.parametrize("version", VERSIONS)
def test_a_publish_may_have_a_topic_of_65535_bytes_and_200_separators(version: int) -> None:
    for topic in ("t" * 65_535, "/" * TOPIC_LEVELS_MAX, "a/" * TOPIC_LEVELS_MAX + "b"):
        packet = decode(0x30, sized(topic.encode()) + b"\0", version)
        assert isinstance(packet, p.Publish)
        assert packet.topic == topic


@pytest.mark.parametrize("version", VERSIONS)
def test_a_topic_or_filter_with_too_many_levels_is_well_formed_but_not_accepted(
    version: int,
) -> None:
    deep = sized(b"/" * (TOPIC_LEVELS_MAX + 1))
    extra = b"\0" if version == 5 else b""
    assert refusal(0x30, deep + extra, version).reason == 0x90
    assert refusal(0x82, b"\0\x01" + extra + deep + b"\0", version).reason == 0x8F
    assert refusal(0xA2, b"\0\x01" + extra + deep, version).reason == 0x8F
    will = connect(0x06, b"\0\x01c" + extra + deep + b"\0\0", version=version)
    assert refusal(0x10, will, version).reason == 0x90
    wrong = sized(b"#" + b"/" * TOPIC_LEVELS_MAX)
    assert refusal(0x82, b"\0\x01" + extra + wrong + b"\0", version).reason == MALFORMED


def test_a_topic_alias_takes_the_place_of_the_topic() -> None:
    packet = decode(0x30, b"\0\0\x03\x23\0\x07payload", 5)
    assert packet == p.Publish("", b"payload", properties=Properties({TOPIC_ALIAS: 7}))


def test_a_byte_order_mark_stays_where_it_is() -> None:
    bom = "\ufeff".encode()
    packet = decode(0x30, sized(bom + b"t") + b"\0" + bom, 5)
    assert packet == p.Publish("\ufefft", bom)


def test_an_alias_with_a_subscription_identifier_is_read_as_it_came() -> None:
    packet = decode(0x31, b"\0\x01t\x05\x0b\x01\x23\0\x01", 5)
    assert isinstance(packet, p.Publish)
    assert packet.properties == Properties({TOPIC_ALIAS: 1}, subscription_ids=[1])
    assert packet.retain


# -- any bytes ------------------------------------------------------------------------------------


@given(st.integers(0, 255), st.binary(max_size=40), versions)
@example(0x10, b"\0\x04MQTT\x05\xc6\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 5)
@example(0x30, b"\0\0\x03\x23\0\x01", 5)
def test_any_bytes_are_a_packet_or_an_error_of_the_protocol(
    first: int, body: bytes, version: int
) -> None:
    error: ProtocolError | None = None
    try:
        packet = decode(first, body, version)
    except ProtocolError as caught:
        error = caught
    if error is not None:
        assert error.reason in (0x81, 0x82, 0x84, 0x8F, 0x90, 0x94)
        assert str(error)
        return
    assert packet.type == first >> 4
    assert repr(packet).startswith(type(packet).__name__)
    # What was taken can be said again, and is understood in the same way.
    again = encode(packet, version)
    start, end = packet_length(again, 0)
    assert end == len(again)
    assert decode_packet(again, start, end, again[0], version) == packet


@given(st.binary(max_size=8), st.integers(0, 8))
def test_any_bytes_are_a_header_no_header_yet_or_malformed(data: bytes, pos: int) -> None:
    try:
        start, end = packet_length(data, pos)
    except MalformedPacket:
        return
    if (start, end) == (0, 0):
        assert pos + 1 >= len(data) or all(byte >= 0x80 for byte in data[pos + 1 :])
    else:
        assert pos + 2 <= start <= min(pos + 5, len(data))
        assert start <= end <= start + VARINT_MAX
