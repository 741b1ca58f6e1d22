"""Whether a ZeroMQ peer is let in: ZAP's question, answered with the broker's own users.

With PLAIN it is name and password; with CURVE the key itself, which the listener knows as a user's;
with NULL whoever comes without a name, where such may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.auth.base import ALLOW, ALLOWED, CERTIFICATE, Authenticator, Decision, Pending
from midge.zmtp.settings import CURVE, PLAIN
from midge.zmtp.z85 import encode

if TYPE_CHECKING:
    from midge.links.zmq import ZmqLink
    from midge.zmtp import events as ev


def authenticate(link: ZmqLink, request: ev.ZapRequest, now: float) -> None:
    """Find out who a peer is, and tell its connection, now or later."""
    identity = link.identity
    password: bytes | None = None
    if request.mechanism == PLAIN:
        identity.username = request.credentials[0].decode("utf-8", "replace")
        password = request.credentials[1]
    elif request.mechanism == CURVE:
        _authenticate_key(link, request.credentials[0], now)
        return
    identity.client_id = identity.username or ""
    authenticator = link.broker.authenticator
    decision = ALLOWED
    if authenticator is not None:
        decision = authenticator.authenticate(identity, password)
    if isinstance(decision, Pending):
        if decision.settled is None:
            link.wait_for(
                decision,
                lambda made, now: _answered(link, authenticator, request, made, now),
            )
            return
        decision = decision.settled
    _decide(link, decision, now)


def _authenticate_key(link: ZmqLink, key: bytes, now: float) -> None:
    """A key that the listener knows is its user, and no password is asked."""
    username = link.place.users_by_key.get(key)
    if username is None:
        where = link.listener.zmtp_curve_keys or ""
        link.end_text = f"its CURVE key {encode(key).decode()} is not in zmtp_curve_keys {where}"
        link.heed(link.connection.zap_reply(400, now), now)
        return
    link.key = key
    link.identity.username = username
    link.identity.proof = CERTIFICATE
    _decide(link, ALLOWED, now)


def _answered(
    link: ZmqLink,
    authenticator: Authenticator | None,
    request: ev.ZapRequest,
    decision: Decision,
    now: float,
) -> None:
    """The answer has come; if others decide by now, they are asked instead."""
    if authenticator is link.broker.authenticator:
        _decide(link, decision, now)
    else:
        authenticate(link, request, now)


def _decide(link: ZmqLink, decision: Decision, now: float) -> None:
    user = link.identity.username or ""
    if decision.outcome != ALLOW:
        link.broker.hooks.denied(user, "connect", "", decision.text)
        link.end_text = decision.text
    status = 200 if decision.outcome == ALLOW else 400
    link.heed(link.connection.zap_reply(status, now, user), now)
