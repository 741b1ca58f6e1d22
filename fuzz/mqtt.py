"""Mutated MQTT streams against the codec and the connection.

The invariant, for any bytes that a peer sends, cut in any way:

* nothing but packets, and at most one ``Violation`` in the end, comes out of a connection;
* the cuts do not matter: byte by byte or in one piece, the same comes out;
* every packet that came out can be encoded again and is read as itself.

A :class:`Finding` is raised for anything else, with the bytes that led to it. ::

    python -m fuzz.mqtt [SECONDS] [SEED]

starts from good streams of every packet in every version, and breaks them a little: a flipped bit,
a changed, doubled or missing piece, a length that lies, two streams in one. Deterministic for a
seed; it measures no coverage and learns nothing from one round to the next.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from typing import Final

from midge.mqtt import packets as p
from midge.mqtt.connection import CLIENT, SERVER, Connection, Violation
from midge.mqtt.decode import decode_packet, packet_length
from midge.mqtt.encode import encode
from midge.mqtt.properties import Properties

VERSIONS: Final = (3, 4, 5)
#: Bytes that mean something somewhere: lengths, flags, identifiers of properties, UTF-8.
_TELLING: Final = bytes(
    (0, 1, 2, 3, 4, 0x0B, 0x10, 0x20, 0x23, 0x26, 0x30, 0x32, 0x7F, 0x80, 0x82, 0xC0, 0xED, 0xFF)
)
#: A stream longer than this is cut: what matters happens within a few packets.
STREAM_BYTES_MAX: Final = 2000


class Finding(Exception):
    """The invariant does not hold for a stream."""


# -- the streams to begin with --------------------------------------------------------------------

_TRAVELLING: Final = Properties.of(
    payload_format_indicator=1,
    content_type="text/plain",
    response_topic="a/b",
    correlation_data=b"\x00\xff",
    user_property=[("a", "b"), ("a", "\u20ac")],
)


def client_stream(version: int) -> list[p.Packet]:
    """What a client sends behind its CONNECT: every packet, in every form that it has."""
    five = version == 5
    return [
        p.Subscribe(1, [p.SubscribeTo("a/+", 2), p.SubscribeTo("$share/g/b/#", 1)]),
        p.Publish("a/b", b"payload"),
        p.Publish("a", bytes(130), 1, True, False, 2, _TRAVELLING if five else None),
        p.Publish("a/\u20ac", b"", 2, False, True, 3),
        p.Publish("b", b"1", properties=Properties.of(topic_alias=1) if five else None),
        p.Publish("" if five else "c", b"2", properties=Properties.of(topic_alias=1)),
        p.Puback(1),
        p.Pubrec(2, 0x10),
        p.Pubrel(3, 0, Properties.of(reason_string="why")),
        p.Pubcomp(2),
        p.Pingreq(),
        p.Unsubscribe(4, ["a/+", "b"]),
        p.Disconnect(0x04, Properties.of(session_expiry_interval=5) if five else None),
    ]


def server_stream(version: int) -> list[p.Packet]:
    """What a server sends behind its CONNACK."""
    five = version == 5
    return [
        p.Suback(1, [0, 1, 2, 0x80]),
        p.Publish("a/b", b"payload", properties=Properties.of(subscription_identifier=[1, 200])),
        p.Publish("a", bytes(200), 2, True, False, 1, _TRAVELLING if five else None),
        p.Puback(2, 0x10),
        p.Pubrec(3),
        p.Pubrel(1),
        p.Pubcomp(3, 0x92),
        p.Unsuback(4, [0, 0x11] if five else []),
        p.Pingresp(),
        *([p.Disconnect(0x8E, Properties.of(server_reference="b"))] if five else []),
    ]


def connects(version: int) -> list[p.Packet]:
    """CONNECT with everything that a version has."""
    five = version == 5
    will = p.Will("w", b"bye", 1, True, Properties.of(will_delay_interval=1) if five else None)
    ours = Properties.of(receive_maximum=2, user_property=[("", "")]) if five else None
    return [
        p.Connect("c", version),
        p.Connect("c", version, False, 10, "user", b"password", will, None),
        p.Connect("c", version, properties=ours),
    ]


# -- one stream through two connections -----------------------------------------------------------


def connection(role: int, version: int, fresh: bool) -> Connection:
    """One end of a connection; ``fresh`` before its first packet, otherwise in use."""
    made = Connection(role, version if role == CLIENT else 0)
    if fresh and role == SERVER:
        return made
    ours = Properties.of(topic_alias_maximum=5, receive_maximum=4) if version == 5 else None
    if role == SERVER:
        made.receive_data(encode(p.Connect("c", version), version), 0.0)
        made.send(p.Connack(properties=ours), 0.0)
    else:
        made.send(p.Connect("c", version, properties=ours), 0.0)
        if not fresh:
            made.receive_data(encode(p.Connack(), version), 0.0)
    return made


def read(reader: Connection, chunks: list[bytes]) -> list[p.Packet]:
    """What comes out of a connection for some chunks, until it wants no more."""
    events: list[p.Packet] = []
    for chunk in chunks:
        events += reader.receive_data(chunk, 0.0)
        if reader.closing or (events and isinstance(events[-1], Violation)):
            break
    return events


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at the given places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:stop] for start, stop in itertools.pairwise(places)]


def check(role: int, version: int, fresh: bool, data: bytes, cuts: list[int]) -> list[p.Packet]:
    """Hold one stream to the invariant; returns what came out of it.

    Raises:
        Finding: it does not hold.
    """
    try:
        whole = read(connection(role, version, fresh), [data])
        pieces = read(connection(role, version, fresh), chunked(data, cuts))
        if pieces != whole:
            raise Finding(f"cut at {cuts} it gives {pieces}, in one piece {whole}")
        for index, packet in enumerate(whole):
            if isinstance(packet, Violation):
                if index + 1 != len(whole):
                    raise Finding(f"something comes behind a violation: {whole}")
                continue
            spoken = packet.version if isinstance(packet, p.Connect) else _version(whole, version)
            again = encode(packet, spoken)
            start, end = packet_length(again, 0)
            understood = decode_packet(again, start, end, again[0], spoken)
            if understood != packet or end != len(again):
                raise Finding(f"{packet!r} is read as {understood!r}")
    except Exception as error:
        raise Finding(
            f"role {role}, version {version}, fresh {fresh}: {data.hex()}: {error!r}"
        ) from error
    return whole


def _version(events: list[p.Packet], version: int) -> int:
    """The version that a stream is in: that of its CONNECT, where it has one."""
    first = events[0]
    return first.version if isinstance(first, p.Connect) else version


# -- mutation -------------------------------------------------------------------------------------


def mutate(rng: random.Random, data: bytearray, other: bytes) -> None:
    """Break ``data`` in one of several ways; ``other`` is a stream to take pieces from."""
    at = rng.randrange(len(data) + 1)
    way = rng.randrange(7)
    if way == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif way == 1 and at < len(data):
        data[at] = rng.choice(_TELLING)
    elif way == 2 and at < len(data):
        data[at] = (data[at] + rng.choice((-1, 1))) % 256  # most of all, a length that lies
    elif way == 3:
        del data[at : at + rng.randrange(1, 5)]
    elif way == 4:
        data[at:at] = bytes(rng.choice(_TELLING) for _ in range(rng.randrange(1, 5)))
    elif way == 5:
        data[at:at] = data[at : at + rng.randrange(1, 12)]
    else:
        start = rng.randrange(len(other) + 1)
        data[at:at] = other[start : start + rng.randrange(1, 40)]


def one_round(rng: random.Random) -> list[p.Packet]:
    """One mutated stream through :func:`check`."""
    role = rng.choice((CLIENT, SERVER))
    version = rng.choice(VERSIONS)
    fresh = rng.random() < 0.3
    packets = (client_stream if role == SERVER else server_stream)(version)
    rng.shuffle(packets)
    if fresh:
        first = rng.choice(connects(version)) if role == SERVER else p.Connack(0, True)
        packets.insert(0, first)
    # A short stream is as good as a long one, and its mutations hit what comes first more often.
    packets = packets[: rng.randrange(1, len(packets) + 1)]
    data = bytearray().join(encode(packet, version) for packet in packets)
    other = encode(rng.choice(client_stream(5) + server_stream(5)), 5)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 6))):
        mutate(rng, data, other)
    stream = bytes(data[:STREAM_BYTES_MAX])
    return check(role, version, fresh, stream, [rng.randrange(STREAM_BYTES_MAX) for _ in range(4)])


def main(arguments: list[str]) -> int:
    """Run for some seconds; the exit status is 1 with a finding."""
    seconds = float(arguments[0]) if arguments else 10.0
    seed = int(arguments[1]) if len(arguments) > 1 else random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    rounds = refused = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            events = one_round(rng)
        except Finding as finding:
            print(f"round {rounds}: {finding}")
            return 1
        rounds += 1
        refused += bool(events) and isinstance(events[-1], Violation)
    print(f"{rounds} streams, {refused} of them refused, none of them a finding")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
