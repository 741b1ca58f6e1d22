"""The server's end of a client's connection, in memory: scripted, or a small model of a broker."""

from __future__ import annotations

from midge.client.core import Client, Event
from midge.mqtt import packets as p
from midge.mqtt.connection import SERVER, Connection, Violation
from midge.mqtt.inflight import Incoming, Outbound, Outgoing
from midge.mqtt.properties import Properties


class Scripted:
    """A server that says only what the test tells it to.

    Attributes:
        received: what the client sent and the test has not taken yet.
        events: what the client's core made of what was sent to it.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.now = 1000.0
        self.connection = Connection(SERVER, now=self.now)
        self.received: list[p.Packet] = []
        self.events: list[Event] = []

    def accept(
        self,
        session_present: bool = False,
        properties: Properties | None = None,
        reason: int = 0,
    ) -> list[Event]:
        """Begin a connection and answer its CONNECT; returns the client's events."""
        self.connection = Connection(SERVER, now=self.now)
        self.received = []
        self.client.connect(self.now)
        self.pull()
        connect = self.received.pop(0)
        assert isinstance(connect, p.Connect)
        return self.send(p.Connack(reason, session_present, properties))

    def pull(self) -> list[p.Packet]:
        """Read what the client has queued."""
        data = b"".join(self.client.data_to_send())
        packets = self.connection.receive_data(data, self.now)
        for packet in packets:
            assert not isinstance(packet, Violation), packet.text
        self.received += packets
        return packets

    def take(self) -> list[p.Packet]:
        """All that the client has sent since the last look."""
        self.pull()
        packets, self.received = self.received, []
        return packets

    def send(self, *packets: p.Packet) -> list[Event]:
        """Send packets in one chunk; returns the client's events, then reads its answers."""
        for packet in packets:
            self.connection.send(packet, self.now)
        data = b"".join(self.connection.data_to_send())
        events = self.client.receive_data(data, self.now)
        self.events += events
        self.pull()
        return events

    def lose(self) -> list[Event]:
        """The connection breaks: what was not read is gone."""
        self.client.data_to_send()
        return self.client.receive_eof(self.now)


class _Message(Outbound):
    __slots__ = ("payload",)

    def __init__(self, payload: bytes, qos: int) -> None:
        super().__init__(qos)
        self.payload = payload


class ModelServer:
    """A server with one session that it never forgets, over a wire that may lose everything.

    Attributes:
        taken: payloads of the client's messages, in the order in which they were taken.
    """

    def __init__(self, client: Client, receive_maximum: int) -> None:
        self.client = client
        self.receive_maximum = receive_maximum
        self.now = 1000.0
        self.taken: list[bytes] = []
        self.connection: Connection | None = None
        self.most_in_hand = 0
        self._in_hand: set[int] = set()
        self._incoming = Incoming()
        self._outgoing: Outgoing[_Message] = Outgoing(window=4)
        self._queue: list[_Message] = []
        self._known = False
        self._to_client = b""

    def connect(self) -> None:
        """A new connection, with the CONNECT on its way."""
        self.connection = Connection(SERVER, now=self.now)
        self._in_hand.clear()
        self._to_client = b""
        self.client.connect(self.now)

    def publish(self, payload: bytes, qos: int) -> None:
        """Queue a message for the client."""
        self._queue.append(_Message(payload, qos))
        self._send_queued()

    def client_to_server(self, size: int | None = None) -> None:
        """Deliver what the client has queued, or only its first bytes: then it is cut off."""
        data = b"".join(self.client.data_to_send())
        assert self.connection is not None
        for packet in self.connection.receive_data(data[:size], self.now):
            self._handle(packet)
        self._to_client += b"".join(self.connection.data_to_send())

    def server_to_client(self, size: int | None = None) -> list[Event]:
        """Deliver what the server has sent, or only its first bytes."""
        data, self._to_client = self._to_client[:size], b""
        return self.client.receive_data(data, self.now) if data else []

    def lose(self) -> None:
        """Break the connection; what is on its way is gone."""
        self.client.data_to_send()
        self.client.receive_eof(self.now)
        self._to_client = b""
        self.connection = None

    def idle(self) -> bool:
        """Whether all its messages have reached the client for certain."""
        return not self._queue and not len(self._outgoing)

    def _handle(self, packet: p.Packet) -> None:
        assert self.connection is not None
        assert not isinstance(packet, Violation), packet.text
        if isinstance(packet, p.Connect):
            self._connack()
        elif isinstance(packet, p.Publish):
            self._take(packet)
        elif isinstance(packet, p.Pubrel):
            self._in_hand.discard(packet.packet_id)
            self._incoming.release(packet.packet_id)
            self.connection.send_ack(p.PUBCOMP, packet.packet_id)
        elif isinstance(packet, p.Puback):
            self._outgoing.puback(packet.packet_id)
        elif isinstance(packet, p.Pubrec):
            self._outgoing.pubrec(packet.packet_id, packet.reason >= 0x80)
            self.connection.send_ack(p.PUBREL, packet.packet_id)
        elif isinstance(packet, p.Pubcomp):
            self._outgoing.pubcomp(packet.packet_id)
        self._send_queued()

    def _connack(self) -> None:
        assert self.connection is not None
        granted = Properties.of(receive_maximum=self.receive_maximum)
        self.connection.send(p.Connack(0, self._known, granted), self.now)
        self._known = True
        for packet_id in self._outgoing.released:
            self.connection.send_ack(p.PUBREL, packet_id)
        for packet_id, item in self._outgoing.waiting.items():
            self._send(item, packet_id, dup=True)

    def _take(self, packet: p.Publish) -> None:
        assert self.connection is not None
        if packet.qos:
            self._in_hand.add(packet.packet_id)
            self.most_in_hand = max(self.most_in_hand, len(self._in_hand))
        if packet.qos < 2 or self._incoming.take(packet.packet_id):
            self.taken.append(packet.payload)
        if packet.qos == 1:
            self._in_hand.discard(packet.packet_id)
            self.connection.send_ack(p.PUBACK, packet.packet_id)
        elif packet.qos == 2:
            self.connection.send_ack(p.PUBREC, packet.packet_id)

    def _send_queued(self) -> None:
        if self.connection is None or self.connection.state != 2:
            return
        while self._queue and self._outgoing.room() > 0:
            item = self._queue.pop(0)
            self._send(item, self._outgoing.add(item), dup=False)
        self._to_client += b"".join(self.connection.data_to_send())

    def _send(self, item: _Message, packet_id: int, dup: bool) -> None:
        assert self.connection is not None
        self.connection.send(
            p.Publish("t", item.payload, item.qos, False, dup, packet_id), self.now
        )
