"""A ZeroMQ peer as a link of the broker: on one port, whatever type of socket it is.

The peer's handshake says what it is, and the broker is what fits it: who may come in is the matter
of :mod:`~midge.links.zmq_admission`, which queue is meant of :mod:`~midge.links.zmq_place`, and
what becomes of its messages of its role (:mod:`~midge.links.zmq_role`). Here is the connection:
bytes, events, what waits, and the end.

Sans-I/O, like :class:`~midge.links.mqtt.MqttLink`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOW, Authorizer, Decision, Identity, Pending
from midge.broker.link import Endpoint, Link
from midge.broker.queue import Queue
from midge.broker.queues import QueueError
from midge.broker.rates import Rates, rates_of
from midge.broker.session import Session
from midge.config.settings import anonymous_allowed
from midge.limits import ZMQ_REFUSED_S
from midge.links.zmq_admission import authenticate
from midge.links.zmq_answerer import Answerer
from midge.links.zmq_asker import Asker
from midge.links.zmq_consumers import Puller, Worker
from midge.links.zmq_outbox import ZmqOutbox
from midge.links.zmq_place import Place, may_use, queue_for
from midge.links.zmq_role import Role, Subscriber
from midge.links.zmq_sender import Publisher, Pusher
from midge.zmtp import events as ev
from midge.zmtp.connection import Connection
from midge.zmtp.metadata import find_property
from midge.zmtp.settings import NULL

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.broker.broker import Broker
    from midge.broker.deadlines import Ticket
    from midge.config.settings import ListenerSettings

    #: A message of the peer: one frame, or several.
    Received = bytes | list[bytes]

#: The property of a peer's handshake by which it takes and sends properties of MQTT.
PROPERTIES_PROPERTY: Final = "X-Midge-Properties"


class ZmqLink(Link):
    """One ZeroMQ peer.

    Attributes:
        connection: the protocol state; its ``out`` is what is to be written.
        listener: the settings of the listener that it came by.
        place: what that has for ZeroMQ.
        client_id: what it is called, once it is there.
        identity: as whom it came in, for who decides what it may do.
        key: the CURVE key by which it came in; ``None`` for none.
        closing: write what is queued, then close.
        rested_until: it comes faster than its rate limit, and is not read before this.
        waiting: a decision, or room in a queue, without which nothing more of it is handled.
        path_queue: the name that the path of its WebSocket has for a queue; empty for none.
        queue: what it puts into, or takes from.
        role: what becomes of its messages; ``None`` before the handshake is done, and at the end.
        dropped: its messages that went nowhere, by cause.
    """

    __slots__ = (
        "_held_back",
        "_rates",
        "_shut_at",
        "_ticket",
        "address",
        "client_id",
        "closing",
        "connection",
        "dropped",
        "gone",
        "identity",
        "key",
        "listener",
        "listener_port",
        "path_queue",
        "place",
        "port",
        "queue",
        "rested_until",
        "role",
        "socket_type",
        "waiting",
    )

    def __init__(
        self,
        broker: Broker,
        listener: ListenerSettings,
        place: Place,
        address: str,
        port: int,
        listener_port: int,
        now: float,
        random: Callable[[int], bytes],
    ) -> None:
        super().__init__(broker)
        self.connection = Connection(place.settings, now, address=address.encode(), random=random)
        self.listener = listener
        self.place = place
        self.address = address
        self.port = port
        self.listener_port = listener_port
        self.client_id = ""
        self.identity = Identity(
            "",
            None,
            address,
            listener.name(listener_port),
            anonymous_allowed(broker.settings, listener),
        )
        self.key: bytes | None = None
        self.closing = False
        self.gone = False
        self.path_queue = ""
        self.queue: Queue | None = None
        self.socket_type = ""
        self.waiting: Pending | None = None
        self.dropped: dict[str, int] = {}
        self.role: Role | None = None
        self._held_back: list[Received] = []
        self._shut_at = 0.0  # it was turned away, and this is when it is told so; 0: it was not
        self.rested_until = 0.0
        self._rates: Rates | None = rates_of(broker.settings, now)
        self._ticket: Ticket | None = broker.deadlines.add(self)
        broker.metrics.connections += 1

    # -- bytes --------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Read a chunk from the peer."""
        if self.closing or self.end_reason >= 0:
            return
        self.broker.metrics.bytes_received += len(data)
        events = self.connection.receive_data(data, now)
        self.heed(events, now)
        if self._rates is not None and not self.closing:
            messages = sum(len(one.items) for one in events if isinstance(one, ev.Messages))
            wait_s = self._rates.take(len(data), messages, now)
            if wait_s > 0:
                self._rest(wait_s, now)

    def _rest(self, wait_s: float, now: float) -> None:
        """Read no more of the peer for a while."""
        self.rested_until = now + wait_s
        self.broker.metrics.throttled += 1
        self.broker.hooks.throttled(self, wait_s)
        self._ticket = self.broker.deadlines.move(self._ticket, self)

    def receive_eof(self, now: float, text: str = "connection closed by client") -> None:
        """The connection is gone; called once, whoever closed it."""
        if self.gone:
            return
        self.gone = True
        self.closing = True
        self.connection.close()
        self.broker.deadlines.cancel(self._ticket)
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
        if self.held_by is not None:
            waiters = self.held_by.waiters
            if waiters is not None and self in waiters:
                waiters.remove(self)
            self.held_by = None
        self._depart(now)
        if self.client_id:
            reason = -1 if self.end_reason < 0 else self.end_reason
            text = self.end_text or text
            self.broker.hooks.disconnected(self, self.client_id, reason, text)

    def _depart(self, now: float) -> None:
        """Give back what it took part in."""
        session, role = self.session, self.role
        self.session = self.role = None
        self.broker.guests.pop(self, None)
        if session is None:
            return
        session.link = None
        session.outbox.detach()
        if role is not None:
            role.depart(now)
        session.outbox.clear()

    def next_deadline(self) -> float | None:
        """See :meth:`Link.next_deadline`."""
        if self.closing:
            return None
        return self._shut_at or self.rested_until or self.connection.next_deadline()

    def tick(self, now: float) -> None:
        """Heartbeats, the time limit of the handshake, the end of a rest, or of one turned away."""
        if self._shut_at:
            self.closing = self.closing or now >= self._shut_at
            return
        if self.rested_until:
            if self.rested_until > now:
                return
            self.rested_until = 0.0
            self.connection.heard(now)  # that it was not heard was our doing
            self.broker.released.append(self)
        self.heed(self.connection.tick(now), now)

    def is_held(self) -> bool:
        """Whether it is not to be read now: for others, a decision, its own haste, or at all."""
        if self.held_by is not None or self.waiting is not None:
            return True
        return self.rested_until > 0 or self._shut_at > 0

    def close(self) -> None:
        """The core wants it closed; ZMTP has no goodbye."""
        self.closing = True

    def endpoint(self) -> Endpoint:
        """See :meth:`Link.endpoint`."""
        return Endpoint(self.client_id, self.address, self.port, self.listener_port)

    def rules_changed(self) -> None:
        """See :meth:`Link.rules_changed`."""
        if self.role is not None:
            self.role.rules_changed()
        elif self._shut_at:
            self.broker.ending.append(self)  # it may be let in when it comes again

    def rates_changed(self, now: float) -> None:
        """See :meth:`Link.rates_changed`."""
        self._rates = rates_of(self.broker.settings, now)
        if self.rested_until and self._rates is None:
            self.rested_until = now
            self._ticket = self.broker.deadlines.move(self._ticket, self)

    # -- events -------------------------------------------------------------------------------

    def heed(self, events: list[ev.Event], now: float) -> None:
        """Do what follows from what the connection has to say."""
        for event in events:
            if isinstance(event, ev.Messages):
                self._take(event.items, now)
            elif isinstance(event, ev.Subscribe):
                if self.role is not None:
                    self.role.subscribe(event.prefix)
            elif isinstance(event, ev.Cancel):
                if self.role is not None:
                    self.role.cancel(event.prefix)
            elif isinstance(event, ev.ZapRequest):
                authenticate(self, event, now)
            elif isinstance(event, ev.Ready):
                self._ready(event, now)
            elif isinstance(event, ev.HandshakeFailed):
                if event.kind == ev.AUTH and self.connection.settings.mechanism == NULL:
                    # Its READY is on the way: closed now, the connection would be reset, and the
                    # peer would come again at once because it never saw the word for no.
                    self._turn_away(self.end_text or event.text, now)
                else:
                    self._refuse(self.end_text or event.text)
            elif isinstance(event, ev.Closed):
                self.end_text = event.text
                self.closing = True

    def _refuse(self, text: str) -> None:
        """Not let in, or thrown out, and why."""
        name = self.client_id or self.identity.username or self.address
        self.broker.hooks.refused(self, name, 0x87, text)
        self.end_reason = 0x87
        self.end_text = text
        self.closing = True

    def _turn_away(self, text: str, now: float) -> None:
        """There is nothing for it here, and it would come again as soon as it is closed, for ever.

        Where its handshake is done there is no word of ZMTP by which it would give up. So that
        takes a while.
        """
        self._refuse(text)
        self.closing = False
        self._shut_at = now + ZMQ_REFUSED_S
        self._ticket = self.broker.deadlines.move(self._ticket, self)

    def drop(self, cause: str) -> None:
        """A message of the peer goes nowhere."""
        self.dropped[cause] = self.dropped.get(cause, 0) + 1
        self.broker.metrics.refused_publishes += 1

    # -- what comes later ----------------------------------------------------------------------

    def wait_for(self, decision: Pending, go_on: Callable[[Decision, float], None]) -> None:
        """Something comes later: the peer is not read until then."""
        self.waiting = decision

        def decided(made: Decision, now: float) -> None:
            self.waiting = None
            self.broker.released.append(self)
            if not self.closing:
                go_on(made, now)
            items = self._held_back
            self._held_back = []
            self._take(items, now)
            self.acknowledged()

        decision.wait(decided)

    def acknowledged(self) -> None:
        """Bytes were queued outside of a turn of this link: the shell writes them."""

    # -- what it is ---------------------------------------------------------------------------

    def _ready(self, event: ev.Ready, now: float) -> None:
        broker = self.broker
        identity = self.identity
        routing_id = event.identity.decode("utf-8", "replace")
        self.socket_type = event.socket_type
        self.client_id = routing_id or identity.username or f"zmq-{broker.new_client_id()}"
        identity.client_id = self.client_id
        outbox = ZmqOutbox(broker)
        session = Session(self.client_id, outbox)
        session.username = identity.username
        session.identity = identity
        session.link = self
        self.session = session
        broker.guests[self] = None
        outbox.with_properties = find_property(event.metadata, PROPERTIES_PROPERTY) is not None
        outbox.begin(self)
        try:
            name = queue_for(self, event)
        except QueueError as error:
            self._turn_away(str(error), now)
        else:
            self._ask(event.socket_type, name, session, outbox, now)

    def _ask(self, kind: str, name: str, session: Session, outbox: ZmqOutbox, now: float) -> None:
        """Find out whether it may use its queue, now or later."""
        authorizer = self.broker.authorizer
        decision = may_use(authorizer, self, session, kind, name)
        if isinstance(decision, Pending):
            if decision.settled is None:
                self.wait_for(
                    decision,
                    lambda made, now: self._answered(
                        authorizer, kind, name, session, outbox, made, now
                    ),
                )
                return
            decision = decision.settled
        self._begin(kind, name, session, outbox, decision, now)

    def _answered(
        self,
        authorizer: Authorizer | None,
        kind: str,
        name: str,
        session: Session,
        outbox: ZmqOutbox,
        decision: Decision,
        now: float,
    ) -> None:
        """The answer has come; if others decide by now, they are asked instead."""
        if authorizer is self.broker.authorizer:
            self._begin(kind, name, session, outbox, decision, now)
        else:
            self._ask(kind, name, session, outbox, now)

    def _begin(
        self,
        kind: str,
        name: str,
        session: Session,
        outbox: ZmqOutbox,
        decision: Decision,
        now: float,
    ) -> None:
        """Begin to take part, where it may."""
        if decision.outcome != ALLOW:
            self._turn_away(decision.text or "not authorised", now)
            return
        try:
            self.role = self._play(kind, name, session, outbox, now)
        except QueueError as error:
            self._turn_away(str(error), now)
            return
        self.broker.hooks.peer_ready(self, kind, self.client_id, name)

    def _play(self, kind: str, name: str, session: Session, outbox: ZmqOutbox, now: float) -> Role:
        """What it is.

        Raises:
            QueueError: its queue cannot be made.
        """
        if kind in ("SUB", "XSUB"):
            return Subscriber(self, session, outbox)
        if kind in ("PUB", "XPUB"):
            self.connection.subscribe(b"")
            return Publisher(self, session, outbox)
        queue = self.queue = self.broker.queues.need(name)
        if kind == "PUSH":
            return Pusher(self, session, outbox, queue)
        if kind in ("REQ", "DEALER"):
            return Asker(self, session, outbox, queue)
        if kind == "PULL":
            role = Role(self, session, outbox)
            role.consume(Puller(queue, outbox, self), now)
            return role
        worker = Worker(queue, outbox, self, one_by_one=kind == "REP")
        answerer = Answerer(self, session, outbox, worker)
        answerer.consume(worker, now)
        return answerer

    # -- messages of the peer -----------------------------------------------------------------

    def _take(self, items: list[Received], now: float) -> None:
        for index, item in enumerate(items):
            if self.waiting is not None:
                self._held_back += items[index:]
                return
            role = self.role
            if role is None or self.closing:
                return
            self.broker.metrics.publish_received += 1
            role.take(item, now)
