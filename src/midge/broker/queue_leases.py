"""How long consumers may keep what they were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.message import NEVER

if TYPE_CHECKING:
    from midge.broker.queue_item import Item


class Leases(dict["Item", float]):
    """When the lease of each message that was given out ends; in the order in which they end.

    All leases of a queue are of one length, so the order in which they begin is the order in which
    they end. It is a dictionary and not something that has one: beginning and ending a lease is on
    the way of every message.
    """

    __slots__ = ()

    def next_end(self) -> float:
        """When the first of them ends."""
        return next(iter(self.values()), NEVER)

    def ended(self, now: float) -> Item | None:
        """A message whose lease is over."""
        for item, until in self.items():
            return item if until <= now else None
        return None

    def change_length(self, before_s: float, after_s: float) -> None:
        """Leases are of another length from here on, those that run included; 0 for no end."""
        if not after_s:
            self.clear()
        elif after_s != before_s:
            for item in self:
                self[item] += after_s - before_s
