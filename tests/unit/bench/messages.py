"""The generator's messages, written a second time and independently, to hold it to its word."""

from __future__ import annotations

import struct

WORD = (1 << 64) - 1


def mix(x: int) -> int:
    """The hash of a message's identity."""
    x = ((x ^ x >> 31) * 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ x >> 29) * 0xBF58476D1CE4E5B9) & WORD
    return x ^ x >> 32


def payload(publisher: int, count: int, size: int = 16) -> bytes:
    """Publisher, count, the hash of both, and a stretch of noise."""
    noise = bytes(mix(count % 64 + i) >> 40 & 255 for i in range(size - 16))
    return struct.pack(">IIQ", publisher, count, mix(publisher << 32 | count)) + noise


def publish(count: int, *, topics: int = 1, size: int = 16, publisher: int = 0) -> bytes:
    """A PUBLISH at QoS 0 in MQTT 3.1.1, of at most 127 bytes after its header."""
    topic = f"bench/{publisher:03}/{count % topics:05}".encode()
    body = struct.pack(">H", len(topic)) + topic + payload(publisher, count, size)
    assert len(body) < 128
    return bytes((0x30, len(body))) + body
