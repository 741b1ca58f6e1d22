"""The address of a broker in one line: ``mqtt://user:password@host:port/topic``.

Written by hand because ``urllib.parse`` would cost a command a fifth of its start-up. In the user
name and the password ``%40`` and the like are decoded, as in any URL; the topic stands as it is,
because ``#``, ``+`` and ``%`` mean something else in it.
"""

from __future__ import annotations

from typing import Final

#: What can stand before ``://``, and the port that each means.
PORTS: Final[dict[str, int]] = {"mqtt": 1883, "tcp": 1883}
_HEX_DIGITS: Final = b"0123456789abcdefABCDEF"


class BrokerUrl:
    """The parts of a broker's URL.

    Attributes:
        scheme: in small letters.
        host: a name or an address; an IPv6 address without its brackets.
        port: 1 to 65535, the scheme's own if none was given.
        username: ``None`` when there is none.
        password: ``None`` when there is none.
        path: what stands behind the first slash; ``None`` without one.
    """

    __slots__ = ("host", "password", "path", "port", "scheme", "username")

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int,
        username: str | None,
        password: str | None,
        path: str | None,
    ) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.username = username
        self.password = password
        self.path = path


def parse_url(text: str) -> BrokerUrl:
    """Take a broker's URL apart.

    Raises:
        ValueError: it is not one; the text says why.
    """
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in PORTS:
        raise ValueError("Unsupported URL scheme.")
    authority, slash, path = rest.partition("/")
    credentials, at, address = authority.rpartition("@")
    username: str | None = None
    password: str | None = None
    if at:
        name, colon, secret = credentials.partition(":")
        username = _unquote(name)
        password = _unquote(secret) if colon else None
    host, port_text = _split_address(address)
    port = PORTS[scheme]
    if port_text:
        if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) <= 65535):
            raise ValueError(f"Invalid port given: {port_text}")
        port = int(port_text)
    if not host:
        raise ValueError("The URL names no host.")
    return BrokerUrl(scheme, host, port, username, password, path if slash else None)


def _split_address(address: str) -> tuple[str, str]:
    if address.startswith("["):  # an IPv6 address, which has colons of its own
        host, bracket, port = address[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError("The address in brackets is not complete.")
        return host, port[1:]
    host, _, port = address.partition(":")
    return host, port


def _unquote(text: str) -> str:
    """Decode percent escapes; what is none stays as it is."""
    if "%" not in text:
        return text
    first, *parts = text.encode().split(b"%")
    decoded = [first]
    for part in parts:
        code = part[:2]
        if len(code) == 2 and all(digit in _HEX_DIGITS for digit in code):
            decoded.append(bytes([int(code, 16)]) + part[2:])
        else:
            decoded.append(b"%" + part)
    return b"".join(decoded).decode(errors="replace")
