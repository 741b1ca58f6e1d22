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
        packets_received, packets_sent: all packets in and out.
        bytes_received, bytes_sent: all bytes in and out.
        connections: network connections accepted.
        connects: CONNECT packets in.
        refused_connections: connections closed at once because there are too many.
        refused_rate: connections closed at once because of ``connect_rate_limit``.
        refused_clients: clients refused because of ``global_max_clients``.
        refused_memory: clients and messages refused because of ``memory_limit``.
        refused_publishes: messages refused for what they are: not allowed, or too large.
        sessions_expired: sessions that ended because nobody came back to them.
        throttled: how often a client was read later because of its rate limit.
        memory_full: the memory is at ``memory_limit``: nothing more is kept.
        held: how often a publisher was read more slowly because a receiver was full.
        dropped_memory: it would have had to be kept, and the memory was at ``memory_limit``.
        dropped_queue_full: the receiver's queue was at ``max_queued_messages`` or ``_bytes``.
        dropped_slow: QoS 0, the receiver did not read.
        dropped_expired: the message expired before it could be sent.
        dropped_too_large: larger than the receiver's Maximum Packet Size.
        dropped_session_end: waiting for a session that ended.
        dropped_forbidden: waiting for a client that may not have it any more, or below whose mount
            point it is not.
        dropped_dead: a dead letter for which there was no place.
        dropped_no_member: a shared subscription without anyone to give it to.
    """

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "connections",
        "connects",
        "dropped_dead",
        "dropped_expired",
        "dropped_forbidden",
        "dropped_memory",
        "dropped_no_member",
        "dropped_queue_full",
        "dropped_session_end",
        "dropped_slow",
        "dropped_too_large",
        "held",
        "memory_full",
        "packets_received",
        "packets_sent",
        "publish_bytes_received",
        "publish_bytes_sent",
        "publish_received",
        "publish_sent",
        "refused_clients",
        "refused_connections",
        "refused_memory",
        "refused_publishes",
        "refused_rate",
        "sessions_expired",
        "throttled",
    )

    def __init__(self) -> None:
        self.bytes_received = 0
        self.bytes_sent = 0
        self.connections = 0
        self.connects = 0
        self.dropped_dead = 0
        self.dropped_expired = 0
        self.dropped_forbidden = 0
        self.dropped_memory = 0
        self.dropped_no_member = 0
        self.dropped_queue_full = 0
        self.dropped_session_end = 0
        self.dropped_slow = 0
        self.dropped_too_large = 0
        self.held = 0
        self.memory_full = False
        self.packets_received = 0
        self.packets_sent = 0
        self.publish_bytes_received = 0
        self.publish_bytes_sent = 0
        self.publish_received = 0
        self.publish_sent = 0
        self.refused_clients = 0
        self.refused_connections = 0
        self.refused_memory = 0
        self.refused_publishes = 0
        self.refused_rate = 0
        self.sessions_expired = 0
        self.throttled = 0

    def dropped(self) -> dict[str, int]:
        """Messages not delivered, by cause."""
        return {
            "dead": self.dropped_dead,
            "expired": self.dropped_expired,
            "forbidden": self.dropped_forbidden,
            "memory": self.dropped_memory,
            "no_member": self.dropped_no_member,
            "queue_full": self.dropped_queue_full,
            "session_end": self.dropped_session_end,
            "slow": self.dropped_slow,
            "too_large": self.dropped_too_large,
        }

    def refused(self) -> dict[str, int]:
        """Connections, clients and messages that were refused, by cause."""
        return {
            "clients": self.refused_clients,
            "connections": self.refused_connections,
            "memory": self.refused_memory,
            "publishes": self.refused_publishes,
            "rate": self.refused_rate,
        }
