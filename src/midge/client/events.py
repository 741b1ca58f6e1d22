"""What a client's core tells its owner: small values, one class an event.

A received message has no class of its own: it is the :class:`~midge.mqtt.packets.Publish` packet
itself, one object less for each message. :data:`Received` is its name here.
"""

from __future__ import annotations

from midge.mqtt.packets import Publish
from midge.mqtt.properties import Properties

#: A message for us. Its topic is complete, also when it came with a topic alias.
Received = Publish

# Who ended a connection.
BY_CLIENT = "client"
BY_SERVER = "server"
BY_NETWORK = "network"


class Event:
    """What all events share: a readable form."""

    __slots__ = ()

    def __repr__(self) -> str:
        names: tuple[str, ...] = self.__slots__
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({fields})"


class Connected(Event):
    """The server accepted CONNECT (section 3.2).

    Attributes:
        session_present: the server still had our session.
        properties: those of the CONNACK, or ``None``.
    """

    __slots__ = ("properties", "session_present")

    def __init__(self, session_present: bool, properties: Properties | None) -> None:
        self.session_present = session_present
        self.properties = properties


class Refused(Event):
    """The server refused CONNECT: close the connection.

    Attributes:
        code: a reason code in 5.0 (0x80 and above), a return code (1 to 5) in 3.1 and 3.1.1.
        properties: those of the CONNACK, or ``None``.
    """

    __slots__ = ("code", "properties")

    def __init__(self, code: int, properties: Properties | None) -> None:
        self.code = code
        self.properties = properties


class Published(Event):
    """A QoS 1 or 2 message is settled: acknowledged to the end, or refused.

    Attributes:
        token: what :meth:`~midge.client.core.Client.publish` returned for it.
        packet_id: the identifier that it was sent under; 0 if it was never sent.
        reason: a reason code; from 0x80 on, the message was refused.
        properties: those of the acknowledgement, or ``None``.
    """

    __slots__ = ("packet_id", "properties", "reason", "token")

    def __init__(
        self, token: int, packet_id: int, reason: int, properties: Properties | None
    ) -> None:
        self.token = token
        self.packet_id = packet_id
        self.reason = reason
        self.properties = properties


class Subscribed(Event):
    """The server answered SUBSCRIBE (section 3.9).

    Attributes:
        packet_id: what :meth:`~midge.client.core.Client.subscribe` returned.
        reasons: one for each filter, in order: the granted quality of service, or 0x80 and above.
        properties: those of the SUBACK, or ``None``.
    """

    __slots__ = ("packet_id", "properties", "reasons")

    def __init__(self, packet_id: int, reasons: list[int], properties: Properties | None) -> None:
        self.packet_id = packet_id
        self.reasons = reasons
        self.properties = properties


class Unsubscribed(Event):
    """The server answered UNSUBSCRIBE (section 3.11).

    Attributes:
        packet_id: what :meth:`~midge.client.core.Client.unsubscribe` returned.
        reasons: one for each filter, in order; empty before 5.0, which has none.
        properties: those of the UNSUBACK, or ``None``.
    """

    __slots__ = ("packet_id", "properties", "reasons")

    def __init__(self, packet_id: int, reasons: list[int], properties: Properties | None) -> None:
        self.packet_id = packet_id
        self.reasons = reasons
        self.properties = properties


class Authenticating(Event):
    """The server sent AUTH (section 3.15): answer with ``authenticate``.

    Attributes:
        reason: 0x18 to go on, 0x00 when a re-authentication is done.
        properties: method, data and what else it carried, or ``None``.
    """

    __slots__ = ("properties", "reason")

    def __init__(self, reason: int, properties: Properties | None) -> None:
        self.reason = reason
        self.properties = properties


class Disconnected(Event):
    """The connection is over; the session may go on with the next one.

    Attributes:
        by: ``BY_CLIENT``: we asked, or the server broke the protocol or fell silent.
            ``BY_SERVER``: it sent DISCONNECT. ``BY_NETWORK``: it just ended.
        reason: the reason code of the end, as far as it is known.
        text: what happened, for people.
        properties: those of the server's DISCONNECT, or ``None``.
    """

    __slots__ = ("by", "properties", "reason", "text")

    def __init__(
        self, by: str, reason: int, text: str, properties: Properties | None = None
    ) -> None:
        self.by = by
        self.reason = reason
        self.text = text
        self.properties = properties
