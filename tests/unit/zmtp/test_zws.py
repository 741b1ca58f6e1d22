"""ZMTP's frames as messages of a WebSocket, and back: in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.zmtp.connection import Connection
from midge.zmtp.errors import ZmtpError
from midge.zmtp.frames import COMMAND, MORE, encode_frame
from midge.zmtp.settings import PLAIN, Settings
from midge.zmtp.zws import (
    BARE,
    ZWS_COMMAND,
    ZwsReader,
    ZwsWriter,
    choose,
    peer_greeting,
    subprotocols,
)

SIZES = st.one_of(st.integers(0, 600), st.sampled_from([255, 256, 70_000]))
FRAMES = st.lists(st.tuples(st.sampled_from([0, MORE, COMMAND]), SIZES), max_size=8)
ZWS_FLAGS = {0: 0, MORE: 1, COMMAND: ZWS_COMMAND}


def bodies(frames: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
    return [(flags, bytes((i % 251,)) * size) for i, (flags, size) in enumerate(frames)]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """``data`` in pieces of these sizes, again and again."""
    pieces, pos, turn = [], 0, 0
    while pos < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[pos : pos + size])
        pos += size
        turn += 1
    return pieces


@given(FRAMES, st.lists(st.integers(1, 5000), min_size=1, max_size=6), st.sampled_from([BARE, ""]))
def test_what_a_connection_sends_becomes_one_message_for_each_frame(
    frames: list[tuple[int, int]], sizes: list[int], subprotocol: str
) -> None:
    said = bodies(frames)
    greeting = bytes(12 if subprotocol == BARE else 64)
    stream = greeting + b"".join(encode_frame(flags, body) for flags, body in said)
    writer = ZwsWriter(subprotocol)
    messages: list[bytes] = []
    for piece in cut(stream, sizes):
        messages += writer.feed([piece])
    assert messages == [bytes((ZWS_FLAGS[flags],)) + body for flags, body in said]


@given(FRAMES, st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_messages_become_frames_in_whatever_pieces_they_come(
    frames: list[tuple[int, int]], sizes: list[int]
) -> None:
    # A command of a size that no command may have is refused.
    frames = [(flags, min(size, 60_000) if flags == COMMAND else size) for flags, size in frames]
    said = bodies(frames)
    reader = ZwsReader(Settings("DEALER"))
    stream = b""
    for flags, body in said:
        pieces = cut(bytes((ZWS_FLAGS[flags],)) + body, sizes)
        for index, piece in enumerate(pieces):
            stream += b"".join(reader.feed(piece, index == len(pieces) - 1))
    assert stream == b"".join(encode_frame(flags, body) for flags, body in said)


def test_single_bytes_and_empty_pieces_are_gathered() -> None:
    reader = ZwsReader(Settings("DEALER"))
    out: list[bytes | bytearray] = []
    for byte in b"\x00abc":
        out += reader.feed(b"", False)
        out += reader.feed(bytes((byte,)), False)
    out += reader.feed(b"", True)
    assert b"".join(out) == encode_frame(0, b"abc")


@pytest.mark.parametrize("flags", [3, 4, 0x80, 0xFF])
def test_unknown_flags_are_refused(flags: int) -> None:
    with pytest.raises(ZmtpError, match="flags"):
        ZwsReader(Settings("PULL")).feed(bytes((flags,)) + b"x", True)


def test_a_message_without_flags_is_refused() -> None:
    with pytest.raises(ZmtpError, match="without flags"):
        ZwsReader(Settings("PULL")).feed(b"", True)


def test_what_is_gathered_is_bounded() -> None:
    reader = ZwsReader(Settings("PULL", message_bytes_max=100_000))
    reader.feed(b"\x00" + bytes(100_000), False)
    with pytest.raises(ZmtpError, match="larger"):
        reader.feed(bytes(1000), False)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings("PUSH"), ("ZWS2.0/NULL", "ZWS2.0")),
        (Settings("PUSH", zap=True), ("ZWS2.0/NULL",)),  # that would be a way around
        (Settings("CLIENT"), ("ZWS2.0/NULL",)),  # no peer of 2.0 has that type
        (Settings("PUSH", mechanism=PLAIN), ("ZWS2.0/PLAIN",)),
    ],
)
def test_the_subprotocols_are_those_of_the_mechanism(
    settings: Settings, expected: tuple[str, ...]
) -> None:
    assert subprotocols(settings) == expected


def test_the_first_subprotocol_of_the_peer_that_will_do_is_chosen() -> None:
    assert choose(Settings("PULL"), ["mqtt", "ZWS2.0", "ZWS2.0/NULL"]) == "ZWS2.0"
    assert choose(Settings("PULL"), ["mqtt", "ZWS2.0/PLAIN"]) == ""


@pytest.mark.parametrize("subprotocol", ["ZWS2.0/NULL", BARE])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("PUSH", "PULL"),
        ("PUB", "SUB"),
        ("REQ", "REP"),
        ("DEALER", "ROUTER"),
        ("PAIR", "PAIR"),
        ("XPUB", "XSUB"),
    ],
)
def test_two_connections_shake_hands_through_it(one: str, other: str, subprotocol: str) -> None:
    ends = []
    for name in (one, other):
        settings = Settings(name, identity=b"" if name in ("PUB", "SUB") else b"id")
        ends.append((Connection(settings, 0.0), ZwsWriter(subprotocol), ZwsReader(settings)))
    names = []
    for conn, _, _ in ends:
        conn.receive_data(peer_greeting(conn.settings, subprotocol), 0.0)
    for here, there in ((0, 1), (1, 0)):
        for message in ends[here][1].feed(ends[here][0].data_to_send()):
            frames = b"".join(ends[there][2].feed(message, True))
            events = ends[there][0].receive_data(frames, 0.0)
            names += [type(event).__name__ for event in events]
    assert names == ["Ready", "Ready"]
    assert {conn.version for conn, _, _ in ends} == {(2, 0) if subprotocol == BARE else (3, 0)}


@pytest.mark.parametrize(("flags", "shaking"), [(2, False), (2, True), (0, True), (1, True)])
def test_a_command_and_a_peer_that_is_not_in_are_bounded_without_maxmsgsize(
    flags: int, shaking: bool
) -> None:
    reader = ZwsReader(Settings("PULL"))
    reader.shaking = shaking
    assert reader.feed(bytes((flags,)) + bytes(65_000), False) == []
    with pytest.raises(ZmtpError, match="larger than"):
        reader.feed(bytes(330_000), False)


def test_a_peer_that_is_in_is_not() -> None:
    reader = ZwsReader(Settings("PULL"))
    reader.feed(b"\0", False)
    for _ in range(400):
        reader.feed(bytes(1000), False)
    assert len(b"".join(reader.feed(b"", True))) == 400_000 + 9
