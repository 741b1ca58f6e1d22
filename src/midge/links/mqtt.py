"""An MQTT client as a link of the broker: its packets become messages, sessions, subscriptions.

Sans-I/O: the shell gives it bytes and the time, writes what its connection has queued, and closes
when :attr:`MqttLink.closing` says so. One method for each packet; the acknowledgement of a publish
is queued when the router has taken the message.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from midge.auth.acl_rules import never_written
from midge.auth.base import (
    ALLOW,
    ALLOWED,
    ALLOWED_BY_RULES,
    PUBLISH,
    SUBSCRIBE,
    Authorizer,
    Decision,
    Identity,
    Pending,
)
from midge.broker import control
from midge.broker.broker import Broker
from midge.broker.deadlines import Ticket
from midge.broker.delivery import MQTT_3, MQTT_5
from midge.broker.link import Endpoint, Link
from midge.broker.permission import why_not_get
from midge.broker.plain_run import PLAIN_BYTES_MAX
from midge.broker.queues import QueueError
from midge.broker.rates import Bucket
from midge.broker.router import REPLY_PREFIX
from midge.compiled import mypyc_attr
from midge.errors import ProtocolError
from midge.limits import LINK_TOPICS_MAX, RETAINED_OWED_MAX, SUBSCRIPTIONS_MAX
from midge.links import mqtt_connect
from midge.links.mqtt_connect import Authentication
from midge.message import NEVER, Message
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.connection import SERVER, Connection, Violation
from midge.mqtt.decode import decode_packet, packet_length
from midge.mqtt.reasons import Reason
from midge.mqtt.states import CONNECTED
from midge.topics.filters import queue_name, split_shared
from midge.topics.remap import fault_of_filter, fault_of_topic, mounted_filter, mounted_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.broker.keeper import Keeper
    from midge.broker.session import Session
    from midge.config.settings import ListenerSettings
    from midge.store.journal import Journal

#: A PUBLISH at QoS 0, not retained, not a duplicate: what the fast lane begins with.
_PLAIN: Final = 0x30
#: What no link waits to say: a deque of its own for each costs 0.75 KiB, and most need none.
_NO_ACKS: Final[deque[tuple[int, int, int, int]]] = deque(maxlen=0)
_NO_ANSWERS: Final[deque[tuple[int, p.Packet]]] = deque(maxlen=0)
#: Where orders for queues go: they are taken even if nothing else can be.
_CONTROL: Final = control.TOPIC
_ID_NOT_FOUND: Final = 0x92
_NO_SUBSCRIBERS: Final = 0x10


@mypyc_attr(allow_interpreted_subclasses=True)
class MqttLink(Link):
    """One client's connection.

    Attributes:
        connection: the protocol state; its ``out`` is what is to be written.
        listener: the settings of the listener that it came by.
        address, port: where the client connects from.
        listener_port: where it came in.
        mount: what its topics begin with for all others: ``mount_point`` when it came.
        client_id: once it is known.
        identity: as whom it came in, where there is somebody to ask about it.
        closing: write what is queued, then close.
        authentication: an exchange of AUTH packets that is under way.
        certified: who the client is according to its certificate; ``None`` where it has none that
            counts.
        waiting: a decision without which nothing more of this client is handled.
        rested_until: it comes faster than its rate limit, and is not read before this.
    """

    __slots__ = (
        "_asked",
        "_byte_rate",
        "_held_back",
        "_limited",
        "_message_rate",
        "_ticket",
        "_trace",
        "_unsafe",
        "_unsafe_answers",
        "address",
        "auth_method",
        "authentication",
        "certified",
        "client_id",
        "closing",
        "connection",
        "gone",
        "identity",
        "listener",
        "listener_port",
        "max_qos",
        "mount",
        "plain",
        "port",
        "problem_information",
        "rested_until",
        "waiting",
    )

    def __init__(
        self,
        broker: Broker,
        listener: ListenerSettings,
        address: str,
        port: int,
        listener_port: int,
        now: float,
    ) -> None:
        super().__init__(broker)
        settings = broker.settings
        self.certified: str | None = None
        self.connection = Connection(
            SERVER, 0, settings.packet_bytes_max, now, settings.connect_timeout_s
        )
        self.listener = listener
        self.address = address
        self.port = port
        self.listener_port = listener_port
        self.identity: Identity | None = None
        self.client_id = ""
        self.closing = False
        self.gone = False
        self.authentication: Authentication | None = None
        self.auth_method = ""
        self.max_qos: int = listener.max_qos
        self.mount = listener.mount_point or ""
        self.plain = False
        self.problem_information = True
        self._trace = broker.hooks.trace
        # Whether a publish needs a look that most brokers do not ask for.
        self._asked = self._is_asked()
        self.allowed = None if broker.authorizer is None else set()
        # Answers that wait for a batch of the store, with its number, in order.
        self._unsafe = _NO_ACKS
        self._unsafe_answers = _NO_ANSWERS
        self.waiting: Pending | None = None
        self._held_back: list[p.Packet] = []
        self.rested_until = 0.0
        self._message_rate: Bucket | None = None
        self._byte_rate: Bucket | None = None
        self._limited = settings.rate_limit_messages > 0 or settings.rate_limit_bytes > 0
        if self._limited:
            self._limit_rate(now)
        self._ticket: Ticket | None = broker.deadlines.add(self)
        broker.metrics.connections += 1

    # -- bytes --------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Read a chunk from the client."""
        if self.end_reason >= 0:
            return  # it is being closed, and what it still says is nobody's affair
        connection = self.connection
        broker = self.broker
        metrics = broker.metrics
        metrics.bytes_received += len(data)
        size = len(data)
        before = metrics.publish_received
        data = connection.take_pending(data)
        consumed = 0
        if self.plain and data and data[0] == _PLAIN:
            consumed = broker.router.fanout.forward_plain(
                data, connection.version, broker.router, self, now
            )
            if consumed:
                connection.heard(now)
        if not consumed:
            self._handle_all(connection.receive_data(data, now), now)
        elif consumed < len(data):
            self._handle_all(connection.receive_data(data[consumed:], now), now)
        if self._limited:
            self._take_from_rate(size, metrics.publish_received - before, now)

    def _handle_all(self, packets: list[p.Packet], now: float) -> None:
        self.broker.metrics.packets_received += len(packets)
        try:
            for index, packet in enumerate(packets):
                if self.closing:
                    break  # [MQTT-3.1.4-6]: nothing behind a refusal is looked at
                if self.waiting is not None:
                    self._held_back = packets[index:]
                    break
                if self._trace:
                    self.broker.hooks.packet_in(self, packet)
                if self.session is None:
                    self._handle_first(packet, now)
                else:
                    self._handle(packet, self.session, now)
        except ProtocolError as error:
            self.fail(error.reason, str(error), now)
        connection = self.connection
        if connection.packets_sent:
            self.broker.metrics.packets_sent += connection.packets_sent
            connection.packets_sent = 0

    def wait_for(self, decision: Decision, go_on: Callable[[Decision, float], None]) -> None:
        """A decision about this client comes later: it is not read until then.

        ``go_on`` is called with it, and then what came behind the packet that had to wait is
        handled.
        """
        assert isinstance(decision, Pending)
        self.waiting = decision

        def decided(made: Decision, now: float) -> None:
            self.waiting = None
            self.broker.released.append(self)
            if not self.closing:
                go_on(made, now)
            packets = self._held_back
            self._held_back = []
            self._handle_all(packets, now)

        decision.wait(decided)

    def receive_eof(self, now: float, text: str = "connection closed by client") -> None:
        """The connection is gone; called once, whoever closed it."""
        if self.gone:
            return
        self.gone = True
        self.closing = True
        self.plain = False
        self.connection.receive_eof(now)
        self.broker.metrics.packets_sent += self.connection.packets_sent
        if self._unsafe or self._unsafe_answers:
            self._unsafe.clear()
            self._unsafe_answers.clear()
            assert self.broker.keeper is not None
            self.broker.keeper.links.pop(self, None)
        self.broker.deadlines.cancel(self._ticket)
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
        if self.held_by is not None:
            waiters = self.held_by.waiters
            if waiters is not None and self in waiters:
                waiters.remove(self)
            self.held_by = None
        if self.end_reason < 0:
            self.broker.hooks.disconnected(self, self.client_id, -1, text)
        else:
            self.broker.hooks.disconnected(self, self.client_id, self.end_reason, self.end_text)
        self.broker.sessions.leave(self, now, keep_will=True)

    def next_deadline(self) -> float | None:
        """See :meth:`Link.next_deadline`."""
        if self.closing:
            return None
        if self.rested_until:
            return self.rested_until
        when = self.connection.next_deadline()
        identity = self.identity
        if identity is not None and identity.valid_until != NEVER:
            when = identity.valid_until if when is None else min(when, identity.valid_until)
        return when

    def tick(self, now: float) -> None:
        """Keep alive, the time limit for CONNECT, and that of what the client came in with."""
        if self.rested_until:
            if self.rested_until > now:
                return
            self.rested_until = 0.0
            self.connection.heard(now)  # that it was not heard was our doing
            self.broker.released.append(self)
        for event in self.connection.tick(now):
            if isinstance(event, Violation):
                self._violated(event, now)
        identity = self.identity
        if identity is not None and identity.valid_until <= now and not self.closing:
            self.fail(int(Reason.NOT_AUTHORIZED), "what it came in with has expired", now)

    def rules_changed(self) -> None:
        """See :meth:`Link.rules_changed`."""
        self._asked = self._is_asked()
        self._trace = self.broker.hooks.trace
        self.allowed = None if self.broker.authorizer is None else set()
        if self.session is not None:
            self.plain = self._may_be_plain()

    def _is_asked(self) -> bool:
        broker = self.broker
        return (
            broker.authorizer is not None
            or broker.settings.payload_bytes_max > 0
            or self.mount != ""
        )

    def rates_changed(self, now: float) -> None:
        """See :meth:`Link.rates_changed`."""
        self._limit_rate(now)
        if self.rested_until and not self._limited:
            self.rested_until = now
            self.watch()

    def _limit_rate(self, now: float) -> None:
        settings = self.broker.settings
        messages, size = settings.rate_limit_messages, settings.rate_limit_bytes
        self._limited = messages > 0 or size > 0
        self._message_rate = Bucket(messages, now) if messages else None
        self._byte_rate = Bucket(size, now) if size else None

    def _take_from_rate(self, size: int, messages: int, now: float) -> None:
        """Count what was read, and let the client rest where that was too much."""
        wait_s = 0.0
        if self._byte_rate is not None:
            wait_s = self._byte_rate.take(size, now)
        if self._message_rate is not None:
            wait_s = max(wait_s, self._message_rate.take(messages, now))
        if wait_s > 0 and not self.closing:
            self.rested_until = now + wait_s
            self.broker.metrics.throttled += 1
            self.broker.hooks.throttled(self, wait_s)
            self.watch()

    def is_held(self) -> bool:
        """Whether it is not to be read now: for others, for a decision, or for its own haste."""
        return self.held_by is not None or self.waiting is not None or self.rested_until > 0

    def close(self) -> None:
        """Say the goodbye that the core asked for; the shell closes afterwards."""
        if not self.closing:
            self.connection.violate(self.end_reason, self.end_text)
            self.closing = True
            self.plain = False

    def sent(self, data: bytes) -> None:
        """Tell the onlookers what was written; only called when they trace."""
        pos = 0
        while pos < len(data):
            start, end = packet_length(data, pos)
            packet = decode_packet(data, start, end, data[pos], self.connection.version or 4)
            self.broker.hooks.packet_out(self, packet)
            pos = end

    def watch(self) -> None:
        """The deadline may have come closer: look at it anew."""
        self.broker.deadlines.cancel(self._ticket)
        self._ticket = self.broker.deadlines.add(self)

    def endpoint(self) -> Endpoint:
        """See :meth:`Link.endpoint`."""
        return Endpoint(self.client_id, self.address, self.port, self.listener_port)

    # -- packets --------------------------------------------------------------------------------

    def _handle_first(self, packet: p.Packet, now: float) -> None:
        """A packet of a client that has not come in yet."""
        if isinstance(packet, p.Connect):
            mqtt_connect.connect(self, packet, now)
        elif isinstance(packet, p.Auth):
            mqtt_connect.authenticate(self, packet, now)
        elif isinstance(packet, Violation):
            self._violated(packet, now)
        elif isinstance(packet, p.Disconnect):
            self.closing = True
        else:
            # CONNECT waits for its authentication: nothing else may come (section 4.12).
            self.fail(int(Reason.PROTOCOL_ERROR), f"{type(packet).__name__} before CONNACK", now)

    def _handle(self, packet: p.Packet, session: Session, now: float) -> None:
        """A packet of a client with a session; the frequent ones first."""
        if isinstance(packet, p.Publish):
            if self.mount:
                packet.topic = mounted_topic(self.mount, packet.topic)
            self._publish(packet, session, now)
        elif isinstance(packet, p.Puback):
            reason = packet.reason
            session.outbox.puback(packet.packet_id, now, reason if reason >= 0x80 else 0)
        elif isinstance(packet, p.Pubrec):
            self._received(packet, session, now)
        elif isinstance(packet, p.Pubrel):
            known = session.incoming.release(packet.packet_id)
            if known and session.key:
                self._journal().release_incoming(session.key, packet.packet_id)
            reason = 0 if known else _ID_NOT_FOUND
            self._ack_when_safe(p.PUBCOMP, packet.packet_id, reason, bool(session.key))
        elif isinstance(packet, p.Pubcomp):
            session.outbox.pubcomp(packet.packet_id, now)
        elif isinstance(packet, p.Pingreq):
            self.connection.send(p.Pingresp(), now)
        elif isinstance(packet, p.Subscribe):
            self._subscribe(packet, session, now)
        elif isinstance(packet, p.Unsubscribe):
            self._unsubscribe(packet, session, now)
        elif isinstance(packet, p.Disconnect):
            self._disconnect(packet, session, now)
        elif isinstance(packet, p.Auth):
            mqtt_connect.authenticate(self, packet, now)
        elif isinstance(packet, Violation):
            self._violated(packet, now)

    # -- messages from the client -----------------------------------------------------------------

    def _publish(self, packet: p.Publish, session: Session, now: float) -> None:
        broker = self.broker
        keeper = broker.keeper
        if keeper is not None and keeper.full() and self._is_kept(packet, session):
            self._publish_later(packet, session, keeper)
            return
        metrics = broker.metrics
        if metrics.memory_full and (packet.qos or packet.retain) and packet.topic != _CONTROL:
            self._refuse_for_memory(packet, session, now)
            return
        metrics.publish_received += 1
        metrics.publish_bytes_received += len(packet.payload)
        qos = packet.qos
        if qos > self.max_qos:
            self.fail(int(Reason.QOS_NOT_SUPPORTED), f"QoS {qos} is not allowed here", now)
            return
        if packet.retain and not broker.settings.retain_available:
            self.fail(int(Reason.RETAIN_NOT_SUPPORTED), "retain is not available", now)
            return
        if qos == 2 and packet.packet_id in session.incoming:
            # It was had, and passed on, before.
            self._ack_when_safe(p.PUBREC, packet.packet_id, 0, bool(session.key))
            return
        if self._asked or (packet.topic[0] == "$" and packet.topic not in broker.queues.topics):
            reason, text = self._refusal(packet)
            if reason:
                self._refuse_publish(packet, session, text, reason)
                return
            if broker.authorizer is not None and not self._is_reply(packet.topic):
                self._permit(packet, session, now)
                return
        self._pass_on(packet, session, now)

    def _is_reply(self, topic: str) -> bool:
        """Whether the router gives it to one who waits for it, and not to subscribers."""
        return topic.startswith(REPLY_PREFIX) and bool(self.broker.router.replies)

    def _permit(self, packet: p.Publish, session: Session, now: float) -> None:
        """Pass a message on if the rules let this client publish it, as soon as that is known."""
        authorizer = self.broker.authorizer
        if authorizer is None:
            self._pass_on(packet, session, now)
            return
        assert self.identity is not None
        decision = authorizer.authorize(self.identity, PUBLISH, packet.topic)
        if isinstance(decision, Pending):
            if decision.settled is None:
                self.wait_for(
                    decision,
                    lambda made, now: self._permitted(authorizer, packet, session, made, now),
                )
                return
            decision = decision.settled
        if decision is ALLOWED_BY_RULES:
            self._note_allowed(packet.topic)
        self._judged(packet, session, decision, now)

    def _permitted(
        self,
        authorizer: Authorizer,
        packet: p.Publish,
        session: Session,
        decision: Decision,
        now: float,
    ) -> None:
        """The answer has come; if others decide by now, they are asked instead."""
        if authorizer is self.broker.authorizer:
            self._judged(packet, session, decision, now)
        elif session.link is self:
            self._permit(packet, session, now)

    def _refuse_for_memory(self, packet: p.Publish, session: Session, now: float) -> None:
        """The memory is at its limit: take nothing that would have to be kept."""
        self.broker.metrics.refused_memory += 1
        text = "memory_limit is reached"
        if self.connection.version != 5:
            # 3.1.1 cannot refuse a message: without an acknowledgement, it will come again.
            self.fail(int(Reason.QUOTA_EXCEEDED), text, now)
        elif packet.qos == 2 and packet.packet_id in session.incoming:
            self._ack_when_safe(p.PUBREC, packet.packet_id, 0, bool(session.key))
        else:
            self._refuse_publish(packet, session, text, int(Reason.QUOTA_EXCEEDED))

    def _note_allowed(self, topic: str) -> None:
        """The rules let it publish there: the fast lane need not ask."""
        allowed = self.allowed
        if allowed is not None and self.plain:
            if len(allowed) >= LINK_TOPICS_MAX:
                allowed.clear()
            allowed.add(topic.encode())

    def _judged(self, packet: p.Publish, session: Session, decision: Decision, now: float) -> None:
        """Whether it may be published was decided, at once or later."""
        if session.link is not self:
            return
        if decision.outcome == ALLOW:
            self._pass_on(packet, session, now)
        else:
            text = decision.text or "not authorised"
            self._refuse_publish(packet, session, text, int(Reason.NOT_AUTHORIZED))

    def _pass_on(self, packet: p.Publish, session: Session, now: float) -> None:
        """Give a message that may be published to the router, and acknowledge it."""
        qos = packet.qos
        router = self.broker.router
        if packet.topic[0] == "$" and packet.topic not in self.broker.queues.topics:
            name = queue_name(packet.topic)
            fault = "" if name is None else self._make_queue(name)
            if fault:
                self._refuse_publish(packet, session, fault, int(Reason.TOPIC_NAME_INVALID))
                return
        if qos and self.broker.queues.full and self._is_rejected(packet, session):
            return
        if qos == 2:
            # Not before: a client that leaves while it waits for leave or room sends it again.
            self._take_incoming(packet, session)
        message = self._message(packet, now)
        keeper = self.broker.keeper
        noted = 0 if keeper is None else keeper.journal.next_seq
        matched = router.publish(message, session, now)
        if router.crowded is not None:
            self.hold(router.crowded)
        if qos:
            self._ack_when_safe(
                p.PUBACK if qos == 1 else p.PUBREC,
                packet.packet_id,
                0 if matched else _NO_SUBSCRIBERS,
                # A topic that is retained no more has to be safe as well. (What is kept may be
                # a copy of the message, so its number says nothing. Orders have answers.)
                packet.retain
                or (qos == 2 and session.key > 0)
                or (
                    keeper is not None
                    and keeper.journal.next_seq != noted
                    and packet.topic != _CONTROL
                ),
            )

    def _take_incoming(self, packet: p.Publish, session: Session) -> None:
        """Note that a QoS 2 message was had: it may come again until its PUBREL does."""
        session.incoming.take(packet.packet_id)
        if session.key:
            self._journal().take_incoming(session.key, packet.packet_id)

    def _message(self, packet: p.Publish, now: float) -> Message:
        properties = packet.properties
        expires_at = NEVER
        if properties is not None:
            expiry_s = properties.get_int(props.MESSAGE_EXPIRY_INTERVAL, -1)
            if expiry_s >= 0:
                expires_at = now + expiry_s
        return Message(
            packet.topic,
            packet.payload,
            packet.qos,
            packet.retain,
            properties,
            expires_at,
            self.client_id,
        )

    def _refusal(self, packet: p.Publish) -> tuple[int, str]:
        """Why nobody may publish this: reason code and text; 0 when it may be asked further."""
        if self.mount:
            fault = fault_of_topic(self.mount, packet.topic)
            if fault:
                return int(Reason.TOPIC_NAME_INVALID), fault
        payload_max = self.broker.settings.payload_bytes_max
        if payload_max and len(packet.payload) > payload_max:
            return int(Reason.QUOTA_EXCEEDED), f"more than {payload_max} bytes of payload"
        text = never_written(packet.topic)
        return (int(Reason.NOT_AUTHORIZED), text) if text else (0, "")

    def _make_queue(self, name: str) -> str:
        """Have a queue of that name; why that cannot be, or an empty text."""
        try:
            self.broker.queues.need(name)
        except QueueError as error:
            return str(error)
        return ""

    def _refuse_publish(self, packet: p.Publish, session: Session, text: str, reason: int) -> None:
        self.broker.metrics.refused_publishes += 1
        self.broker.hooks.denied(session.client_id, "publish", packet.topic, text)
        # 3.1.1 has no way to refuse a publish: it is acknowledged and goes nowhere (3.3.5).
        if self.connection.version != 5:
            reason = 0
        if packet.qos == 1:
            self._ack(p.PUBACK, packet.packet_id, reason)
        elif packet.qos == 2:
            if not reason:
                self._take_incoming(packet, session)
            self._ack(p.PUBREC, packet.packet_id, reason)

    def _ack(self, packet_type: int, packet_id: int, reason: int) -> None:
        if reason and self.connection.version != 5:
            reason = 0
        self.connection.send_ack(packet_type, packet_id, reason)

    # -- what waits for the store ---------------------------------------------------------------

    def _journal(self) -> Journal:
        keeper = self.broker.keeper
        assert keeper is not None  # only then a session has a key
        return keeper.journal

    def _is_kept(self, packet: p.Publish, session: Session) -> bool:
        """Whether a publish makes something to be written."""
        if not packet.qos:
            # Of retained topics only the last is collected, however many come.
            return self.broker.router.fills_stored_queue(packet.topic)
        if packet.retain or (packet.qos == 2 and session.key):
            return True
        if packet.topic == _CONTROL:
            return False  # orders are what may help when the disk is full
        receivers = self.broker.router.receivers(packet.topic)
        return bool(receivers.groups) or any(
            subscription.session.key for subscription in receivers.subscriptions
        )

    def _is_rejected(self, packet: p.Publish, session: Session) -> bool:
        """Whether a full queue rejects a publish: with a reason, or by letting the client wait."""
        queue = self.broker.router.full_queue(packet.topic)
        if queue is None:
            return False
        queue.rejected += 1
        if self.connection.version == 5:
            text = f"the queue {queue.name} is full"
            self._refuse_publish(packet, session, text, int(Reason.QUOTA_EXCEEDED))
        else:
            self.wait_for(
                queue.wait_for_room(), lambda made, now: self._pass_on(packet, session, now)
            )
        return True

    def _publish_later(self, packet: p.Publish, session: Session, keeper: Keeper) -> None:
        """The store does not follow, or cannot write: refuse, or let the client wait."""
        if keeper.journal.failing and self.connection.version == 5:
            if packet.qos == 2 and packet.packet_id in session.incoming:
                self._ack_when_safe(p.PUBREC, packet.packet_id, 0, bool(session.key))
                return
            text = "the store cannot be written"
            self._refuse_publish(packet, session, text, int(Reason.QUOTA_EXCEEDED))
            return
        # 3.1.1 cannot be told: it gets no acknowledgement, and is not read until it can have one.
        self.wait_for(keeper.wait(), lambda made, now: self._publish(packet, session, now))

    def _ack_when_safe(self, packet_type: int, packet_id: int, reason: int, kept: bool) -> None:
        """Acknowledge, but in order, and where something is ``kept`` when that is safe.

        For the order: [MQTT-4.6.0-2] to [MQTT-4.6.0-4].
        """
        keeper = self.broker.keeper
        if keeper is not None and (kept or self._unsafe):
            number = keeper.journal.covering() if kept else 0
            if self._unsafe or number > keeper.journal.safe:
                if self._unsafe is _NO_ACKS:
                    self._unsafe = deque()
                self._unsafe.append((number, packet_type, packet_id, reason))
                keeper.links[self] = None
                return
        self._ack(packet_type, packet_id, reason)

    def _send_when_safe(self, answer: p.Packet, now: float) -> None:
        """Answer when what was asked for is safe."""
        keeper = self.broker.keeper
        assert keeper is not None
        number = keeper.journal.covering()
        if self._unsafe_answers or number > keeper.journal.safe:
            if self._unsafe_answers is _NO_ANSWERS:
                self._unsafe_answers = deque()
            self._unsafe_answers.append((number, answer))
            keeper.links[self] = None
        else:
            self.connection.send(answer, now)

    def safe(self, number: int, now: float) -> None:
        """See :meth:`Link.safe`."""
        answers = self._unsafe_answers
        while answers and answers[0][0] <= number:
            _, answer = answers.popleft()
            if not self.closing:
                try:
                    self.connection.send(answer, now)
                except ProtocolError as error:
                    self.fail(error.reason, str(error), now)
        unsafe = self._unsafe
        while unsafe and unsafe[0][0] <= number:
            _, packet_type, packet_id, reason = unsafe.popleft()
            if not self.closing:
                self._ack(packet_type, packet_id, reason)
        if not unsafe and not answers:
            assert self.broker.keeper is not None
            self.broker.keeper.links.pop(self, None)
        self.acknowledged()

    def acknowledged(self) -> None:
        """Acknowledgements were queued outside of a turn of this link: the shell writes them."""

    # -- acknowledgements from the client ------------------------------------------------------

    def _received(self, packet: p.Pubrec, session: Session, now: float) -> None:
        outbox = session.outbox
        packet_id = packet.packet_id
        known = outbox.outgoing.knows(packet_id)
        if outbox.pubrec(packet_id, packet.reason >= 0x80, now):
            self._ack(p.PUBREL, packet_id, 0 if known else _ID_NOT_FOUND)

    # -- subscriptions ----------------------------------------------------------------------------

    def _subscribe(self, packet: p.Subscribe, session: Session, now: float) -> None:
        if self.mount:
            for entry in packet.entries:
                entry.filter = mounted_filter(self.mount, entry.filter)
        self._permit_all(packet, session, now)

    def _permit_all(self, packet: p.Subscribe, session: Session, now: float) -> None:
        authorizer = self.broker.authorizer
        if authorizer is None:
            self._subscribed(packet, session, [ALLOWED] * len(packet.entries), now)
            return
        self._ask(authorizer, packet, session, [], now)

    def _ask(
        self,
        authorizer: Authorizer,
        packet: p.Subscribe,
        session: Session,
        made: list[Decision],
        now: float,
    ) -> None:
        """Have the entries of a SUBSCRIBE decided one after the other, then act on all of them."""
        assert self.identity is not None
        while len(made) < len(packet.entries):
            filter = packet.entries[len(made)].filter
            shared = split_shared(filter)
            decision = authorizer.authorize(
                self.identity, SUBSCRIBE, filter if shared is None else shared[1]
            )
            if isinstance(decision, Pending):
                if decision.settled is None:
                    self.wait_for(
                        decision,
                        lambda late, now: self._answered(
                            authorizer, packet, session, [*made, late], now
                        ),
                    )
                    return
                decision = decision.settled
            made.append(decision)
        if session.link is self:
            self._subscribed(packet, session, made, now)

    def _answered(
        self,
        authorizer: Authorizer,
        packet: p.Subscribe,
        session: Session,
        made: list[Decision],
        now: float,
    ) -> None:
        """An answer has come; if others decide by now, they are asked instead, about all of it."""
        if authorizer is self.broker.authorizer:
            self._ask(authorizer, packet, session, made, now)
        elif session.link is self:
            self._permit_all(packet, session, now)

    def _subscribed(
        self, packet: p.Subscribe, session: Session, decisions: list[Decision], now: float
    ) -> None:
        identifier = 0
        if packet.properties is not None and packet.properties.subscription_ids:
            identifier = packet.properties.subscription_ids[0]
        reasons = [
            self._grant(entry, session, decision)
            for entry, decision in zip(packet.entries, decisions, strict=True)
        ]
        # SUBACK first, so that no client gets a message before it knows its subscription; unless
        # the subscription is to last: then it is granted when it is safe.
        answer = p.Suback(packet.packet_id, reasons)
        if not session.key:
            self.connection.send(answer, now)
        for entry, reason in zip(packet.entries, reasons, strict=True):
            self.broker.hooks.subscribed(session.client_id, entry.filter, reason)
            if reason < 0x80:
                self.broker.router.subscribe(session, entry, identifier, reason, now)
        if session.key:
            self._send_when_safe(answer, now)

    def _grant(self, entry: p.SubscribeTo, session: Session, decision: Decision) -> int:
        """The QoS that a subscription is granted, or why not."""
        if decision.outcome != ALLOW:
            self.broker.hooks.denied(session.client_id, "subscribe", entry.filter, decision.text)
            return int(Reason.NOT_AUTHORIZED) if self.connection.version == 5 else 0x80
        fault = fault_of_filter(self.mount, entry.filter) if self.mount else ""
        if fault:
            self.broker.hooks.denied(session.client_id, "subscribe", entry.filter, fault)
            return int(Reason.TOPIC_FILTER_INVALID) if self.connection.version == 5 else 0x80
        if len(session.subscriptions) >= SUBSCRIPTIONS_MAX and (
            entry.filter not in session.subscriptions
        ):
            text = f"it has {SUBSCRIPTIONS_MAX} subscriptions"
        elif session.outbox.owed > RETAINED_OWED_MAX:
            text = f"more than {RETAINED_OWED_MAX} retained messages wait for it to be read"
        else:
            name = queue_name(entry.filter)
            if name is None:
                return min(entry.qos, self.max_qos)
            text = why_not_get(self.broker.authorizer, session, entry.filter)
            if text:
                self.broker.hooks.denied(session.client_id, "subscribe", entry.filter, text)
                return int(Reason.NOT_AUTHORIZED) if self.connection.version == 5 else 0x80
            text = self._make_queue(name)
            if not text:
                # Who takes a message may have had it before: there is no "exactly once" here.
                return min(entry.qos, self.max_qos, 1)
        self.broker.hooks.denied(session.client_id, "subscribe", entry.filter, text)
        return int(Reason.QUOTA_EXCEEDED) if self.connection.version == 5 else 0x80

    def _unsubscribe(self, packet: p.Unsubscribe, session: Session, now: float) -> None:
        reasons = []
        for filter in packet.filters:
            if self.mount:
                filter = mounted_filter(self.mount, filter)
            existed = self.broker.router.unsubscribe(session, filter, now)
            reasons.append(0 if existed else int(Reason.NO_SUBSCRIPTION_EXISTED))
            self.broker.hooks.unsubscribed(session.client_id, filter)
        if self.connection.version != 5:
            reasons = []
        answer = p.Unsuback(packet.packet_id, reasons)
        if session.key:
            self._send_when_safe(answer, now)
        else:
            self.connection.send(answer, now)

    # -- the end ----------------------------------------------------------------------------------

    def _disconnect(self, packet: p.Disconnect, session: Session, now: float) -> None:
        properties = packet.properties
        if properties is not None:
            expiry_s = properties.get_int(props.SESSION_EXPIRY_INTERVAL, -1)
            if expiry_s > 0 and session.expiry_s == 0:
                # [MQTT-3.14.2-2]: it cannot become a lasting session in the end.
                self.connection.closing = False
                self.fail(int(Reason.PROTOCOL_ERROR), "session expiry raised from zero", now)
                return
            if expiry_s >= 0:
                session.expiry_s = expiry_s
        self.closing = True
        self.plain = False
        self.end_reason = packet.reason
        self.end_text = ""
        self.broker.sessions.leave(self, now, keep_will=packet.reason != 0)

    def _violated(self, event: Violation, now: float) -> None:
        """Say goodbye; the session learns of it at once."""
        self.connection.violate(event.reason, event.text)
        self.closing = True
        self.plain = False
        self.end_reason = event.reason
        self.end_text = event.text
        self.broker.sessions.leave(self, now, keep_will=True)

    def fail(self, reason: int, text: str, now: float) -> None:
        """A fault that only the meaning of a packet shows."""
        self._violated(Violation(reason, text), now)

    def begin(self, session: Session) -> None:
        """The client was accepted: its session's outbox writes to this connection from here on."""
        self.rules_changed()  # they may have while it was coming in
        session.link = self

    def _may_be_plain(self) -> bool:
        connection = self.connection
        settings = self.broker.settings
        return (
            connection.state == CONNECTED
            and self.broker.fast_lane
            and not settings.payload_bytes_max
            and not self._trace
            and not self.mount
            and not settings.queue_qos0
            and not settings.upgrade_outgoing_qos
            and (connection.packet_bytes_max >= PLAIN_BYTES_MAX)
        )

    def form(self) -> int:
        """The wire form that this client gets messages in."""
        return MQTT_5 if self.connection.version == 5 else MQTT_3
