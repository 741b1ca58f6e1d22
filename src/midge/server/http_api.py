"""``protocol http_api``: a few facts about the broker over HTTP, as Mosquitto 2.1 gives them.

=======================  ===================================================================
``/api/v1/version``      the version, as text
``/api/v1/listeners``    the listeners, as JSON
``/api/v1/systree``      the numbers of ``$SYS``, as JSON
any other path           a file of ``http_dir``, where the listener has one
=======================  ===================================================================

The name and password of HTTP's basic authentication (RFC 7617) must be those of somebody who may
connect, and the rules must let that user read the path as if it were a topic: ``topic read
/api/v1/systree`` in an ACL file. The client id is ``http-api``. Whoever is let in as an anonymous
client needs no password.
"""

from __future__ import annotations

import binascii
import json
from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOW, DELIVER, PENDING, SUBSCRIBE, Decision, Identity, Pending
from midge.broker.sys_tree import SysTree
from midge.config.settings import anonymous_allowed
from midge.limits import HTTP_NUMBERS_EVERY_S
from midge.mqtt.reasons import Reason
from midge.net.http import TEXT
from midge.server.memory import memory_bytes
from midge.server.pages import Pages
from midge.topics.names import is_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.config.settings import ListenerSettings
    from midge.net.http import HttpExchange
    from midge.net.http_request import HttpRequest
    from midge.server.listeners import Listeners
    from midge.server.mqtt_server import MqttServer

CLIENT_ID: Final = "http-api"
_JSON: Final = "application/json"
_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="midge", charset="UTF-8"')
#: Scripts of pages from elsewhere may read it, as with Mosquitto.
_ANY_ORIGIN: Final = ("Access-Control-Allow-Origin", "*")
#: How Mosquitto calls the protocols of listeners here.
_PROTOCOLS: Final = {"http_api": "httpapi"}


class HttpApi:
    """The answers of one broker.

    Args:
        server: the broker, and who decides there.
        pages: bounds the requests, and serves files.
        listeners: those that are told of.
        version: what ``/api/v1/version`` says.
    """

    __slots__ = ("_listeners", "_numbers", "_pages", "_server", "_told_at", "_tree", "_version")

    def __init__(
        self, server: MqttServer, pages: Pages, listeners: Listeners, version: str
    ) -> None:
        now = server.now()
        self._server = server
        self._pages = pages
        self._listeners = listeners
        self._version = version
        self._tree = SysTree(server.broker, version, now)
        self._numbers: dict[str, int] = {}
        self._told_at = now - HTTP_NUMBERS_EVERY_S

    def answer(
        self, exchange: HttpExchange, request: HttpRequest, listener: ListenerSettings
    ) -> None:
        """Answer a request that came in at a listener."""
        if not self._pages.admit(exchange, request):
            return
        credentials = _credentials(request.headers.get("authorization", ""))
        user, password = (None, None) if credentials is None else credentials
        identity = Identity(
            CLIENT_ID,
            user,
            exchange.address,
            listener.name(),
            anonymous_allowed(self._server.broker.settings, listener),
        )

        def let_in(decision: Decision) -> None:
            if self._passes(exchange, decision):
                self._ask_rules(exchange, identity, request.path, found)

        def found() -> None:
            if request.path.startswith("/api/"):
                self._tell(exchange, request.path)
            else:
                self._pages.answer(exchange, request, listener.http_dir)

        authenticator = self._server.broker.authenticator
        if authenticator is None:
            found()
        else:
            _when_decided(authenticator.authenticate(identity, password), let_in)

    def _ask_rules(
        self,
        exchange: HttpExchange,
        identity: Identity,
        path: str,
        then: Callable[[], None],
    ) -> None:
        """Go on if the client may subscribe to the path and be given what is there."""
        authorizer = self._server.broker.authorizer
        if authorizer is None:
            then()
            return
        if not is_topic(path):
            exchange.reply(404, b"Not found.\n")  # with a wildcard it would be many topics
            return

        def subscribed(decision: Decision) -> None:
            if self._passes(exchange, decision) and self._passes(
                exchange, authorizer.authorize(identity, DELIVER, path)
            ):
                then()

        _when_decided(authorizer.authorize(identity, SUBSCRIBE, path), subscribed)

    def _passes(self, exchange: HttpExchange, decision: Decision) -> bool:
        """Whether a decision allows it; otherwise the client has been told."""
        if decision.outcome == ALLOW:
            return not exchange.closed
        if decision.reason in (int(Reason.SERVER_BUSY), int(Reason.SERVER_UNAVAILABLE)):
            exchange.reply(503, b"Who may cannot be decided now, try again later.\n")
        else:
            exchange.reply(401, b"Not authorised\n", TEXT, _CHALLENGE)
        return False

    # -- what there is to tell -----------------------------------------------------------------

    def _tell(self, exchange: HttpExchange, path: str) -> None:
        if path == "/api/v1/version":
            exchange.reply(200, self._version.encode(), TEXT, _ANY_ORIGIN)
        elif path == "/api/v1/listeners":
            _reply_json(exchange, {"listeners": self._all_listeners()})
        elif path == "/api/v1/systree":
            _reply_json(exchange, self._sys_tree())
        else:
            exchange.reply(404, b"Not found.\n")

    def _all_listeners(self) -> list[dict[str, object]]:
        settings = self._server.broker.settings
        told: list[dict[str, object]] = []
        for listener in self._listeners.all:
            its = listener.settings
            place = {"port": its.port} if its.unix_path is None else {"path": its.unix_path}
            told.append(
                {
                    **place,
                    "protocol": _PROTOCOLS.get(its.protocol, its.protocol),
                    "tls": listener.tls is not None,
                    "mtls": its.require_certificate,
                    "allow_anonymous": anonymous_allowed(settings, its),
                }
            )
        return told

    def _sys_tree(self) -> dict[str, int]:
        """The numbers; made anew once a second at most, because every session is looked at."""
        now = self._server.now()
        if now >= self._told_at + HTTP_NUMBERS_EVERY_S:
            self._told_at = now
            for topic, value in self._tree.update(now, memory_bytes()):
                self._numbers[topic] = int(value.removesuffix(" seconds"))
        return self._numbers


def _when_decided(decision: Decision, then: Callable[[Decision], None]) -> None:
    """Go on with a decision, now or when it is made."""
    if decision.outcome == PENDING:
        assert isinstance(decision, Pending)
        if decision.settled is None:
            decision.wait(lambda made, now: then(made))
            return
        decision = decision.settled
    then(decision)


def _credentials(field: str) -> tuple[str, bytes] | None:
    """User name and password of an ``Authorization`` field; ``None`` where it has none."""
    scheme, _, rest = field.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = binascii.a2b_base64(rest.strip(), strict_mode=True).partition(b":")
        return (user.decode(), password) if colon else None
    except ValueError:
        return None


def _reply_json(exchange: HttpExchange, value: object) -> None:
    exchange.reply(200, json.dumps(value, indent=1).encode(), _JSON, _ANY_ORIGIN)
