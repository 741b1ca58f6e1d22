"""What the broker changes, collected until a store writes it.

The broker notes a change the moment it happens; nothing is written here. Changes of one batch are
collected by what they are about, so that what comes and goes within a batch costs nothing: a
message that its only receiver acknowledges before the batch is written never reaches the disk.

Batches are numbered. Whoever must not say something before it is safe (the acknowledgement of a
message) remembers :attr:`Journal.number` and says it when :attr:`Journal.safe` has reached it.

A message has a number in the store, ``Message.stored``, from the moment when the first lasting
session waits for it. The number is good until the end of the batch, so for all receivers that it is
given to, and while it is retained: it is stored once for all of them. How many wait for it is
counted in the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.limits import SLICE_ENTRIES
from midge.message import NEVER, Message
from midge.mqtt.property_codec import encode_properties, encode_publish_properties
from midge.store.base import (
    QUEUED,
    DeliveryRow,
    MessageRow,
    QueueRow,
    SessionRow,
    SubscriptionRow,
)

if TYPE_CHECKING:
    from midge.mqtt.packets import Will
    from midge.store.base import Contents


class Changes:
    """One batch. A table entry that is ``None`` is to be deleted.

    Attributes:
        sessions: by key. A deletion takes the session's subscriptions, incoming identifiers and
            deliveries with it.
        subscriptions: by session and filter.
        messages: new ones, by id.
        references: by message id, by how much the number of those who need it changes.
        deliveries: new ones, by their sequence number.
        states: packet identifier and state of deliveries written before, by session and number.
        done: deliveries written before that are to be deleted.
        queues: by key. Of one that is deleted, ``sessions`` has a deletion as well.
        given: by key of a queue, the number of the last delivery that was given out.
        incoming: by session and packet identifier: taken, or released.
        retained: message id by topic.
        counters: the next session, message and delivery numbers.
    """

    __slots__ = (
        "counters",
        "deliveries",
        "done",
        "given",
        "incoming",
        "messages",
        "queues",
        "references",
        "retained",
        "sessions",
        "states",
        "subscriptions",
    )

    def __init__(self) -> None:
        self.sessions: dict[int, SessionRow | None] = {}
        self.subscriptions: dict[tuple[int, str], SubscriptionRow | None] = {}
        self.messages: dict[int, MessageRow] = {}
        self.references: dict[int, int] = {}
        self.deliveries: dict[int, DeliveryRow] = {}
        self.states: dict[tuple[int, int], tuple[int, int]] = {}
        self.done: list[tuple[int, int]] = []
        self.queues: dict[int, QueueRow | None] = {}
        self.given: dict[int, int] = {}
        self.incoming: dict[tuple[int, int], bool] = {}
        self.retained: dict[str, int | None] = {}
        self.counters = (1, 1, 1)

    def __bool__(self) -> bool:
        return bool(
            self.deliveries
            or self.done
            or self.states
            or self.incoming
            or self.retained
            or self.sessions
            or self.subscriptions
            or self.references
            or self.queues
            or self.given
        )

    def __len__(self) -> int:
        """About how many rows it will touch."""
        return (
            len(self.sessions)
            + len(self.subscriptions)
            + len(self.messages)
            + len(self.references)
            + len(self.deliveries)
            + len(self.states)
            + len(self.done)
            + len(self.incoming)
            + len(self.retained)
            + len(self.queues)
        )


class Journal:
    """Collects changes; see the module.

    Attributes:
        changes: those of the batch that is being collected.
        number: of that batch.
        safe: all batches up to this one are on the disk.
        next_seq: the number of the next delivery; it rises with each that is noted.
        failing: the store cannot write at present: no promise can be made.
        offset_s: what must be added to a time on the broker's clock to have seconds since 1970;
            set by the shell.
    """

    __slots__ = (
        "_brief",
        "_first_session",
        "_fresh",
        "_next_message",
        "_next_session",
        "changes",
        "failing",
        "next_seq",
        "number",
        "offset_s",
        "safe",
    )

    def __init__(self, contents: Contents | None = None) -> None:
        self.changes = Changes()
        self.number = 1
        self.safe = 0
        self.failing = False
        self.offset_s = 0.0
        #: Messages that are new in this batch, by their numbers.
        self._fresh: dict[int, Message] = {}
        self._next_session = 1 if contents is None else contents.next_session
        #: The first key that was given in this batch, and how many with such a key have ended.
        self._first_session = self._next_session
        self._brief = 0
        self._next_message = 1 if contents is None else contents.next_message
        self.next_seq = 1 if contents is None else contents.next_seq

    def take(self) -> tuple[int, Changes]:
        """The batch that was collected, and its number; the next one begins."""
        self._strip_ended()
        taken = self.number, self.changes
        self.changes.counters = self._next_session, self._next_message, self.next_seq
        self.number += 1
        self._forget_numbers()
        self.changes = Changes()
        self._fresh = {}
        self._first_session = self._next_session
        return taken

    def _forget_numbers(self) -> None:
        """Take the numbers off the messages of this batch, but for those that are retained.

        When all who wait for one have had it, it is gone from the store, and there is nobody to
        tell its message. Who needs it later, from another place than the store, stores it anew.
        """
        retained = set(self.changes.retained.values())
        for number, message in self._fresh.items():
            if number not in retained and message.stored == number:
                message.stored = 0

    def _strip_ended(self) -> None:
        """Take out what a session that ended in this batch has left in it.

        Once for all of them, and not when each ends: a thousand may end in one batch. What was
        `done` stays: its messages have been let go, and the rows are gone before the session's.
        One that began in this batch as well is not known to the disk, so nothing of it stays.
        """
        self._brief = 0
        changes = self.changes
        ended = {key for key, row in changes.sessions.items() if row is None}
        if not ended:
            return
        for row in [row for row in changes.deliveries.values() if row.session in ended]:
            del changes.deliveries[row.seq]
            self._refer(row.message, -1)
        for about in [about for about in changes.subscriptions if about[0] in ended]:
            del changes.subscriptions[about]
        for taken in [taken for taken in changes.incoming if taken[0] in ended]:
            del changes.incoming[taken]
        for state in [state for state in changes.states if state[0] in ended]:
            del changes.states[state]
        for key in ended:
            if key >= self._first_session:
                del changes.sessions[key]
                changes.queues.pop(key, None)

    def covering(self) -> int:
        """The number of the batch with which all that was noted so far is safe."""
        return self.number if self.changes else self.number - 1

    # -- sessions -----------------------------------------------------------------------------

    def new_session(self) -> int:
        """A key for a session that begins to last."""
        key = self._next_session
        self._next_session = key + 1
        return key

    def keep_session(
        self,
        key: int,
        client_id: str,
        username: str | None,
        expiry_s: int,
        will: Will | None,
        connected: bool,
        ends_at: float = NEVER,
        will_at: float = NEVER,
    ) -> None:
        """Note what a session is now; the times are on the broker's clock."""
        self.changes.sessions[key] = SessionRow(
            key,
            client_id,
            username,
            expiry_s,
            connected,
            self._wall(ends_at),
            self._wall(will_at),
            None if will is None else will.topic,
            b"" if will is None else will.payload,
            0 if will is None else will.qos,
            False if will is None else will.retain,
            b"\0" if will is None else encode_properties(will.properties),
        )

    def end_session(self, key: int) -> None:
        """A session is over: everything of it goes."""
        self.changes.sessions[key] = None
        if key >= self._first_session:
            self._brief += 1
            if self._brief >= SLICE_ENTRIES:
                # Clients come and go while the disk fails, for hours perhaps.
                self._strip_ended()

    def keep_subscription(self, row: SubscriptionRow) -> None:
        """A subscription was made or changed."""
        self.changes.subscriptions[row.session, row.filter] = row

    def drop_subscription(self, session: int, filter: str) -> None:
        """A subscription was given up."""
        self.changes.subscriptions[session, filter] = None

    # -- messages to a session ----------------------------------------------------------------

    def queue(
        self,
        session: int,
        message: Message,
        qos: int,
        retain: bool,
        ids: tuple[int, ...],
        packet_id: int = 0,
        state: int = QUEUED,
    ) -> int:
        """A message waits for a session, or was sent to it; returns the number of the delivery."""
        number = message.stored or self._keep_message(message)
        self._refer(number, 1)
        seq = self.next_seq
        self.next_seq = seq + 1
        named = ",".join(map(str, ids)) if ids else ""
        self.changes.deliveries[seq] = DeliveryRow(
            session, seq, number, qos, retain, named, packet_id, state
        )
        return seq

    def change(self, session: int, seq: int, packet_id: int, state: int) -> None:
        """A delivery was sent or released under a packet identifier."""
        changes = self.changes
        row = changes.deliveries.get(seq)
        if row is not None:
            changes.deliveries[seq] = row._replace(packet_id=packet_id, state=state)
        else:
            changes.states[session, seq] = packet_id, state

    def done(self, session: int, seq: int, message: int) -> None:
        """A delivery is over: acknowledged, expired, or dropped.

        Args:
            message: the number of its message.
        """
        changes = self.changes
        if changes.deliveries.pop(seq, None) is None:
            changes.done.append((session, seq))
            changes.states.pop((session, seq), None)
        self._refer(message, -1)

    def _keep_message(self, message: Message) -> int:
        number = self._next_message
        row = MessageRow(
            number,
            message.topic,
            message.payload,
            message.qos,
            message.retain,
            encode_publish_properties(message.properties, -1, (), 0),
            self._wall(message.expires_at),
            message.origin,
        )
        self._next_message = number + 1
        self.changes.messages[number] = row
        self._fresh[number] = message
        message.stored = number
        return number

    def _refer(self, message: int, by: int) -> None:
        changes = self.changes
        references = changes.references
        count = references.get(message, 0) + by
        if count:
            references[message] = count
        else:
            references.pop(message, None)
            # New in this batch and needed no more: it is never written. The next one that needs it,
            # of those who still get it, stores it anew.
            if changes.messages.pop(message, None) is not None:
                self._fresh.pop(message).stored = 0

    # -- queues -------------------------------------------------------------------------------

    def keep_queue(self, row: QueueRow) -> None:
        """Note what a queue is now."""
        self.changes.queues[row.key] = row

    def end_queue(self, key: int) -> None:
        """A queue is no more: everything in it goes."""
        self.changes.queues[key] = None
        self.changes.given.pop(key, None)
        self.end_session(key)

    def put(self, key: int, message: Message, state: int, priority: int, ready_at: float) -> int:
        """A message waits in a queue; returns the number of the delivery.

        Args:
            ready_at: on the broker's clock; 0 for no delay.
        """
        number = message.stored or self._keep_message(message)
        self._refer(number, 1)
        seq = self.next_seq
        self.next_seq = seq + 1
        when = ready_at + self.offset_s if ready_at else None
        self.changes.deliveries[seq] = DeliveryRow(
            key, seq, number, message.qos, False, "", 0, state, priority, when
        )
        return seq

    def given(self, key: int, seq: int) -> None:
        """A message of a queue was given to a consumer."""
        given = self.changes.given
        if given.get(key, 0) < seq:
            given[key] = seq

    # -- the rest -----------------------------------------------------------------------------

    def take_incoming(self, session: int, packet_id: int) -> None:
        """A QoS 2 message of a session was taken."""
        self.changes.incoming[session, packet_id] = True

    def release_incoming(self, session: int, packet_id: int) -> None:
        """Its PUBREL came."""
        self.changes.incoming[session, packet_id] = False

    def retain(self, message: Message, previous: Message | None) -> None:
        """``message`` is the last one of its topic now, in place of ``previous``."""
        number = message.stored or self._keep_message(message)
        self._refer(number, 1)
        self.changes.retained[message.topic] = number
        self._let_go(previous)

    def drop_retained(self, topic: str, previous: Message | None) -> None:
        """A topic has no retained message any more."""
        self.changes.retained[topic] = None
        self._let_go(previous)

    def _let_go(self, message: Message | None) -> None:
        if message is not None and message.stored:
            self._refer(message.stored, -1)
            message.stored = 0

    def _wall(self, when: float) -> float | None:
        return None if when == NEVER else when + self.offset_s
