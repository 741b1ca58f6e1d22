"""The one value that crosses all floors: a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from midge.mqtt.properties import Properties

#: The expiry of a message that does not expire.
NEVER: Final = float("inf")


class Message:
    """A message between a publisher and whoever is entitled to it.

    Immutable by agreement: one object is shared by all its receivers, queues and stores.

    Attributes:
        topic: where it was published, complete and valid.
        payload: the content, as it came.
        qos: the quality of service of its publisher, 0 to 2.
        retain: it is to be kept as the last of its topic.
        properties: the MQTT 5.0 properties that travel with it (payload format, content type,
            response topic, correlation data, user properties), or ``None``.
        expires_at: when it is no longer worth delivering, on the broker's clock; ``NEVER``.
        origin: the client id of its publisher; empty for the broker's own.
        stored: its number in the store while it is given out or retained; 0: not there.
    """

    __slots__ = (
        "expires_at",
        "origin",
        "payload",
        "properties",
        "qos",
        "retain",
        "stored",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
        expires_at: float = NEVER,
        origin: str = "",
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.expires_at = expires_at
        self.origin = origin
        self.stored = 0

    def expiring(self, expires_at: float) -> Message:
        """The same message with another expiry."""
        return Message(
            self.topic,
            self.payload,
            self.qos,
            self.retain,
            self.properties,
            expires_at,
            self.origin,
        )

    def __reduce__(self) -> tuple[object, ...]:
        """For copies and pickles; a compiled class has to be told. Its number is no other's."""
        return Message, (
            self.topic,
            self.payload,
            self.qos,
            self.retain,
            self.properties,
            self.expires_at,
            self.origin,
        )

    def __repr__(self) -> str:
        return (
            f"Message({self.topic!r}, {len(self.payload)} bytes, qos={self.qos}, "
            f"retain={self.retain}, origin={self.origin!r})"
        )
