"""Makes those who decide, of the files and addresses that a configuration names.

Everything is read here, and nothing put to use: what is wrong is an error while the broker goes on
by what it had.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from midge.auth import acl_file, password_file
from midge.auth.base import ALLOWED, Authenticator, Authorizer
from midge.auth.chain import AuthenticatorChain, AuthorizerChain
from midge.config.settings import anonymous_allowed
from midge.errors import ConfigError
from midge.limits import SECURITY_FILE_BYTES_MAX
from midge.server import plugins
from midge.server.security_plan import Place, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midge.auth.http import HttpService
    from midge.clock import Clock
    from midge.config.security import SecuritySettings
    from midge.config.settings import Configuration, ListenerSettings
    from midge.server.logs import Log
    from midge.server.workers import Workers


_KEY_BYTES: Final = 32


class Sources:
    """Makes plans for one broker.

    Args:
        now: the broker's clock.
        clock: that of the machine, by which tokens are valid.
        log: where trouble with services is told.
        hashing: the threads that check passwords.
        asking: gives those that ask HTTP services, which are there once somebody needs them.
        tasks: a user's own coroutines.
        authenticators, authorizers: a program's own, asked after those that are configured.
    """

    __slots__ = (
        "_asking",
        "_clock",
        "_hashing",
        "_key",
        "_log",
        "_now",
        "_own_authenticators",
        "_own_authorizers",
        "_tasks",
    )

    def __init__(
        self,
        now: Callable[[], float],
        clock: Clock,
        log: Log,
        hashing: Workers,
        asking: Callable[[], Workers],
        tasks: plugins.Tasks,
        authenticators: Sequence[object],
        authorizers: Sequence[object],
    ) -> None:
        self._now = now
        self._clock = clock
        self._log = log
        self._hashing = hashing
        self._asking = asking
        self._tasks = tasks
        self._own_authenticators = authenticators
        self._own_authorizers = authorizers
        self._key = os.urandom(_KEY_BYTES)

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
            if not self._own_authenticators:
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
        ruled = settings.has_authorization() or bool(self._own_authorizers)
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
                sources.append(plugins.GuardedAuthenticator(name, made, self._tasks))
        sources += [
            plugins.GuardedAuthenticator(type(own).__name__, own, self._tasks)
            for own in self._own_authenticators
        ]
        return sources

    def _passwords(self, plan: Plan, file: str) -> Authenticator:
        text = _read(file, f'password-file: Error: Unable to open pwfile "{file}"', plan)
        users = password_file.parse(text.decode(errors="surrogateescape"), file)
        return password_file.PasswordFile(users, file, self._hashing, self._now, self._key)

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
                sources.append(plugins.GuardedAuthorizer(name, made, self._tasks))
        sources += [
            plugins.GuardedAuthorizer(type(own).__name__, own, self._tasks)
            for own in self._own_authorizers
        ]
        return sources

    def _acl_file(self, plan: Plan, settings: SecuritySettings, file: str) -> Authorizer:
        text = _read(file, f'Error: Unable to open acl_file "{file}"', plan)
        rules, warnings = acl_file.parse(text.decode(errors="surrogateescape"), file)
        plan.messages += [("warning", line) for line in warnings]
        others = bool(settings.authorizers or settings.http_auth_acl_url or self._own_authorizers)
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
        return jwt.JwtAuthenticator(source, rules, self._hashing, self._clock.wall)

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
