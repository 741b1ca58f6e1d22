"""An MQTT client as a link of the broker: its packets become messages, sessions, subscriptions.

Sans-I/O: the shell gives it bytes and the time, writes what its connection has queued, and closes
when :attr:`MqttLink.closing` says so. Here are the packets that take little; CONNECT, PUBLISH and
SUBSCRIBE have modules of their own. The acknowledgement of a publish is queued when the router has
taken the message, and what it promises is safe.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from midge.auth.base import Decision, Identity, Pending
from midge.broker.broker import Broker
from midge.broker.deadlines import Ticket
from midge.broker.delivery import MQTT_3, MQTT_5
from midge.broker.link import Endpoint, Link
from midge.broker.plain_run import PLAIN_BYTES_MAX
from midge.broker.rates import Rates, rates_of
from midge.errors import ProtocolError
from midge.links import mqtt_connect
from midge.links.mqtt_connect import Authentication
from midge.links.mqtt_publish import publish
from midge.links.mqtt_subscribe import subscribe, unsubscribe
from midge.message import NEVER
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.connection import SERVER, Connection, Violation
from midge.mqtt.decode import decode_packet, packet_length
from midge.mqtt.reasons import Reason
from midge.mqtt.states import CONNECTED
from midge.topics.remap import mounted_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.broker.session import Session
    from midge.config.settings import ListenerSettings
    from midge.store.journal import Journal

#: A PUBLISH at QoS 0, not retained, not a duplicate: what the fast lane begins with.
_PLAIN: Final = 0x30
#: What no link waits to say: a deque of its own for each costs 0.75 KiB, and most need none.
_NO_ACKS: Final[deque[tuple[int, int, int, int]]] = deque(maxlen=0)
_NO_ANSWERS: Final[deque[tuple[int, p.Packet]]] = deque(maxlen=0)
_ID_NOT_FOUND: Final = 0x92


class MqttLink(Link):
    """One client's connection.

    Attributes:
        asked: a publish needs a look that most brokers do not ask for.
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
        "_held_back",
        "_rates",
        "_ticket",
        "_trace",
        "_unsafe",
        "_unsafe_answers",
        "address",
        "asked",
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
        self.asked = self._is_asked()
        self.allowed = None if broker.authorizer is None else set()
        # Answers that wait for a batch of the store, with its number, in order.
        self._unsafe = _NO_ACKS
        self._unsafe_answers = _NO_ANSWERS
        self.waiting: Pending | None = None
        self._held_back: list[p.Packet] = []
        self.rested_until = 0.0
        self._rates: Rates | None = rates_of(settings, now)
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
        if self._rates is not None:
            wait_s = self._rates.take(size, metrics.publish_received - before, now)
            if wait_s > 0 and not self.closing:
                self._rest(wait_s, now)

    def _handle_all(self, packets: list[p.Packet], now: float) -> None:
        self.broker.metrics.packets_received += len(packets)
        try:
            for index, packet in enumerate(packets):
                if self.closing:
                    break  # [MQTT-3.1.4-6]: nothing behind a refusal is looked at
                if self.waiting is not None:
                    self._held_back = packets[index:]
                    self.broker.metrics.packets_received -= len(self._held_back)  # not yet
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
                try:
                    go_on(made, now)
                except ProtocolError as error:
                    self.fail(error.reason, str(error), now)
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
        self.asked = self._is_asked()
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
        self._rates = rates_of(self.broker.settings, now)
        if self.rested_until and self._rates is None:
            self.rested_until = now
            self.watch()

    def _rest(self, wait_s: float, now: float) -> None:
        """Read no more of the client for a while."""
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
        self._ticket = self.broker.deadlines.move(self._ticket, self)

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
            publish(self, packet, session, now)
        elif isinstance(packet, p.Puback):
            reason = packet.reason
            session.outbox.puback(packet.packet_id, now, reason if reason >= 0x80 else 0)
        elif isinstance(packet, p.Pubrec):
            self._received(packet, session, now)
        elif isinstance(packet, p.Pubrel):
            known = session.incoming.release(packet.packet_id)
            if known and session.key:
                self.journal().release_incoming(session.key, packet.packet_id)
            reason = 0 if known else _ID_NOT_FOUND
            self.ack_when_safe(p.PUBCOMP, packet.packet_id, reason, bool(session.key))
        elif isinstance(packet, p.Pubcomp):
            session.outbox.pubcomp(packet.packet_id, now)
        elif isinstance(packet, p.Pingreq):
            self.connection.send(p.Pingresp(), now)
        elif isinstance(packet, p.Subscribe):
            subscribe(self, packet, session, now)
        elif isinstance(packet, p.Unsubscribe):
            unsubscribe(self, packet, session, now)
        elif isinstance(packet, p.Disconnect):
            self._disconnect(packet, session, now)
        elif isinstance(packet, p.Auth):
            mqtt_connect.authenticate(self, packet, now)
        elif isinstance(packet, Violation):
            self._violated(packet, now)

    # -- messages from the client -----------------------------------------------------------------

    def ack(self, packet_type: int, packet_id: int, reason: int) -> None:
        """Queue an acknowledgement; 3.1.1 has none with a reason."""
        if reason and self.connection.version != 5:
            reason = 0
        self.connection.send_ack(packet_type, packet_id, reason)

    # -- what waits for the store ---------------------------------------------------------------

    def journal(self) -> Journal:
        """Where the changes of a session with a key are noted."""
        keeper = self.broker.keeper
        assert keeper is not None  # only then a session has a key
        return keeper.journal

    def ack_when_safe(self, packet_type: int, packet_id: int, reason: int, kept: bool) -> None:
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
        self.ack(packet_type, packet_id, reason)

    def send_when_safe(self, answer: p.Packet, now: float) -> None:
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
                self.ack(packet_type, packet_id, reason)
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
            self.ack(p.PUBREL, packet_id, 0 if known else _ID_NOT_FOUND)

    # -- subscriptions ----------------------------------------------------------------------------

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
