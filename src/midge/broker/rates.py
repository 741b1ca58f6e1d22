"""How fast an outside party may come: token buckets.

A bucket fills by ``rate`` a second, up to one second's worth, and may be overdrawn: what has come
has come. Whoever has overdrawn it waits until it is back at zero. So nothing is dropped, and over
time nobody comes faster than the rate, however large the pieces are that he comes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.limits import CONNECT_RATE_ADDRESSES_MAX, REFUSALS_TOLD_EVERY_S

if TYPE_CHECKING:
    from midge.config.settings import Settings

#: How many groups of an IPv6 address are one customer's: a /64.
_GROUPS_OF_ONE: Final = 4


class Bucket:
    """One bucket, full at first.

    Attributes:
        rate: tokens a second, and the most it holds.
    """

    __slots__ = ("_at", "_level", "rate")

    def __init__(self, rate: int, now: float) -> None:
        self.rate = rate
        self._level = float(rate)
        self._at = now

    def take(self, count: int, now: float) -> float:
        """Take ``count`` tokens; returns for how many seconds their taker has to wait."""
        self._fill(now)
        self._level -= count
        return 0.0 if self._level >= 0 else -self._level / self.rate

    def try_one(self, now: float) -> bool:
        """Take one token if it is there."""
        self._fill(now)
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def is_full(self, now: float) -> bool:
        """Whether it has forgotten everything that was taken."""
        self._fill(now)
        return self._level >= self.rate

    def _fill(self, now: float) -> None:
        self._level = min(float(self.rate), self._level + (now - self._at) * self.rate)
        self._at = now


class Rates:
    """``rate_limit_messages`` and ``rate_limit_bytes``, of one client."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self, messages: int, size: int, now: float) -> None:
        """Each of them a second; 0: as many as it likes."""
        self._messages = Bucket(messages, now) if messages > 0 else None
        self._bytes = Bucket(size, now) if size > 0 else None

    def take(self, size: int, messages: int, now: float) -> float:
        """Count what was read; returns for how many seconds the client has to rest."""
        wait_s = 0.0
        if self._bytes is not None:
            wait_s = self._bytes.take(size, now)
        if self._messages is not None:
            wait_s = max(wait_s, self._messages.take(messages, now))
        return wait_s


def rates_of(settings: Settings, now: float) -> Rates | None:
    """What a client is held to, if anything."""
    messages, size = settings.rate_limit_messages, settings.rate_limit_bytes
    return Rates(messages, size, now) if messages > 0 or size > 0 else None


class ConnectRates:
    """``connect_rate_limit``: connections of each address, in a table with a bound.

    IPv6 addresses of one /64 count as one, because one customer has them all. When the table is
    full of addresses that are busy, a new one is let in without being counted.
    """

    __slots__ = ("_buckets", "_told", "rate")

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._buckets: dict[str, Bucket] = {}
        self._told: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def set_rate(self, rate: int) -> None:
        """Count by another rate from here on; what was counted is forgotten."""
        if rate != self.rate:
            self.rate = rate
            self._buckets.clear()
            self._told.clear()

    def admits(self, address: str, now: float) -> bool:
        """Count a connection of ``address``; false where it is one too many."""
        if not self.rate or not address:
            return True  # a Unix socket has no address
        key = _customer(address)
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= CONNECT_RATE_ADDRESSES_MAX:
                self._sweep(now)
                if len(self._buckets) >= CONNECT_RATE_ADDRESSES_MAX:
                    return True
            bucket = self._buckets[key] = Bucket(self.rate, now)
        return bucket.try_one(now)

    def is_news(self, address: str, now: float) -> bool:
        """Whether it is worth a line that this address comes too fast: once in a while it is."""
        key = _customer(address)
        told_at = self._told.get(key)
        if told_at is not None and now - told_at < REFUSALS_TOLD_EVERY_S:
            return False
        if len(self._told) >= CONNECT_RATE_ADDRESSES_MAX:
            self._told.clear()
        self._told[key] = now
        return True

    def _sweep(self, now: float) -> None:
        self._buckets = {
            key: bucket for key, bucket in self._buckets.items() if not bucket.is_full(now)
        }


def _customer(address: str) -> str:
    """The part of an address that belongs to one customer."""
    if ":" not in address or "." in address:
        return address
    head, _, tail = address.partition("::")
    groups = head.split(":") if head else []
    after = tail.split(":") if tail else []
    groups += ["0"] * (8 - len(groups) - len(after)) + after
    return ":".join(groups[:_GROUPS_OF_ONE])
