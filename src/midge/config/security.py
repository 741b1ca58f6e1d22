"""The settings that say who may come in and what they may do.

They go for the whole broker, or with ``per_listener_settings`` for one listener; so
:class:`~midge.config.settings.Settings` and :class:`~midge.config.settings.ListenerSettings` both
have them. ``midge.auth`` acts on them; ``midge.server.security`` knows which of the two counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from midge.limits import HTTP_AUTH_CACHE_S, HTTP_AUTH_TIMEOUT_S


@dataclass(slots=True, kw_only=True)
class SecuritySettings:
    """Sources of credentials and of rules.

    Attributes:
        password_file: user names and hashed passwords.
        acl_file: rules for who may use which topics.
        psk_file: identities and keys of TLS-PSK.
        acl_refuse_subscribe: a subscription that the rules of ``acl_file`` can never give a message
            is refused; without it, it is granted and stays empty.
        authenticators, authorizers: names of entry points of the groups ``midge.authenticators``
            and ``midge.authorizers``, separated by blanks or commas, in the order of asking.
        jwt_key_file: the key, or the JSON Web Key Set, that tokens are verified with.
        jwt_key_url: where that key set is fetched from instead.
        jwt_algorithms: the signatures that are accepted, separated by blanks or commas.
        jwt_audience, jwt_issuer: what ``aud`` and ``iss`` of a token must be; ``None``: anything.
        jwt_username_claim: the claim that names the user.
        jwt_disconnect_on_expiry: a client is disconnected when its token expires.
        http_auth_user_url: asked whether a user's password is right.
        http_auth_superuser_url: asked whether a user may do everything.
        http_auth_acl_url: asked whether a client may use a topic.
        http_auth_params: how the question is put: ``form`` or ``json``.
        http_auth_response: where the answer stands: ``status``, ``json`` or ``text``.
        http_auth_timeout_s: how long an answer may take.
        http_auth_cache_s: how long an answer is good for; 0: each question is asked.
    """

    password_file: str | None = None
    acl_file: str | None = None
    psk_file: str | None = None
    acl_refuse_subscribe: bool = False
    authenticators: str | None = None
    authorizers: str | None = None
    jwt_key_file: str | None = None
    jwt_key_url: str | None = None
    jwt_algorithms: str | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    jwt_username_claim: str = "sub"
    jwt_disconnect_on_expiry: bool = False
    http_auth_user_url: str | None = None
    http_auth_superuser_url: str | None = None
    http_auth_acl_url: str | None = None
    http_auth_params: str = "json"
    http_auth_response: str = "status"
    http_auth_timeout_s: int = HTTP_AUTH_TIMEOUT_S
    http_auth_cache_s: int = HTTP_AUTH_CACHE_S

    def has_authentication(self) -> bool:
        """Whether there is anybody here who can say who a client is."""
        return bool(
            self.password_file
            or self.authenticators
            or self.jwt_key_file
            or self.jwt_key_url
            or self.http_auth_user_url
        )

    def has_authorization(self) -> bool:
        """Whether there are any rules for what clients may do."""
        return bool(self.acl_file or self.authorizers or self.http_auth_acl_url)
