"""All sessions: find, take over, leave, expire (MQTT 5.0 sections 3.1.2.4, 3.1.4, 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.auth.base import ALLOW, PENDING, WILL
from midge.broker.deadlines import Ticket
from midge.broker.durable_outbox import DurableOutbox
from midge.broker.leftovers import Leftovers
from midge.broker.outbox import Outbox
from midge.broker.permission import identity_of
from midge.broker.session import EXPIRES_NEVER, Session
from midge.broker.wills import will_delay_s, will_message
from midge.limits import SLICE_ENTRIES
from midge.message import NEVER
from midge.mqtt.reasons import Reason

if TYPE_CHECKING:
    from midge.broker.broker import Broker
    from midge.broker.keeper import Keeper
    from midge.broker.link import Link


class Absence:
    """A client that is away: when its will is due, and when its session ends."""

    __slots__ = ("_broker", "ends_at", "session", "ticket", "will_at")

    def __init__(self, broker: Broker, session: Session, will_at: float, ends_at: float) -> None:
        self._broker = broker
        self.session = session
        self.will_at = will_at
        self.ends_at = ends_at
        self.ticket: Ticket | None = None

    def next_deadline(self) -> float | None:
        """The next thing that becomes due."""
        when = min(self.will_at, self.ends_at)
        return None if when == NEVER else when

    def tick(self, now: float) -> None:
        """Publish the will, end the session."""
        if self.will_at <= now:
            self.will_at = NEVER
            self._broker.publish_will(self.session, now)
            self._broker.sessions.note(self.session)
        if self.ends_at <= now:
            self.ends_at = NEVER
            self._broker.sessions.end(self.session, now)
            self._broker.metrics.sessions_expired += 1
            self._broker.hooks.session_expired(self.session.client_id)


class Sessions:
    """The table of sessions, by client id."""

    __slots__ = ("_broker", "_by_id", "connected", "leftovers")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._by_id: dict[str, Session] = {}
        #: What is still in the tree of those that are no more.
        self.leftovers = Leftovers(broker)
        #: How many have a connection.
        self.connected = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, client_id: str) -> Session | None:
        """The session of a client."""
        return self._by_id.get(client_id)

    def all(self) -> list[Session]:
        """All sessions, the oldest first."""
        return list(self._by_id.values())

    def open(
        self, link: Link, client_id: str, clean_start: bool, now: float, expiry_s: int = 0
    ) -> tuple[Session, bool]:
        """The session for a client that connects, and whether it was there before.

        One that outlives its connection (``expiry_s``) outlives the process as well, where there
        is a store.

        A connection that the session still has is told that it was taken over [MQTT-3.1.4-3]. A
        clean start ends the old session first [MQTT-3.1.2-4].
        """
        session = self._by_id.get(client_id)
        if session is not None and session.link is not None:
            self._take_over(session, session.link, link, clean_start, now)
            session = self._by_id.get(client_id)
        if session is not None and clean_start:
            self.end(session, now)
            session = None
        present = session is not None
        if session is None:
            session = self._new_session(client_id, expiry_s)
            self._by_id[client_id] = session
        if session.absence is not None:
            # Back in time: neither the will nor the end comes [MQTT-3.1.3-9].
            self._broker.deadlines.cancel(session.absence.ticket)
            session.absence = None
        session.expiry_s = expiry_s
        session.link = link
        link.session = session
        self.connected += 1
        return session, present

    def _new_session(self, client_id: str, expiry_s: int) -> Session:
        broker = self._broker
        keeper = broker.keeper
        if keeper is not None and expiry_s:
            return self.durable(keeper, keeper.journal.new_session(), client_id)
        outbox = Outbox(broker.settings, broker.metrics, broker.dirty, broker.crowd)
        return Session(client_id, outbox)

    def durable(self, keeper: Keeper, key: int, client_id: str) -> Session:
        """A session that the store knows as ``key``."""
        broker = self._broker
        outbox = DurableOutbox(
            broker.settings, broker.metrics, broker.dirty, broker.crowd, keeper, key
        )
        session = Session(client_id, outbox)
        session.key = key
        return session

    def adopt(self, session: Session, will_at: float, ends_at: float) -> None:
        """Take a session that came from the store; it has no connection.

        Args:
            will_at, ends_at: when its will is due, and when it expires, on the broker's clock.
        """
        self._by_id[session.client_id] = session
        absence = Absence(self._broker, session, will_at, ends_at)
        session.absence = absence
        absence.ticket = self._broker.deadlines.add(absence)

    def note(self, session: Session) -> None:
        """Note what the session is now, if it outlives the process."""
        keeper = self._broker.keeper
        if keeper is None or not session.key:
            return
        absence = session.absence
        keeper.journal.keep_session(
            session.key,
            session.client_id,
            session.username,
            session.expiry_s,
            session.will,
            session.link is not None,
            NEVER if absence is None else absence.ends_at,
            NEVER if absence is None else absence.will_at,
        )

    def _take_over(
        self, session: Session, old: Link, new: Link, clean_start: bool, now: float
    ) -> None:
        self._broker.hooks.taken_over(old, new, session.client_id)
        old.end(int(Reason.SESSION_TAKEN_OVER), "session taken over")
        self.leave(old, now, keep_will=True)

    def leave(self, link: Link, now: float, keep_will: bool) -> None:
        """The connection of a session is gone; ``keep_will``: it was not an ordinary goodbye."""
        session = link.session
        if session is None or session.link is not link:
            return
        session.link = None
        link.session = None
        self.connected -= 1
        session.outbox.detach()
        self._broker.queues.take_back(session, now)
        if not keep_will:
            session.will = None  # [MQTT-3.1.2-10]
        ends_at = self.end_of(session, now)
        will_at = NEVER
        if session.will is not None:
            will_at = min(now + will_delay_s(session.will), ends_at)
        absence = Absence(self._broker, session, will_at, ends_at)
        session.absence = absence
        if ends_at <= now:
            self.end(session, now)
            return
        if will_at <= now:
            absence.tick(now)
        else:
            self.note(session)
        absence.ticket = self._broker.deadlines.add(absence)

    def end_of(self, session: Session, now: float) -> float:
        """When a session ends whose client is gone since ``now``."""
        cap = self._broker.settings.persistent_client_expiration_s
        expiry_s = float(session.expiry_s)
        if expiry_s == EXPIRES_NEVER:
            expiry_s = NEVER
        if cap and expiry_s > cap:
            expiry_s = float(cap)
        return now + expiry_s

    def end(self, session: Session, now: float) -> None:
        """Forget a session: subscriptions, messages, everything; a will that waits is published."""
        absence = session.absence
        if absence is not None:
            session.absence = None
            self._broker.deadlines.cancel(absence.ticket)
            if absence.will_at != NEVER:
                absence.will_at = NEVER
                self._broker.publish_will(session, now)  # [MQTT-3.1.2-8]
        if len(session.subscriptions) <= SLICE_ENTRIES:
            self._broker.router.unsubscribe_all(session, now)
        else:
            self.leftovers.take(session, now)
        session.outbox.clear()
        session.incoming.clear()
        if self._by_id.get(session.client_id) is session:
            del self._by_id[session.client_id]


def publish_will(broker: Broker, session: Session, now: float) -> None:
    """Publish the will of a session, once."""
    will = session.will
    session.will = None
    if will is None:
        return
    if broker.authorizer is not None:
        decision = broker.authorizer.authorize(identity_of(session), WILL, will.topic)
        if decision.outcome not in (ALLOW, PENDING):
            # Asked again, because the rules may have changed since it connected. Who cannot say at
            # once was asked then.
            broker.hooks.denied(session.client_id, "will", will.topic, decision.text)
            return
    message = will_message(will, session.client_id, now)
    if message.retain and not broker.settings.retain_available:
        message.retain = False
    broker.hooks.will_published(session.client_id, message.topic)
    broker.router.publish(message, None, now)
    if message.retain and broker.authorizer is not None:
        broker.router.note_source(message, session)
