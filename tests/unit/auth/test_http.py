"""HTTP services as mosquitto-go-auth asks them: questions, answers, and what is remembered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from midge.auth.base import (
    ALLOW,
    DELIVER,
    DENY,
    PASS,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Identity,
)
from midge.auth.http import (
    HttpAuthenticator,
    HttpAuthorizer,
    HttpClient,
    HttpError,
    HttpService,
    check_url,
)
from midge.errors import ConfigError
from midge.limits import HTTP_AUTH_CACHE_MAX, HTTP_BODY_BYTES_MAX
from midge.mqtt.reasons import Reason
from tests.unit.auth.by_hand import ByHand


class Wire:
    """Stands for the HTTP service: notes what is asked, answers as it is told."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, bytes]] = []

    def __call__(self, method: str, url: str, body: bytes, content_type: str) -> tuple[int, bytes]:
        assert method == "POST"
        self.asked.append((url, content_type, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Desk:
    """Both halves, their work and their clock."""

    def __init__(self, *answers: tuple[int, bytes], **options: object) -> None:
        self.wire = Wire(*answers)
        self.work = ByHand()
        defaults = {
            "user_url": "http://h/user",
            "superuser_url": None,
            "acl_url": "http://h/acl",
            "params": "json",
            "response": "status",
            "cache_s": 30,
        }
        self.service = HttpService(
            **{**defaults, **options},  # type: ignore[arg-type]
            request=self.wire,
            now=lambda: self.work.now,
            key=b"k" * 32,
        )
        self.who = HttpAuthenticator(self.service, self.work)
        self.what = HttpAuthorizer(self.service, self.work)

    def come(self, password: bytes | None = b"pw", name: str | None = "bob") -> int:
        client = Identity("cid", name, "192.0.2.1")
        return self.work.settled(self.who.authenticate(client, password)).outcome

    def ask(self, action: int = PUBLISH, topic: str = "t") -> int:
        client = Identity("cid", "bob", "192.0.2.1")
        return self.work.settled(self.what.authorize(client, action, topic)).outcome


def test_the_questions_are_those_of_mosquitto_go_auth_as_json() -> None:
    desk = Desk((403, b""), (200, b""), superuser_url="http://h/super")
    assert desk.come("pä".encode()) == PASS
    assert desk.ask() == ALLOW
    desk = Desk((404, b""), (200, b""), (200, b""), superuser_url="http://h/super")
    assert desk.ask(SUBSCRIBE, "a/#") == ALLOW
    sent = [(url, kind, json.loads(body)) for url, kind, body in desk.wire.asked]
    assert sent == [
        ("http://h/super", "application/json", {"username": "bob"}),
        (
            "http://h/acl",
            "application/json",
            {"username": "bob", "clientid": "cid", "topic": "a/#", "acc": 4},
        ),
        (
            "http://h/acl",
            "application/json",
            {"username": "bob", "clientid": "cid", "topic": "a/#", "acc": 1},
        ),
    ]


def test_the_text_of_a_question_is_the_one_that_go_writes() -> None:
    """Home Assistant's proxy looks for ``"username":"addons"`` in it."""
    desk = Desk((200, b""))
    desk.come(b'"}')
    desk.ask(PUBLISH, "a/b")
    assert [body for _, _, body in desk.wire.asked] == [
        b'{"clientid":"cid","password":"\\"}","username":"bob"}',
        b'{"acc":2,"clientid":"cid","topic":"a/b","username":"bob"}',
    ]


@pytest.mark.parametrize(
    ("client_id", "name"), [("a+", "bob"), ("#", "bob"), ("cid", "+"), ("cid", "b#b")]
)
def test_names_with_wildcards_are_kept_from_the_service(client_id: str, name: str) -> None:
    desk = Desk((200, b""), superuser_url="http://h/super")
    for action in (PUBLISH, SUBSCRIBE, DELIVER):
        decision = desk.work.settled(desk.what.authorize(Identity(client_id, name), action, "t"))
        assert decision.outcome == (ALLOW if action == DELIVER else DENY)
    assert desk.wire.asked == []


def test_the_questions_can_be_put_as_a_form() -> None:
    desk = Desk((200, b""), params="form")
    assert desk.come(b"a&b=c") == ALLOW
    assert desk.ask(PUBLISH, "a/b +") == ALLOW
    (_, kind, user), (_, _, acl) = desk.wire.asked
    assert kind == "application/x-www-form-urlencoded"
    assert parse_qs(user.decode()) == {
        "username": ["bob"],
        "password": ["a&b=c"],
        "clientid": ["cid"],
    }
    assert parse_qs(acl.decode())["acc"] == ["2"]
    assert parse_qs(acl.decode())["topic"] == ["a/b +"]


@pytest.mark.parametrize(
    ("response", "status", "body", "yes"),
    [
        ("status", 200, b"no", True),
        ("status", 204, b"", True),
        ("status", 401, b"ok", False),
        ("text", 200, b"ok", True),
        ("text", 200, b"ok\n", True),
        ("text", 200, b"okay", False),
        ("text", 403, b"ok", False),
        ("json", 200, b'{"Ok": true, "Error": ""}', True),
        ("json", 200, b'{"ok": true}', True),
        ("json", 200, b'{"Ok": false, "Error": "no"}', False),
        ("json", 200, b'{"Ok": "true"}', False),
        ("json", 200, b'{"Ok": 1}', False),
        ("json", 200, b"[true]", False),
        ("json", 400, b'{"Ok": true}', False),
    ],
)
def test_what_counts_as_yes(response: str, status: int, body: bytes, yes: bool) -> None:
    desk = Desk((status, body), response=response)
    assert desk.come() == (ALLOW if yes else PASS)
    assert desk.ask() == (ALLOW if yes else DENY)


@pytest.mark.parametrize(
    ("status", "body"), [(500, b"ok"), (302, b"ok"), (200, b"no json"), (503, b'{"Ok": true}')]
)
def test_what_is_no_answer_is_a_refusal_and_not_remembered(status: int, body: bytes) -> None:
    desk = Desk((status, body), (200, b'{"Ok": true}'), response="json")
    client = Identity("cid", "bob")
    refused = desk.work.settled(desk.who.authenticate(client, b"pw"))
    assert (refused.outcome, refused.reason) == (DENY, Reason.SERVER_UNAVAILABLE)
    assert desk.come() == ALLOW


def test_a_superuser_is_asked_about_nothing_else() -> None:
    desk = Desk((200, b""), superuser_url="http://h/super")
    assert desk.ask() == ALLOW
    assert [url for url, _, _ in desk.wire.asked] == ["http://h/super"]


def test_answers_are_good_for_a_while_the_noes_too_and_by_password() -> None:
    desk = Desk((200, b""), (403, b""), (403, b""))
    for _ in range(3):
        assert desk.come(b"right") == ALLOW
    assert len(desk.wire.asked) == 1
    for _ in range(3):
        assert desk.come(b"wrong") == PASS
    assert len(desk.wire.asked) == 2
    for _ in range(3):
        assert desk.ask() == DENY
    assert len(desk.wire.asked) == 3
    desk.work.now = 31.0
    assert desk.come(b"right") == PASS
    assert len(desk.wire.asked) == 4
    assert "right" not in repr(desk.service._answers)


def test_with_a_cache_of_zero_every_question_is_asked() -> None:
    desk = Desk((200, b""), cache_s=0)
    for count in range(1, 4):
        assert desk.ask() == ALLOW
        assert len(desk.wire.asked) == count


def test_what_is_remembered_has_an_end() -> None:
    desk = Desk((200, b""))
    for number in range(HTTP_AUTH_CACHE_MAX + 10):
        desk.service.learn(("acl", str(number)), True)
    assert len(desk.service._answers) == HTTP_AUTH_CACHE_MAX
    assert desk.service.known(("acl", "0")) is None
    assert desk.service.known(("acl", str(HTTP_AUTH_CACHE_MAX + 9))) is True


def test_what_cannot_wait_is_not_asked_and_whoever_gives_no_password_neither() -> None:
    desk = Desk((403, b""))
    assert desk.ask(DELIVER) == ALLOW
    assert desk.ask(UNSUBSCRIBE) == ALLOW
    assert desk.come(None) == PASS
    assert desk.come(b"pw", None) == PASS
    assert desk.come(b"\xff") == PASS
    assert desk.wire.asked == []


def test_when_too_many_wait_the_client_is_told_that_the_server_is_busy() -> None:
    desk = Desk((200, b""))
    desk.work.full = True
    decision = desk.who.authenticate(Identity("c", "bob"), b"x")
    assert (decision.outcome, decision.reason) == (DENY, Reason.SERVER_BUSY)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h/x",
        "ftp://h/x",
        "http://",
        "http:///x",
        "http://u:p@h/x",
        "http://h:99999/",
        "http://[x",
    ],
)
def test_what_is_no_address_of_a_service_is_an_error(url: str) -> None:
    with pytest.raises(ConfigError, match="Invalid 'http_auth_user_url' value"):
        check_url(url, "http_auth_user_url")
    assert check_url("https://h:8443/x?y=z", "o") == "https://h:8443/x?y=z"


