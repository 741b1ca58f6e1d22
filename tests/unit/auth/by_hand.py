"""Work elsewhere, done when a test says so."""

from __future__ import annotations

from collections.abc import Callable

from midge.auth.base import Decision, Pending


class HandJob:
    """A job that waits for the test."""

    def __init__(
        self, key: str, work: Callable[[], object], done: Callable[[object, float], None]
    ) -> None:
        self.key = key
        self.work = work
        self.done = done
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ByHand:
    """An offload whose jobs are done by :meth:`do`.

    Attributes:
        full: it takes no more jobs.
        jobs: those that were handed over and not done.
        count: how many were handed over in all.
    """

    def __init__(self) -> None:
        self.full = False
        self.jobs: list[HandJob] = []
        self.count = 0
        self.now = 0.0

    def submit(
        self, key: str, work: Callable[[], object], done: Callable[[object, float], None]
    ) -> HandJob | None:
        if self.full:
            return None
        self.count += 1
        job = HandJob(key, work, done)
        self.jobs.append(job)
        return job

    def do(self, instead: object = None) -> None:
        """Do everything that waits; ``instead`` is a result to hand back without doing it."""
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            if job.cancelled:
                continue
            result = instead
            if instead is None:
                try:
                    result = job.work()
                except Exception as error:
                    result = error
            job.done(result, self.now)

    def settled(self, decision: Decision) -> Decision:
        """The decision, made if it waits."""
        if not isinstance(decision, Pending):
            return decision
        made: list[Decision] = []
        if decision.settled is None:
            decision.wait(lambda late, now: made.append(late))
            self.do()
            return made[0]
        return decision.settled
