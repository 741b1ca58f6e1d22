"""Who may, on a running broker: by a plan of its configuration, and by the next one after a reload.

:meth:`Security.plan` reads every file that a configuration names and makes everything anew, without
touching the broker; what is wrong is an error then. :meth:`Security.apply` puts it to use, all at
once: from there on the new rules count, what was remembered of the old ones is dropped, and clients
that would not be let in any more are disconnected. So a reload is applied whole or not at all.

What a plan is stands in :mod:`midge.server.security_plan`, how it is made in
:mod:`midge.server.security_sources`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.auth.base import CERTIFICATE, Identity
from midge.config.settings import anonymous_allowed
from midge.limits import (
    HASH_QUEUE_MAX,
    HASH_QUEUE_PER_ADDRESS_MAX,
    HASH_THREADS,
    HASH_WAIT_MAX_S,
    HTTP_AUTH_CONNECTIONS,
    HTTP_AUTH_QUEUE_MAX,
    JWKS_REFRESH_S,
)
from midge.mqtt.reasons import Reason
from midge.server import plugins
from midge.server.security_plan import ByListener, Plan
from midge.server.security_sources import Sources
from midge.server.workers import Workers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from midge.broker.broker import Broker
    from midge.clock import Clock
    from midge.config.settings import Configuration
    from midge.errors import ConfigError
    from midge.server.logs import Log
    from midge.server.mqtt_server import MqttServer


class Security:
    """Who may, on a running broker. Belongs to the thread of the loop.

    Args:
        server: whose broker it is.
        loop: the server's loop.
        clock: the time.
        log: where trouble is told.
        authenticators, authorizers: a program's own, asked after those that are configured.

    Attributes:
        hashing: the threads that check passwords, with their counters.
        asking: those that ask HTTP services; ``None`` where there are none.
        tasks: a user's own coroutines.
    """

    __slots__ = (
        "_broker",
        "_log",
        "_loop",
        "_now",
        "_plan",
        "_sources",
        "_timer",
        "_wake",
        "asking",
        "hashing",
        "tasks",
    )

    def __init__(
        self,
        server: MqttServer,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        log: Log,
        authenticators: Sequence[object] = (),
        authorizers: Sequence[object] = (),
    ) -> None:
        self._broker: Broker = server.broker
        self._loop = loop
        self._log = log
        self._now = server.now
        self._wake = server.wake
        self._plan: Plan | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.hashing = Workers(
            loop,
            server.now,
            server.wake,
            threads=HASH_THREADS,
            queue_max=HASH_QUEUE_MAX,
            per_key_max=HASH_QUEUE_PER_ADDRESS_MAX,
            wait_max_s=HASH_WAIT_MAX_S,
            name="midge-hash",
        )
        self.asking: Workers | None = None
        self.tasks = plugins.Tasks(server.now, server.wake, log.error)
        self._sources = Sources(
            server.now,
            clock,
            log,
            self.hashing,
            self._asking,
            self.tasks,
            authenticators,
            authorizers,
        )

    def plan(self, configuration: Configuration, faults: list[ConfigError] | None = None) -> Plan:
        """Read all files and make everything anew; nothing of the broker changes.

        Args:
            faults: takes all that is wrong; the plan is then not for use. ``None``: the first error
                is raised.

        Raises:
            ConfigError: something cannot be read or used.
        """
        return self._sources.plan(configuration, faults)

    def _asking(self) -> Workers:
        if self.asking is None:
            self.asking = Workers(
                self._loop,
                self._now,
                self._wake,
                threads=HTTP_AUTH_CONNECTIONS,
                queue_max=HTTP_AUTH_QUEUE_MAX,
                per_key_max=HTTP_AUTH_QUEUE_MAX,
                wait_max_s=HASH_WAIT_MAX_S,
                name="midge-http",
            )
        return self.asking

    def apply(self, plan: Plan) -> None:
        """Let the broker go by a plan from here on, and end connections that it does not allow."""
        first = self._plan is None
        self._plan = plan
        if plan.everywhere is not None:
            self._broker.set_rules(plan.everywhere.authenticator, plan.everywhere.authorizer)
        else:
            by_listener = ByListener(plan)
            self._broker.set_rules(by_listener, by_listener if plan.has_rules() else None)
        for kind, line in plan.messages:
            self._log.write(kind, line)
        for source in plan.key_sets:
            source.refresh()
        self._refresh_later()
        if not first:
            self._show_out(plan)

    def reload(self, configuration: Configuration) -> None:
        """Plan and apply.

        Raises:
            ConfigError: something cannot be read or used; then nothing has changed.
        """
        self.apply(self.plan(configuration))

    def close(self) -> None:
        """Stop deciding: what is still open is never answered."""
        if self._timer is not None:
            self._timer.cancel()
        self.hashing.close()
        self.tasks.close()
        if self.asking is not None:
            self.asking.close()

    def _show_out(self, plan: Plan) -> None:
        """End the connections of those who would not be let in any more."""
        settings = plan.configuration.settings
        listeners = {one.name(): one for one in plan.configuration.listeners}
        there = [(session.identity, session.link) for session in self._broker.sessions.all()]
        there += [(getattr(guest, "identity", None), guest) for guest in self._broker.guests]
        for identity, link in there:
            if identity is None or link is None:
                continue
            listener = listeners.get(identity.listener)
            place = plan.place_of(identity.listener)
            if listener is None or place is None:
                continue  # its listener is gone, and whoever removed it sees to its clients
            identity.anonymous_allowed = anonymous_allowed(settings, listener)
            by_certificate = listener.use_identity_as_username or listener.use_subject_as_username
            if listener.protocol == "zmtp":
                by_certificate = True  # a CURVE key is its owner's certificate
            gone = identity.proof == CERTIFICATE and not by_certificate
            if gone or not place.authenticator.still_valid(identity):
                self._log.notice(
                    f"Client {identity.client_id} is shown out: {_why(identity, gone)}."
                )
                link.end(int(Reason.ADMINISTRATIVE_ACTION), "it may no longer come in")
        self._wake()

    def _refresh_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._plan is not None and self._plan.key_sets:
            self._timer = self._loop.call_later(JWKS_REFRESH_S, self._refresh)

    def _refresh(self) -> None:
        for source in self._plan.key_sets if self._plan is not None else ():
            source.refresh()
        self._refresh_later()


def _why(identity: Identity, certificate: bool) -> str:
    """Why a client that is there would not be let in by the new configuration."""
    if certificate:
        return "its listener takes no names from certificates any more"
    if identity.username is None:
        return "clients without a user name are not let in any more"
    return (
        f"the user {identity.username} with its password or token is not let in any more; see "
        "password_file, or what else decides at its listener"
    )
