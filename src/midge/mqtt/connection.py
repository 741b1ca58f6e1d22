"""One MQTT connection, seen from either end, without a socket.

Bytes and the time go in, packets come out; verbs queue bytes for the peer. Broker, client, bridge
and tests use this same class. It knows the order of packets, sizes, topic aliases, flow control of
what comes in, and keep alive. It does not know sessions, topics or messages: what a packet means is
its owner's affair.

A peer that breaks the protocol never raises out of here: the list of packets ends with a
:class:`Violation`, and nothing more is read. Its owner first answers the packets in front of it,
and then has :meth:`Connection.violate` queue the goodbye that the specification asks for.
"""

from __future__ import annotations

from typing import ClassVar, Final

from midge.errors import PacketTooLarge, ProtocolError
from midge.limits import (
    CONNECT_TIMEOUT_S,
    CONTROL_PACKET_BYTES_MAX,
    PACKET_BYTES_MAX_DEFAULT,
    SIMPLE_PACKET_BYTES_MAX,
    VARINT_MAX,
)
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt import reasons
from midge.mqtt.aliases import InboundAliases
from midge.mqtt.decode import decode_packet, packet_length
from midge.mqtt.encode import encode, encode_ack
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import V3_UNACCEPTABLE_PROTOCOL, Reason
from midge.mqtt.states import (
    ALLOWED,
    ALLOWED_V5,
    CLIENT,
    CLOSED,
    CONNECTED,
    CONNECTING,
    DISCONNECT_REASONS,
    NEW,
    SERVER,
    STATE_NAMES,
)

__all__ = ["CLIENT", "SERVER", "Connection", "Violation"]

#: Largest packet of each type in bytes; 0: the configured maximum alone.
_TYPE_BYTES_MAX = tuple(
    0
    if packet_type == p.PUBLISH
    else CONTROL_PACKET_BYTES_MAX
    if packet_type
    in (p.CONNECT, p.CONNACK, p.SUBSCRIBE, p.SUBACK, p.UNSUBSCRIBE, p.UNSUBACK, p.AUTH)
    else SIMPLE_PACKET_BYTES_MAX
    for packet_type in range(16)
)


#: Packets that change nothing in the state of a connection.
_PLAIN_TYPES = (
    1 << p.PUBACK
    | 1 << p.PUBREC
    | 1 << p.PUBREL
    | 1 << p.PUBCOMP
    | 1 << p.SUBSCRIBE
    | 1 << p.SUBACK
    | 1 << p.UNSUBSCRIBE
    | 1 << p.UNSUBACK
    | 1 << p.PINGREQ
)


#: What is pending on all connections where nothing is; it is added to only where something is.
_NOTHING: Final = bytearray()


class Violation(p.Packet):
    """The peer broke the protocol, or fell silent. The last thing that a connection gives.

    Attributes:
        reason: the MQTT 5.0 reason code of the fault.
        text: what happened, for the log.
    """

    __slots__ = ("reason", "text")
    __match_args__: ClassVar[tuple[str, ...]] = ("reason", "text")

    def __init__(self, reason: int, text: str) -> None:
        self.reason = reason
        self.text = text


