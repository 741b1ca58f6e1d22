"""A broker core and its clients in one thread, without sockets, on a clock that is moved by hand.

:class:`World` is the shell of a broker core as the server is: it gives links their bytes and does
what the core has marked at the end of each step. :class:`Peer` is the other end of one connection:
it sends packets or raw bytes, right or wrong, and takes what the broker sent, read strictly.
Everything happens at once and in order, so a test sees the same every time.
"""

from __future__ import annotations

from typing import TypeVar

from midge.auth.base import Authenticator, Authorizer
from midge.auth.extended import ExtendedAuthenticator
from midge.broker.broker import Broker
from midge.broker.hooks import Hooks
from midge.broker.keeper import Keeper
from midge.broker.link import Link
from midge.broker.restore import restore
from midge.config.settings import ListenerSettings, Settings
from midge.limits import STORE_QUEUE_PAGE
from midge.links.mqtt import MqttLink
from midge.mqtt import packets as p
from midge.mqtt.connection import CLIENT, Connection, Violation
from midge.mqtt.encode import encode
from midge.mqtt.properties import Properties
from midge.store.base import Store
from midge.store.journal import Journal
from midge.testing.clock import ManualClock

P = TypeVar("P", bound=p.Packet)


class World:
    """A broker core with a clock.

    Args:
        settings: the broker's; keyword arguments of :class:`Settings` and of
            :class:`ListenerSettings` may be given by name instead.
        fast_lane: whether plain QoS 0 packets may take it.
        store: keeps what outlives the broker; what it has is restored. Every :meth:`settle` makes
            safe what was noted, unless :attr:`committing` is off.
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        listener: ListenerSettings | None = None,
        hooks: Hooks | None = None,
        authenticator: Authenticator | None = None,
        authorizer: Authorizer | None = None,
        extended: dict[str, ExtendedAuthenticator] | None = None,
        fast_lane: bool = True,
        store: Store | None = None,
        **named: object,
    ) -> None:
        of_listener = {k: v for k, v in named.items() if k in ListenerSettings.__slots__}
        of_broker = {k: v for k, v in named.items() if k not in of_listener}
        self.settings = Settings(**of_broker) if settings is None else settings  # type: ignore[arg-type]
        self.listener = ListenerSettings(**of_listener) if listener is None else listener  # type: ignore[arg-type]
        self.clock = ManualClock()
        self._ids = 0
        self.broker = Broker(
            self.settings, self._new_id, hooks, authenticator, authorizer, extended
        )
        self.broker.fast_lane = fast_lane
        self.peers: list[Peer] = []
        self.store = store
        self.committing = True
        if store is not None:
            contents = store.read(STORE_QUEUE_PAGE)
            keeper = Keeper(Journal(contents), store.page)
            restore(self.broker, keeper, contents, self.clock.now())
            self.settle()

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self._ids:08d}"

    def peer(self, version: int = 5) -> Peer:
        """A connection that has not said anything yet."""
        peer = Peer(self, version)
        self.peers.append(peer)
        return peer

    def connect(
        self,
        client_id: str = "",
        *,
        version: int = 5,
        clean_start: bool = True,
        keepalive_s: int = 0,
        username: str | None = None,
        password: bytes | None = None,
        will: p.Will | None = None,
        properties: Properties | None = None,
    ) -> Peer:
        """A client that sent CONNECT and took the CONNACK, whatever it says (``peer.connack``)."""
        peer = self.peer(version)
        peer.send(
            p.Connect(
                client_id,
                version,
                clean_start,
                keepalive_s,
                username,
                password,
                will,
                properties,
            )
        )
        peer.take_connack()
        return peer

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything done when it is due and not later."""
        end = self.clock.now() + seconds
        while True:
            due = self.broker.next_deadline()
            if due is None or due > end:
                break
            self.clock.time_s = max(self.clock.time_s, due)
            self.broker.tick(self.clock.now())
            self.settle()
        self.clock.time_s = end
        self.broker.tick(end)
        self.settle()

    def settle(self) -> None:
        """Do what the core has marked: write, close, read again; until nothing is left."""
        broker = self.broker
        while True:
            broker.dirty.clear()
            moved = self._commit() if self.committing else False
            for peer in self.peers:
                moved = peer.flush() or moved
            ending = broker.ending.copy()
            broker.ending.clear()
            for link in ending:
                self._peer_of(link).end()
            released = broker.released.copy()
            broker.released.clear()
            for link in released:
                self._peer_of(link).read_on()
            if not (moved or ending or released or broker.dirty or broker.ending):
                break
        self.peers = [peer for peer in self.peers if not peer.closed]

    def _commit(self) -> bool:
        """Write what was noted to the store; true when there was something."""
        keeper = self.broker.keeper
        if keeper is None or self.store is None:
            return False
        if not (keeper.journal.changes or keeper.is_awaited()):
            return False
        number, changes = keeper.journal.take()
        for _ in self.store.write(changes):
            pass
        self.store.commit()
        keeper.safe(number, self.clock.now())
        while keeper.feed(self.clock.now()):
            pass
        return True

    def _peer_of(self, link: Link) -> Peer:
        for peer in self.peers:
            if peer.link is link:
                return peer
        raise LookupError("a link that no peer has")


