"""The PROXY protocol, versions 1 and 2, at a listener: who a client is, as a proxy in front says.

:func:`read_header` is pure: the bytes so far in, a :class:`ProxyHeader` and its length out, or
``None`` while there are too few. :class:`ProxyLayer` takes a header off a connection and hands on
what comes behind it. A fault is told as early as the bytes show it, so that a client without a
proxy is not kept waiting.

As with Mosquitto: a version 1 header of ``UNKNOWN`` leaves the connection its own address, and one
of version 2 with the command LOCAL is the proxy asking whether we are alive: it is closed, and the
log has nothing of it. Stricter than Mosquitto: a common name counts only if the proxy says that it
checked the certificate, and a client came by TLS only if the header's flags say so.

There is no list of proxies that are trusted: who can reach such a listener can say anything. The
checksum of version 2 is not looked at, TCP has its own.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from midge.errors import MidgeError
from midge.limits import PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX
from midge.net.layer import Below, Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.config.settings import ListenerSettings
    from midge.net.stream import Handler

# The PROXY protocol, section 2.1: one line of text.
_LINE_START: Final = b"PROXY "
_LINE_END: Final = b"\r\n"
# Section 2.2: signature, version and command, family, length of the rest.
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED_BYTES: Final = 16
_VERSION_2: Final = 0x20
_LOCAL: Final = 0
_PROXY: Final = 1
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_UNIX: Final = 0x31
#: Bytes of one path, and of both.
_PATH_BYTES: Final = 108
_PATHS_BYTES: Final = 216
#: How long the addresses are. A Unix path may be shorter than its field: some leave the rest away.
_ADDRESSES_BYTES: Final = {_TCP4: 12, _TCP6: 36, _UNIX: 1}
# Section 2.2.6: what an SSL vector says.
_SSL: Final = 0x20
_SSL_COMMON_NAME: Final = 0x22
_CLIENT_SSL: Final = 0x01
_CLIENT_CERTIFICATE: Final = 0x04

#: Why a connection is refused, as Mosquitto words it; more may follow in parentheses.
CORRUPT: Final = "corrupt PROXY header"
NO_TLS: Final = "client did not connect using TLS"
NO_CERTIFICATE: Final = "client did not provide a certificate"


class ProxyError(MidgeError):
    """A header that is none."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{CORRUPT} ({text})")


class ProxyHeader:
    """What a proxy says of a connection.

    Attributes:
        address: of the client; a path for a Unix socket; ``None``: that of the connection.
        port: of the client; 0 for a Unix socket.
        local: the proxy means itself: it looks whether we are alive.
        secured: the client speaks TLS with the proxy.
        certified: it showed a certificate there, which the proxy checked.
        common_name: what that certificate says; ``None`` where it was not told.
    """

    __slots__ = ("address", "certified", "common_name", "local", "port", "secured")

    def __init__(self, address: str | None = None, port: int = 0, local: bool = False) -> None:
        self.address = address
        self.port = port
        self.local = local
        self.secured = False
        self.certified = False
        self.common_name: str | None = None


def read_header(data: bytes, version: int) -> tuple[ProxyHeader, int] | None:
    """The header at the beginning of ``data``, and how long it is; ``None``: there must come more.

    Args:
        data: all that came so far.
        version: 1 or 2; the other one is a fault.

    Raises:
        ProxyError: this is no header of that version, or one longer than we take.
    """
    return _read_line(data) if version == 1 else _read_binary(data)


# -- version 1 ------------------------------------------------------------------------------------


def _read_line(data: bytes) -> tuple[ProxyHeader, int] | None:
    if not data.startswith(_LINE_START[: len(data)]):
        raise ProxyError("it does not begin with PROXY")
    end = data.find(_LINE_END, 0, PROXY_LINE_BYTES_MAX)
    if end < 0:
        if len(data) >= PROXY_LINE_BYTES_MAX:
            raise ProxyError(f"its line has more than {PROXY_LINE_BYTES_MAX} bytes")
        return None
    try:
        words = data[len(_LINE_START) : end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyError("its line is not ASCII") from None
    length = end + len(_LINE_END)
    if words[0] == "UNKNOWN":
        return ProxyHeader(), length  # whatever follows is to be ignored
    families = {"TCP4": socket.AF_INET, "TCP6": socket.AF_INET6}
    if words[0] not in families:
        raise ProxyError("its protocol is neither TCP4, TCP6 nor UNKNOWN")
    if len(words) != 5:
        raise ProxyError("it must have two addresses and two ports")
    family = families[words[0]]
    address, _ = _address(family, words[1]), _address(family, words[2])
    port, _ = _port(words[3]), _port(words[4])
    return ProxyHeader(address, port), length


def _address(family: socket.AddressFamily, text: str) -> str:
    """An address in its usual form, so that one client has one address."""
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError):
        raise ProxyError("an address is not valid") from None


def _port(text: str) -> int:
    if not (text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536):
        raise ProxyError("a port is not 1 to 65535")
    return int(text)


# -- version 2 ------------------------------------------------------------------------------------


