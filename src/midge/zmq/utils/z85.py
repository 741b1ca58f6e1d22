"""Z85: bytes as text without special characters (RFC 32)."""

from __future__ import annotations

from typing import Final

from midge.zmtp import z85

#: The 85 characters, and the value of each.
Z85CHARS: Final = z85.ALPHABET
Z85MAP: Final = {character: value for value, character in enumerate(Z85CHARS)}


def encode(rawbytes: bytes) -> bytes:
    """Text of bytes, whose number must be divisible by four.

    Raises:
        ValueError: it is not.
    """
    return z85.encode(rawbytes)


def decode(z85bytes: bytes | str) -> bytes:
    """Bytes of such text.

    Raises:
        ValueError: it is none.
    """
    return z85.decode(z85bytes)


__all__ = ["decode", "encode"]
