"""The scenarios that are counted: a broker core in memory, and what its clients send.

Each is a function that makes everything ready and returns what is to be counted, and for how many
deliveries it is. The bytes are made before, and what the broker writes is thrown away, so that
little is counted that is not the broker's. Every scenario says how many deliveries it made, and is
checked for it: a figure is worth nothing when messages are missing.

Run by :mod:`tests.guard.measure` under callgrind; never by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from midge.broker.link import Link
from midge.config.queue_settings import QueueSettings
from midge.links.mqtt import MqttLink
from midge.links.zmq import ZmqLink
from midge.links.zmq_place import Place
from midge.mqtt import packets as p
from midge.mqtt.encode import encode
from midge.mqtt.properties import Properties
from midge.testing.pair import Peer, World
from midge.zmtp.connection import Connection
from midge.zmtp.frames import FrameReader, encode_many, encode_message
from midge.zmtp.settings import Settings
from midge.zmtp.sockets import ANY

#: What is counted, and how many deliveries it makes.
Work = tuple[Callable[[], None], int]

PAYLOAD: Final = b"0123456789abcdef"

#: How often a scenario whose work is another one each time can be run.
ROUNDS_MAX: Final = 3


def reference() -> Work:
    """Plain Python that has nothing of ours: the unit in which all others are given.

    Interpreters differ from build to build; what our code costs is compared with what this does.
    """
    data = bytes(range(256)) * 16

    def work() -> None:
        found: dict[int, list[bytes]] = {}
        for index in range(4000):
            key = data[index % 4096]
            part = data[index % 4000 : index % 4000 + 16]
            found.setdefault(key, []).append(part)
        assert sum(map(len, found.values())) == 4000
        b"".join(map(b"".join, found.values()))

    return work, 4000


def _publish(
    topic: str, qos: int, packet_id: int, version: int, extras: Properties | None
) -> bytes:
    return encode(p.Publish(topic, PAYLOAD, qos, False, False, packet_id, extras), version)


class Stage:
    """A broker with subscribers, and a publisher that sends the same chunk again and again."""

    def __init__(self, version: int = 4) -> None:
        self.world = World(inflight_messages_max=0)
        self.version = version
        self.publisher = self.world.connect("publisher", version=version)
        self.subscribers: list[Peer] = []

    def subscribe(self, *filters: str, qos: int = 0, count: int = 1) -> None:
        """More subscribers."""
        for _ in range(count):
            peer = self.world.connect(f"s{len(self.subscribers)}", version=self.version)
            for one in filters:
                peer.subscribe(one, qos)
            self.subscribers.append(peer)

    def chunk(self, topics: list[str], qos: int = 0, extras: Properties | None = None) -> bytes:
        """The bytes of one message to each topic."""
        return b"".join(
            encode(p.Publish(topic, PAYLOAD, qos, False, False, number, extras), self.version)
            for number, topic in enumerate(topics, 1)
        )

    def run(self, chunk: bytes, rounds: int, acks: bytes = b"") -> Callable[[], None]:
        """Send the chunk so often; subscribers answer each with ``acks``."""
        links = [peer.link for peer in self.subscribers]
        publisher = self.publisher.link

        def work() -> None:
            for _ in range(rounds):
                publisher.receive_data(chunk, 1.0)
                self.drain(publisher)
                for link in links:
                    self.drain(link)
                    if acks:
                        link.receive_data(acks, 1.0)
                        self.drain(link)

        return work

    def drain(self, link: Link) -> None:
        """Take what was written, as a socket would."""
        session = link.session
        assert session is not None
        link.connection.out.clear()  # type: ignore[attr-defined]
        session.outbox.written(1.0)
        self.world.broker.dirty.clear()

    def sent(self) -> int:
        """Messages that the broker has sent so far."""
        return self.world.broker.metrics.publish_sent


def _checked(stage: Stage, run: Callable[[], None], deliveries: int) -> Work:
    def work() -> None:
        before = stage.sent()
        run()
        made = stage.sent() - before
        assert made == deliveries, f"{made} of {deliveries} deliveries were made"

    return work, deliveries


def qos0_one_topic() -> Work:
    """64 messages a write, all to one topic."""
    stage = Stage()
    stage.subscribe("t/#")
    return _checked(stage, stage.run(stage.chunk(["t/1"] * 64), 50), 3200)


def qos0_thousand_topics() -> Work:
    """64 messages a write, over 1,000 topics."""
    stage = Stage()
    stage.subscribe("t/#")
    chunks = [stage.chunk([f"t/{(64 * k + n) % 1000}" for n in range(64)]) for k in range(16)]
    runs = [stage.run(chunk, 1) for chunk in chunks]

    def run() -> None:
        for _ in range(3):
            for one in runs:
                one()

    run()  # the routes are known
    return _checked(stage, run, 3 * 16 * 64)


def qos0_version5_with_properties() -> Work:
    """64 messages a write with three properties, to a subscriber of MQTT 5.0."""
    stage = Stage(5)
    stage.subscribe("t/#")
    extras = Properties.of(content_type="text/plain", response_topic="r")
    return _checked(stage, stage.run(stage.chunk(["t/1"] * 64, extras=extras), 30), 30 * 64)


def _acked(stage: Stage, chunk: bytes, size: int, rounds: int) -> Work:
    """Send a chunk of ``size`` messages of QoS 1 so often; every subscriber acknowledges it."""
    answers = [
        b"".join(encode(p.Puback(1 + (size * k + n) % 65_535), 4) for n in range(size))
        for k in range(2 * rounds)
    ]
    publisher = stage.publisher.link
    links = [peer.link for peer in stage.subscribers]
    number = iter(answers)

    def run() -> None:
        for _ in range(rounds):
            publisher.receive_data(chunk, 1.0)
            stage.drain(publisher)
            acks = next(number)
            for link in links:
                stage.drain(link)
                link.receive_data(acks, 1.0)
                stage.drain(link)
        for link in links:
            assert link.session is not None
            assert not link.session.outbox.outgoing.waiting, "something was not acknowledged"

    run()
    return _checked(stage, run, rounds * size * len(links))


def qos1() -> Work:
    """50 messages a write at QoS 1, each acknowledged."""
    stage = Stage()
    stage.subscribe("t/#", qos=1)
    return _acked(stage, stage.chunk(["t/1"] * 50, qos=1), 50, 20)


def qos1_fan_out() -> Work:
    """8 messages a write at QoS 1, each to 100 subscribers, who acknowledge it."""
    stage = Stage()
    stage.subscribe("t/#", qos=1, count=100)
    return _acked(stage, stage.chunk(["t/1"] * 8, qos=1), 8, 2)


def qos1_named_queue() -> Work:
    """50 messages a write at QoS 1 into a queue, whose only consumer acknowledges each."""
    stage = Stage()
    stage.world.broker.queues.create("jobs", QueueSettings(prefetch=0))
    stage.subscribe("$queue/jobs", qos=1)
    return _acked(stage, stage.chunk(["$queue/jobs"] * 50, qos=1), 50, 20)


def qos1_shared_group() -> Work:
    """The same to a shared subscription with one member."""
    stage = Stage()
    stage.subscribe("$share/g/t/#", qos=1)
    return _acked(stage, stage.chunk(["t/1"] * 50, qos=1), 50, 20)


def shared_group() -> Work:
    """64 messages a write, to a shared subscription of 8."""
    stage = Stage()
    stage.subscribe("$share/g/t/#", count=8)
    run = stage.run(stage.chunk(["t/1"] * 64), 20)
    run()
    return _checked(stage, run, 1280)


def zmtp_frames() -> Work:
    """1,000 small messages of ZMTP, read from one chunk and written as one."""
    data = encode_many([PAYLOAD] * 1000)

    def work() -> None:
        reader = FrameReader(1 << 20)
        items: list[bytes | list[bytes]] = []
        reader.feed(data)
        reader.read_messages(items)
        assert len(items) == 1000
        assert encode_many(items) == data  # type: ignore[arg-type]

    return work, 1000


class ZmqStage(Stage):
    """A broker with ZeroMQ peers of both kinds, of which only the handshake is a real one's."""

    def peer(self, kind: str) -> ZmqLink:
        """One more peer."""
        world = self.world
        place = Place(Settings(ANY), "jobs")
        link = ZmqLink(world.broker, world.listener, place, "127.0.0.1", 1, 2, 1.0, bytes)
        peer = Connection(Settings(kind), 1.0)
        for _ in range(3):
            link.receive_data(b"".join(peer.data_to_send()), 1.0)
            peer.receive_data(b"".join(link.connection.data_to_send()), 1.0)
        if kind == "SUB":
            peer.subscribe(b"t/")
            link.receive_data(b"".join(peer.data_to_send()), 1.0)
        return link

    def carry(self, chunk: bytes, sender: ZmqLink, receiver: ZmqLink, deliveries: int) -> Work:
        """Send the chunk 20 times; it makes so many deliveries each time."""

        def run() -> None:
            for _ in range(20):
                sender.receive_data(chunk, 1.0)
                self.drain(sender)
                self.drain(receiver)

        run()  # the routes are known
        return _checked(self, run, 20 * deliveries)


