"""Malformed and out-of-order packets: closed, told why, seen by the log, and nobody else touched.

Every row of :data:`BAD` is sent by a connected client, in each version that it applies to, 3.1
included. In 5.0 the broker's last packet is a DISCONNECT with one of the row's reason codes; before
5.0 it just closes.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from midge.broker.hooks import Hooks
from midge.broker.link import Link
from midge.links.mqtt import MqttLink
from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.testing.pair import World
from tests.conformance.support import (
    FROM_SERVER,
    Bystander,
    assert_closed_with,
    frame,
    having,
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

MALFORMED = Reason.MALFORMED_PACKET
PROTOCOL = Reason.PROTOCOL_ERROR

BOTH = (4, 5)
ALL_THREE = (3, 4, 5)
V5 = (5,)


class Row:
    """One kind of bad input.

    Attributes:
        name: what is wrong.
        packet: the bytes, by version.
        reasons: the reason codes that the standard allows for it.
        versions: in which it is wrong.
    """

    def __init__(
        self,
        name: str,
        packet: bytes | dict[int, bytes],
        *reasons: int,
        versions: tuple[int, ...] = ALL_THREE,
    ) -> None:
        self.name = name
        self.packet = packet
        self.reasons = reasons
        self.versions = versions

    def data(self, version: int) -> bytes:
        if isinstance(self.packet, bytes):
            return self.packet
        # 3.1 has the form of 3.1.1 in everything that stands here.
        return self.packet[4 if version == 3 else version]


def each(make: object, *arguments: object, **named: object) -> dict[int, bytes]:
    """A raw packet in both forms."""
    return {version: make(version, *arguments, **named) for version in BOTH}  # type: ignore[operator]


ACKNOWLEDGEMENTS = {"PUBACK": 0x40, "PUBREC": 0x50, "PUBREL": 0x62, "PUBCOMP": 0x70}

BAD = [
    # Wrong flags and trailing bytes on packets that are short and easily waved through.
    *[
        Row(f"{name} with wrong flags", frame(first ^ 0x01, two(1)), MALFORMED)
        for name, first in ACKNOWLEDGEMENTS.items()
    ],
    *[
        Row(f"{name} with trailing bytes", {4: frame(first, two(1) + b"\0"), 5: tail}, MALFORMED)
        for name, first in ACKNOWLEDGEMENTS.items()
        for tail in [frame(first, two(1) + b"\0\0\0")]
    ],
    *[
        Row(f"{name} cut short", frame(first, b"\0"), MALFORMED)
        for name, first in ACKNOWLEDGEMENTS.items()
    ],
    *[
        Row(f"{name} without a body", frame(first, b""), MALFORMED)
        for name, first in ACKNOWLEDGEMENTS.items()
    ],
    *[
        Row(
            f"{name} with a property of PUBLISH",
            frame(first, two(1) + b"\0" + raw_properties(5, prop(0x23, two(1)))),
            MALFORMED,
            PROTOCOL,
            versions=V5,
        )
        for name, first in ACKNOWLEDGEMENTS.items()
    ],
    *[
        Row(
            f"{name} with two reason strings",
            frame(first, two(1) + b"\0" + raw_properties(5, prop(0x1F, string(b"x")) * 2)),
            PROTOCOL,
            versions=V5,
        )
        for name, first in ACKNOWLEDGEMENTS.items()
    ],
    Row("PINGREQ with wrong flags", b"\xc1\x00", MALFORMED),
    Row("PINGREQ with a body", b"\xc0\x01\x00", MALFORMED),
    Row("DISCONNECT with wrong flags", b"\xe1\x00", MALFORMED),
    Row("DISCONNECT with trailing bytes", {4: b"\xe0\x01\x00", 5: b"\xe0\x03\0\0\0"}, MALFORMED),
    # What only a server sends, and what nobody does.
    Row("CONNACK", {4: b"\x20\x02\0\0", 5: b"\x20\x03\0\0\0"}, PROTOCOL),
    Row("SUBACK", {4: frame(0x90, two(1) + b"\0"), 5: frame(0x90, two(1) + b"\0\0")}, PROTOCOL),
    Row("UNSUBACK", {4: frame(0xB0, two(1)), 5: frame(0xB0, two(1) + b"\0\0")}, PROTOCOL),
    Row("PINGRESP", b"\xd0\x00", PROTOCOL),
    Row("packet type 0", b"\x00\x00", MALFORMED, PROTOCOL),
    Row("packet type 15 in 3.1.1, out of turn in 5.0", b"\xf0\x00", PROTOCOL, MALFORMED),
    # Order.
    Row("a second CONNECT", each(raw_connect), PROTOCOL),
    # PUBLISH.
    Row("DUP at QoS 0", each(raw_publish, first=0x38), MALFORMED),
    Row("QoS 3", each(raw_publish, first=0x36, packet_id=two(1)), MALFORMED),
    Row("no identifier", frame(0x32, string(b"t")), MALFORMED),
    Row("a wildcard topic", each(raw_publish, b"a/#"), MALFORMED, Reason.TOPIC_NAME_INVALID),
    Row("a topic that is longer than the packet", frame(0x30, b"\0\x09abc"), MALFORMED),
    Row(
        "a payload format of 2",
        raw_publish(5, properties=prop(0x01, b"\2")),
        Reason.PAYLOAD_FORMAT_INVALID,
        PROTOCOL,
        MALFORMED,
        versions=V5,
    ),
    Row(
        "a wildcard response topic",
        raw_publish(5, properties=prop(0x08, string(b"a/+"))),
        PROTOCOL,
        Reason.TOPIC_NAME_INVALID,
        versions=V5,
    ),
    Row(
        "a subscription identifier from a client",
        raw_publish(5, properties=prop(0x0B, b"\1")),
        PROTOCOL,
        versions=V5,
    ),
    Row(
        "a topic alias of 0",
        raw_publish(5, properties=prop(0x23, two(0))),
        Reason.TOPIC_ALIAS_INVALID,
        versions=V5,
    ),
    Row(
        "an empty topic without an alias",
        raw_publish(5, b""),
        PROTOCOL,
        Reason.TOPIC_NAME_INVALID,
        versions=V5,
    ),
    *[
        Row(
            f"PUBLISH with {name} twice",
            raw_publish(5, properties=prop(identifier, value) * 2),
            PROTOCOL,
            versions=V5,
        )
        for name, identifier, value in [
            ("payload format", 0x01, b"\0"),
            ("message expiry", 0x02, b"\0\0\0\1"),
            ("content type", 0x03, string(b"x")),
            ("response topic", 0x08, string(b"x")),
            ("correlation data", 0x09, string(b"x")),
            ("topic alias", 0x23, two(1)),
        ]
    ],
    *[
        Row(
            f"PUBLISH with property 0x{identifier:02x} of another packet",
            raw_publish(5, properties=prop(identifier, value)),
            MALFORMED,
            PROTOCOL,
            versions=V5,
        )
        for identifier, value in [
            (0x11, b"\0\0\0\1"),
            (0x12, string(b"x")),
            (0x13, two(1)),
            (0x15, string(b"x")),
            (0x17, b"\1"),
            (0x18, b"\0\0\0\1"),
            (0x1F, string(b"x")),
            (0x21, two(1)),
            (0x27, b"\0\0\0\1"),
            (0x2A, b"\1"),
        ]
    ],
    Row("an unknown property", raw_publish(5, properties=b"\x7f"), MALFORMED, versions=V5),
    Row(
        "a property that is cut short",
        raw_publish(5, properties=b"\x02\0\0"),
        MALFORMED,
        versions=V5,
    ),
    Row(
        "a property length beyond the packet",
        frame(0x30, string(b"t") + b"\x10\x01\x00"),
        MALFORMED,
        versions=V5,
    ),
    # SUBSCRIBE and UNSUBSCRIBE.
    Row("SUBSCRIBE with wrong flags", each(raw_subscribe, first=0x80), MALFORMED),
    Row("UNSUBSCRIBE with wrong flags", each(raw_unsubscribe, first=0xA0), MALFORMED),
    Row("SUBSCRIBE with identifier 0", each(raw_subscribe, packet_id=0), PROTOCOL, MALFORMED),
    Row("UNSUBSCRIBE with identifier 0", each(raw_unsubscribe, packet_id=0), PROTOCOL, MALFORMED),
    Row(
        "SUBSCRIBE with half a filter",
        each(lambda v: raw_subscribe(v)[:1] + b"\x05" + raw_subscribe(v)[2:7]),
        MALFORMED,
    ),
    Row("SUBSCRIBE of nothing", {4: frame(0x82, two(1)), 5: frame(0x82, two(1) + b"\0")}, PROTOCOL),
    Row(
        "UNSUBSCRIBE from nothing",
        {4: frame(0xA2, two(1)), 5: frame(0xA2, two(1) + b"\0")},
        PROTOCOL,
    ),
    Row("SUBSCRIBE at QoS 3", each(raw_subscribe, options=3), PROTOCOL, MALFORMED),
    Row("reserved options", each(raw_subscribe, options=0xC0), MALFORMED),
    Row("retain handling 3", raw_subscribe(5, options=0x30), PROTOCOL, MALFORMED, versions=V5),
    Row(
        "No Local on a shared subscription",
        raw_subscribe(5, b"$share/g/t", 0x04),
        PROTOCOL,
        versions=V5,
    ),
    Row(
        "subscription identifier 0",
        raw_subscribe(5, properties=prop(0x0B, b"\0")),
        PROTOCOL,
        versions=V5,
    ),
    Row(
        "SUBSCRIBE with a property of PUBLISH",
        raw_subscribe(5, properties=prop(0x01, b"\0")),
        PROTOCOL,
        MALFORMED,
        versions=V5,
    ),
    Row(
        "UNSUBSCRIBE with a subscription identifier",
        raw_unsubscribe(5, properties=prop(0x0B, b"\1")),
        PROTOCOL,
        MALFORMED,
        versions=V5,
    ),
    Row("a bad filter", each(raw_subscribe, b"a#"), MALFORMED, Reason.TOPIC_FILTER_INVALID),
    # Size.
    Row("a length of five bytes", b"\x30\xff\xff\xff\xff\x01", MALFORMED),
    Row("an oversized PUBLISH", b"\x30" + varint(268_435_455), Reason.PACKET_TOO_LARGE),
    Row("an oversized SUBSCRIBE", b"\x82" + varint(268_435_455), Reason.PACKET_TOO_LARGE),
    Row(
        "an oversized PUBACK",
        b"\x40" + varint(268_435_455),
        Reason.PACKET_TOO_LARGE,
        MALFORMED,
    ),
]

CASES = [
    pytest.param(row, version, id=f"{row.name}, v{version}")
    for row in BAD
    for version in row.versions
]


class Onlooker(Hooks):
    """What the log is made from."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, int, str]] = []

    def disconnected(self, link: Link, client_id: str, reason: int, text: str) -> None:
        assert isinstance(link, MqttLink)
        self.lines.append((link.address, client_id, reason, text))


