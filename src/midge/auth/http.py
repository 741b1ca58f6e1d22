"""Asks an HTTP service who a client is and what it may do, as mosquitto-go-auth's ``http`` does.

Three questions, each a POST to an address of its own, with these parameters:

* may this user come in: ``username``, ``password``, ``clientid``;
* may this user do everything: ``username``;
* may this client use this topic: ``username``, ``clientid``, ``topic``, and ``acc``, which is 1 for
  reading, 2 for writing and 4 for subscribing.

They are sent as JSON or as a form. The answer is yes when the status is 2xx and, with ``json``, the
field ``Ok`` of the body is true, with ``text``, the body is ``ok``. Whatever goes wrong is a no.

Answers are good for a while (``http_auth_cache``). Questions are asked in worker threads, which
keep their connections; the client that it is about waits, and nobody else.

Reading is asked when a client subscribes, about the filter as it stands (4, then 1). A message that
is about to be delivered cannot wait for an answer, so delivering is not asked again.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from midge.auth.acl_rules import dangerous
from midge.auth.base import (
    ALLOWED,
    DELIVER,
    PASS,
    RETAIN,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Decision,
    Identity,
    deny,
)
from midge.auth.offload import Offload, decide_elsewhere
from midge.errors import ConfigError, MidgeError
from midge.limits import HTTP_AUTH_CACHE_MAX, HTTP_BODY_BYTES_MAX
from midge.mqtt.reasons import Reason
from midge.topics.names import shown

if TYPE_CHECKING:
    from collections.abc import Callable

_READ: Final = 1
_WRITE: Final = 2
_SUBSCRIBE: Final = 4
_USER_AGENT: Final = "mosquitto"  # what such services are used to, and some look at
_CHUNK_BYTES: Final = 65_536
_REDIRECTED: Final = range(300, 400)


class HttpError(MidgeError):
    """An HTTP service gave no answer that can be used."""


class HttpClient:
    """Sends requests, one at a time in each thread; a thread keeps its connections.

    Args:
        timeout_s: how long an answer may take, from its beginning to its end.
    """

    __slots__ = ("_local", "_timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._local = threading.local()

    def request(
        self, method: str, url: str, body: bytes | None = None, content_type: str = ""
    ) -> tuple[int, bytes]:
        """Status and body of the answer. Blocks: for worker threads only. Follows no redirects.

        Raises:
            HttpError: there was no answer in time, or it was too long.
        """
        parts = urlsplit(url)
        headers = {"User-Agent": _USER_AGENT}
        if content_type:
            headers["Content-Type"] = content_type
        path = parts.path or "/"
        if parts.query:
            path += "?" + parts.query
        kept = self._connections().pop((parts.scheme, parts.netloc), None)
        if kept is not None:
            try:
                return self._exchange(kept, parts.scheme, parts.netloc, method, path, body, headers)
            except (OSError, http.client.HTTPException):
                pass  # it was closed while it was not used; a fresh one will tell
        connection = _connect(parts.scheme, parts.netloc, self._timeout_s)
        try:
            return self._exchange(
                connection, parts.scheme, parts.netloc, method, path, body, headers
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HttpError(f"{parts.netloc}: {type(error).__name__}: {error}") from error

    def _connections(self) -> dict[tuple[str, str], http.client.HTTPConnection]:
        kept: dict[tuple[str, str], http.client.HTTPConnection] | None
        kept = getattr(self._local, "kept", None)
        if kept is None:
            self._local.kept = kept = {}
        return kept

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        scheme: str,
        netloc: str,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout_s
        try:
            connection.request(method, path, body, headers)
            with connection.getresponse() as answer:
                content = bytearray()
                while chunk := answer.read1(_CHUNK_BYTES):
                    content += chunk
                    if len(content) > HTTP_BODY_BYTES_MAX:
                        raise HttpError(f"{netloc}: more than {HTTP_BODY_BYTES_MAX} bytes")
                    if time.monotonic() > deadline:
                        raise HttpError(f"{netloc}: it takes more than {self._timeout_s} s")
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            self._connections()[scheme, netloc] = connection
        return answer.status, bytes(content)


def _connect(scheme: str, netloc: str, timeout_s: float) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(netloc, timeout=timeout_s)
    return http.client.HTTPConnection(netloc, timeout=timeout_s)


def check_url(url: str, option: str) -> str:
    """The address of a service, if it is one.

    Raises:
        ConfigError: it is not.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc:
        raise ConfigError(
            f"Error: Invalid '{option}' value ({url}): http://HOST[:PORT]/PATH or https://... "
            "is needed, without a user name."
        )
    return url


