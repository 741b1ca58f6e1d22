"""PLAIN: user name and password in clear text (RFC 24).

HELLO with the credentials, WELCOME when they are good, INITIATE and READY with the metadata of
client and server. Who is the server does not depend on who binds.
"""

from __future__ import annotations

from typing import Final

from midge.zmtp import commands
from midge.zmtp.errors import MALFORMED_HELLO, MALFORMED_WELCOME, ZmtpError
from midge.zmtp.mechanism import ASKING, DONE, Mechanism, unexpected
from midge.zmtp.metadata import decode_metadata
from midge.zmtp.settings import Settings

HELLO: Final = b"\x05HELLO"
WELCOME: Final = b"\x07WELCOME"
INITIATE: Final = b"\x08INITIATE"


class PlainClient(Mechanism):
    """The side that has a password."""

    __slots__ = ("_expected",)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._expected = WELCOME

    def start(self) -> None:
        """See :meth:`Mechanism.start`."""
        user = self.settings.username
        password = self.settings.password
        self.out.append(
            b"".join((HELLO, bytes((len(user),)), user, bytes((len(password),)), password))
        )

    def receive(self, name: bytes, data: bytes) -> None:
        """See :meth:`Mechanism.receive`."""
        if name == commands.ERROR:
            raise commands.read_error(data)
        if name != self._expected:
            raise unexpected(name)
        if name == WELCOME:
            if data:
                raise ZmtpError("the WELCOME is malformed", MALFORMED_WELCOME)
            self.out.append(INITIATE + self.settings.own_metadata)
            self._expected = commands.READY
        else:
            self.peer = decode_metadata(data)
            self.state = DONE


class PlainServer(Mechanism):
    """The side that asks whether a password is good."""

    __slots__ = ("_expected",)

    _error_spelling = commands.ERROR_OF_LIBZMQ

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._expected = HELLO

    def start(self) -> None:
        """See :meth:`Mechanism.start`."""

    def receive(self, name: bytes, data: bytes) -> None:
        """See :meth:`Mechanism.receive`."""
        if name == commands.ERROR:
            raise commands.read_error(data)
        if name != self._expected or self.state == ASKING:
            raise unexpected(name)
        if name == HELLO:
            self.credentials = _read_hello(data)
            self.state = ASKING
        else:
            self.peer = decode_metadata(data)
            self.out.append(commands.READY + self.settings.metadata_for(self.peer))
            self.state = DONE

    def _go_on(self) -> None:
        self.out.append(WELCOME)
        self._expected = INITIATE


def _read_hello(data: bytes) -> list[bytes]:
    """User name and password, each with a byte of length before it, and nothing behind."""
    if data:
        end = 1 + data[0]
        if end < len(data) and len(data) == end + 1 + data[end]:
            return [data[1:end], data[end + 1 :]]
    raise ZmtpError("the HELLO is malformed", MALFORMED_HELLO)
