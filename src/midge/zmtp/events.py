"""What comes out of a connection.

Messages come in batches: one :class:`Messages` for all messages of a chunk that stand between two
other events, so that a chunk of ten thousand small messages costs its reader one event.
"""

from __future__ import annotations

from typing import Final

#: The handshake failed because somebody broke the protocol; ``code`` is in midge.zmtp.errors.
PROTOCOL: Final = 1
#: The handshake failed because ZAP refused; ``code`` is its status, 300, 400 or 500.
AUTH: Final = 2
#: The handshake failed otherwise; ``code`` is an errno.
NO_DETAIL: Final = 3


class Event:
    """Anything that a connection gives."""

    __slots__ = ()


class Messages(Event):
    """Messages, in order.

    Attributes:
        items: ``bytes`` for a message of one part, ``list[bytes]`` for one of several.
    """

    __slots__ = ("items",)

    def __init__(self, items: list[bytes | list[bytes]]) -> None:
        self.items = items


class Ready(Event):
    """The handshake is done.

    Attributes:
        socket_type: the peer's, ``"SUB"``.
        identity: what the peer calls itself, or nothing.
        metadata: its properties as it spelled them, and those that ZAP added.
        user_id: who ZAP says it is, or nothing.
        version: ``(3, 1)``, ``(3, 0)`` or ``(2, 0)``.
    """

    __slots__ = ("identity", "metadata", "socket_type", "user_id", "version")

    def __init__(
        self,
        socket_type: str,
        identity: bytes,
        metadata: dict[str, bytes],
        user_id: str,
        version: tuple[int, int],
    ) -> None:
        self.socket_type = socket_type
        self.identity = identity
        self.metadata = metadata
        self.user_id = user_id
        self.version = version


class ZapRequest(Event):
    """Somebody must say whether this peer may come in (RFC 27).

    The handshake rests until :meth:`Connection.zap_reply <midge.zmtp.connection.Connection>`.

    Attributes:
        domain, address, identity: as the RFC has them; ``identity`` is our socket's.
        mechanism: ``"NULL"``, ``"PLAIN"`` or ``"CURVE"``.
        credentials: nothing, user name and password, or the peer's public key.
    """

    __slots__ = ("address", "credentials", "domain", "identity", "mechanism")

    def __init__(
        self,
        domain: bytes,
        address: bytes,
        identity: bytes,
        mechanism: str,
        credentials: list[bytes],
    ) -> None:
        self.domain = domain
        self.address = address
        self.identity = identity
        self.mechanism = mechanism
        self.credentials = credentials


class Subscribe(Event):
    """The peer wants messages that start with ``prefix``; each asking counts (RFC 37)."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix


class Cancel(Event):
    """The peer takes one subscription to ``prefix`` back."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix


class Join(Event):
    """A DISH wants the messages of ``group`` (RFC 48)."""

    __slots__ = ("group",)

    def __init__(self, group: bytes) -> None:
        self.group = group


class Leave(Event):
    """A DISH wants the messages of ``group`` no more."""

    __slots__ = ("group",)

    def __init__(self, group: bytes) -> None:
        self.group = group


class HandshakeFailed(Event):
    """The connection never got ready, and is closed: the last event.

    Attributes:
        kind: :data:`PROTOCOL`, :data:`AUTH` or :data:`NO_DETAIL`.
        code: a number whose meaning depends on the kind.
        text: what happened, for a log.
    """

    __slots__ = ("code", "kind", "text")

    def __init__(self, kind: int, code: int, text: str) -> None:
        self.kind = kind
        self.code = code
        self.text = text


class Closed(Event):
    """A connection that was ready has ended: the last event.

    Attributes:
        code: what the peer did wrong (midge.zmtp.errors), or 0 when it closed or fell silent.
        text: what happened, for a log.
    """

    __slots__ = ("code", "text")

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
