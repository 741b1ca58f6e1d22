"""Heartbeats of one connection that is ready: when a PING is due, and when silence is too long.

Ours go as the settings say. Those of the peer say how long it wants to be waited for (its time to
live). A connection that has neither has no such object.
"""

from __future__ import annotations

from midge.zmtp.settings import Settings


class Heartbeat:
    """See the module.

    Attributes:
        heard_at: when the peer was last heard.
        timeout_at: when the wait for an answer to our PING ends; ``None``: we do not wait.
        ttl_at: the same for the wait that the peer's last PING has asked for.
    """

    __slots__ = ("_ping_at", "_settings", "heard_at", "timeout_at", "ttl_at")

    def __init__(self, settings: Settings, now: float, *, pings: bool) -> None:
        """``pings``: we send some, beginning from now."""
        self._settings = settings
        self._ping_at = now + settings.heartbeat_s if pings else None
        self.heard_at = now
        self.timeout_at: float | None = None
        self.ttl_at: float | None = None

    def deadline(self) -> float | None:
        """When there is something to do."""
        first: float | None = None
        for at in (self._ping_time(), self.timeout_at, self.ttl_at):
            if at is not None and (first is None or at < first):
                first = at
        return first

    def _ping_time(self) -> float | None:
        """When the next PING is due.

        Traffic of the peer shows that it lives and puts the PING off; but where the PING's time to
        live also tells the peer that *we* live, it is due in any case.
        """
        if self._ping_at is None or self._settings.heartbeat_ttl_s:
            return self._ping_at
        return max(self._ping_at, self.heard_at + self._settings.heartbeat_s)

    def complaint(self, now: float) -> str:
        """Why the peer is to be given up; nothing while it is not."""
        if self.timeout_at is not None and now >= self.timeout_at:
            return (
                f"no sign of life for {self._settings.heartbeat_timeout_s:g} seconds after a PING"
            )
        if self.ttl_at is not None and now >= self.ttl_at:
            return "no traffic within the time to live of the peer's PING"
        return ""

    def pinged(self, now: float) -> None:
        """A PING goes out: wait for a sign of life, and for the time of the next one."""
        settings = self._settings
        self._ping_at = now + settings.heartbeat_s
        if self.timeout_at is None:
            self.timeout_at = now + settings.heartbeat_timeout_s