@pytest.mark.spec("MQTT-4.13.1-1", "MQTT-4.13.2-1", "MQTT-3.14.2-1", "3.1.1:MQTT-4.8.0-1")
@pytest.mark.parametrize(("row", "version"), CASES)
def test_bad_input_ends_its_own_connection_and_nothing_else(row: Row, version: int) -> None:
    onlooker = Onlooker()
    world = World(hooks=onlooker)
    bystander = Bystander(world)
    client = world.connect("the culprit", version=version)
    # Something good in front, and something behind that must not be looked at any more.
    client.send(
        frame(0xC0, b""), row.data(version), raw_publish(version, b"bystanders/x", payload=b"x")
    )
    assert client.closed
    answers = client.take()
    assert isinstance(answers.pop(0), p.Pingresp)
    if version == 5:
        [goodbye] = answers
        assert isinstance(goodbye, p.Disconnect)
        assert goodbye.reason in row.reasons, f"0x{goodbye.reason:02x}"
        assert goodbye.reason in FROM_SERVER[p.Disconnect]
    else:
        assert answers == []
    [(address, client_id, reason, text)] = onlooker.lines
    assert (address, client_id) == ("127.0.0.1", "the culprit")
    assert reason in row.reasons
    assert text
    bystander.assert_untouched()


