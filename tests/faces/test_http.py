"""HTTP at listeners as clients meet it: files of ``http_dir``, and the facts of ``http_api``."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from midge.limits import HTTP_EXCHANGES_MAX
from midge.mqtt import packets as p
from midge.mqtt.encode import encode
from tests.process import BrokerProcess, free_port

#: Larger than what a transport buffers, so that it is sent in several turns.
LARGE = bytes(range(256)) * 12_000


def fetch(port: int, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """The answer to one request, read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        return response
    finally:
        connection.close()


def body(response: http.client.HTTPResponse) -> bytes:
    found = response.body  # type: ignore[attr-defined]
    assert isinstance(found, bytes)
    return found


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.02)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "www"
    site.mkdir()
    (site / "index.html").write_text("<p>home")
    (site / "large.bin").write_bytes(LARGE)
    (tmp_path / "secret").write_text("secret")
    return site


def serving(site: Path, protocol: str, *options: str) -> tuple[int, str]:
    """A port, and the configuration of a listener that serves the files there."""
    port = free_port()
    lines = [f"listener {port} 127.0.0.1", f"protocol {protocol}", f"http_dir {site}", *options]
    return port, "\n".join(lines) + "\n"


@pytest.mark.parametrize("protocol", ["websockets", "http_api"])
def test_files_of_a_directory_are_served(tmp_path: Path, site: Path, protocol: str) -> None:
    port, extra = serving(site, protocol)
    with BrokerProcess(tmp_path, extra) as broker:
        assert f"Using http_dir {site}" in broker.log()
        home = fetch(port, "/")
        assert (home.status, body(home)) == (200, b"<p>home")
        assert home.getheader("Content-Type") == "text/html; charset=utf-8"
        large = fetch(port, "/large.bin")
        assert body(large) == LARGE
        head = fetch(port, "/large.bin", "HEAD")
        assert (head.status, body(head)) == (200, b"")
        assert head.getheader("Content-Length") == str(len(LARGE))
        assert fetch(port, "/nothing").status == 404
        assert fetch(port, "/../secret").status == 404
        assert fetch(port, "/%2e%2e/secret").status == 404
        refused = fetch(port, "/", "DELETE")
        if protocol == "http_api":
            assert (refused.status, refused.getheader("Allow")) == (405, "GET, HEAD")


def test_a_websocket_is_served_beside_files(tmp_path: Path, site: Path) -> None:
    port, extra = serving(site, "websockets")
    with BrokerProcess(tmp_path, extra):
        assert fetch(port, "/").status == 200
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(
                b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
            )
            assert sock.recv(1000).startswith(b"HTTP/1.1 101 ")
            packet = encode(p.Connect("client", 4, True, 0), 4)
            mask = bytes(4)  # a mask of zeros leaves everything as it is
            sock.sendall(b"\x82" + bytes([0x80 | len(packet)]) + mask + packet)
            assert sock.recv(1000)[2:] == b"\x20\x02\x00\x00"


def test_a_client_that_does_not_read_holds_up_nobody_and_then_gets_the_rest(
    tmp_path: Path, site: Path
) -> None:
    port, extra = serving(site, "http_api")
    with BrokerProcess(tmp_path, extra), socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(10)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"GET /large.bin HTTP/1.1\r\n\r\n")
        assert body(fetch(port, "/large.bin")) == LARGE
        got = b""
        while piece := slow.recv(65_536):
            got += piece
        assert got.endswith(LARGE[-1000:])
        assert len(got.partition(b"\r\n\r\n")[2]) == len(LARGE)


def test_more_requests_at_a_time_than_the_limit_are_told_so(tmp_path: Path, site: Path) -> None:
    port, extra = serving(site, "http_api")
    waiting: list[socket.socket] = []
    with BrokerProcess(tmp_path, extra):
        try:
            for _ in range(HTTP_EXCHANGES_MAX):
                one = socket.socket()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.connect(("127.0.0.1", port))
                one.sendall(b"GET /large.bin HTTP/1.1\r\n\r\n")
                waiting.append(one)
            until(lambda: fetch(port, "/").status == 503, "a refusal")
        finally:
            for one in waiting:
                one.close()
        until(lambda: fetch(port, "/").status == 200, "a place, when the others are gone")


