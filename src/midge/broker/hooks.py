"""Where an outsider may look on: the log, tests, later plugins.

All methods do nothing; a subclass overrides what it wants to see. They are told, not asked. Those
named ``packet_...`` are called only when ``trace`` is set, because they cost time on the path of
every message.
"""

from __future__ import annotations

from midge.broker.link import Link
from midge.broker.session import Session
from midge.compiled import mypyc_attr
from midge.mqtt.packets import Connect, Packet


@mypyc_attr(allow_interpreted_subclasses=True)
class Hooks:
    """The onlooker's side of the broker.

    Attributes:
        trace: also tell about every packet.
    """

    trace: bool = False

    def opened(self, link: Link) -> None:
        """A network connection was accepted."""

    def not_admitted(self, address: str, limit: str) -> None:
        """A network connection was refused because of ``limit``."""

    def not_shaken(self, address: str, port: int, listener: str, text: str) -> None:
        """A connection never got as far as MQTT: TLS, WebSocket or PROXY failed, and why.

        The text is empty where that is nothing to tell: a proxy looked whether the broker lives.
        """

    def failed(self, link: Link, error: Exception) -> None:
        """Handling a client's bytes raised: a fault of the broker's own."""

    def connected(self, link: Link, packet: Connect, session: Session) -> None:
        """A client was accepted."""

    def peer_ready(self, link: Link, socket_type: str, name: str, queue: str) -> None:
        """A ZeroMQ peer was accepted; ``queue``: what it puts into or takes from, or nothing."""

    def refused(self, link: Link, client_id: str, reason: int, text: str) -> None:
        """A client was refused: CONNACK ``reason``, and why."""

    def disconnected(self, link: Link, client_id: str, reason: int, text: str) -> None:
        """A connection ended. ``reason`` is 0 for a DISCONNECT, -1 for a close without one."""

    def taken_over(self, old: Link, new: Link, client_id: str) -> None:
        """A client connected again while its last connection was still there."""

    def subscribed(self, client_id: str, filter: str, qos: int) -> None:
        """A subscription was granted, or refused (``qos`` >= 0x80)."""

    def unsubscribed(self, client_id: str, filter: str) -> None:
        """A subscription was removed, or had not existed."""

    def will_published(self, client_id: str, topic: str) -> None:
        """A will was sent."""

    def session_expired(self, client_id: str) -> None:
        """A session ended because nobody came back to it."""

    def denied(self, client_id: str, action: str, topic: str, text: str) -> None:
        """Access was refused."""

    def throttled(self, link: Link, wait_s: float) -> None:
        """A client comes faster than its rate limit, and is not read for ``wait_s``."""

    def packet_in(self, link: Link, packet: Packet) -> None:
        """A packet was read; only with ``trace``."""

    def packet_out(self, link: Link, packet: Packet) -> None:
        """A packet was written; only with ``trace``."""
