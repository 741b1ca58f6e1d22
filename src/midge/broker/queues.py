"""All queues of a broker, by name; and what they need of it.

A queue is made by the configuration, by ``$CONTROL/queue/v1`` (see :mod:`midge.broker.control`), or
by whoever first publishes to ``$queue/NAME`` or subscribes to it. Dead letters go to ``NAME.dead``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.auth.base import Pending
from midge.broker.queue import Queue
from midge.broker.queue_consumers import MqttConsumer
from midge.broker.queue_remains import Remains
from midge.config.queue_settings import DROP_OLDEST, QueueSettings, name_fault, parse_queue
from midge.errors import MidgeError
from midge.limits import QUEUES_MAX
from midge.message import NEVER, Message
from midge.mqtt.properties import Properties
from midge.store.base import QueueRow
from midge.topics.filters import QUEUE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midge.auth.base import Authorizer
    from midge.broker.deadlines import Deadlines
    from midge.broker.keeper import Keeper
    from midge.broker.metrics import Metrics
    from midge.broker.pressure import Pressure
    from midge.broker.queue_item import Item
    from midge.broker.session import Session, Subscription
    from midge.broker.subscriptions import Subscriptions
    from midge.config.settings import Settings
    from midge.store.journal import Journal

#: User properties of a dead letter.
DEAD_QUEUE: Final = "dead-letter-queue"
DEAD_REASON: Final = "dead-letter-reason"


class QueueError(MidgeError):
    """A queue cannot be made, or is not there."""


class Queues:
    """See the module.

    Attributes:
        authorizer: who may have what; ``None``: everybody.
        settings: the broker's.
        metrics: the broker's.
        crowd: what publishers wait for.
        deadlines: the broker's.
        keeper: what outlives the process; ``None`` where nothing does.
        full: queues that reject the next message.
        remains: what was in queues that are no more.
        topics: the topics of all queues, each of which somebody may publish to.
        defaults: the settings of queues that are made by being used.
    """

    __slots__ = (
        "_by_name",
        "_subscriptions",
        "authorizer",
        "crowd",
        "deadlines",
        "defaults",
        "full",
        "keeper",
        "metrics",
        "remains",
        "settings",
        "topics",
    )

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        crowd: dict[Pressure, None],
        deadlines: Deadlines,
        subscriptions: Subscriptions,
    ) -> None:
        self.authorizer: Authorizer | None = None
        self.settings = settings
        self.metrics = metrics
        self.crowd = crowd
        self.deadlines = deadlines
        self.keeper: Keeper | None = None
        self.full: dict[Queue, None] = {}
        self.remains = Remains(deadlines)
        self.defaults = QueueSettings()
        self.topics: set[str] = set()
        self._by_name: dict[str, Queue] = {}
        self._subscriptions = subscriptions

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def journal(self) -> Journal:
        """Where changes of queues that are kept are noted."""
        assert self.keeper is not None
        return self.keeper.journal

    def all(self) -> list[Queue]:
        """All named queues, the oldest first."""
        return list(self._by_name.values())

    def get(self, name: str) -> Queue | None:
        """The queue of that name."""
        return self._by_name.get(name)

    def need(self, name: str) -> Queue:
        """The queue of that name, made where there is none.

        Raises:
            QueueError: it cannot be made.
        """
        queue = self._by_name.get(name)
        return self.create(name, self.defaults) if queue is None else queue

    def ensure(self, name: str) -> str:
        """The same, for who only wants it to be there: why it cannot be made, or an empty text."""
        try:
            self.need(name)
        except QueueError as error:
            return str(error)
        return ""

    def create(self, name: str, settings: QueueSettings) -> Queue:
        """Make a queue, or give the one of that name other settings.

        Raises:
            QueueError: the name is no name, there are too many queues, or it would have to move
                what is in it onto the disk, or off it.
        """
        queue = self._by_name.get(name)
        if queue is None:
            fault = name_fault(name)
            if fault:
                raise QueueError(fault)
            if len(self._by_name) >= QUEUES_MAX:
                raise QueueError(f"there are {QUEUES_MAX} queues, which is as many as can be")
            queue = self._add(name, settings)
            self._keep(queue, settings.durable)
        else:
            self._keep(queue, settings.durable)
            self._feed(queue, settings)
            queue.configure(settings)
        if queue.key:
            self.journal.keep_queue(QueueRow(queue.key, name, settings.text(), queue.given))
        return queue

    def _keep(self, queue: Queue, durable: bool) -> None:
        """Have a queue outlive the process from here on, or not.

        Raises:
            QueueError: it is not empty.
        """
        if self.keeper is None or durable == bool(queue.key):
            return
        if queue.waiting or queue.in_flight:
            is_, wanted = ("false", "true") if durable else ("true", "false")
            raise QueueError(
                f"{queue.name} has durable={is_}, which can be changed while it is empty only: it "
                f"has {queue.waiting + queue.in_flight} messages; move them to a queue with "
                f"durable={wanted}, or purge it"
            )
        if durable:
            queue.key = self.journal.new_session()
        else:
            self.journal.end_queue(queue.key)
            queue.key = 0

    def declare(self, lines: Iterable[str]) -> list[str]:
        """Make, or change, what the configuration names: lines for :func:`parse_queue`.

        Queues that it names no more stay, because their messages are somebody's.

        Returns:
            What went wrong with which queue.
        """
        faults = []
        for line in lines:
            name, settings = parse_queue(line)
            try:
                self.create(name, settings)
            except QueueError as error:
                faults.append(f"the queue {name} cannot be made: {error}")
        return faults

    def _add(self, name: str, settings: QueueSettings) -> Queue:
        queue = Queue(name, QueueSettings(), self)
        self._by_name[name] = queue
        self.topics.add(QUEUE_PREFIX + name)
        self._subscriptions.add_queue(QUEUE_PREFIX + name, queue)
        self._feed(queue, settings)
        queue.settings = settings
        return queue

    def _feed(self, queue: Queue, settings: QueueSettings) -> None:
        """Have the messages of other topics than before put in."""
        before, after = queue.settings.filters, settings.filters
        for filter in before:
            if filter not in after:
                self._subscriptions.remove_queue(filter, queue)
        for filter in after:
            if filter not in before:
                self._subscriptions.add_queue(filter, queue)

    def restore(self, row: QueueRow, settings: QueueSettings) -> Queue:
        """Make a queue of the store again."""
        queue = self._add(row.name, settings)
        queue.key = row.key
        return queue

    def delete(self, name: str, now: float, force: bool = False) -> int:
        """Remove a queue with all that is in it; returns how many messages that were.

        Args:
            force: even if it has consumers. They are disconnected, because no protocol has a word
                for a subscription that the server ends.

        Raises:
            QueueError: there is none of that name, or somebody takes from it.
        """
        queue = self._by_name.get(name)
        if queue is None:
            raise QueueError(f"there is no queue {name!r}")
        if queue.consumers and not force:
            more = f" and {len(queue.consumers) - 1} more" if len(queue.consumers) > 1 else ""
            raise QueueError(
                f"{name} has consumers: {queue.consumers[0].who()}{more}; "
                "with force they are disconnected"
            )
        for consumer in list(queue.consumers):
            consumer.dismiss(f"the queue {name} was removed", now)
            if isinstance(consumer, MqttConsumer):
                self._end_subscription(consumer.subscription, now)
        del self._by_name[name]
        self.topics.discard(QUEUE_PREFIX + name)
        for filter in (QUEUE_PREFIX + name, *queue.settings.filters):
            self._subscriptions.remove_queue(filter, queue)
        self.full.pop(queue, None)
        lost = queue.close(now)
        self.metrics.dropped_session_end += lost
        return lost

    def _end_subscription(self, subscription: Subscription, now: float) -> None:
        """A client that comes back is to know that it has to subscribe again."""
        session = subscription.session
        self._subscriptions.remove(session, subscription.filter, now)
        if session.key and self.keeper is not None:
            self.journal.drop_subscription(session.key, subscription.filter)

    # -- consumers ----------------------------------------------------------------------------

    def subscribe(self, name: str, subscription: Subscription, now: float) -> None:
        """A client takes messages from a queue from here on.

        Raises:
            QueueError: it cannot be made.
        """
        queue = self.need(name)
        outbox = subscription.outbox
        for known in outbox.consumers or ():
            if known.queue is queue and isinstance(known, MqttConsumer):
                known.subscription = subscription  # what it has counts against the prefetch still
                queue.welcome(known, now)
                return
        consumer = MqttConsumer(queue, subscription)
        if outbox.consumers is None:
            outbox.consumers = []
        outbox.consumers.append(consumer)
        queue.join(consumer, now)

    def unsubscribe(self, queue: Queue, session: Session, now: float) -> None:
        """A client takes no more; what it has it may still acknowledge."""
        outbox = session.outbox
        for consumer in outbox.consumers or ():
            if consumer.queue is queue:
                outbox.consumers = [one for one in outbox.consumers or () if one is not consumer]
                queue.leave(consumer, now)
                return

    def take_back(self, session: Session, now: float) -> None:
        """The connection of a session is gone: what it has not acknowledged is for others."""
        items = session.outbox.take_back()
        by_queue: dict[Queue, list[Item]] = {}
        for item in items:
            by_queue.setdefault(item.queue, []).append(item)
        for queue, returned in by_queue.items():
            queue.take_back(returned, session.outbox, now)

    # -- what queues need ---------------------------------------------------------------------

    def new_pending(self) -> Pending:
        """Something to wait for."""
        return Pending()

    def bury(self, queue: Queue, item: Item, why: str, now: float) -> None:
        """Put a message that nobody manages into the dead letters of its queue."""
        name = queue.settings.dead or f"{queue.name}.dead"
        if queue.name == name:
            self.metrics.dropped_dead += 1  # a dead letter that nobody takes either
            return
        message = item.message
        if message.properties is not None and (DEAD_QUEUE, name) in message.properties.user:
            self.metrics.dropped_dead += 1  # it comes from there: it would go round for ever
            return
        try:
            dead = self._by_name.get(name) or self.create(
                name,
                QueueSettings(full=DROP_OLDEST, deliveries_max=0, durable=queue.settings.durable),
            )
        except QueueError:
            self.metrics.dropped_dead += 1
            return
        properties = Properties()
        if message.properties is not None:
            properties.values = dict(message.properties.values)
            properties.user = list(message.properties.user)
        properties.user += [(DEAD_QUEUE, queue.name), (DEAD_REASON, why)]
        letter = Message(
            message.topic, message.payload, message.qos, False, properties, NEVER, message.origin
        )
        if not dead.put(letter, now):
            self.metrics.dropped_dead += 1