class Connection:
    """The protocol state of one connection.

    Attributes:
        role: ``CLIENT`` or ``SERVER``.
        version: 3, 4 or 5; 0 until a server has read the CONNECT.
        state: see :mod:`midge.mqtt.states`.
        closing: the goodbye is queued or was received: send what is queued, then close.
        out: bytes queued for the peer, in order. The broker's outbox appends here.
        packets_sent: how many were queued here. Its owner may take them off, having counted them;
            what an outbox appends is the outbox's to count.
        keepalive_s: 0 for none.
        receive_maximum: how many QoS 1 and 2 messages the peer may have unacknowledged; 0: any.
        peer_packet_bytes_max: the largest packet that the peer takes; 0: any.
    """

    __slots__ = (
        "_accepts",
        "_aliases",
        "_broken",
        "_heard",
        "_in_hand",
        "_needed",
        "_pending",
        "_pinged",
        "_sent",
        "_started",
        "_unchecked_bytes_max",
        "closing",
        "connect_timeout_s",
        "keepalive_s",
        "out",
        "packet_bytes_max",
        "packets_sent",
        "peer_packet_bytes_max",
        "receive_maximum",
        "role",
        "state",
        "version",
    )

    def __init__(
        self,
        role: int,
        version: int = 0,
        packet_bytes_max: int = PACKET_BYTES_MAX_DEFAULT,
        now: float = 0.0,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self.role = role
        self.version = version
        self.closing = False
        self.out: list[bytes] = []
        self.packets_sent = 0
        self.packet_bytes_max = packet_bytes_max
        # Up to here a packet of any type is small enough; only a larger one needs a look.
        self._unchecked_bytes_max = min(packet_bytes_max, SIMPLE_PACKET_BYTES_MAX)
        self.peer_packet_bytes_max = 0
        self.receive_maximum = 0
        self.keepalive_s = 0
        self.connect_timeout_s = connect_timeout_s
        self._aliases: InboundAliases | None = None
        self._pending = _NOTHING  # the beginning of a packet that has not come whole
        self._needed = 0  # how many bytes `_pending` must have before it is worth a look
        self._in_hand = 0  # QoS 1 and 2 messages received and not yet acknowledged
        self._started = now
        self._heard = now
        self._sent = now
        self._pinged = False
        self.state = NEW
        self._accepts = 0
        self._enter(NEW)
        self._broken = False  # the peer broke the protocol: nothing more is read

    # -- in ----------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> list[p.Packet]:
        """Read a chunk; returns the packets that it completes, with a :class:`Violation` last."""
        if self.state == CLOSED or self._broken:
            return []
        if self._pending:
            data = self.take_pending(data)
        events: list[p.Packet] = []
        pos = 0
        size = len(data)
        try:
            while pos < size:
                first = data[pos]
                if pos + 1 < size and data[pos + 1] < 0x80:  # nearly always: one byte of length
                    start = pos + 2
                    end = start + data[pos + 1]
                else:
                    start, end = packet_length(data, pos)
                    if start == 0:
                        break
                packet_type = first >> 4
                if end - pos > self._unchecked_bytes_max:
                    self._check_size(packet_type, end - pos)
                if not self._accepts >> packet_type & 1:
                    raise self._out_of_order(packet_type)
                if end > size:
                    self._needed = end - pos
                    break
                packet = decode_packet(data, start, end, first, self.version)
                if packet_type == p.PUBLISH:
                    assert isinstance(packet, p.Publish)
                    if packet.qos and self.receive_maximum:
                        self._take_credit()
                    if packet.properties is not None:
                        self._check_publish_properties(packet, packet.properties)
                elif not _PLAIN_TYPES >> packet_type & 1:
                    self._follow(packet)
                events.append(packet)
                pos = end
                if self.closing:
                    return events
        except ProtocolError as error:
            if self.state == NEW and self.role == SERVER:
                self._recognise_version(data, pos)
            self._broken = True
            events.append(Violation(error.reason, str(error)))
            return events
        if pos:
            self._heard = now  # a whole packet counts, a piece of one does not [MQTT-3.1.2-22]
        if pos < size:
            self._pending = bytearray(data[pos:] if pos else data)
        return events

    def take_pending(self, data: bytes) -> bytes:
        """The bytes held back from earlier chunks followed by ``data``.

        Returns nothing while a packet whose length is known has not come whole, so that a large
        packet in many chunks is looked at once.
        """
        pending = self._pending
        if not pending:
            return data
        pending += data
        if len(pending) < self._needed:
            return b""
        self._pending = _NOTHING
        self._needed = 0
        return bytes(pending)

    def receive_eof(self, now: float) -> None:
        """The peer closed, or the connection was lost."""
        self._enter(CLOSED)
        self.closing = True

    def heard(self, now: float) -> None:
        """Something came from the peer that did not pass :meth:`receive_data`."""
        self._heard = now

    def _follow(self, packet: p.Packet) -> None:
        """What a packet changes in the state of the connection."""
        if isinstance(packet, p.Connect):
            self.version = packet.version
            self._enter(CONNECTING)
            self._heed(packet.properties)
        elif isinstance(packet, p.Connack):
            self._heed(packet.properties)
            if packet.reason == 0:
                self._enter(CONNECTED)
            else:
                self.closing = True
        elif isinstance(packet, p.Pingresp):
            self._pinged = False
        elif isinstance(packet, p.Disconnect):
            self._check_disconnect(packet)
            self.closing = True

    def _enter(self, state: int) -> None:
        self.state = state
        self._accepts = ALLOWED[self.role][state]
        if self.version == p.MQTT_5:
            self._accepts |= ALLOWED_V5[self.role][state]

    def _take_credit(self) -> None:
        """One more message is to be acknowledged (section 4.9)."""
        self._in_hand += 1
        if self._in_hand > self.receive_maximum:
            raise ProtocolError(
                f"more than {self.receive_maximum} unacknowledged messages",
                int(Reason.RECEIVE_MAXIMUM_EXCEEDED),
            )

    def _heed(self, properties: Properties | None) -> None:
        """Take note of what the peer's CONNECT or CONNACK tells us."""
        if properties is not None:
            self.peer_packet_bytes_max = properties.get_int(props.MAXIMUM_PACKET_SIZE)

    def _check_publish_properties(self, packet: p.Publish, properties: Properties) -> None:
        alias = properties.get_int(props.TOPIC_ALIAS)
        if alias:
            if self._aliases is None:
                self._aliases = InboundAliases(0)
            packet.topic = self._aliases.resolve(alias, packet.topic)
        if self.role == SERVER and properties.subscription_ids:
            # [MQTT-3.3.4-6]
            raise ProtocolError("a client's PUBLISH has a subscription identifier")

    def _check_disconnect(self, packet: p.Disconnect) -> None:
        values = {} if packet.properties is None else packet.properties.values
        # A server does not set the session's end, a client does not name another server.
        foreign = props.SERVER_REFERENCE if self.role == SERVER else props.SESSION_EXPIRY_INTERVAL
        if packet.reason not in DISCONNECT_REASONS[self.role] or foreign in values:
            raise ProtocolError(  # [MQTT-3.14.2-1], [MQTT-3.14.2-2]
                f"DISCONNECT with reason {packet.reason:#04x} or a property that is not for a "
                f"{'client' if self.role == SERVER else 'server'} to send"
            )

    def _out_of_order(self, packet_type: int) -> ProtocolError:
        return ProtocolError(
            f"{p.NAMES[packet_type]} is not allowed from the "
            f"{'client' if self.role == SERVER else 'server'} of a connection that is "
            f"{STATE_NAMES[self.state]}"
        )

    def _check_size(self, packet_type: int, size: int) -> None:
        limit = _TYPE_BYTES_MAX[packet_type] or VARINT_MAX
        limit = min(limit, self.packet_bytes_max)
        if size > limit:
            raise PacketTooLarge(
                f"{p.NAMES[packet_type]} of {size} bytes is larger than the {limit} allowed"
            )

    def _recognise_version(self, data: bytes, pos: int) -> None:
        """Learn the version from a CONNECT that could not be read, to say goodbye in it."""
        if data[pos] >> 4 != p.CONNECT:
            return
        try:
            start, _ = packet_length(data, pos)
        except ProtocolError:
            return
        if start and data[start : start + 7] == b"\x00\x04MQTT\x05":
            self.version = p.MQTT_5
        elif start and data[start : start + 7] in (b"\x00\x04MQTT\x04", b"\x00\x06MQIsd"):
            self.version = p.MQTT_311

    # -- out ---------------------------------------------------------------------------------

    def send(self, packet: p.Packet, now: float) -> None:
        """Encode ``packet``, queue it, and follow what it means for the connection.

        Raises:
            ProtocolError: the packet is larger than the peer takes, or malformed.
        """
        packet_type = packet.type
        if packet_type == p.CONNECT:
            assert isinstance(packet, p.Connect)
            self.keepalive_s = packet.keepalive_s
            self._started = now
            self.begin(packet.version)
            self.announced(packet.properties)
        data = encode(packet, self.version)
        if self.peer_packet_bytes_max and len(data) > self.peer_packet_bytes_max:
            raise PacketTooLarge(
                f"{p.NAMES[packet_type]} of {len(data)} bytes is larger than the "
                f"{self.peer_packet_bytes_max} that the peer takes"
            )
        self.out.append(data)
        self.packets_sent += 1
        self._sent = now
        if packet_type == p.CONNACK:
            assert isinstance(packet, p.Connack)
            self.announced(packet.properties)
            if packet.reason == 0:
                self._enter(CONNECTED)
            else:
                self.closing = True
        elif packet_type == p.DISCONNECT:
            self.closing = True
        elif p.PUBACK <= packet_type <= p.PUBCOMP:
            assert isinstance(packet, p._Ack)
            self.settle(packet_type, packet.reason)

    def begin(self, version: int) -> None:
        """A CONNECT of this version is on its way: the peer's CONNACK is what comes next."""
        self.version = version
        self._enter(CONNECTING)

    def send_ack(self, packet_type: int, packet_id: int, reason: int = 0) -> None:
        """Queue a PUBACK, PUBREC, PUBREL or PUBCOMP without properties."""
        self.out.append(encode_ack(packet_type, packet_id, reason, self.version))
        self.packets_sent += 1
        self.settle(packet_type, reason)

    def settle(self, packet_type: int, reason: int) -> None:
        """An acknowledgement that ends an exchange gives the peer its credit back (4.9)."""
        if self._in_hand and (
            packet_type == p.PUBACK
            or packet_type == p.PUBCOMP
            or (packet_type == p.PUBREC and reason >= 0x80)
        ):
            self._in_hand -= 1

    def announced(self, properties: Properties | None) -> None:
        """Hold the peer to what our CONNECT or CONNACK told it: aliases, receive maximum."""
        if properties is not None:
            self._aliases = InboundAliases(properties.get_int(props.TOPIC_ALIAS_MAXIMUM))
            self.receive_maximum = properties.get_int(props.RECEIVE_MAXIMUM)

    def violate(self, reason: int, text: str) -> Violation:
        """Close because of ``reason``: queue the goodbye that the version and state allow.

        The second call of it says nothing more.
        """
        if self.state == CLOSED:
            return Violation(reason, text)
        self._say_goodbye(reason, text)
        self._enter(CLOSED)
        self.closing = True
        return Violation(reason, text)

    def _say_goodbye(self, reason: int, text: str) -> None:
        if self.role == SERVER and self.state != CONNECTED:
            if reason == Reason.UNSUPPORTED_PROTOCOL_VERSION and self.version != p.MQTT_5:
                # Whoever speaks an unknown version understands the oldest answer best
                # [3.1.1: MQTT-3.1.2-2].
                self.out.append(encode(p.Connack(V3_UNACCEPTABLE_PROTOCOL), p.MQTT_311))
                self.packets_sent += 1
            elif self.version == p.MQTT_5 and reason != Reason.KEEP_ALIVE_TIMEOUT:
                if reason not in reasons.ALLOWED[p.CONNACK]:
                    reason = int(Reason.PROTOCOL_ERROR)  # [MQTT-3.2.2-8]
                self.append_within_limit(
                    encode(p.Connack(reason, False, _because(text)), p.MQTT_5),
                    encode(p.Connack(reason), p.MQTT_5),
                )
        elif self.version == p.MQTT_5 and self.state == CONNECTED:
            self.append_within_limit(
                encode(p.Disconnect(reason, _because(text)), p.MQTT_5),
                encode(p.Disconnect(reason), p.MQTT_5),
            )

    def append_within_limit(self, data: bytes, shorter: bytes) -> None:
        """Queue ``data``, or ``shorter`` where the peer's maximum packet size asks for it."""
        limit = self.peer_packet_bytes_max
        if not limit or len(data) <= limit:
            self.out.append(data)
        elif len(shorter) <= limit:
            self.out.append(shorter)
        else:
            return
        self.packets_sent += 1

    def data_to_send(self) -> list[bytes]:
        """What is queued for the peer; the queue is empty afterwards."""
        out = self.out
        if not out:
            return []
        data = out.copy()
        out.clear()  # the same list stays: outboxes hold on to it
        return data

    # -- time --------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`tick` must be called at the latest, or ``None``."""
        if self.state == NEW or (self.state == CONNECTING and self.connect_timeout_s):
            return self._started + self.connect_timeout_s
        if self.state == CLOSED or not self.keepalive_s:
            return None
        if self.role == SERVER:
            return self._heard + self.keepalive_s * 1.5
        return min(self._sent, self._heard) + self.keepalive_s

    def tick(self, now: float) -> list[p.Packet]:
        """Do what is due: a client pings; whoever hears nothing for too long gives up."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return []
        if self.state != CONNECTED:
            what = "CONNECT" if self.role == SERVER else "CONNACK"
            return [
                self.violate(
                    int(Reason.KEEP_ALIVE_TIMEOUT),
                    f"no {what} within {self.connect_timeout_s:g} seconds",
                )
            ]
        if self.role == CLIENT and not self._pinged:
            self.send(p.Pingreq(), now)
            self._heard = now  # the answer has one keep alive's time from here
            self._pinged = True
            return []
        return [self.violate(int(Reason.KEEP_ALIVE_TIMEOUT), "exceeded timeout")]


def _because(text: str) -> Properties:
    return Properties({props.REASON_STRING: text})
