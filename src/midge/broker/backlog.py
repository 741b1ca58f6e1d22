"""Retained messages that a new subscription is owed."""

from __future__ import annotations

from midge.broker.delivery import Delivery
from midge.message import Message


class Backlog:
    """Retained messages that a new subscription is owed: one entry of the queue for all of them.

    They exist in the store of retained messages anyway, so holding them costs a reference each, and
    no queue limit cuts them short.

    Args:
        upgrade: messages go at ``qos`` even if they were published at a lower one.
    """

    __slots__ = ("ids", "index", "messages", "qos", "upgrade")

    def __init__(
        self, messages: list[Message], qos: int, ids: tuple[int, ...], upgrade: bool = False
    ) -> None:
        self.upgrade = upgrade
        self.messages = messages
        self.qos = qos
        self.ids = ids
        self.index = 0

    def next_delivery(self) -> Delivery:
        """The next message of it; the caller sees to the end with :meth:`done`."""
        qos = self.next_qos()
        message = self.messages[self.index]
        self.index += 1
        return Delivery(message, qos, True, self.ids)

    def done(self) -> bool:
        """Whether all of it was given out."""
        return self.index >= len(self.messages)

    def next_qos(self) -> int:
        """The quality of service that the next message will have."""
        return self.qos if self.upgrade else min(self.qos, self.messages[self.index].qos)
