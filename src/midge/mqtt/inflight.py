"""Packets that wait for an acknowledgement: QoS 1 and 2, both ways (MQTT 5.0 sections 4.3, 4.4).

:class:`Outgoing` is the sender's half: which packet identifier stands for which message, and what
is expected next for it. :class:`Incoming` is the receiver's half: which QoS 2 identifiers were
taken and not yet released. Both outlive a connection: they are a part of the session, on the
broker's side as on a client's.

Neither sends anything: they say what happened, and their owner sends.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from midge.compiled import mypyc_attr
from midge.errors import ProtocolError
from midge.limits import PACKET_ID_MAX


@mypyc_attr(allow_interpreted_subclasses=True)
class Outbound:
    """What an :class:`Outgoing` table holds: anything that knows its quality of service."""

    __slots__ = ("qos",)

    def __init__(self, qos: int) -> None:
        #: 1 or 2.
        self.qos = qos


T = TypeVar("T", bound=Outbound)


class Outgoing(Generic[T]):
    """Messages on their way to the peer, in the order in which they were first sent.

    Attributes:
        window: how many may be on their way at once: the peer's Receive Maximum or a limit of
            ours, whichever is smaller (section 4.9).
        waiting: packet identifier to message: sent, PUBACK or PUBREC outstanding.
        released: identifiers whose PUBREL was sent, PUBCOMP outstanding, in order.
    """

    __slots__ = ("_last_id", "released", "waiting", "window")

    def __init__(self, window: int = PACKET_ID_MAX) -> None:
        self.window = window
        self.waiting: dict[int, T] = {}
        self.released: dict[int, None] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self.waiting) + len(self.released)

    def room(self) -> int:
        """How many more messages may be sent now."""
        return self.window - len(self.waiting) - len(self.released)

    def next_id(self) -> int:
        """An identifier that nothing outstanding uses [MQTT-2.2.1-3].

        The caller has seen that there is :meth:`room`, so one is always found.
        """
        packet_id = self._last_id
        while True:
            packet_id = packet_id + 1 if packet_id < PACKET_ID_MAX else 1
            if packet_id not in self.waiting and not (
                self.released and packet_id in self.released  # only with QoS 2 there are any
            ):
                self._last_id = packet_id
                return packet_id

    def add(self, item: T) -> int:
        """Take ``item`` as sent and return its packet identifier."""
        packet_id = self.next_id()
        self.waiting[packet_id] = item
        return packet_id

    def puback(self, packet_id: int) -> T | None:
        """The peer acknowledged at QoS 1: the message is done, and returned.

        ``None`` when nothing waits under that identifier: an acknowledgement that came twice.

        Raises:
            ProtocolError: the message was sent at QoS 2, which is answered by PUBREC.
        """
        item = self.waiting.get(packet_id)
        if item is not None:
            if item.qos != 1:
                raise ProtocolError(f"PUBACK for packet {packet_id}, which was sent at QoS 2")
            del self.waiting[packet_id]
        return item

    def pubrec(self, packet_id: int, failed: bool) -> T | None:
        """The peer has the QoS 2 message, or refused it (``failed``).

        Returns the message whose first PUBREC this was. A refused one is done; the others go to
        ``released``. ``None`` when it came twice or nothing waits: see :meth:`knows`.

        Raises:
            ProtocolError: the message was sent at QoS 1, which is answered by PUBACK.
        """
        item = self.waiting.get(packet_id)
        if item is None:
            if failed:
                self.released.pop(packet_id, None)
            return None
        if item.qos != 2:
            raise ProtocolError(f"PUBREC for packet {packet_id}, which was sent at QoS 1")
        del self.waiting[packet_id]
        if not failed:
            self.released[packet_id] = None
        return item

    def pubcomp(self, packet_id: int) -> bool:
        """The peer completed a QoS 2 message; false when that identifier was not released."""
        if packet_id in self.released:
            del self.released[packet_id]
            return True
        return False

    def knows(self, packet_id: int) -> bool:
        """Whether anything is outstanding under that identifier."""
        return packet_id in self.released or packet_id in self.waiting

    def clear(self) -> list[T]:
        """Forget everything; returns the messages that were waiting."""
        items = list(self.waiting.values())
        self.waiting.clear()
        self.released.clear()
        return items


class Incoming:
    """QoS 2 identifiers taken from the peer and not yet released (section 4.3.3).

    The message itself is passed on when it arrives; what is kept is that it has been.
    """

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: set[int] | None = None  # made when the first QoS 2 message comes

    def __len__(self) -> int:
        return 0 if self._ids is None else len(self._ids)

    def __contains__(self, packet_id: int) -> bool:
        return self._ids is not None and packet_id in self._ids

    def take(self, packet_id: int) -> bool:
        """Note an arrived message; false when it had arrived before [MQTT-4.3.3-10]."""
        if self._ids is None:
            self._ids = {packet_id}
            return True
        if packet_id in self._ids:
            return False
        self._ids.add(packet_id)
        return True

    def release(self, packet_id: int) -> bool:
        """PUBREL came: forget the identifier; false when it was not known."""
        if self._ids is None or packet_id not in self._ids:
            return False
        self._ids.discard(packet_id)
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._ids = None

    def ids(self) -> list[int]:
        """The identifiers, for a store to keep."""
        return [] if self._ids is None else sorted(self._ids)
