"""From a configuration to those who decide; and from one to the next, whole or not at all."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest

from midge.auth.base import (
    ALLOW,
    DELIVER,
    DENY,
    PUBLISH,
    Decision,
    Identity,
    Pending,
)
from midge.auth.jwt import FixedKeys
from midge.auth.passwords import SHA512, make_hash
from midge.broker.link import Link
from midge.clock import SystemClock
from midge.config import mosquitto_conf
from midge.config.settings import Configuration, Settings
from midge.errors import ConfigError
from midge.mqtt.reasons import Reason
from midge.server.logs import Log
from midge.server.mqtt_server import MqttServer
from midge.server.security import Security

SECRET = "a secret that is long enough for HS256"


class Lines:
    """A log that tests can read."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def write(self, kind: str, stamp: str, text: str) -> None:
        self.lines.append(text)

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


class House:
    """A server without sockets, its security, and files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lines: list[str] = []
        log = Log(SystemClock(), sinks=[Lines(self.lines)], timestamp=False)
        self.server = MqttServer(Settings())
        self.security = Security(self.server, asyncio.get_running_loop(), SystemClock(), log)

    def file(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def passwords(self, name: str, **users: str) -> Path:
        text = "".join(
            f"{user}:{make_hash(SHA512, password.encode(), b's' * 64).encoded}\n"
            for user, password in users.items()
        )
        return self.file(name, text)

    def configuration(self, text: str) -> Configuration:
        return mosquitto_conf.parse(text.format(dir=self.directory), "broker.conf")

    async def come(
        self, name: str | None, password: str | None = None, listener: str = "1883"
    ) -> Decision:
        authenticator = self.server.broker.authenticator
        assert authenticator is not None
        client = Identity("c", name, "192.0.2.1", listener, anonymous_allowed=False)
        return await made(
            authenticator.authenticate(client, None if password is None else password.encode())
        )

    def may(self, name: str, topic: str, listener: str = "1883") -> bool:
        authorizer = self.server.broker.authorizer
        if authorizer is None:
            return True
        client = Identity("c", name, "", listener)
        return authorizer.authorize(client, PUBLISH, topic).outcome == ALLOW


async def made(decision: Decision) -> Decision:
    if not isinstance(decision, Pending):
        return decision
    future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
    decision.wait(lambda late, now: future.set_result(late))
    return await asyncio.wait_for(future, 10)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    house.security.close()
    await house.server.close()


async def test_passwords_and_rules_come_from_their_files(house: House) -> None:
    house.passwords("pw", bob="bobs")
    house.file("acl", "user bob\ntopic a/#\n")
    house.security.reload(
        house.configuration("listener 1883\npassword_file {dir}/pw\nacl_file {dir}/acl\n")
    )
    assert (await house.come("bob", "bobs")).outcome == ALLOW
    assert (await house.come("bob", "eves")).outcome == DENY
    assert (await house.come(None)).outcome == DENY
    assert house.may("bob", "a/b")
    assert not house.may("bob", "b")
    assert house.lines == []


async def test_without_rules_nobody_is_asked_about_messages(house: House) -> None:
    house.passwords("pw", bob="bobs")
    house.security.reload(house.configuration("listener 1883\npassword_file {dir}/pw\n"))
    assert house.server.broker.authorizer is None  # so the fast lane stays open


async def test_each_listener_can_have_its_own(house: House) -> None:
    house.passwords("one", bob="1")
    house.passwords("two", bob="2")
    house.file("acl", "user bob\ntopic a\n")
    house.security.reload(
        house.configuration(
            "per_listener_settings true\n"
            "listener 1883\npassword_file {dir}/one\nacl_file {dir}/acl\n"
            "listener 1884 127.0.0.1\npassword_file {dir}/two\n"
        )
    )
    for listener, password, outcome in (
        ("1883", "1", ALLOW),
        ("1883", "2", DENY),
        ("127.0.0.1:1884", "2", ALLOW),
        ("127.0.0.1:1884", "1", DENY),
        ("1885", "1", DENY),
    ):
        assert (await house.come("bob", password, listener)).outcome == outcome
    assert house.may("bob", "a")
    assert not house.may("bob", "b")
    assert house.may("bob", "b", "127.0.0.1:1884")
    assert not house.may("bob", "a", "")  # a session that came from nowhere we know


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("pw", "bob:plain\n", "Unable to decode line in password file"),
        ("acl", "nonsense\n", "Invalid line in acl_file"),
        ("pw", None, 'password-file: Error: Unable to open pwfile "{dir}/pw": No such file'),
        ("acl", None, 'Error: Unable to open acl_file "{dir}/acl": No such file'),
    ],
)
async def test_a_reload_that_fails_changes_nothing(
    house: House, name: str, text: str | None, said: str
) -> None:
    house.passwords("pw", bob="bobs")
    house.file("acl", "user bob\ntopic a\n")
    configuration = "listener 1883\npassword_file {dir}/pw\nacl_file {dir}/acl\n"
    house.security.reload(house.configuration(configuration))
    house.passwords("pw", eve="eves")
    house.file("acl", "user bob\ntopic b\n")
    if text is None:
        (house.directory / name).unlink()
    else:
        house.file(name, text)
    with pytest.raises(ConfigError) as caught:
        house.security.reload(house.configuration(configuration))
    assert said.format(dir=house.directory) in str(caught.value)
    assert any(line.startswith("Error found at ") for line in caught.value.lines())
    assert (await house.come("bob", "bobs")).outcome == ALLOW
    assert house.may("bob", "a")
    assert not house.may("bob", "b")


async def test_a_reload_that_succeeds_changes_everything(house: House) -> None:
    house.passwords("pw", bob="bobs")
    house.file("acl", "user bob\ntopic a\n")
    configuration = "listener 1883\npassword_file {dir}/pw\nacl_file {dir}/acl\n"
    house.security.reload(house.configuration(configuration))
    assert (await house.come("bob", "bobs")).outcome == ALLOW
    house.passwords("pw", bob="new")
    house.file("acl", "user bob\ntopic b\n")
    house.security.reload(house.configuration(configuration))
    assert (await house.come("bob", "bobs")).outcome == DENY  # what was remembered is gone
    assert (await house.come("bob", "new")).outcome == ALLOW
    assert not house.may("bob", "a")
    assert house.may("bob", "b")
    house.security.reload(house.configuration("listener 1883\nallow_anonymous true\n"))
    assert house.server.broker.authorizer is None


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", 0),
        ("listener 1883 127.0.0.1\nallow_anonymous true\n", 0),
        ("listener 1883\npassword_file {dir}/pw\nallow_anonymous true\n", 0),
        ("listener 1883\nallow_anonymous true\n", 1),
        ("listener 1883\n", 1),
    ],
)
async def test_the_log_says_so_when_a_door_is_open_to_all_or_to_nobody(
    house: House, text: str, lines: int
) -> None:
    house.passwords("pw", bob="bobs")
    house.security.reload(house.configuration(text))
    assert len(house.lines) == lines
    if lines:
        wanted = "lets in everybody who can reach it" if "true" in text else "lets nobody in"
        assert f"Warning: Listener 1883 {wanted}" in house.lines[0]


async def test_a_file_with_secrets_that_everybody_may_read_earns_a_warning(house: House) -> None:
    os.chmod(house.passwords("pw", bob="bobs"), 0o644)
    house.security.reload(house.configuration("listener 1883\npassword_file {dir}/pw\n"))
    assert house.lines == [
        f"Warning: File {house.directory}/pw has world readable permissions. "
        f"To fix this, use `chmod 0600 {house.directory}/pw`."
    ]


async def test_tokens_are_taken_beside_passwords(house: House) -> None:
    house.passwords("pw", bob="bobs")
    house.file("key", SECRET)
    house.file("acl", "user eve\ntopic a\n")
    house.security.reload(
        house.configuration(
            "listener 1883\npassword_file {dir}/pw\njwt_key_file {dir}/key\n"
            "jwt_algorithms HS256, HS512\nacl_file {dir}/acl\n"
        )
    )
    assert (await house.come("bob", "bobs")).outcome == ALLOW
    assert (await house.come("any", pyjwt.encode({"sub": "eve"}, SECRET))).outcome == ALLOW
    assert (await house.come("eve", "bobs")).outcome == DENY
    assert house.may("eve", "a")
    assert not house.may("eve", "b")


async def test_tokens_alone_leave_those_alone_that_name_no_topics(house: House) -> None:
    house.file("key", SECRET)
    house.security.reload(house.configuration("listener 1883\njwt_key_file {dir}/key\n"))
    assert house.may("whoever", "x")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("jwt_key_file {dir}/no", "Unable to open jwt_key_file"),
        ("jwt_key_file {dir}/key\njwt_key_url https://h/x", "cannot be used together"),
        ("jwt_key_file {dir}/key\njwt_algorithms HS256 none", "Invalid 'jwt_algorithms' value"),
        ("jwt_key_url ftp://h/x", "Invalid 'jwt_key_url' value"),
        ("http_auth_user_url h/x", "Invalid 'http_auth_user_url' value"),
        ("http_auth_superuser_url http://h/x", "needs http_auth_acl_url"),
        ("authenticators no-such-thing", "No entry point 'no-such-thing'"),
        ("authorizers no-such-thing", "No entry point 'no-such-thing'"),
    ],
)
async def test_what_cannot_be_used_is_an_error_before_anything_changes(
    house: House, options: str, said: str
) -> None:
    house.file("key", SECRET)
    with pytest.raises(ConfigError, match=said):
        house.security.plan(house.configuration(f"listener 1883\n{options}\n"))
    assert house.server.broker.authenticator is None


# -- key sets that are fetched --------------------------------------------------------------------


async def test_a_key_set_is_fetched_at_the_start_and_when_an_unknown_key_is_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from midge.auth import http

    served: list[dict[str, Any]] = []

    def request(self: object, method: str, url: str) -> tuple[int, bytes]:
        assert (method, url) == ("GET", "https://h/keys")
        return 200, json.dumps({"keys": served}).encode()

    monkeypatch.setattr(http.HttpClient, "request", request)

    def key(kid: str) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(
            pyjwt.algorithms.HMACAlgorithm.to_jwk((SECRET + kid).encode())
        )
        return {**made, "kid": kid}

    def token(kid: str) -> str:
        return pyjwt.encode({"sub": "bob"}, SECRET + kid, headers={"kid": kid})

    served.append(key("one"))
    house.security.reload(house.configuration("listener 1883\njwt_key_url https://h/keys\n"))
    assert (await house.come(None, token("one"))).outcome == ALLOW
    served.append(key("two"))
    assert (await house.come(None, token("two"))).outcome == DENY  # too early to ask again
    now = house.server.now
    for source in house.security._plan.key_sets:  # type: ignore[union-attr]
        source._now = lambda: now() + 60.0
    decisions = await asyncio.gather(*(house.come(None, token("two")) for _ in range(3)))
    assert [decision.outcome for decision in decisions] == [ALLOW] * 3
    assert (await house.come(None, token("one"))).outcome == ALLOW


async def test_a_key_set_that_cannot_be_fetched_is_told_and_the_old_one_stays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from midge.auth import http

    answers: list[tuple[int, bytes]] = [(500, b""), (200, b"<html>")]

    def request(self: object, method: str, url: str) -> tuple[int, bytes]:
        return answers.pop(0)

    monkeypatch.setattr(http.HttpClient, "request", request)
    house.security.reload(house.configuration("listener 1883\njwt_key_url https://h/keys\n"))
    await until(lambda: bool(house.lines))
    assert house.lines[-1] == "Error: Unable to fetch the keys of 'https://h/keys': status 500"
    source = house.security._plan.key_sets[0]  # type: ignore[union-attr]
    source.keys = FixedKeys([]).keys
    source._fetched_at = float("-inf")
    source.refresh()
    await until(lambda: len(house.lines) == 2)
    assert house.lines[-1].endswith("it is no key set")


async def until(ready: Callable[[], bool]) -> None:
    for _ in range(5000):
        if ready():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it does not happen")


async def test_listeners_at_one_port_of_two_interfaces_have_their_own(house: House) -> None:
    house.passwords("one", bob="1")
    house.passwords("two", bob="2")
    house.security.reload(
        house.configuration(
            "per_listener_settings true\n"
            "listener 1883\nbind_interface lo\npassword_file {dir}/one\n"
            "listener 1883\nbind_interface eth0\npassword_file {dir}/two\n"
            "listener 1884\nsocket_domain ipv4\npassword_file {dir}/one\n"
            "listener 1884\nsocket_domain ipv6\npassword_file {dir}/two\n"
        )
    )
    for first, second in (("1883%lo", "1883%eth0"), ("1884 (ipv4)", "1884 (ipv6)")):
        assert (await house.come("bob", "1", first)).outcome == ALLOW
        assert (await house.come("bob", "2", first)).outcome == DENY
        assert (await house.come("bob", "2", second)).outcome == ALLOW
        assert (await house.come("bob", "1", second)).outcome == DENY


async def test_messages_are_kept_for_who_was_away_at_a_restart_by_the_rules_of_any_listener(
    house: House,
) -> None:
    house.file("one", "user bob\ntopic a\n")
    house.file("two", "user bob\ntopic b\n")
    house.security.reload(
        house.configuration(
            "per_listener_settings true\n"
            "listener 1883\nallow_anonymous true\nacl_file {dir}/one\n"
            "listener 1884\nallow_anonymous true\nacl_file {dir}/two\n"
        )
    )
    authorizer = house.server.broker.authorizer
    assert authorizer is not None

    def given(topic: str, listener: str = "") -> bool:
        who = Identity("c", "bob", "", listener)
        return authorizer.authorize(who, DELIVER, topic).outcome == ALLOW

    assert given("a")
    assert given("b")
    assert not given("c")
    assert not given("b", "1883")
    assert not given("a", "of a listener that is gone")
    assert not house.may("bob", "a", "")


@pytest.mark.source_only("its guests derive from a compiled class")
async def test_a_reload_shows_out_zeromq_peers_as_well(house: House) -> None:
    class Guest(Link):
        __slots__ = ("identity",)
        identity: Identity

    house.passwords("pw", bob="1", eve="2")
    text = "listener 1883\nprotocol zmtp\npassword_file {dir}/pw\n"
    house.security.reload(house.configuration(text))
    broker = house.server.broker
    guests = {}
    for name, password in (("bob", b"1"), ("eve", b"2")):
        guest = guests[name] = Guest(broker)
        guest.identity = Identity("c", name, "192.0.2.1", "1883", anonymous_allowed=False)
        assert broker.authenticator is not None
        await made(broker.authenticator.authenticate(guest.identity, password))
        broker.guests[guest] = None
    house.passwords("pw", bob="1")
    house.security.reload(house.configuration(text))
    assert guests["bob"].end_reason < 0
    assert guests["eve"].end_reason == Reason.ADMINISTRATIVE_ACTION
    broker.ending.clear()
    broker.guests.clear()
