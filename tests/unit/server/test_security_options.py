"""Options about who may, each from its line of a mosquitto.conf to what it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt as pyjwt
import pytest

from midge.auth.base import ALLOW, PUBLISH, SUBSCRIBE, Identity
from midge.message import NEVER
from tests.unit.server.test_security import SECRET, House, made


class Service(ThreadingHTTPServer):
    """An HTTP service that says yes, in three ways at once, and notes what it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[tuple[str, str, str]] = []
        self.status = 200
        self.body = b'{"Ok": true, "Error": ""}'
        self.go_on = threading.Event()
        self.go_on.set()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Answers(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, self.headers["Content-Type"], body))
        self.server.go_on.wait(10)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.go_on.set()
        made.shutdown()
        thread.join()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    yield made
    made.security.close()


def use(house: House, *lines: str) -> None:
    """Let a broker go by a configuration."""
    house.security.reload(house.configuration("listener 1883\n" + "\n".join(lines)))


@pytest.mark.parametrize(
    ("params", "kind", "said"),
    [
        ("form", "application/x-www-form-urlencoded", "username=bob"),
        ("json", "application/json", '"username":"bob"'),
    ],
)
async def test_http_auth_params_is_how_the_service_is_asked(
    house: House, service: Service, params: str, kind: str, said: str
) -> None:
    use(house, f"http_auth_user_url {service.url('user')}", f"http_auth_params {params}")
    assert (await house.come("bob", "secret")).outcome == ALLOW
    path, asked_as, body = service.asked[0]
    assert (path, asked_as) == ("/user", kind)
    assert said in body.replace('": "', '":"')


@pytest.mark.parametrize(
    ("response", "status", "body", "yes"),
    [
        ("status", 200, b'{"Ok": false, "Error": "no"}', True),
        ("status", 401, b'{"Ok": true, "Error": ""}', False),
        ("json", 200, b'{"Ok": false, "Error": "no"}', False),
        ("json", 200, b'{"Ok": true, "Error": ""}', True),
        ("text", 200, b'{"Ok": true, "Error": ""}', False),
        ("text", 200, b"ok", True),
    ],
)
async def test_http_auth_response_is_where_the_service_answers(
    house: House, service: Service, response: str, status: int, body: bytes, yes: bool
) -> None:
    service.status, service.body = status, body
    use(house, f"http_auth_user_url {service.url('user')}", f"http_auth_response {response}")
    assert ((await house.come("bob", "secret")).outcome == ALLOW) is yes


@pytest.mark.parametrize(("seconds", "questions"), [(0, 3), (30, 1)])
async def test_http_auth_cache_is_how_long_an_answer_is_good(
    house: House, service: Service, seconds: int, questions: int
) -> None:
    use(house, f"http_auth_user_url {service.url('user')}", f"http_auth_cache {seconds}")
    for _ in range(3):
        assert (await house.come("bob", "secret")).outcome == ALLOW
    assert len(service.asked) == questions


async def test_http_auth_timeout_is_how_long_a_service_is_waited_for(
    house: House, service: Service
) -> None:
    use(house, f"http_auth_user_url {service.url('user')}", "http_auth_timeout 1")
    service.go_on.clear()
    began = time.monotonic()
    assert (await house.come("bob", "secret")).outcome != ALLOW
    assert 0.9 < time.monotonic() - began < 4.5  # the default would be 5


async def test_http_auth_superuser_url_is_asked_before_topics_are(
    house: House, service: Service
) -> None:
    use(
        house,
        f"http_auth_superuser_url {service.url('superuser')}",
        f"http_auth_acl_url {service.url('acl')}",
    )
    authorizer = house.server.broker.authorizer
    assert authorizer is not None
    decision = await made(authorizer.authorize(Identity("c", "bob", "", "1883"), PUBLISH, "t"))
    assert decision.outcome == ALLOW
    assert [path for path, _, _ in service.asked] == ["/superuser"]


def token(**claims: object) -> str:
    return pyjwt.encode({"sub": "bob", "exp": time.time() + 60, **claims}, SECRET, "HS256")


async def come_with(house: House, shown: str) -> Identity | None:
    """Who comes in with a token; ``None`` where nobody does."""
    authenticator = house.server.broker.authenticator
    assert authenticator is not None
    client = Identity("c", "x", "192.0.2.1", "1883", anonymous_allowed=False)
    decision = await made(authenticator.authenticate(client, shown.encode()))
    return client if decision.outcome == ALLOW else None


@pytest.mark.parametrize(
    ("option", "right", "wrong"),
    [
        ("jwt_audience brokers", {"aud": ["brokers", "x"]}, {"aud": "others"}),
        ("jwt_audience brokers", {"aud": "brokers"}, {}),
        ("jwt_issuer https://id", {"iss": "https://id"}, {"iss": "https://other"}),
        ("jwt_algorithms HS256", {}, None),
        ("jwt_algorithms HS512", None, {}),
    ],
)
async def test_a_token_must_be_as_the_options_say(
    house: House,
    option: str,
    right: dict[str, object] | None,
    wrong: dict[str, object] | None,
) -> None:
    use(house, f"jwt_key_file {house.file('key', SECRET)}", option)
    if right is not None:
        assert await come_with(house, token(**right)) is not None
    if wrong is not None:
        assert await come_with(house, token(**wrong)) is None


async def test_jwt_username_claim_names_the_user(house: House) -> None:
    use(house, f"jwt_key_file {house.file('key', SECRET)}", "jwt_username_claim mail")
    client = await come_with(house, token(mail="bob@example.org"))
    assert client is not None
    assert client.username == "bob@example.org"


@pytest.mark.parametrize("asked", ["true", "false"])
async def test_jwt_disconnect_on_expiry_bounds_the_connection(house: House, asked: str) -> None:
    key = house.file("key", SECRET)
    use(house, f"jwt_key_file {key}", f"jwt_disconnect_on_expiry {asked}")
    client = await come_with(house, token())
    assert client is not None
    assert (client.valid_until < NEVER) is (asked == "true")


@pytest.mark.parametrize("asked", ["true", "false"])
async def test_acl_refuse_subscribe_refuses_what_the_rules_can_never_satisfy(
    house: House, asked: str
) -> None:
    rules = house.file("rules", "user bob\ntopic read mine/#\n")
    use(house, f"acl_file {rules}", f"acl_refuse_subscribe {asked}")
    authorizer = house.server.broker.authorizer
    assert authorizer is not None
    bob = Identity("c", "bob", "", "1883")
    assert authorizer.authorize(bob, SUBSCRIBE, "mine/+").outcome == ALLOW
    assert (authorizer.authorize(bob, SUBSCRIBE, "other/+").outcome == ALLOW) is (asked == "false")
