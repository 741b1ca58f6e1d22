"""Decisions, given at once or later."""

from __future__ import annotations

import pytest

from midge.auth.base import (
    ALLOW,
    ALLOWED,
    DENY,
    PENDING,
    AnonymousOnly,
    Authenticator,
    Decision,
    Identity,
    Pending,
    deny,
)
from midge.mqtt.reasons import CONNACK_V3, Reason


def test_a_pending_decision_reaches_whoever_waits_for_it_with_the_time() -> None:
    pending = Pending()
    heard: list[tuple[Decision, float]] = []
    pending.wait(lambda decision, now: heard.append((decision, now)))
    assert pending.outcome == PENDING
    assert pending.settled is None
    pending.settle(ALLOWED, 7.5)
    assert heard == [(ALLOWED, 7.5)]
    assert pending.settled is ALLOWED


def test_a_decision_settled_before_anybody_waits_is_found_and_calls_nobody() -> None:
    pending = Pending()
    pending.settle(ALLOWED, 1.0)
    assert pending.settled is ALLOWED
    pending.wait(lambda decision, now: pytest.fail("called"))


def test_a_decision_for_a_client_that_has_gone_is_dropped() -> None:
    pending = Pending()
    pending.wait(lambda decision, now: pytest.fail("called"))
    pending.cancel()
    pending.settle(ALLOWED, 1.0)


def test_a_decision_is_made_only_once_and_by_a_real_one() -> None:
    pending = Pending()
    with pytest.raises(ValueError, match="cannot settle"):
        pending.settle(Pending(), 1.0)
    pending.settle(deny("no"), 1.0)
    with pytest.raises(ValueError, match="already"):
        pending.settle(ALLOWED, 2.0)
    assert pending.settled is not None
    assert pending.settled.outcome == DENY


@pytest.mark.parametrize("username", [None, "bob"])
@pytest.mark.parametrize("password", [None, b"secret"])
def test_without_a_source_of_credentials_the_listener_lets_in_all_or_none(
    username: str | None, password: bytes | None
) -> None:
    authenticator: Authenticator = AnonymousOnly()
    open_door = Identity("c", username, "192.0.2.1", "1883", anonymous_allowed=True)
    shut_door = Identity("c", username, "192.0.2.1", "1883", anonymous_allowed=False)
    assert authenticator.authenticate(open_door, password).outcome == ALLOW
    refused = authenticator.authenticate(shut_door, password)
    assert refused.outcome == DENY
    assert refused.reason == Reason.NOT_AUTHORIZED == 0x87
    assert CONNACK_V3[refused.reason] == 5
    assert "listener 1883" in refused.text
    assert "allow_anonymous true" in refused.text
