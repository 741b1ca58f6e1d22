"""A ZeroMQ peer as a link of the broker: on one port, whatever type of socket it is.

The peer's handshake says what it is, and the broker is what fits it:

=========== ==============================================================================
SUB, XSUB   gets the messages of topics that begin with its prefixes
PUB, XPUB   publishes: the first frame is the topic
PUSH        puts its messages into a queue
PULL        competes for the messages of a queue; it cannot acknowledge
REQ, DEALER puts requests into a queue, and gets the replies
REP, ROUTER competes for the requests of a queue; its reply is its acknowledgement, and goes to
            where the request says: to the peer that asked, or to an MQTT client's response topic
=========== ==============================================================================

Which queue: the peer's metadata (``X-Midge-Queue``), its routing id (``queue/NAME``, or
``queue/NAME/anything``), what the listener has for its user, or what it has for all.

Sans-I/O, like :class:`~midge.links.mqtt.MqttLink`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.auth.acl_rules import never_written
from midge.auth.base import (
    ALLOW,
    ALLOWED,
    ALLOWED_BY_RULES,
    CERTIFICATE,
    PUBLISH,
    Authenticator,
    Authorizer,
    Decision,
    Identity,
    Pending,
)
from midge.broker.link import Endpoint, Link
from midge.broker.permission import why_not_get
from midge.broker.queue import Queue
from midge.broker.queues import QueueError
from midge.broker.router import REPLY_PREFIX
from midge.broker.session import Session
from midge.compiled import mypyc_attr
from midge.config.settings import anonymous_allowed
from midge.errors import MidgeError
from midge.limits import SUBSCRIPTIONS_MAX
from midge.links.zmq_consumers import DELIMITER, Puller, Worker
from midge.links.zmq_mapping import body_of, payload_of, read_properties, topic_of
from midge.links.zmq_outbox import ZmqOutbox
from midge.links.zmq_requests import Requests, with_correlation
from midge.message import Message
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.mqtt.property_codec import encode_publish_properties
from midge.mqtt.reasons import Reason
from midge.topics.filters import QUEUE_PREFIX, queue_name
from midge.topics.names import is_topic
from midge.zmtp import events as ev
from midge.zmtp.connection import Connection
from midge.zmtp.metadata import find_property
from midge.zmtp.settings import CURVE, PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.broker.broker import Broker
    from midge.broker.deadlines import Ticket
    from midge.config.settings import ListenerSettings
    from midge.zmtp.settings import Settings

    #: A message of the peer: one frame, or several.
    Received = bytes | list[bytes]

#: Properties of a peer's handshake.
QUEUE_PROPERTY: Final = "X-Midge-Queue"
PROPERTIES_PROPERTY: Final = "X-Midge-Properties"
#: The first frame of a worker's reply with which it refuses the request.
REFUSE: Final = b"midge:refuse"
#: The reason code that stands for that: an unspecified error.
_REFUSED: Final = 0x80


#: The types that take from a queue.
_CONSUMERS: Final = ("PULL", "REP", "ROUTER")


class Place:
    """What the peers of one listener find.

    Attributes:
        settings: how we present ourselves; the socket type is ``ANY``.
        queue: what they put into and take from, if they say nothing else; empty for none.
        user_queues: the same for some users.
        users_by_key: who has which CURVE key, by its 32 bytes.
    """

    __slots__ = ("queue", "settings", "user_queues", "users_by_key")

    def __init__(
        self,
        settings: Settings,
        queue: str = "",
        user_queues: dict[str, str] | None = None,
        users_by_key: dict[bytes, str] | None = None,
    ) -> None:
        self.settings = settings
        self.queue = queue
        self.user_queues = {} if user_queues is None else user_queues
        self.users_by_key = {} if users_by_key is None else users_by_key


@mypyc_attr(allow_interpreted_subclasses=True)
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
        waiting: a decision, or room in a queue, without which nothing more of it is handled.
        queue: what it puts into, or takes from.
        dropped: its messages that went nowhere, by cause.
    """

    __slots__ = (
        "_consumer",
        "_handle",
        "_held_back",
        "_prefixes",
        "_requests",
        "_ticket",
        "address",
        "allowed_topics",
        "client_id",
        "closing",
        "connection",
        "dropped",
        "gone",
        "identity",
        "key",
        "listener",
        "listener_port",
        "place",
        "port",
        "queue",
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
        self.queue: Queue | None = None
        self.socket_type = ""
        self.waiting: Pending | None = None
        self.dropped: dict[str, int] = {}
        self.allowed_topics: set[str] = set()
        self._consumer: Puller | None = None
        self._handle: Callable[[Received, Session, float], None] = self._ignore
        self._held_back: list[Received] = []
        self._prefixes: dict[bytes, int] = {}
        self._requests: Requests | None = None
        self._ticket: Ticket | None = broker.deadlines.add(self)
        broker.metrics.connections += 1

    # -- bytes --------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Read a chunk from the peer."""
        if self.closing or self.end_reason >= 0:
            return
        self.broker.metrics.bytes_received += len(data)
        self._heed(self.connection.receive_data(data, now), now)

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
        session = self.session
        self.session = None
        self.broker.guests.pop(self, None)
        if session is None:
            return
        session.link = None
        session.outbox.detach()
        for prefix in self._prefixes:
            self.broker.router.unsubscribe_prefix(prefix, session)
        self._prefixes.clear()
        consumer = self._consumer
        if consumer is not None:
            consumer.queue.leave(consumer, now)
            if isinstance(consumer, Worker):
                consumer.queue.take_back(list(consumer.working.values()), self, now)
                consumer.working.clear()
        if self._requests is not None:
            self.broker.router.replies.pop(self._requests.token, None)
        session.outbox.clear()

    def next_deadline(self) -> float | None:
        """See :meth:`Link.next_deadline`."""
        return None if self.closing else self.connection.next_deadline()

    def tick(self, now: float) -> None:
        """Heartbeats, and the time limit of the handshake."""
        self._heed(self.connection.tick(now), now)

    def is_held(self) -> bool:
        """Whether it is not to be read now: for others, or for a decision."""
        return self.held_by is not None or self.waiting is not None

    def close(self) -> None:
        """The core wants it closed; ZMTP has no goodbye."""
        self.closing = True

    def endpoint(self) -> Endpoint:
        """See :meth:`Link.endpoint`."""
        return Endpoint(self.client_id, self.address, self.port, self.listener_port)

    def rules_changed(self) -> None:
        """See :meth:`Link.rules_changed`."""
        self.allowed_topics.clear()
        consumer, session = self._consumer, self.session
        if consumer is not None and session is not None:
            fault = why_not_get(self.broker.authorizer, session, QUEUE_PREFIX + consumer.queue.name)
            if fault:
                self.end(int(Reason.NOT_AUTHORIZED), fault)

    # -- events -------------------------------------------------------------------------------

    def _heed(self, events: list[ev.Event], now: float) -> None:
        for event in events:
            if isinstance(event, ev.Messages):
                self._take(event.items, now)
            elif isinstance(event, ev.Subscribe):
                self._subscribe(event.prefix)
            elif isinstance(event, ev.Cancel):
                self._cancel(event.prefix)
            elif isinstance(event, ev.ZapRequest):
                self._authenticate(event, now)
            elif isinstance(event, ev.Ready):
                self._ready(event, now)
            elif isinstance(event, ev.HandshakeFailed):
                self._refuse(event.text)
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

    def _drop(self, cause: str) -> None:
        self.dropped[cause] = self.dropped.get(cause, 0) + 1
        self.broker.metrics.refused_publishes += 1

    # -- who it is ----------------------------------------------------------------------------

    def _authenticate(self, request: ev.ZapRequest, now: float) -> None:
        """ZAP's question is ours to answer, with the broker's own users."""
        identity = self.identity
        password: bytes | None = None
        if request.mechanism == PLAIN:
            identity.username = request.credentials[0].decode("utf-8", "replace")
            password = request.credentials[1]
        elif request.mechanism == CURVE:
            self._authenticate_key(request.credentials[0], now)
            return
        identity.client_id = identity.username or ""
        authenticator = self.broker.authenticator
        decision = ALLOWED
        if authenticator is not None:
            decision = authenticator.authenticate(identity, password)
        if isinstance(decision, Pending):
            if decision.settled is None:
                self.wait_for(
                    decision,
                    lambda made, now: self._let_in(authenticator, request, made, now),
                )
                return
            decision = decision.settled
        self._authenticated(decision, now)

    def _authenticate_key(self, key: bytes, now: float) -> None:
        """A key that the listener knows is its user, and no password is asked."""
        username = self.place.users_by_key.get(key)
        if username is None:
            self.end_text = "its CURVE key is not in zmtp_curve_keys"
            self._heed(self.connection.zap_reply(400, now), now)
            return
        self.key = key
        self.identity.username = username
        self.identity.proof = CERTIFICATE
        self._authenticated(ALLOWED, now)

    def _let_in(
        self,
        authenticator: Authenticator | None,
        request: ev.ZapRequest,
        decision: Decision,
        now: float,
    ) -> None:
        """The answer has come; if others decide by now, they are asked instead."""
        if authenticator is self.broker.authenticator:
            self._authenticated(decision, now)
        else:
            self._authenticate(request, now)

    def _authenticated(self, decision: Decision, now: float) -> None:
        if decision.outcome != ALLOW:
            self.broker.hooks.denied(self.identity.username or "", "connect", "", decision.text)
        status = 200 if decision.outcome == ALLOW else 400
        user = self.identity.username or ""
        self._heed(self.connection.zap_reply(status, now, user), now)

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
        fault = self._begin(event, session, now)
        if fault:
            self._refuse(fault)
            return
        place = "" if self.queue is None else self.queue.name
        broker.hooks.peer_ready(self, event.socket_type, self.client_id, place)

    def _begin(self, event: ev.Ready, session: Session, now: float) -> str:
        """Take part, as what it is; returns why that cannot be."""
        kind = event.socket_type
        if kind in ("SUB", "XSUB"):
            return ""
        if kind in ("PUB", "XPUB"):
            self.connection.subscribe(b"")
            self._handle = self._publish
            return ""
        fault = self._find_queue(event)
        if fault:
            return fault
        if kind in _CONSUMERS:
            return self._consume(kind, session, now)
        if kind == "PUSH":
            self._handle = self._put
            return ""
        token = self.broker.new_client_id()
        self._requests = Requests(token)
        self.broker.router.replies[token] = self
        self._handle = self._request
        return ""

    def _find_queue(self, event: ev.Ready) -> str:
        """What it puts into or takes from; returns why there is nothing."""
        named = find_property(event.metadata, QUEUE_PROPERTY)
        name = "" if named is None else named.decode("utf-8", "replace")
        if not name and event.identity.startswith(b"queue/"):
            name = event.identity.split(b"/")[1].decode("utf-8", "replace")
        if not name:
            name = self.place.user_queues.get(self.identity.username or "", "")
        name = name or self.place.queue
        fault = self._why_no_queue(event.socket_type, QUEUE_PREFIX + name)
        if name and fault:
            return fault
        if not name:
            return (
                f"a {event.socket_type} needs a queue, and nothing names one: zmtp_queue, "
                f"zmtp_user_queue, a routing id queue/NAME, or {QUEUE_PROPERTY}"
            )
        try:
            self.queue = self.broker.queues.need(name)
        except QueueError as error:
            return str(error)
        return ""

    def _why_no_queue(self, kind: str, topic: str) -> str:
        """Why it may not use a queue, as far as that is known at once; so it makes none either."""
        authorizer, session = self.broker.authorizer, self.session
        assert session is not None
        if authorizer is None:
            return ""
        if kind in _CONSUMERS:
            return why_not_get(authorizer, session, topic)
        decision = authorizer.authorize(self.identity, PUBLISH, topic)
        if isinstance(decision, Pending):
            decision.cancel()
            return ""
        return "" if decision.outcome == ALLOW else decision.text or "not authorised"

    def _consume(self, kind: str, session: Session, now: float) -> str:
        queue = self.queue
        outbox = session.outbox
        assert queue is not None
        assert isinstance(outbox, ZmqOutbox)
        if kind == "PULL":
            consumer = Puller(queue, outbox, self)
        else:
            consumer = Worker(queue, outbox, self, one_by_one=kind == "REP")
            self._handle = self._answer
        self._consumer = consumer
        outbox.consumers = [consumer]
        queue.join(consumer, now)
        return ""

    # -- subscriptions ------------------------------------------------------------------------

    def _subscribe(self, prefix: bytes) -> None:
        session = self.session
        if session is None:
            return
        count = self._prefixes.get(prefix, 0)
        if not count:
            if len(self._prefixes) >= SUBSCRIPTIONS_MAX:
                self._drop("too many prefixes")
                return
            self.broker.router.subscribe_prefix(prefix, session)
        self._prefixes[prefix] = count + 1

    def _cancel(self, prefix: bytes) -> None:
        count = self._prefixes.get(prefix, 0)
        if count > 1:
            self._prefixes[prefix] = count - 1
        elif count and self.session is not None:
            del self._prefixes[prefix]
            self.broker.router.unsubscribe_prefix(prefix, self.session)

    # -- messages of the peer -----------------------------------------------------------------

    def _take(self, items: list[Received], now: float) -> None:
        for index, item in enumerate(items):
            if self.waiting is not None:
                self._held_back += items[index:]
                return
            session = self.session
            if session is None or self.closing:
                return
            self.broker.metrics.publish_received += 1
            self._handle(item, session, now)

    def _ignore(self, item: Received, session: Session, now: float) -> None:
        """What a subscriber or a PULL says is nobody's business."""
        self._drop("out of type")

    def _split_properties(self, frames: list[bytes]) -> Properties | None:
        """Take the frame with the properties off, where the peer sends one.

        Raises:
            MidgeError: it is none.
        """
        session = self.session
        assert session is not None
        outbox = session.outbox
        if isinstance(outbox, ZmqOutbox) and outbox.with_properties and len(frames) > 1:
            return read_properties(frames.pop())
        return None

    def _message(self, topic: str, body: list[bytes], given: Properties | None) -> Message:
        payload, properties = payload_of(body)
        if given is not None:
            if properties is not None:
                given.values[props.CONTENT_TYPE] = properties.values[props.CONTENT_TYPE]
            properties = given
        self.broker.metrics.publish_bytes_received += len(payload)
        return Message(topic, payload, 0, False, properties, origin=self.client_id)

    def _publish(self, item: Received, session: Session, now: float) -> None:
        """A message of a PUB: the first frame is the topic."""
        frames = [item] if isinstance(item, bytes) else list(item)
        try:
            given = self._split_properties(frames)
        except MidgeError:
            self._drop("bad properties")
            return
        topic = topic_of(frames[0])
        if not is_topic(topic):
            self._drop("topic too long")  # in the spelling of a frame that is none
            return
        if topic[0] == "$" and queue_name(topic) is None and not topic.startswith(REPLY_PREFIX):
            self._drop("not to publish to")
            return
        message = self._message(topic, frames[1:], given)
        if self._may(topic):
            self._route(message, session, now)
        else:
            self._ask(message, session, now)

    def _may(self, topic: str) -> bool:
        """Whether it is known that it may publish there."""
        return self.broker.authorizer is None or topic in self.allowed_topics

    def _ask(self, message: Message, session: Session, now: float) -> None:
        authorizer = self.broker.authorizer
        assert authorizer is not None
        decision = authorizer.authorize(self.identity, PUBLISH, message.topic)
        if isinstance(decision, Pending):
            if decision.settled is None:
                self.wait_for(
                    decision, lambda made, now: self._answered(authorizer, message, made, now)
                )
                return
            decision = decision.settled
        self._judged(message, decision, now)

    def _answered(
        self, authorizer: Authorizer, message: Message, decision: Decision, now: float
    ) -> None:
        """The answer has come; if others decide by now, they are asked instead."""
        session = self.session
        if authorizer is self.broker.authorizer:
            self._judged(message, decision, now)
        elif session is None:
            return
        elif self._may(message.topic):
            self._route(message, session, now)
        else:
            self._ask(message, session, now)

    def _judged(self, message: Message, decision: Decision, now: float) -> None:
        session = self.session
        if session is None:
            return
        if decision.outcome != ALLOW:
            self.broker.hooks.denied(self.client_id, "publish", message.topic, decision.text)
            self._drop("not allowed")
            return
        if decision is ALLOWED_BY_RULES and len(self.allowed_topics) < SUBSCRIPTIONS_MAX:
            self.allowed_topics.add(message.topic)
        self._route(message, session, now)

    def _route(self, message: Message, session: Session, now: float) -> None:
        """Give a message that may be published to the router, once there is room for it."""
        broker = self.broker
        queue = None if not broker.queues.full else broker.router.full_queue(message.topic)
        if queue is not None:
            self.wait_for(
                queue.wait_for_room(), lambda made, now: self._route(message, session, now)
            )
            return
        keeper = broker.keeper
        if keeper is not None and keeper.full() and broker.router.fills_stored_queue(message.topic):
            # What comes faster than the disk would be collected in memory without end.
            self.wait_for(keeper.wait(), lambda made, now: self._route(message, session, now))
            return
        name = queue_name(message.topic)
        if name is not None and broker.queues.get(name) is None:
            try:
                broker.queues.need(name)
            except QueueError:
                self._drop("no such queue")
                return
        broker.router.publish(message, session, now)
        if broker.router.crowded is not None:
            self.hold(broker.router.crowded)

    def _put(self, item: Received, session: Session, now: float) -> None:
        """A message of a PUSH."""
        frames = [item] if isinstance(item, bytes) else list(item)
        assert self.queue is not None
        try:
            given = self._split_properties(frames)
        except MidgeError:
            self._drop("bad properties")
            return
        message = self._message(QUEUE_PREFIX + self.queue.name, frames, given)
        if self._may(message.topic):
            self._route(message, session, now)
        else:
            self._ask(message, session, now)

    # -- requests and replies -----------------------------------------------------------------

    def _request(self, item: Received, session: Session, now: float) -> None:
        """A request of a REQ or DEALER: the envelope comes back with the reply."""
        frames = [item] if isinstance(item, bytes) else list(item)
        envelope: list[bytes] = []
        if DELIMITER in frames:
            end = frames.index(DELIMITER) + 1
            envelope, frames = frames[:end], frames[end:]
        assert self.queue is not None
        requests = self._requests
        assert requests is not None
        try:
            own = self._split_properties(frames)
        except MidgeError:
            self._drop("bad properties")
            return
        if requests.forget_oldest():
            self._drop("forgotten request")
        given = requests.add(self.broker.new_client_id().encode(), envelope, own)
        message = self._message(QUEUE_PREFIX + self.queue.name, frames, given)
        if self._may(message.topic):
            self._route(message, session, now)
        else:
            self._ask(message, session, now)

    def reply(self, message: Message, now: float) -> bool:
        """Somebody replies to one of its requests; see :class:`midge.broker.router.Replies`."""
        requests, session = self._requests, self.session
        if requests is None or session is None or self.closing:
            return False
        question = requests.take(message)
        if question is None:
            return False
        outbox = session.outbox
        assert isinstance(outbox, ZmqOutbox)
        frames = [*question.envelope, *body_of(message)]
        if outbox.with_properties:
            properties = with_correlation(message.properties, question.correlation)
            frames.append(encode_publish_properties(properties, -1, (), 0))
        self.connection.send_multipart(frames or [b""])
        self.broker.metrics.publish_sent += 1
        self.acknowledged()
        return True

    def _answer(self, item: Received, session: Session, now: float) -> None:
        """A worker's reply: its acknowledgement, and for whoever asked."""
        consumer = self._consumer
        assert isinstance(consumer, Worker)
        frames = [item] if isinstance(item, bytes) else item
        in_shape = len(frames) > 1 and frames[1] == DELIMITER
        # A reply out of shape leaves the request where it is: with the worker, for others later.
        request = consumer.working.get(frames[0]) if in_shape else None
        if request is None:
            self._drop("no such request")
            return
        body = frames[2:]
        try:
            given = self._split_properties(body)
        except MidgeError:
            self._drop("bad properties")  # and the request is not acknowledged
            return
        del consumer.working[frames[0]]
        refused = _REFUSED if body and body[0] == REFUSE else 0
        queue = consumer.queue
        message = request.message
        late = request.consumer is not consumer
        queue.settle(request, self, refused, now)
        if late:
            self._drop("late reply")  # another worker has the request, or has answered it
            return
        if refused or message.properties is None:
            return
        topic = message.properties.get_str(props.RESPONSE_TOPIC)
        if topic is None:
            return
        if never_written(topic):
            self._drop("not to publish to")
            return
        correlation = message.properties.get_bytes(props.CORRELATION_DATA)
        answer = self._message(topic, body, with_correlation(given, correlation))
        waited_for = topic.startswith(REPLY_PREFIX) and bool(self.broker.router.replies)
        if waited_for or self._may(topic):
            self._route(answer, session, now)
        else:
            self._ask(answer, session, now)
