"""The data types of MQTT on the wire (MQTT 5.0 section 1.5).

Readers take the data, a position and the end of what they may read, and return the value with the
position behind it. What does not fit or is ill-formed raises :class:`MalformedPacket`.
"""

from __future__ import annotations

from midge.errors import MalformedPacket
from midge.limits import STRING_BYTES_MAX, VARINT_MAX


def read_varint(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """A variable byte integer in its shortest form (section 1.5.5)."""
    value = 0
    shift = 0
    while pos < end:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise MalformedPacket("an integer is longer than it needs to be")  # [MQTT-1.5.5-1]
            return value, pos
        shift += 7
        if shift > 21:
            raise MalformedPacket("an integer has more than four bytes")
    raise MalformedPacket("the packet ends within an integer")


def write_varint(value: int) -> bytes:
    """A variable byte integer.

    Raises:
        MalformedPacket: it is negative, or does not fit into four bytes.
    """
    if value < 0x80:
        if value < 0:
            raise MalformedPacket(f"{value} is negative, and no variable byte integer is")
        return value.to_bytes(1, "big")
    if value < 0x4000:
        return ((value & 0x7F | 0x80) << 8 | value >> 7).to_bytes(2, "big")
    if value < 0x200000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    if value > VARINT_MAX:
        raise MalformedPacket(f"{value} is too large for a variable byte integer")
    return bytes(
        (value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14 & 0x7F | 0x80, value >> 21)
    )


def read_binary(data: bytes, pos: int, end: int) -> tuple[bytes, int]:
    """Bytes with their length before them (section 1.5.6)."""
    start = pos + 2
    if start > end:
        raise MalformedPacket("the packet ends within a length")
    stop = start + (data[pos] << 8 | data[pos + 1])
    if stop > end:
        raise MalformedPacket("a value runs past the end of its packet")
    return data[start:stop], stop


def read_string(data: bytes, pos: int, end: int) -> tuple[str, int]:
    """A UTF-8 string without U+0000 and surrogates (section 1.5.4)."""
    start = pos + 2
    if start > end:
        raise MalformedPacket("the packet ends within the length of a string")
    stop = start + (data[pos] << 8 | data[pos + 1])
    if stop > end:
        raise MalformedPacket("a string runs past the end of its packet")
    try:
        # Strict: surrogates and overlong forms are refused, U+FEFF stays [MQTT-1.5.4-3].
        text = data[start:stop].decode()
    except UnicodeDecodeError:
        raise MalformedPacket("a string is not well-formed UTF-8") from None  # [MQTT-1.5.4-1]
    if "\0" in text:
        raise MalformedPacket("a string has the character U+0000")  # [MQTT-1.5.4-2]
    return text, stop


def read_pair(data: bytes, pos: int, end: int) -> tuple[tuple[str, str], int]:
    """Two strings: a name and its value (section 1.5.7)."""
    name, pos = read_string(data, pos, end)
    value, pos = read_string(data, pos, end)
    return (name, value), pos


def write_binary(value: bytes) -> bytes:
    """Bytes with their length before them.

    Raises:
        MalformedPacket: there are more than 65,535.
    """
    if len(value) > STRING_BYTES_MAX:
        raise MalformedPacket(f"a value of {len(value)} bytes is longer than {STRING_BYTES_MAX}")
    return len(value).to_bytes(2, "big") + value


def write_string(text: str) -> bytes:
    """A UTF-8 string with its length before it.

    Raises:
        MalformedPacket: it is too long, or has a character that MQTT does not allow.
    """
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise MalformedPacket("a string has a surrogate character") from None
    if b"\0" in raw:
        raise MalformedPacket("a string has the character U+0000")
    return write_binary(raw)


def write_pair(pair: tuple[str, str]) -> bytes:
    """Two strings: a name and its value.

    Raises:
        MalformedPacket: as for :func:`write_string`.
    """
    name, value = pair
    return write_string(name) + write_string(value)


def write_uint(value: int, width: int) -> bytes:
    """An integer of ``width`` bytes, the highest first (sections 1.5.2 and 1.5.3).

    Raises:
        MalformedPacket: it is negative or too large.
    """
    if value < 0 or value >> 8 * width:
        raise MalformedPacket(f"{value} does not fit into {width} bytes")
    return value.to_bytes(width, "big")
