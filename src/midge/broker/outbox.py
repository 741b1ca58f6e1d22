"""What waits to be sent to one receiver: bounded, and what is dropped has a cause.

A receiver's messages take one of three places. Bytes that may go at once are in ``chunks``, which
the shell writes once per turn of its loop. QoS 1 and 2 messages that are on their way are in
``outgoing`` until they are acknowledged. What there is no credit for (window full, transport full,
receiver away) waits in ``queue``.

Two marks keep it bounded. Above the first the outbox is *crowded* (see
:mod:`midge.broker.pressure`); what a *stalled* receiver would have got is dropped and counted until
it reads again.

The outbox does not write and calls nobody: it notes itself in the broker's ``dirty`` list, and
crowding in ``Crowd``; the shell and the broker's clock do the rest.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from midge.broker.backlog import Backlog
from midge.broker.delivery import MQTT_3, Delivery
from midge.broker.flight import Flight
from midge.broker.metrics import Metrics
from midge.broker.pressure import Pressure
from midge.broker.queue_item import Item
from midge.errors import MalformedPacket
from midge.limits import OUTBOX_BYTES_MAX, OUTBOX_HOLD_BYTES, OUTBOX_PUMP_PIECES
from midge.message import Message
from midge.mqtt import packets as p
from midge.mqtt.aliases import OutboundAliases
from midge.mqtt.encode import encode_ack
from midge.topics.remap import unmounted_topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from midge.broker.consumer import Consumer
    from midge.broker.link import Link
    from midge.config.settings import Settings

_NO_IDS: Final[frozenset[int]] = frozenset()


class Outbox(Pressure):
    """The way out to one receiver; it belongs to a session and outlives its connections.

    Attributes:
        open: bytes may be appended to ``chunks`` without a further question; false while the
            receiver is away or stalled.
        chunks: bytes for the wire, in order. The connection's own list while there is one.
        used: bytes appended to ``chunks`` since the transport last took them.
        form: the wire form of this receiver, see :mod:`midge.broker.delivery`.
        mount: what topics begin with for all but this receiver; see :mod:`midge.topics.remap`.
        own: its packets are not those of others: it has aliases, or a mount.
        packet_bytes_max: the largest packet that the receiver takes; 0 for any.
        outgoing: QoS 1 and 2 messages on their way.
        queue: what waits for credit.
        queued_bytes: their weight.
        owed: retained messages that new subscriptions have not got yet.
        link: the connection, while there is one.
        consumers: what it takes from queues, one for each of them.
        hungry: some of them wait for credit.
        dropped: messages that this receiver did not get, all causes.
        ended: its session is no more; nothing is taken for it.
    """

    __slots__ = (
        "_dirty",
        "_resend",
        "_settings",
        "aliases",
        "chunks",
        "consumers",
        "dropped",
        "ended",
        "form",
        "hungry",
        "mount",
        "open",
        "outgoing",
        "owed",
        "own",
        "packet_bytes_max",
        "queue",
        "queued_bytes",
        "queued_messages",
        "used",
    )

    def __init__(
        self, settings: Settings, metrics: Metrics, dirty: list[Outbox], crowd: dict[Pressure, None]
    ) -> None:
        super().__init__(metrics, crowd)
        self._settings = settings
        self._dirty = dirty
        self._resend: deque[int] | None = None
        self.aliases: OutboundAliases | None = None
        self.chunks: list[bytes] = []
        self.consumers: list[Consumer] | None = None
        self.dropped = 0
        self.ended = False
        self.form: int = MQTT_3
        self.hungry = False
        self.mount = ""
        self.open = False
        self.outgoing = Flight(settings)
        self.owed = 0
        self.own = False
        self.packet_bytes_max = 0
        self.queue: deque[Delivery | Backlog] | None = None
        self.queued_bytes = 0
        self.queued_messages = 0
        self.used = 0

    # -- the receiver comes and goes --------------------------------------------------------------

    def attach(
        self,
        link: Link,
        chunks: list[bytes],
        form: int,
        window: int,
        packet_bytes_max: int,
        alias_maximum: int,
        mount: str = "",
    ) -> None:
        """The receiver is there; :meth:`resume` sends what waited, once it was greeted."""
        self.link = link
        self.chunks = chunks
        self.form = form
        self.used = 0
        self.packet_bytes_max = packet_bytes_max
        self.aliases = OutboundAliases(alias_maximum) if alias_maximum else None
        self.mount = mount
        self.own = alias_maximum > 0 or mount != ""
        self.outgoing.window = window
        self.open = True

    def detach(self) -> None:
        """The receiver is gone; bytes that were not written are lost with its connection."""
        self.open = False
        self.link = None
        self.chunks = []
        self.used = 0
        self.aliases = None
        self.own = self.mount != ""
        self._resend = None
        self._uncrowd()

    def resume(self, now: float) -> None:
        """Send again what was not acknowledged on the last connection, then what waited [4.4]."""
        outgoing = self.outgoing
        unsafe = self.unsafe_ids()
        for packet_id in outgoing.released:
            if packet_id not in unsafe:
                self.chunks.append(encode_ack(p.PUBREL, packet_id, 0, 5 if self.form else 4))
                self._metrics.packets_sent += 1
        if outgoing.waiting:
            self._resend = deque(outgoing.waiting)
        self.pump(now)
        if self.chunks:
            self._dirty.append(self)

    def unsafe_ids(self) -> AbstractSet[int]:
        """Identifiers for which nothing may be sent yet, because the store is not that far."""
        return _NO_IDS

    # -- messages ---------------------------------------------------------------------------------

    def deliver(self, delivery: Delivery, now: float) -> None:
        """Send ``delivery`` now, or queue it, or drop it, as credit and limits say."""
        if delivery.qos == 0:
            self._deliver_qos0(delivery, now)
        elif self.may_send():
            self._send(delivery, now)
        else:
            self._enqueue(delivery, now)

    def may_send(self) -> bool:
        """Whether a QoS 1 or 2 message may go at once."""
        return (
            self.open
            and self.queue is None
            and self._resend is None
            and self.used <= OUTBOX_HOLD_BYTES
            and self.outgoing.room() > 0
        )

    def _deliver_qos0(self, delivery: Delivery, now: float) -> None:
        if not self.open:
            if self.link is not None:
                self._drop_slow(1)
            elif self._settings.queue_qos0:
                self._enqueue(delivery, now)
            return
        if self.used > OUTBOX_BYTES_MAX:
            self._drop_slow(1)
            return
        self._send(delivery, now)

    def append_run(self, run: bytes, count: int, payload: int, now: float) -> None:
        """Append ``count`` whole QoS 0 packets in this form, with ``payload`` bytes in all."""
        if not self.open:
            if self.link is not None:
                self._drop_slow(count)
            return
        if self.used > OUTBOX_BYTES_MAX:
            self._drop_slow(count)
            return
        if not self.chunks:
            self._dirty.append(self)
        self.chunks.append(run)
        self.used += len(run)
        self._metrics.packets_sent += count
        self._metrics.publish_sent += count
        self._metrics.publish_bytes_sent += payload
        if self.used > OUTBOX_HOLD_BYTES and not self.crowded:
            self._crowd_up(now)

    def _send(self, delivery: Delivery, now: float) -> int:
        """Put a message on the wire: take an identifier for it, append its bytes.

        Returns the identifier; 0 at QoS 0, and where the message cannot be sent: it is too large,
        or not below the receiver's mount.
        """
        try:
            if not self.own:
                head, tail = delivery.parts(self.form, now)
            else:
                head, tail = self._own_parts(delivery, now)
                if not head:
                    self._drop_forbidden(1)
                    return 0
        except MalformedPacket:  # in this form it is larger than any packet can be
            self.dropped += 1
            self._metrics.dropped_too_large += 1
            return 0
        size = len(head) + len(tail)
        limit = self.packet_bytes_max
        if limit and size + (2 if delivery.qos else 0) > limit:
            # [MQTT-3.1.2-25]: as if it had been delivered.
            self.dropped += 1
            self._metrics.dropped_too_large += 1
            return 0
        chunks = self.chunks
        if not chunks:
            self._dirty.append(self)
        packet_id = 0
        if delivery.qos:
            packet_id = self.outgoing.add(delivery)
            if size < 1024:
                chunks.append(head + packet_id.to_bytes(2, "big") + tail)
            else:  # a large payload is shared until the bytes are joined for the socket
                chunks.append(head + packet_id.to_bytes(2, "big"))
                chunks.append(tail)
        elif size < 1024:
            chunks.append(head + tail)
        else:
            chunks.append(head)
            chunks.append(tail)
        self.used += size
        self._metrics.packets_sent += 1
        self._metrics.publish_sent += 1
        self._metrics.publish_bytes_sent += len(delivery.message.payload)
        if self.used > OUTBOX_HOLD_BYTES and not self.crowded:
            self._crowd_up(now)
        return packet_id

    def _own_parts(self, delivery: Delivery, now: float) -> tuple[bytes, bytes]:
        """Head and tail for a receiver whose packets nobody shares.

        Both are empty where the topic is not below its mount, so that it has no name for it.
        """
        topic: str | None = delivery.message.topic
        if self.mount:
            topic = unmounted_topic(self.mount, delivery.message.topic)
        if topic is None:
            return b"", b""
        name = topic.encode()
        if self.aliases is None:
            return delivery.parts_named(name, self.form, now)
        return delivery.parts_aliased(name, self.aliases, now, self.packet_bytes_max)

    def _enqueue(self, delivery: Delivery, now: float) -> None:
        if not self._admits(delivery):
            return
        if self.queue is None:
            self.queue = deque()
        self.queue.append(delivery)
        self._count_queued(delivery, now)

    def _admits(self, delivery: Delivery) -> bool:
        """Whether the limits of the queue leave room; where not, the message is dropped."""
        if self.ended:
            return False
        settings = self._settings
        if self._metrics.memory_full:
            self.dropped += 1
            self._metrics.dropped_memory += 1
            return False
        messages_max = settings.queued_messages_max
        bytes_max = settings.queued_bytes_max
        if (messages_max and self.queued_messages >= messages_max) or (
            bytes_max and self.queued_messages and self.queued_bytes + delivery.size() > bytes_max
        ):
            self.dropped += 1
            self._metrics.dropped_queue_full += 1
            return False
        return True

    def _count_queued(self, delivery: Delivery, now: float) -> None:
        self.queued_messages += 1
        self.queued_bytes += delivery.size()
        messages_max = self._settings.queued_messages_max
        if (
            not self.crowded
            and self.link is not None
            and messages_max
            and self.queued_messages * 2 > messages_max
        ):
            self._crowd_up(now)

    def owe(self, backlog: Backlog, now: float) -> None:
        """Queue the retained messages of a new subscription, and send what may go."""
        if self.queue is None:
            self.queue = deque()
        self.queue.append(backlog)
        self.owed += len(backlog.messages)
        self.pump(now)

    # -- credit -----------------------------------------------------------------------------------

    def pump(self, now: float) -> None:
        """Send from the queue what credit allows; called when there is new credit."""
        if not self.open:
            return
        if self._resend is not None and not self._pump_resend(now):
            return
        if self.queue is not None:
            self._pump_queue(self.queue, now)
        if self.hungry and self.queue is None and self.consumers is not None:
            self.hungry = False
            for consumer in self.consumers:
                consumer.queue.welcome(consumer, now)
        if self.crowded and self._relaxed():
            self._uncrowd()

    def puback(self, packet_id: int, now: float, refused: int = 0) -> None:
        """The receiver acknowledged a QoS 1 message; what waited for that is sent.

        Args:
            refused: the reason code with which it refused the message, which only queues heed.

        Raises:
            ProtocolError: it was sent at QoS 2.
        """
        delivery = self.outgoing.puback(packet_id)
        if delivery is None:
            return
        if isinstance(delivery, Item):
            delivery.queue.settle(delivery, self, refused, now)
        if self.waits_for_credit():
            self.pump(now)

    def pubrec(self, packet_id: int, failed: bool, now: float) -> bool:
        """The receiver has a QoS 2 message, or refused it; true when PUBREL is to be sent now.

        Raises:
            ProtocolError: it was sent at QoS 1.
        """
        self.outgoing.pubrec(packet_id, failed)
        if failed:
            self.pump(now)
        return not failed

    def pubcomp(self, packet_id: int, now: float) -> None:
        """The receiver completed a QoS 2 message."""
        if self.outgoing.pubcomp(packet_id) and self.waits_for_credit():
            self.pump(now)

    def waits_for_credit(self) -> bool:
        """Whether an acknowledgement is of use to anyone: see :meth:`pump`."""
        return self.queue is not None or self.crowded or self.hungry or self._resend is not None

    def _pump_queue(self, queue: deque[Delivery | Backlog], now: float) -> None:
        outgoing = self.outgoing
        while queue and self._has_room():
            entry = queue[0]
            if isinstance(entry, Backlog):
                if entry.next_qos() and outgoing.room() <= 0:
                    break
                delivery = entry.next_delivery()
                self.owed -= 1
                if entry.done():
                    queue.popleft()
            else:
                if entry.qos and outgoing.room() <= 0:
                    break
                delivery = entry
                queue.popleft()
                self.queued_messages -= 1
                self.queued_bytes -= delivery.size()
            if not self._expired(delivery, now):
                self._send(delivery, now)
        if not queue:
            self.queue = None

    def _has_room(self) -> bool:
        """Whether more of what waits may be sent before something is written."""
        return self.used <= OUTBOX_HOLD_BYTES and len(self.chunks) < OUTBOX_PUMP_PIECES

    def _expired(self, delivery: Delivery, now: float) -> bool:
        """Whether a message is no longer worth sending; it is dropped then."""
        if delivery.message.expires_at > now:
            return False
        self.dropped += 1
        self._metrics.dropped_expired += 1
        return True

    def _pump_resend(self, now: float) -> bool:
        """Resend within the window; true when nothing is left to resend."""
        resend = self._resend
        assert resend is not None
        outgoing = self.outgoing
        unsafe = self.unsafe_ids()
        while resend:
            if outgoing.room() + len(resend) <= 0 or not self._has_room():
                return False
            if resend[0] in unsafe:
                return False  # and nothing behind it: they keep their order
            packet_id = resend.popleft()
            delivery = outgoing.waiting.get(packet_id)
            if delivery is not None:
                self._send_again(packet_id, delivery, now)
        self._resend = None
        return True

    def _send_again(self, packet_id: int, delivery: Delivery, now: float, dup: int = 8) -> None:
        """Send a message that has its identifier, with the flag of a duplicate [MQTT-3.3.1-1]."""
        try:
            if not self.own:
                head, tail = delivery.parts(self.form, now)
            else:
                head, tail = self._own_parts(delivery, now)
                if not head:
                    self.outgoing.drop(packet_id)
                    self._drop_forbidden(1)
                    return
        except MalformedPacket:  # see above
            self.outgoing.drop(packet_id)
            self.dropped += 1
            self._metrics.dropped_too_large += 1
            return
        size = len(head) + len(tail) + 2
        if self.packet_bytes_max and size > self.packet_bytes_max:
            self.outgoing.drop(packet_id)
            self.dropped += 1
            self._metrics.dropped_too_large += 1
            return
        if not self.chunks:
            self._dirty.append(self)
        first = bytes((head[0] | dup,))
        self.chunks.append(first + head[1:] + packet_id.to_bytes(2, "big") + tail)
        self.used += size
        self._metrics.packets_sent += 1
        self._metrics.publish_sent += 1
        self._metrics.publish_bytes_sent += len(delivery.message.payload)

    def written(self, now: float) -> None:
        """The transport took all chunks and has room for more."""
        self.used = 0
        if self.stalled and not self.open:
            self.open = self.link is not None
        if self.waits_for_credit():
            self.pump(now)

    def keep_only(self, allowed: Callable[[Message], bool]) -> None:
        """Forget what waits and may no longer be given to this receiver.

        For a session that somebody else comes back to, or whose rights have changed: what was
        queued for it then is not for it now. Messages whose delivery has begun are sent again as
        they must be (section 4.4), unless they may not.
        """
        for packet_id, delivery in list(self.outgoing.waiting.items()):
            if not isinstance(delivery, Item) and not allowed(delivery.message):
                self.outgoing.drop(packet_id)
                self._drop_forbidden(1)
        if self.queue is None:
            return
        kept: deque[Delivery | Backlog] = deque()
        for entry in self.queue:
            if isinstance(entry, Backlog):
                left = [one for one in entry.messages[entry.index :] if allowed(one)]
                gone = len(entry.messages) - entry.index - len(left)
                self.owed -= gone
                self._drop_forbidden(gone)
                if left:
                    kept.append(Backlog(left, entry.subscription, entry.upgrade))
            elif allowed(entry.message):
                kept.append(entry)
            else:
                self.queued_messages -= 1
                self.queued_bytes -= entry.size()
                self._drop_forbidden(1)
        self.queue = kept or None

    def _drop_forbidden(self, count: int) -> None:
        self.dropped += count
        self._metrics.dropped_forbidden += count

    # -- queues -----------------------------------------------------------------------------------

    def send_item(self, item: Item, now: float) -> bool:
        """Send a message of a queue, at QoS 1; it belongs to the queue until it is acknowledged.

        Returns false where it is larger than the receiver takes.
        """
        if item.deliveries <= 1:
            return self._send(item, now) > 0
        packet_id = self.outgoing.add(item)
        self._send_again(packet_id, item, now)
        return packet_id in self.outgoing.waiting

    def upgrades(self) -> bool:
        """Whether messages are given at the receiver's QoS, whatever their publishers used."""
        return self._settings.upgrade_outgoing_qos

    def take_back(self) -> list[Item]:
        """The messages of queues that were not acknowledged, in the order in which they went."""
        waiting = self.outgoing.waiting
        items = [one for one in waiting.values() if isinstance(one, Item)]
        if len(items) == len(waiting):
            self.outgoing.clear_waiting()  # for most, and there may be 65,535
        else:
            ids = [packet_id for packet_id, one in waiting.items() if isinstance(one, Item)]
            for packet_id in ids:
                self.outgoing.drop(packet_id)
        return items

    # -- pressure ---------------------------------------------------------------------------------

    def give_up_holding(self) -> None:
        """See :meth:`Pressure.give_up_holding`."""
        if self.used > OUTBOX_HOLD_BYTES:
            self.open = False
        super().give_up_holding()

    def _relaxed(self) -> bool:
        messages_max = self._settings.queued_messages_max
        return self.used <= OUTBOX_HOLD_BYTES // 2 and (
            not messages_max or self.queued_messages * 4 <= messages_max
        )

    def _drop_slow(self, count: int) -> None:
        self.dropped += count
        self._metrics.dropped_slow += count

    # -- the end ----------------------------------------------------------------------------------

    def clear(self) -> int:
        """The session ended: forget everything; returns how many messages were lost with it."""
        self.ended = True
        lost = len(self.outgoing.clear()) + self.queued_messages
        self.queue = None
        self.queued_messages = 0
        self.queued_bytes = 0
        self.owed = 0
        self._resend = None
        self._metrics.dropped_session_end += lost
        return lost
