"""The client's core against a server that says what the test wants."""

from __future__ import annotations

import pytest

from midge.client.core import Client
from midge.client.events import (
    BY_CLIENT,
    BY_NETWORK,
    BY_SERVER,
    Authenticating,
    Connected,
    Disconnected,
    Published,
    Refused,
    Subscribed,
    Unsubscribed,
)
from midge.client.session import REQUESTS_MAX
from midge.errors import ConnectionLost, PacketTooLarge, ProtocolError, QueueFull, TopicError
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from tests.unit.client.server import Scripted


def connected(
    version: int = 5,
    *,
    clean_start: bool = True,
    keepalive_s: int = 60,
    auto_ack: bool = True,
    inflight_messages_max: int = 20,
    queued_messages_max: int = 1000,
    granted: Properties | None = None,
    properties: Properties | None = None,
) -> tuple[Client, Scripted]:
    """A client that a server has accepted."""
    options = p.Connect(
        "me", version, clean_start=clean_start, keepalive_s=keepalive_s, properties=properties
    )
    client = Client(
        options,
        auto_ack=auto_ack,
        inflight_messages_max=inflight_messages_max,
        queued_messages_max=queued_messages_max,
    )
    server = Scripted(client)
    assert isinstance(server.accept(properties=granted)[0], Connected)
    assert client.connected
    return client, server


def event_of(events: list[object], kind: type) -> object:
    """The one event of a kind."""
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1, events
    return found[0]


# -- connections ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [3, 4, 5])
def test_connect_sends_the_options_as_they_are(version: int) -> None:
    will = p.Will("w", b"gone", 1, True)
    options = p.Connect("me", version, False, 30, "bob", b"secret", will)
    client = Client(options)
    server = Scripted(client)
    client.connect(server.now)
    assert server.pull() == [options]
    assert not client.connected


@pytest.mark.parametrize(("version", "code"), [(3, 2), (4, 5), (5, 0x87)])
def test_a_refusal_is_one_event_with_its_code(version: int, code: int) -> None:
    client = Client(p.Connect("me", version))
    server = Scripted(client)
    (event,) = server.accept(reason=code)
    assert isinstance(event, Refused)
    assert event.code == code
    assert client.closing
    assert client.receive_eof(server.now) == []


def test_a_server_that_knows_no_version_5_says_so_in_the_old_form() -> None:
    client = Client(p.Connect("me", 5))
    client.connect(1.0)
    (event,) = client.receive_data(b"\x20\x02\x00\x01", 1.0)
    assert isinstance(event, Refused)
    assert event.code == 0x84
    assert client.closing


def test_session_present_after_a_clean_start_is_refused() -> None:
    client = Client(p.Connect("me", 5, clean_start=True))
    server = Scripted(client)
    (event,) = server.accept(session_present=True)
    assert isinstance(event, Disconnected)
    assert event.by == BY_CLIENT
    assert event.reason == 0x82
    assert client.closing


def test_the_assigned_client_id_becomes_ours() -> None:
    client = Client(p.Connect("", 5))
    server = Scripted(client)
    server.accept(properties=Properties.of(assigned_client_identifier="auto-1"))
    assert client.client_id == "auto-1"


def test_the_servers_keep_alive_takes_the_place_of_ours() -> None:
    client, server = connected(keepalive_s=60, granted=Properties.of(server_keep_alive=7))
    assert client.next_deadline() == server.now + 7


def test_a_quiet_client_pings_and_a_silent_server_is_given_up() -> None:
    client, server = connected(keepalive_s=10)
    seen: list[tuple[bool, p.Packet]] = []
    client.trace = lambda sent, packet: seen.append((sent, packet))
    assert client.tick(server.now + 9) == []
    server.now += 10
    assert client.tick(server.now) == []
    assert server.take() == [p.Pingreq()]
    assert seen == [(True, p.Pingreq())]
    deadline = client.next_deadline()
    assert deadline is not None
    (event,) = client.tick(deadline)
    assert isinstance(event, Disconnected)
    assert (event.by, event.reason) == (BY_CLIENT, 0x8D)
    assert client.closing
    assert client.receive_eof(deadline) == []


