"""Several sources, asked in their order, now and later."""

from __future__ import annotations

import itertools

import pytest

from midge.auth.base import (
    ALLOW,
    ALLOWED,
    CERTIFICATE,
    DENY,
    PASS,
    PUBLISH,
    Decision,
    Identity,
    Pending,
    deny,
)
from midge.auth.chain import AuthenticatorChain, AuthorizerChain

PASSED = Decision(PASS, "no opinion")
ANSWERS = {"yes": ALLOWED, "no": deny("refused"), "pass": PASSED}


class Source:
    """Answers as it is told, at once or later."""

    def __init__(self, answer: str, later: bool = False) -> None:
        self.decision = ANSWERS[answer]
        self.later = later
        self.asked = 0
        self.pending: Pending | None = None

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        self.asked += 1
        if not self.later:
            return self.decision
        self.pending = Pending()
        return self.pending

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        return self.authenticate(client, None)


def settle(decision: Decision, sources: list[Source]) -> Decision:
    """Answer whoever was asked, until there is a decision."""
    made: list[Decision] = []
    if not isinstance(decision, Pending):
        return decision
    decision.wait(lambda late, now: made.append(late))
    while not made:
        waiting = [one for one in sources if one.pending is not None]
        assert len(waiting) == 1, "one source is asked at a time"
        pending, waiting[0].pending = waiting[0].pending, None
        assert pending is not None
        pending.settle(waiting[0].decision, 1.0)
    return made[0]


@pytest.mark.parametrize("answers", list(itertools.product(ANSWERS, repeat=3)))
@pytest.mark.parametrize("later", list(itertools.product([False, True], repeat=3)))
def test_the_first_opinion_counts_and_nobody_behind_it_is_asked(
    answers: tuple[str, ...], later: tuple[bool, ...]
) -> None:
    opinion = next((index for index, answer in enumerate(answers) if answer != "pass"), None)
    for kind in ("who", "what", "what else"):
        sources = [Source(*pair) for pair in zip(answers, later, strict=True)]
        if kind == "who":
            chain = AuthenticatorChain(sources)
            decision = chain.authenticate(Identity("c", "bob"), b"x")
        else:
            otherwise = ALLOWED if kind == "what else" else None
            decision = AuthorizerChain(sources, otherwise).authorize(Identity("c"), PUBLISH, "t")
        decision = settle(decision, sources)
        if opinion is not None:
            assert decision is ANSWERS[answers[opinion]]
            assert [one.asked for one in sources[opinion + 1 :]] == [0] * (2 - opinion)
        elif kind == "what else":
            assert decision.outcome == ALLOW
        else:
            assert decision.outcome == DENY
            assert "no opinion" in decision.text


@pytest.mark.parametrize("allowed", [True, False])
def test_who_gives_no_name_and_is_not_known_comes_in_where_anonymous_clients_may(
    allowed: bool,
) -> None:
    client = Identity("c", None, "", "1883", anonymous_allowed=allowed)
    chain = AuthenticatorChain([Source("pass")])
    decision = chain.authenticate(client, None)
    assert decision.outcome == (ALLOW if allowed else DENY)
    assert allowed or "allow_anonymous true" in decision.text
    named = Identity("c", "bob", "", "1883", anonymous_allowed=allowed)
    assert chain.authenticate(named, b"x").outcome == DENY
    # As with Mosquitto: where nobody can be asked, a name is as good as none.
    nobody = AuthenticatorChain([])
    assert nobody.authenticate(named, b"x").outcome == (ALLOW if allowed else DENY)


def test_when_the_client_goes_whoever_is_asked_just_then_hears_of_it() -> None:
    sources = [Source("pass", later=True), Source("yes", later=True), Source("yes")]
    decision = AuthenticatorChain(sources).authenticate(Identity("c", "bob"), b"x")
    assert isinstance(decision, Pending)
    decision.wait(lambda late, now: pytest.fail("called"))
    assert sources[0].pending is not None
    sources[0].pending.settle(PASSED, 1.0)
    inner = sources[1].pending
    assert inner is not None
    decision.cancel()
    inner.settle(ALLOWED, 2.0)
    assert sources[2].asked == 0


def test_a_source_that_has_made_up_its_mind_before_the_chain_waits_is_heard() -> None:
    class Quick:
        def authenticate(self, client: Identity, password: bytes | None) -> Decision:
            pending = Pending()
            pending.settle(PASSED, 0.0)
            return pending

    chain = AuthenticatorChain([Quick(), Source("yes")])
    assert chain.authenticate(Identity("c", "bob"), b"x").outcome == ALLOW


def test_after_a_reload_those_stay_whom_their_source_still_knows() -> None:
    class Knows(Source):
        def still_valid(self, client: Identity) -> bool | None:
            return client.proof == "fine" if client.proof in ("fine", "stale") else None

    chain = AuthenticatorChain([Source("yes"), Knows("yes")])
    for proof, name, allowed, stays in (
        ("fine", "bob", False, True),
        ("stale", "bob", True, False),
        ("unknown", "bob", True, False),
        (CERTIFICATE, "bob", False, True),
        (None, None, True, True),
        (None, None, False, False),
        (None, "bob", True, False),  # a name that was never asked about, and now would be
    ):
        client = Identity("c", name, anonymous_allowed=allowed)
        client.proof = proof
        assert chain.still_valid(client) is stays, (proof, name, allowed)


def test_a_client_whose_certificate_names_it_is_asked_for_no_password() -> None:
    client = Identity("c", "bob", anonymous_allowed=False)
    client.proof = CERTIFICATE
    assert AuthenticatorChain([Source("no")]).authenticate(client, None).outcome == ALLOW
