"""Retained messages that a new subscription is owed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.delivery import Delivery
from midge.message import Message

if TYPE_CHECKING:
    from midge.broker.session import Subscription


class Backlog:
    """Retained messages that a new subscription is owed: one entry of the queue for all of them.

    They exist in the store of retained messages anyway, so holding them costs a reference each, and
    no queue limit cuts them short.

    Args:
        subscription: the new one.
        upgrade: messages go at its QoS even if they were published at a lower one.
    """

    __slots__ = ("index", "messages", "subscription", "upgrade")

    def __init__(
        self, messages: list[Message], subscription: Subscription, upgrade: bool = False
    ) -> None:
        self.upgrade = upgrade
        self.messages = messages
        self.subscription = subscription
        self.index = 0

    def next_delivery(self) -> Delivery:
        """The next message of it; the caller sees to the end with :meth:`done`."""
        qos = self.next_qos()
        message = self.messages[self.index]
        self.index += 1
        return Delivery(message, qos, True, self.subscription.ids)

    def done(self) -> bool:
        """Whether all of it was given out."""
        return self.index >= len(self.messages)

    def next_qos(self) -> int:
        """The quality of service that the next message will have."""
        qos = self.subscription.qos
        return qos if self.upgrade else min(qos, self.messages[self.index].qos)
