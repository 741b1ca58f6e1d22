"""Numbers for sockets and contexts, whoever made them."""

from __future__ import annotations

from typing import Any


def cast_int_addr(n: Any) -> int:
    """The number that ``n`` is or can be made.

    Raises:
        ValueError: it cannot.
    """
    if isinstance(n, int):
        return n
    try:
        return int(n)
    except (TypeError, ValueError):
        raise ValueError(f"Cannot cast {n!r} to int") from None


__all__ = ["cast_int_addr"]
