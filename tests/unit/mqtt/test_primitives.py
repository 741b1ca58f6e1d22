"""The data types of section 1.5: read and written, and what is none of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.errors import MalformedPacket
from midge.limits import STRING_BYTES_MAX, VARINT_MAX
from midge.mqtt.primitives import (
    read_binary,
    read_pair,
    read_string,
    read_varint,
    write_binary,
    write_pair,
    write_string,
    write_uint,
    write_varint,
)
from tests.strategies import texts, varints

#: Table 1-1 of 5.0: the smallest and the largest value of each length.
VARINTS = [
    (0, b"\x00"),
    (127, b"\x7f"),
    (128, b"\x80\x01"),
    (16_383, b"\xff\x7f"),
    (16_384, b"\x80\x80\x01"),
    (2_097_151, b"\xff\xff\x7f"),
    (2_097_152, b"\x80\x80\x80\x01"),
    (VARINT_MAX, b"\xff\xff\xff\x7f"),
]


@pytest.mark.parametrize(("value", "encoded"), VARINTS)
def test_the_borders_of_variable_byte_integers_are_those_of_the_standard(
    value: int, encoded: bytes
) -> None:
    assert write_varint(value) == encoded
    assert read_varint(encoded, 0, len(encoded)) == (value, len(encoded))


@given(varints, st.binary(max_size=4), st.binary(max_size=4))
def test_a_variable_byte_integer_reads_as_it_was_written_wherever_it_stands(
    value: int, before: bytes, behind: bytes
) -> None:
    encoded = write_varint(value)
    data = before + encoded + behind
    assert read_varint(data, len(before), len(data)) == (value, len(before) + len(encoded))


@pytest.mark.spec("MQTT-1.5.5-1")
@pytest.mark.parametrize(
    "encoded", [b"\x80\x00", b"\x81\x00", b"\xff\x00", b"\x80\x80\x00", b"\xff\xff\xff\x00"]
)
def test_a_variable_byte_integer_longer_than_it_needs_to_be_is_malformed(encoded: bytes) -> None:
    with pytest.raises(MalformedPacket, match="longer than it needs") as caught:
        read_varint(encoded, 0, len(encoded))
    assert caught.value.reason == 0x81


@pytest.mark.parametrize("encoded", [b"\x80\x80\x80\x80", b"\xff" * 5, b"\x80\x80\x80\x80\x01"])
def test_a_variable_byte_integer_has_at_most_four_bytes(encoded: bytes) -> None:
    with pytest.raises(MalformedPacket, match="more than four bytes"):
        read_varint(encoded, 0, len(encoded))


@pytest.mark.parametrize("encoded", [encoded for _, encoded in VARINTS])
def test_a_variable_byte_integer_that_is_cut_off_is_malformed(encoded: bytes) -> None:
    for end in range(len(encoded)):
        with pytest.raises(MalformedPacket, match="ends within"):
            read_varint(encoded, 0, end)


@pytest.mark.parametrize("value", [-1, -128, VARINT_MAX + 1, 1 << 40])
def test_what_does_not_fit_is_not_written_as_a_variable_byte_integer(value: int) -> None:
    with pytest.raises(MalformedPacket):
        write_varint(value)


# -- strings --------------------------------------------------------------------------------------


@given(texts, st.binary(max_size=4), st.binary(max_size=4))
def test_a_string_reads_as_it_was_written_wherever_it_stands(
    text: str, before: bytes, behind: bytes
) -> None:
    data = before + write_string(text) + behind
    assert read_string(data, len(before), len(data)) == (text, len(data) - len(behind))


@pytest.mark.spec("MQTT-1.5.4-1")
@pytest.mark.parametrize(
    "raw",
    [
        b"\xed\xa0\x80",  # U+D800
        b"\xed\xbf\xbf",  # U+DFFF
        b"\xed\xa0\xbd\xed\xb8\x80",  # a pair of surrogates
        b"\xc0\x80",  # U+0000, overlong
        b"\xc1\xbf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf4\x90\x80\x80",  # beyond U+10FFFF
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
        b"a\xc3",
        b"\xe2\x82",
        b"\xff",
        b"\xfe",
    ],
)
def test_a_string_that_is_not_well_formed_utf_8_is_malformed(raw: bytes) -> None:
    data = write_binary(raw)
    with pytest.raises(MalformedPacket, match="well-formed UTF-8") as caught:
        read_string(data, 0, len(data))
    assert caught.value.reason == 0x81


@pytest.mark.spec("MQTT-1.5.4-2")
@pytest.mark.parametrize("text", ["\0", "a\0", "\0a", "a\0b"])
def test_a_string_with_nul_is_neither_read_nor_written(text: str) -> None:
    data = write_binary(text.encode())
    with pytest.raises(MalformedPacket, match=r"U\+0000"):
        read_string(data, 0, len(data))
    with pytest.raises(MalformedPacket, match=r"U\+0000"):
        write_string(text)


@pytest.mark.spec("MQTT-1.5.4-3")
@pytest.mark.parametrize("text", ["\ufeff", "\ufeffa", "a\ufeff", "a\ufeffb\ufeff"])
def test_a_byte_order_mark_is_a_character_like_any_other(text: str) -> None:
    data = write_string(text)
    assert data[2:] == text.encode("utf-8")
    assert read_string(data, 0, len(data)) == (text, len(data))


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_a_surrogate_is_not_written(text: str) -> None:
    with pytest.raises(MalformedPacket, match="surrogate"):
        write_string(text)


@pytest.mark.parametrize("character", ["a", "\u00e9", "\u20ac"])
def test_a_string_may_have_65535_bytes_and_no_more(character: str) -> None:
    size = len(character.encode())
    longest = character * (STRING_BYTES_MAX // size)
    data = write_string(longest)
    assert read_string(data, 0, len(data)) == (longest, len(data))
    with pytest.raises(MalformedPacket, match="longer than"):
        write_string(longest + character)


# -- binary data, pairs, integers -----------------------------------------------------------------


@given(st.binary(max_size=300), st.binary(max_size=4), st.binary(max_size=4))
def test_binary_data_reads_as_it_was_written_wherever_it_stands(
    value: bytes, before: bytes, behind: bytes
) -> None:
    data = before + write_binary(value) + behind
    assert read_binary(data, len(before), len(data)) == (value, len(data) - len(behind))


@given(st.tuples(texts, texts))
def test_a_pair_reads_as_it_was_written(pair: tuple[str, str]) -> None:
    data = write_pair(pair)
    assert read_pair(data, 0, len(data)) == (pair, len(data))


@given(st.tuples(texts, texts))
def test_what_ends_within_a_value_is_malformed_even_where_more_data_follows(
    pair: tuple[str, str],
) -> None:
    name = write_string(pair[0])
    data = name + write_string(pair[1])
    for end in range(len(name)):
        with pytest.raises(MalformedPacket):
            read_string(data, 0, end)
        with pytest.raises(MalformedPacket):
            read_binary(data, 0, end)
    for end in range(len(data)):
        with pytest.raises(MalformedPacket):
            read_pair(data, 0, end)


@given(st.integers(1, 4), st.data())
def test_an_integer_of_fixed_width_has_its_highest_byte_first(
    width: int, data: st.DataObject
) -> None:
    value = data.draw(st.integers(0, (1 << 8 * width) - 1))
    encoded = write_uint(value, width)
    assert len(encoded) == width
    assert sum(byte << 8 * place for place, byte in enumerate(reversed(encoded))) == value


@pytest.mark.parametrize(("value", "width"), [(-1, 1), (256, 1), (65_536, 2), (1 << 32, 4)])
def test_an_integer_that_does_not_fit_its_width_is_not_written(value: int, width: int) -> None:
    with pytest.raises(MalformedPacket, match="does not fit"):
        write_uint(value, width)
