"""What MQTT 5 adds, as other people's clients see it."""

from __future__ import annotations

import queue
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers import program
from tests.process import BrokerProcess

WAIT_S = 15


class PahoFive:
    """paho-mqtt in MQTT 5, with its properties."""

    def __init__(self, port: int, client_id: str, **connect: Any) -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.packettypes import PacketTypes

        self.types = PacketTypes
        self.messages: queue.Queue[Any] = queue.Queue()
        self.events: queue.Queue[Any] = queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        self.client.on_connect = lambda *given: self.events.put(given[-1])
        self.client.on_subscribe = lambda *given: self.events.put(given)
        self.client.on_message = lambda client, user, message: self.messages.put(message)
        self.client.connect(
            "127.0.0.1", port, clean_start=True, properties=self.properties("CONNECT", **connect)
        )
        self.client.loop_start()
        self.connack = self.events.get(timeout=WAIT_S)

    def properties(self, packet: str, **named: Any) -> Any:
        from paho.mqtt.properties import Properties

        made = Properties(getattr(self.types, packet))
        for name, value in named.items():
            setattr(made, name, value)
        return made

    def subscribe(self, filter: str, **options: Any) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        identifier = options.pop("identifier", None)
        properties = (
            self.properties("SUBSCRIBE", SubscriptionIdentifier=identifier) if identifier else None
        )
        self.client.subscribe(filter, options=SubscribeOptions(**options), properties=properties)
        self.events.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: bytes, qos: int = 1, **named: Any) -> None:
        retain = named.pop("retain", False)
        properties = self.properties("PUBLISH", **named)
        self.client.publish(topic, payload, qos, retain, properties).wait_for_publish(WAIT_S)

    def take(self) -> Any:
        return self.messages.get(timeout=WAIT_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        # Its sockets are closed with its last reference, and the callbacks hold us and so it.
        self.client.on_connect = self.client.on_subscribe = self.client.on_message = None
        del self.client


@pytest.fixture
def make(broker_process: BrokerProcess) -> Iterator[Any]:
    made: list[PahoFive] = []

    def one(client_id: str, **connect: Any) -> PahoFive:
        made.append(PahoFive(broker_process.port, client_id, **connect))
        return made[-1]

    yield one
    for client in made:
        client.close()


@pytest.mark.peer("paho")
def test_the_broker_says_what_it_allows_as_mosquitto_does(make: Any) -> None:
    client = make("c")
    assert client.connack.TopicAliasMaximum == 10
    assert client.connack.ReceiveMaximum == 20
    assert client.connack.MaximumPacketSize == 2_000_000


@pytest.mark.peer("paho")
def test_properties_of_a_message_arrive_as_they_were_sent(make: Any) -> None:
    subscriber, publisher = make("s"), make("p")
    subscriber.subscribe("t/#", qos=1)
    user = [("b", "1"), ("a", "2"), ("b", "3"), ("ü", "é")]
    publisher.publish(
        "t/x",
        b"{}",
        PayloadFormatIndicator=1,
        ContentType="application/json",
        ResponseTopic="answers/here",
        CorrelationData=b"\x00\x01",
        UserProperty=user,
        MessageExpiryInterval=100,
    )
    properties = subscriber.take().properties
    assert properties.UserProperty == user
    assert properties.ContentType == "application/json"
    assert properties.ResponseTopic == "answers/here"
    assert properties.CorrelationData == b"\x00\x01"
    assert properties.PayloadFormatIndicator == 1
    assert 99 <= properties.MessageExpiryInterval <= 100


@pytest.mark.peer("paho")
def test_a_request_is_answered(make: Any) -> None:
    asker, worker = make("asker"), make("worker")
    worker.subscribe("service/add", qos=1)
    asker.subscribe("answers/asker", qos=1)
    asker.publish("service/add", b"1 2", ResponseTopic="answers/asker", CorrelationData=b"n7")
    request = worker.take()
    worker.publish(
        request.properties.ResponseTopic, b"3", CorrelationData=request.properties.CorrelationData
    )
    answer = asker.take()
    assert (answer.payload, answer.properties.CorrelationData) == (b"3", b"n7")


@pytest.mark.peer("paho")
def test_topic_aliases_work_both_ways(make: Any) -> None:
    subscriber = make("s", TopicAliasMaximum=5)
    publisher = make("p")
    subscriber.subscribe("t/#", qos=1)
    publisher.publish("t/long/name", b"1", TopicAlias=3)
    publisher.publish("", b"2", TopicAlias=3)
    first, second = subscriber.take(), subscriber.take()
    assert first.topic == "t/long/name"
    assert first.properties.TopicAlias == second.properties.TopicAlias
    assert second.topic == ""  # paho leaves it to its user to look the alias up
    assert (first.payload, second.payload) == (b"1", b"2")


@pytest.mark.peer("paho")
def test_subscription_identifiers_and_options(make: Any) -> None:
    client, other = make("c"), make("o")
    other.publish("t/kept", b"old", retain=True)
    client.subscribe("t/#", qos=1, identifier=7, noLocal=True, retainHandling=2)
    client.publish("t/mine", b"mine")
    other.publish("t/theirs", b"theirs", retain=True)
    message = client.take()
    assert message.payload == b"theirs"
    assert message.properties.SubscriptionIdentifier == [7]
    assert not message.retain
    client.subscribe("u/#", qos=1, retainAsPublished=True)
    other.publish("u/x", b"flagged", retain=True)
    assert client.take().retain


@pytest.mark.peer("mosquitto_sub")
@pytest.mark.peer("mosquitto_pub")
def test_mosquittos_clients_see_properties(broker_process: BrokerProcess) -> None:
    publish, subscribe = program("mosquitto_pub"), program("mosquitto_sub")
    assert publish is not None
    assert subscribe is not None
    common = ["-p", str(broker_process.port), "-V", "5", "-t", "t", "-q", "1"]
    user, content = ["user-property", "k", "v"], ["content-type", "c"]
    subprocess.run(
        [publish, *common, "-r", "-m", "x", "-D", "publish", *user, "-D", "publish", *content],
        check=True,
        timeout=WAIT_S,
    )
    done = subprocess.run(
        [subscribe, *common, "-C", "1", "-W", "10", "-F", "%P %C %r %p"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.stdout.split() == ["k:v", "c", "1", "x"]
