"""The request of an HTTP client (RFC 9112), as far as a listener of ours answers any.

Read is what a browser or `curl` asks a small server for: one request without a body, in ASCII, in
the form of HTTP/1. What is unclear is refused and never guessed at, because a proxy in front may
have guessed otherwise. Not read: bodies, chunks, folded header lines, and a second request on the
same connection.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from midge.errors import MidgeError

_REQUEST_LINE: Final = re.compile(r"([A-Z]+) ([\x21-\x7e]+) HTTP/1\.[01]")
_HEADER_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_AUTHORITY: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class BadRequest(MidgeError):
    """A request that is not answered.

    Attributes:
        status: what the client is told (RFC 9110 section 15.5).
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class HttpRequest:
    """One request.

    Attributes:
        method: ``GET`` for example.
        path: the path of the target, its escapes resolved; it begins with a slash.
        headers: the values of the header fields by their names in small letters; of those that
            came twice, the last one.
    """

    __slots__ = ("headers", "method", "path")

    def __init__(self, method: str, path: str, headers: dict[str, str]) -> None:
        self.method = method
        self.path = path
        self.headers = headers

    def is_upgrade(self) -> bool:
        """Whether the client asks for another protocol, a WebSocket for example."""
        return "upgrade" in self.headers


def parse_request(head: bytes) -> HttpRequest:
    """Read a request.

    Args:
        head: everything up to the empty line, without it.

    Raises:
        BadRequest: it is none, or not one that is answered.
    """
    first, *others = head.decode("latin-1").split("\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise BadRequest(400, "this is no request of HTTP/1.1")
    headers: dict[str, str] = {}
    for other in others:
        found = _HEADER_LINE.fullmatch(other)
        if found is None or _CONTROL.search(found[2].replace("\t", "")):
            raise BadRequest(400, "a header line cannot be understood")
        name = found[1].lower()
        if name in ("content-length", "transfer-encoding") and name in headers:
            raise BadRequest(400, f"{name} is there twice")
        headers[name] = found[2]
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise BadRequest(413, "a request here has no body")
    return HttpRequest(line[1], resolve(split_target(line[2])[0]), headers)


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a target (RFC 9112 section 3.2), with their escapes.

    Raises:
        BadRequest: it has no path.
    """
    target = _AUTHORITY.sub("", target, 1) or "/"
    path, _, query = target.partition("#")[0].partition("?")
    if not path.startswith("/"):
        raise BadRequest(400, "the target is no path")
    return path, query


def resolve(raw: str) -> str:
    """A path, or a piece of one, with its escapes resolved.

    Raises:
        BadRequest: that is no text.
    """
    try:
        path = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadRequest(400, "the path is no UTF-8") from None
    if _CONTROL.search(path):
        raise BadRequest(400, "there is a control character in the path")
    return path
