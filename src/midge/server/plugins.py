"""A user's own authenticators and authorizers, found by entry point, sync or async.

A package offers them in its ``pyproject.toml``::

    [project.entry-points."midge.authenticators"]
    door = "my_package:Door"

and a configuration asks for them by name, ``authenticators door``. What stands there is called with
the settings of the broker (with ``per_listener_settings``, of the listener) and returns an object
with a method ``authenticate(client, password)`` or ``authorize(client, action, topic)``. Its answer
is a :class:`~midge.auth.base.Decision`, or ``True``, ``False``, or ``None``: "ask others".

A method written with ``async def`` runs as a task of the loop, with a time limit; the client waits,
and nobody else. An ordinary method holds up everybody for as long as it takes: it must not block.
What goes wrong in either refuses the client and is logged; it never ends the broker.

A message that is about to be delivered cannot wait, so an ``async`` authorizer is not asked about
that: who may subscribe, may be given what comes.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

from midge.auth.base import (
    ALLOW,
    ALLOWED,
    DELIVER,
    PASS,
    RETAIN,
    Authenticator,
    Authorizer,
    Decision,
    Identity,
    Pending,
    deny,
)
from midge.auth.offload import busy
from midge.errors import ConfigError
from midge.limits import PLUGIN_TASKS_MAX, PLUGIN_TIMEOUT_S
from midge.mqtt.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from midge.config.security import SecuritySettings

AUTHENTICATORS: Final = "midge.authenticators"
AUTHORIZERS: Final = "midge.authorizers"


def load(group: str, name: str, settings: SecuritySettings) -> Any:
    """Make the object that an entry point stands for.

    Raises:
        ConfigError: there is none of that name, or making it fails.
    """
    from importlib.metadata import entry_points  # slow, and only needed where one is named

    found = list(entry_points(group=group, name=name))
    if not found:
        known = sorted(entry_points(group=group).names)
        there = f"there are: {', '.join(known)}" if known else "there is none at all"
        raise ConfigError(f"Error: No entry point '{name}' in the group '{group}'; {there}.")
    try:
        return found[0].load()(settings)
    except Exception as error:
        raise ConfigError(
            f"Error: Unable to load '{name}' of '{group}': {type(error).__name__}: {error}."
        ) from error


class Tasks:
    """Runs coroutines that decide, a bounded number at a time. Belongs to the thread of the loop.

    Args:
        now: the broker's clock.
        wake: is called after a decision was made, for what it led to to be written.
        report: is told what went wrong.

    Attributes:
        refused: how many found no room.
    """

    __slots__ = ("_now", "_report", "_tasks", "_wake", "refused")

    def __init__(
        self, now: Callable[[], float], wake: Callable[[], None], report: Callable[[str], None]
    ) -> None:
        self._now = now
        self._wake = wake
        self._report = report
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused = 0

    def decide(self, name: str, question: Callable[[], Awaitable[object]]) -> Decision:
        """A decision that is made by awaiting what ``question`` gives."""
        if len(self._tasks) >= PLUGIN_TASKS_MAX:
            self.refused += 1
            return busy()
        pending = _Running()
        task = asyncio.get_running_loop().create_task(self._run(name, question, pending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        pending.task = task
        return pending

    async def _run(
        self, name: str, question: Callable[[], Awaitable[object]], pending: Pending
    ) -> None:
        try:
            async with asyncio.timeout(PLUGIN_TIMEOUT_S):
                decision = understood(await question())
        except asyncio.CancelledError:
            raise  # the client has gone, or the broker ends
        except Exception as error:
            decision = self.failed(name, error)
        pending.settle(decision, self._now())
        self._wake()

    def failed(self, name: str, error: Exception) -> Decision:
        """The refusal when somebody's code raised, and the line of the log about it."""
        what = f"'{name}' failed: {type(error).__name__}: {error}"
        self._report(f"Error: {what}")
        return deny(what, int(Reason.SERVER_UNAVAILABLE))

    def close(self) -> None:
        """Stop: nobody is told any more."""
        for task in self._tasks:
            task.cancel()


class _Running(Pending):
    """A decision that a task will make; the task ends with the client."""

    __slots__ = ("task",)

    def __init__(self) -> None:
        super().__init__()
        self.task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        """See :meth:`midge.auth.base.Pending.cancel`."""
        super().cancel()
        if self.task is not None:
            self.task.cancel()


def understood(answer: object) -> Decision:
    """What an answer means.

    Raises:
        TypeError: nothing.
    """
    if isinstance(answer, Decision):
        return answer
    if answer is None:
        return Decision(PASS, "it has no opinion")
    if isinstance(answer, bool):
        return ALLOWED if answer else deny("it refuses")
    raise TypeError(f"it answered {type(answer).__name__}, not a Decision, True, False or None")


class GuardedAuthenticator:
    """A user's authenticator, with its errors caught and its coroutines run."""

    __slots__ = ("_async", "_inner", "_name", "_tasks")

    def __init__(self, name: str, inner: Any, tasks: Tasks) -> None:
        self._name = name
        self._inner: Authenticator = inner
        self._tasks = tasks
        self._async = inspect.iscoroutinefunction(_method(name, inner, "authenticate"))

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        """See :meth:`midge.auth.base.Authenticator.authenticate`."""
        inner: Any = self._inner
        if self._async:

            async def ask() -> Decision:
                return self._vouch(client, understood(await inner.authenticate(client, password)))

            return self._tasks.decide(self._name, ask)
        try:
            return self._vouch(client, understood(inner.authenticate(client, password)))
        except Exception as error:
            return self._tasks.failed(self._name, error)

    def _vouch(self, client: Identity, decision: Decision) -> Decision:
        if decision.outcome == ALLOW:
            client.proof = (AUTHENTICATORS, self._name)
        return decision

    def still_valid(self, client: Identity) -> bool | None:
        """Whether a client that was let in this way may stay after a reload: it may."""
        return True if client.proof == (AUTHENTICATORS, self._name) else None


class GuardedAuthorizer:
    """A user's authorizer, with its errors caught and its coroutines run."""

    __slots__ = ("_async", "_inner", "_name", "_tasks")

    def __init__(self, name: str, inner: Any, tasks: Tasks) -> None:
        self._name = name
        self._inner: Authorizer = inner
        self._tasks = tasks
        self._async = inspect.iscoroutinefunction(_method(name, inner, "authorize"))

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        """See :meth:`midge.auth.base.Authorizer.authorize`."""
        inner: Any = self._inner
        if self._async:
            if action in (DELIVER, RETAIN):
                return ALLOWED
            return self._tasks.decide(self._name, lambda: inner.authorize(client, action, topic))
        try:
            return understood(inner.authorize(client, action, topic))
        except Exception as error:
            return self._tasks.failed(self._name, error)


def _method(name: str, inner: object, method: str) -> Any:
    found = getattr(inner, method, None)
    if not callable(found):
        raise ConfigError(f"Error: '{name}' has no method '{method}'.")
    return found
