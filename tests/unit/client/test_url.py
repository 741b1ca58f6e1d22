"""Broker URLs."""

from __future__ import annotations

import pytest

from midge.client.url import parse_url

GOOD = [
    ("mqtt://h", ("h", 1883, None, None, None)),
    ("MQTT://h", ("h", 1883, None, None, None)),
    ("tcp://h:1", ("h", 1, None, None, None)),
    ("mqtt://h:65535/", ("h", 65535, None, None, "")),
    ("mqtt://u@h/a/b", ("h", 1883, "u", None, "a/b")),
    ("mqtt://u:@h", ("h", 1883, "u", "", None)),
    ("mqtt://u:p@h:1884/+/#", ("h", 1884, "u", "p", "+/#")),
    ("mqtt://u:p:q@h", ("h", 1883, "u", "p:q", None)),
    ("mqtt://u:p@q@h", ("h", 1883, "u", "p@q", None)),
    ("mqtt://u%40x:%3A%2f@h", ("h", 1883, "u@x", ":/", None)),
    ("mqtt://%e2%88%9e@h", ("h", 1883, "∞", None, None)),
    ("mqtt://100%:%zz%4@h", ("h", 1883, "100%", "%zz%4", None)),
    ("mqtt://h/a%20b", ("h", 1883, None, None, "a%20b")),
    ("mqtt://[::1]", ("::1", 1883, None, None, None)),
    ("mqtt://[fe80::1%25eth0]:99/t", ("fe80::1%25eth0", 99, None, None, "t")),
]


@pytest.mark.parametrize(("text", "parts"), GOOD, ids=[text for text, _ in GOOD])
def test_a_url_is_taken_apart(text: str, parts: tuple[object, ...]) -> None:
    url = parse_url(text)
    assert (url.host, url.port, url.username, url.password, url.path) == parts


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("h", "scheme"),
        ("", "scheme"),
        ("http://h", "scheme"),
        ("mqtts://h", "scheme"),
        ("mqtt://", "host"),
        ("mqtt://:1883", "host"),
        ("mqtt://u@/t", "host"),
        ("mqtt://h:0", "port"),
        ("mqtt://h:65536", "port"),
        ("mqtt://h:x", "port"),
        ("mqtt://h:-1", "port"),
        ("mqtt://h:1:2", "port"),
        ("mqtt://h:\u0661", "port"),
        ("mqtt://[::1", "brackets"),
        ("mqtt://[::1]x", "brackets"),
    ],
)
def test_what_is_no_url_is_an_error(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_url(text)
