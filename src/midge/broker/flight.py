"""What is on its way to one receiver, with its weight: ``max_inflight_bytes`` beside the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.delivery import Delivery
from midge.errors import ProtocolError
from midge.mqtt.inflight import Outgoing

if TYPE_CHECKING:
    from midge.config.settings import Settings


class Flight(Outgoing[Delivery]):
    """See :class:`Outgoing`; whoever changes :attr:`waiting` does it by a method.

    Attributes:
        bytes: payload of what waits for PUBACK or PUBREC. From PUBREC on nothing of a message is
            held any more.
    """

    __slots__ = ("_settings", "bytes")

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self.bytes = 0

    def room(self) -> int:
        """See :meth:`Outgoing.room`; none while there are too many bytes on their way.

        A message that is larger than the limit may go when it is alone, as with Mosquitto.
        """
        limit = self._settings.inflight_bytes_max
        if limit and self.bytes >= limit:
            return 0
        return self.window - len(self.waiting) - len(self.released)

    def add(self, item: Delivery) -> int:
        """See :meth:`Outgoing.add`."""
        packet_id = self.next_id()
        self.waiting[packet_id] = item
        self.bytes += len(item.message.payload)
        return packet_id

    def restore(self, packet_id: int, item: Delivery) -> None:
        """Take a message that has its identifier already."""
        self.waiting[packet_id] = item
        self.bytes += len(item.message.payload)

    def drop(self, packet_id: int) -> None:
        """Forget a message that will not be sent again."""
        item = self.waiting.pop(packet_id, None)
        if item is not None:
            self.bytes -= len(item.message.payload)

    def puback(self, packet_id: int) -> Delivery | None:
        """See :meth:`Outgoing.puback`."""
        # Not by the method above it: this is on the way of every message.
        item = self.waiting.pop(packet_id, None)
        if item is None:
            return None
        if item.qos != 1:
            self.waiting[packet_id] = item
            raise ProtocolError(f"PUBACK for packet {packet_id}, which was sent at QoS 2")
        self.bytes -= len(item.message.payload)
        return item

    def pubrec(self, packet_id: int, failed: bool) -> Delivery | None:
        """See :meth:`Outgoing.pubrec`."""
        item = super().pubrec(packet_id, failed)
        if item is not None:
            self.bytes -= len(item.message.payload)
        return item

    def clear_waiting(self) -> None:
        """Forget all that was not received yet."""
        self.bytes = 0
        self.waiting.clear()

    def clear(self) -> list[Delivery]:
        """See :meth:`Outgoing.clear`."""
        self.bytes = 0
        return super().clear()
