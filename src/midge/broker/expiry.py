"""``retain_expiry_interval``: a look for retained messages that have expired, now and then.

Without it they are removed when somebody comes by them: a subscription that matches, the next
message of their topic. A look takes many steps where there is much to remove, so that none is long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from midge.broker.broker import Broker
    from midge.broker.deadlines import Ticket

#: Between two steps, for whoever else has something to do.
_STEP_S: Final = 0.01


class RetainedExpiry:
    """Removes expired retained messages of a broker."""

    __slots__ = ("_broker", "_expired", "_next_at", "_ticket")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._expired: list[str] = []
        self._next_at: float | None = None
        self._ticket: Ticket | None = None

    def begin(self, now: float) -> None:
        """Look from here on as often as the settings say; to be called again when they change."""
        self._broker.deadlines.cancel(self._ticket)
        minutes = self._broker.settings.retain_expiry_check_min
        self._next_at = now + minutes * 60 if minutes else None
        self._ticket = self._broker.deadlines.add(self)

    def next_deadline(self) -> float | None:
        """When the next look, or the next step of this one, is due."""
        return self._next_at

    def tick(self, now: float) -> None:
        """Look, or go on with it."""
        retained = self._broker.router.retained
        if not self._expired:
            self._expired = retained.expired(now)
        retained.remove_expired(self._expired, now)
        if self._expired:
            self._next_at = now + _STEP_S
        else:
            self._next_at = now + self._broker.settings.retain_expiry_check_min * 60