def _read_binary(data: bytes) -> tuple[ProxyHeader, int] | None:
    if not data.startswith(_SIGNATURE[: len(data)]):
        raise ProxyError("it does not begin with the signature of version 2")
    if len(data) < _FIXED_BYTES:
        return None
    command = data[12] & 0x0F
    family = data[13]
    size = int.from_bytes(data[14:16], "big")
    if data[12] & 0xF0 != _VERSION_2 or command not in (_LOCAL, _PROXY):
        raise ProxyError("its version is not 2, or its command is unknown")
    if command == _LOCAL:
        return ProxyHeader(local=True), _FIXED_BYTES  # the rest is to be ignored
    least = _ADDRESSES_BYTES.get(family)
    if least is None:
        raise ProxyError(f"the family {family:#04x} is not supported")
    if not least <= size <= PROXY_HEADER_BYTES_MAX:
        raise ProxyError(f"its length {size} is not {least} to {PROXY_HEADER_BYTES_MAX}")
    end = _FIXED_BYTES + size
    if len(data) < end:
        return None
    body = data[_FIXED_BYTES:end]
    if family == _UNIX:
        header = ProxyHeader(_path(body[:_PATH_BYTES]))
        vectors = body[_PATHS_BYTES:]
    elif family == _TCP4:
        port = int.from_bytes(body[8:10], "big")
        header = ProxyHeader(socket.inet_ntop(socket.AF_INET, body[:4]), port)
        vectors = body[least:]
    else:
        port = int.from_bytes(body[32:34], "big")
        header = ProxyHeader(socket.inet_ntop(socket.AF_INET6, body[:16]), port)
        vectors = body[least:]
    for kind, value in _vectors(vectors):
        if kind == _SSL:
            _take_ssl(header, value)
    return header, end


def _path(field: bytes) -> str:
    """The path of a Unix socket; it ends at the first zero."""
    return field.split(b"\0", 1)[0].decode(errors="backslashreplace")


def _vectors(data: bytes) -> list[tuple[int, bytes]]:
    """Types and values: a byte of type, two of length, and so many of value."""
    found: list[tuple[int, bytes]] = []
    pos = 0
    while pos < len(data):
        start = pos + 3
        end = start + int.from_bytes(data[pos + 1 : start], "big")
        if start > len(data) or end > len(data):
            raise ProxyError("a vector does not fit in it")
        found.append((data[pos], data[start:end]))
        pos = end
    return found


def _take_ssl(header: ProxyHeader, value: bytes) -> None:
    """Take what the proxy says of TLS; of two such vectors, the last one counts."""
    if len(value) < 5:
        raise ProxyError("the vector about TLS is too short")
    flags = value[0]
    header.secured = bool(flags & _CLIENT_SSL)
    # Four bytes of result: zero only where there was a certificate, and it was good.
    verified = value[1:5] == b"\0\0\0\0"
    header.certified = header.secured and bool(flags & _CLIENT_CERTIFICATE) and verified
    header.common_name = None
    for kind, name in _vectors(value[5:]):
        if kind == _SSL_COMMON_NAME:
            header.common_name = _common_name(name)


def _common_name(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise ProxyError("the common name is not UTF-8") from None
    if "\0" in text:
        raise ProxyError("the common name has a zero in it")  # no user name has [MQTT-1.5.4-2]
    return text or None


# -- at a connection ------------------------------------------------------------------------------


class ProxyLayer(Layer):
    """Takes the header off a connection; ready when it is there, and the listener is content.

    Attributes:
        username: the common name of the client's certificate, where the listener asks for that
            and the proxy has checked it.
        secured: the client came by TLS, at least as far as the proxy.
    """

    __slots__ = ("_address", "_data", "_settings")

    def __init__(
        self,
        below: Below,
        settings: ListenerSettings,
        opened: Callable[[Layer], Handler | None],
        refused: Callable[[Layer, str], None],
    ) -> None:
        """Wait for the header.

        Args:
            settings: of the listener; it says which version.
            opened: see :class:`Layer`.
            refused: see :class:`Layer`; an empty text for what is not worth telling.
        """
        super().__init__(below, opened, refused)
        self._settings = settings
        self._address = below.peer()
        self._data = b""

    def peer(self) -> tuple[str, int]:
        """Address and port of the client; those of the proxy until the header is there."""
        return self._address

    def stream_data(self, data: bytes) -> None:
        """See :class:`midge.net.stream.Handler`."""
        if self.above is not None:
            self.above.stream_data(data)
        elif not self._told:
            self._data += data
            self._read()

    def _read(self) -> None:
        try:
            found = read_header(self._data, self._settings.proxy_protocol)
        except ProxyError as error:
            self.fail(str(error))
            return
        if found is None:
            return
        header, length = found
        rest = self._data[length:]
        self._data = b""
        if header.address is not None:
            self._address = (header.address, header.port)
        fault = self._fault(header)
        if fault is not None:
            self.fail(fault)
            return
        self.secured = header.secured
        if self._settings.use_identity_as_username and header.certified:
            self.username = header.common_name
        self.ready()
        if rest and self.above is not None:
            self.above.stream_data(rest)

    def _fault(self, header: ProxyHeader) -> str | None:
        """Why the listener does not want this client; ``None`` where it does."""
        settings = self._settings
        if header.local:
            return ""
        if settings.proxy_protocol == 2:
            if settings.proxy_protocol_v2_require_tls and not header.secured:
                return NO_TLS
            if settings.require_certificate and not header.certified:
                return NO_CERTIFICATE
        return None
