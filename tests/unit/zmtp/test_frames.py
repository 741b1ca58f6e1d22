"""Frames and messages in any chunking, and what is refused at a header."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from midge.limits import ZMTP_BY_REFERENCE_BYTES, ZMTP_COMMAND_BYTES_MAX
from midge.zmtp import frames
from midge.zmtp.errors import ZmtpError
from midge.zmtp.frames import COMMAND, LONG, MORE, FrameReader
from tests.unit.zmtp.support import cut, messages


def parts_of(message: bytes | list[bytes]) -> list[bytes]:
    return [message] if isinstance(message, bytes) else message


def read_all(chunks: list[bytes], reader: FrameReader) -> list[bytes | list[bytes]]:
    items: list[bytes | list[bytes]] = []
    for chunk in chunks:
        reader.feed(chunk)
        while reader.read_messages(items):
            items.append([b"command", reader.command])
    return items


@given(st.lists(messages, max_size=30), st.lists(st.integers(0, 100_000), max_size=8))
def test_messages_come_out_as_they_went_in_in_any_chunking(
    sent: list[bytes | list[bytes]], places: list[int]
) -> None:
    wire = b"".join(frames.encode_message(parts_of(message)) for message in sent)
    assert read_all(cut(wire, places), FrameReader()) == sent


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 100)), max_size=12),
    st.lists(st.integers(0, 100_000), max_size=4),
)
@example([(3, 100), (4, 40), (3, 33)], [])
def test_runs_of_equal_sizes_are_cut_exactly(
    runs: list[tuple[int, int]], places: list[int]
) -> None:
    # Bodies full of zeros and small numbers look like headers: only the right distance tells.
    sent = [bytes([size, 0, 0, size, 1, 0][:size]) for size, count in runs for _ in range(count)]
    wire = b"".join(frames.encode_single(body) for body in sent)
    assert read_all(cut(wire, places), FrameReader()) == sent


@pytest.mark.parametrize("intruder", [b"\x01\x02ab\x00\x00", b"\x04\x05\x04PONG", b"\x00\x03abc"])
def test_a_run_ends_in_front_of_whatever_is_different(intruder: bytes) -> None:
    same = frames.encode_single(b"xy") * 100
    items = read_all([same + intruder + same], FrameReader())
    assert len(items) == 201
    assert items[:100] == items[101:] == [b"xy"] * 100


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_536, 1_000_000])
@pytest.mark.parametrize("step", [1000, 4096, 10**7])
def test_a_body_of_any_size_comes_whole(size: int, step: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    wire = frames.encode_single(body) + frames.encode_message([body, b"tail"])
    chunks = [wire[at : at + step] for at in range(0, len(wire), step)]
    assert read_all(chunks, FrameReader()) == [body, [body, b"tail"]]


def test_a_body_in_single_bytes_is_gathered() -> None:
    reader = FrameReader()
    body = bytes(range(256)) * 4
    items = read_all([bytes((byte,)) for byte in frames.encode_single(body)], reader)
    assert items == [body]


@given(st.lists(st.binary(max_size=20), max_size=40))
def test_many_messages_at_once_are_the_same_bytes_as_one_by_one(bodies: list[bytes]) -> None:
    assert frames.encode_many(bodies) == b"".join(frames.encode_single(body) for body in bodies)


def test_many_large_messages_at_once_are_the_same_too() -> None:
    bodies = [b"x" * 300, b"y" * 10]
    assert frames.encode_many(bodies) == b"".join(map(frames.encode_single, bodies))


def test_large_pieces_are_passed_on_and_not_copied() -> None:
    large = b"x" * ZMTP_BY_REFERENCE_BYTES
    chunks = frames.coalesce(frames.message_pieces([b"small", large, b"tail"]))
    assert [len(chunk) for chunk in chunks] == [16, ZMTP_BY_REFERENCE_BYTES, 6]
    assert chunks[1] is large


@pytest.mark.parametrize(
    ("wire", "what"),
    [
        (b"\x08\x00", "reserved"),
        (b"\x80\x00", "reserved"),
        (bytes((COMMAND | MORE, 5)) + b"\x04PING", "MORE"),
        (bytes((LONG,)) + (2**63).to_bytes(8, "big"), "larger"),
        (bytes((LONG | COMMAND,)) + (ZMTP_COMMAND_BYTES_MAX + 1).to_bytes(8, "big"), "larger"),
    ],
)
def test_a_bad_header_is_refused_behind_the_messages_in_front_of_it(wire: bytes, what: str) -> None:
    items: list[bytes | list[bytes]] = []
    reader = FrameReader()
    reader.feed(frames.encode_single(b"good") + wire)
    with pytest.raises(ZmtpError, match=what):
        reader.read_messages(items)
    assert items == [b"good"]


@pytest.mark.parametrize("limit", [0, 10, 255, 256, 1000])
def test_a_frame_may_have_the_limit_and_not_a_byte_more(limit: int) -> None:
    items: list[bytes | list[bytes]] = []
    reader = FrameReader(limit)
    reader.feed(frames.encode_single(b"x" * limit))
    reader.read_messages(items)
    assert items == [b"x" * limit]
    header_alone = frames.encode_header(0, limit + 1)
    reader.feed(header_alone)
    with pytest.raises(ZmtpError, match="larger"):
        reader.read_messages(items)


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_message_of_endless_parts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "ZMTP_PARTS_MAX", 3)
    reader = FrameReader()
    reader.feed(b"\x01\x00" * 4)
    with pytest.raises(ZmtpError, match="parts"):
        reader.read_messages([])