def test_an_answered_ping_keeps_the_connection() -> None:
    client, server = connected(keepalive_s=10)
    for _ in range(5):
        server.now += 10
        assert client.tick(server.now) == []
        assert server.take() == [p.Pingreq()]
        assert server.send(p.Pingresp()) == []
    assert client.connected


def test_a_goodbye_is_sent_once_and_confirmed_by_the_end() -> None:
    client, server = connected()
    client.disconnect(server.now, 4)
    client.disconnect(server.now, 4)
    assert server.take() == [p.Disconnect(4)]
    assert client.closing
    (event,) = client.receive_eof(server.now)
    assert isinstance(event, Disconnected)
    assert event.by == BY_CLIENT
    assert client.receive_eof(server.now) == []


def test_a_goodbye_of_the_server_has_its_reason_and_text() -> None:
    client, server = connected()
    (event,) = server.send(p.Disconnect(0x8B, Properties.of(reason_string="going down")))
    assert isinstance(event, Disconnected)
    assert (event.by, event.reason, event.text) == (BY_SERVER, 0x8B, "going down")
    assert client.closing
    assert client.receive_eof(server.now) == []


def test_a_server_may_end_it_because_of_the_authentication_method() -> None:
    _, server = connected()
    (event,) = server.send(p.Disconnect(0x8C))
    assert isinstance(event, Disconnected)
    assert (event.by, event.reason) == (BY_SERVER, 0x8C)


def test_a_connection_that_just_ends_was_ended_by_the_network() -> None:
    client, server = connected()
    (event,) = server.lose()
    assert isinstance(event, Disconnected)
    assert event.by == BY_NETWORK
    assert not client.connected


def test_a_server_that_breaks_the_protocol_is_left() -> None:
    client, server = connected()
    (event,) = client.receive_data(b"\x10\x00", server.now)
    assert isinstance(event, Disconnected)
    assert event.by == BY_CLIENT
    assert client.closing
    assert [type(packet) for packet in server.take()] == [p.Disconnect]


@pytest.mark.parametrize(
    ("qos", "answer"), [(1, p.Pubrec(1)), (2, p.Puback(1))], ids=["PUBREC", "PUBACK"]
)
def test_the_wrong_acknowledgement_ends_the_connection(qos: int, answer: p.Packet) -> None:
    client, server = connected()
    client.publish("t", b"x", server.now, qos)
    server.take()
    (event,) = server.send(answer)
    assert isinstance(event, Disconnected)
    assert (event.by, event.reason) == (BY_CLIENT, 0x82)


def test_authentication_goes_both_ways() -> None:
    method = Properties.of(authentication_method="M")
    client, server = connected(properties=method)
    client.authenticate(server.now, 0x19, method)
    assert server.take() == [p.Auth(0x19, method)]
    (event,) = server.send(p.Auth(0x18, method))
    assert isinstance(event, Authenticating)
    assert event.reason == 0x18


# -- publishing -------------------------------------------------------------------------------


def test_a_qos_0_message_is_sent_and_forgotten() -> None:
    client, server = connected()
    assert client.publish("t", b"x", server.now) == 0
    assert server.take() == [p.Publish("t", b"x")]
    assert client.session.idle()


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_qos_1_message_is_settled_by_its_puback(version: int) -> None:
    client, server = connected(version)
    token = client.publish("t", b"x", server.now, 1)
    assert server.take() == [p.Publish("t", b"x", 1, packet_id=1)]
    (event,) = server.send(p.Puback(1))
    assert isinstance(event, Published)
    assert (event.token, event.packet_id, event.reason) == (token, 1, 0)
    assert client.session.idle()


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_qos_2_message_is_settled_by_its_pubcomp(version: int) -> None:
    client, server = connected(version)
    token = client.publish("t", b"x", server.now, 2)
    server.take()
    assert server.send(p.Pubrec(1)) == []
    assert server.take() == [p.Pubrel(1)]
    (event,) = server.send(p.Pubcomp(1))
    assert isinstance(event, Published)
    assert event.token == token
    assert server.send(p.Pubcomp(1)) == []