@pytest.mark.spec("MQTT-4.13.1-1", "3.1.1:MQTT-4.8.0-1")
@pytest.mark.parametrize(("row", "version"), CASES)
def test_bad_input_is_found_in_any_chunking(row: Row, version: int) -> None:
    world = World()
    client = world.connect("c", version=version)
    client.send_chunks(*[bytes((byte,)) for byte in row.data(version)])
    assert client.closed


@pytest.mark.spec("MQTT-4.13.1-1", "3.1.1:MQTT-4.8.0-1")
@pytest.mark.parametrize("version", ALL_THREE)
@pytest.mark.parametrize(("qos", "answer"), [(1, 0x50), (2, 0x40)], ids=["PUBREC 1", "PUBACK 2"])
def test_the_acknowledgement_of_another_qos_is_a_protocol_error(
    version: int, qos: int, answer: int
) -> None:
    world = World()
    client = world.connect("c", version=version)
    client.subscribe("t", qos)
    world.connect("pub").publish("t", b"x", qos)
    [message] = client.messages(acknowledge=False)
    client.send(frame(answer, two(message.packet_id)))
    assert_closed_with(client, PROTOCOL)


# -- anything at all ------------------------------------------------------------------------------

_SEEDS = [row.data(version) for row in BAD for version in row.versions] + [
    raw_connect(version) for version in BOTH
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(_SEEDS) | st.binary(max_size=40), max_size=8),
    st.sampled_from(["new", "connected"]),
    st.sampled_from(ALL_THREE),
    st.integers(1, 50),
    st.data(),
)
@example([b"\x30\x05\0\1t\0x"], "connected", 5, 3, None)
@example([b"\x10\x80\0"], "new", 5, 3, None)
@example([b"\x10\xff\xff\xff\xff\1"], "new", 4, 1, None)
def test_nothing_that_a_client_sends_gets_through_as_an_exception_or_to_somebody_else(
    parts: list[bytes], state: str, version: int, step: int, data: st.DataObject | None
) -> None:
    world = World()
    bystander = Bystander(world)
    stream = bytearray(b"".join(parts))
    if data is not None and stream:
        for _ in range(data.draw(st.integers(0, 3))):
            stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    peer = world.connect("c", version=version) if state == "connected" else world.peer(version)
    peer.send_chunks(*[bytes(stream[pos : pos + step]) for pos in range(0, len(stream), step)])
    world.advance(100_000)
    peer.raw()
    peer.drop()
    # A stream may by chance be a good message to the bystanders; then they have had it.
    bystander.subscriber.messages()
    bystander.assert_untouched()


