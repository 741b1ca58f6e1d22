"""An MQTT client without a socket: what every face of the client is built on.

Bytes and the time go in, events come out; verbs queue output::

    client = Client(Connect(client_id="lamp"))
    client.connect(now)                     # then, until it is over:
    events = client.receive_data(data, now)
    for chunk in client.data_to_send(): ...
    client.next_deadline(), client.tick(now)

It knows the order of things (CONNECT first, acknowledgements, windows), keeps messages in flight
over a reconnect, and holds what is published while there is no connection, up to a bound. It
connects again when it is told to, with another :meth:`Client.connect`: when, and to whom, is its
owner's affair, and so are subscriptions that the server forgot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from midge.client.aliases import PublishAliases, without_alias
from midge.client.events import (
    BY_CLIENT,
    BY_NETWORK,
    BY_SERVER,
    Authenticating,
    Connected,
    Disconnected,
    Published,
    Received,
    Refused,
    Subscribed,
    Unsubscribed,
)
from midge.client.granted import Granted
from midge.client.session import REQUESTS_MAX, ClientSession, Pending
from midge.errors import ConnectionLost, ProtocolError, QueueFull
from midge.limits import (
    INFLIGHT_MESSAGES_DEFAULT,
    QUEUED_MESSAGES_DEFAULT,
    VARINT_MAX,
)
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.connection import CLIENT, Connection, Violation
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import FAILURE, Reason
from midge.mqtt.states import CONNECTED, CONNECTING
from midge.topics.filters import split_shared
from midge.topics.names import check_filter, check_topic

Event = (
    Received
    | Connected
    | Refused
    | Published
    | Subscribed
    | Unsubscribed
    | Authenticating
    | Disconnected
)

#: Sees every packet: true for those we send.
Trace = Callable[[bool, p.Packet], None]

#: The largest packet there can be: a server may send it unless CONNECT announces less.
_PACKET_BYTES_MAX: Final = VARINT_MAX + 5
#: How a server that knows no MQTT 5.0 refuses it: a CONNACK of 3.1.1, without properties.
_CONNACK_V3_VERSION: Final = b"\x20\x02\x00\x01"


class Client:
    """The client's end of a session, over as many connections as it takes.

    Attributes:
        options: the CONNECT that is sent, with its will and properties.
        client_id: ours, or the one that the server assigned.
        connection: the present connection.
        session: messages in flight and queued.
        aliases: the topic aliases of our publishes.
        granted: what the server allows on the present connection.
        auto_ack: acknowledge messages as they are given out; otherwise the owner calls
            :meth:`acknowledge` for each QoS 1 and 2 message.
        trace: sees every packet, both ways, or ``None``.
    """

    __slots__ = (
        "_checked_topic",
        "_last_token",
        "_over",
        "_requests",
        "aliases",
        "auto_ack",
        "client_id",
        "connection",
        "granted",
        "inflight_messages_max",
        "options",
        "queued_messages_max",
        "session",
        "trace",
    )

    def __init__(
        self,
        options: p.Connect,
        *,
        inflight_messages_max: int = INFLIGHT_MESSAGES_DEFAULT,
        queued_messages_max: int = QUEUED_MESSAGES_DEFAULT,
        auto_ack: bool = True,
        trace: Trace | None = None,
    ) -> None:
        """A client that is not connected yet.

        Args:
            options: sent as it is with each :meth:`connect`; may be replaced between two of them.
            inflight_messages_max: our own bound of QoS 1 and 2 messages in flight.
            queued_messages_max: how many messages may wait for the connection or the window.
        """
        self.options = options
        self.inflight_messages_max = inflight_messages_max
        self.queued_messages_max = queued_messages_max
        self.auto_ack = auto_ack
        self.trace = trace
        self.client_id = options.client_id
        self.session = ClientSession()
        self.connection = Connection(CLIENT, options.version)
        self.granted = Granted()
        self._requests: dict[int, int] = {}  # unanswered: packet identifier to packet type
        self.aliases = PublishAliases()
        self._over = True  # the end of the present connection was told
        self._last_token = 0
        self._checked_topic: str | None = None

    # -- connections ------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the server has accepted us, and nobody has said goodbye."""
        return self.connection.state == CONNECTED and not self.connection.closing

    @property
    def closing(self) -> bool:
        """Whether to close the socket once what is queued has been sent."""
        return self.connection.closing

    def connect(self, now: float) -> None:
        """Begin a new connection: queue the CONNECT."""
        options = self.options
        announced = options.properties or Properties()
        connection = Connection(
            CLIENT,
            options.version,
            announced.get_int(props.MAXIMUM_PACKET_SIZE, _PACKET_BYTES_MAX),
            now,
        )
        self.connection = connection
        self._over = False
        self.granted = Granted()
        self._requests.clear()
        self.aliases.reset()
        self._send(options, now)

    def disconnect(self, now: float, reason: int = 0, properties: Properties | None = None) -> None:
        """Say goodbye (section 3.14); before 5.0 without the reason. Then close when sent."""
        if not self.connection.closing:
            self._send(p.Disconnect(reason, properties), now)

    def authenticate(self, now: float, reason: int, properties: Properties) -> None:
        """Send AUTH: the next step of an exchange, or the start of another (section 4.12)."""
        self._send(p.Auth(reason, properties), now)

    def receive_eof(self, now: float) -> list[Event]:
        """The connection has ended, whoever ended it: says so, if no event has."""
        connection = self.connection
        said_goodbye = connection.closing
        connection.receive_eof(now)
        if self._over:
            return []
        self._over = True
        if said_goodbye:
            return [Disconnected(BY_CLIENT, 0, "disconnected")]
        return [Disconnected(BY_NETWORK, int(Reason.UNSPECIFIED_ERROR), "connection lost")]

    def data_to_send(self) -> list[bytes]:
        """What is to be written to the server, in order; it is handed out once."""
        return self.connection.data_to_send()

    def next_deadline(self) -> float | None:
        """When :meth:`tick` must be called at the latest, or ``None``."""
        return self.connection.next_deadline()

    def tick(self, now: float) -> list[Event]:
        """Do what is due: ping, or give up a server that is silent for too long."""
        events: list[Event] = []
        queued = len(self.connection.out)
        for packet in self.connection.tick(now):
            self._control(packet, events, now)
        if self.trace is not None and not events and len(self.connection.out) > queued:
            self.trace(True, p.Pingreq())
        return events

    # -- in ----------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Read a chunk from the server; returns what happened, in order."""
        connection = self.connection
        if data == _CONNACK_V3_VERSION and connection.state == CONNECTING and self._is_v5():
            connection.receive_eof(now)
            self._over = True
            return [Refused(int(Reason.UNSUPPORTED_PROTOCOL_VERSION), None)]
        events: list[Event] = []
        trace = self.trace
        for packet in connection.receive_data(data, now):
            if trace is not None:
                trace(False, packet)
            if isinstance(packet, p.Publish):
                if packet.qos == 0:
                    events.append(packet)
                else:
                    self._message(packet, events, now)
            else:
                self._control(packet, events, now)
                if self._over:
                    break  # what stands behind the end of a connection counts for nothing
        return events

    def _message(self, packet: p.Publish, events: list[Event], now: float) -> None:
        """A QoS 1 or 2 message: give it out, unless it has been, and acknowledge it."""
        packet_id = packet.packet_id
        session = self.session
        if packet.qos == 2 and not session.incoming.take(packet_id):
            # It came before [MQTT-4.3.3-10]. If its owner still has it, so does the answer wait.
            if packet_id not in session.held:
                self._send(p.Pubrec(packet_id), now)
            return
        events.append(packet)
        if not self.auto_ack:
            session.held[packet_id] = packet.qos
        elif packet.qos == 1:
            self._send(p.Puback(packet_id), now)
        else:
            self._send(p.Pubrec(packet_id), now)

    def acknowledge(
        self, packet: Received, now: float, reason: int = 0, properties: Properties | None = None
    ) -> None:
        """Acknowledge a message that was given out while ``auto_ack`` was off.

        Nothing happens for a QoS 0 message, one that is acknowledged, or without a connection: the
        server will send it again.
        """
        qos = self.session.held.pop(packet.packet_id, 0)
        if not qos:
            return
        if qos == 2 and reason >= FAILURE:
            self.session.incoming.release(packet.packet_id)
        if self.connected:
            ack = p.Puback if qos == 1 else p.Pubrec
            self._send(ack(packet.packet_id, reason, properties), now)

    def _control(self, packet: p.Packet, events: list[Event], now: float) -> None:
        """Everything but messages."""
        if isinstance(packet, p.Puback):
            self._puback(packet, events, now)
        elif isinstance(packet, p.Pubrec):
            self._pubrec(packet, events, now)
        elif isinstance(packet, p.Pubrel):
            known = self.session.incoming.release(packet.packet_id)
            reason = 0 if known else int(Reason.PACKET_IDENTIFIER_NOT_FOUND)
            self._send(p.Pubcomp(packet.packet_id, reason if self._is_v5() else 0), now)
        elif isinstance(packet, p.Pubcomp):
            self._settle(packet, self.session.completed(packet.packet_id), events, now)
        elif isinstance(packet, p.Suback):
            if self._requests.pop(packet.packet_id, 0):
                events.append(Subscribed(packet.packet_id, packet.reasons, packet.properties))
        elif isinstance(packet, p.Unsuback):
            if self._requests.pop(packet.packet_id, 0):
                events.append(Unsubscribed(packet.packet_id, packet.reasons, packet.properties))
        elif isinstance(packet, p.Connack):
            self._connack(packet, events, now)
        elif isinstance(packet, p.Disconnect):
            text = packet.properties.get_str(props.REASON_STRING) if packet.properties else None
            text = text or "the server disconnected"
            self._over = True
            events.append(Disconnected(BY_SERVER, packet.reason, text, packet.properties))
        elif isinstance(packet, p.Auth):
            events.append(Authenticating(packet.reason, packet.properties))
        elif isinstance(packet, Violation):
            self.connection.violate(packet.reason, packet.text)
            self._over = True
            events.append(Disconnected(BY_CLIENT, packet.reason, packet.text))

    def _connack(self, packet: p.Connack, events: list[Event], now: float) -> None:
        if packet.reason:
            self._over = True
            events.append(Refused(packet.reason, packet.properties))
            return
        if packet.session_present and self.options.clean_start:
            # [MQTT-3.2.2-2]: a new session cannot be an old one.
            self._violate("session present after a clean start", events)
            return
        self._apply_limits(packet.properties or Properties())
        events.append(Connected(packet.session_present, packet.properties))
        if packet.session_present:
            self.session.resume()
        else:
            for packet_id, token in self.session.lost():
                events.append(Published(token, packet_id, 0, None))
        self._flush(events, now)
        # QoS 0 messages know no window. The next one goes out at once, so these go before it.
        for item in self.session.take_qos_0():
            self._send_queued(item, events, now)

    def _apply_limits(self, properties: Properties) -> None:
        """Keep from now on to what the CONNACK says."""
        self.granted = Granted(properties)
        connection = self.connection
        connection.keepalive_s = properties.get_int(props.SERVER_KEEP_ALIVE, connection.keepalive_s)
        self.aliases.maximum = self.granted.topic_alias_maximum
        self.client_id = properties.get_str(props.ASSIGNED_CLIENT_IDENTIFIER) or self.client_id
        self.session.set_window(min(self.granted.receive_maximum, self.inflight_messages_max))

    def _puback(self, packet: p.Puback, events: list[Event], now: float) -> None:
        try:
            token = self.session.acknowledged(packet.packet_id)
        except ProtocolError as error:
            self._violate(str(error), events)
            return
        self._settle(packet, token, events, now)

    def _pubrec(self, packet: p.Pubrec, events: list[Event], now: float) -> None:
        packet_id = packet.packet_id
        failed = packet.reason >= FAILURE
        try:
            token = self.session.received(packet_id, failed)
        except ProtocolError as error:
            self._violate(str(error), events)
            return
        if failed:
            self._settle(packet, token, events, now)
            return
        known = self.session.outgoing.knows(packet_id)
        reason = 0 if known else int(Reason.PACKET_IDENTIFIER_NOT_FOUND)
        self._send(p.Pubrel(packet_id, reason if self._is_v5() else 0), now)

    def _settle(self, packet: p._Ack, token: int, events: list[Event], now: float) -> None:
        """A message is done: tell its publisher, and let the next ones out."""
        if token:
            events.append(Published(token, packet.packet_id, packet.reason, packet.properties))
        self._flush(events, now)

    def _violate(self, text: str, events: list[Event]) -> None:
        self._over = True
        violation = self.connection.violate(int(Reason.PROTOCOL_ERROR), text)
        events.append(Disconnected(BY_CLIENT, violation.reason, violation.text))

    def _is_v5(self) -> bool:
        return self.connection.version == p.MQTT_5

    # -- out ---------------------------------------------------------------------------------

    def publish(
        self,
        topic: str,
        payload: bytes,
        now: float,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> int:
        """Publish a message, now or as soon as there is a connection and room in its window.

        Args:
            topic: its topic; may be empty when ``properties`` have a topic alias that is set.

        Returns:
            A token that a later :class:`Published` carries; 0 at QoS 0 that was sent, which nobody
            acknowledges.

        Raises:
            TopicError: the topic is not valid.
            ProtocolError: the server has said that it takes no such message.
            QueueFull: too many messages are waiting.
        """
        if properties is not None and props.TOPIC_ALIAS in properties.values:
            return self._publish_alias(topic, payload, now, qos, retain, properties)
        if topic != self._checked_topic:  # who publishes much, publishes to the same topic
            check_topic(topic)
            self._checked_topic = topic
        packet = p.Publish(topic, payload, qos, retain, False, 0, properties)
        if qos == 0 and not retain and self.connected:
            # Nothing can be wrong with it: the way of a program that publishes much.
            self._send(packet, now)
            return 0
        return self._submit(packet, packet, now)

    def _publish_alias(
        self, topic: str, payload: bytes, now: float, qos: int, retain: bool, given: Properties
    ) -> int:
        if topic:
            check_topic(topic)
        alias = given.get_int(props.TOPIC_ALIAS)
        full_topic = self.aliases.topic_of(alias, topic)
        durable = p.Publish(full_topic, payload, qos, retain, False, 0, without_alias(given))
        if not self._can_send_now(qos):
            return self._submit(durable, durable, now)
        packet = self.aliases.for_wire(alias, durable, not topic, given)
        token = self._submit(packet, durable, now)
        self.aliases.sent(alias, full_topic)
        return token

    def _submit(self, packet: p.Publish, durable: p.Publish, now: float) -> int:
        """Send ``packet`` if that can be done now; queue ``durable`` if it cannot."""
        if self.connected:
            self.granted.check(packet)
        if self._can_send_now(packet.qos):
            if packet.qos == 0:
                self._send(packet, now)
                return 0
            self._last_token += 1
            self._send_new(packet, Pending(durable, self._last_token), now)
            return self._last_token
        if len(self.session.queue) >= self.queued_messages_max:
            raise QueueFull(
                f"{self.queued_messages_max} messages are waiting to be sent: "
                "wait for some of them to be acknowledged"
            )
        self._last_token += 1
        self.session.queue.append(Pending(durable, self._last_token))
        return self._last_token

    def _can_send_now(self, qos: int) -> bool:
        if qos == 0 or not self.connected:
            return self.connected
        return self.session.room() > 0 and not self.session.queue

    def subscribe(
        self, entries: list[p.SubscribeTo], now: float, properties: Properties | None = None
    ) -> int:
        """Ask for messages; :class:`Subscribed` has the answer.

        Returns:
            The packet identifier of the request, good for this connection.

        Raises:
            TopicError: a filter is not valid.
            ConnectionLost: there is no connection.
        """
        for entry in entries:
            check_filter(entry.filter)
            split_shared(entry.filter)
        packet_id = self._request_id(p.SUBSCRIBE)
        self._send(p.Subscribe(packet_id, entries, properties), now)
        return packet_id

    def unsubscribe(
        self, filters: list[str], now: float, properties: Properties | None = None
    ) -> int:
        """Ask for no more messages; :class:`Unsubscribed` has the answer.

        Returns and raises as :meth:`subscribe`.
        """
        for filter in filters:
            check_filter(filter)
        packet_id = self._request_id(p.UNSUBSCRIBE)
        self._send(p.Unsubscribe(packet_id, filters, properties), now)
        return packet_id

    def _request_id(self, packet_type: int) -> int:
        if not self.connected:
            raise ConnectionLost("not connected to a server")
        if len(self._requests) >= REQUESTS_MAX:
            raise QueueFull(f"{REQUESTS_MAX} requests are waiting for an answer")
        packet_id = self._next_id()
        self._requests[packet_id] = packet_type
        return packet_id

    def _next_id(self) -> int:
        """An identifier that neither a message nor a request uses [MQTT-2.2.1-3]."""
        packet_id = self.session.outgoing.next_id()
        while packet_id in self._requests:
            packet_id = self.session.outgoing.next_id()
        return packet_id

    def _flush(self, events: list[Event], now: float) -> None:
        """Send what was waiting, as far as connection and window allow."""
        session = self.session
        outgoing = session.outgoing
        while self.connected and session.unsent and session.room() > 0:
            packet_id = session.unsent.popleft()
            item = outgoing.waiting.get(packet_id)
            if item is None:
                self._send(p.Pubrel(packet_id), now)
            else:
                self._send(_numbered(item.packet, packet_id, True), now)
        while self.connected and session.queue:
            if session.queue[0].qos and session.room() <= 0:
                return
            self._send_queued(session.queue.popleft(), events, now)

    def _send_queued(self, item: Pending, events: list[Event], now: float) -> None:
        try:
            self.granted.check(item.packet)
            if item.qos:
                self._send_new(item.packet, item, now)
                return
            self._send(item.packet, now)
            events.append(Published(item.token, 0, 0, None))
        except ProtocolError as error:
            # It was taken in before we knew what this server allows.
            events.append(Published(item.token, 0, error.reason, None))

    def _send_new(self, packet: p.Publish, item: Pending, now: float) -> None:
        packet_id = self._next_id()
        # First send, then remember: what cannot be sent is not in flight.
        self._send(_numbered(packet, packet_id, False), now)
        self.session.outgoing.waiting[packet_id] = item

    def _send(self, packet: p.Packet, now: float) -> None:
        self.connection.send(packet, now)
        if self.trace is not None:
            self.trace(True, packet)


def _numbered(packet: p.Publish, packet_id: int, dup: bool) -> p.Publish:
    return p.Publish(
        packet.topic,
        packet.payload,
        packet.qos,
        packet.retain,
        dup,
        packet_id,
        packet.properties,
    )
