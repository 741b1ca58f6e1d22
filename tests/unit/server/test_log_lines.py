"""The wording of the log, line by line as Mosquitto 2.1 prints it."""

from __future__ import annotations

import pytest

from midge.mqtt import packets as p
from midge.mqtt.properties import AUTHENTICATION_METHOD, Properties
from midge.mqtt.reasons import Reason
from midge.server import log_lines


def test_the_lines_of_a_start() -> None:
    assert [
        log_lines.starting("1.0"),
        log_lines.USING_DEFAULT_CONFIG,
        log_lines.config_loaded("/etc/m.conf"),
        *log_lines.LOCAL_ONLY,
        log_lines.opening("ipv4", 1883),
        log_lines.opening("ipv6", 1883),
        log_lines.opening_unix("/run/m.sock"),
        log_lines.running("1.0"),
        log_lines.RELOADING,
        log_lines.terminating("1.0"),
    ] == [
        "midge version 1.0 starting",
        "Using default config.",
        "Config loaded from /etc/m.conf.",
        "Starting in local only mode. Connections will only be possible from clients running on "
        "this machine.",
        "Create a configuration file which defines a listener to allow remote access.",
        "For more details see what 'midge config docs' prints.",
        "Opening ipv4 listen socket on port 1883.",
        "Opening ipv6 listen socket on port 1883.",
        "Opening unix listen socket on path /run/m.sock.",
        "midge version 1.0 running",
        "Reloading config.",
        "midge version 1.0 terminating",
    ]


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (
            p.Connect("ID", version=p.MQTT_5, clean_start=True, keepalive_s=60),
            "New client connected from A:5 as ID (p5, c1, k60).",
        ),
        (
            p.Connect("", version=p.MQTT_311, clean_start=False, keepalive_s=0, username="bob"),
            "New client connected from A:5 as ID (p2, c0, k0, u'bob').",
        ),
        (
            p.Connect("ID", version=p.MQTT_31, keepalive_s=5, username=""),
            "New client connected from A:5 as ID (p1, c1, k5, u'').",
        ),
        (
            p.Connect("ID", version=p.MQTT_311, keepalive_s=60, bridge=True),
            "New bridge connected from A:5 as ID (p2, c1, k60).",
        ),
    ],
)
def test_a_client_comes_in(packet: p.Connect, line: str) -> None:
    assert log_lines.client_connected("A", 5, "ID", packet, packet.username) == line


def test_connections_come_and_are_refused() -> None:
    assert log_lines.new_connection("A", 5, 1883) == "New connection from A:5 on port 1883."
    assert (
        log_lines.connection_denied("A")
        == "Client connection from A denied: max_connections exceeded."
    )


def test_a_will_is_told_or_that_there_is_none() -> None:
    packet = p.Connect("ID", will=p.Will("a/b", b"gone", 1, True))
    assert log_lines.will(packet) == ("Will message specified (4 bytes) (r1, q1).", "\ta/b")
    assert log_lines.will(p.Connect("ID")) == ("No will message specified.",)


@pytest.mark.parametrize(
    ("reason", "text", "end"),
    [
        (0, "", "."),
        (Reason.DISCONNECT_WITH_WILL, "", "."),
        (-1, "", ": connection closed by client."),
        (-1, "Connection reset by peer", ": Connection reset by peer."),
        (Reason.MALFORMED_PACKET, "what was wrong", ": malformed packet."),
        (Reason.PROTOCOL_ERROR, "", ": protocol error."),
        (Reason.NOT_AUTHORIZED, "", ": not authorised."),
        (Reason.KEEP_ALIVE_TIMEOUT, "", ": exceeded timeout."),
        (Reason.PACKET_TOO_LARGE, "", ": oversize packet."),
        (Reason.ADMINISTRATIVE_ACTION, "", ": administrative action."),
        (Reason.SESSION_TAKEN_OVER, "", ": session taken over."),
        (Reason.RECEIVE_MAXIMUM_EXCEEDED, "", ": receive maximum exceeded."),
        (Reason.QUOTA_EXCEEDED, "", ": quota exceeded."),
        (Reason.TOPIC_ALIAS_INVALID, "", ": topic alias invalid."),
        (Reason.SERVER_BUSY, "", ": server busy."),
        (Reason.BAD_USER_NAME_OR_PASSWORD, "", ": bad username or password."),
        (Reason.USE_ANOTHER_SERVER, "", ": reason 0x9c."),
    ],
)
def test_a_client_goes(reason: int, text: str, end: str) -> None:
    line = log_lines.disconnected("ID", "A", 5, reason, text)
    assert line == f"Client ID [A:5] disconnected{end}"


