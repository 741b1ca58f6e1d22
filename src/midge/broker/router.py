"""Where a message meets those who are entitled to it.

One way for all messages, whatever they came by: retain, match, deliver. The router returns to its
caller and calls nobody back. It remembers the receivers of each topic it has seen, until a
subscription changes that could match it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from midge.auth.base import Authorizer, Identity
from midge.broker.backlog import Backlog
from midge.broker.fanout import Fanout, Receivers
from midge.broker.metrics import Metrics
from midge.broker.permission import NOBODY, barred, entitled, identity_of, retained_for
from midge.broker.prefixes import PrefixSubscriptions
from midge.broker.queue import Queue
from midge.broker.queues import Queues
from midge.broker.retained import Retained
from midge.broker.session import Session, Subscription
from midge.broker.stored import row_of
from midge.broker.subscriptions import Subscriptions
from midge.config.settings import Settings
from midge.errors import TopicError
from midge.limits import ROUTE_CACHE_MAX
from midge.message import Message
from midge.mqtt.packets import SubscribeTo
from midge.store.journal import Journal
from midge.topics.filters import queue_name
from midge.topics.frames import frame_of
from midge.topics.names import check_topic

if TYPE_CHECKING:
    from midge.broker.deadlines import Deadlines
    from midge.broker.pressure import Pressure

#: Topics of replies begin so. Whoever knows the rest may reply: it cannot be guessed.
REPLY_PREFIX: Final = "$reply/"
#: Topics that subscriptions to prefixes never get: what goes to queues is for one consumer alone.
_NOT_FOR_PREFIXES: Final = ("$queue/", "$CONTROL", REPLY_PREFIX)


class Replies(Protocol):
    """Somebody who has asked and waits for replies."""

    def reply(self, message: Message, now: float) -> bool:
        """Take a reply; false where nobody asked."""
        ...


#: So many publishers of retained messages are kept without looking whether they are needed.
SOURCES_MIN: Final = 1024


class Router:
    """Topics, subscriptions, retained messages.

    Attributes:
        authorizer: who may have what; ``None``: everybody.
        journal: where subscriptions are noted that outlive the process; ``None``: nowhere.
        routes: topic as it stands on the wire to its receivers.
        plain_routes: those of them that the fast lane may use.
        retained: the retained messages.
        subscriptions: who subscribed to what.
        queues: the named queues.
        prefixes: who subscribed as ZeroMQ does.
        replies: who waits for replies under ``$reply/NAME``, by that name.
        crowded: after :meth:`publish`, a receiver that the publisher should wait for.
    """

    __slots__ = (
        "_known",
        "_settings",
        "_sources",
        "authorizer",
        "crowded",
        "fanout",
        "journal",
        "plain_routes",
        "prefixes",
        "queues",
        "replies",
        "retained",
        "routes",
        "subscriptions",
    )

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        crowd: dict[Pressure, None],
        deadlines: Deadlines,
    ) -> None:
        self._settings = settings
        self.authorizer: Authorizer | None = None
        self.journal: Journal | None = None
        # Who published the retained messages, while somebody may ask: one entry for each of them.
        self._sources: dict[str, Identity] = {}
        self.fanout = Fanout(settings, metrics)
        self.retained = Retained()
        self.subscriptions = Subscriptions()
        self.prefixes = PrefixSubscriptions()
        self.replies: dict[str, Replies] = {}
        self.queues = Queues(settings, metrics, crowd, deadlines, self.subscriptions)
        self.subscriptions.queues = self.queues
        self.routes: dict[bytes, Receivers] = {}
        self.plain_routes: dict[bytes, Receivers] = {}
        # One Receivers for all topics with the same subscribers; keyed by the identities of
        # subscriptions and groups, which the Receivers keep alive for as long as the key stands.
        self._known: dict[tuple[int, ...], Receivers] = {}
        self.crowded: Pressure | None = None

    # -- messages -----------------------------------------------------------------------------

    def publish(self, message: Message, origin: Session | None, now: float) -> bool:
        """Give ``message`` to everyone entitled to it; false when there was nobody.

        The topic is valid and the publisher was allowed to: its link has seen to both.
        """
        if self.replies and message.topic.startswith(REPLY_PREFIX):
            self.crowded = None
            return self._reply(message, now)
        if message.retain:
            self.retained.keep(message)
            if self.authorizer is not None:
                self.note_source(message, origin)
        receivers = self.receivers(message.topic)
        self.crowded = self.fanout.deliver(message, receivers, origin, now)
        return bool(receivers.subscriptions or receivers.groups)

    def _reply(self, message: Message, now: float) -> bool:
        """Give a reply to the one who waits for it."""
        waiting = self.replies.get(message.topic[len(REPLY_PREFIX) :])
        return waiting is not None and waiting.reply(message, now)

    def subscribe_prefix(self, prefix: bytes, session: Session) -> None:
        """A ZeroMQ peer wants topics that begin with ``prefix``."""
        self.prefixes.add(prefix, Subscription(session, "", 0))
        self.forget_routes()

    def unsubscribe_prefix(self, prefix: bytes, session: Session) -> None:
        """It wants them no more."""
        self.prefixes.remove(prefix, session)
        self.forget_routes()

    def note_source(self, message: Message, origin: Session | None) -> None:
        """Remember on whose behalf ``message`` is retained, for ``check_retain_source``."""
        if origin is not None and message.payload and self._settings.check_retain_source:
            if len(self._sources) >= SOURCES_MIN + 2 * len(self.retained):
                # Retained messages that expired have left theirs here.
                kept = [one for one in self._sources.items() if self.retained.get(one[0])]
                self._sources = dict(kept)
            self._sources[message.topic] = identity_of(origin)
        else:
            self._sources.pop(message.topic, None)

    def receivers(self, topic: str) -> Receivers:
        """Who is entitled to a valid topic."""
        if self.subscriptions.changed:
            self._forget_changed()
        key = topic.encode()
        found = self.routes.get(key)
        return self._learn(key, topic) if found is None else found

    def learn(self, key: bytes) -> Receivers | None:
        """The receivers of a topic as it stands on the wire.

        ``None`` where the long way must look at it: an invalid topic is an error that belongs
        there, and ``$SYS`` is not for clients to publish to.
        """
        if not key or key.startswith(b"$"):
            return None
        if self.subscriptions.changed:
            self._forget_changed()
        known = self.routes.get(key)
        if known is not None:
            return known
        try:
            topic = key.decode()
            check_topic(topic)
        except (UnicodeDecodeError, TopicError):
            return None
        return self._learn(key, topic)

    def _learn(self, key: bytes, topic: str) -> Receivers:
        if len(self.routes) >= ROUTE_CACHE_MAX:
            self.forget_routes()
        subscriptions = self.subscriptions.match(topic)
        if self.prefixes.count and not topic.startswith(_NOT_FOR_PREFIXES):
            hidden = topic.startswith("$")
            subscriptions = subscriptions + self.prefixes.match(frame_of(topic), hidden)
        groups = self.subscriptions.match_groups(topic)
        kept_out = NOBODY
        if self.authorizer is not None:
            subscriptions = entitled(self.authorizer, topic, subscriptions)
            kept_out = barred(self.authorizer, topic, groups)
        if not self._settings.allow_duplicate_messages and len(subscriptions) > 1:
            # Merged subscriptions are made for this topic alone, so nothing is shared.
            found = Receivers(merge(subscriptions), groups, barred=kept_out)
        elif kept_out:
            found = Receivers(subscriptions, groups, barred=kept_out)
        else:
            identity = (*map(id, subscriptions), 0, *map(id, groups))
            known = self._known.get(identity)
            if known is None:
                known = Receivers(subscriptions, groups, identity)
                self._known[identity] = known
            found = known
        self.routes[key] = found
        if found.plain and not topic.startswith("$"):
            self.plain_routes[key] = found
        return found

    def forget_routes(self) -> None:
        """Drop what was remembered: something changed that may concern any topic."""
        self.routes.clear()
        self.plain_routes.clear()
        self._known.clear()

    def _forget_changed(self) -> None:
        """Queues came or went."""
        for filter in self.subscriptions.changed:
            self._forget(filter)
        self.subscriptions.changed.clear()

    def _forget(self, filter: str) -> None:
        """A subscription to ``filter`` came or went."""
        if "+" in filter or "#" in filter:
            self.forget_routes()
        else:
            key = filter.encode()
            self.plain_routes.pop(key, None)
            receivers = self.routes.pop(key, None)
            if receivers is not None:
                # It holds a subscription that goes, and so its session.
                self._known.pop(receivers.identity, None)

    # -- subscriptions ------------------------------------------------------------------------

    def subscribe(
        self, session: Session, entry: SubscribeTo, identifier: int, qos: int, now: float
    ) -> None:
        """Add or replace a subscription, granted at ``qos``, and owe it its retained messages."""
        existed = entry.filter in session.subscriptions
        subscription = Subscription(
            session,
            entry.filter,
            qos,
            entry.no_local,
            entry.retain_as_published,
            entry.retain_handling,
            identifier,
        )
        filter = self.subscriptions.add(subscription, now)
        self._forget(filter)
        if session.key and self.journal is not None:
            self.journal.keep_subscription(row_of(subscription))
        if subscription.group is not None or queue_name(filter) is not None:
            return  # section 4.8.2: no retained messages for shared subscriptions, nor for queues
        if entry.retain_handling == 0 or (entry.retain_handling == 1 and not existed):
            self._owe(subscription, filter, now)

    def _owe(self, subscription: Subscription, filter: str, now: float) -> None:
        """Give a subscription the retained messages that match it.

        Args:
            filter: its own, as the broker has it.
        """
        session = subscription.session
        messages = self.retained.matching(filter, now)
        if self.authorizer is not None and messages:
            sources = self._sources if self._settings.check_retain_source else None
            messages = retained_for(self.authorizer, session, messages, sources)
        if messages:
            upgrade = self._settings.upgrade_outgoing_qos
            session.outbox.owe(Backlog(messages, subscription, upgrade), now)
        elif subscription.owed and self.journal is not None:
            subscription.owed = False
            self.journal.keep_subscription(row_of(subscription))

    def unsubscribe(self, session: Session, filter: str, now: float) -> bool:
        """Remove a subscription; false when there was none."""
        matched = self.subscriptions.remove(session, filter, now)
        if matched is None:
            return False
        self._forget(matched)
        if session.key and self.journal is not None:
            self.journal.drop_subscription(session.key, filter)
        return True

    def fills_stored_queue(self, topic: str) -> bool:
        """Whether what is published to ``topic`` is kept in the store by a queue, at any QoS."""
        takers = self.receivers(topic).groups
        return any(isinstance(taker, Queue) and taker.key for taker in takers)

    def full_queue(self, topic: str) -> Queue | None:
        """A queue that would reject what is published to ``topic``."""
        for taker in self.receivers(topic).groups:
            if isinstance(taker, Queue) and taker.rejects():
                return taker
        return None

    def restore(self, subscription: Subscription, now: float) -> None:
        """Take a subscription from the store."""
        self._forget(self.subscriptions.add(subscription, now))

    def owe_again(self, subscription: Subscription, now: float) -> None:
        """Give a subscription of the store, some of whose retained messages are due, all of them.

        Which of them it has had is not known, nor does it matter: they say how things stand.
        """
        self._owe(subscription, subscription.filter, now)

    def discard(self, session: Session, count: int, now: float) -> None:
        """Remove at most ``count`` subscriptions of a session that has ended.

        The store has forgotten all of them with the session.
        """
        for _ in range(min(count, len(session.subscriptions))):
            self.subscriptions.discard(session, now)
        self.forget_routes()

    def unsubscribe_all(self, session: Session, now: float) -> None:
        """Remove all subscriptions of a session."""
        for filter in list(session.subscriptions):
            self.unsubscribe(session, filter, now)


def merge(subscriptions: list[Subscription]) -> list[Subscription]:
    """One subscription a session: the highest QoS, all identifiers (section 3.3.4).

    For ``allow_duplicate_messages false``: a client whose filters overlap gets one copy.
    """
    merged: dict[str, Subscription] = {}
    for subscription in subscriptions:
        session = subscription.session
        earlier = merged.get(session.client_id)
        if earlier is None:
            merged[session.client_id] = subscription
            continue
        both = Subscription(
            session,
            subscription.filter,
            max(earlier.qos, subscription.qos),
            earlier.no_local and subscription.no_local,
            earlier.retain_as_published or subscription.retain_as_published,
        )
        both.ids = earlier.ids + subscription.ids
        merged[session.client_id] = both
    return list(merged.values())
