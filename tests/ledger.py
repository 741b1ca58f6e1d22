"""Correct clients with a ledger, for tests that kill brokers.

A client here has a session of its own that outlives everything: it sends again what was not
acknowledged, and knows which QoS 2 identifiers it has seen. The ledger is what publishers hold
acknowledgements for, and what subscribers got; :func:`check` compares them. What they speak
through is a :class:`Line`, which may be a connection in memory or a socket.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from midge.mqtt import packets as p
from midge.mqtt.properties import Properties


class Line(Protocol):
    """One connection, seen from the client."""

    closed: bool
    connack: p.Connack | None

    def send(self, packet: p.Packet, /) -> None:
        """Send a packet; into the void when the connection is gone."""

    def take(self) -> list[p.Packet]:
        """What came since the last look."""

    def drop(self) -> None:
        """Cut it."""


class Dials(Protocol):
    """Whoever makes connections to the broker."""

    def connect(
        self, client_id: str, *, version: int, clean_start: bool, properties: Properties | None
    ) -> Line:
        """A client that was let in."""


class Client:
    """A client whose own session outlives everything."""

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.window = 20
        self.line: Line | None = None
        self.unread: list[p.Packet] = []

    def connected(self) -> bool:
        return self.line is not None and not self.line.closed

    def connect(self, broker: Dials) -> None:
        self.unread = []
        self.line = broker.connect(
            self.name,
            version=self.version,
            clean_start=False,
            properties=self.properties() if self.version == 5 else None,
        )
        assert self.line.connack is not None
        self.came_back(self.line.connack.session_present)

    def properties(self) -> Properties:
        return Properties.of(session_expiry_interval=1_000_000, receive_maximum=self.window)

    def came_back(self, present: bool) -> None:
        raise NotImplementedError

    def handle(self, packet: p.Packet) -> None:
        raise NotImplementedError

    def say(self, packet: p.Packet) -> None:
        assert self.line is not None
        self.line.send(packet)

    def read(self, limit: int) -> int:
        """Handle some of what came; returns how much."""
        if not self.connected():
            return 0
        assert self.line is not None
        packets = self.unread + self.line.take()
        self.unread = packets[limit:]
        for packet in packets[:limit]:
            self.handle(packet)
        return min(limit, len(packets))


class Publisher(Client):
    """Sends numbered messages of QoS 1 and 2, and retained ones whose value rises."""

    def __init__(self, name: str, version: int, in_flight_max: int = 16) -> None:
        super().__init__(name, version)
        self.count = 0
        self.in_flight_max = in_flight_max
        self.in_flight: dict[int, tuple[str, int, bytes, bool]] = {}
        self.released: dict[int, None] = {}
        self.acknowledged: dict[int, list[bytes]] = {1: [], 2: []}
        self.kept: dict[str, int] = {}  # retained: the last value that was acknowledged
        self.refused = 0

    def idle(self) -> bool:
        return not self.in_flight and not self.released

    def publish(self, qos: int, topic: str = "t/x", padding: bytes = b"") -> bool:
        payload = f"{self.name} {qos} {self.count + 1} ".encode() + padding
        return self._begin(topic, qos, payload, False)

    def retain(self, topic: str, qos: int) -> bool:
        return self._begin(topic, qos, str(self.count + 1).encode(), True)

    def _begin(self, topic: str, qos: int, payload: bytes, retain: bool) -> bool:
        if not self.connected() or len(self.in_flight) + len(self.released) >= self.in_flight_max:
            return False
        self.count += 1
        packet_id = 1 + self.count % 60_000
        self.in_flight[packet_id] = topic, qos, payload, retain
        self._send(packet_id, dup=False)
        return True

    def _send(self, packet_id: int, dup: bool) -> None:
        topic, qos, payload, retain = self.in_flight[packet_id]
        self.say(p.Publish(topic, payload, qos, retain, dup, packet_id))

    def came_back(self, present: bool) -> None:
        for packet_id in list(self.in_flight):
            self._send(packet_id, dup=True)
        for packet_id in list(self.released):
            self.say(p.Pubrel(packet_id))

    def handle(self, packet: p.Packet) -> None:
        if isinstance(packet, p.Puback | p.Pubrec):
            found = self.in_flight.pop(packet.packet_id, None)
            if packet.reason >= 0x80:
                self.refused += 1
                return
            if found is not None:
                self._enter(*found)
        if isinstance(packet, p.Pubrec):
            self.released[packet.packet_id] = None
            self.say(p.Pubrel(packet.packet_id))
        elif isinstance(packet, p.Pubcomp):
            self.released.pop(packet.packet_id, None)

    def _enter(self, topic: str, qos: int, payload: bytes, retain: bool) -> None:
        if retain:
            self.kept[topic] = max(int(payload), self.kept.get(topic, 0))
        else:
            self.acknowledged[qos].append(payload)


class Subscriber(Client):
    """Takes messages, and remembers which QoS 2 identifiers are open."""

    def __init__(self, name: str, version: int, filter: str = "t/#") -> None:
        super().__init__(name, version)
        self.filter = filter
        self.got: list[bytes] = []
        self.open: set[int] = set()
        self.subscribed = False

    def came_back(self, present: bool) -> None:
        assert present == self.subscribed, "the session was forgotten"
        if not self.subscribed:
            self.say(p.Subscribe(1, [p.SubscribeTo(self.filter, 2)]))

    def handle(self, packet: p.Packet) -> None:
        if isinstance(packet, p.Publish):
            if packet.qos == 1:
                self.got.append(packet.payload)
                self.say(p.Puback(packet.packet_id))
                return
            if packet.packet_id not in self.open:
                self.open.add(packet.packet_id)
                self.got.append(packet.payload)
            self.say(p.Pubrec(packet.packet_id))
        elif isinstance(packet, p.Pubrel):
            self.open.discard(packet.packet_id)
            self.say(p.Pubcomp(packet.packet_id))
        elif isinstance(packet, p.Suback):
            self.subscribed = True


class Worker(Subscriber):
    """Takes from a queue at QoS 1, and refuses for good every seventh message of a publisher.

    Attributes:
        got: what it has acknowledged.
        refused: how often it has said no.
    """

    def __init__(self, name: str, filter: str) -> None:
        super().__init__(name, 5, filter)
        self.refused = 0

    def handle(self, packet: p.Packet) -> None:
        if isinstance(packet, p.Publish) and is_poison(packet.payload):
            self.refused += 1
            self.say(p.Puback(packet.packet_id, 0x80))
        else:
            super().handle(packet)


def is_poison(payload: bytes) -> bool:
    """Whether no worker will do it, so that it has to come to the dead letters."""
    return int(payload.split()[2]) % 7 == 0


def check_queue(
    publishers: Iterable[Publisher], workers: Iterable[Worker], dead: Iterable[Subscriber]
) -> None:
    """What was acknowledged was done by a worker, or is a dead letter if none would do it."""
    done = {payload for worker in workers for payload in worker.got}
    buried = {payload for reader in dead for payload in reader.got}
    assert all(map(is_poison, buried)), "a message that somebody would have done was given up"
    for publisher in publishers:
        for sent in publisher.acknowledged.values():
            missing = {one for one in sent if one not in (buried if is_poison(one) else done)}
            assert not missing, f"nobody did {sorted(missing)[:5]}"


def check(publishers: Iterable[Publisher], subscribers: Iterable[Subscriber]) -> None:
    """What was acknowledged reached each subscriber; at QoS 2 once; in order."""
    for subscriber in subscribers:
        for publisher in publishers:
            for qos in (1, 2):
                mine = _from(publisher, qos, subscriber.got)
                missing = set(publisher.acknowledged[qos]) - set(mine)
                assert not missing, f"{subscriber.name} never got {sorted(missing)[:5]}"
                if qos == 2:
                    assert len(mine) == len(set(mine)), f"{subscriber.name} got one twice"
                first = [int(payload.split()[2]) for payload in dict.fromkeys(mine)]
                assert first == sorted(first), f"{subscriber.name} got QoS {qos} out of order"


def check_shared(publishers: Iterable[Publisher], members: Iterable[Subscriber]) -> None:
    """What was acknowledged reached a member of a shared subscription."""
    got = {payload for member in members for payload in member.got}
    for publisher in publishers:
        for sent in publisher.acknowledged.values():
            missing = set(sent) - got
            assert not missing, f"no member got {sorted(missing)[:5]}"


def _from(publisher: Publisher, qos: int, got: list[bytes]) -> list[bytes]:
    mark = f"{publisher.name} {qos} ".encode()
    return [payload for payload in got if payload.startswith(mark)]