def test_a_connection_without_an_id_goes_by_its_address() -> None:
    line = log_lines.disconnected("", "A", 5, -1)
    assert line == "Client A [A:5] disconnected: connection closed by client."


def test_subscriptions() -> None:
    assert log_lines.subscribed("ID", "a/#", 1) == "ID 1 a/#"
    assert log_lines.unsubscribed("ID", "a/#") == "ID a/#"
    assert log_lines.subscription_entry("a/#", 0) == "\ta/# (QoS 0)"
    assert log_lines.subscription_entry("a/#", 0x87) == "\ta/# (denied)"
    assert log_lines.unsubscription_entry("a/#") == "\ta/#"


PUBLISH = p.Publish("a/b", b"hi", 1, False, True, 7)
AUTH = p.Auth(0x18, Properties({AUTHENTICATION_METHOD: "SCRAM"}))


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (PUBLISH, "Received PUBLISH from ID (d1, q1, r0, m7, 'a/b', ... (2 bytes))"),
        (p.Puback(1), "Received PUBACK from ID (Mid: 1, RC:0)"),
        (p.Pubrec(1), "Received PUBREC from ID (Mid: 1)"),
        (p.Pubrel(1), "Received PUBREL from ID (Mid: 1)"),
        (p.Pubcomp(1, 0x92), "Received PUBCOMP from ID (Mid: 1, RC:146)"),
        (p.Subscribe(1, [p.SubscribeTo("a")]), "Received SUBSCRIBE from ID"),
        (p.Unsubscribe(1, ["a"]), "Received UNSUBSCRIBE from ID"),
        (p.Pingreq(), "Received PINGREQ from ID"),
        (p.Disconnect(), "Received DISCONNECT from ID"),
        (AUTH, "Received AUTH from ID (rc24, SCRAM)"),
    ],
)
def test_a_packet_comes(packet: p.Packet, line: str) -> None:
    assert log_lines.received("ID", packet) == line


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (p.Connack(0x87), "Sending CONNACK to ID (0, 135)"),
        (p.Connack(0, True), "Sending CONNACK to ID (1, 0)"),
        (PUBLISH, "Sending PUBLISH to ID (d1, q1, r0, m7, 'a/b', ... (2 bytes))"),
        (p.Puback(1, 16), "Sending PUBACK to ID (m1, rc16)"),
        (p.Pubrec(1), "Sending PUBREC to ID (m1, rc0)"),
        (p.Pubrel(1), "Sending PUBREL to ID (m1)"),
        (p.Pubcomp(1), "Sending PUBCOMP to ID (m1)"),
        (p.Suback(1, [0]), "Sending SUBACK to ID"),
        (p.Unsuback(1), "Sending UNSUBACK to ID"),
        (p.Pingresp(), "Sending PINGRESP to ID"),
        (p.Disconnect(0x8E), "Sending DISCONNECT to ID (rc142)"),
        (AUTH, "Sending AUTH to ID (rc24, SCRAM)"),
    ],
)
def test_a_packet_goes(packet: p.Packet, line: str) -> None:
    assert log_lines.sending("ID", packet) == line


def test_messages_that_are_not_wanted() -> None:
    shown = "(d1, q1, r0, m7, 'a/b', ... (2 bytes))"
    assert log_lines.publish_denied("ID", PUBLISH) == f"Denied PUBLISH from ID {shown}"
    assert log_lines.publish_oversize("ID", PUBLISH) == f"Dropped too large PUBLISH from ID {shown}"
    assert log_lines.messages_dropped("ID") == "Outgoing messages are being dropped for client ID."
    assert (
        log_lines.oversize_publish_dropped("ID", 9)
        == "Dropping too large outgoing PUBLISH for ID (9 bytes)"
    )
    assert log_lines.session_expired("ID") == "Expiring client ID due to timeout."
    assert log_lines.protocol_error("ID", "why") == "Protocol error from ID: why."


def test_a_connection_that_is_refused_for_its_proxy_header_has_the_words_of_mosquitto() -> None:
    for text in (
        "corrupt PROXY header (a port is not 1 to 65535)",
        "client did not connect using TLS",
        "client did not provide a certificate",
    ):
        line = log_lines.not_shaken("192.0.2.5", 6275, "1883", text)
        assert line == f"Connection from 192.0.2.5:6275 rejected, {text}."
    line = log_lines.not_shaken("192.0.2.5", 6275, "1883", "no certificate")
    assert line == "Connection from 192.0.2.5:6275 on 1883 ended in its handshake: no certificate."
