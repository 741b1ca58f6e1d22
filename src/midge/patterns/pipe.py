"""What lies between a socket and one peer: two queues, and who the peer is.

A message is an *item*: ``bytes`` (or another buffer) when it has one part, a list when it has more.
An item is moved as a whole and never taken apart, so a message of many parts is all there or not at
all.

The pattern puts items into ``outgoing`` and takes them from ``incoming``; the engine, which made
the pipe, does the opposite. Neither calls the other for that: see :mod:`midge.patterns.pattern`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from midge.zmtp.frames import encode_message, encode_single

# Kinds of commands.
SUBSCRIBE: Final = 1
CANCEL: Final = 2
JOIN: Final = 3
LEAVE: Final = 4


class Command:
    """An outgoing item that is no message: a wish of a subscriber.

    Attributes:
        kind: one of the four above.
        data: the prefix, or the group.
    """

    __slots__ = ("data", "kind")

    def __init__(self, kind: int, data: bytes) -> None:
        self.kind = kind
        self.data = data

    def __repr__(self) -> str:
        return f"Command({self.kind}, {self.data!r})"


class Encoded:
    """A message for several peers, so that its bytes on the wire are made once.

    Attributes:
        item: the message.
    """

    __slots__ = ("_data", "item")

    def __init__(self, item: Any) -> None:
        self.item = item
        self._data: bytes | None = None

    @property
    def data(self) -> bytes:
        """The bytes for a connection without encryption."""
        if self._data is None:
            item = self.item
            self._data = encode_message(item) if type(item) is list else encode_single(item)
        return self._data


class Pipe:
    """The way to one peer and back.

    Attributes:
        outgoing: items and commands that were accepted and that the wire has not taken.
        incoming: items that were received and that the program has not taken.
        in_flight: items that the wire has taken and the kernel has not; they count against
            ``send_mark``.
        send_mark, receive_mark: high-water marks, in messages; 0: none.
        connecting: we connect, so that the pipe outlives its connection.
        ready: the handshake is done.
        attached: the pattern has it.
        conflate: only the last message is kept, either way; set by the pattern (CONFLATE).
        active: it stands in the rotation of those who may be sent to.
        dirty: it stands in ``Pattern.dirty``.
        paused: the engine reads no further, until the pattern says that there is room, and with
            that takes this back.
        endpoint: as bound or connected.
        address: the peer's.
        socket_type, identity, user_id, metadata: what the peer said at the handshake.
        routing_id: what ROUTER, SERVER and STREAM call the peer.
        owner: the engine's wire; the pattern does not look at it.
        sent, received: messages, counted by the wire a batch at a time.
        dropped: messages that were lost here, by cause: see :mod:`midge.patterns.pattern`.
    """

    __slots__ = (
        "active",
        "address",
        "attached",
        "conflate",
        "connecting",
        "dirty",
        "dropped",
        "endpoint",
        "identity",
        "in_flight",
        "incoming",
        "metadata",
        "outgoing",
        "owner",
        "paused",
        "ready",
        "receive_mark",
        "received",
        "routing_id",
        "send_mark",
        "sent",
        "socket_type",
        "user_id",
    )

    def __init__(
        self,
        send_mark: int = 1000,
        receive_mark: int = 1000,
        connecting: bool = False,
        endpoint: str = "",
        address: str = "",
        owner: object = None,
    ) -> None:
        self.outgoing: deque[Any] = deque()
        self.incoming: deque[Any] = deque()
        self.in_flight = 0
        self.send_mark = send_mark
        self.receive_mark = receive_mark
        self.connecting = connecting
        self.ready = False
        self.attached = False
        self.conflate = False
        self.active = False
        self.dirty = False
        self.paused = False
        self.endpoint = endpoint
        self.address = address
        self.socket_type = ""
        self.identity = b""
        self.user_id = ""
        self.metadata: dict[str, bytes] = {}
        self.routing_id = b""
        self.owner = owner
        self.sent = 0
        self.received = 0
        self.dropped: dict[str, int] = {}

    def room(self) -> bool:
        """Whether one more message may be put into ``outgoing``."""
        mark = self.send_mark
        return not mark or len(self.outgoing) + self.in_flight < mark

    def __repr__(self) -> str:
        return f"Pipe({self.endpoint!r}, {self.address!r}, {self.routing_id!r})"
