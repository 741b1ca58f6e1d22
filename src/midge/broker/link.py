"""What the broker core knows of an outside party: a link.

A link ties one party (an MQTT connection; later a ZeroMQ peer, a bridge, a Python function) to the
core. The core holds it as a value: it marks what should happen, and the shell that drives the link
does it at the end of its turn. So nothing here calls out, and the core knows no transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midge.broker.broker import Broker
    from midge.broker.pressure import Pressure
    from midge.broker.session import Session


class Endpoint:
    """Who and where an outside party is, for the log.

    Attributes:
        client_id: as whom it came in; empty before it said so.
        address, port: where it connects from; a Unix socket has neither.
        listener_port: where it came in.
    """

    __slots__ = ("address", "client_id", "listener_port", "port")

    def __init__(self, client_id: str, address: str, port: int, listener_port: int) -> None:
        self.client_id = client_id
        self.address = address
        self.port = port
        self.listener_port = listener_port


class Link:
    """One outside party.

    Attributes:
        allowed: topics, as they stand on the wire, that it may publish plain packets to without
            anybody being asked; ``None``: all.
        session: what is known of it beyond its connection; ``None`` before it said who it is.
        held_by: what is crowded, because of which it is not read now.
        end_reason: the reason code with which the core wants it closed; -1 for none.
        end_text: what the log says of that.
    """

    __slots__ = ("allowed", "broker", "end_reason", "end_text", "held_by", "session")

    def __init__(self, broker: Broker) -> None:
        self.allowed: set[bytes] | None = None
        self.broker = broker
        self.session: Session | None = None
        self.held_by: Pressure | None = None
        self.end_reason = -1
        self.end_text = ""

    def hold(self, pressure: Pressure) -> None:
        """Stop reading from this party until what is crowded has caught up.

        Never because of its own outbox: what empties that one is reading its acknowledgements.
        """
        if self.held_by is None and pressure.link is not self:
            self.held_by = pressure
            pressure.hold(self)

    def release(self, pressure: Pressure) -> None:
        """It has caught up, or is no longer waited for."""
        if self.held_by is pressure:
            self.held_by = None
            self.broker.released.append(self)

    def end(self, reason: int, text: str) -> None:
        """Ask the shell to close this link and to say why, where the protocol can."""
        if self.end_reason < 0:
            self.end_reason = reason
            self.end_text = text
            self.broker.ending.append(self)

    def endpoint(self) -> Endpoint:
        """Who and where this party is."""
        raise NotImplementedError

    def rules_changed(self) -> None:
        """The broker has another authorizer, or none any more."""

    def rates_changed(self, now: float) -> None:
        """``rate_limit_messages`` or ``rate_limit_bytes`` is another one."""

    def safe(self, number: int, now: float) -> None:
        """All batches of the store up to ``number`` are on the disk: say what waited for that."""

    def next_deadline(self) -> float | None:
        """When :meth:`tick` is due, or ``None``."""
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Do what is due."""
        raise NotImplementedError
