"""Shared subscriptions: competing consumers of a filter (MQTT 5.0 section 4.8.2)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from midge.broker.delivery import MQTT_5, Delivery
from midge.broker.permission import NOBODY, may_get
from midge.broker.plain_run import Run, respell, split
from midge.broker.queue import Queue
from midge.broker.queue_consumers import Member
from midge.config.queue_settings import DROP_NEWEST, QueueSettings
from midge.limits import OUTBOX_HOLD_BYTES
from midge.store.base import HELD, QUEUED, QueueRow

if TYPE_CHECKING:
    from midge.broker.consumer import Consumer
    from midge.broker.link import Link
    from midge.broker.outbox import Outbox
    from midge.broker.pressure import Pressure
    from midge.broker.queue_item import Item
    from midge.broker.queues import Queues
    from midge.broker.session import Session, Subscription
    from midge.message import Message


#: So many messages are offered in vain before the rest waits for the next occasion: this is done
#: for each acknowledgement.
_LOOKS_MAX: Final = 16


class Group(Queue):
    """The members of one ``$share/NAME/FILTER``, and what waits for them.

    Each message goes to the next member that is connected and has credit. At QoS 1 and 2, where
    none has, it waits for the first that does; where no member could ever have it, it is dropped.
    At QoS 0 nothing waits but in the queue of a connected member.

    A member that leaves with QoS 1 messages it has not acknowledged leaves them to the others. It
    is kept in the store once it has a member whose session is.

    Attributes:
        filter: what topics are matched with.
        group: the name of the group.
    """

    __slots__ = ("_aside", "_barred", "_judged", "_members", "_turn", "filter", "group")

    shares_runs = True

    def __init__(self, group: str, filter: str, queues: Queues) -> None:
        settings = QueueSettings(full=DROP_NEWEST, deliveries_max=0, lease_s=0, prefetch=0)
        super().__init__(f"$share/{group}/{filter}", settings, queues)
        self.group = group
        self.filter = filter
        # What members with credit may not have: it waits, counted, for one that may.
        self._aside: deque[Item] = deque()
        self._judged: Message | None = None  # the message that is being taken,
        self._barred = NOBODY  # and who may not have it
        self._members: list[Subscription] = []
        self._turn = 0

    @property
    def members(self) -> list[Subscription]:
        """Its members, in the order in which they came."""
        return self._members

    def add(self, subscription: Subscription, now: float) -> None:
        """A member joins, or changes its options."""
        self._take_out(subscription.session, now)
        member = Member(self, subscription)
        outbox = subscription.outbox
        if outbox.consumers is None:
            outbox.consumers = []
        outbox.consumers.append(member)
        if subscription.session.key and not self.key:
            self.key = self.queues.journal.new_session()
            self.queues.journal.keep_queue(QueueRow(self.key, self.name, ""))
            self.ready.renumber(self._keep)
            for item in self._aside:
                self._keep(item)
        self._resize(1)
        self._members.append(subscription)
        self.join(member, now)

    def _keep(self, item: Item) -> None:
        """Store what waits already."""
        journal = self.queues.journal
        ordered = not (item.priority or item.ready_at or item.deliveries)
        state = QUEUED if ordered else HELD
        item.serial = journal.put(self.key, item.message, state, item.priority, item.ready_at)
        item.stored = item.message.stored
        if item.deliveries:
            journal.change(self.key, item.serial, item.deliveries, HELD)
        self.pages.last_serial = item.serial

    def remove(self, session: Session, now: float) -> None:
        """A member leaves; what it has not acknowledged, it may still."""
        if self._take_out(session, now) and self._aside:
            self._offer_aside(now)

    def _take_out(self, session: Session, now: float) -> bool:
        """End a membership; false where there is none.

        What waits aside is not looked at: one who only subscribes again may be the only one that
        may have it.
        """
        for member in self.consumers:
            if member.holder is session.outbox:
                outbox = session.outbox
                if outbox.consumers is not None:
                    outbox.consumers = [one for one in outbox.consumers if one is not member]
                self.leave(member, now)
                self._members = [one for one in self._members if one.outbox is not outbox]
                self._resize(0)
                return True
        return False

    def _resize(self, more: int) -> None:
        """As much may wait for a group as for all its members."""
        count = max(1, len(self.consumers) + more)
        broker = self.queues.settings
        self.settings = self.settings._replace(
            messages_max=broker.queued_messages_max * count,
            bytes_max=broker.queued_bytes_max * count,
        )

    def take(self, message: Message, barred: frozenset[Session], now: float) -> Pressure | None:
        """See :meth:`Queue.take`; those who are ``barred`` may not have this topic."""
        if message.qos or self.queues.settings.upgrade_outgoing_qos:
            if not self._can_wait(barred):
                self._metrics.dropped_no_member += 1
                return None
            self._judged, self._barred = message, barred
            if self._aside:
                self._offer_aside(now)
            pressed = super().take(message, barred, now)
            self._judged = None
            return pressed
        member = self._give_one(message, barred, now)
        if member is None:
            return None
        return member.outbox if self._presses(member.outbox) else None

    def _presses(self, outbox: Outbox) -> bool:
        """Whether publishers should wait for a member: while no other one is ready for more."""
        if not outbox.crowded or outbox.stalled:
            return False
        return not any(_is_free(member.outbox) for member in self._members)

    def take_run(
        self, run: Run, count: int, payload: int, version: int, link: Link, now: float
    ) -> None:
        """See :meth:`Queue.take_run`; the same as :meth:`take` for one packet after the other."""
        packets, payloads = split(run, version)
        sharers: list[Subscription] = []
        for _ in range(min(count, len(self._members))):
            member = self.choose(0)
            if member is None:
                self._metrics.dropped_no_member += count
                return
            if sharers and member is sharers[0]:
                break
            sharers.append(member)
        number = len(sharers)
        self._turn = self._members.index(sharers[(count - 1) % number]) + 1
        for index, member in enumerate(sharers):
            outbox = member.outbox
            mine = b"".join(packets[index::number])
            if (version == 5) != (outbox.form == MQTT_5):
                mine = respell(mine, version)
            outbox.append_run(mine, len(packets[index::number]), sum(payloads[index::number]), now)
            if self._presses(outbox):
                link.hold(outbox)

    def _give_one(
        self, message: Message, barred: frozenset[Session], now: float
    ) -> Subscription | None:
        """Make a message one member's own; ``None`` when nobody can have it."""
        member = self.choose(message.qos, self.queues.settings.queue_qos0, barred)
        if member is None:
            self._metrics.dropped_no_member += 1
            return None
        qos = member.qos
        if message.qos < qos and not self.queues.settings.upgrade_outgoing_qos:
            qos = message.qos
        retain = message.retain and member.retain_as_published
        member.outbox.deliver(Delivery(message, qos, retain, member.ids), now)
        return member

    # -- members that may not have every topic ------------------------------------------------

    def _offer(self, item: Item, consumer: Consumer, now: float) -> None:
        """See :meth:`Queue._offer`; to the next member that may have its topic."""
        if self.queues.authorizer is None or self._may_have(consumer, item.message):
            self._give(item, consumer, now)
            return
        other = self.ring.next_of(lambda one: self._may_have(one, item.message))
        if other is not None:
            self._give(item, other, now)
        elif any(self._may_have(one, item.message) for one in self.consumers):
            self._aside.append(item)
            self._count(item.message, now)
        else:
            self._metrics.dropped_no_member += 1
            self._finish(item)

    def _may_have(self, consumer: Consumer, message: Message) -> bool:
        """Whether a member may have a topic, by the rules of today.

        Members come, and rules change, while a message waits; for one that has just come the
        router knows who is barred.
        """
        assert isinstance(consumer, Member)
        session = consumer.subscription.session
        if self._judged is message:
            return session not in self._barred
        authorizer = self.queues.authorizer
        return authorizer is None or may_get(authorizer, session, message.topic)

    def welcome(self, consumer: Consumer, now: float) -> None:
        """See :meth:`Queue.welcome`."""
        if self._aside:
            self.ring.stand(consumer)
            self._offer_aside(now)
        super().welcome(consumer, now)

    def serve(self, now: float) -> None:
        """See :meth:`Queue.serve`."""
        if self._aside:
            self._offer_aside(now)
        super().serve(now)

    def rules_changed(self) -> None:
        """Who may have what now gets it at the next tick."""
        if self._aside:
            self.agenda.look_again()

    def _offer_aside(self, now: float) -> None:
        """Offer what those with credit were not entitled to when it was its turn."""
        in_vain = 0
        for _ in range(len(self._aside)):
            consumer = self.ring.next()
            if consumer is None or in_vain == _LOOKS_MAX:
                break
            item = self._aside.popleft()
            self.ready.uncounted(item)
            if item.is_dead(now):
                self._expire(item)
                continue
            left = len(self._aside)
            self._offer(item, consumer, now)
            in_vain += len(self._aside) > left

    def settle(self, item: Item, holder: object, refused: int, now: float) -> None:
        """See :meth:`Queue.settle`; what a member refuses is done [MQTT-4.8.2-6]."""
        super().settle(item, holder, 0, now)

    def _can_wait(self, barred: frozenset[Session]) -> bool:
        """Whether there is a member that could ever have a message at QoS 1."""
        if not barred and self.ring.standing and self.ring.standing[0].is_there():
            return True
        for member in self._members:
            outbox = member.outbox
            if barred and member.session in barred:
                continue
            if outbox.link is not None or (member.qos and not outbox.ended):
                return True
        return False

    def choose(
        self, qos: int, queue_qos0: bool = False, barred: frozenset[Session] = NOBODY
    ) -> Subscription | None:
        """Whose own a message becomes that does not wait for all; ``None`` when nobody can.

        The next one round that is connected and has credit; where none has, the next one that is
        connected; where none is, the next one whose session waits for it.
        """
        members = self.members
        count = len(members)
        connected = -1
        away = -1
        index = self._turn
        for _ in range(count):
            if index >= count:
                index = 0
            member = members[index]
            outbox = member.outbox
            if barred and member.session in barred:
                index += 1
                continue
            if outbox.open:
                if _is_free(outbox) and (not qos or not member.qos or outbox.outgoing.room() > 0):
                    self._turn = index + 1
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
        self._turn = chosen + 1
        return members[chosen]


def _is_free(outbox: Outbox) -> bool:
    """Whether a member is ready for more at QoS 0."""
    return outbox.open and outbox.queue is None and outbox.used <= OUTBOX_HOLD_BYTES
