"""What takes the messages of topics besides sessions: queues, shared subscriptions, orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from midge.broker.pressure import Pressure
from midge.compiled import mypyc_attr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midge.broker.link import Link
    from midge.broker.plain_run import Run
    from midge.broker.session import Session, Subscription
    from midge.message import Message


@mypyc_attr(allow_interpreted_subclasses=True)
class Taker(Pressure):
    """Stands among the receivers of a topic in a place of its own."""

    __slots__ = ()

    #: Whether it takes runs of plain packets, see :meth:`take_run`.
    shares_runs: ClassVar[bool] = False

    @property
    def members(self) -> Sequence[Subscription]:
        """Those whose rights depend on the topic of a message: nobody."""
        return ()

    def take(self, message: Message, barred: frozenset[Session], now: float) -> Pressure | None:
        """A message was published to a topic of it.

        Args:
            barred: members that may not have it.

        Returns:
            What the publisher should wait for.
        """
        raise NotImplementedError

    def take_run(
        self, run: Run, count: int, payload: int, version: int, link: Link, now: float
    ) -> None:
        """Plain packets were published to a topic of it; only where it shares runs."""
        raise NotImplementedError
