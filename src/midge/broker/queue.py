"""Competing consumers: each message of a queue goes to one of them, the next that is available.

A message stays in the queue until one consumer has acknowledged it. Until somebody takes it, it
waits (:mod:`midge.broker.queue_ready`); consumers with credit take turns
(:mod:`midge.broker.consumer`). A message whose consumer leaves, refuses it, or is silent for too
long (:mod:`midge.broker.queue_leases`) is given to the next one, before all that came after it, and
marked as given before; what nobody manages to do goes to the dead letters.

Order: messages are given out by priority, then in the order in which they came. With one consumer
that is the order in which it gets them; with several, each sees a part, and what is given again
comes later than what followed it.

A queue that outlives the process is in the store as if it were a session
(:mod:`midge.broker.queue_pages`).

Sans-I/O, and no ``Consumer`` is called back but to be given a message, or to be told of the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.consumer import DONE, TAKEN, Consumer, Ring
from midge.broker.queue_agenda import Agenda
from midge.broker.queue_counters import QueueCounters
from midge.broker.queue_item import Item
from midge.broker.queue_leases import Leases
from midge.broker.queue_pages import Pages
from midge.broker.queue_ready import Ready
from midge.broker.queue_returns import Returns
from midge.broker.queue_room import Room
from midge.config.queue_settings import DROP_OLDEST, REJECT, QueueSettings, wishes
from midge.limits import SLICE_ENTRIES
from midge.message import NEVER, Message
from midge.store.base import HELD, QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midge.auth.base import Pending
    from midge.broker.pressure import Pressure
    from midge.broker.queues import Queues
    from midge.broker.session import Session
    from midge.store.base import DeliveryRow, MessageRow


class Queue(QueueCounters):
    """See the module.

    Attributes:
        name: without ``$queue/``.
        settings: its limits.
        key: its number in the store; 0 where it is not kept.
        queues: what it shares with the others.
        ready: the messages that wait.
        pages: those of them that are on the disk only.
        ring: its consumers, and whose turn it is.
        leases: when those must have done what they have.
        in_flight: messages that somebody has, or had and left with.
        returns: those of the last kind, which are on their way back.
        given: the highest number in the store of those that were given out.
        room: publishers that wait until it is no longer full.
        agenda: when it has something to do.
        closed: it is no more.
    """

    __slots__ = (
        "agenda",
        "closed",
        "given",
        "in_flight",
        "key",
        "leases",
        "name",
        "pages",
        "queues",
        "ready",
        "returns",
        "ring",
        "room",
        "settings",
    )

    def __init__(self, name: str, settings: QueueSettings, queues: Queues) -> None:
        super().__init__(queues.metrics, queues.crowd)
        self.name = name
        self.settings = settings
        self.key = 0
        self.queues = queues
        self.ready = Ready()
        self.pages = Pages(self)
        self.ring = Ring()
        self.leases = Leases()
        self.returns = Returns()
        self.in_flight = 0
        self.given = 0
        self.closed = False
        self.room = Room()
        self.agenda = Agenda(self, queues.deadlines)

    @property
    def consumers(self) -> list[Consumer]:
        """All consumers, in the order in which they came."""
        return self.ring.consumers

    @property
    def waiting(self) -> int:
        """Messages that nobody has, those that are delayed and those on the disk included."""
        return self.ready.count

    @property
    def bytes(self) -> int:
        """Their weight."""
        return self.ready.bytes

    def configure(self, settings: QueueSettings) -> None:
        """Take other settings; who gets something because of them gets it at the next tick.

        Leases that run are as long from their beginning as the new ones; what was given without
        a lease stays without.
        """
        self.leases.change_length(self.settings.lease_s, settings.lease_s)
        self.settings = settings
        if self.rejects():
            self.queues.full[self] = None
        self.agenda.look_again()

    # -- in -----------------------------------------------------------------------------------

    def take(self, message: Message, barred: frozenset[Session], now: float) -> Pressure | None:
        """A message was published to a topic of this queue; see :meth:`put`.

        Returns:
            What the publisher should wait for.
        """
        properties = message.properties
        if properties is None or not properties.user:
            self.put(message, now)
        else:
            self.put(message, now, *wishes(properties.user))
        return self if self.crowded and not self.stalled else None

    def put(self, message: Message, now: float, priority: int = 0, delay_s: float = 0.0) -> bool:
        """Put a message in; false where there is no room for it and it is rejected.

        Args:
            priority: 0 to 9.
            delay_s: nobody gets it before that.
        """
        ready = self.ready
        if (ready.count or self._metrics.memory_full) and not self._make_room(priority, now):
            return False
        age_max_s = self.settings.age_max_s
        if age_max_s and now + age_max_s < message.expires_at:
            message = message.expiring(now + age_max_s)
        self.put_count += 1
        if priority or delay_s > 0:
            self._put_out_of_order(message, priority, delay_s, now)
            return True
        if not (ready.count and ready.anything()) and not self.returns.waiting:
            consumer = self.ring.next()
            if consumer is not None:
                self._offer(self._new_item(message, QUEUED), consumer, now)
                return True
        if self.key and self.pages.wanted():
            self.queues.journal.put(self.key, message, QUEUED, 0, 0.0)
            ready.paged += 1
        else:
            ready.fifo.append(self._new_item(message, QUEUED))
            if message.expires_at != NEVER and ready.next_expiry() < self.agenda.due:
                self.agenda.watch()
        self._count(message, now)
        return True

    def _put_out_of_order(
        self, message: Message, priority: int, delay_s: float, now: float
    ) -> None:
        ready_at = now + delay_s if delay_s > 0 else 0.0
        item = self._new_item(message, HELD, priority, ready_at)
        item.priority = priority
        item.ready_at = ready_at
        self.ready.insert(item)
        self._count(message, now)
        if ready_at:
            if ready_at < self.agenda.due:
                self.agenda.watch()
        else:
            self.serve(now)

    def _new_item(
        self, message: Message, state: int, priority: int = 0, ready_at: float = 0.0
    ) -> Item:
        pages = self.pages
        if not self.key:
            pages.last_serial = serial = pages.last_serial + 1
            return Item(self, message, 1, serial)
        serial = self.queues.journal.put(self.key, message, state, priority, ready_at)
        if state == QUEUED:
            pages.last_serial = serial
        item = Item(self, message, 1, serial)
        item.stored = message.stored
        return item

    def _count(self, message: Message, now: float) -> None:
        ready = self.ready
        ready.counted(message)
        settings = self.settings
        if settings.full == REJECT and self.is_full():
            self.queues.full[self] = None
        if (
            not self.crowded
            and 0 < settings.messages_max < ready.count * 2
            and self.ring.anybody_there()
        ):
            self._crowd_up(now)

    # -- limits -------------------------------------------------------------------------------

    def is_full(self) -> bool:
        """Whether no more may wait."""
        settings = self.settings
        ready = self.ready
        return (0 < settings.messages_max <= ready.count) or (0 < settings.bytes_max <= ready.bytes)

    def rejects(self) -> bool:
        """Whether the next message would be rejected."""
        return self.settings.full == REJECT and self.is_full()

    def _make_room(self, priority: int, now: float) -> bool:
        """Whether one more message may be kept; others may have to go for it."""
        if not self.is_full() and not self._metrics.memory_full:
            return True
        if self.settings.full == REJECT or self._metrics.memory_full:
            self.rejected += 1
            return False
        left = SLICE_ENTRIES  # more than one goes for one that is large, or after a new limit
        while self.settings.full == DROP_OLDEST and left:
            left -= 1
            if not self.ready.fifo:
                self.pages.load()
            item = self.ready.pop_least(priority)
            if item is None:
                break
            if item.is_dead(now):
                self._expire(item)
            else:
                self._finish(item)
                self.dropped += 1
                self._metrics.dropped_queue_full += 1
            if not (left and self.is_full()):
                return True
        self.dropped += 1
        self._metrics.dropped_queue_full += 1
        return False

    def _relax(self, now: float) -> None:
        """There is more room than there was: tell those who wait for it."""
        settings = self.settings
        if self.crowded and (
            self.ready.count * 4 <= settings.messages_max or not settings.messages_max
        ):
            self._uncrowd()
        if (self.room or self in self.queues.full) and not self.rejects():
            self.queues.full.pop(self, None)
            if self.room.settle(self, now):
                self.agenda.go_on_later(now)

    def wait_for_room(self) -> Pending:
        """Something to wait for: the queue is no longer full."""
        pending = self.queues.new_pending()
        self.room.wait(pending)
        return pending

    # -- out ----------------------------------------------------------------------------------

    def _offer(self, item: Item, consumer: Consumer, now: float) -> None:
        """Give a message that is in no place any more to the consumer that stands first."""
        self._give(item, consumer, now)

    def _give(self, item: Item, consumer: Consumer, now: float) -> None:
        """Give a message to the consumer that stands first."""
        self.ring.standing.rotate(-1)
        item.deliveries += 1
        item.consumer = consumer
        if item.stored:
            if item.deliveries > 1 or item.priority or item.ready_at:
                # Out of order, so that a mark up to which all were given says nothing of it.
                self.queues.journal.change(self.key, item.serial, item.deliveries, HELD)
            else:
                self.queues.journal.given(self.key, item.serial)
                self.given = max(self.given, item.serial)
        try:
            outcome = consumer.give(item, now)
        except Exception:
            # A fault of ours, which is told elsewhere. The message may be its cause: it goes where
            # it can be looked at, and others are given.
            item.consumer = None
            self._bury(item, f"it could not be given to {consumer.who()}", now)
            raise
        consumer.taken += 1
        if outcome == TAKEN:
            consumer.unacknowledged += 1
            self.in_flight += 1
            lease_s = self.settings.lease_s
            if lease_s:
                self.leases[item] = until = now + lease_s
                if until < self.agenda.due:
                    self.agenda.watch()
            return
        item.consumer = None
        if outcome == DONE:
            self.unconfirmed += 1
            self._finish(item)
        else:
            self._bury(item, f"larger than {consumer.who()} takes", now)

    def serve(self, now: float) -> None:
        """Give out what waits, for as long as somebody has credit; at most a slice of it."""
        if self.returns.waiting:
            return
        ready = self.ready
        end = self.expired + SLICE_ENTRIES
        while ready.anything():
            if self.expired >= end:
                self.agenda.go_on_later(now)
                break
            end -= 1
            consumer = self.ring.next()
            if consumer is None:
                break
            item = self._next(now)
            if item is None:
                break
            self._offer(item, consumer, now)
        if ready.next_expiry() < self.agenda.due:
            self.agenda.watch()  # those that are next may be too old before anything else is due
        self._relax(now)

    def pump(self, now: float) -> None:
        """The store has caught up: what could not be read may be there now."""
        self.serve(now)

    def _next(self, now: float) -> Item | None:
        """Take out the message that is given next; of those that are too old, drop a slice."""
        ready = self.ready
        for _ in range(SLICE_ENTRIES):
            while ready.needs_page() and self.pages.load():
                pass
            item = ready.pop()
            if item is None or not item.is_dead(now):
                return item
            self._expire(item)
        self.agenda.go_on_later(now)
        return None

    def _expire(self, item: Item) -> None:
        self.expired += 1
        self._metrics.dropped_expired += 1
        self._finish(item)

    def _finish(self, item: Item) -> None:
        """A message is done with."""
        if item.stored and self.key:
            self.queues.journal.done(self.key, item.serial, item.stored)
            item.stored = 0

    # -- consumers ----------------------------------------------------------------------------

    def join(self, consumer: Consumer, now: float) -> None:
        """A consumer comes."""
        self.ring.consumers.append(consumer)
        self.welcome(consumer, now)

    def welcome(self, consumer: Consumer, now: float) -> None:
        """A consumer may have credit again."""
        self.ring.stand(consumer)
        if self.ready.anything():
            self.serve(now)

    def leave(self, consumer: Consumer, now: float) -> None:
        """A consumer goes; what it has it may still settle, until :meth:`take_back`."""
        if consumer.gone:
            return
        self.ring.leave(consumer)
        if self.crowded and not self.ring.consumers:
            self._uncrowd()

    def settle(self, item: Item, holder: object, refused: int, now: float) -> None:
        """A consumer has acknowledged a message, or refused it with a reason code."""
        consumer = item.consumer
        if consumer is None or consumer.holder is not holder:
            self.late += 1
            return
        self._release(item, consumer)
        if refused:
            self.refused += 1
            self._again(item, f"refused by {consumer.who()} with reason 0x{refused:02x}", now)
        else:
            self.acknowledged += 1
            if item.stored:
                self._finish(item)
        if self.ready.count or not consumer.standing:
            self.welcome(consumer, now)

    def take_back(self, items: Iterable[Item], holder: object, now: float) -> None:
        """Whoever had these messages is gone: others get them, when all of them are back."""
        self.returns.add(items, holder)
        self._bring_back(now)
        self.serve(now)

    def _bring_back(self, now: float) -> None:
        """Have a slice of what somebody left with back."""
        for _ in range(SLICE_ENTRIES):
            item = self.returns.next()
            if item is None:
                return
            consumer = item.consumer
            assert consumer is not None
            self._release(item, consumer)
            self.ring.stand(consumer)
            self._again(item, f"{consumer.who()} left with it", now)
        self.agenda.go_on_later(now)

    def _release(self, item: Item, consumer: Consumer) -> None:
        item.consumer = None
        consumer.unacknowledged -= 1
        self.in_flight -= 1
        self.leases.pop(item, None)

    def _again(self, item: Item, why: str, now: float) -> None:
        """A message comes back: before all that came after it, or to the dead letters."""
        if self.closed:
            return  # it was counted when the queue went
        limit = self.settings.deliveries_max
        if limit and item.deliveries >= limit:
            self._bury(item, f"given out {item.deliveries} times; {why}", now)
            return
        self.redelivered += 1
        self.ready.put_back(item)
        self._count(item.message, now)
        if item.stored:
            self.queues.journal.change(self.key, item.serial, item.deliveries, HELD)

    def _bury(self, item: Item, why: str, now: float) -> None:
        self.buried += 1
        self.queues.bury(self, item, why, now)
        self._finish(item)

    # -- time ---------------------------------------------------------------------------------

    def do_due(self, all_consumers: bool, now: float) -> None:
        """Do what is due, at most a slice of it; ``all_consumers``: any of them may have credit."""
        silent: dict[Consumer, None] = {}
        if self.returns.waiting:
            self._bring_back(now)
        left = SLICE_ENTRIES
        while left and (item := self.leases.ended(now)) is not None:
            consumer = item.consumer
            assert consumer is not None
            self.timed_out += 1
            self._release(item, consumer)
            self._again(item, f"{consumer.who()} was silent for {self.settings.lease_s:g} s", now)
            silent[consumer] = None  # to others sooner, but rather to it again than to nobody
            left -= 1
        while left and self.ready.end_delay(now):
            left -= 1
        while left and (item := self.ready.pop_dead(now)) is not None:
            self._expire(item)
            left -= 1
        if all_consumers:
            for one in self.ring.consumers:
                self.ring.stand(one)  # it has credit, perhaps
        for one in silent:
            self.ring.stand_last(one)
        self.serve(now)

    # -- the store, and the end ---------------------------------------------------------------

    def restore(
        self,
        rows: list[tuple[DeliveryRow, MessageRow | None]],
        paged: int,
        size: int,
        given: int,
    ) -> None:
        """Take what an earlier life has left.

        Args:
            rows: what is in memory: all that is held, and the first page of the rest.
            paged: how many more there are on the disk.
            size: the bytes of all.
            given: the last that was given out then.
        """
        self.given = self.pages.given = given
        self.ready.count = len(rows) + paged
        self.ready.bytes = size
        self.ready.paged = paged
        self.pages.take_rows(rows)
        if self.rejects():
            self.queues.full[self] = None
        self.agenda.watch()

    def peek(self, limit: int) -> list[Item]:
        """The next messages that wait, in the order in which they would be given."""
        if not self.ready.fifo:
            self.pages.load()
        found, delayed = self.ready.peek(limit)
        if len(found) < limit:
            found += self.pages.peek(limit - len(found))
        return [*found, *delayed][:limit]

    def pop(self, now: float) -> Item | None:
        """Take out the next message, for good: the caller has it elsewhere, or wants it gone."""
        item = self._next(now)
        if item is None and not self.ready.anything():
            item = self.ready.pop_delayed()
        if item is not None:
            self._finish(item)
            self._relax(now)
        return item

    def close(self, now: float) -> int:
        """The queue is no more; returns how many messages went with it."""
        self.closed = True
        lost = self.ready.count + self.in_flight
        self.agenda.close()
        if self.queues.keeper is not None:
            self.queues.keeper.hungry.pop(self, None)
        for consumer in list(self.ring.consumers):
            self.leave(consumer, now)
        self.queues.remains.take(self.ready, now)
        self.ready = Ready()
        self.returns.waiting.clear()
        self.leases.clear()
        if self.key:
            self.queues.journal.end_queue(self.key)
            self.key = 0
        self._uncrowd()
        self._relax(now)
        return lost
