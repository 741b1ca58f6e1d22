"""A user's own authenticators and authorizers: found, asked, and kept from doing harm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest

from midge.auth.base import (
    ALLOW,
    ALLOWED,
    DELIVER,
    DENY,
    PASS,
    PUBLISH,
    Decision,
    Identity,
    Pending,
    deny,
)
from midge.config.settings import Settings
from midge.errors import ConfigError
from midge.mqtt.reasons import Reason
from midge.server import plugins
from midge.server.plugins import GuardedAuthenticator, GuardedAuthorizer, Tasks


class Bench:
    """Somewhere to run a user's code."""

    def __init__(self) -> None:
        self.reported: list[str] = []
        self.woken = 0
        self.tasks = Tasks(lambda: 7.0, self.wake, self.reported.append)

    def wake(self) -> None:
        self.woken += 1

    def authenticator(self, answer: Callable[[], object], *, later: bool) -> GuardedAuthenticator:
        class Sync:
            def authenticate(self, client: Identity, password: bytes | None) -> object:
                return answer()

        class Async:
            async def authenticate(self, client: Identity, password: bytes | None) -> object:
                await asyncio.sleep(0)
                return answer()

        return GuardedAuthenticator("door", Async() if later else Sync(), self.tasks)


async def made(decision: Decision) -> Decision:
    if not isinstance(decision, Pending):
        return decision
    future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
    decision.wait(lambda late, now: future.set_result(late))
    return await asyncio.wait_for(future, 10)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(True, ALLOW), (False, DENY), (None, PASS), (ALLOWED, ALLOW), (deny("no"), DENY)],
)
async def test_it_answers_with_a_decision_or_something_simpler(
    answer: object, outcome: int, later: bool
) -> None:
    bench = Bench()
    guarded = bench.authenticator(lambda: answer, later=later)
    client = Identity("c", "bob")
    decision = await made(guarded.authenticate(client, b"x"))
    assert decision.outcome == outcome
    assert bench.woken == later
    assert guarded.still_valid(client) is (True if outcome == ALLOW else None)


@pytest.mark.parametrize("later", [False, True])
async def test_an_error_or_a_strange_answer_refuses_the_client_and_is_logged(later: bool) -> None:
    bench = Bench()
    for answer in (lambda: 1 / 0, lambda: "yes"):
        guarded = bench.authenticator(answer, later=later)
        decision = await made(guarded.authenticate(Identity("c"), b"x"))
        assert (decision.outcome, decision.reason) == (DENY, Reason.SERVER_UNAVAILABLE)
    assert bench.reported == [
        "Error: 'door' failed: ZeroDivisionError: division by zero",
        "Error: 'door' failed: TypeError: it answered str, not a Decision, True, False or None",
    ]


async def test_a_coroutine_that_takes_too_long_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plugins, "PLUGIN_TIMEOUT_S", 0.0)
    bench = Bench()

    class Slow:
        async def authenticate(self, client: Identity, password: bytes | None) -> bool:
            await asyncio.Event().wait()
            return True

    guarded = GuardedAuthenticator("slow", Slow(), bench.tasks)
    decision = await made(guarded.authenticate(Identity("c"), b"x"))
    assert decision.outcome == DENY
    assert "TimeoutError" in bench.reported[0]


async def test_the_coroutine_ends_with_its_client_and_there_is_an_end_to_how_many_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plugins, "PLUGIN_TASKS_MAX", 2)
    bench = Bench()
    ended: list[str] = []

    class Waits:
        async def authenticate(self, client: Identity, password: bytes | None) -> bool:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(client.client_id)
            return True

    guarded = GuardedAuthenticator("waits", Waits(), bench.tasks)
    first = guarded.authenticate(Identity("one"), b"x")
    guarded.authenticate(Identity("two"), b"x")
    refused = guarded.authenticate(Identity("three"), b"x")
    assert refused.reason == Reason.SERVER_BUSY
    assert bench.tasks.refused == 1
    await asyncio.sleep(0)
    assert isinstance(first, Pending)
    first.cancel()
    await asyncio.sleep(0.01)
    assert ended == ["one"]
    assert isinstance(guarded.authenticate(Identity("three"), b"x"), Pending)
    bench.tasks.close()
    await asyncio.sleep(0.01)
    assert bench.reported == []


async def test_an_authorizer_is_asked_but_a_coroutine_not_about_what_cannot_wait() -> None:
    bench = Bench()
    asked: list[tuple[str, int]] = []

    class Sync:
        def authorize(self, client: Identity, action: int, topic: str) -> bool:
            asked.append(("sync", action))
            return topic == "ok"

    class Async:
        async def authorize(self, client: Identity, action: int, topic: str) -> bool:
            asked.append(("async", action))
            return topic == "ok"

    for inner in (Sync(), Async()):
        guarded = GuardedAuthorizer("rules", inner, bench.tasks)
        assert (await made(guarded.authorize(Identity("c"), PUBLISH, "ok"))).outcome == ALLOW
        assert (await made(guarded.authorize(Identity("c"), PUBLISH, "no"))).outcome == DENY
        outcome = guarded.authorize(Identity("c"), DELIVER, "no").outcome
        assert outcome == (DENY if isinstance(inner, Sync) else ALLOW)
    assert asked.count(("async", DELIVER)) == 0
    assert asked.count(("sync", DELIVER)) == 1


# -- entry points -------------------------------------------------------------------------------


class Door:
    """What a package of a user offers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def authenticate(self, client: Identity, password: bytes | None) -> bool:
        return password == b"sesame"


def broken(settings: Settings) -> object:
    raise RuntimeError("out of order")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = metadata.EntryPoints(
        metadata.EntryPoint(name, f"{__name__}:{what}", plugins.AUTHENTICATORS)
        for name, what in (("door", "Door"), ("broken", "broken"), ("gone", "NoSuchThing"))
    )

    def entry_points(**wanted: Any) -> metadata.EntryPoints:
        return offered.select(**wanted)

    monkeypatch.setattr(metadata, "entry_points", entry_points)


@pytest.mark.usefixtures("installed")
def test_an_entry_point_is_found_by_its_name_and_given_the_settings() -> None:
    settings = Settings()
    made = plugins.load(plugins.AUTHENTICATORS, "door", settings)
    assert isinstance(made, Door)
    assert made.settings is settings


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "No entry point 'nothing' in the group 'midge.authenticators'; there are: "),
        ("broken", "Unable to load 'broken' of 'midge.authenticators': RuntimeError: out of order"),
        ("gone", "Unable to load 'gone'"),
    ],
)
def test_one_that_cannot_be_used_is_an_error_at_the_start(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plugins.load(plugins.AUTHENTICATORS, name, Settings())


def test_something_without_the_method_is_an_error_at_the_start() -> None:
    with pytest.raises(ConfigError, match="'door' has no method 'authorize'"):
        GuardedAuthorizer("door", Door(Settings()), Bench().tasks)
