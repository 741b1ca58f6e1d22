"""Authenticator: decides which peers may connect (ZAP, RFC 27).

A handler of ZAP is a REP socket at ``inproc://zeromq.zap.01``: sockets of the same context ask it
about each new peer. This class has the rules and answers one request at a time; somebody must give
it the requests: the thread of :mod:`.thread`, or the loop of :mod:`.asyncio`.
"""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Awaitable
from typing import Any, Final

import midge.zmq as zmq
from midge.zmq.auth.certs import load_certificates
from midge.zmq.utils import z85

#: Of ZAP.
VERSION: Final = b"1.0"
#: Any domain, and as a location: any client with a key may come in.
CURVE_ALLOW_ANY: Final = "*"


class Authenticator:
    """The rules for peers.

    Without any, everybody with the NULL mechanism is let in, and nobody with PLAIN or CURVE.

    Attributes:
        context: of the sockets that ask.
        encoding: of user names and passwords.
        allow_any: any client of CURVE is let in.
        passwords: by domain and user name.
        certs: known public keys by domain.
        credentials_providers: who knows public keys, by domain.
        zap_socket: where requests come.
        log: where decisions are said.
    """

    context: Any
    encoding: str
    allow_any: bool
    credentials_providers: dict[str, Any]
    zap_socket: Any
    _allowed: set[str]
    _denied: set[str]
    passwords: dict[str, dict[str, str]]
    certs: dict[str, dict[bytes, Any]]
    log: Any

    def __init__(self, context: Any = None, encoding: str = "utf-8", log: Any = None) -> None:
        self.context = context or zmq.Context.instance()
        self.encoding = encoding
        self.allow_any = False
        self.credentials_providers = {}
        self.zap_socket = None
        self._allowed = set()
        self._denied = set()
        self.passwords = {}
        self.certs = {}
        self.log = log or logging.getLogger("midge.zmq.auth")

    def start(self) -> None:
        """Take requests from here on.

        Raises:
            ZMQError: EADDRINUSE where the context has a handler already.
        """
        self.zap_socket = self.context.socket(zmq.REP, socket_class=zmq.Socket)
        self.zap_socket.linger = 1
        self.zap_socket.bind("inproc://zeromq.zap.01")
        self.log.debug("authenticator started")

    def stop(self) -> None:
        """Take no more requests."""
        if self.zap_socket is not None:
            self.zap_socket.close()
        self.zap_socket = None

    # -- rules ------------------------------------------------------------------------------------

    def allow(self, *addresses: str) -> None:
        """Let in only peers of these addresses.

        Raises:
            ValueError: some were denied before: it is one or the other.
        """
        if self._denied:
            raise ValueError("Only use allow or deny, not both")
        self._allowed.update(addresses)

    def deny(self, *addresses: str) -> None:
        """Let in all but peers of these addresses; see :meth:`allow`."""
        if self._allowed:
            raise ValueError("Only use allow or deny, not both")
        self._denied.update(addresses)

    def configure_plain(self, domain: str = "*", passwords: dict[str, str] | None = None) -> None:
        """Let in users of a domain by name and password; ``"*"`` is for all domains."""
        if passwords:
            self.passwords[domain] = passwords

    def configure_curve(self, domain: str = "*", location: str | os.PathLike[str] = ".") -> None:
        """Let in clients whose certificates lie in a directory.

        Args:
            location: the directory; ``CURVE_ALLOW_ANY`` lets in everybody with a key. Call it
                again when certificates came or went.
        """
        self.allow_any = location == CURVE_ALLOW_ANY
        if self.allow_any:
            return
        try:
            self.certs[domain] = load_certificates(location)
        except Exception as error:
            self.log.error("certificates cannot be loaded from %s: %s", location, error)

    def configure_curve_callback(self, domain: str = "*", credentials_provider: Any = None) -> None:
        """Let somebody else say which keys are known.

        Args:
            credentials_provider: its ``callback(domain, key)`` is given the key as Z85 text and
                returns whether it is, at once or as an awaitable.
        """
        self.allow_any = False
        if credentials_provider is None:
            self.log.error("no credentials_provider was given for the domain %s", domain)
        else:
            self.credentials_providers[domain] = credentials_provider

    def configure_gssapi(self, domain: str = "*", location: str | None = None) -> None:
        """Kept for its name: there is no GSSAPI here."""

    def curve_user_id(self, client_public_key: bytes) -> str:
        """What a client of CURVE is called from then on: its key, unless this is overridden."""
        return z85.encode(client_public_key).decode("ascii")

    # -- requests ---------------------------------------------------------------------------------

    async def handle_zap_message(self, msg: list[bytes]) -> None:
        """Decide about one peer, and answer."""
        if len(msg) < 6:
            self.log.error("a request without all its parts: %r", msg)
            if len(msg) >= 2:
                self._send_zap_reply(msg[1], b"400", b"Not enough frames")
            return
        version, request_id, domain, address, _identity, mechanism, *credentials = msg
        if version != VERSION:
            self.log.error("a request of another version: %r", msg)
            self._send_zap_reply(request_id, b"400", b"Invalid version")
            return
        named = domain.decode(self.encoding, "replace")
        where = address.decode(self.encoding, "replace")
        allowed, reason, user = self._judge_address(where)
        if allowed is None:
            allowed, reason, user = await self._judge(named, mechanism, credentials)
        self.log.debug(
            "%s %s of %s in domain %r: %s",
            "let in" if allowed else "refused",
            mechanism.decode("ascii", "replace"),
            where,
            named,
            reason.decode(),
        )
        if allowed:
            self._send_zap_reply(request_id, b"200", b"OK", user)
        else:
            self._send_zap_reply(request_id, b"400", reason)

    def _judge_address(self, address: str) -> tuple[bool | None, bytes, str]:
        """What the address alone decides; ``None``: nothing."""
        if self._allowed and address not in self._allowed:
            return False, b"Address not in allowed list", ""
        if address in self._denied:
            return False, b"Address denied", ""
        return None, b"", ""

    async def _judge(
        self, domain: str, mechanism: bytes, credentials: list[bytes]
    ) -> tuple[bool, bytes, str]:
        if mechanism == b"NULL":
            return True, b"OK", "anonymous"
        if mechanism == b"PLAIN":
            if len(credentials) != 2:
                return False, b"Invalid credentials", ""
            user, password = (one.decode(self.encoding, "replace") for one in credentials)
            allowed, reason = self._authenticate_plain(domain, user, password)
            return allowed, reason, user
        if mechanism == b"CURVE":
            if len(credentials) != 1 or len(credentials[0]) != 32:
                return False, b"Invalid credentials", ""
            allowed, reason = await self._authenticate_curve(domain, credentials[0])
            return allowed, reason, self.curve_user_id(credentials[0]) if allowed else ""
        return False, b"Unknown mechanism", ""

    def _authenticate_plain(self, domain: str, username: str, password: str) -> tuple[bool, bytes]:
        if not self.passwords:
            return False, b"No passwords defined"
        known = self.passwords.get(domain or CURVE_ALLOW_ANY, self.passwords.get(CURVE_ALLOW_ANY))
        if known is None:
            return False, b"Invalid domain"
        expected = known.get(username)
        if expected is None:
            return False, b"Invalid username"
        if not hmac.compare_digest(password.encode(), expected.encode()):
            return False, b"Invalid password"
        return True, b"OK"

    async def _authenticate_curve(self, domain: str, client_key: bytes) -> tuple[bool, bytes]:
        if self.allow_any:
            return True, b"OK"
        key = z85.encode(client_key)
        if self.credentials_providers:
            provider = self.credentials_providers.get(
                domain or CURVE_ALLOW_ANY, self.credentials_providers.get(CURVE_ALLOW_ANY)
            )
            if provider is None:
                return False, b"Unknown domain"
            answer = provider.callback(domain or CURVE_ALLOW_ANY, key)
            if isinstance(answer, Awaitable):
                answer = await answer
            return (True, b"OK") if answer else (False, b"Unknown key")
        known = self.certs.get(domain or CURVE_ALLOW_ANY, self.certs.get(CURVE_ALLOW_ANY))
        if known is None:
            return False, b"Unknown domain"
        return (True, b"OK") if known.get(key) else (False, b"Unknown key")

    def _send_zap_reply(
        self,
        request_id: bytes,
        status_code: bytes,
        status_text: bytes,
        user_id: str | bytes = b"",
    ) -> None:
        user = user_id if status_code == b"200" else b""
        if isinstance(user, str):
            user = user.encode(self.encoding, "replace")
        self.zap_socket.send_multipart([VERSION, request_id, status_code, status_text, user, b""])


__all__ = ["Authenticator"]
