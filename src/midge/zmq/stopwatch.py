"""Stopwatch, which pyzmq keeps for old programs; ``time.monotonic`` does the same."""

from __future__ import annotations

import time
import warnings


class Stopwatch:
    """Measures the time between ``start`` and ``stop``. Deprecated, as it is in pyzmq."""

    def __init__(self) -> None:
        warnings.warn(
            "zmq.Stopwatch is deprecated: use time.monotonic", DeprecationWarning, stacklevel=2
        )
        self._start = 0.0

    def start(self) -> None:
        """Begin."""
        self._start = time.monotonic()

    def stop(self) -> int:
        """Microseconds since then."""
        return int((time.monotonic() - self._start) * 1e6)


__all__ = ["Stopwatch"]
