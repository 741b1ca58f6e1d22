"""Work that must not be done in the thread of a broker: hashing, asking others over HTTP.

An authenticator or authorizer is given an :class:`Offload` by whoever starts the broker. It hands
work over, answers with a :class:`~midge.auth.base.Pending`, and settles that when the work is done.
The threads that do it are in ``midge.server.workers``; tests do it by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from midge.auth.base import Decision, Pending, deny
from midge.mqtt.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable


class Busy(Exception):
    """The work waited so long for its turn that it is not worth doing any more."""


class Job(Protocol):
    """Work that was handed over."""

    def cancel(self) -> None:
        """Nobody wants the result any more. What has begun goes on, but tells nobody."""
        ...


class Offload(Protocol):
    """Does work elsewhere."""

    def submit(
        self, key: str, work: Callable[[], object], done: Callable[[object, float], None]
    ) -> Job | None:
        """Have ``work`` done elsewhere, then ``done`` called in the thread of the broker.

        Args:
            key: on whose behalf; the keys take turns, and one alone cannot fill the queue.
            work: what to do; it must not touch anything of the broker.
            done: is called with the result, or with the exception that ``work`` raised or
                :class:`Busy`, and with the time on the broker's clock.

        Returns:
            The job; ``None`` when the queue is full, and nothing will be done.
        """
        ...


class Offloaded(Pending):
    """A decision that waits for a job, which need not be done when the client has gone.

    Attributes:
        job: what it waits for.
    """

    __slots__ = ("job",)

    def __init__(self) -> None:
        super().__init__()
        self.job: Job | None = None

    def cancel(self) -> None:
        """See :meth:`midge.auth.base.Pending.cancel`."""
        super().cancel()
        if self.job is not None:
            self.job.cancel()


def decide_elsewhere(
    offload: Offload,
    key: str,
    work: Callable[[], object],
    judge: Callable[[object, float], Decision],
) -> Decision:
    """A decision that ``work`` is needed for: pending, or a refusal when there is no room for it.

    Args:
        judge: makes the decision from the result, or from the exception that came of it; called in
            the thread of the broker.
    """
    pending = Offloaded()

    def done(result: object, now: float) -> None:
        decision = busy() if isinstance(result, Busy) else judge(result, now)
        pending.settle(decision, now)

    pending.job = offload.submit(key, work, done)
    return busy() if pending.job is None else pending


def busy() -> Decision:
    """The refusal when too many wait already."""
    return deny("too many clients wait to be checked", int(Reason.SERVER_BUSY))
