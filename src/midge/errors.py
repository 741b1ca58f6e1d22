"""The one tree of exceptions.

::

    MidgeError
    ├── TopicError(ValueError)      a topic name or filter that MQTT does not allow
    ├── ProtocolError               a peer (or this side) broke the protocol; carries a reason code
    │   ├── MalformedPacket         the bytes cannot be read as the packet they claim to be
    │   └── PacketTooLarge          refused at its header, before the body was read
    ├── ConfigError                 a setting that cannot be used; carries file and line
    ├── ConnectionRefused           the broker answered CONNECT with a refusal
    ├── ConnectionLost              the connection ended while it was needed
    ├── QueueFull                   too much waits already; one of it must be done first
    └── OperationTimeout            an answer did not come in time

An error says what happened, where, and what to do about it. Errors of a peer never leave the
connection they happened on: protocol classes turn them into events.
"""

from __future__ import annotations


class MidgeError(Exception):
    """Everything that midge raises on purpose."""


class TopicError(MidgeError, ValueError):
    """A topic name or filter that MQTT does not allow (MQTT 5.0 section 4.7)."""


class ProtocolError(MidgeError):
    """The protocol was broken.

    Attributes:
        reason: the MQTT 5.0 reason code that names the fault on the wire, e.g. ``0x82``.
    """

    default_reason = 0x82

    def __init__(self, text: str, reason: int | None = None) -> None:
        super().__init__(text)
        self.reason: int = self.default_reason if reason is None else reason


class MalformedPacket(ProtocolError):
    """Bytes that cannot be read as the packet they claim to be (MQTT 5.0 section 4.13.1)."""

    default_reason = 0x81


class PacketTooLarge(ProtocolError):
    """A packet whose header announces more bytes than are allowed."""

    default_reason = 0x95


class ConfigError(MidgeError):
    """A setting that cannot be used.

    Attributes:
        file: the file it stands in, or ``None`` when it came from elsewhere.
        line: its line, counted from 1, or ``None``.
    """

    def __init__(self, text: str, file: str | None = None, line: int | None = None) -> None:
        super().__init__(text)
        self.file = file
        self.line = line

    def lines(self) -> list[str]:
        """What to print about it: what is wrong, then where, the main file last."""
        return [str(self), *getattr(self, "__notes__", ())]


class ConnectionRefused(MidgeError):
    """The broker answered CONNECT with a refusal.

    Attributes:
        code: the reason code (MQTT 5.0) or return code (3.1, 3.1.1) of the CONNACK.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class ConnectionLost(MidgeError):
    """The connection ended while it was needed."""


class QueueFull(MidgeError):
    """Too many messages or requests wait already: wait for some of them to be acknowledged."""


class OperationTimeout(MidgeError):
    """An answer did not come in time."""
