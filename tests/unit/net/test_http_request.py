"""Requests of HTTP clients: what is read of them, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.net.http_request import BadRequest, parse_request


def test_a_request_of_a_browser_is_read() -> None:
    request = parse_request(
        b"GET /a%20b/c.html?x=/../y#z HTTP/1.1\r\nHost: h:1\r\nAccept:\t*/*  \r\nX-Empty:"
    )
    assert request.method == "GET"
    assert request.path == "/a b/c.html"
    assert request.headers == {"host": "h:1", "accept": "*/*", "x-empty": ""}
    assert not request.is_upgrade()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://broker:9883/api/v1/version", "/api/v1/version"),
        ("http://broker:9883", "/"),
        ("//etc/passwd", "//etc/passwd"),
        ("/%2e%2e/x", "/../x"),
        ("/caf%C3%A9", "/café"),
    ],
)
def test_a_target_means_a_path(target: str, path: str) -> None:
    assert parse_request(f"GET {target} HTTP/1.1".encode()).path == path


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET / HTTP/2", 400),
        (b"get / HTTP/1.1", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET x HTTP/1.1", 400),
        (b"GET /%00 HTTP/1.1", 400),
        (b"GET /%0d%0aX:y HTTP/1.1", 400),
        (b"GET /%ff HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nno colon", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded", 400),
        (b"GET / HTTP/1.1\r\nA : b", 400),
        (b"GET / HTTP/1.1\r\nA: b\nC: d", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked", 413),
    ],
)
def test_what_is_unclear_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_request(head)
    assert caught.value.status == status


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: b"GET /" + b + b" HTTP/1.1"))
def test_any_bytes_are_a_request_or_a_refusal(head: bytes) -> None:
    try:
        request = parse_request(head)
    except BadRequest:
        return
    assert request.path.startswith("/")
    assert "\0" not in request.path