def test_the_broker_stops_at_once_although_somebody_does_not_read(
    tmp_path: Path, site: Path
) -> None:
    port, extra = serving(site, "http_api")
    with (
        BrokerProcess(tmp_path, extra) as broker,
        socket.create_connection(("127.0.0.1", port)) as s,
    ):
        s.sendall(b"GET /large.bin HTTP/1.1\r\n\r\n")
        assert s.recv(1)
        began = time.monotonic()
        broker.stop()
        assert time.monotonic() - began < 4


def test_facts_are_told(tmp_path: Path) -> None:
    port = free_port()
    extra = f"listener {port} 127.0.0.1\nprotocol http_api\n"
    with BrokerProcess(tmp_path, extra) as broker:
        assert f"Opening http api listen socket on port {port}." in broker.log()
        version = fetch(port, "/api/v1/version")
        assert version.status == 200
        assert version.getheader("Access-Control-Allow-Origin") == "*"
        assert body(version).decode().startswith("midge version ")
        told = json.loads(body(fetch(port, "/api/v1/listeners")))
        common = {"tls": False, "mtls": False, "allow_anonymous": True}
        assert told == {
            "listeners": [
                {"port": broker.port, "protocol": "mqtt", **common},
                {"port": port, "protocol": "httpapi", **common},
            ]
        }
        with socket.create_connection(("127.0.0.1", broker.port), 5) as sock:
            sock.sendall(encode(p.Connect("client", 4, True, 0), 4))
            sock.recv(100)
            numbers = json.loads(body(fetch(port, "/api/v1/systree")))
            assert numbers["$SYS/broker/clients/connected"] == 1
            assert numbers["$SYS/broker/uptime"] >= 0
        assert fetch(port, "/api/v1/nothing").status == 404
        assert fetch(port, "/").status == 404


def test_facts_are_for_those_who_may_read_their_path(tmp_path: Path) -> None:
    port = free_port()
    passwords, rules = tmp_path / "passwords", tmp_path / "rules"
    salt = b"saltsaltsalt"
    digest = hashlib.sha512(b"secret" + salt).digest()
    hashed = f"$6${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
    passwords.write_text(f"alice:{hashed}\nbob:{hashed}\n")
    rules.write_text("user alice\ntopic read /api/v1/version\n")
    for path in (passwords, rules):
        path.chmod(0o600)
    extra = (
        f"password_file {passwords}\nacl_file {rules}\n"
        f"listener {port} 127.0.0.1\nprotocol http_api\nlistener_allow_anonymous false\n"
    )

    def ask(user: str, password: str, path: str = "/api/v1/version") -> int:
        text = base64.b64encode(f"{user}:{password}".encode()).decode()
        return fetch(port, path, Authorization=f"Basic {text}").status

    with BrokerProcess(tmp_path, extra) as broker:
        refused = fetch(port, "/api/v1/version")
        assert (refused.status, body(refused)) == (401, b"Not authorised\n")
        assert str(refused.getheader("WWW-Authenticate")).startswith("Basic ")
        assert ask("alice", "wrong") == 401
        assert ask("alice", "secret") == 200
        assert ask("alice", "secret", "/api/v1/systree") == 401
        assert ask("bob", "secret") == 401
        assert fetch(port, "/api/v1/version", Authorization="Basic !!!").status == 401
        rules.write_text("user bob\ntopic read /api/v1/version\n")
        os.kill(broker.pid, signal.SIGHUP)
        until(lambda: ask("bob", "secret") == 200, "the new rules")
        assert ask("alice", "secret") == 401


def test_a_request_that_is_none_is_told_so_and_logged(tmp_path: Path, site: Path) -> None:
    port, extra = serving(site, "http_api")
    with BrokerProcess(tmp_path, extra) as broker:
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(encode(p.Connect("client", 4, True, 0), 4) + b"\r\n\r\n")
            assert sock.recv(1000).startswith(b"HTTP/1.1 400 ")
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000)
            assert sock.recv(1000).startswith(b"HTTP/1.1 431 ")
        until(lambda: "longer than packet_buffer_size" in broker.log(), "the reason")
        assert "this is no request of HTTP/1.1" in broker.log()


def test_a_directory_that_is_not_there_is_an_error_at_the_start(tmp_path: Path, site: Path) -> None:
    _, extra = serving(site / "nothing", "http_api")
    broker = BrokerProcess(tmp_path, extra)
    with pytest.raises(RuntimeError, match="ended at once"):
        broker.start()
    assert "nothing' is no directory" in broker.log()
    assert "Error found at" in broker.log()
