"""Tells the log what happens in the broker, in the words that Mosquitto uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.broker.hooks import Hooks
from midge.clock import SystemClock
from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.server import log_lines as lines
from midge.server.logs import Log, logging_log

if TYPE_CHECKING:
    import logging

    from midge.broker.link import Link
    from midge.broker.session import Session
    from midge.mqtt.packets import Connect, Packet


#: Reasons that are the peer's fault in the protocol, so that the log says what was wrong.
_FAULTS: Final = frozenset((0x81, 0x82, *range(0x8F, 0x96), 0x99, 0x9A, 0x9B))
_TAKEN_OVER: Final = int(Reason.SESSION_TAKEN_OVER)


class Narrator(Hooks):
    """The log's side of the broker's hooks.

    Args:
        log: where lines go.
        connection_messages: clients that come and go are worth a line.
    """

    def __init__(self, log: Log, connection_messages: bool = True) -> None:
        self.log = log
        self.trace = log.debug_on
        self._connections = connection_messages

    def set(self, connection_messages: bool) -> None:
        """Go by the log as it is now, and by this word on clients that come and go."""
        self.trace = self.log.debug_on
        self._connections = connection_messages

    @classmethod
    def to_logging(cls, logger: logging.Logger) -> Narrator:
        """A narrator for a broker inside a program: the standard library's logging."""
        return cls(logging_log(logger, SystemClock()))

    def opened(self, link: Link) -> None:
        """See :class:`Hooks`."""
        if self._connections and self.log.notice_on:
            who = link.endpoint()
            self.log.notice(lines.new_connection(who.address, who.port, who.listener_port))

    def not_admitted(self, address: str, limit: str) -> None:
        """See :class:`Hooks`."""
        if self._connections:
            self.log.notice(lines.connection_denied(address, limit))

    def not_shaken(self, address: str, port: int, listener: str, text: str) -> None:
        """See :class:`Hooks`."""
        if self._connections and text:
            self.log.notice(lines.not_shaken(address, port, listener, text))

    def failed(self, link: Link, error: Exception) -> None:
        """See :class:`Hooks`."""
        who = link.endpoint()
        self.log.error(
            f"Error: client {who.client_id or '-'} [{who.address}:{who.port}] was cut off because "
            f"of a fault in the broker: {type(error).__name__}: {error}"
        )

    def connected(self, link: Link, packet: Connect, session: Session) -> None:
        """See :class:`Hooks`."""
        if self._connections and self.log.notice_on:
            who = link.endpoint()
            self.log.notice(
                lines.client_connected(
                    who.address, who.port, session.client_id, packet, session.username
                )
            )
        if self.log.debug_on:
            for line in lines.will(packet):
                self.log.debug(line)

    def refused(self, link: Link, client_id: str, reason: int, text: str) -> None:
        """See :class:`Hooks`."""
        if self.log.notice_on:
            who = link.endpoint()
            self.log.notice(
                f"Client {client_id or '-'} [{who.address}:{who.port}] refused: {text}."
            )

    def taken_over(self, old: Link, new: Link, client_id: str) -> None:
        """See :class:`Hooks`; the line stands above that of the new connection, as Mosquitto's."""
        if self._connections and self.log.notice_on:
            who = old.endpoint()
            self.log.notice(lines.disconnected(client_id, who.address, who.port, _TAKEN_OVER))

    def throttled(self, link: Link, wait_s: float) -> None:
        """See :class:`Hooks`."""
        if self.log.debug_on:
            who = link.endpoint()
            self.log.debug(lines.throttled(who.client_id or who.address, wait_s))

    def peer_ready(self, link: Link, socket_type: str, name: str, queue: str) -> None:
        """See :class:`Hooks`."""
        if self._connections and self.log.notice_on:
            who = link.endpoint()
            self.log.notice(lines.peer_ready(socket_type, name, who.address, who.port, queue))

    def disconnected(self, link: Link, client_id: str, reason: int, text: str) -> None:
        """See :class:`Hooks`."""
        if reason == _TAKEN_OVER:
            return  # it was told when it happened, before the new connection
        who = link.endpoint()
        if reason in _FAULTS and text and self.log.information_on:
            name = f"{client_id or '-'} [{who.address}:{who.port}]"
            self.log.information(lines.protocol_error(name, text))
        if self._connections and self.log.notice_on:
            self.log.notice(lines.disconnected(client_id, who.address, who.port, reason, text))

    def subscribed(self, client_id: str, filter: str, qos: int) -> None:
        """See :class:`Hooks`."""
        if self.log.debug_on:
            self.log.debug(lines.subscription_entry(filter, qos))
        if self.log.subscribe_on and qos < 0x80:
            self.log.subscribe(lines.subscribed(client_id, filter, qos))

    def unsubscribed(self, client_id: str, filter: str) -> None:
        """See :class:`Hooks`."""
        if self.log.debug_on:
            self.log.debug(lines.unsubscription_entry(filter))
        if self.log.unsubscribe_on:
            self.log.unsubscribe(lines.unsubscribed(client_id, filter))

    def session_expired(self, client_id: str) -> None:
        """See :class:`Hooks`."""
        if self._connections:
            self.log.notice(lines.session_expired(client_id))

    def denied(self, client_id: str, action: str, topic: str, text: str) -> None:
        """See :class:`Hooks`."""
        if self.log.debug_on:
            self.log.debug(f"Denied {action.upper()} from {client_id} ('{topic}'): {text}")

    def packet_in(self, link: Link, packet: Packet) -> None:
        """See :class:`Hooks`."""
        if packet.type and packet.type != p.CONNECT:
            self.log.debug(lines.received(link.endpoint().client_id, packet))

    def packet_out(self, link: Link, packet: Packet) -> None:
        """See :class:`Hooks`."""
        who = link.endpoint()
        self.log.debug(lines.sending(who.client_id or who.address, packet))
