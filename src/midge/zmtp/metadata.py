"""The properties that peers tell each other: name and value pairs (RFC 37, connection metadata).

Names are compared without regard to case; a name that comes twice is refused, because two readers
could disagree on which one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from midge.zmtp.errors import INVALID_METADATA, ZmtpError

_NAME_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+")


def encode_metadata(properties: Iterable[tuple[str, bytes]]) -> bytes:
    """The properties in their order on the wire.

    Raises:
        ValueError: a name is empty, longer than 255 bytes, or has a letter that ZMTP forbids.
    """
    out = bytearray()
    for name, value in properties:
        raw = name.encode("ascii", "replace")
        if not 1 <= len(raw) <= 255 or not _NAME_BYTES.issuperset(raw):
            raise ValueError(f"{name!r} is no name for a metadata property")
        out.append(len(raw))
        out += raw
        out += len(value).to_bytes(4, "big")
        out += value
    return bytes(out)


def decode_metadata(data: bytes, code: int = INVALID_METADATA) -> dict[str, bytes]:
    """The properties of ``data``, which must hold nothing else.

    Raises:
        ZmtpError: with ``code``, when they cannot be read.
    """
    properties: dict[str, bytes] = {}
    seen: set[str] = set()
    pos = 0
    size = len(data)
    while pos < size:
        value_at = pos + 1 + data[pos] + 4
        raw = data[pos + 1 : value_at - 4]
        if value_at > size or not raw or not _NAME_BYTES.issuperset(raw):
            raise ZmtpError("the name of a metadata property is malformed", code)
        end = value_at + int.from_bytes(data[value_at - 4 : value_at], "big")
        if end > size:
            raise ZmtpError("the value of a metadata property runs past its command", code)
        name = raw.decode("ascii")
        if name.lower() in seen:
            raise ZmtpError(f"the metadata property {name} comes twice", code)
        seen.add(name.lower())
        properties[name] = data[value_at:end]
        pos = end
    return properties


def find_property(properties: Mapping[str, bytes], name: str) -> bytes | None:
    """The value of ``name`` in any spelling of upper and lower case, or ``None``."""
    value = properties.get(name)
    if value is None:
        lower = name.lower()
        for other in properties:
            if other.lower() == lower:
                return properties[other]
    return value
