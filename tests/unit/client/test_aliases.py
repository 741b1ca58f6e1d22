"""Topic aliases that a publisher chooses: for one connection, while the message may outlive it."""

from __future__ import annotations

import pytest

from midge.client.core import Client
from midge.errors import ProtocolError
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from tests.unit.client.server import Scripted

ALIAS = Properties.of(topic_alias=3)


def connected(maximum: int = 5, inflight_messages_max: int = 20) -> tuple[Client, Scripted]:
    client = Client(p.Connect("me", clean_start=False), inflight_messages_max=inflight_messages_max)
    server = Scripted(client)
    server.accept(properties=Properties.of(topic_alias_maximum=maximum))
    return client, server


def accept_aliases(server: Scripted) -> None:
    """Let the server's end understand aliases, so that it can read them."""
    server.connection.announced(Properties.of(topic_alias_maximum=5))


def sent_topics(client: Client) -> list[bytes]:
    """The topics of the PUBLISH packets that are queued, as they stand on the wire."""
    return [data[4 : 4 + data[3]] for data in client.data_to_send()]


def test_the_topic_is_left_out_once_the_server_knows_it() -> None:
    client, server = connected()
    client.publish("long/topic", b"1", server.now, properties=ALIAS)
    client.publish("", b"2", server.now, properties=ALIAS)
    assert sent_topics(client) == [b"long/topic", b""]


def test_a_topic_that_is_said_is_sent() -> None:
    client, server = connected()
    for _ in range(2):
        client.publish("t", b"", server.now, properties=ALIAS)
    assert sent_topics(client) == [b"t", b"t"]


def test_an_alias_starts_anew_with_each_connection() -> None:
    client, server = connected()
    client.publish("long/topic", b"1", server.now, properties=ALIAS)
    server.lose()
    server.accept(properties=Properties.of(topic_alias_maximum=5))
    client.publish("", b"2", server.now, properties=ALIAS)
    assert sent_topics(client) == [b"long/topic"]


def test_a_message_that_waits_has_its_topic_and_no_alias() -> None:
    client, server = connected(inflight_messages_max=1)
    accept_aliases(server)
    client.publish("long/topic", b"1", server.now, 1, properties=ALIAS)
    client.publish("", b"2", server.now, 1, properties=ALIAS)
    server.take()
    server.send(p.Puback(1))
    (message,) = server.take()
    assert message == p.Publish("long/topic", b"2", 1, packet_id=2)


def test_a_message_that_is_sent_again_has_its_topic_and_no_alias() -> None:
    client, server = connected()
    properties = Properties.of(topic_alias=3, content_type="text")
    client.publish("long/topic", b"1", server.now, 1, properties=properties)
    client.publish("", b"2", server.now, 1, properties=ALIAS)
    server.lose()
    server.accept(session_present=True)
    assert server.take() == [
        p.Publish("long/topic", b"1", 1, False, True, 1, Properties.of(content_type="text")),
        p.Publish("long/topic", b"2", 1, False, True, 2),
    ]


@pytest.mark.parametrize("maximum", [0, 2])
def test_an_alias_that_the_server_does_not_allow_is_an_error(maximum: int) -> None:
    client, server = connected(maximum)
    with pytest.raises(ProtocolError) as caught:
        client.publish("t", b"", server.now, properties=ALIAS)
    assert caught.value.reason == 0x94
    assert sent_topics(client) == []


def test_an_alias_that_was_never_set_is_an_error() -> None:
    client, server = connected()
    with pytest.raises(ProtocolError, match="before it was set"):
        client.publish("", b"", server.now, properties=ALIAS)
