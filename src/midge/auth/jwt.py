"""JSON Web Tokens instead of passwords (RFC 7519); needs PyJWT, the extra ``midge[jwt]``.

A client gives its token as the password, or as the user name. It is believed when it is signed by a
key that we have, with an algorithm that fits that key, and when ``exp``, ``nbf``, ``aud`` and
``iss`` are right. Then the client has the user name that the token says, whatever it said itself.

A token may also say what its owner may do: ``publ`` and ``subs`` are lists of topic filters that it
may publish to and subscribe to, or ``acl`` is an object with such lists as ``pub``, ``sub`` and
``all``. Where it says so, nothing else is allowed; where it does not, other sources decide.

A key set that is fetched from somewhere is a :class:`KeySource`: it is asked for again when a token
names a key that is not in it, and the client waits. Verifying is done elsewhere (``offload``).
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from midge.auth.acl_rules import intersection
from midge.auth.base import (
    ALLOWED,
    ALLOWED_BY_RULES,
    DELIVER,
    PASS,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Decision,
    Identity,
    Pending,
    deny,
)
from midge.auth.chain import first_opinion
from midge.auth.offload import Offload, decide_elsewhere
from midge.errors import ConfigError
from midge.limits import JWT_LEEWAY_S
from midge.topics.filters import matches
from midge.topics.names import is_filter

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FAMILIES: Final = {
    "oct": ("HS256", "HS384", "HS512"),
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512", "ES256K"),
    "OKP": ("EdDSA",),
}
#: All of them.
ALGORITHMS: Final = frozenset(name for names in _FAMILIES.values() for name in names)
#: Where an authenticated client's claims hold the rules that were read from them.
_CLAIM: Final = "midge.acl"


class Key:
    """A key that tokens are verified with.

    Attributes:
        kid: its name; ``None`` for none.
        algorithms: the signatures that it is good for.
        secret: what PyJWT takes.
    """

    __slots__ = ("algorithms", "kid", "secret")

    def __init__(self, kid: str | None, algorithms: tuple[str, ...], secret: Any) -> None:
        self.kid = kid
        self.algorithms = algorithms
        self.secret = secret


def read_keys(data: bytes, file: str) -> list[Key]:
    """Read a key file: a key set (JWKS), a public key or certificate (PEM), or a shared secret.

    Raises:
        ConfigError: there is no key in it that can be used, or PyJWT is not installed.
    """
    try:
        import jwt
    except ImportError:
        raise ConfigError("Error: JWT needs PyJWT: pip install 'midge[jwt]'", file) from None
    stripped = data.strip()
    try:
        if stripped.startswith(b"{"):
            return _read_set(json.loads(stripped))
        if b"-----BEGIN " in stripped:
            return [_read_pem(stripped)]
    except (ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError) as error:
        raise ConfigError(f"Error: {file} holds no key that can be used: {error}", file) from None
    if not stripped:
        raise ConfigError(f"Error: {file} holds no key", file)
    return [Key(None, _FAMILIES["oct"], stripped)]


def _read_set(document: dict[str, Any]) -> list[Key]:
    import jwt

    entries = document.get("keys", [document])
    keys = []
    for entry in entries:
        if entry.get("use", "sig") != "sig" or entry.get("kty") not in _FAMILIES:
            continue
        algorithms = _FAMILIES[entry["kty"]]
        wanted = entry.get("alg")
        if wanted is not None:
            if wanted not in algorithms:
                continue
            algorithms = (wanted,)
        parsed = jwt.PyJWK(entry, algorithm=algorithms[0] if wanted is None else wanted)
        keys.append(Key(entry.get("kid"), algorithms, parsed.key))
    if not keys:
        raise ValueError("the key set is empty")
    return keys


def _read_pem(data: bytes) -> Key:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if b"PRIVATE KEY" in data:
        raise ValueError("it is a private key; the public one is enough, and safer here")
    public: object
    if b"CERTIFICATE" in data:
        public = x509.load_pem_x509_certificate(data).public_key()
    else:
        public = serialization.load_pem_public_key(data)
    if isinstance(public, rsa.RSAPublicKey):
        return Key(None, _FAMILIES["RSA"], public)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return Key(None, _FAMILIES["EC"], public)
    if isinstance(public, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return Key(None, _FAMILIES["OKP"], public)
    raise ValueError("a key of this kind signs no tokens")


class KeySource(Protocol):
    """Where keys come from.

    Attributes:
        keys: those that are there now.
    """

    keys: list[Key]

    def refresh(self) -> Pending | None:
        """Get them again; settled when they are there. ``None`` when it is too early for that."""
        ...


class FixedKeys:
    """The :class:`KeySource` of a key file, which only a reload reads again."""

    __slots__ = ("keys",)

    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys

    def refresh(self) -> Pending | None:
        """See :meth:`KeySource.refresh`."""
        return None


class JwtRules:
    """What must be right about a token.

    Attributes:
        algorithms: the signatures that are accepted; empty: all that fit the key.
        audience, issuer: what ``aud`` and ``iss`` must be; ``None``: anything.
        username_claim: the claim that names the user.
        disconnect_on_expiry: a client does not outstay its token.
    """

    __slots__ = ("algorithms", "audience", "disconnect_on_expiry", "issuer", "username_claim")

    def __init__(
        self,
        algorithms: tuple[str, ...] = (),
        audience: str | None = None,
        issuer: str | None = None,
        username_claim: str = "sub",
        disconnect_on_expiry: bool = False,
    ) -> None:
        self.algorithms = algorithms
        self.audience = audience
        self.issuer = issuer
        self.username_claim = username_claim
        self.disconnect_on_expiry = disconnect_on_expiry


class JwtAuthenticator:
    """The :class:`~midge.auth.base.Authenticator` of tokens; passes on whoever shows none.

    Args:
        source: the keys.
        rules: what must be right.
        offload: where signatures are verified.
        wall: seconds since 1970 UTC.
    """

    __slots__ = ("_offload", "_rules", "_source", "_wall")

    def __init__(
        self, source: KeySource, rules: JwtRules, offload: Offload, wall: Callable[[], float]
    ) -> None:
        self._source = source
        self._rules = rules
        self._offload = offload
        self._wall = wall

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        """See :meth:`midge.auth.base.Authenticator.authenticate`."""
        token = _token_of(client, password)
        if token is None:
            return Decision(PASS, "it showed no token")
        header = _header(token)
        if header is None:
            return Decision(PASS, "what it showed is no token")
        kid, algorithm = header
        if self._fitting(kid, algorithm):
            return self._verify(client, token, kid, algorithm)
        fetched = self._source.refresh()
        if fetched is None:
            return deny(self._no_key(kid, algorithm))

        def then() -> Decision:
            if not self._fitting(kid, algorithm):
                return deny(self._no_key(kid, algorithm))
            return self._verify(client, token, kid, algorithm)

        return first_opinion([lambda: fetched, then], lambda said: deny("; ".join(said)))

    def _no_key(self, kid: str | None, algorithm: str) -> str:
        name = "" if kid is None else f" named {kid!r}"
        return f"there is no key{name} for its token, which is signed with {algorithm!r}"

    def _fitting(self, kid: str | None, algorithm: str) -> list[Key]:
        if self._rules.algorithms and algorithm not in self._rules.algorithms:
            return []
        return [
            key
            for key in self._source.keys
            if algorithm in key.algorithms and (kid is None or key.kid in (None, kid))
        ]

    def _verify(self, client: Identity, token: str, kid: str | None, algorithm: str) -> Decision:
        work = partial(_claims_of, token, self._fitting(kid, algorithm), algorithm, self._rules)

        def judge(result: object, now: float) -> Decision:
            if isinstance(result, Exception):
                return deny(f"its token is not valid: {result}")
            assert isinstance(result, dict)
            return self._judge(client, result, now)

        return decide_elsewhere(self._offload, client.address, work, judge)

    def _judge(self, client: Identity, claims: dict[str, Any], now: float) -> Decision:
        wall = self._wall()
        for name in ("exp", "nbf"):
            if name in claims and not _is_time(claims[name]):
                return deny(f"the claim {name} of its token is no time")
        if "exp" in claims and claims["exp"] + JWT_LEEWAY_S <= wall:
            return deny(f"its token expired {wall - claims['exp']:.0f} s ago")
        if "nbf" in claims and claims["nbf"] - JWT_LEEWAY_S > wall:
            return deny(f"its token is only valid in {claims['nbf'] - wall:.0f} s")
        username = claims.get(self._rules.username_claim)
        if not isinstance(username, str) or not username:
            return deny(f"its token has no claim {self._rules.username_claim!r} with a user name")
        client.username = username
        client.claims = {**claims, _CLAIM: read_rules(claims)}
        client.proof = self
        if self._rules.disconnect_on_expiry and "exp" in claims:
            client.valid_until = now + claims["exp"] - wall
        return ALLOWED

    def still_valid(self, client: Identity) -> bool | None:
        """Whether a client that came with a token may stay after a reload: it may, till it expires.

        ``None`` when it did not come with one.
        """
        return True if isinstance(client.proof, JwtAuthenticator) else None


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _token_of(client: Identity, password: bytes | None) -> str | None:
    """What the client shows that has the form of a token."""
    shown = "" if password is None else password.decode("latin-1")
    for text in (shown, client.username or ""):
        if _TOKEN.fullmatch(text):
            return text
    return None


def _header(token: str) -> tuple[str | None, str] | None:
    """Name of the key, and algorithm; ``None`` when it is no header of a token."""
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        return None
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(algorithm, str) or not (kid is None or isinstance(kid, str)):
        return None
    return kid, algorithm


def _claims_of(token: str, keys: list[Key], algorithm: str, rules: JwtRules) -> dict[str, Any]:
    """Verify a token; in a worker. The times are for the broker's clock to judge.

    Raises:
        PyJWTError: it is not valid.
    """
    import jwt

    failed: Exception | None = None
    for key in keys:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.secret,
                algorithms=[algorithm],
                audience=rules.audience,
                issuer=rules.issuer,
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": rules.audience is not None,
                    "verify_iss": rules.issuer is not None,
                },
            )
        except jwt.InvalidSignatureError as error:
            failed = error
        else:
            return claims
    assert failed is not None
    raise failed


# -- what a token lets its owner do ---------------------------------------------------------------


class TokenRules:
    """Topic filters that a token names.

    Attributes:
        publish: where it may publish.
        subscribe: what it may be given.
    """

    __slots__ = ("publish", "subscribe")

    def __init__(self, publish: tuple[str, ...], subscribe: tuple[str, ...]) -> None:
        self.publish = publish
        self.subscribe = subscribe


def read_rules(claims: dict[str, Any]) -> TokenRules | None:
    """The rules in a token; ``None`` where it has none. What is no filter allows nothing."""
    acl = claims.get("acl")
    if isinstance(acl, dict):
        both = _filters(acl.get("all"))
        return TokenRules(_filters(acl.get("pub")) + both, _filters(acl.get("sub")) + both)
    if "publ" in claims or "subs" in claims:
        return TokenRules(_filters(claims.get("publ")), _filters(claims.get("subs")))
    return None


def _filters(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(text for text in value if isinstance(text, str) and is_filter(text))


class JwtAuthorizer:
    """The :class:`~midge.auth.base.Authorizer` of clients whose token says what they may do."""

    __slots__ = ()

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        """See :meth:`midge.auth.base.Authorizer.authorize`."""
        rules = None if client.claims is None else client.claims.get(_CLAIM)
        if not isinstance(rules, TokenRules):
            return _NO_OPINION
        if action == UNSUBSCRIBE:
            return ALLOWED
        if action == SUBSCRIBE:
            # What is given is looked at again for each topic; a filter beyond that is harmless,
            # but it is more use to its writer to be refused.
            allowed = any(_may_meet(filter, topic) for filter in rules.subscribe)
        else:
            filters = rules.subscribe if action == DELIVER else rules.publish
            allowed = any(matches(filter, topic) for filter in filters)
        if allowed:
            return ALLOWED_BY_RULES
        name = "publ" if action not in (DELIVER, SUBSCRIBE) else "subs"
        return deny(f"the list {name!r} in its token does not allow {topic}")


def _may_meet(one: str, other: str) -> bool:
    return intersection(one.split("/"), other.split("/")) is not None


_NO_OPINION: Final = Decision(PASS, "its token names no topics")
