"""TLS-PSK: contexts with pre-shared keys instead of certificates, where Python has them (3.13).

OpenSSL asks for the key of an identity in the middle of a handshake, through the context; whose
handshake it is it does not tell. All handshakes of a context run in the thread of the loop, one
step at a time, so whoever has just taken a step finds there which identity it was about. Not here:
TLS 1.3, which has another kind of pre-shared keys, without hints.
"""

from __future__ import annotations

import ssl

from midge.auth import psk_file
from midge.errors import ConfigError
from midge.limits import SECURITY_FILE_BYTES_MAX

#: What is offered with pre-shared keys where the configuration names no ciphers.
_CIPHERS = "PSK"


class PskContext(ssl.SSLContext):
    """A context with pre-shared keys.

    Attributes:
        identity: the one that was asked for last and is known; taken away by who sees it.
    """

    identity: str | None

    def take_identity(self) -> str | None:
        """Whom the step of a handshake that was just made was about; ``None`` for nobody."""
        identity, self.identity = self.identity, None
        return identity


def make_psk_context(hint: str, keys: dict[str, bytes]) -> PskContext:
    """A context for those who have one of some keys.

    Args:
        hint: is told to clients.
        keys: by identity.

    Raises:
        ConfigError: this Python, or its OpenSSL, has no TLS-PSK.
    """
    context = PskContext(ssl.PROTOCOL_TLS_SERVER)
    context.identity = None
    set_callback = getattr(context, "set_psk_server_callback", None)
    if set_callback is None:
        raise ConfigError("Error: TLS-PSK (psk_hint) needs Python 3.13 or later.")

    def key_of(identity: str | None) -> bytes:
        key = keys.get(identity or "", b"")  # nobody has an empty key: the handshake ends
        context.identity = identity if key else None
        return key

    try:
        set_callback(key_of, hint)
    except NotImplementedError:
        raise ConfigError("Error: TLS-PSK (psk_hint): this Python's OpenSSL has none.") from None
    except ValueError as error:
        raise ConfigError(f"Error: Unable to use psk_hint '{hint}': {error}.") from None
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    # Who takes up an earlier session is not asked for its identity again.
    context.options |= ssl.OP_NO_TICKET
    context.set_ciphers(_CIPHERS)
    return context


def read_keys(path: str | None) -> dict[str, bytes]:
    """The keys of a ``psk_file``; none where there is none.

    Raises:
        ConfigError: it cannot be read or used.
    """
    if path is None:
        return {}
    try:
        with open(path, "rb") as file:
            data = file.read(SECURITY_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"Error: Unable to open psk_file '{path}': {error.strerror}.") from None
    if len(data) > SECURITY_FILE_BYTES_MAX:
        raise ConfigError(
            f"Error: psk_file '{path}' has more than {SECURITY_FILE_BYTES_MAX} bytes."
        )
    return psk_file.parse(data.decode(errors="surrogateescape"), path)
