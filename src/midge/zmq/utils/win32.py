"""Ctrl-C on Windows; nothing is needed for it here."""

from __future__ import annotations

from collections.abc import Callable


class allow_interrupt:
    """A context manager without effect: calls of midge.zmq let signals through everywhere."""

    def __init__(self, action: Callable[[], object] | None = None) -> None:
        self.action = action

    def __enter__(self) -> allow_interrupt:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


__all__ = ["allow_interrupt"]
