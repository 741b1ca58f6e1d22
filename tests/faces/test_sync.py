"""The blocking client against our broker, and against servers that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from midge import (
    ConnectionLost,
    ConnectionRefused,
    MidgeError,
    OperationTimeout,
    ProtocolError,
    TopicError,
)
from midge.client.sync import Client, connect
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from tests.process import BrokerProcess


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("sync")) as process:
        yield process


@pytest.fixture
def url(broker: BrokerProcess) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_goes_round(url: str, version: int, qos: int) -> None:
    with connect(url, client_id=f"round-{version}-{qos}", version=version) as client:
        assert client.subscribe(f"round/{version}/{qos}/#", qos=qos) == [qos]
        client.publish(f"round/{version}/{qos}/a", "h\xe9llo", qos)
        message = client.receive(10)
        assert message.topic == f"round/{version}/{qos}/a"
        assert message.payload == "h\xe9llo".encode()
        assert (message.qos, message.retain) == (qos, False)
        assert client.unsubscribe(f"round/{version}/{qos}/#") == ([0] if version == 5 else [])
        client.publish(f"round/{version}/{qos}/a", b"nobody")
        with pytest.raises(OperationTimeout):
            client.receive(0.05)


def test_messages_come_in_order_also_those_between_two_answers(url: str) -> None:
    with connect(url) as client:
        client.subscribe("order", qos=2)
        for number in range(200):
            client.publish("order", str(number), qos=number % 3)
        received = [message.payload for message in client.messages(0.5)]
    by_qos = [[b"%d" % n for n in range(200) if n % 3 == qos] for qos in range(3)]
    for qos in range(3):
        assert [payload for payload in received if int(payload) % 3 == qos] == by_qos[qos]


def test_properties_and_subscription_options(url: str) -> None:
    with connect(url) as client:
        client.publish("options/kept", "old", qos=1, retain=True)
        entry = p.SubscribeTo("options/+", 1, no_local=True, retain_handling=0)
        assert client.subscribe(entry, properties=Properties(subscription_ids=[3])) == [1]
        message = client.receive(10)
        assert (message.payload, message.retain) == (b"old", True)
        assert message.properties is not None
        assert message.properties.subscription_ids == [3]
        client.publish("options/mine", "not for me", qos=1)
        with pytest.raises(OperationTimeout):
            client.receive(0.05)
        client.publish("options/kept", "", qos=1, retain=True)


def test_a_session_goes_on(url: str) -> None:
    forever = Properties.of(session_expiry_interval=100)
    with connect(url, client_id="goes-on", clean_start=False, properties=forever) as client:
        assert not client.session_present
        client.subscribe("goes/on", qos=1)
    with connect(url) as other:
        assert other.client_id
        other.publish("goes/on", "while away", qos=1)
    with connect(url, client_id="goes-on", clean_start=False) as client:
        assert client.session_present
        assert client.receive(10).payload == b"while away"


def test_the_will_is_for_those_who_close_without_a_goodbye(url: str) -> None:
    with connect(url) as watcher:
        watcher.subscribe("will/#")
        with connect(url, will=p.Will("will/polite", b"x")):
            pass
        connect(url, will=p.Will("will/rude", b"gone")).close()
        message = watcher.receive(10)
        assert (message.topic, message.payload) == ("will/rude", b"gone")


def test_bad_topics_are_errors_and_the_connection_stays(url: str) -> None:
    with connect(url) as client:
        with pytest.raises(TopicError):
            client.publish("a/+", "x")
        with pytest.raises(TopicError):
            client.subscribe("a/#/b")
        client.publish("a", "x", qos=1)


def test_after_the_end_every_verb_says_so(url: str) -> None:
    client = connect(url)
    client.disconnect()
    client.disconnect()
    for verb in (
        lambda: client.publish("a", "x"),
        lambda: client.subscribe("a"),
        lambda: client.unsubscribe("a"),
        lambda: client.receive(1),
    ):
        with pytest.raises(ConnectionLost):
            verb()


def test_a_broker_that_lets_nobody_in(tmp_path: Path) -> None:
    process = BrokerProcess(tmp_path)
    process._file.write_text(process._file.read_text().replace("true", "false"))
    with process:
        for version, code in ((4, 5), (5, 0x87)):
            with pytest.raises(ConnectionRefused) as caught:
                connect(f"mqtt://127.0.0.1:{process.port}", version=version)
            assert caught.value.code == code


class Misbehaving:
    """A server that answers with given bytes, then waits or closes."""

    def __init__(self, *answers: bytes, close: bool) -> None:
        self._answers = answers
        self._close = close
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.url = f"mqtt://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            for answer in self._answers:
                connection.recv(10_000)
                connection.sendall(answer)
            while not self._close and connection.recv(10_000):
                pass

    def __enter__(self) -> Misbehaving:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listening.close()


CONNACK = b"\x20\x03\x00\x00\x00"


@pytest.mark.parametrize(
    ("answers", "close", "error"),
    [
        ([], True, ConnectionLost),
        ([], False, OperationTimeout),
        ([b"\x20\x02\x00\x01"], True, ConnectionRefused),
        ([b"\x20\x03\x00\x8c\x00"], True, ConnectionRefused),
        ([b"not MQTT at all"], False, ConnectionLost),
        ([CONNACK + b"\x10\x00"], False, ConnectionLost),
    ],
    ids=["closes", "silent", "old", "refuses", "nonsense", "nonsense behind CONNACK"],
)
def test_misbehaving_servers_at_the_start(
    answers: list[bytes], close: bool, error: type[MidgeError]
) -> None:
    with (
        Misbehaving(*answers, close=close) as server,
        pytest.raises(error),
        connect(server.url, timeout_s=0.3) as client,
    ):
        client.subscribe("a")


def connected(url: str) -> Client:
    client = connect(url, timeout_s=0.3)
    assert client.client_id == ""
    return client


@pytest.mark.parametrize(
    ("answer", "close", "error"),
    [
        (b"", True, ConnectionLost),
        (b"\xd0\x00", False, OperationTimeout),
        (b"\x40\x03\x00\x01\x87", False, ProtocolError),
        (b"\xe0\x02\x8b\x00", True, ConnectionLost),
    ],
    ids=["closes", "something else", "refuses", "goes down"],
)
def test_misbehaving_servers_later(answer: bytes, close: bool, error: type[MidgeError]) -> None:
    with Misbehaving(CONNACK, answer, close=close) as server:
        client = connected(server.url)
        with pytest.raises(error):
            client.publish("a", "x", qos=1)
        client.close()
