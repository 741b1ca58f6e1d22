"""JSON Web Tokens: who is believed, as whom, for how long, and what for."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from midge.auth.base import (
    ALLOW,
    DELIVER,
    DENY,
    PASS,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    WILL,
    Decision,
    Identity,
    Pending,
)
from midge.auth.jwt import (
    FixedKeys,
    JwtAuthenticator,
    JwtAuthorizer,
    JwtRules,
    Key,
    read_keys,
)
from midge.errors import ConfigError
from midge.limits import JWT_LEEWAY_S
from midge.message import NEVER
from tests.unit.auth.by_hand import ByHand

NOW = 1_700_000_000.0
SECRET = b"a secret that is long enough for HS512, 64 bytes and more than that"
RSA = rsa.generate_private_key(65_537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> bytes:
    data: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return data


def jwk(private: Any, algorithm: str, kid: str) -> dict[str, Any]:
    kinds = {"RS": pyjwt.algorithms.RSAAlgorithm, "ES": pyjwt.algorithms.ECAlgorithm}
    made: dict[str, Any] = kinds[algorithm[:2]].to_jwk(private.public_key(), as_dict=True)
    return {**made, "kid": kid, "alg": algorithm, "use": "sig"}


def token(
    key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any
) -> bytes:
    headers = None if kid is None else {"kid": kid}
    return pyjwt.encode({"sub": "bob", **claims}, key, algorithm, headers).encode()


class Desk:
    """An authenticator, its work and its clock."""

    def __init__(self, keys: list[Key] | None = None, **rules: Any) -> None:
        self.work = ByHand()
        self.source = FixedKeys(read_keys(SECRET, "k") if keys is None else keys)
        self.wall = NOW
        self.authenticator = JwtAuthenticator(
            self.source, JwtRules(**rules), self.work, lambda: self.wall
        )

    def come(self, password: bytes | None, name: str | None = None) -> tuple[Decision, Identity]:
        client = Identity("c", name, "192.0.2.1")
        decision = self.authenticator.authenticate(client, password)
        return self.work.settled(decision), client


@pytest.mark.parametrize(
    ("keys", "private", "algorithm"),
    [
        (SECRET, SECRET, "HS256"),
        (SECRET, SECRET, "HS512"),
        (pem(RSA), RSA, "RS256"),
        (pem(RSA), RSA, "PS512"),
        (pem(EC), EC, "ES256"),
        (pem(ED), ED, "EdDSA"),
    ],
)
def test_a_token_is_believed_when_its_signature_fits_the_key(
    keys: bytes, private: Any, algorithm: str
) -> None:
    desk = Desk(read_keys(keys, "k"))
    decision, client = desk.come(token(private, algorithm), "somebody else")
    assert decision.outcome == ALLOW
    assert client.username == "bob"
    good = token(private, algorithm).decode()
    head, body, signature = good.split(".")
    forged = base64.urlsafe_b64encode(json.dumps({"sub": "eve"}).encode()).decode().rstrip("=")
    for bad in (f"{head}.{forged}.{signature}", f"{head}.{body}.{signature[:-8]}AAAAAAAA"):
        decision, client = desk.come(bad.encode())
        assert decision.outcome == DENY
        assert client.username is None


def test_a_token_may_come_as_the_user_name() -> None:
    decision, client = Desk().come(b"", token().decode())
    assert decision.outcome == ALLOW
    assert client.username == "bob"


@pytest.mark.parametrize(
    "shown", [None, b"", b"secret", b"a.b", b"a.b.c", b"....", b"\xff.\xff.\xff"]
)
def test_whoever_shows_no_token_is_left_to_others(shown: bytes | None) -> None:
    decision, client = Desk().come(shown, "bob")
    assert decision.outcome == PASS
    assert client.username == "bob"


def test_the_public_key_is_no_secret_to_sign_with() -> None:
    # The old confusion: a token signed by HMAC with the public key that everybody has.
    public = pem(RSA)
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    body = base64.urlsafe_b64encode(b'{"sub":"eve"}').rstrip(b"=")
    import hashlib
    import hmac

    signature = hmac.digest(public, head + b"." + body, hashlib.sha256)
    forged = head + b"." + body + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
    decision, _ = Desk(read_keys(public, "k")).come(forged)
    assert decision.outcome == DENY
    assert "signed with 'HS256'" in decision.text


@pytest.mark.parametrize("keys", [SECRET, pem(RSA)])
def test_a_token_without_a_signature_is_never_believed(keys: bytes) -> None:
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(b'{"sub":"eve"}').rstrip(b"=").decode()
    for shown in (f"{head}.{body}.", f"{head}.{body}.AA"):
        assert Desk(read_keys(keys, "k")).come(shown.encode())[0].outcome != ALLOW


@pytest.mark.parametrize(
    ("rules", "claims", "allowed"),
    [
        ({}, {}, True),
        ({}, {"exp": NOW + 1}, True),
        ({}, {"exp": NOW - JWT_LEEWAY_S + 1}, True),
        ({}, {"exp": NOW - JWT_LEEWAY_S}, False),
        ({}, {"nbf": NOW + JWT_LEEWAY_S}, True),
        ({}, {"nbf": NOW + JWT_LEEWAY_S + 1}, False),
        ({}, {"sub": ""}, False),
        ({"username_claim": "name"}, {}, False),
        ({"username_claim": "name"}, {"name": "eve"}, True),
        ({"username_claim": "name"}, {"name": 7}, False),
        ({"audience": "mqtt"}, {}, False),
        ({"audience": "mqtt"}, {"aud": "web"}, False),
        ({"audience": "mqtt"}, {"aud": ["web", "mqtt"]}, True),
        ({"issuer": "me"}, {}, False),
        ({"issuer": "me"}, {"iss": "you"}, False),
        ({"issuer": "me"}, {"iss": "me"}, True),
        ({}, {"aud": "whoever"}, True),
        ({"algorithms": ("HS512",)}, {}, False),
        ({"algorithms": ("HS256",)}, {}, True),
    ],
)
def test_what_a_token_says_must_be_right(
    rules: dict[str, Any], claims: dict[str, Any], allowed: bool
) -> None:
    assert Desk(**rules).come(token(**claims))[0].outcome == (ALLOW if allowed else DENY)


def test_a_time_that_is_none_is_refused() -> None:
    for value in ("tomorrow", True, None, [1]):
        assert Desk().come(token_raw({"sub": "bob", "exp": value}))[0].outcome == DENY


def token_raw(claims: dict[str, Any]) -> bytes:
    """A signed token whose claims PyJWT would not make."""
    return pyjwt.PyJWS().encode(json.dumps(claims).encode(), SECRET, "HS256").encode()


def test_signatures_are_verified_elsewhere() -> None:
    desk = Desk()
    decision = desk.authenticator.authenticate(Identity("c"), token())
    assert isinstance(decision, Pending)
    assert len(desk.work.jobs) == 1


@pytest.mark.parametrize("asked", [True, False])
def test_a_client_does_not_outstay_its_token_where_that_is_asked_for(asked: bool) -> None:
    desk = Desk(disconnect_on_expiry=asked)
    desk.work.now = 50.0
    _, client = desk.come(token(exp=NOW + 60))
    assert client.valid_until == (110.0 if asked else NEVER)
    _, client = desk.come(token())
    assert client.valid_until == NEVER


# -- keys -----------------------------------------------------------------------------------------


def test_a_key_set_holds_many_keys_and_the_token_names_one() -> None:
    other = rsa.generate_private_key(65_537, 2048)
    entries = [jwk(RSA, "RS256", "one"), jwk(EC, "ES256", "two"), {"kty": "new", "kid": "three"}]
    desk = Desk(read_keys(json.dumps({"keys": entries}).encode(), "k"))
    assert desk.come(token(RSA, "RS256", "one"))[0].outcome == ALLOW
    assert desk.come(token(EC, "ES256", "two"))[0].outcome == ALLOW
    assert desk.come(token(EC, "ES256"))[0].outcome == ALLOW
    assert desk.come(token(RSA, "RS256", "two"))[0].outcome == DENY
    assert desk.come(token(RSA, "RS512", "one"))[0].outcome == DENY  # its algorithm is RS256
    refused, _ = desk.come(token(other, "RS256", "four"))
    assert (
        refused.text == "there is no key named 'four' for its token, which is signed with 'RS256'"
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no key"),
        (b'{"keys": []}', "the key set is empty"),
        (b'{"keys": 7}', "no key that can be used"),
        (b"{", "no key that can be used"),
        (
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "no key that can be used",
        ),
        (
            RSA.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            "it is a private key",
        ),
    ],
)
def test_what_is_no_key_is_an_error_when_it_is_read(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_keys(data, "k")


class Fetched:
    """Keys that come when they are fetched."""

    def __init__(self, coming: list[Key]) -> None:
        self.keys: list[Key] = []
        self.coming = coming
        self.pending: list[Pending] = []
        self.rested = True

    def refresh(self) -> Pending | None:
        if not self.rested:
            return None
        self.pending.append(Pending())
        return self.pending[-1]

    def arrive(self) -> None:
        self.keys, self.rested = self.coming, False
        for pending in self.pending:
            pending.settle(Decision(PASS), 0.0)


@pytest.mark.parametrize("known", [True, False])
def test_an_unknown_key_is_fetched_while_the_client_waits_and_not_over_and_over(
    known: bool,
) -> None:
    source = Fetched(read_keys(SECRET, "k") if known else read_keys(pem(RSA), "k"))
    work = ByHand()
    authenticator = JwtAuthenticator(source, JwtRules(), work, lambda: NOW)
    decision = authenticator.authenticate(Identity("c"), token())
    assert isinstance(decision, Pending)
    made: list[Decision] = []
    decision.wait(lambda late, now: made.append(late))
    source.arrive()
    work.do()
    assert made[0].outcome == (ALLOW if known else DENY)
    if not known:
        again = authenticator.authenticate(Identity("c"), token())
        assert again.outcome == DENY  # at once: it is too early to fetch them again


# -- what a token lets its owner do --------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"publ": ["dev/bob/#"], "subs": ["news/+", "dev/bob/#"]},
        {"acl": {"pub": [], "sub": ["news/+"], "all": ["dev/bob/#"]}},
    ],
)
def test_a_token_that_names_topics_allows_these_and_no_others(claims: dict[str, Any]) -> None:
    _, client = Desk().come(token(**claims))
    for action, topic, allowed in (
        (PUBLISH, "dev/bob/x", True),
        (WILL, "dev/bob", True),
        (PUBLISH, "news/a", False),
        (DELIVER, "news/a", True),
        (DELIVER, "news/a/b", False),
        (DELIVER, "dev/bob/x", True),
        (SUBSCRIBE, "news/a", True),
        (SUBSCRIBE, "#", True),
        (SUBSCRIBE, "dev/eve/#", False),
        (UNSUBSCRIBE, "dev/eve/#", True),
    ):
        outcome = JwtAuthorizer().authorize(client, action, topic).outcome
        assert outcome == (ALLOW if allowed else DENY), (action, topic)


def test_a_token_that_names_no_topics_leaves_them_to_others() -> None:
    _, client = Desk().come(token())
    assert JwtAuthorizer().authorize(client, PUBLISH, "x").outcome == PASS
    assert JwtAuthorizer().authorize(Identity("c"), PUBLISH, "x").outcome == PASS


@pytest.mark.parametrize("claims", [{"publ": "#"}, {"publ": ["a/#/b", 7]}, {"acl": {}}])
def test_what_a_token_says_wrongly_allows_nothing(claims: dict[str, Any]) -> None:
    _, client = Desk().come(token(**claims))
    assert JwtAuthorizer().authorize(client, PUBLISH, "a/b").outcome == DENY


def test_a_client_cannot_write_the_rules_of_its_token_by_claiming_to_have_them() -> None:
    _, client = Desk().come(token(**{"midge.acl": {"publish": ["#"]}}))
    assert JwtAuthorizer().authorize(client, PUBLISH, "a").outcome == PASS
