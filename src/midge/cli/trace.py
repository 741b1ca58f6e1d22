"""What ``-d`` prints: one line for each packet, in the words of Mosquitto's clients.

QoS 0 messages have no packet identifier; they are numbered as if they had one, so that the lines
can be told apart.
"""

from __future__ import annotations

from collections.abc import Callable

from midge.cli.output import print_line
from midge.mqtt import packets as p
from midge.mqtt import properties as props


class PacketTrace:
    """A client's trace that prints to standard output.

    Attributes:
        client_id: says who the client is; empty as long as nobody knows.
        flush: writes out what was printed before, so that the lines stay in order.
    """

    __slots__ = ("_last_id", "client_id", "flush")

    def __init__(self, client_id: Callable[[], str], flush: Callable[[], None]) -> None:
        self.client_id = client_id
        self.flush = flush
        self._last_id = 0

    def __call__(self, sent: bool, packet: p.Packet) -> None:
        if packet.type == 0:  # a violation: it is reported as an error
            return
        self.flush()
        who = f"Client {self._assigned(packet) or self.client_id() or '(null)'}"
        if not sent:
            print_line(f"{who} received {_describe_received(packet)}")
            return
        if isinstance(packet, p.Subscribe):
            for entry in packet.entries:
                options = (
                    entry.no_local << 2
                    | entry.retain_as_published << 3
                    | entry.retain_handling << 4
                )
                print_line(
                    f"{who} sending SUBSCRIBE (Mid: {packet.packet_id}, Topic: {entry.filter}, "
                    f"QoS: {entry.qos}, Options: 0x{options:02x})"
                )
        elif isinstance(packet, p.Unsubscribe):
            for filter in packet.filters:
                print_line(f"{who} sending UNSUBSCRIBE (Mid: {packet.packet_id}, Topic: {filter})")
        else:
            print_line(f"{who} sending {self._describe_sent(packet)}")
        if isinstance(packet, p.Subscribe | p.Unsubscribe):
            self._last_id = packet.packet_id

    def _assigned(self, packet: p.Packet) -> str | None:
        """The client id that a CONNACK assigns: it counts from that line on."""
        if isinstance(packet, p.Connack) and packet.properties is not None:
            return packet.properties.get_str(props.ASSIGNED_CLIENT_IDENTIFIER)
        return None

    def _describe_sent(self, packet: p.Packet) -> str:
        name = p.NAMES[packet.type]
        if isinstance(packet, p.Publish):
            self._last_id = packet.packet_id or self._last_id + 1
            return _describe_publish(packet, self._last_id)
        if isinstance(packet, p.Puback | p.Pubrec):
            return f"{name} (m{packet.packet_id}, rc{packet.reason})"
        if isinstance(packet, p.Pubrel | p.Pubcomp):
            return f"{name} (m{packet.packet_id})"
        return name


def _describe_publish(packet: p.Publish, packet_id: int) -> str:
    return (
        f"PUBLISH (d{packet.dup:d}, q{packet.qos}, r{packet.retain:d}, m{packet_id}, "
        f"'{packet.topic or '(null)'}', ... ({len(packet.payload)} bytes))"
    )


def _describe_received(packet: p.Packet) -> str:
    name = p.NAMES[packet.type]
    if isinstance(packet, p.Publish):
        return _describe_publish(packet, packet.packet_id)
    if isinstance(packet, p.Puback | p.Pubcomp):
        return f"{name} (Mid: {packet.packet_id}, RC:{packet.reason})"
    if isinstance(packet, p.Pubrec | p.Pubrel):
        return f"{name} (Mid: {packet.packet_id})"
    if isinstance(packet, p.Connack):
        return f"{name} ({packet.reason})"
    if isinstance(packet, p.Disconnect):
        return f"{name} ({packet.reason})"
    return name
