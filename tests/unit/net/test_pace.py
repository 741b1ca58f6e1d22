"""No stream has the loop for long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from midge.limits import READ_BYTES, READ_BYTES_FIRST, READ_BYTES_LEAST, READ_S
from midge.net.pace import next_size


def settle(byte_s: float, size: int = READ_BYTES_FIRST) -> int:
    """The size that reads come to when there is always more, and a byte takes so long."""
    for _ in range(30):
        size = next_size(size, size, size * byte_s)
    return size


def test_what_costs_little_is_read_in_the_largest_pieces() -> None:
    assert settle(READ_S / READ_BYTES / 10) == READ_BYTES


def test_what_is_dear_is_read_in_the_smallest() -> None:
    assert settle(1.0) == READ_BYTES_LEAST


@given(st.floats(READ_S / READ_BYTES, READ_S / READ_BYTES_LEAST), st.integers(2048, READ_BYTES))
def test_a_piece_takes_about_as_long_as_it_may(byte_s: float, size: int) -> None:
    took_s = settle(byte_s, size) * byte_s
    assert READ_S / 5 <= took_s <= READ_S * 1.01


def test_a_short_piece_says_nothing_about_a_long_one() -> None:
    assert next_size(READ_BYTES_FIRST, 100, READ_S / 1000) == READ_BYTES_FIRST


@given(st.integers(2048, READ_BYTES), st.integers(1, READ_BYTES), st.floats(0, 100))
def test_the_size_has_bounds(size: int, had: int, took_s: float) -> None:
    assert READ_BYTES_LEAST <= next_size(size, min(had, size), took_s) <= READ_BYTES
