"""From a configuration to those who decide: who may come in, and who may do what.

:meth:`Security.plan` reads every file that a configuration names and makes everything anew, without
touching the broker; what is wrong is an error then. :meth:`Security.apply` puts it to use, all at
once: from there on the new rules count, what was remembered of the old ones is dropped, and clients
that would not be let in any more are disconnected. So a reload is applied whole or not at all.

With ``per_listener_settings`` each listener has its own passwords and rules, otherwise all share
those of the broker.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from midge.auth import acl_file, password_file
from midge.auth.base import (
    ALLOW,
    ALLOWED,
    CERTIFICATE,
    DELIVER,
    WILL,
    Authenticator,
    Authorizer,
    Decision,
    Identity,
    deny,
)
from midge.auth.chain import AuthenticatorChain, AuthorizerChain
from midge.config.settings import anonymous_allowed
from midge.errors import ConfigError
from midge.limits import (
    HASH_QUEUE_MAX,
    HASH_QUEUE_PER_ADDRESS_MAX,
    HASH_THREADS,
    HASH_WAIT_MAX_S,
    HTTP_AUTH_CONNECTIONS,
    HTTP_AUTH_QUEUE_MAX,
    JWKS_REFRESH_S,
    SECURITY_FILE_BYTES_MAX,
)
from midge.mqtt.reasons import Reason
from midge.server import plugins
from midge.server.workers import Workers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from midge.auth.http import HttpService
    from midge.broker.broker import Broker
    from midge.clock import Clock
    from midge.config.security import SecuritySettings
    from midge.config.settings import Configuration, ListenerSettings
    from midge.server.jwks import FetchedKeys
    from midge.server.logs import Log
    from midge.server.mqtt_server import MqttServer

_KEY_BYTES: Final = 32


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


class _ByListener:
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
        "_clock",
        "_key",
        "_log",
        "_loop",
        "_now",
        "_own",
        "_plan",
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
        self._own = (authenticators, authorizers)
        self._broker: Broker = server.broker
        self._loop = loop
        self._clock = clock
        self._log = log
        self._now = server.now
        self._wake = server.wake
        self._key = os.urandom(_KEY_BYTES)
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

    # -- from a configuration ------------------------------------------------------------------

    def plan(self, configuration: Configuration, faults: list[ConfigError] | None = None) -> Plan:
        """Read all files and make everything anew; nothing of the broker changes.

        Args:
            faults: takes all that is wrong; the plan is then not for use. ``None``: the first error
                is raised.

        Raises:
            ConfigError: something cannot be read or used.
        """
        plan = Plan(configuration, faults)
        settings = configuration.settings
        if settings.per_listener_settings:
            for listener in configuration.listeners:
                plan.places[listener.name()] = self._place(plan, listener)
        else:
            plan.everywhere = self._place(plan, settings)
        for listener in configuration.listeners:
            if not self._own[0]:
                _look_at_door(plan, listener)
        return plan

    def _place(self, plan: Plan, settings: SecuritySettings) -> Place:
        service = None
        with plan.part(settings, "http_auth_user_url", "http_auth_acl_url"):
            service = self._service(settings)
        authenticator = AuthenticatorChain(self._authenticators(plan, settings, service))
        sources = self._authorizers(plan, settings, service)
        if not sources:
            return Place(authenticator, None)
        if len(sources) == 1 and settings.acl_file is not None:
            return Place(authenticator, sources[0])
        # With tokens alone, those whose token names no topics may do everything.
        ruled = settings.has_authorization() or bool(self._own[1])
        otherwise = None if ruled else ALLOWED
        return Place(authenticator, AuthorizerChain(sources, otherwise))

    def _authenticators(
        self, plan: Plan, settings: SecuritySettings, service: HttpService | None
    ) -> list[Authenticator]:
        sources: list[Authenticator] = []
        file = settings.password_file
        if file is not None:
            with plan.part(settings, "password_file"):
                sources.append(self._passwords(plan, file))
        if settings.jwt_key_file is not None or settings.jwt_key_url is not None:
            with plan.part(settings, "jwt_key_file", "jwt_key_url"):
                sources.append(self._tokens(plan, settings))
        if service is not None and service.user_url is not None:
            from midge.auth.http import HttpAuthenticator

            sources.append(HttpAuthenticator(service, self._asking()))
        for name in _names(settings.authenticators):
            with plan.part(settings, "authenticators"):
                made = plugins.load(plugins.AUTHENTICATORS, name, settings)
                sources.append(plugins.GuardedAuthenticator(name, made, self.tasks))
        sources += [
            plugins.GuardedAuthenticator(type(own).__name__, own, self.tasks)
            for own in self._own[0]
        ]
        return sources

    def _passwords(self, plan: Plan, file: str) -> Authenticator:
        text = _read(file, f'password-file: Error: Unable to open pwfile "{file}"', plan)
        users = password_file.parse(text.decode(errors="surrogateescape"), file)
        return password_file.PasswordFile(users, file, self.hashing, self._now, self._key)

    def _authorizers(
        self, plan: Plan, settings: SecuritySettings, service: HttpService | None
    ) -> list[Authorizer]:
        sources: list[Authorizer] = []
        if settings.jwt_key_file is not None or settings.jwt_key_url is not None:
            from midge.auth.jwt import JwtAuthorizer

            sources.append(JwtAuthorizer())
        file = settings.acl_file
        if file is not None:
            with plan.part(settings, "acl_file"):
                sources.append(self._acl_file(plan, settings, file))
        if service is not None and service.acl_url is not None:
            from midge.auth.http import HttpAuthorizer

            sources.append(HttpAuthorizer(service, self._asking()))
        for name in _names(settings.authorizers):
            with plan.part(settings, "authorizers"):
                made = plugins.load(plugins.AUTHORIZERS, name, settings)
                sources.append(plugins.GuardedAuthorizer(name, made, self.tasks))
        sources += [
            plugins.GuardedAuthorizer(type(own).__name__, own, self.tasks) for own in self._own[1]
        ]
        return sources

    def _acl_file(self, plan: Plan, settings: SecuritySettings, file: str) -> Authorizer:
        text = _read(file, f'Error: Unable to open acl_file "{file}"', plan)
        rules, warnings = acl_file.parse(text.decode(errors="surrogateescape"), file)
        plan.messages += [("warning", line) for line in warnings]
        others = bool(settings.authorizers or settings.http_auth_acl_url or self._own[1])
        return acl_file.AclFile(rules, settings.acl_refuse_subscribe, alone=not others)

    def _tokens(self, plan: Plan, settings: SecuritySettings) -> Authenticator:
        from midge.auth import jwt

        file, url = settings.jwt_key_file, settings.jwt_key_url
        source: jwt.KeySource
        if file is not None and url is not None:
            raise ConfigError("Error: jwt_key_file and jwt_key_url cannot be used together.")
        if file is not None:
            data = _read(file, f'Error: Unable to open jwt_key_file "{file}"', plan)
            source = jwt.FixedKeys(jwt.read_keys(data, file))
        else:
            from midge.auth.http import HttpClient, check_url
            from midge.server.jwks import FetchedKeys

            assert url is not None
            client = HttpClient(settings.http_auth_timeout_s)
            fetched = FetchedKeys(
                check_url(url, "jwt_key_url"),
                self._asking(),
                client.request,
                self._now,
                self._log.error,
            )
            plan.key_sets.append(fetched)
            source = fetched
        algorithms = tuple(_names(settings.jwt_algorithms))
        for name in algorithms:
            if name not in jwt.ALGORITHMS:
                raise ConfigError(f"Error: Invalid 'jwt_algorithms' value ({name}).")
        rules = jwt.JwtRules(
            algorithms,
            settings.jwt_audience,
            settings.jwt_issuer,
            settings.jwt_username_claim,
            settings.jwt_disconnect_on_expiry,
        )
        return jwt.JwtAuthenticator(source, rules, self.hashing, self._clock.wall)

    def _service(self, settings: SecuritySettings) -> HttpService | None:
        urls = {
            name: getattr(settings, name)
            for name in ("http_auth_user_url", "http_auth_superuser_url", "http_auth_acl_url")
        }
        if not any(urls.values()):
            return None
        from midge.auth.http import HttpClient, HttpService, check_url

        for name, url in urls.items():
            if url is not None:
                check_url(url, name)
        if urls["http_auth_superuser_url"] is not None and urls["http_auth_acl_url"] is None:
            raise ConfigError("Error: http_auth_superuser_url needs http_auth_acl_url.")
        return HttpService(
            user_url=urls["http_auth_user_url"],
            superuser_url=urls["http_auth_superuser_url"],
            acl_url=urls["http_auth_acl_url"],
            params=settings.http_auth_params,
            response=settings.http_auth_response,
            cache_s=settings.http_auth_cache_s,
            request=HttpClient(settings.http_auth_timeout_s).request,
            now=self._now,
            key=self._key,
        )

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

    # -- on the broker -------------------------------------------------------------------------

    def apply(self, plan: Plan) -> None:
        """Let the broker go by a plan from here on, and end connections that it does not allow."""
        first = self._plan is None
        self._plan = plan
        if plan.everywhere is not None:
            self._broker.set_rules(plan.everywhere.authenticator, plan.everywhere.authorizer)
        else:
            by_listener = _ByListener(plan)
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


def _names(text: str | None) -> list[str]:
    """The names in a list that is separated by blanks or commas."""
    return [] if text is None else text.replace(",", " ").split()


def _read(path: str, failed: str, plan: Plan) -> bytes:
    """Read a file with secrets or rules.

    Raises:
        ConfigError: it cannot be read, or is too large to be such a file.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(SECURITY_FILE_BYTES_MAX + 1)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise ConfigError(f"{failed}: {error.strerror}.", path) from None
    if len(data) > SECURITY_FILE_BYTES_MAX:
        raise ConfigError(f"{failed}: it is larger than {SECURITY_FILE_BYTES_MAX} bytes.", path)
    with contextlib.suppress(AttributeError):  # a system without such modes
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            plan.messages.append(
                (
                    "warning",
                    f"Warning: File {path} has world readable permissions. "
                    f"To fix this, use `chmod 0600 {path}`.",
                )
            )
    return data


def _look_at_door(plan: Plan, listener: ListenerSettings) -> None:
    """Say so where everybody on the network may come in, or nobody at all."""
    settings = plan.configuration.settings
    security: SecuritySettings = listener if settings.per_listener_settings else settings
    name = listener.name()
    open_door = anonymous_allowed(settings, listener)
    if not open_door and not security.has_authentication():
        plan.messages.append(
            (
                "warning",
                f"Warning: Listener {name} lets nobody in: it has no source of credentials, "
                "a password_file for example, and does not let in anonymous clients.",
            )
        )
    elif open_door and not listener.is_local() and not security.has_authentication():
        plan.messages.append(
            (
                "warning",
                f"Warning: Listener {name} lets in everybody who can reach it: it has no source "
                "of credentials, and allow_anonymous is true.",
            )
        )
