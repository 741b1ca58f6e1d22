"""The broker's ``protocol zmtp`` with libzmq's sockets at one side and MQTT at the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from midge.client import sync
from midge.mqtt.properties import Properties
from tests.process import BrokerProcess, free_port

TIMEOUT_MS = 10_000


class Server:
    """A broker with an MQTT listener and one for ZeroMQ peers."""

    def __init__(self, broker: BrokerProcess, zmtp_port: int) -> None:
        self.broker = broker
        self.endpoint = f"tcp://127.0.0.1:{zmtp_port}"
        self.context = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []

    def socket(self, kind: int, **options: object) -> zmq.Socket[bytes]:
        """A connected socket; ``options`` are set before."""
        made = self.context.socket(kind)
        made.rcvtimeo = made.sndtimeo = TIMEOUT_MS
        made.linger = 1000
        for name, value in options.items():
            setattr(made, name, value)
        self._sockets.append(made)
        made.connect(self.endpoint)
        return made

    def end(self) -> None:
        """Close all sockets."""
        for made in self._sockets:
            made.close()
        self.context.term()

    def mqtt(self) -> sync.Client:
        """A client of MQTT 5.0."""
        return sync.connect(f"mqtt://127.0.0.1:{self.broker.port}")


@pytest.fixture
def server(broker: tuple[BrokerProcess, int]) -> Iterator[Server]:
    made = Server(*broker)
    yield made
    made.end()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BrokerProcess, int]]:
    port = free_port()
    extra = f"listener {port} 127.0.0.1\nprotocol zmtp\nzmtp_queue jobs\nallow_anonymous true\n"
    with BrokerProcess(tmp_path_factory.mktemp("zmtp"), extra) as running:
        yield running, port


def until_subscribed(client: sync.Client, topic: str, subscriber: zmq.Socket[bytes]) -> None:
    """A subscription of ZMTP is not confirmed: publish until it is seen."""
    for _ in range(1000):
        client.publish(topic, b"?")
        if subscriber.poll(10):
            break
    while subscriber.poll(20):
        subscriber.recv_multipart()


def test_what_mqtt_clients_publish_reaches_a_sub_by_prefix(server: Server) -> None:
    subscriber = server.socket(zmq.SUB)
    subscriber.subscribe(b"shop/")
    with server.mqtt() as client:
        until_subscribed(client, "shop/?", subscriber)
        client.publish("other", b"0")
        client.publish("shop/1", b"hello", qos=1)
    assert subscriber.recv_multipart() == [b"shop/1", b"hello"]


def test_what_a_pub_sends_reaches_mqtt_subscribers(server: Server) -> None:
    with server.mqtt() as client:
        client.subscribe("weather/#")
        publisher = server.socket(zmq.XPUB)
        assert publisher.recv() == b"\x01"  # the broker wants everything
        publisher.send_multipart([b"weather/10001", b"80 20"])
        message = client.receive(10)
    assert (message.topic, message.payload) == ("weather/10001", b"80 20")


def test_what_a_push_sends_one_pull_gets(server: Server) -> None:
    push, first, second = (server.socket(kind) for kind in (zmq.PUSH, zmq.PULL, zmq.PULL))
    for number in range(100):
        push.send_multipart([b"%d" % number, b"job"])
    got: list[int] = []
    poller = zmq.Poller()
    poller.register(first, zmq.POLLIN)
    poller.register(second, zmq.POLLIN)
    while len(got) < 100:
        ready = poller.poll(TIMEOUT_MS)
        assert ready
        for socket, _ in ready:
            got.append(int(socket.recv_multipart()[0]))
    assert sorted(got) == list(range(100))


def test_a_request_of_a_req_is_answered_by_a_rep(server: Server) -> None:
    asker = server.socket(zmq.REQ)
    asker.send(b"what?")
    worker = server.socket(zmq.REP)
    assert worker.recv() == b"what?"
    worker.send(b"that")
    assert asker.recv() == b"that"


def test_a_request_of_an_mqtt_client_is_answered_by_a_rep(server: Server) -> None:
    worker = server.socket(zmq.REP)
    with server.mqtt() as client:
        client.subscribe("answers/1")
        client.publish(
            "$queue/jobs",
            b"what?",
            qos=1,
            properties=Properties.of(response_topic="answers/1", correlation_data=b"7"),
        )
        assert worker.recv() == b"what?"
        worker.send(b"that")
        answer = client.receive(10)
    assert (answer.topic, answer.payload) == ("answers/1", b"that")
