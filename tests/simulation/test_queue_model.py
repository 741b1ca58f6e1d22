"""A queue against a model that is a dictionary: nothing lost, nothing with two, nothing miscounted.

Consumers come and go, stall, acknowledge, refuse, fall silent; messages have priorities, delays
and ages; limits and policies change while it runs; with a store, the queue starts again from what
is there. The model knows of each message only where it is and how often it was given out. It is
asked with every message that a consumer is given (was it this one's turn?) and after every step.

Expired messages leave a queue when it looks at them, so the model learns from the queue that one
has gone, and checks that it was allowed to.
"""

from __future__ import annotations

from collections import Counter
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from midge.broker.consumer import DONE, TAKEN, UNFIT, Consumer
from midge.broker.queue import Queue
from midge.broker.queue_item import Item
from midge.config.queue_settings import DROP_NEWEST, DROP_OLDEST, REJECT, QueueSettings
from midge.message import NEVER, Message
from midge.store.memory import MemoryStore
from midge.testing.pair import World

TOPIC = "$queue/jobs"
#: What a consumer of the small kind takes at most.
SMALL = 20
PAGE = 3

SETTINGS = st.builds(
    QueueSettings,
    filters=st.just(()),
    dead=st.just(""),
    durable=st.just(True),
    messages_max=st.sampled_from([0, 2, 5]),
    bytes_max=st.sampled_from([0, 0, 60]),
    full=st.sampled_from([REJECT, DROP_OLDEST, DROP_NEWEST]),
    age_max_s=st.sampled_from([0.0, 0.0, 15.0]),
    deliveries_max=st.sampled_from([0, 1, 3]),
    lease_s=st.sampled_from([0.0, 5.0, 30.0]),
    prefetch=st.sampled_from([0, 1, 2]),
)


class Entry:
    """What the model knows of a message."""

    def __init__(self, number: int, priority: int, ready_at: float, expires_at: float) -> None:
        self.number = number
        self.priority = priority
        self.ready_at = ready_at
        self.expires_at = expires_at
        self.size = 0
        self.deliveries = 0
        self.holder: Taker | None = None
        self.until = NEVER

    def turn(self) -> tuple[int, int]:
        return -self.priority, self.number


class Taker(Consumer):
    """A consumer with a window, as an outbox has it, that remembers all it was ever given."""

    def __init__(self, model: QueueModel, queue: Queue, window: int, small: bool, qos: int) -> None:
        super().__init__(queue, self)
        self.model = model
        self.window = window
        self.small = small
        self.qos = qos
        self.stalled = False
        self.wanted = False
        self.hands: list[Item] = []  # what it has not answered, whoever has it by now

    def has_credit(self) -> bool:
        prefetch = self.queue.settings.prefetch
        full = prefetch and self.unacknowledged >= prefetch
        return not self.stalled and len(self.hands) < self.window and not full

    def is_there(self) -> bool:
        return True

    def want(self) -> None:
        prefetch = self.queue.settings.prefetch
        if not prefetch or self.unacknowledged < prefetch:
            self.wanted = True

    def give(self, item: Item, now: float) -> int:
        assert not self.gone
        assert self.has_credit()
        outcome = TAKEN if self.qos else DONE
        if self.small and len(item.message.payload) > SMALL:
            outcome = UNFIT
        self.model.was_given(number_of(item), self, outcome)
        if outcome == TAKEN:
            self.hands.append(item)
        return outcome

    def who(self) -> str:
        return "somebody"

    def pump(self, now: float) -> None:
        """As an outbox does when there is room again."""
        if self.wanted and not self.gone:
            self.wanted = False
            self.queue.welcome(self, now)


def number_of(item: Item) -> int:
    return int(item.message.payload.split()[0])


def out_of_order(queue: Queue) -> list[Item]:
    return [item for heap in queue.ready.heaps for _, item in heap]