@pytest.mark.parametrize("answer", [p.Puback(1, 0x87), p.Pubrec(1, 0x87)])
def test_a_refused_message_is_settled_with_the_reason(answer: p.Puback | p.Pubrec) -> None:
    client, server = connected()
    token = client.publish("t", b"x", server.now, 1 if isinstance(answer, p.Puback) else 2)
    (event,) = server.send(answer)
    assert isinstance(event, Published)
    assert (event.token, event.reason) == (token, 0x87)
    assert client.session.idle()


@pytest.mark.parametrize("version", [4, 5])
def test_a_pubrec_for_nothing_is_answered(version: int) -> None:
    _client, server = connected(version)
    assert server.send(p.Pubrec(9)) == []
    assert server.take() == [p.Pubrel(9, 0x92 if version == 5 else 0)]


def test_a_second_pubrec_is_released_again() -> None:
    client, server = connected()
    client.publish("t", b"x", server.now, 2)
    server.send(p.Pubrec(1))
    server.take()
    server.send(p.Pubrec(1))
    assert server.take() == [p.Pubrel(1)]


def test_the_window_lets_out_as_many_as_the_server_takes() -> None:
    client, server = connected(granted=Properties.of(receive_maximum=2))
    for number in range(5):
        client.publish("t", b"%d" % number, server.now, 1)
    assert [packet.payload for packet in server.take()] == [b"0", b"1"]  # type: ignore[attr-defined]
    server.send(p.Puback(2))
    assert [packet.payload for packet in server.take()] == [b"2"]  # type: ignore[attr-defined]
    server.send(p.Puback(1), p.Puback(3))
    assert [packet.payload for packet in server.take()] == [b"3", b"4"]  # type: ignore[attr-defined]


def test_our_own_window_counts_where_it_is_smaller() -> None:
    client, server = connected(4, inflight_messages_max=1)
    for _ in range(3):
        client.publish("t", b"x", server.now, 2)
    assert len(server.take()) == 1


def test_a_qos_0_message_does_not_wait_for_the_window() -> None:
    client, server = connected(inflight_messages_max=1)
    client.publish("t", b"1", server.now, 1)
    client.publish("t", b"2", server.now, 1)
    client.publish("t", b"3", server.now, 0)
    assert [packet.payload for packet in server.take()] == [b"1", b"3"]  # type: ignore[attr-defined]


def test_messages_wait_for_the_connection_in_their_order() -> None:
    client = Client(p.Connect("me"))
    server = Scripted(client)
    tokens = [client.publish("t", b"%d" % qos, server.now, qos) for qos in (0, 1, 2)]
    assert all(tokens)
    events = server.accept()
    assert [packet.payload for packet in server.take()] == [b"0", b"1", b"2"]  # type: ignore[attr-defined]
    settled = event_of(events, Published)
    assert isinstance(settled, Published)
    assert settled.token == tokens[0]


def test_too_many_waiting_messages_are_an_error() -> None:
    client = Client(p.Connect("me"), queued_messages_max=2)
    client.publish("t", b"1", 1.0, 1)
    client.publish("t", b"2", 1.0, 0)
    with pytest.raises(QueueFull, match="2 messages are waiting"):
        client.publish("t", b"3", 1.0, 1)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b"])
def test_a_bad_topic_is_an_error(topic: str) -> None:
    client, server = connected()
    for _ in range(2):  # also when the same topic comes again
        with pytest.raises(TopicError):
            client.publish(topic, b"", server.now)
    assert server.take() == []


