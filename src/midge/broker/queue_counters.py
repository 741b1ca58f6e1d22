"""What has happened in a queue so far; nothing that leaves it does so uncounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.taker import Taker

if TYPE_CHECKING:
    from midge.broker.metrics import Metrics
    from midge.broker.pressure import Pressure


class QueueCounters(Taker):
    """The part of a queue that counts.

    Attributes:
        put_count: messages that were put in.
        acknowledged: those that a consumer has done.
        redelivered: how often one was given out in vain and waited again.
        refused: how often a consumer said no.
        timed_out: how often one was silent for too long.
        unconfirmed: given to consumers that cannot acknowledge.
        late: acknowledgements of messages that somebody else had by then.
        rejected, dropped, expired, buried: what did not come through, by cause.
    """

    __slots__ = (
        "acknowledged",
        "buried",
        "dropped",
        "expired",
        "late",
        "put_count",
        "redelivered",
        "refused",
        "rejected",
        "timed_out",
        "unconfirmed",
    )

    def __init__(self, metrics: Metrics, crowd: dict[Pressure, None]) -> None:
        super().__init__(metrics, crowd)
        self.put_count = 0
        self.acknowledged = 0
        self.redelivered = 0
        self.refused = 0
        self.timed_out = 0
        self.unconfirmed = 0
        self.late = 0
        self.rejected = 0
        self.dropped = 0
        self.expired = 0
        self.buried = 0