class Peer:
    """The client's end of one connection.

    Attributes:
        link: the broker's end.
        version: 3, 4 or 5: how packets are encoded and what comes back is read.
        connack: the CONNACK that :meth:`World.connect` took; ``None`` when none came.
        closed: the broker has closed the connection, or :meth:`drop` did.
        reading: whether this side takes what is sent to it; while false, the broker sees a
            transport that is full.
    """

    def __init__(self, world: World, version: int) -> None:
        self.world = world
        self.version = version
        self.link = MqttLink(
            world.broker, world.listener, "127.0.0.1", 50000, 1883, world.clock.now()
        )
        self.connack: p.Connack | None = None
        self.closed = False
        self.reading = True
        self._received = bytearray()
        self._pending: list[p.Packet] = []  # taken from the wire, not yet by the test
        self._to_broker: list[bytes] = []
        self._reader = Connection(CLIENT, version, packet_bytes_max=268_435_460)
        self._reader.begin(version)  # a CONNECT may also be sent past it, as raw bytes
        self._next_id = 0

    # -- to the broker ------------------------------------------------------------------------

    def send(self, *parts: p.Packet | bytes) -> None:
        """Send packets or raw bytes, in one chunk."""
        for part in parts:
            if isinstance(part, p.Connect):
                self._reader.announced(part.properties)
            elif isinstance(part, p.Puback | p.Pubrec | p.Pubcomp):
                self._reader.settle(part.type, part.reason)
        data = b"".join(
            part if isinstance(part, bytes) else encode(part, self.version) for part in parts
        )
        self.send_chunks(data)

    def send_chunks(self, *chunks: bytes) -> None:
        """Send raw bytes, each argument a chunk of its own."""
        for chunk in chunks:
            if self.closed:
                return
            if self.link.is_held():
                self._to_broker.append(chunk)
                continue
            self.link.receive_data(chunk, self.world.clock.now())
            self.world.settle()

    def read_on(self) -> None:
        """The broker takes this peer's bytes again."""
        waiting = self._to_broker
        self._to_broker = []
        for index, chunk in enumerate(waiting):
            if self.link.is_held():
                self._to_broker = waiting[index:]
                return
            self.link.receive_data(chunk, self.world.clock.now())

    def drop(self) -> None:
        """Cut the connection, without a word."""
        if not self.closed:
            self.closed = True
            self.link.receive_eof(self.world.clock.now())
            self.world.settle()

    def disconnect(self, reason: int = 0, properties: Properties | None = None) -> None:
        """Send DISCONNECT."""
        self.send(p.Disconnect(reason, properties))

    # -- from the broker ------------------------------------------------------------------------

    def flush(self) -> bool:
        """Move what the broker has written; true when something moved."""
        if self.closed:
            return False
        out = self.link.connection.out
        moved = False
        if out and (self.reading or self.link.closing):
            self._received += b"".join(out)
            out.clear()
            moved = True
        if self.link.closing:
            self.closed = True
            self.link.receive_eof(self.world.clock.now())
            return True
        session = self.link.session
        if self.reading and session is not None:
            session.outbox.written(self.world.clock.now())
            moved = moved or bool(out)
        return moved

    def end(self) -> None:
        """The core wants this link closed."""
        self.link.close()
        self.flush()

    def stop_reading(self) -> None:
        """From here on nothing is taken: the broker's transport is full."""
        self.reading = False

    def start_reading(self) -> None:
        """Take what has waited, and everything that comes."""
        self.reading = True
        self.world.settle()

    def raw(self) -> bytes:
        """The bytes that came since the last look."""
        data = bytes(self._received)
        self._received.clear()
        return data

    def take(self) -> list[p.Packet]:
        """The packets that came since the last look.

        Raises:
            AssertionError: the broker sent something that a strict client must not accept.
        """
        if self._reader.version != self.version:
            self._reader.begin(self.version)  # a test changed its mind
        packets = self._reader.receive_data(self.raw(), self.world.clock.now())
        for packet in packets:
            assert not isinstance(packet, Violation), f"the broker sent: {packet.text}"
        pending, self._pending = self._pending, []
        return pending + packets

    def take_connack(self) -> None:
        """Take the CONNACK, if one came."""
        packets = self.take()
        if packets and isinstance(packets[0], p.Connack):
            self.connack = packets.pop(0)  # type: ignore[assignment]
        self._pending = packets

    def expect(self, kind: type[P]) -> P:
        """The next packet, which must be of one kind."""
        packets = self.take()
        assert packets, f"a {kind.__name__} was expected, nothing came (closed: {self.closed})"
        packet = packets.pop(0)
        self._pending = packets
        assert isinstance(packet, kind), f"a {kind.__name__} was expected, {packet!r} came"
        return packet

    def expect_nothing(self) -> None:
        """Nothing has come."""
        packets = self.take()
        assert not packets, f"nothing was expected, {packets!r} came"

    # -- everyday exchanges ---------------------------------------------------------------------

    def packet_id(self) -> int:
        """A packet identifier that this peer has not used."""
        self._next_id += 1
        return self._next_id

    def subscribe(
        self,
        filter: str,
        qos: int = 0,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        identifier: int = 0,
    ) -> p.Suback:
        """Subscribe to one filter; returns the SUBACK, messages behind it wait for :meth:`take`."""
        properties = Properties(subscription_ids=[identifier]) if identifier else None
        entry = p.SubscribeTo(filter, qos, no_local, retain_as_published, retain_handling)
        self.send(p.Subscribe(self.packet_id(), [entry], properties))
        return self.expect(p.Suback)

    def unsubscribe(self, *filters: str) -> p.Unsuback:
        """Unsubscribe from filters; returns the UNSUBACK."""
        self.send(p.Unsubscribe(self.packet_id(), list(filters)))
        return self.expect(p.Unsuback)

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        *,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> list[p.Packet]:
        """Publish and complete the exchange; returns the broker's answers (PUBACK, ...)."""
        packet_id = self.packet_id() if qos else 0
        self.send(p.Publish(topic, payload, qos, retain, False, packet_id, properties))
        if qos == 0 or self.closed:
            return []
        if qos == 1:
            return [self._answer(p.Puback)]
        received = self._answer(p.Pubrec)
        if received.reason >= 0x80:
            return [received]
        self.send(p.Pubrel(packet_id))
        return [received, self._answer(p.Pubcomp)]

    def _answer(self, kind: type[P]) -> P:
        """The next packet of one kind, past messages that came meanwhile, which stay."""
        packets = self.take()
        for index, packet in enumerate(packets):
            if isinstance(packet, kind):
                del packets[index]
                self._pending = packets
                return packet
        raise AssertionError(f"a {kind.__name__} was expected, {packets!r} came")

    def messages(self, acknowledge: bool = True) -> list[p.Publish]:
        """All messages that came, with every exchange completed as a client does."""
        found: list[p.Publish] = []
        others: list[p.Packet] = []
        while True:
            packets = self.take()
            if not packets:
                break
            for packet in packets:
                if isinstance(packet, p.Publish):
                    found.append(packet)
                    if acknowledge and packet.qos == 1:
                        self.send(p.Puback(packet.packet_id))
                    elif acknowledge and packet.qos == 2:
                        self.send(p.Pubrec(packet.packet_id))
                elif isinstance(packet, p.Pubrel) and acknowledge:
                    self.send(p.Pubcomp(packet.packet_id))
                else:
                    others.append(packet)
        self._pending = others
        return found
