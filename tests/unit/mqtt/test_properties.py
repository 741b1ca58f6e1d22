"""Properties: the table, the value class, and the codec with each of its refusals."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.errors import MalformedPacket, ProtocolError
from midge.limits import VARINT_MAX
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.primitives import write_binary, write_string, write_varint
from midge.mqtt.properties import NAMES, TABLE, WILL, Properties
from midge.mqtt.property_codec import (
    decode_properties,
    encode_properties,
    encode_publish_properties,
)
from tests.strategies import binaries, properties, texts

#: Which properties a packet may have, as the packets' own sections list them; user properties
#: apart, which all of these may have. The table in the code is arranged the other way round.
BY_PACKET = {
    WILL: {
        "will_delay_interval",
        "payload_format_indicator",
        "message_expiry_interval",
        "content_type",
        "response_topic",
        "correlation_data",
    },
    p.CONNECT: {
        "session_expiry_interval",
        "receive_maximum",
        "maximum_packet_size",
        "topic_alias_maximum",
        "request_response_information",
        "request_problem_information",
        "authentication_method",
        "authentication_data",
    },
    p.CONNACK: {
        "session_expiry_interval",
        "receive_maximum",
        "maximum_qos",
        "retain_available",
        "maximum_packet_size",
        "assigned_client_identifier",
        "topic_alias_maximum",
        "reason_string",
        "wildcard_subscription_available",
        "subscription_identifier_available",
        "shared_subscription_available",
        "server_keep_alive",
        "response_information",
        "server_reference",
        "authentication_method",
        "authentication_data",
    },
    p.PUBLISH: {
        "payload_format_indicator",
        "message_expiry_interval",
        "topic_alias",
        "response_topic",
        "correlation_data",
        "subscription_identifier",
        "content_type",
    },
    p.PUBACK: {"reason_string"},
    p.PUBREC: {"reason_string"},
    p.PUBREL: {"reason_string"},
    p.PUBCOMP: {"reason_string"},
    p.SUBSCRIBE: {"subscription_identifier"},
    p.SUBACK: {"reason_string"},
    p.UNSUBSCRIBE: set(),
    p.UNSUBACK: {"reason_string"},
    p.DISCONNECT: {"session_expiry_interval", "reason_string", "server_reference"},
    p.AUTH: {"authentication_method", "authentication_data", "reason_string"},
}
PLACES = sorted(BY_PACKET)
KINDS = {row[0]: row[2] for row in TABLE}

places = st.sampled_from(PLACES)
placed_properties = places.flatmap(lambda place: st.tuples(st.just(place), properties(place)))


def section(body: bytes) -> bytes:
    """Properties as they stand in a packet: with their length before them."""
    return write_varint(len(body)) + body


def sample(identifier: int) -> bytes:
    """A property with some good value, in bytes."""
    values = {
        props.BYTE: b"\x01",
        props.TWO_BYTES: b"\x00\x05",
        props.FOUR_BYTES: b"\x00\x00\x00\x05",
        props.VARINT: b"\x85\x05",
        props.STRING: write_string("abc"),
        props.BINARY: write_binary(b"abc"),
        props.PAIR: write_string("a") + write_string("bc"),
    }
    return bytes((identifier,)) + values[KINDS[identifier]]


def decode(body: bytes, place: int) -> Properties | None:
    data = section(body)
    decoded, pos = decode_properties(data, 0, len(data), place)
    assert pos == len(data)
    return decoded


def refusal(body: bytes, place: int) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode(body, place)
    return caught.value


def allowed(place: int) -> Iterator[int]:
    """The identifiers of the properties that may stand in a packet."""
    for identifier, name in NAMES.items():
        if name in BY_PACKET[place] or identifier == props.USER_PROPERTY:
            yield identifier


# -- the table ------------------------------------------------------------------------------------


def test_each_property_may_stand_where_the_sections_of_the_packets_list_it() -> None:
    listed = {place: names | {"user_property"} for place, names in BY_PACKET.items()}
    by_packet: dict[int, set[str]] = {place: set() for place in PLACES}
    for _, name, _, where in TABLE:
        for place in where:
            by_packet[place].add(name)
    assert by_packet == listed


def test_there_are_27_properties_with_an_identifier_and_a_name_each() -> None:
    assert len(TABLE) == len({row[0] for row in TABLE}) == len({row[1] for row in TABLE}) == 27
    for identifier, name, _, _ in TABLE:
        assert getattr(props, name.upper()) == identifier


# -- there and back -------------------------------------------------------------------------------


@given(placed_properties, st.binary(max_size=4), st.binary(max_size=4))
def test_properties_read_as_they_were_written_wherever_they_stand(
    placed: tuple[int, Properties | None], before: bytes, behind: bytes
) -> None:
    place, wanted = placed
    data = before + encode_properties(wanted, place) + behind
    decoded, pos = decode_properties(data, len(before), len(data), place)
    assert decoded == wanted
    assert pos == len(data) - len(behind)
    if decoded is not None and wanted is not None:
        assert list(decoded.values) == list(wanted.values), "the order on the wire changed"


def test_each_property_has_the_form_of_its_type() -> None:
    for place in PLACES:
        for identifier in allowed(place):
            decoded = decode(sample(identifier), place)
            assert decoded is not None
            assert encode_properties(decoded, place) == section(sample(identifier))


@given(placed_properties)
def test_properties_that_are_cut_off_are_malformed(
    placed: tuple[int, Properties | None],
) -> None:
    place, wanted = placed
    data = encode_properties(wanted, place)
    for end in range(len(data)):
        with pytest.raises(MalformedPacket) as caught:
            decode_properties(data, 0, end, place)
        assert caught.value.reason == 0x81


@given(places, st.binary(max_size=30))
def test_any_bytes_are_properties_or_an_error_of_the_protocol(place: int, body: bytes) -> None:
    refused: ProtocolError | None = None
    try:
        decoded = decode(body, place)
    except ProtocolError as error:
        refused = error
    if refused is not None:
        assert refused.reason in (0x81, 0x82, 0x94)
        assert str(refused)
        return
    again = encode_properties(decoded, place)
    assert decode_properties(again, 0, len(again), place) == (decoded, len(again))


@pytest.mark.parametrize("place", PLACES)
def test_each_value_that_is_cut_short_within_its_section_is_malformed(place: int) -> None:
    for identifier in allowed(place):
        whole = sample(identifier)
        for end in range(1, len(whole)):
            error = refusal(whole[:end], place)
            assert isinstance(error, MalformedPacket), NAMES[identifier]


def test_no_property_and_empty_properties_are_one_byte() -> None:
    assert encode_properties(None) == encode_properties(Properties()) == b"\0"
    assert decode_properties(b"\0", 0, 1, p.PUBLISH) == (None, 1)


def test_a_length_that_is_missing_overlong_or_beyond_the_packet_is_malformed() -> None:
    for data in (b"", b"\x80", b"\x80\x00", b"\xff\xff\xff\xff\x01", b"\x03\x01\x01", b"\x7f"):
        with pytest.raises(MalformedPacket):
            decode_properties(data, 0, len(data), p.PUBLISH)


def test_properties_of_more_than_127_bytes_have_a_longer_length() -> None:
    user = [("name", "x" * 200), ("name", "y" * 20_000)]
    data = encode_properties(Properties(user=user), p.CONNECT)
    decoded, pos = decode_properties(data, 0, len(data), p.CONNECT)
    assert decoded == Properties(user=user)
    assert pos == len(data)


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_property_in_a_packet_that_is_not_its_own_is_malformed(place: int) -> None:
    for identifier in NAMES.keys() - set(allowed(place)):
        error = refusal(sample(identifier), place)
        assert isinstance(error, MalformedPacket)
        assert error.reason == 0x81
        assert NAMES[identifier] in str(error)
        assert (p.NAMES[place] if place else "will") in str(error)


@pytest.mark.parametrize("place", PLACES)
def test_a_property_that_does_not_exist_is_malformed(place: int) -> None:
    for identifier in set(range(256)) - NAMES.keys():
        error = refusal(bytes((identifier,)) + bytes(8), place)
        assert isinstance(error, MalformedPacket)
        assert error.reason == 0x81
        assert "no property" in str(error)


@pytest.mark.parametrize("place", PLACES)
def test_a_property_that_stands_twice_is_a_protocol_error(place: int) -> None:
    for identifier in allowed(place):
        if KINDS[identifier] in (props.PAIR, props.VARINT):
            continue
        for between in (b"", sample(props.USER_PROPERTY)):
            error = refusal(sample(identifier) + between + sample(identifier), place)
            assert not isinstance(error, MalformedPacket)
            assert error.reason == 0x82
            assert NAMES[identifier] in str(error)


@pytest.mark.parametrize("place", PLACES)
def test_user_properties_may_stand_often_and_keep_their_order(place: int) -> None:
    user = [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("a", "0")]
    data = encode_properties(Properties(user=user), place)
    decoded, _ = decode_properties(data, 0, len(data), place)
    assert decoded is not None
    assert decoded.user == user


def test_a_publish_may_have_several_subscription_identifiers_and_a_subscribe_one() -> None:
    several = b"\x0b\x01\x0b\xff\xff\xff\x7f\x0b\x01"
    decoded = decode(several, p.PUBLISH)
    assert decoded is not None
    assert decoded.subscription_ids == [1, VARINT_MAX, 1]
    error = refusal(several, p.SUBSCRIBE)
    assert error.reason == 0x82
    with pytest.raises(ProtocolError) as caught:
        encode_properties(decoded, p.SUBSCRIBE)
    assert caught.value.reason == 0x82


BYTES = [
    (identifier, place)
    for identifier, _, kind, where in TABLE
    if kind == props.BYTE
    for place in where
]


@pytest.mark.parametrize("value", [2, 3, 0x7F, 0x80, 0xFF])
@pytest.mark.parametrize(("identifier", "place"), BYTES)
def test_a_property_of_one_byte_is_0_or_1(identifier: int, place: int, value: int) -> None:
    error = refusal(bytes((identifier, value)), place)
    assert error.reason == 0x82
    assert NAMES[identifier] in str(error)
    for good in (0, 1):
        decoded = decode(bytes((identifier, good)), place)
        assert decoded is not None
        assert decoded.values == {identifier: good}


@pytest.mark.parametrize(
    ("body", "place", "reason"),
    [
        (b"\x21\0\0", p.CONNECT, 0x82),  # receive maximum
        (b"\x21\0\0", p.CONNACK, 0x82),
        (b"\x27\0\0\0\0", p.CONNECT, 0x82),  # maximum packet size
        (b"\x27\0\0\0\0", p.CONNACK, 0x82),
        (b"\x23\0\0", p.PUBLISH, 0x94),  # topic alias
        (b"\x0b\0", p.PUBLISH, 0x82),  # subscription identifier
        (b"\x0b\0", p.SUBSCRIBE, 0x82),
    ],
)
def test_what_may_not_be_zero_is_refused_at_zero(body: bytes, place: int, reason: int) -> None:
    error = refusal(body, place)
    assert error.reason == reason
    assert "zero" in str(error)


@pytest.mark.parametrize(
    "body", [b"\x11\0\0\0\0", b"\x22\0\0"], ids=["session expiry", "topic alias maximum"]
)
def test_what_may_be_zero_is_taken_at_zero(body: bytes) -> None:
    assert decode(body, p.CONNECT) is not None


@pytest.mark.spec("MQTT-3.3.2-14")
@pytest.mark.parametrize("topic", ["", "+", "#", "a/+", "a/#", "a+b", "+/a", "#a"])
@pytest.mark.parametrize("place", [p.PUBLISH, WILL])
def test_a_response_topic_is_a_topic_name(topic: str, place: int) -> None:
    error = refusal(b"\x08" + write_string(topic), place)
    assert error.reason == 0x82
    assert "response topic" in str(error)


# -- the encoder's own refusals -------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        Properties({props.RECEIVE_MAXIMUM: "20"}),
        Properties({props.RECEIVE_MAXIMUM: b"20"}),
        Properties({props.RECEIVE_MAXIMUM: 65_536}),
        Properties({props.RECEIVE_MAXIMUM: -1}),
        Properties({props.RECEIVE_MAXIMUM: 0}),
        Properties({props.SESSION_EXPIRY_INTERVAL: 1 << 32}),
        Properties({props.REQUEST_PROBLEM_INFORMATION: 2}),
        Properties({props.REQUEST_PROBLEM_INFORMATION: 256}),
        Properties({props.AUTHENTICATION_METHOD: b"PLAIN"}),
        Properties({props.AUTHENTICATION_METHOD: "a\0"}),
        Properties({props.AUTHENTICATION_METHOD: "a" * 65_536}),
        Properties({props.AUTHENTICATION_METHOD: "\ud800"}),
        Properties({props.AUTHENTICATION_DATA: "abc"}),
        Properties({props.TOPIC_ALIAS: 1}),
        Properties({0x04: 1}),
        Properties({0x7F: 1}),
        Properties({0x1234: 1}),
        Properties({-1: 1}),
        Properties({props.USER_PROPERTY: "a"}),
        Properties(user=[("a", "b\0")]),
        Properties(subscription_ids=[1]),
    ],
    ids=lambda wrong: repr(wrong)[:60],
)
def test_what_the_other_side_would_refuse_is_not_written(wrong: Properties) -> None:
    with pytest.raises(ProtocolError):
        encode_properties(wrong, p.CONNECT)


@pytest.mark.parametrize("identifier", [0, -1, VARINT_MAX + 1])
def test_a_subscription_identifier_out_of_range_is_not_written(identifier: int) -> None:
    with pytest.raises(ProtocolError):
        encode_properties(Properties(subscription_ids=[identifier]), p.SUBSCRIBE)
    with pytest.raises(ProtocolError):
        encode_publish_properties(None, -1, (identifier,), 0)


@pytest.mark.parametrize("place", PLACES)
def test_a_property_is_not_written_into_a_packet_that_is_not_its_own(place: int) -> None:
    home = {row[0]: row[3][0] for row in TABLE}
    for identifier in NAMES.keys() - set(allowed(place)):
        there = decode(sample(identifier), home[identifier])
        with pytest.raises(MalformedPacket):
            encode_properties(there, place)


# -- what travels with a message ------------------------------------------------------------------

#: The properties that a broker forwards unchanged (sections 3.3.2.3.2 and 3.3.2.3.5 to 3.3.2.3.9).
TRAVELS = {
    props.PAYLOAD_FORMAT_INDICATOR,
    props.CONTENT_TYPE,
    props.RESPONSE_TOPIC,
    props.CORRELATION_DATA,
}


def forward(
    wanted: Properties | None,
    expiry_s: int = -1,
    ids: tuple[int, ...] = (),
    alias: int = 0,
) -> Properties | None:
    """What a receiver reads."""
    return decode(encode_publish_properties(wanted, expiry_s, ids, alias), p.PUBLISH)


@given(
    properties(p.PUBLISH) | properties(WILL),
    st.integers(-1, 0xFFFF_FFFF),
    st.lists(st.integers(1, VARINT_MAX), max_size=3),
    st.integers(0, 65_535),
)
def test_a_forwarded_message_keeps_what_travels_and_gets_what_is_new(
    came: Properties | None, expiry_s: int, ids: list[int], alias: int
) -> None:
    expected = Properties(subscription_ids=ids)
    if came is not None:
        expected.values = {key: came.values[key] for key in came.values if key in TRAVELS}
        expected.user = came.user
    if expiry_s >= 0:
        expected.values[props.MESSAGE_EXPIRY_INTERVAL] = expiry_s
    if alias:
        expected.values[props.TOPIC_ALIAS] = alias
    # Twice: the second time what was encoded the first time is used again.
    for _ in range(2):
        assert forward(came, expiry_s, tuple(ids), alias) == (expected or None)


@given(
    st.permutations([b"\x01\x01", b"\x03\0\x01t", b"\x08\0\x01r", b"\x09\0\x01c", b"\x26\0\0\0\0"])
)
def test_what_travels_alone_is_forwarded_as_the_bytes_that_came(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    assert encode_publish_properties(decode(body, p.PUBLISH), -1, (), 0) == body
    assert encode_publish_properties(decode(body, p.PUBLISH), 7, (), 0) == body + b"\x02\0\0\0\x07"


@pytest.mark.parametrize(
    "own", [b"\x02\0\0\0\x09", b"\x23\0\x01", b"\x0b\x05"], ids=["expiry", "alias", "identifier"]
)
def test_what_was_between_the_publisher_and_the_broker_does_not_travel(own: bytes) -> None:
    for body in (own + b"\x01\x01", b"\x01\x01" + own):
        assert encode_publish_properties(decode(body, p.PUBLISH), -1, (), 0) == b"\x01\x01"


def test_a_message_without_properties_is_forwarded_without_any() -> None:
    assert encode_publish_properties(None, -1, (), 0) == b""
    assert encode_publish_properties(Properties(), -1, [], 0) == b""


def test_the_remembered_bytes_are_no_part_of_equality() -> None:
    came = decode(b"\x01\x01", p.PUBLISH)
    made = Properties({props.PAYLOAD_FORMAT_INDICATOR: 1})
    assert came is not None
    assert came.forwarded is not None
    assert made.forwarded is None
    assert came == made


# -- the value class ------------------------------------------------------------------------------


def test_properties_are_made_by_the_names_of_the_standard() -> None:
    made = Properties.of(
        receive_maximum=20,
        authentication_method="SCRAM",
        authentication_data=b"x",
        user_property=[("a", "b")],
        subscription_identifier=[1],
    )
    assert made.values == {
        props.RECEIVE_MAXIMUM: 20,
        props.AUTHENTICATION_METHOD: "SCRAM",
        props.AUTHENTICATION_DATA: b"x",
    }
    assert made.user == [("a", "b")]
    assert made.subscription_ids == [1]


@pytest.mark.parametrize("name", ["receive_max", "ReceiveMaximum", "user", "values", ""])
def test_a_name_that_is_not_in_the_standard_is_an_error(name: str) -> None:
    wrong: Any = {name: 1}
    with pytest.raises(TypeError, match="no property"):
        Properties.of(**wrong)


@given(placed_properties)
def test_equality_looks_at_values_user_properties_and_identifiers(
    placed: tuple[int, Properties | None],
) -> None:
    _, one = placed
    if one is None:
        return
    other = copy.deepcopy(one)
    assert one == other
    other.user.append(("", ""))
    assert one != other
    other = copy.deepcopy(one)
    other.subscription_ids.append(1)
    assert one != other
    other = copy.deepcopy(one)
    other.values[0x7F] = 1
    assert one != other
    assert one != one.values


def test_the_repr_names_what_is_there() -> None:
    made = Properties.of(
        receive_maximum=20, user_property=[("a", "b")], subscription_identifier=[7]
    )
    assert repr(made) == "{receive_maximum: 20, subscription_identifier: [7], user: [('a', 'b')]}"
    assert repr(Properties()) == "{}"
    assert repr(Properties({0x7F: 1})) == "{0x7f: 1}"


@given(texts, binaries, st.integers(0, 65_535))
def test_a_getter_gives_the_value_of_its_type_and_nothing_else(
    text: str, data: bytes, number: int
) -> None:
    made = Properties.of(
        content_type=text, correlation_data=data, topic_alias=number, reason_string="r"
    )
    assert made.get_str(props.CONTENT_TYPE) == text
    assert made.get_bytes(props.CORRELATION_DATA) == data
    assert made.get_int(props.TOPIC_ALIAS) == number
    assert made.get_int(props.RECEIVE_MAXIMUM) == 0
    assert made.get_int(props.RECEIVE_MAXIMUM, 65_535) == 65_535
    assert made.get_str(props.RESPONSE_TOPIC) is None
    assert made.get_bytes(props.AUTHENTICATION_DATA) is None
    assert made.get_int(props.CONTENT_TYPE, -1) == -1
    assert made.get_str(props.CORRELATION_DATA) is None
    assert made.get_bytes(props.CONTENT_TYPE) is None


def test_only_properties_with_something_in_them_are_true() -> None:
    assert not Properties()
    assert Properties({props.TOPIC_ALIAS: 1})
    assert Properties(user=[("", "")])
    assert Properties(subscription_ids=[1])
