"""The checks of the load generator, on streams that a broker might have sent."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .messages import publish


def verdict(load: Path, stream: bytes, count: int, **scenario: int) -> str:
    """What the generator says of a subscriber's stream."""
    words = [str(load), *(f"{name}={value}" for name, value in scenario.items())]
    done = subprocess.run(
        words, input=b"check %d\n" % count + stream, capture_output=True, timeout=20, check=False
    )
    text = done.stdout.decode().strip()
    assert done.returncode == (0 if text == "right" else 1), done.stderr
    return text


@pytest.mark.parametrize("piece", [1, 2, 7, 40, 1000])
def test_a_whole_stream_is_right_however_it_is_cut(load: Path, piece: int) -> None:
    stream = b"".join(publish(n, topics=3, size=60) for n in range(200))
    assert verdict(load, stream, 200, topics=3, payload=60, feed=piece) == "right"


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([0, 1, 3], "missing"),
        ([1, 2, 3], "missing"),
        ([0, 1, 1, 2], "delivered twice"),
        ([0, 2, 1, 3], "missing"),
        ([0, 1, 2, 3, 0], "delivered twice"),
        ([0, 1, 2], "got 3 of 4"),
        ([], "got 0 of 4"),
    ],
)
def test_loss_doubles_and_disorder_are_found(load: Path, counts: list[int], why: str) -> None:
    text = verdict(load, b"".join(publish(n) for n in counts), 4)
    assert text.startswith("wrong: ")
    assert why in text


def test_topics_may_overtake_each_other_but_not_within_one(load: Path) -> None:
    def stream(counts: list[int]) -> bytes:
        return b"".join(publish(n, topics=2) for n in counts)

    assert verdict(load, stream([1, 0, 3, 5, 2]), 5, topics=2) == "right"
    assert "missing" in verdict(load, stream([1, 0, 5, 3]), 4, topics=2)


def test_a_member_of_a_shared_group_may_miss_messages_but_not_have_one_twice(load: Path) -> None:
    def stream(counts: list[int]) -> bytes:
        return b"".join(publish(n) for n in counts)

    assert verdict(load, stream([2, 3, 9000]), 3, shared=1) == "right"
    assert "out of order, or twice" in verdict(load, stream([2, 9, 3]), 3, shared=1)
    assert "out of order, or twice" in verdict(load, stream([2, 2]), 2, shared=1)


def test_every_changed_bit_of_a_message_is_found(load: Path) -> None:
    first, second, third = (publish(n, topics=2, size=20) for n in range(3))

    @given(st.integers(0, len(second) - 1), st.integers(0, 7))
    @settings(max_examples=100)
    def holds(position: int, bit: int) -> None:
        damaged = bytearray(second)
        damaged[position] ^= 1 << bit
        stream = first + bytes(damaged) + third
        assert verdict(load, stream, 3, topics=2, payload=20).startswith("wrong: ")

    holds()


def test_a_stream_that_ends_within_a_message_is_found(load: Path) -> None:
    assert "within a packet" in verdict(load, publish(0) + publish(1)[:-1], 1)
