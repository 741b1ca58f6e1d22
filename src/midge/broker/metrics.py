"""What the broker counts. Plain integers, added to where things happen, read by whoever asks.

Every message that is not delivered to someone who was entitled to it is counted here under its
cause: nothing is dropped silently.
"""

from __future__ import annotations


class Metrics:
    """The broker's counters since it was started.

    Attributes:
        publish_received, publish_sent: PUBLISH packets in and out.
        publish_bytes_received, publish_bytes_sent: their payload bytes.
        packets_received: all packets in.
        bytes_received, bytes_sent: all bytes in and out.
        connections: network connections accepted.
        held: how often a publisher was read more slowly because a receiver was full.
        dropped_queue_full: the receiver's queue was at ``max_queued_messages`` or ``_bytes``.
        dropped_slow: QoS 0, the receiver did not read.
        dropped_expired: the message expired before it could be sent.
        dropped_too_large: larger than the receiver's Maximum Packet Size.
        dropped_session_end: waiting for a session that ended.
        dropped_no_member: a shared subscription without anyone to give it to.
    """

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "connections",
        "dropped_expired",
        "dropped_no_member",
        "dropped_queue_full",
        "dropped_session_end",
        "dropped_slow",
        "dropped_too_large",
        "held",
        "packets_received",
        "publish_bytes_received",
        "publish_bytes_sent",
        "publish_received",
        "publish_sent",
    )

    def __init__(self) -> None:
        self.bytes_received = 0
        self.bytes_sent = 0
        self.connections = 0
        self.dropped_expired = 0
        self.dropped_no_member = 0
        self.dropped_queue_full = 0
        self.dropped_session_end = 0
        self.dropped_slow = 0
        self.dropped_too_large = 0
        self.held = 0
        self.packets_received = 0
        self.publish_bytes_received = 0
        self.publish_bytes_sent = 0
        self.publish_received = 0
        self.publish_sent = 0

    def dropped(self) -> dict[str, int]:
        """Messages not delivered, by cause."""
        return {
            name.removeprefix("dropped_"): getattr(self, name)
            for name in self.__slots__
            if name.startswith("dropped_")
        }