def zmq_push_to_pull() -> Work:
    """64 messages a write of a PUSH, through a queue to a PULL."""
    stage = ZmqStage()
    return stage.carry(encode_many([PAYLOAD] * 64), stage.peer("PUSH"), stage.peer("PULL"), 64)


def zmq_pub_to_sub() -> Work:
    """64 messages a write of a PUB, to a SUB."""
    stage = ZmqStage()
    chunk = encode_message([b"t/1", PAYLOAD]) * 64
    return stage.carry(chunk, stage.peer("PUB"), stage.peer("SUB"), 64)


def fan_out() -> Work:
    """16 messages a write, each to 100 subscribers."""
    stage = Stage()
    stage.subscribe("t/#", count=100)
    return _checked(stage, stage.run(stage.chunk(["t/1"] * 16), 4), 4 * 16 * 100)


def new_topics_among_subscriptions() -> Work:
    """1,024 topics that nobody has published to, among 10,000 subscriptions to others."""
    stage = Stage()
    stage.subscribe("t/#")
    others = [f"o/{n:05}/x" for n in range(5000)] + [f"+/{n:05}/#" for n in range(5000)]
    holder = stage.world.connect("holder", version=stage.version)
    for first in range(0, len(others), 500):
        entries = [p.SubscribeTo(one, 0) for one in others[first : first + 500]]
        holder.send(p.Subscribe(1, entries, None))
        answer = holder.expect(p.Suback)
        assert set(answer.reasons) == {0}, "a subscription was refused"
    numbers = iter(range(ROUNDS_MAX))
    chunks = [
        [stage.chunk([f"t/{r}/{16 * k + n}" for n in range(16)]) for k in range(64)]
        for r in range(ROUNDS_MAX)
    ]

    def run() -> None:
        for chunk in chunks[next(numbers)]:
            stage.run(chunk, 1)()

    return _checked(stage, run, 1024)