@pytest.mark.parametrize(
    ("granted", "qos", "retain", "reason"),
    [
        (Properties.of(maximum_qos=0), 1, False, 0x9B),
        (Properties.of(maximum_qos=1), 2, False, 0x9B),
        (Properties.of(retain_available=0), 0, True, 0x9A),
        (Properties.of(maximum_packet_size=20), 1, False, 0x95),
    ],
    ids=["QoS 1", "QoS 2", "retain", "size"],
)
def test_what_the_server_does_not_take_is_an_error_now_and_an_event_later(
    granted: Properties, qos: int, retain: bool, reason: int
) -> None:
    client, server = connected(granted=granted)
    with pytest.raises(ProtocolError) as caught:
        client.publish("t", b"more than twenty bytes", server.now, qos, retain)
    assert caught.value.reason == reason
    assert client.session.idle()

    early = Client(p.Connect("me"))
    server = Scripted(early)
    token = early.publish("t", b"more than twenty bytes", server.now, qos, retain)
    event = event_of(server.accept(properties=granted), Published)  # type: ignore[arg-type]
    assert isinstance(event, Published)
    assert (event.token, event.reason) == (token, reason)
    assert server.take() == []
    assert early.session.idle()


# -- reconnects -------------------------------------------------------------------------------


def test_a_resumed_session_sends_again_what_is_in_flight() -> None:
    client, server = connected(4, clean_start=False)
    client.publish("t", b"1", server.now, 1)
    client.publish("t", b"2", server.now, 2)
    client.publish("t", b"3", server.now, 2)
    server.send(p.Pubrec(2))
    server.lose()
    server.accept(session_present=True)
    assert server.take() == [
        p.Pubrel(2),
        p.Publish("t", b"1", 1, dup=True, packet_id=1),
        p.Publish("t", b"3", 2, dup=True, packet_id=3),
    ]


def test_a_resumed_session_keeps_to_a_window_that_has_become_smaller() -> None:
    client, server = connected(clean_start=False)
    for number in range(4):
        client.publish("t", b"%d" % number, server.now, 1)
    client.publish("t", b"4", server.now, 1)
    server.lose()
    server.accept(session_present=True, properties=Properties.of(receive_maximum=2))
    assert [packet.packet_id for packet in server.take()] == [1, 2]  # type: ignore[attr-defined]
    client.publish("t", b"5", server.now, 1)
    server.send(p.Puback(1))
    assert [packet.packet_id for packet in server.take()] == [3]  # type: ignore[attr-defined]
    server.send(p.Puback(2), p.Puback(3))
    assert [packet.payload for packet in server.take()] == [b"3", b"4"]  # type: ignore[attr-defined]
    server.send(p.Puback(4))
    assert [packet.payload for packet in server.take()] == [b"5"]  # type: ignore[attr-defined]


def test_new_messages_do_not_overtake_those_sent_again() -> None:
    client, server = connected(clean_start=False, inflight_messages_max=2)
    for number in range(3):
        client.publish("t", b"%d" % number, server.now, 1)
    server.lose()
    server.accept(session_present=True, properties=Properties.of(receive_maximum=1))
    assert [packet.payload for packet in server.take()] == [b"0"]  # type: ignore[attr-defined]
    server.send(p.Puback(1))
    assert [packet.payload for packet in server.take()] == [b"1"]  # type: ignore[attr-defined]


def test_a_lost_session_sends_as_new_what_was_not_taken() -> None:
    client, server = connected(clean_start=False)
    tokens = [client.publish("t", b"%d" % qos, server.now, qos) for qos in (1, 2, 2)]
    server.send(p.Pubrec(2))
    server.lose()
    events = server.accept(session_present=False)
    settled = event_of(events, Published)  # type: ignore[arg-type]
    assert isinstance(settled, Published)
    assert settled.token == tokens[1]
    again = server.take()
    assert [(packet.payload, packet.dup) for packet in again] == [(b"1", False), (b"2", False)]  # type: ignore[attr-defined]
    events = server.send(p.Puback(again[0].packet_id))  # type: ignore[attr-defined]
    assert [event.token for event in events] == [tokens[0]]  # type: ignore[union-attr]


def test_a_lost_session_forgets_what_came_in() -> None:
    _client, server = connected(clean_start=False)
    server.send(p.Publish("t", b"x", 2, packet_id=7))
    server.lose()
    server.accept(session_present=False)
    (event,) = server.send(p.Publish("t", b"another", 2, packet_id=7))
    assert isinstance(event, p.Publish)
    assert event.payload == b"another"