# -- on a socket ----------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """A service on loopback."""

    daemon_threads = True
    requests = 0
    mode = "plain"

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        #: Where requests came from. Who only connects is not ours: ports are given out again, and
        #: somebody else on this machine may try one that was his.
        self.asked_from: set[object] = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.server.requests += 1
        self.server.asked_from.add(self.client_address)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mode = self.server.mode
        if mode == "hangs up":
            self.close_connection = True
            return
        self.send_response(200)
        if mode == "too long":
            self.send_header("Content-Length", str(HTTP_BODY_BYTES_MAX + 1))
            self.end_headers()
            self.wfile.write(b"x" * (HTTP_BODY_BYTES_MAX + 1))
            return
        if mode == "closes":
            self.send_header("Connection", "close")
        answer = self.path.encode() + b" " + body
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        if mode == "forgets":
            self.close_connection = True  # without having said so

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


@pytest.mark.parametrize(("mode", "connections"), [("plain", 1), ("closes", 3), ("forgets", 3)])
def test_a_connection_is_kept_as_long_as_the_service_keeps_it(
    server: Server, mode: str, connections: int
) -> None:
    server.mode = mode
    client = HttpClient(10.0)
    for number in range(3):
        status, body = client.request("POST", url(server, f"/p?q={number}"), b"hi", "text/plain")
        assert (status, body) == (200, f"/p?q={number} hi".encode())
    assert len(server.asked_from) == connections
    for connection in client._connections().values():
        connection.close()


@pytest.mark.parametrize("mode", ["hangs up", "too long"])
def test_an_answer_that_does_not_come_or_has_no_end_is_an_error(server: Server, mode: str) -> None:
    server.mode = mode
    with pytest.raises(HttpError):
        HttpClient(10.0).request("POST", url(server, "/"), b"", "text/plain")


def test_a_service_that_is_not_there_is_an_error() -> None:
    with pytest.raises(HttpError, match="ConnectionRefusedError"):
        HttpClient(10.0).request("POST", "http://127.0.0.1:1/", b"", "text/plain")
