"""Several sources of credentials or of rules, asked in their order.

Each answers yes, no, later, or that it has no opinion (``PASS``): then the next one is asked.

Credentials: who gave no name, and whom no source knows, is anonymous and comes in where that is
allowed; a name that nobody knows is refused. Rules: what nobody has an opinion about is refused,
unless the chain was made with another last word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.auth.base import (
    ALLOWED,
    CERTIFICATE,
    PASS,
    AnonymousOnly,
    Authenticator,
    Authorizer,
    Decision,
    Identity,
    Pending,
    deny,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Later(Pending):
    """A decision that waits for one link of a chain, and perhaps for those behind it."""

    __slots__ = ("awaited",)

    def __init__(self) -> None:
        super().__init__()
        self.awaited: Pending | None = None

    def cancel(self) -> None:
        """See :meth:`midge.auth.base.Pending.cancel`."""
        super().cancel()
        if self.awaited is not None:
            self.awaited.cancel()


def first_opinion(
    questions: Sequence[Callable[[], Decision]], conclude: Callable[[list[str]], Decision]
) -> Decision:
    """The first decision that is not ``PASS``, now or later.

    Args:
        questions: each asks one source.
        conclude: decides when all have passed; it is given what they said.
    """
    said: list[str] = []
    outer: _Later | None = None

    def go_on(index: int) -> Decision | None:
        """Ask from ``index`` on; ``None`` when the answer comes later."""
        nonlocal outer
        for position in range(index, len(questions)):
            decision = questions[position]()
            if isinstance(decision, Pending):
                if decision.settled is None:
                    outer = outer or _Later()
                    outer.awaited = decision
                    decision.wait(lambda made, now, at=position: resume(made, at, now))  # type: ignore[misc]
                    return None
                decision = decision.settled
            if decision.outcome != PASS:
                return decision
            said.append(decision.text)
        return conclude(said)

    def resume(made: Decision, position: int, now: float) -> None:
        assert outer is not None
        final: Decision | None = made
        if made.outcome == PASS:
            said.append(made.text)
            final = go_on(position + 1)
        if final is not None:
            outer.awaited = None
            outer.settle(final, now)

    decision = go_on(0)
    if decision is not None:
        return decision
    assert outer is not None
    return outer


_ANONYMOUS_ONLY = AnonymousOnly()


class AuthenticatorChain:
    """Asks several authenticators; an :class:`~midge.auth.base.Authenticator` itself.

    Args:
        sources: in the order of asking.
    """

    __slots__ = ("sources",)

    def __init__(self, sources: Sequence[Authenticator]) -> None:
        self.sources = tuple(sources)

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        """See :meth:`midge.auth.base.Authenticator.authenticate`."""
        if client.proof == CERTIFICATE:
            return ALLOWED
        if not self.sources:
            return _ANONYMOUS_ONLY.authenticate(client, password)
        nameless = client.username is None

        def conclude(said: list[str]) -> Decision:
            if not nameless:
                return deny("; ".join(said) or "there is nobody to ask about it")
            if client.anonymous_allowed:
                return ALLOWED
            return deny(
                f"it gave no user name, and listener {client.listener} does not let in anonymous "
                "clients; 'allow_anonymous true' would let them in"
            )

        return first_opinion(
            [lambda one=one: one.authenticate(client, password) for one in self.sources],  # type: ignore[misc]
            conclude,
        )

    def still_valid(self, client: Identity) -> bool:
        """Whether a connected client may stay after the sources have changed.

        It may when the source that let it in would do so again. ``anonymous_allowed`` must be what
        goes for its listener now.
        """
        if client.proof == CERTIFICATE:
            return True
        if client.proof is None:
            return client.anonymous_allowed and (client.username is None or not self.sources)
        for source in self.sources:
            ask = getattr(source, "still_valid", None)
            answer = None if ask is None else ask(client)
            if answer is not None:
                return bool(answer)
        return False


class AuthorizerChain:
    """Asks several authorizers; an :class:`~midge.auth.base.Authorizer` itself.

    Args:
        sources: in the order of asking.
        otherwise: what is decided when none has an opinion; by default, a refusal.
    """

    __slots__ = ("_otherwise", "sources")

    def __init__(self, sources: Sequence[Authorizer], otherwise: Decision | None = None) -> None:
        self.sources = tuple(sources)
        self._otherwise = otherwise

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        """See :meth:`midge.auth.base.Authorizer.authorize`."""
        for index, source in enumerate(self.sources):
            decision = source.authorize(client, action, topic)
            if isinstance(decision, Pending):
                if decision.settled is None:
                    return self._later(decision, index, client, action, topic)
                decision = decision.settled
            if decision.outcome != PASS:
                return decision
        if self._otherwise is not None:
            return self._otherwise
        # Only a refusal needs the words, and it is rare: so they are asked for again.
        said = [source.authorize(client, action, topic).text for source in self.sources]
        return _refused(said)

    def _later(
        self, decision: Pending, index: int, client: Identity, action: int, topic: str
    ) -> Decision:
        rest = [
            lambda one=one: one.authorize(client, action, topic)
            for one in self.sources[index + 1 :]
        ]

        def conclude(said: list[str]) -> Decision:
            return _refused(said) if self._otherwise is None else self._otherwise

        return first_opinion([lambda: decision, *rest], conclude)


def _refused(said: list[str]) -> Decision:
    return deny("; ".join(text for text in said if text) or "nobody allows it")