def retained_stored() -> Work:
    """1,024 retained messages, of topics that had none."""
    stage = Stage()
    numbers = iter(range(ROUNDS_MAX))
    chunks = [
        b"".join(
            encode(p.Publish(f"t/{r}/{n}", PAYLOAD, 0, True, False, 0, None), stage.version)
            for n in range(1024)
        )
        for r in range(ROUNDS_MAX)
    ]

    def work() -> None:
        before = len(stage.world.broker.router.retained)
        stage.publisher.link.receive_data(chunks[next(numbers)], 1.0)
        stored = len(stage.world.broker.router.retained) - before
        assert stored == 1024, f"{stored} of 1024 messages were stored"

    return work, 1024


def retained_fetched() -> Work:
    """1,024 retained messages for a new subscription."""
    stage = Stage()
    for n in range(1024):
        stage.publisher.publish(f"t/{n}", PAYLOAD, retain=True)
    peer = stage.world.connect("subscriber", version=stage.version)
    request = encode(p.Subscribe(1, [p.SubscribeTo("t/#", 0)], None), stage.version)

    def run() -> None:
        end = stage.sent() + 1024
        peer.link.receive_data(request, 1.0)
        while stage.sent() < end:
            before = stage.sent()
            stage.drain(peer.link)
            assert stage.sent() > before or not peer.link.connection.out, "it has stopped"

    return _checked(stage, run, 1024)


def connection() -> Work:
    """1,000 clients that come, and leave."""
    stage = Stage()
    hellos = [
        encode(p.Connect(f"c{n}", stage.version, True, 60), stage.version) for n in range(1000)
    ]
    goodbye = encode(p.Disconnect(), stage.version)
    world = stage.world

    def work() -> None:
        links = []
        for hello in hellos:
            link = MqttLink(world.broker, world.listener, "127.0.0.1", 50000, 1883, 1.0)
            link.receive_data(hello, 1.0)
            assert link.connection.out, "no CONNACK"
            stage.drain(link)
            links.append(link)
        for link in links:
            link.receive_data(goodbye, 1.0)
            link.receive_eof(1.0)
        world.broker.dirty.clear()
        world.broker.ending.clear()

    return work, 1000


SCENARIOS: Final[dict[str, Callable[[], Work]]] = {
    function.__name__: function
    for function in (
        reference,
        qos0_one_topic,
        qos0_thousand_topics,
        qos0_version5_with_properties,
        qos1,
        fan_out,
        qos1_fan_out,
        qos1_named_queue,
        qos1_shared_group,
        shared_group,
        zmtp_frames,
        zmq_push_to_pull,
        zmq_pub_to_sub,
        new_topics_among_subscriptions,
        retained_stored,
        retained_fetched,
        connection,
    )
}
