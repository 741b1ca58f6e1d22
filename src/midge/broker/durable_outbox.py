"""The way out to a session that outlives the process: what waits is in the store as well.

It is an outbox that notes in the journal what becomes of each QoS 1 and 2 message: queued, sent
under an identifier, received, done. What it adds to the order of things is that QoS 2 waits for the
disk: a PUBLISH until its identifier is safe, a PUBREL until it is safe that the message was
received. Otherwise the broker could forget, in a crash, that the client has had it.

The memory holds the first page of the queue; what is behind it is on the disk only, and is read
when the page has been sent.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from midge.broker.backlog import Backlog
from midge.broker.delivery import Delivery
from midge.broker.outbox import Outbox
from midge.broker.queue_item import Item
from midge.broker.stored import read_delivery, row_of
from midge.limits import (
    SLICE_ENTRIES,
    STORE_QUEUE_PAGE,
    STORE_QUEUE_PAGE_BYTES,
)
from midge.mqtt import packets as p
from midge.mqtt.encode import encode_ack
from midge.store.base import RELEASED, SENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from midge.broker.keeper import Keeper
    from midge.broker.metrics import Metrics
    from midge.broker.pressure import Pressure
    from midge.broker.session import Subscription
    from midge.config.settings import Settings
    from midge.message import Message
    from midge.store.base import DeliveryRow, MessageRow

    #: A delivery in the store: its number, and that of its message.
    Kept = tuple[int, int]


class DurableOutbox(Outbox):
    """See :class:`Outbox`.

    Attributes:
        key: the session's number in the store.
        paged: how many of the queued messages are on the disk only.
    """

    __slots__ = (
        "_allowed",
        "_in_flight",
        "_keeper",
        "_last_seq",
        "_queued",
        "_unsafe",
        "key",
        "paged",
    )

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        dirty: list[Outbox],
        crowd: dict[Pressure, None],
        keeper: Keeper,
        key: int,
    ) -> None:
        super().__init__(settings, metrics, dirty, crowd)
        self.key = key
        self.paged = 0
        self._keeper = keeper
        #: Of the QoS 1 and 2 deliveries in ``queue``, in their order.
        self._queued: deque[Kept] = deque()
        #: Of what is in flight, by packet identifier.
        self._in_flight: dict[int, Kept] = {}
        #: What may be sent when a batch is safe: its number, packet identifier, whether PUBREL.
        self._unsafe: deque[tuple[int, int, bool]] = deque()
        self._last_seq = 0
        self._allowed: Callable[[Message], bool] | None = None

    # -- messages ---------------------------------------------------------------------------------

    def deliver(self, delivery: Delivery, now: float) -> None:
        """See :meth:`Outbox.deliver`."""
        if delivery.qos == 0:
            self._deliver_qos0(delivery, now)
        elif self.may_send():
            self._send_new(delivery, now)
        elif self._admits(delivery):
            kept = self._keep(delivery)
            if (
                self.paged
                or len(self._queued) >= STORE_QUEUE_PAGE
                or self.queued_bytes >= STORE_QUEUE_PAGE_BYTES
            ):
                self.paged += 1
                if self.queue is None:
                    self.queue = deque()
            else:
                self._append(delivery, kept)
            self._count_queued(delivery, now)

    def _keep(self, delivery: Delivery) -> Kept:
        message = delivery.message
        seq = self._keeper.journal.queue(
            self.key, message, delivery.qos, delivery.retain, delivery.ids
        )
        return seq, message.stored

    def _append(self, delivery: Delivery, kept: Kept) -> None:
        if self.queue is None:
            self.queue = deque()
        self.queue.append(delivery)
        self._queued.append(kept)
        self._last_seq = kept[0]

    def _done(self, kept: Kept) -> None:
        self._keeper.journal.done(self.key, *kept)

    def _send_new(self, delivery: Delivery, now: float) -> None:
        """Send what the store does not have yet."""
        packet_id = self._begin(delivery, now)
        if packet_id:
            message = delivery.message
            seq = self._keeper.journal.queue(
                self.key, message, delivery.qos, delivery.retain, delivery.ids, packet_id, SENT
            )
            self._in_flight[packet_id] = seq, message.stored

    def _send_kept(self, delivery: Delivery, kept: Kept, now: float) -> None:
        """Send what the store has as queued."""
        packet_id = self._begin(delivery, now)
        if packet_id:
            self._in_flight[packet_id] = kept
            self._keeper.journal.change(self.key, kept[0], packet_id, SENT)
        else:
            self._done(kept)

    def _begin(self, delivery: Delivery, now: float) -> int:
        """Give it its identifier; 0 where it is larger than the client takes."""
        if delivery.qos == 1:
            return self._send(delivery, now)
        packet_id = self.outgoing.add(delivery)
        self._wait_to_send(packet_id, release=False)
        return packet_id

    def _wait_to_send(self, packet_id: int, *, release: bool) -> None:
        self._unsafe.append((self._keeper.journal.number, packet_id, release))
        self._keeper.outboxes[self] = None

    # -- credit -----------------------------------------------------------------------------------

    def _pump_queue(self, queue: deque[Delivery | Backlog], now: float) -> None:
        outgoing = self.outgoing
        left = SLICE_ENTRIES  # of those that are dropped, which costs no credit
        while self._has_room() and (queue or self._load()):
            entry = queue[0]
            if isinstance(entry, Backlog):
                if entry.next_qos() and outgoing.room() <= 0:
                    return
                self._send_owed(entry, queue, now)
                continue
            if entry.qos and outgoing.room() <= 0:
                return
            queue.popleft()
            self.queued_messages -= 1
            self.queued_bytes -= entry.size()
            kept = self._queued.popleft() if entry.qos else None
            if kept is None:
                if not self._expired(entry, now):
                    self._send(entry, now)
            elif not self._expired(entry, now):
                self._send_kept(entry, kept, now)
            else:
                self._done(kept)
                left -= 1
                if not left:
                    self._go_on_later()
                    return
        if not queue and not self.paged:
            self.queue = None
            self.queued_bytes = 0  # what was damaged in the store had no size

    def _go_on_later(self) -> None:
        """Pump when what was noted of this outbox is safe: others have their turn until then."""
        self._keeper.hungry[self] = None

    def owe(self, backlog: Backlog, now: float) -> None:
        """See :meth:`Outbox.owe`; what cannot be sent yet is noted in the store."""
        super().owe(backlog, now)
        if not backlog.done():
            self._note_owed(backlog.subscription, True)

    def _note_owed(self, subscription: Subscription, owed: bool) -> None:
        """Note whether a subscription waits for retained messages, unless it is no more."""
        current = subscription.session.subscriptions.get(subscription.filter) is subscription
        if current and subscription.owed != owed:
            subscription.owed = owed
            self._keeper.journal.keep_subscription(row_of(subscription))

    def _send_owed(self, backlog: Backlog, queue: deque[Delivery | Backlog], now: float) -> None:
        """Send a retained message of a new subscription; it is kept from here on."""
        delivery = backlog.next_delivery()
        self.owed -= 1
        if backlog.done():
            queue.popleft()
            self._note_owed(backlog.subscription, False)
        if self._expired(delivery, now):
            return
        if delivery.qos:
            self._send_new(delivery, now)
        else:
            self._send(delivery, now)

    def _load(self) -> bool:
        """Read the next page of the queue from the disk; false when there is nothing yet."""
        if not self.paged:
            return False
        if self._keeper.crowded():
            self._go_on_later()
            return False
        rows = self._keeper.page(self.key, self._last_seq, STORE_QUEUE_PAGE)
        if rows:
            self.paged -= len(rows)
            self.take_rows(rows, self._keeper.journal.offset_s)
            if not self.paged:
                self._allowed = None
            if not self.queue:
                self._go_on_later()  # nothing of this page may be given
        elif rows is not None and self._keeper.idle():
            # The store has less than we have counted: it was damaged.
            self._keeper.lost += self.paged
            self.dropped += self.paged
            self.queued_messages -= self.paged
            self.paged = 0
        else:
            self._go_on_later()  # not written yet, or the disk fails
        return bool(self.queue)

    def take_rows(
        self, rows: Iterable[tuple[DeliveryRow, MessageRow | None]], offset_s: float
    ) -> None:
        """Put queued deliveries of the store into the queue.

        Args:
            offset_s: between the broker's clock and the times of the store.
        """
        for row, message in rows:
            self._last_seq = row.seq
            kept = row.seq, row.message
            delivery = None if message is None else read_delivery(row, message, offset_s)
            if delivery is None:
                self._keeper.lost += 1
            elif self._allowed is None or self._allowed(delivery.message):
                self._append(delivery, kept)
                continue
            else:
                self.queued_bytes -= delivery.size()
            self.queued_messages -= 1
            self.dropped += 1
            self._done(kept)

    def take_queue(
        self,
        rows: Iterable[tuple[DeliveryRow, MessageRow | None]],
        count: int,
        size: int,
        offset_s: float,
    ) -> None:
        """Take the queue from the store: its first rows, and how much it is in all.

        Args:
            count, size: all its messages, and their bytes.
        """
        page = list(rows)
        self.queue = deque()
        self.queued_messages = count
        self.queued_bytes = size
        self.paged = count - len(page)
        self.take_rows(page, offset_s)

    def take_in_flight(self, row: DeliveryRow, delivery: Delivery) -> None:
        """Put a delivery of the store that was on its way where it was."""
        if row.state == RELEASED:
            self.outgoing.released[row.packet_id] = None
        else:
            self.outgoing.restore(row.packet_id, delivery)
        self._in_flight[row.packet_id] = row.seq, row.message

    def keep_only(self, allowed: Callable[[Message], bool]) -> None:
        """See :meth:`Outbox.keep_only`."""
        before = list(self.outgoing.waiting)
        owed = [entry for entry in self.queue or () if isinstance(entry, Backlog)]
        queued = [entry for entry in self.queue or () if not isinstance(entry, Backlog)]
        kept = iter(list(self._queued))
        pairs = [(entry, next(kept)) for entry in queued if entry.qos]
        super().keep_only(allowed)
        still = {entry.subscription for entry in self.queue or () if isinstance(entry, Backlog)}
        for backlog in owed:
            if backlog.subscription not in still:
                self._note_owed(backlog.subscription, False)
        for packet_id in before:
            if packet_id not in self.outgoing.waiting:
                self._forget(packet_id)
        self._queued.clear()
        for entry, of_entry in pairs:
            if allowed(entry.message):
                self._queued.append(of_entry)
            else:
                self._done(of_entry)
        if self.paged:
            self._allowed = allowed
            if self.queue is None:
                self.queue = deque()

    # -- acknowledgements -------------------------------------------------------------------------

    def _forget(self, packet_id: int) -> None:
        kept = self._in_flight.pop(packet_id, None)
        if kept is not None:
            self._done(kept)

    def puback(self, packet_id: int, now: float, refused: int = 0) -> None:
        """See :meth:`Outbox.puback`."""
        delivery = self.outgoing.puback(packet_id)
        if delivery is None:
            return
        if isinstance(delivery, Item):
            delivery.queue.settle(delivery, self, refused, now)
        else:
            self._forget(packet_id)
        if self.waits_for_credit():
            self.pump(now)

    def pubrec(self, packet_id: int, failed: bool, now: float) -> bool:
        """See :meth:`Outbox.pubrec`; the PUBREL waits until it is safe that this came."""
        first = self.outgoing.pubrec(packet_id, failed) is not None
        if failed:
            if first:
                self._forget(packet_id)
            self.pump(now)
            return False
        if not first:
            return not any(waits == packet_id for _, waits, _ in self._unsafe)
        kept = self._in_flight.get(packet_id)
        if kept is None:
            return True
        self._keeper.journal.change(self.key, kept[0], packet_id, RELEASED)
        self._wait_to_send(packet_id, release=True)
        return False

    def pubcomp(self, packet_id: int, now: float) -> None:
        """See :meth:`Outbox.pubcomp`."""
        if self.outgoing.pubcomp(packet_id):
            self._forget(packet_id)
            if self.waits_for_credit():
                self.pump(now)

    def _send_again(self, packet_id: int, delivery: Delivery, now: float, dup: int = 8) -> None:
        super()._send_again(packet_id, delivery, now, dup)
        if packet_id not in self.outgoing.waiting:
            self._forget(packet_id)  # larger than the client takes

    # -- what is safe -----------------------------------------------------------------------------

    def unsafe_ids(self) -> set[int]:
        """See :meth:`Outbox.unsafe_ids`."""
        return {packet_id for _, packet_id, _ in self._unsafe}

    def safe(self, number: int, now: float) -> None:
        """All batches up to ``number`` are on the disk: send what waited for that."""
        unsafe = self._unsafe
        while unsafe and unsafe[0][0] <= number:
            _, packet_id, release = unsafe.popleft()
            if self.link is None:
                continue  # `resume` sends it
            if not release:
                delivery = self.outgoing.waiting.get(packet_id)
                if delivery is not None and not (self._resend and packet_id in self._resend):
                    self._send_again(packet_id, delivery, now, dup=0)
            elif packet_id in self.outgoing.released:
                if not self.chunks:
                    self._dirty.append(self)
                self.chunks.append(encode_ack(p.PUBREL, packet_id, 0, 5 if self.form else 4))
                self._metrics.packets_sent += 1
        if not unsafe:
            self._keeper.outboxes.pop(self, None)
        if self._resend is not None:
            self.pump(now)

    def clear(self) -> int:
        """See :meth:`Outbox.clear`."""
        lost = super().clear()
        self._queued.clear()
        self._in_flight.clear()
        self._unsafe.clear()
        self.paged = 0
        self._keeper.outboxes.pop(self, None)
        self._keeper.hungry.pop(self, None)
        self._keeper.journal.end_session(self.key)
        return lost
