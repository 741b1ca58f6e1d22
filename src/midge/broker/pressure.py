"""Back-pressure: what publishers are held back for, and for how long at most.

Above its mark a place where messages wait is *crowded*: those who publish to it are read more
slowly, for as long as it takes but at most ``HOLD_MAX_S``. What has not caught up by then is
*stalled*: its publishers go on without it. The broker's clock says when (``Broker.crowd``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.compiled import mypyc_attr

if TYPE_CHECKING:
    from midge.broker.link import Link
    from midge.broker.metrics import Metrics


@mypyc_attr(allow_interpreted_subclasses=True)
class Pressure:
    """What an outbox and a queue have in common.

    Attributes:
        link: the party that reads from here, which is never held because of it.
        crowded: publishers should wait.
        crowded_since: when that began.
        stalled: it kept them waiting too long.
        waiters: the links held back because of it.
    """

    __slots__ = ("_crowd", "_metrics", "crowded", "crowded_since", "link", "stalled", "waiters")

    def __init__(self, metrics: Metrics, crowd: dict[Pressure, None]) -> None:
        self._metrics = metrics
        self._crowd = crowd
        self.link: Link | None = None
        self.crowded = False
        self.crowded_since = 0.0
        self.stalled = False
        self.waiters: list[Link] | None = None

    def hold(self, link: Link) -> None:
        """Note that ``link`` waits until this has caught up."""
        if self.waiters is None:
            self.waiters = []
        self.waiters.append(link)
        self._metrics.held += 1

    def give_up_holding(self) -> None:
        """It did not catch up in time: from here on nobody waits for it."""
        self.stalled = True
        self._release_waiters()

    def _crowd_up(self, now: float) -> None:
        self.crowded = True
        self.crowded_since = now
        self._crowd[self] = None

    def _uncrowd(self) -> None:
        self.crowded = False
        self.stalled = False
        self._crowd.pop(self, None)
        self._release_waiters()

    def _release_waiters(self) -> None:
        if self.waiters is not None:
            for link in self.waiters:
                link.release(self)
            self.waiters = None