class QueueModel(RuleBasedStateMachine):
    durable = False

    def __init__(self) -> None:
        super().__init__()
        self.pages = mock.patch("midge.broker.queue_pages.STORE_QUEUE_PAGE", PAGE)
        self.restored = mock.patch("midge.testing.pair.STORE_QUEUE_PAGE", PAGE)
        self.pages.start()
        self.restored.start()
        self.store = MemoryStore() if self.durable else None
        self.world = World(store=self.store)
        self.counts: Counter[str] = Counter()
        self.entries: dict[int, Entry] = {}  # those that wait or that somebody has
        self.dead: set[int] = set()
        self.takers: list[Taker] = []
        self.gone: list[Taker] = []
        self.number = 0

    def teardown(self) -> None:
        self.pages.stop()
        self.restored.stop()

    @initialize(settings=SETTINGS)
    def make(self, settings: QueueSettings) -> None:
        self.queue = self.world.broker.queues.create("jobs", settings)

    @property
    def now(self) -> float:
        return self.world.clock.now()

    # -- what the model says ------------------------------------------------------------------

    def waiting(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.holder is None]

    def ready(self) -> list[Entry]:
        found = [one for one in self.waiting() if one.ready_at <= self.now < one.expires_at]
        return sorted(found, key=Entry.turn)

    def bytes(self) -> int:
        return sum(entry.size for entry in self.waiting())

    def is_full(self) -> bool:
        limits = self.queue.settings
        too_many = 0 < limits.messages_max <= len(self.waiting())
        return too_many or 0 < limits.bytes_max <= self.bytes()

    def was_given(self, number: int, taker: Taker, outcome: int) -> None:
        entry = self.entries[number]
        assert entry.holder is None, "it was given to two"
        assert self.ready()[0] is entry, "it was another one's turn"
        entry.deliveries += 1
        if outcome == TAKEN:
            entry.holder = taker
            lease_s = self.queue.settings.lease_s
            entry.until = self.now + lease_s if lease_s else NEVER
            return
        del self.entries[number]
        if outcome == DONE:
            self.counts["unconfirmed"] += 1
        else:
            self.counts["buried"] += 1
            self.dead.add(number)

    def comes_back(self, entry: Entry) -> None:
        entry.holder = None
        entry.until = NEVER
        limit = self.queue.settings.deliveries_max
        if limit and entry.deliveries >= limit:
            self.counts["buried"] += 1
            self.dead.add(entry.number)
            del self.entries[entry.number]
        else:
            self.counts["redelivered"] += 1

    def sync(self) -> None:
        """Take note of what has expired."""
        there = self.numbers_in_queue()
        assert len(there) == len(set(there)), "a message is there twice"
        for entry in self.waiting():
            if entry.number not in there:
                assert entry.expires_at <= self.now, "it was lost"
                del self.entries[entry.number]
                self.counts["expired"] += 1

    def numbers_in_queue(self) -> list[int]:
        queue = self.queue
        found = [number_of(item) for item in (*queue.ready.fifo, *out_of_order(queue))]
        found += [number_of(item) for _, _, item in queue.ready.delayed]
        if queue.ready.paged:
            assert self.store is not None
            rows = self.store.page(queue.key, queue.pages.last_serial, 1000)
            assert len(rows) == queue.ready.paged
            found += [int(message.payload.split()[0]) for _, message in rows if message]
        return found

    def settle(self) -> None:
        """The end of a step: what is due is done, what is noted is safe."""
        self.world.settle()
        self.pass_time(0.0)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        broker = self.world.broker
        while True:
            due = broker.next_deadline()
            if due is None or due > end:
                break
            self.world.clock.time_s = max(self.now, due)
            self.end_leases()
            broker.tick(self.now)
            self.world.settle()
        self.world.clock.time_s = end
        self.end_leases()
        broker.tick(end)
        self.world.settle()

    def end_leases(self) -> None:
        for entry in list(self.entries.values()):
            if entry.holder is not None and entry.until <= self.now:
                self.counts["timed_out"] += 1
                self.comes_back(entry)

    # -- what happens -------------------------------------------------------------------------

    @rule(
        padding=st.sampled_from([0, 0, 30]),
        priority=st.sampled_from([0, 0, 0, 1, 9]),
        delay_s=st.sampled_from([0.0, 0.0, 0.0, 4.0, 12.0]),
        expiry_s=st.sampled_from([NEVER, NEVER, 6.0, 20.0]),
        count=st.integers(1, 4),
    )
    def put(self, padding: int, priority: int, delay_s: float, expiry_s: float, count: int) -> None:
        for _ in range(count):
            self.put_one(padding, priority, delay_s, self.now + expiry_s)

    def put_one(self, padding: int, priority: int, delay_s: float, expires_at: float) -> None:
        self.number += 1
        payload = b"%d %s" % (self.number, b"." * padding)
        message = Message(TOPIC, payload, 1, False, None, expires_at, "")
        limits = self.queue.settings
        if limits.age_max_s:
            expires_at = min(expires_at, self.now + limits.age_max_s)
        entry = Entry(self.number, priority, self.now + delay_s if delay_s else 0.0, expires_at)
        entry.size = len(TOPIC) + len(payload)
        fits = not self.is_full()
        if not fits and limits.full == DROP_OLDEST:
            fits = self.drop_oldest(priority)
        if fits:
            self.counts["put_count"] += 1
            self.entries[self.number] = entry
        else:
            self.counts["rejected" if limits.full == REJECT else "dropped"] += 1
        assert self.queue.put(message, self.now, priority, delay_s) == fits
        self.world.settle()
        self.sync()

    def drop_oldest(self, priority: int) -> bool:
        """Make room by what counts least: the lowest priority, the oldest of those."""
        while self.is_full():
            candidates = [one for one in self.waiting() if one.ready_at <= self.now]
            dropped = min(candidates, key=lambda one: (one.priority, one.number), default=None)
            if dropped is None or dropped.priority > priority:
                return False
            del self.entries[dropped.number]
            gone_by_age = dropped.expires_at <= self.now
            self.counts["expired" if gone_by_age else "dropped"] += 1
        return True

    @precondition(lambda self: len(self.takers) < 5)
    @rule(window=st.integers(1, 4), small=st.booleans(), qos=st.sampled_from([0, 1, 1, 1]))
    def join(self, window: int, small: bool, qos: int) -> None:
        taker = Taker(self, self.queue, window, small, qos)
        self.takers.append(taker)
        self.queue.join(taker, self.now)

    @precondition(lambda self: self.takers)
    @rule(which=st.integers(0, 4))
    def leave(self, which: int) -> None:
        """Unsubscribe: it may still answer for what it has."""
        taker = self.takers.pop(which % len(self.takers))
        self.queue.leave(taker, self.now)
        self.gone.append(taker)

    @precondition(lambda self: self.takers or self.gone)
    @rule(which=st.integers(0, 9))
    def disconnect(self, which: int) -> None:
        everybody = self.takers + self.gone
        taker = everybody[which % len(everybody)]
        self.takers = [one for one in self.takers if one is not taker]
        self.gone = [one for one in self.gone if one is not taker]
        self.queue.leave(taker, self.now)
        for item in taker.hands:
            entry = self.entries.get(number_of(item))
            if entry is not None and entry.holder is taker:
                self.comes_back(entry)
        self.queue.take_back(taker.hands, taker, self.now)

    @precondition(lambda self: any(taker.hands for taker in self.takers + self.gone))
    @rule(which=st.integers(0, 9), what=st.integers(0, 3), refused=st.sampled_from([0, 0, 0x80]))
    def answer(self, which: int, what: int, refused: int) -> None:
        busy = [taker for taker in self.takers + self.gone if taker.hands]
        taker = busy[which % len(busy)]
        item = taker.hands.pop(what % len(taker.hands))
        entry = self.entries.get(number_of(item))
        if entry is None or entry.holder is not taker:
            self.counts["late"] += 1
        elif refused:
            self.counts["refused"] += 1
            self.comes_back(entry)
        else:
            self.counts["acknowledged"] += 1
            del self.entries[entry.number]
        self.queue.settle(item, taker, refused, self.now)
        taker.pump(self.now)

    @precondition(lambda self: self.takers)
    @rule(which=st.integers(0, 4))
    def stall_or_read_on(self, which: int) -> None:
        taker = self.takers[which % len(self.takers)]
        taker.stalled = not taker.stalled
        if not taker.stalled:
            taker.pump(self.now)

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(settings=SETTINGS)
    def change_settings(self, settings: QueueSettings) -> None:
        before = self.queue.settings.lease_s
        self.world.broker.queues.create("jobs", settings)
        for entry in self.entries.values():
            if entry.until != NEVER:
                lease_s = settings.lease_s
                entry.until = entry.until - before + lease_s if lease_s else NEVER

    @rule()
    def pop(self) -> None:
        self.sync()
        item = self.queue.pop(self.now)
        if item is None:
            assert not self.ready()
            return
        entry = self.entries[number_of(item)]
        ready = self.ready()
        assert not ready or ready[0] is entry
        del self.entries[entry.number]

    @rule()
    def purge(self) -> None:
        while (item := self.queue.pop(self.now)) is not None:
            del self.entries[number_of(item)]
        self.sync()
        assert self.queue.waiting == 0

    @precondition(lambda self: self.durable)
    @rule()
    def start_again(self) -> None:
        """A crash right after a commit: consumers are gone, the queue is as the store has it."""
        assert self.store is not None
        started_at = self.now
        self.world.settle()
        self.world = World(store=self.store)
        self.world.clock.time_s = started_at
        self.takers.clear()
        self.gone.clear()
        self.counts.clear()
        queue = self.world.broker.queues.get("jobs")
        assert queue is not None
        assert queue.settings == self.queue.settings
        self.queue = queue
        for entry in self.entries.values():
            entry.holder = None
            entry.until = NEVER
        self.sync_deliveries()

    def sync_deliveries(self) -> None:
        """Of the last time that a message was given the store knows only that it was."""
        for item in (*self.queue.ready.fifo, *out_of_order(self.queue)):
            entry = self.entries[number_of(item)]
            assert item.deliveries >= min(entry.deliveries, 1)
            assert entry.deliveries - 1 <= item.deliveries
            entry.deliveries = item.deliveries

    # -- what is always so --------------------------------------------------------------------

    @invariant()
    def all_is_well(self) -> None:
        if hasattr(self, "queue"):
            self.settle()
            self.sync()
            self.all_is_where_the_model_says()
            self.the_counters_are_right()
            self.nobody_waits_for_a_message_that_waits_for_somebody()
            self.publishers_hear_that_it_is_full_when_it_is()
            self.the_dead_are_in_their_queue()

    def all_is_where_the_model_says(self) -> None:
        queue = self.queue
        assert sorted(self.numbers_in_queue()) == sorted(one.number for one in self.waiting())
        assert (queue.waiting, queue.bytes) == (len(self.waiting()), self.bytes())
        held = [one for one in self.entries.values() if one.holder is not None]
        assert queue.in_flight == len(held)
        by_holder = Counter(id(entry.holder) for entry in held)
        for taker in self.takers + self.gone:
            assert taker.unacknowledged == by_holder[id(taker)]

    def the_counters_are_right(self) -> None:
        names = (
            *("put_count", "acknowledged", "redelivered", "refused", "timed_out", "unconfirmed"),
            *("late", "rejected", "dropped", "expired", "buried"),
        )
        found = {name: getattr(self.queue, name) for name in names}
        assert found == {name: self.counts[name] for name in names}

    def nobody_waits_for_a_message_that_waits_for_somebody(self) -> None:
        if self.ready():
            assert not any(taker.has_credit() for taker in self.takers)

    def publishers_hear_that_it_is_full_when_it_is(self) -> None:
        queue = self.queue
        rejects = queue.settings.full == REJECT and self.is_full()
        assert (queue in self.world.broker.queues.full) == rejects == queue.rejects()

    def the_dead_are_in_their_queue(self) -> None:
        queue = self.world.broker.queues.get("jobs.dead")
        found = [] if queue is None else queue.peek(1000)
        assert sorted(number_of(item) for item in found) == sorted(self.dead)


class DurableQueueModel(QueueModel):
    durable = True


NOT_COMPILED = pytest.mark.source_only("its consumers derive from a class that is compiled")
TestQueue = NOT_COMPILED(QueueModel.TestCase)
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDurableQueue = NOT_COMPILED(DurableQueueModel.TestCase)
TestDurableQueue.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