class HttpService:
    """The questions, and the answers that are still good.

    Args:
        user_url, superuser_url, acl_url: where each question is asked; ``None``: it is not.
        params: ``json`` or ``form``.
        response: ``status``, ``json`` or ``text``.
        cache_s: how long an answer is good for.
        request: sends a request, as :meth:`HttpClient.request` does.
        now: the broker's clock.
        key: random bytes, for what is remembered about passwords.
    """

    __slots__ = (
        "_answers",
        "_cache_s",
        "_key",
        "_now",
        "_params",
        "_request",
        "_response",
        "acl_url",
        "superuser_url",
        "user_url",
    )

    def __init__(
        self,
        *,
        user_url: str | None,
        superuser_url: str | None,
        acl_url: str | None,
        params: str,
        response: str,
        cache_s: float,
        request: Callable[[str, str, bytes, str], tuple[int, bytes]],
        now: Callable[[], float],
        key: bytes,
    ) -> None:
        self.user_url = user_url
        self.superuser_url = superuser_url
        self.acl_url = acl_url
        self._params = params
        self._response = response
        self._cache_s = cache_s
        self._request = request
        self._now = now
        self._key = key
        self._answers: dict[tuple[str, ...], tuple[float, bool]] = {}

    def known(self, question: tuple[str, ...]) -> bool | None:
        """The answer that is still good; ``None`` for none."""
        found = self._answers.get(question)
        return found[1] if found is not None and found[0] > self._now() else None

    def learn(self, question: tuple[str, ...], answer: bool) -> None:
        """Remember an answer."""
        if not self._cache_s:
            return
        answers = self._answers
        answers.pop(question, None)
        now = self._now()
        while answers:
            oldest = next(iter(answers))
            if answers[oldest][0] > now and len(answers) < HTTP_AUTH_CACHE_MAX:
                break
            del answers[oldest]
        answers[question] = (now + self._cache_s, answer)

    def secret(self, password: bytes) -> str:
        """What stands for a password in a question that is remembered."""
        # Its length has no bound here but MQTT's, and SHA-256 is done with that in 0.1 ms.
        return hmac.new(self._key, password, hashlib.sha256).hexdigest()

    def ask(self, url: str, values: dict[str, str | int]) -> bool:
        """Ask one question. Blocks: for worker threads only.

        Raises:
            HttpError: there is no answer that can be used.
        """
        if self._params == "form":
            body = urlencode(values).encode()
            status, content = self._request("POST", url, body, "application/x-www-form-urlencoded")
        else:
            # As Go writes it: there are proxies that look for names in the text.
            body = json.dumps(values, separators=(",", ":"), sort_keys=True).encode()
            status, content = self._request("POST", url, body, "application/json")
        if status >= 500 or status in _REDIRECTED:
            raise HttpError(f"{url} answered with status {status}")
        if not 200 <= status < 300:
            return False
        if self._response == "text":
            return content.strip() == b"ok"
        return self._response == "status" or _says_ok(content, url)

    def may_use(self, username: str, client_id: str, topic: str, accesses: tuple[int, ...]) -> bool:
        """Whether a client may use a topic in all these ways. Blocks."""
        if self.superuser_url is not None and self.ask(self.superuser_url, {"username": username}):
            return True
        assert self.acl_url is not None
        return all(
            self.ask(
                self.acl_url,
                {"username": username, "clientid": client_id, "topic": topic, "acc": access},
            )
            for access in accesses
        )


