"""Shared subscriptions: competing consumers of a filter (MQTT 5.0 section 4.8.2)."""

from __future__ import annotations

from midge.broker.permission import NOBODY
from midge.broker.session import Session, Subscription


class Group:
    """The members of one ``$share/NAME/FILTER``.

    Each message goes to one of them: the next one round that is connected and has credit; where
    none has credit, the next one that is connected; where none is connected, the next one whose
    session waits for it.
    """

    __slots__ = ("_next", "filter", "members", "name")

    def __init__(self, name: str, filter: str) -> None:
        self.name = name
        self.filter = filter
        self.members: list[Subscription] = []
        self._next = 0

    def add(self, subscription: Subscription) -> None:
        """A member joins, or changes its options."""
        self.remove(subscription.session)
        self.members.append(subscription)

    def remove(self, session: Session) -> None:
        """A member leaves."""
        for index, member in enumerate(self.members):
            if member.session is session:
                del self.members[index]
                if index < self._next:
                    self._next -= 1
                return

    def choose(
        self, qos: int, queue_qos0: bool = False, barred: frozenset[Session] = NOBODY
    ) -> Subscription | None:
        """Who gets the next message, published at ``qos``; ``None`` when nobody can.

        Those who are ``barred`` may not have this topic, and are passed over.
        """
        members = self.members
        count = len(members)
        connected = -1
        away = -1
        index = self._next
        for _ in range(count):
            if index >= count:
                index = 0
            member = members[index]
            outbox = member.outbox
            if barred and member.session in barred:
                index += 1
                continue
            if outbox.open:
                if outbox.queue is None and (
                    not qos or not member.qos or outbox.outgoing.room() > 0
                ):
                    self._next = index + 1
                    return member
                if connected < 0:
                    connected = index
            elif (
                away < 0
                and not outbox.ended
                and (outbox.link is not None or queue_qos0 or (qos and member.qos))
            ):
                away = index
            index += 1
        chosen = connected if connected >= 0 else away
        if chosen < 0:
            return None
        self._next = chosen + 1
        return members[chosen]
