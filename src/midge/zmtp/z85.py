"""Z85: 32 bytes of a key as 40 printable characters (RFC 32)."""

from __future__ import annotations

from typing import Final

ALPHABET: Final = (
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
)
_VALUES: Final = {letter: value for value, letter in enumerate(ALPHABET)}


def encode(data: bytes) -> bytes:
    """Five characters for every four bytes.

    Raises:
        ValueError: the length is no multiple of four.
    """
    if len(data) % 4:
        raise ValueError(f"Z85 needs a multiple of 4 bytes, not {len(data)}")
    out = bytearray()
    for pos in range(0, len(data), 4):
        value = int.from_bytes(data[pos : pos + 4], "big")
        digits = bytearray(5)
        for place in range(4, -1, -1):
            value, digit = divmod(value, 85)
            digits[place] = ALPHABET[digit]
        out += digits
    return bytes(out)


def decode(text: bytes | str) -> bytes:
    """The bytes that :func:`encode` made ``text`` of.

    Raises:
        ValueError: the length is no multiple of five, a character is not in the alphabet, or five
            of them stand for more than four bytes can hold.
    """
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) % 5:
        raise ValueError(f"Z85 text has a multiple of 5 characters, not {len(raw)}")
    out = bytearray()
    for pos in range(0, len(raw), 5):
        value = 0
        for letter in raw[pos : pos + 5]:
            digit = _VALUES.get(letter)
            if digit is None:
                raise ValueError(f"{chr(letter)!r} is no Z85 character")
            value = value * 85 + digit
        if value > 0xFFFFFFFF:
            raise ValueError(f"{raw[pos : pos + 5]!r} stands for more than four bytes")
        out += value.to_bytes(4, "big")
    return bytes(out)