def _says_ok(content: bytes, url: str) -> bool:
    try:
        document = json.loads(content)
    except ValueError:
        raise HttpError(f"{url} answered with something that is no JSON") from None
    if not isinstance(document, dict):
        return False
    return any(name.lower() == "ok" and value is True for name, value in document.items())


class HttpAuthenticator:
    """The :class:`~midge.auth.base.Authenticator` that asks an HTTP service."""

    __slots__ = ("_offload", "_service")

    def __init__(self, service: HttpService, offload: Offload) -> None:
        self._service = service
        self._offload = offload

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        """See :meth:`midge.auth.base.Authenticator.authenticate`."""
        service = self._service
        name = client.username
        if name is None or password is None:
            return Decision(PASS, "it gave no name and password to ask the HTTP service about")
        url = service.user_url
        assert url is not None
        question = ("user", name, client.client_id, service.secret(password))
        known = service.known(question)
        if known is not None:
            return self._answer(client, known)
        try:
            text = password.decode()
        except UnicodeDecodeError:
            return Decision(PASS, "its password is not UTF-8: the HTTP service cannot be asked")
        values: dict[str, str | int] = {
            "username": name,
            "password": text,
            "clientid": client.client_id,
        }

        def judge(result: object, now: float) -> Decision:
            if isinstance(result, Exception):
                return _failed(result)
            service.learn(question, result is True)
            return self._answer(client, result is True)

        work = partial(service.ask, url, values)
        return decide_elsewhere(self._offload, client.address, work, judge)

    def _answer(self, client: Identity, yes: bool) -> Decision:
        if yes:
            client.proof = self
            return ALLOWED
        return Decision(
            PASS, f"the HTTP service does not let in user {shown(client.username or '')}"
        )

    def still_valid(self, client: Identity) -> bool | None:
        """Whether a client that was let in this way may stay after a reload: it may."""
        return True if isinstance(client.proof, HttpAuthenticator) else None


class HttpAuthorizer:
    """The :class:`~midge.auth.base.Authorizer` that asks an HTTP service."""

    __slots__ = ("_offload", "_service")

    def __init__(self, service: HttpService, offload: Offload) -> None:
        self._service = service
        self._offload = offload

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        """See :meth:`midge.auth.base.Authorizer.authorize`."""
        if action in (DELIVER, RETAIN, UNSUBSCRIBE):
            return ALLOWED
        service = self._service
        peril = dangerous(client.client_id, client.username)
        if peril:  # Mosquitto keeps such names from plugins, which may make patterns of them
            return deny(f"{peril}, so the HTTP service is not asked")
        name = client.username or ""
        accesses = (_SUBSCRIBE, _READ) if action == SUBSCRIBE else (_WRITE,)
        question = ("acl", name, client.client_id, topic, str(accesses[0]))
        known = service.known(question)
        if known is not None:
            return _allowed(known, name, topic)

        def judge(result: object, now: float) -> Decision:
            if isinstance(result, Exception):
                return _failed(result)
            service.learn(question, result is True)
            return _allowed(result is True, name, topic)

        work = partial(service.may_use, name, client.client_id, topic, accesses)
        return decide_elsewhere(self._offload, client.client_id, work, judge)


def _allowed(yes: bool, name: str, topic: str) -> Decision:
    if yes:
        return ALLOWED
    return deny(f"the HTTP service does not let user {shown(name)} use {shown(topic)}")


def _failed(error: Exception) -> Decision:
    return deny(
        f"the HTTP service cannot be asked: {type(error).__name__}: {error}",
        int(Reason.SERVER_UNAVAILABLE),
    )