# -- receiving --------------------------------------------------------------------------------


def test_messages_come_in_order_and_are_acknowledged() -> None:
    _client, server = connected()
    messages = [
        p.Publish("t", b"0"),
        p.Publish("t", b"1", 1, packet_id=5),
        p.Publish("t", b"2", 2, packet_id=6),
    ]
    assert server.send(*messages) == messages
    assert server.take() == [p.Puback(5), p.Pubrec(6)]
    assert server.send(p.Pubrel(6)) == []
    assert server.take() == [p.Pubcomp(6)]


@pytest.mark.parametrize("version", [4, 5])
def test_a_qos_2_message_that_comes_again_is_given_out_once(version: int) -> None:
    _client, server = connected(version, clean_start=False)
    server.send(p.Publish("t", b"x", 2, packet_id=6))
    server.lose()
    server.accept(session_present=True)
    assert server.send(p.Publish("t", b"x", 2, dup=True, packet_id=6)) == []
    assert server.take() == [p.Pubrec(6)]
    server.send(p.Pubrel(6), p.Pubrel(6))
    assert server.take() == [p.Pubcomp(6), p.Pubcomp(6, 0x92 if version == 5 else 0)]
    assert len(server.send(p.Publish("t", b"new", 2, packet_id=6))) == 1


def test_the_owner_acknowledges_when_it_said_so() -> None:
    client, server = connected(auto_ack=False)
    first, second = server.send(
        p.Publish("t", b"1", 1, packet_id=1), p.Publish("t", b"2", 2, packet_id=2)
    )
    assert server.take() == []
    assert isinstance(first, p.Publish)
    assert isinstance(second, p.Publish)
    client.acknowledge(second, server.now)
    client.acknowledge(first, server.now, 0x80)
    client.acknowledge(first, server.now)
    assert server.take() == [p.Pubrec(2), p.Puback(1, 0x80)]


def test_a_message_its_owner_still_has_is_neither_given_out_again_nor_acknowledged() -> None:
    client, server = connected(auto_ack=False, clean_start=False)
    (message,) = server.send(p.Publish("t", b"x", 2, packet_id=3))
    server.lose()
    server.accept(session_present=True)
    assert server.send(p.Publish("t", b"x", 2, dup=True, packet_id=3)) == []
    assert server.take() == []
    assert isinstance(message, p.Publish)
    client.acknowledge(message, server.now)
    assert server.take() == [p.Pubrec(3)]


def test_a_refused_qos_2_message_frees_its_identifier() -> None:
    client, server = connected(auto_ack=False)
    (message,) = server.send(p.Publish("t", b"x", 2, packet_id=3))
    assert isinstance(message, p.Publish)
    client.acknowledge(message, server.now, 0x87)
    assert len(server.send(p.Publish("t", b"y", 2, packet_id=3))) == 1


def test_a_topic_alias_of_the_server_is_resolved() -> None:
    _client, server = connected(properties=Properties.of(topic_alias_maximum=5))
    alias = Properties.of(topic_alias=2)
    events = server.send(
        p.Publish("long/topic", b"1", properties=alias), p.Publish("", b"2", properties=alias)
    )
    assert [event.topic for event in events] == ["long/topic", "long/topic"]  # type: ignore[union-attr]


# -- subscriptions ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_subscription_and_its_end(version: int) -> None:
    client, server = connected(version)
    entries = [p.SubscribeTo("a/#", 1), p.SubscribeTo("b", 2)]
    packet_id = client.subscribe(entries, server.now)
    assert server.take() == [p.Subscribe(packet_id, entries)]
    (event,) = server.send(p.Suback(packet_id, [1, 0x80]))
    assert isinstance(event, Subscribed)
    assert (event.packet_id, event.reasons) == (packet_id, [1, 0x80])

    packet_id = client.unsubscribe(["a/#"], server.now)
    assert server.take() == [p.Unsubscribe(packet_id, ["a/#"])]
    reasons = [0x11] if version == 5 else []
    (event,) = server.send(p.Unsuback(packet_id, reasons))
    assert isinstance(event, Unsubscribed)
    assert (event.packet_id, event.reasons) == (packet_id, reasons)


