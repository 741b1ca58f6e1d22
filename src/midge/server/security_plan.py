"""What a configuration says about who may, made and ready: a plan, and whoever asks the right part.

With ``per_listener_settings`` each listener has its own passwords and rules, otherwise all share
those of the broker. Who makes a plan is :mod:`midge.server.security_sources`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOW, ALLOWED, DELIVER, WILL, Authorizer, Decision, Identity, deny
from midge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midge.auth.chain import AuthenticatorChain, AuthorizerChain
    from midge.config.security import SecuritySettings
    from midge.config.settings import Configuration
    from midge.server.jwks import FetchedKeys


class Place:
    """What goes for one listener, or for all.

    Attributes:
        authenticator: who may come in.
        authorizer: who may do what; ``None``: everybody everything.
    """

    __slots__ = ("authenticator", "authorizer")

    def __init__(
        self, authenticator: AuthenticatorChain, authorizer: AuthorizerChain | Authorizer | None
    ) -> None:
        self.authenticator = authenticator
        self.authorizer = authorizer


class Plan:
    """Everything that a configuration says about who may, made and not yet in use.

    Attributes:
        configuration: what it was made of.
        everywhere: what goes for all listeners; ``None`` with ``per_listener_settings``.
        places: what goes for each of them, by :meth:`ListenerSettings.name`.
        key_sets: key sets that must be fetched.
        messages: what there is to say, as pairs of a log type and a line.
    """

    __slots__ = ("_faults", "configuration", "everywhere", "key_sets", "messages", "places")

    def __init__(
        self, configuration: Configuration, faults: list[ConfigError] | None = None
    ) -> None:
        self.configuration = configuration
        self._faults = faults
        self.everywhere: Place | None = None
        self.places: dict[str, Place] = {}
        self.key_sets: list[FetchedKeys] = []
        self.messages: list[tuple[str, str]] = []

    @contextlib.contextmanager
    def part(self, settings: SecuritySettings, *options: str) -> Iterator[None]:
        """Make one part of it; where faults are collected, the others are made all the same.

        Args:
            settings: whose part it is.
            options: those that it is made of; an error says where they were given.
        """
        try:
            yield
        except ConfigError as error:
            self.configuration.locate(error, settings, *options)
            if self._faults is None:
                raise
            self._faults.append(error)

    def place_of(self, listener: str) -> Place | None:
        """What goes for those who came in by a listener; ``None`` where it is no more."""
        return self.everywhere or self.places.get(listener)

    def has_rules(self) -> bool:
        """Whether anybody at any listener is to be asked about what clients may do."""
        return any(place.authorizer is not None for place in self.places.values())


class ByListener:
    """Asks whoever decides for the listener that a client came in by."""

    __slots__ = ("_plan",)

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        """See :meth:`midge.auth.base.Authenticator.authenticate`."""
        place = self._plan.place_of(client.listener)
        return _UNKNOWN if place is None else place.authenticator.authenticate(client, password)

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        """See :meth:`midge.auth.base.Authorizer.authorize`."""
        if not client.listener and action in (DELIVER, WILL):
            return self._of_any(client, action, topic)
        place = self._plan.place_of(client.listener)
        if place is None:
            return _UNKNOWN
        if place.authorizer is None:
            return ALLOWED
        return place.authorizer.authorize(client, action, topic)

    def _of_any(self, client: Identity, action: int, topic: str) -> Decision:
        """Of a client of before a restart, which is away, it is not known where it came in.

        What it may have by the rules of any listener is kept for it. When it comes, it is asked
        again about all of that, as who it is then.
        """
        decision = _UNKNOWN
        for place in self._plan.places.values():
            if place.authorizer is None:
                return ALLOWED
            decision = place.authorizer.authorize(client, action, topic)
            if decision.outcome == ALLOW:
                return decision
        return decision


_UNKNOWN: Final = deny("the listener that it came in by has no settings any more")
