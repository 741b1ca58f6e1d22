"""What the conformance tests share: raw packets, properties by name, and how a refusal looks.

Most tests speak through :mod:`midge.testing.pair`. Where a packet must be wrong, it is built here,
byte by byte and without midge's encoder, which would not make it.
"""

from __future__ import annotations

from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.testing.pair import Peer, World

#: What a session that should not end is given, in seconds.
LONG = 3600

# -- raw bytes ------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """A variable byte integer in its shortest form (section 1.5.5)."""
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        if value:
            out.append(digit | 0x80)
        else:
            out.append(digit)
            return bytes(out)


def frame(first: int, body: bytes) -> bytes:
    """A packet: first byte, remaining length, body."""
    return bytes((first,)) + varint(len(body)) + body


def two(value: int) -> bytes:
    """A two byte integer."""
    return value.to_bytes(2, "big")


def string(text: bytes | str) -> bytes:
    """Length-prefixed bytes: a string, well-formed or not, or binary data."""
    data = text.encode() if isinstance(text, str) else text
    return two(len(data)) + data


def raw_properties(version: int, data: bytes = b"") -> bytes:
    """A property section; nothing at all below version 5."""
    return varint(len(data)) + data if version == 5 else b""


def raw_connect(
    version: int,
    flags: int = 0x02,
    *,
    name: bytes = b"MQTT",
    level: int | None = None,
    keepalive_s: int = 0,
    properties: bytes = b"",
    payload: bytes = b"\x00\x01c",
) -> bytes:
    """A CONNECT of any form; as it stands, a good one of the client ``c`` with a clean start."""
    head = string(name) + bytes((version if level is None else level, flags)) + two(keepalive_s)
    return frame(0x10, head + raw_properties(version, properties) + payload)


def raw_publish(
    version: int,
    topic: bytes = b"t",
    first: int = 0x30,
    packet_id: bytes = b"",
    properties: bytes = b"",
    payload: bytes = b"",
) -> bytes:
    """A PUBLISH of any form."""
    return frame(first, string(topic) + packet_id + raw_properties(version, properties) + payload)


def raw_subscribe(
    version: int,
    filter: bytes = b"t",
    options: int = 0,
    *,
    first: int = 0x82,
    packet_id: int = 1,
    properties: bytes = b"",
) -> bytes:
    """A SUBSCRIBE of any form."""
    head = two(packet_id) + raw_properties(version, properties)
    return frame(first, head + string(filter) + bytes((options,)))


def raw_unsubscribe(
    version: int,
    filter: bytes = b"t",
    *,
    first: int = 0xA2,
    packet_id: int = 1,
    properties: bytes = b"",
) -> bytes:
    """An UNSUBSCRIBE of any form."""
    return frame(first, two(packet_id) + raw_properties(version, properties) + string(filter))


def prop(identifier: int, value: bytes) -> bytes:
    """One property, its value already in bytes."""
    return varint(identifier) + value


# -- values ---------------------------------------------------------------------------------------


def having(
    user: list[tuple[str, str]] | None = None,
    subscription_ids: list[int] | None = None,
    **named: int | str | bytes,
) -> Properties:
    """Properties by the names of the standard: ``having(receive_maximum=2)``."""
    values = {getattr(props, name.upper()): value for name, value in named.items()}
    return Properties(values, user, subscription_ids)


def lasting() -> Properties:
    """The properties of a CONNECT whose session outlives its connection."""
    return having(session_expiry_interval=LONG)


def come_back(world: World, client_id: str, version: int = 5) -> Peer:
    """A client with a session that lasts connects, whether it was there before or not."""
    properties = lasting() if version == 5 else None
    return world.connect(client_id, version=version, clean_start=False, properties=properties)


def payloads(peer: Peer) -> list[bytes]:
    """What has come for a client, every exchange completed."""
    return [message.payload for message in peer.messages()]


# -- reason codes (5.0 sections 3.2.2.2, 3.9.3, 3.11.3, 3.14.2.1) ---------------------------------

#: The reason codes that the server's packets may have, from the standard and not from midge.
FROM_SERVER: dict[type[p.Packet], frozenset[int]] = {
    p.Connack: frozenset(
        [0x00, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F]
    ),
    p.Suback: frozenset([0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]),
    p.Unsuback: frozenset([0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
    p.Disconnect: frozenset(
        [0x00, *range(0x80, 0x84), 0x87, 0x89, 0x8B, *range(0x8D, 0x91), *range(0x93, 0xA3)]
    ),
}


# -- expectations ---------------------------------------------------------------------------------


def assert_closed_with(peer: Peer, *reasons: int) -> None:
    """The broker closed a connection: in 5.0 with one packet that says why, else without a word.

    Args:
        peer: the client's end.
        reasons: the reason codes that will do; the standard often leaves a choice (section 4.13).
    """
    assert peer.closed, "the connection is still open"
    if peer.version != 5:
        assert peer.raw() == b""
        return
    packets = peer.take()
    assert len(packets) == 1, f"one goodbye was expected, {packets!r} came"
    goodbye = packets[0]
    assert isinstance(goodbye, p.Connack | p.Disconnect)
    assert goodbye.reason in FROM_SERVER[type(goodbye)]
    assert goodbye.reason in reasons, (
        f"{[hex(code) for code in reasons]} expected, {goodbye!r} came"
    )


class Bystander:
    """Two clients who have nothing to do with a test's wrongdoer, and must not notice it."""

    def __init__(self, world: World) -> None:
        self.subscriber = world.connect("bystander-sub", version=4)
        self.subscriber.subscribe("bystanders/#", 1)
        self.publisher = world.connect("bystander-pub")

    def assert_untouched(self) -> None:
        """Both are connected, and a message between them arrives, alone."""
        self.publisher.publish("bystanders/ok", b"still here", 1)
        assert payloads(self.subscriber) == [b"still here"]
        assert not self.subscriber.closed
        assert not self.publisher.closed
