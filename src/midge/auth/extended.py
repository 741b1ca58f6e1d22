"""Extended authentication: exchanges of AUTH packets (MQTT 5.0 section 4.12).

midge has no method of its own built in; whoever has one gives the broker an object of this shape
for each method name.
"""

from __future__ import annotations

from typing import Final, Protocol

#: The exchange goes on: the data is sent in an AUTH packet.
CONTINUE: Final = 0
#: The client is who it says.
ALLOW: Final = 1
#: It is not.
DENY: Final = 2


class Step:
    """One answer of an exchange.

    Attributes:
        outcome: ``CONTINUE``, ``ALLOW`` or ``DENY``.
        data: authentication data for the client, ``None`` for none.
        username: whom the client turned out to be, with ``ALLOW``.
        text: why it was refused, for the log, with ``DENY``.
    """

    __slots__ = ("data", "outcome", "text", "username")

    def __init__(
        self,
        outcome: int,
        data: bytes | None = None,
        username: str | None = None,
        text: str = "",
    ) -> None:
        self.outcome = outcome
        self.data = data
        self.username = username
        self.text = text


class Exchange(Protocol):
    """One client's authentication, from CONNECT or a re-authentication to its end."""

    def step(self, data: bytes | None) -> Step:
        """Answer the client's authentication data."""
        ...


class ExtendedAuthenticator(Protocol):
    """One authentication method."""

    def begin(self, client_id: str, username: str | None) -> Exchange:
        """Begin an exchange with a client."""
        ...
