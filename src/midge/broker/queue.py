"""Competing consumers: each message of a queue goes to one of them, the next that is available.

A message stays in the queue until one consumer has acknowledged it. Who has credit (a window that
is not full, a connection that is read) stands in a ring and gets the next message; who has none
steps out, and comes back when an acknowledgement or the transport makes room. A message whose
consumer leaves, refuses it, or is silent for too long is given to the next one, before all that
came after it, and marked as given before; what nobody manages to do goes to the dead letters.

Order: messages are given out by priority, then in the order in which they came. With one consumer
that is the order in which it gets them; with several, each sees a part, and what is given again
comes later than what followed it.

A queue that outlives the process is in the store as if it were a session. Its memory then holds the
first page of what waits; priorities, delays and what was given before are always in memory.

Sans-I/O, and no ``Consumer`` is called back but to be given a message.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from midge.broker.pressure import Pressure
from midge.broker.queue_item import Item
from midge.broker.stored import read_delivery
from midge.config.queue_settings import DROP_OLDEST, REJECT, QueueSettings, wishes
from midge.limits import SLICE_ENTRIES, STORE_QUEUE_PAGE
from midge.message import NEVER, Message
from midge.store.base import HELD, QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from midge.auth.base import Pending
    from midge.broker.deadlines import Ticket
    from midge.broker.queues import Queues
    from midge.broker.session import Session, Subscription
    from midge.store.base import DeliveryRow, MessageRow

#: What became of a message that was given to a consumer: it will be settled; it is done, since
#: there will be no acknowledgement; the consumer cannot take it at all.
TAKEN: Final = 0
DONE: Final = 1
UNFIT: Final = 2
#: Between two slices of work, for whoever else has something to do.
_STEP_S: Final = 0.01


class Consumer:
    """Somebody who takes messages from one queue.

    Attributes:
        queue: that queue.
        holder: who settles what this consumer was given, and nobody else can.
        standing: it is in the ring of those who are available.
        gone: it has left.
        unacknowledged: how many messages it has.
        taken: how many it was ever given.
    """

    __slots__ = ("gone", "holder", "queue", "standing", "taken", "unacknowledged")

    def __init__(self, queue: Queue, holder: object) -> None:
        self.queue = queue
        self.holder = holder
        self.standing = False
        self.gone = False
        self.unacknowledged = 0
        self.taken = 0

    def has_credit(self) -> bool:
        """Whether it can be given a message now."""
        raise NotImplementedError

    def is_there(self) -> bool:
        """Whether it is connected."""
        raise NotImplementedError

    def want(self) -> None:
        """It was passed over for want of credit: have :meth:`Queue.welcome` called with it.

        Not where it has as much as the prefetch allows: then the queue sees itself to it, once it
        is rid of a message.
        """
        raise NotImplementedError

    def give(self, item: Item, now: float) -> int:
        """Here is a message: :data:`TAKEN`, :data:`DONE` or :data:`UNFIT`."""
        raise NotImplementedError

    def who(self) -> str:
        """Its name, for people."""
        raise NotImplementedError


class Queue(Pressure):
    """See the module.

    Attributes:
        name: without ``$queue/``.
        settings: its limits.
        key: its number in the store; 0 where it is not kept.
        consumers: all of them, in the order in which they came.
        waiting: messages that nobody has, those that are delayed and those on the disk included.
        bytes: their weight.
        in_flight: messages that somebody has.
        given: the highest number in the store of those that were given out.
        closed: it is no more.
        put_count, acknowledged, redelivered, refused, timed_out: what happened so far.
        unconfirmed: given to consumers that cannot acknowledge.
        late: acknowledgements of messages that somebody else had by then.
        rejected, dropped, expired, buried: what did not come through, by cause.
    """

    __slots__ = (
        "_changed",
        "_delayed",
        "_due",
        "_first",
        "_given",
        "_keeper_waits",
        "_last_serial",
        "_leases",
        "_not_before",
        "_paged",
        "_plain",
        "_queues",
        "_ring",
        "_room",
        "_ticket",
        "acknowledged",
        "buried",
        "bytes",
        "closed",
        "consumers",
        "dropped",
        "expired",
        "given",
        "in_flight",
        "key",
        "late",
        "name",
        "put_count",
        "redelivered",
        "refused",
        "rejected",
        "settings",
        "timed_out",
        "unconfirmed",
        "waiting",
    )

    def __init__(self, name: str, settings: QueueSettings, queues: Queues) -> None:
        super().__init__(queues.metrics, queues.crowd)
        self.name = name
        self.settings = settings
        self.key = 0
        self.consumers: list[Consumer] = []
        self.waiting = 0
        self.bytes = 0
        self.in_flight = 0
        self.given = 0
        self.closed = False
        self._queues = queues
        self._plain: deque[Item] = deque()  # in the order in which they came
        self._first: list[Item] = []  # a heap: with priority, once delayed, given before
        self._delayed: list[tuple[float, int, Item]] = []  # a heap
        self._paged = 0  # on the disk only, behind `_plain`
        self._last_serial = 0  # of what is in `_plain`, or was
        self._given = 0  # in an earlier life; what is up to here may have been given before
        self._leases: dict[Item, float] = {}  # in the order in which they end
        self._ring: deque[Consumer] = deque()
        self._room: list[Pending] = []
        self._ticket: Ticket | None = None
        self._due = NEVER  # when the ticket comes up
        self._not_before = 0.0
        self._changed = False
        self.put_count = 0
        self.acknowledged = 0
        self.redelivered = 0
        self.refused = 0
        self.timed_out = 0
        self.unconfirmed = 0
        self.late = 0
        self.rejected = 0
        self.dropped = 0
        self.expired = 0
        self.buried = 0

    @property
    def members(self) -> Sequence[Subscription]:
        """Those whose rights depend on the topic of a message: nobody."""
        return ()

    def configure(self, settings: QueueSettings) -> None:
        """Take other settings; who gets something because of them gets it at the next tick.

        Leases that run are as long from their beginning as the new ones; what was given without
        a lease stays without.
        """
        longer = settings.lease_s - self.settings.lease_s
        if not settings.lease_s:
            self._leases.clear()
        elif longer:
            for item in self._leases:
                self._leases[item] += longer
        self.settings = settings
        if self.rejects():
            self._queues.full[self] = None
        self._changed = True
        self._not_before = 0.0
        self._watch()

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
        if not self._make_room(priority, now):
            return False
        age_max_s = self.settings.age_max_s
        if age_max_s and now + age_max_s < message.expires_at:
            message = message.expiring(now + age_max_s)
        self.put_count += 1
        plain = not priority and delay_s <= 0
        if plain and not self._has_backlog():
            consumer = self._available()
            if consumer is not None:
                self._give(self._new_item(message, 0, 0.0), consumer, now)
                return True
        if plain and self._paging():
            self._keep_paged(message)
        else:
            ready_at = 0.0 if delay_s <= 0 else now + delay_s
            item = self._new_item(message, priority, ready_at)
            if ready_at:
                heappush(self._delayed, (ready_at, item.serial, item))
            elif priority:
                heappush(self._first, item)
            else:
                self._plain.append(item)
            if ready_at and ready_at < self._due:
                self._watch()
            elif message.expires_at != NEVER:
                self._watch_heads()
        self._count(message, now)
        if priority and not delay_s:
            self.serve(now)
        return True

    def _make_room(self, priority: int, now: float) -> bool:
        """Whether one more message may be kept; others may have to go for it."""
        if not self.is_full() and not self._metrics.memory_full:
            return True
        if self.settings.full == REJECT or self._metrics.memory_full:
            self.rejected += 1
            return False
        while self.settings.full == DROP_OLDEST:
            item = self._least(priority, now)
            if item is None:
                break
            self._uncount(item)
            if item.is_dead(now):
                self._expire(item)
            else:
                self._finish(item)
                self.dropped += 1
                self._metrics.dropped_queue_full += 1
            if not self.is_full():
                return True
        self.dropped += 1
        self._metrics.dropped_queue_full += 1
        return False

    def _least(self, priority: int, now: float) -> Item | None:
        """Take out the oldest of those that count least, unless all are above ``priority``."""
        if not self._plain:
            self._load(now)
        first, plain = self._first, self._plain
        if plain and (not first or first[0].priority or plain[0].serial < first[0].serial):
            return plain.popleft()  # beside those with a priority, without looking at them all
        if not first:
            return None
        if not first[0].priority:
            return heappop(first)
        index = min(range(len(first)), key=lambda at: (first[at].priority, first[at].serial))
        if first[index].priority > priority:
            return None
        item = first[index]
        first[index] = first[-1]
        first.pop()
        heapify(first)
        return item

    def is_full(self) -> bool:
        """Whether no more may wait."""
        settings = self.settings
        return (0 < settings.messages_max <= self.waiting) or (0 < settings.bytes_max <= self.bytes)

    def rejects(self) -> bool:
        """Whether the next message would be rejected."""
        return self.settings.full == REJECT and self.is_full()

    def _new_item(self, message: Message, priority: int, ready_at: float) -> Item:
        if not self.key:
            self._last_serial += 1
            item = Item(self, message, 1, self._last_serial)
        else:
            state = HELD if priority or ready_at else QUEUED
            serial = self._queues.journal.put(self.key, message, state, priority, ready_at)
            item = Item(self, message, 1, serial)
            item.stored = message.stored
            if state == QUEUED:
                self._last_serial = serial
        if priority or ready_at:
            item.priority = priority
            item.ready_at = ready_at
        return item

    def _paging(self) -> bool:
        """Whether a message that waits is kept on the disk alone."""
        return bool(self.key and (self._paged or len(self._plain) >= STORE_QUEUE_PAGE))

    def _keep_paged(self, message: Message) -> None:
        self._queues.journal.put(self.key, message, QUEUED, 0, 0.0)
        self._paged += 1

    def _count(self, message: Message, now: float) -> None:
        self.waiting += 1
        self.bytes += len(message.topic) + len(message.payload)
        settings = self.settings
        if settings.full == REJECT and self.is_full():
            self._queues.full[self] = None
        if (
            not self.crowded
            and 0 < settings.messages_max < self.waiting * 2
            and any(consumer.is_there() for consumer in self.consumers)
        ):
            self._crowd_up(now)

    def _uncount(self, item: Item) -> None:
        self.waiting -= 1
        self.bytes -= item.size()

    # -- out ----------------------------------------------------------------------------------

    def _has_backlog(self) -> bool:
        return bool(self._plain or self._first or self._paged)

    def _available(self) -> Consumer | None:
        """The next consumer with credit; it stands first in the ring then."""
        ring = self._ring
        while ring:
            consumer = ring[0]
            if consumer.has_credit():
                return consumer
            ring.popleft()
            consumer.standing = False
            if not consumer.gone:
                consumer.want()
        return None

    def _give(self, item: Item, consumer: Consumer, now: float) -> None:
        self._ring.rotate(-1)
        item.deliveries += 1
        item.consumer = consumer
        if item.stored:
            self._queues.journal.given(self.key, item.serial)
            self.given = max(self.given, item.serial)
        outcome = consumer.give(item, now)
        consumer.taken += 1
        if outcome == TAKEN:
            consumer.unacknowledged += 1
            self.in_flight += 1
            lease_s = self.settings.lease_s
            if lease_s:
                until = now + lease_s
                self._leases[item] = until
                if until < self._due:
                    self._watch()
            return
        item.consumer = None
        if outcome == DONE:
            self.unconfirmed += 1
            self._finish(item)
        else:
            self._bury(item, f"larger than {consumer.who()} takes", now)

    def serve(self, now: float) -> None:
        """Give out what waits, for as long as somebody has credit."""
        while self._has_backlog():
            consumer = self._available()
            if consumer is None:
                break
            item = self._next(now)
            if item is None:
                break
            self._give_waiting(item, consumer, now)
        self._watch_heads()
        self._relax(now)

    def _give_waiting(self, item: Item, consumer: Consumer, now: float) -> None:
        """Give what has waited."""
        self._give(item, consumer, now)

    def pump(self, now: float) -> None:
        """The store has caught up: what could not be read may be there now."""
        self.serve(now)

    def _next(self, now: float) -> Item | None:
        """Take out the message that is given next."""
        while True:
            first = self._first
            if first and not first[0].priority and not self._plain and self._paged:
                self._load(now)  # older ones may be on the disk
            if first and (
                first[0].priority or not self._plain or first[0].serial < self._plain[0].serial
            ):
                item = heappop(first)
            elif self._plain:
                item = self._plain.popleft()
            elif self._load(now):
                continue
            else:
                return None
            self._uncount(item)
            if not item.is_dead(now):
                return item
            self._expire(item)

    def _expire(self, item: Item) -> None:
        self.expired += 1
        self._metrics.dropped_expired += 1
        self._finish(item)

    def _finish(self, item: Item) -> None:
        """A message is done with."""
        if item.stored and self.key:
            self._queues.journal.done(self.key, item.serial, item.stored)
            item.stored = 0

    def _relax(self, now: float) -> None:
        """There is more room than there was: tell those who wait for it."""
        settings = self.settings
        if self.crowded and (
            self.waiting * 4 <= settings.messages_max or not settings.messages_max
        ):
            self._uncrowd()
        if self in self._queues.full and not self.rejects():
            del self._queues.full[self]
            room = self._room
            self._room = []
            for pending in room:
                self._queues.settle_room(pending, now)

    def wait_for_room(self) -> Pending:
        """Something to wait for: the queue is no longer full."""
        pending = self._queues.new_pending()
        self._room.append(pending)
        return pending

    # -- consumers ----------------------------------------------------------------------------

    def join(self, consumer: Consumer, now: float) -> None:
        """A consumer comes."""
        self.consumers.append(consumer)
        self.welcome(consumer, now)

    def welcome(self, consumer: Consumer, now: float) -> None:
        """A consumer may have credit again."""
        self._stand(consumer)
        if self._plain or self._first or self._paged:
            self.serve(now)

    def _stand(self, consumer: Consumer) -> None:
        if not consumer.standing and not consumer.gone:
            consumer.standing = True
            self._ring.append(consumer)

    def leave(self, consumer: Consumer, now: float) -> None:
        """A consumer goes; what it has it may still settle, until :meth:`take_back`."""
        if consumer.gone:
            return
        consumer.gone = True
        self.consumers.remove(consumer)
        if consumer.standing:
            consumer.standing = False
            self._ring.remove(consumer)
        if self.crowded and not self.consumers:
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
            self._finish(item)
        self.welcome(consumer, now)

    def take_back(self, items: Iterable[Item], holder: object, now: float) -> None:
        """Whoever had these messages is gone: others get them."""
        for item in items:
            consumer = item.consumer
            if consumer is not None and consumer.holder is holder:
                self._release(item, consumer)
                self._stand(consumer)
                self._again(item, f"{consumer.who()} left with it", now)
        self.serve(now)

    def _release(self, item: Item, consumer: Consumer) -> None:
        item.consumer = None
        consumer.unacknowledged -= 1
        self.in_flight -= 1
        if self._leases:
            self._leases.pop(item, None)

    def _again(self, item: Item, why: str, now: float) -> None:
        """A message comes back: before all that came after it, or to the dead letters."""
        if self.closed:
            return  # it was counted when the queue went
        limit = self.settings.deliveries_max
        if limit and item.deliveries >= limit:
            self._bury(item, f"given out {item.deliveries} times; {why}", now)
            return
        self.redelivered += 1
        heappush(self._first, item)
        self._count(item.message, now)
        if item.stored:
            self._queues.journal.change(self.key, item.serial, item.deliveries, HELD)

    def _bury(self, item: Item, why: str, now: float) -> None:
        self.buried += 1
        self._queues.bury(self, item, why, now)
        self._finish(item)

    # -- time ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        deadlines = self._queues.deadlines
        deadlines.cancel(self._ticket)
        self._ticket = deadlines.add(self)

    def _watch_heads(self) -> None:
        """Those that are next may be too old before anything else is due."""
        due = self._due
        if (self._plain and self._plain[0].message.expires_at < due) or (
            self._first and self._first[0].message.expires_at < due
        ):
            self._watch()

    def next_deadline(self) -> float | None:
        """When a lease or a delay ends, or the first message is too old.

        Only :class:`Deadlines` asks: what it hears is when the ticket comes up.
        """
        when = NEVER
        if self._changed:
            when = 0.0
        elif self._leases:
            when = next(iter(self._leases.values()))
        if self._delayed:
            when = min(when, self._delayed[0][0])
        for head in (self._plain, self._first):
            if head:
                when = min(when, head[0].message.expires_at)
        if when != NEVER:
            when = max(when, self._not_before)
        self._due = when
        return None if when == NEVER else when

    def tick(self, now: float) -> None:
        """Do what is due, at most a slice of it."""
        left = SLICE_ENTRIES
        able: dict[Consumer, None] = {}  # perhaps
        if self._changed:
            self._changed = False
            able.update(dict.fromkeys(self.consumers))
        while self._leases and left:
            item, until = next(iter(self._leases.items()))
            if until > now:
                break
            consumer = item.consumer
            assert consumer is not None
            self.timed_out += 1
            self._release(item, consumer)
            self._again(item, f"{consumer.who()} was silent for {self.settings.lease_s:g} s", now)
            able[consumer] = None  # to others sooner, but rather to it again than to nobody
            left -= 1
        while self._delayed and self._delayed[0][0] <= now and left:
            heappush(self._first, heappop(self._delayed)[2])
            left -= 1
        while self._plain and self._plain[0].is_dead(now) and left:
            item = self._plain.popleft()
            self._uncount(item)
            self._expire(item)
            left -= 1
        while self._first and self._first[0].is_dead(now) and left:
            item = heappop(self._first)
            self._uncount(item)
            self._expire(item)
            left -= 1
        self._not_before = now + _STEP_S
        for consumer in able:
            self._stand(consumer)
        self.serve(now)

    # -- the store ----------------------------------------------------------------------------

    def _load(self, now: float) -> bool:
        """Read the next page from the disk; false when there is nothing yet."""
        if not self._paged:
            return False
        keeper = self._queues.keeper
        assert keeper is not None
        rows = keeper.page(self.key, self._last_serial, STORE_QUEUE_PAGE)
        if not rows:
            if rows is not None and keeper.idle():
                # The store has less than we have counted: it was damaged.
                keeper.lost += self._paged
                self.waiting -= self._paged
                self._paged = 0
                if not self.waiting:
                    self.bytes = 0  # how much is lost nobody knows
            else:
                keeper.hungry[self] = None  # not written yet, or the disk fails
            return False
        self._paged -= len(rows)
        self.take_rows(rows)
        return True

    def take_rows(self, rows: Iterable[tuple[DeliveryRow, MessageRow | None]]) -> None:
        """Take messages of the store; they are counted already."""
        keeper = self._queues.keeper
        assert keeper is not None
        journal = keeper.journal
        for row, message in rows:
            if row.state == QUEUED:
                self._last_serial = row.seq
            delivery = None
            if message is not None:
                delivery = read_delivery(row, message, journal.offset_s)
            if delivery is None:
                keeper.lost += 1
                self.waiting -= 1
                journal.done(self.key, row.seq, row.message)
                continue
            item = Item(self, delivery.message, 1, row.seq)
            item.stored = row.message
            item.priority = row.priority
            item.deliveries = row.packet_id or int(row.seq <= self._given)
            if row.ready_at is not None:
                item.ready_at = row.ready_at - journal.offset_s
                heappush(self._delayed, (item.ready_at, item.serial, item))
            elif row.state == QUEUED:
                self._plain.append(item)
            else:
                heappush(self._first, item)

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
        self.given = self._given = given
        self.waiting = len(rows) + paged
        self.bytes = size
        self._paged = paged
        self.take_rows(rows)
        if self.rejects():
            self._queues.full[self] = None
        self._watch()

    # -- looking in ---------------------------------------------------------------------------

    def peek(self, limit: int, now: float) -> list[Item]:
        """The next messages that wait, in the order in which they would be given."""
        if not self._plain:
            self._load(now)
        found = sorted(self._first)[:limit]
        found += [item for _, item in zip(range(limit), self._plain, strict=False)]
        found.sort()
        if self._paged and len(found) < limit:
            found += self._peek_paged(limit - len(found))
        found += [item for _, _, item in sorted(self._delayed, key=_by_time)[:limit]]
        return found[:limit]

    def _peek_paged(self, limit: int) -> list[Item]:
        keeper = self._queues.keeper
        assert keeper is not None
        found = []
        for row, message in keeper.page(self.key, self._last_serial, limit) or ():
            delivery = None
            if message is not None:
                delivery = read_delivery(row, message, keeper.journal.offset_s)
            if delivery is not None:
                found.append(Item(self, delivery.message, 1, row.seq))
        return found

    def pop(self, now: float) -> Item | None:
        """Take out the next message, for good: the caller has it elsewhere, or wants it gone."""
        item = self._next(now)
        if item is None and self._delayed:
            item = heappop(self._delayed)[2]
            self._uncount(item)
        if item is not None:
            self._finish(item)
            self._relax(now)
        return item

    def close(self, now: float) -> int:
        """The queue is no more; returns how many messages went with it."""
        self.closed = True
        lost = self.waiting + self.in_flight
        self._queues.deadlines.cancel(self._ticket)
        self._ticket = None
        if self._queues.keeper is not None:
            self._queues.keeper.hungry.pop(self, None)
        for consumer in list(self.consumers):
            self.leave(consumer, now)
        self._plain.clear()
        self._first.clear()
        self._delayed.clear()
        self._leases.clear()
        self._paged = self.waiting = self.bytes = 0
        if self.key:
            self._queues.journal.end_queue(self.key)
            self.key = 0
        self._uncrowd()
        self._relax(now)
        return lost


def _by_time(entry: tuple[float, int, Item]) -> tuple[float, int]:
    return entry[0], entry[1]
