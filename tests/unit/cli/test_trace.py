"""The lines of ``-d``."""

from __future__ import annotations

import pytest

from midge.cli import trace
from midge.cli.trace import PacketTrace
from midge.mqtt import packets as p
from midge.mqtt.connection import Violation
from midge.mqtt.properties import Properties

LINES = [
    (True, p.Connect("me"), "sending CONNECT"),
    (False, p.Connack(5), "received CONNACK (5)"),
    (True, p.Publish("t", b"xy"), "sending PUBLISH (d0, q0, r0, m1, 't', ... (2 bytes))"),
    (
        True,
        p.Publish("t", b"", 1, True, True, 7),
        "sending PUBLISH (d1, q1, r1, m7, 't', ... (0 bytes))",
    ),
    (True, p.Publish("", b""), "sending PUBLISH (d0, q0, r0, m1, '(null)', ... (0 bytes))"),
    (False, p.Publish("t", b"x"), "received PUBLISH (d0, q0, r0, m0, 't', ... (1 bytes))"),
    (False, p.Puback(1, 0x10), "received PUBACK (Mid: 1, RC:16)"),
    (False, p.Pubrec(2), "received PUBREC (Mid: 2)"),
    (False, p.Pubrel(3), "received PUBREL (Mid: 3)"),
    (False, p.Pubcomp(4), "received PUBCOMP (Mid: 4, RC:0)"),
    (True, p.Puback(1, 0x87), "sending PUBACK (m1, rc135)"),
    (True, p.Pubrec(1), "sending PUBREC (m1, rc0)"),
    (True, p.Pubrel(1), "sending PUBREL (m1)"),
    (True, p.Pubcomp(1), "sending PUBCOMP (m1)"),
    (False, p.Suback(1, [0]), "received SUBACK"),
    (False, p.Unsuback(1), "received UNSUBACK"),
    (True, p.Pingreq(), "sending PINGREQ"),
    (False, p.Pingresp(), "received PINGRESP"),
    (True, p.Disconnect(4), "sending DISCONNECT"),
    (False, p.Disconnect(0x8B), "received DISCONNECT (139)"),
    (
        True,
        p.Subscribe(3, [p.SubscribeTo("a", 2, True, True, 2)]),
        "sending SUBSCRIBE (Mid: 3, Topic: a, QoS: 2, Options: 0x2c)",
    ),
    (True, p.Unsubscribe(4, ["a"]), "sending UNSUBSCRIBE (Mid: 4, Topic: a)"),
]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was printed."""
    printed: list[str] = []
    monkeypatch.setattr(trace, "print_line", printed.append)
    return printed


@pytest.mark.parametrize(("sent", "packet", "line"), LINES, ids=[line for _, _, line in LINES])
def test_a_packet_is_a_line(lines: list[str], sent: bool, packet: p.Packet, line: str) -> None:
    PacketTrace(lambda: "me", lambda: None)(sent, packet)
    assert lines == [f"Client me {line}"]


def test_qos_0_messages_are_numbered_on_from_the_requests(lines: list[str]) -> None:
    tracer = PacketTrace(str, lambda: None)
    tracer(True, p.Subscribe(1, [p.SubscribeTo("a"), p.SubscribeTo("b")]))
    tracer(True, p.Publish("t"))
    tracer(True, p.Publish("t"))
    assert len(lines) == 4
    assert [line.split(", ")[3] for line in lines[2:]] == ["m2", "m3"]


def test_an_assigned_client_id_counts_from_its_line_on(lines: list[str]) -> None:
    connack = p.Connack(0, False, Properties.of(assigned_client_identifier="auto"))
    PacketTrace(str, lambda: None)(False, connack)
    PacketTrace(str, lambda: None)(True, p.Connect())
    assert lines == ["Client auto received CONNACK (0)", "Client (null) sending CONNECT"]


def test_what_was_printed_before_comes_first_and_a_violation_is_no_packet(
    lines: list[str],
) -> None:
    tracer = PacketTrace(str, lambda: lines.append("a message"))
    tracer(False, Violation(0x82, "wrong"))
    assert lines == []
    tracer(True, p.Pingreq())
    assert lines == ["a message", "Client (null) sending PINGREQ"]