# -- who does not read ----------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_subscriber_that_stops_reading_costs_little_and_nobody_a_message(
    qos: int, fast_lane: bool
) -> None:
    world = World(fast_lane=fast_lane)
    reader = world.connect("reader")
    reader.subscribe("t", qos)
    sleeper = world.connect("sleeper")
    sleeper.subscribe("t", qos)
    sleeper.stop_reading()
    publisher = world.connect("pub")
    payload = bytes(100_000)
    count = 500 if qos else 5000  # 500 MB at QoS 0
    got = 0
    for index in range(count):
        packet_id = two(1 + index % 1000) if qos else b""
        publisher.send(raw_publish(5, b"t", 0x30 | qos << 1, packet_id, payload=payload))
        world.advance(0.1)
        publisher.raw()
        got += len(reader.messages())
    world.advance(10)
    got += len(reader.messages())
    assert got == count
    session = world.broker.sessions.get("sleeper")
    assert session is not None
    held = sum(len(chunk) for chunk in sleeper.link.connection.out)
    held += session.outbox.queued_bytes
    if qos == 0:
        assert held < 4 * 1024 * 1024
    else:
        # What is queued is shared with nobody here, and bounded by its count.
        assert session.outbox.queued_messages <= world.settings.queued_messages_max
    assert not reader.closed
    assert not publisher.closed


def test_the_goods_of_this_file_are_good() -> None:
    """Else the rows could be refused for another reason than theirs."""
    for version in ALL_THREE:
        client = World().connect("c", version=version)
        client.send(
            raw_publish(version),
            raw_publish(version, first=0x32, packet_id=two(1)),
            raw_subscribe(version),
            raw_unsubscribe(version),
            frame(0xC0, b""),
            frame(0x62, two(1)),
        )
        assert not client.closed
        assert len(client.take()) == 5
    client = World().connect("c")
    client.publish("t", properties=having(payload_format_indicator=1, topic_alias=1))
    assert not client.closed
    assert payloads(client) == []