def test_an_answer_to_nothing_is_no_event() -> None:
    client, server = connected()
    assert server.send(p.Suback(9, [0]), p.Unsuback(9, [0]), p.Puback(9), p.Pubcomp(9)) == []
    assert client.connected


@pytest.mark.parametrize("filter", ["", "a/#/b", "a+", "$share/g", "$share//a", "$share/+/a"])
def test_a_bad_filter_is_an_error(filter: str) -> None:
    client, server = connected()
    with pytest.raises(TopicError):
        client.subscribe([p.SubscribeTo(filter)], server.now)
    assert server.take() == []


def test_a_request_needs_a_connection() -> None:
    client = Client(p.Connect("me"))
    with pytest.raises(ConnectionLost):
        client.subscribe([p.SubscribeTo("a")], 1.0)
    with pytest.raises(ConnectionLost):
        client.unsubscribe(["a"], 1.0)


def test_messages_and_requests_never_share_an_identifier() -> None:
    client, server = connected(inflight_messages_max=65535)
    first = client.subscribe([p.SubscribeTo("a")], server.now)
    client.session.outgoing._last_id = 65533
    identifiers = [first]
    for _ in range(5):
        client.publish("t", b"", server.now, 1)
        identifiers.append(client.unsubscribe(["a"], server.now))
    identifiers += client.session.outgoing.waiting
    assert len(set(identifiers)) == len(identifiers) == 11
    assert 0 not in identifiers
    assert max(identifiers) == 65535


def test_requests_without_an_answer_are_bounded() -> None:
    client, server = connected()
    for _ in range(REQUESTS_MAX):
        client.subscribe([p.SubscribeTo("a")], server.now)
    with pytest.raises(QueueFull, match="requests are waiting"):
        client.subscribe([p.SubscribeTo("a")], server.now)


# -- the trace --------------------------------------------------------------------------------


def test_the_trace_sees_every_packet() -> None:
    client = Client(p.Connect("me"))
    seen: list[tuple[bool, str]] = []
    client.trace = lambda sent, packet: seen.append((sent, p.NAMES[packet.type]))
    server = Scripted(client)
    server.accept()
    client.publish("t", b"", server.now, 2)
    server.send(p.Pubrec(1), p.Pubcomp(1), p.Publish("t", b"", 1, packet_id=1))
    client.disconnect(server.now)
    assert seen == [
        (True, "CONNECT"),
        (False, "CONNACK"),
        (True, "PUBLISH"),
        (False, "PUBREC"),
        (True, "PUBREL"),
        (False, "PUBCOMP"),
        (False, "PUBLISH"),
        (True, "PUBACK"),
        (True, "DISCONNECT"),
    ]


def test_too_large_is_told_before_anything_is_in_flight() -> None:
    client, server = connected(granted=Properties.of(maximum_packet_size=50))
    with pytest.raises(PacketTooLarge):
        client.publish("t", b"x" * 100, server.now, 1)
    assert client.session.idle()
    assert client.connected


def test_qos_0_messages_keep_their_order_when_the_connection_comes() -> None:
    client = Client(p.Connect("me"), inflight_messages_max=1)
    server = Scripted(client)
    for qos, payload in [(1, b"1"), (0, b"2"), (1, b"3"), (0, b"4")]:
        client.publish("t", payload, server.now, qos)
    server.accept()
    client.publish("t", b"5", server.now)
    assert [packet.payload for packet in server.take()] == [b"1", b"2", b"4", b"5"]  # type: ignore[attr-defined]
    assert len(client.session.queue) == 1


def test_nothing_counts_behind_the_end_of_a_connection() -> None:
    client, server = connected()
    client.publish("t", b"x", server.now, 2)
    server.take()
    (event,) = server.send(p.Puback(1), p.Publish("t", b"late", 1, packet_id=1), p.Puback(1))
    assert isinstance(event, Disconnected)
    assert [type(packet) for packet in server.take()] == [p.Disconnect]
