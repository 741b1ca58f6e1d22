"""What MQTT 5 adds, as other people's clients see it."""

from __future__ import annotations

import queue
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.paho_client import paho_properties
from tests.peers import program
from tests.process import BrokerProcess

WAIT_S = 15


class PahoFive:
    """paho-mqtt in MQTT 5, with its properties."""

    def __init__(
        self,
        port: int,
        client_id: str,
        clean: bool = True,
        will: tuple[Any, ...] | None = None,
        by_hand: bool = False,
        **connect: Any,
    ) -> None:
        import paho.mqtt.client as paho

        self.messages: queue.Queue[Any] = queue.Queue()
        self.events: queue.Queue[Any] = queue.Queue()
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        self.client.manual_ack_set(by_hand)
        if will is not None:
            self.client.will_set(*will)
        self.client.on_connect = lambda *given: self.events.put(given)
        self.client.on_subscribe = lambda *given: self.events.put(given)
        self.client.on_message = lambda client, user, message: self.messages.put(message)
        self.client.connect(
            "127.0.0.1", port, clean_start=clean, properties=paho_properties("CONNECT", **connect)
        )
        self.client.loop_start()
        _, _, flags, _, self.connack = self.events.get(timeout=WAIT_S)
        self.session_present: bool = flags.session_present

    def subscribe(self, filter: str, **options: Any) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        identifier = options.pop("identifier", None)
        properties = (
            paho_properties("SUBSCRIBE", SubscriptionIdentifier=identifier) if identifier else None
        )
        self.client.subscribe(filter, options=SubscribeOptions(**options), properties=properties)
        self.events.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: bytes, qos: int = 1, **named: Any) -> None:
        retain = named.pop("retain", False)
        properties = paho_properties("PUBLISH", **named)
        self.client.publish(topic, payload, qos, retain, properties).wait_for_publish(WAIT_S)

    def take(self) -> Any:
        return self.messages.get(timeout=WAIT_S)

    def close(self, reason: int = 0) -> None:
        """Say goodbye, in a way that may ask for the will."""
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.reasoncodes import ReasonCode

        self.client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=reason))
        self.client.loop_stop()
        # Its sockets are closed with its last reference, and the callbacks hold us and so it.
        self.client.on_connect = self.client.on_subscribe = self.client.on_message = None
        del self.client


@pytest.fixture
def make(broker_process: BrokerProcess) -> Iterator[Any]:
    made: list[PahoFive] = []

    def one(client_id: str, **more: Any) -> PahoFive:
        made.append(PahoFive(broker_process.port, client_id, **more))
        return made[-1]

    yield one
    for client in made:
        if hasattr(client, "client"):  # the test has not closed it itself
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


@pytest.mark.peer("paho")
def test_a_session_is_there_until_it_expires(make: Any) -> None:
    first = make("c", clean=False, SessionExpiryInterval=60)
    assert not first.session_present
    first.close()
    second = make("c", clean=False, SessionExpiryInterval=0)
    assert second.session_present
    second.close()
    assert not make("c", clean=False).session_present


@pytest.mark.peer("paho")
def test_a_taken_over_client_hears_why(make: Any) -> None:
    first = make("c", SessionExpiryInterval=60)
    gone: queue.Queue[Any] = queue.Queue()
    first.client.on_disconnect = lambda client, user, flags, reason, properties: gone.put(reason)
    assert make("c", clean=False).session_present
    assert gone.get(timeout=WAIT_S) == "Session taken over"
    first.client.on_disconnect = None  # it holds what would be closed with its last reference


@pytest.mark.peer("paho")
@pytest.mark.parametrize("qos", [1, 2])
def test_no_more_are_sent_than_the_client_takes_at_once(make: Any, qos: int) -> None:
    subscriber, publisher = make("s", by_hand=True, ReceiveMaximum=2), make("p")
    subscriber.subscribe("t/#", qos=qos)
    for number in range(5):
        publisher.publish(f"t/{number}", b"", qos)
    taken = []
    while len(taken) < 5:
        subscriber.subscribe("barrier")  # its SUBACK comes behind all that was to be sent
        batch = [subscriber.take() for _ in range(min(2, 5 - len(taken)))]
        assert subscriber.messages.empty()
        for message in batch:
            subscriber.client.ack(message.mid, message.qos)
        taken += [message.topic for message in batch]
    assert taken == [f"t/{number}" for number in range(5)]


@pytest.mark.peer("paho")
def test_a_message_that_waits_too_long_is_not_delivered(make: Any) -> None:
    sleeper = make("s", SessionExpiryInterval=60)
    sleeper.subscribe("t/#", qos=1)
    sleeper.close()
    publisher = make("p")
    publisher.publish("t/short", b"", MessageExpiryInterval=1)
    publisher.publish("t/kept", b"", MessageExpiryInterval=1, retain=True)
    publisher.publish("t/long", b"", MessageExpiryInterval=100)
    time.sleep(1.5)  # more than the one second, and far less than the hundred
    sleeper = make("s", clean=False, SessionExpiryInterval=0)
    assert sleeper.take().topic == "t/long"
    late = make("late")
    late.subscribe("t/#", qos=1)
    publisher.publish("t/end", b"")
    assert late.take().topic == "t/end"


@pytest.mark.peer("paho")
def test_a_will_has_its_own_properties_and_may_be_asked_for_at_the_end(make: Any) -> None:
    watcher = make("w")
    watcher.subscribe("will", qos=1)
    properties = paho_properties(
        "WILLMESSAGE", WillDelayInterval=0, ContentType="c", UserProperty=[("k", "v")]
    )
    mortal = make("m", will=("will", b"gone", 1, False, properties))
    mortal.close(reason=0x04)
    message = watcher.take()
    assert (message.payload, message.properties.ContentType) == (b"gone", "c")
    assert message.properties.UserProperty == [("k", "v")]
    assert not hasattr(message.properties, "WillDelayInterval")


@pytest.mark.peer("paho")
def test_a_delayed_will_is_not_published_when_the_client_comes_back(make: Any) -> None:
    watcher = make("w")
    watcher.subscribe("will", qos=1)
    delay = paho_properties("WILLMESSAGE", WillDelayInterval=1)
    mortal = make("m", will=("will", b"old", 1, False, delay), SessionExpiryInterval=60)
    mortal.close(reason=0x04)
    again = make("m", clean=False, will=("will", b"new", 1, False), SessionExpiryInterval=60)
    time.sleep(1.5)  # the old one would have come in the middle of this
    again.close(reason=0x04)
    assert watcher.take().payload == b"new"


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
