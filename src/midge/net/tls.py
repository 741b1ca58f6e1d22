"""TLS at a listener: contexts from files, and a layer that speaks it.

The layer runs OpenSSL on memory: bytes of the transport in, clear bytes out. So it stands on
anything (behind the PROXY protocol, for instance), works the same on asyncio's loop and on uvloop,
and a new certificate is for the next connection without touching those that are there.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from typing import TYPE_CHECKING, Any, Final

from midge.errors import ConfigError
from midge.limits import READ_BYTES
from midge.net.layer import Below, Layer
from midge.net.psk import PskContext, make_psk_context, read_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.config.tls import TlsSettings
    from midge.net.stream import Handler

#: As :mod:`ssl` has the subject of a certificate.
Subject = tuple[tuple[tuple[str, str], ...], ...]
#: OpenSSL's flag that leaves the dates of certificates alone.
_NO_CHECK_TIME: Final = 0x200000
_VERSIONS: Final = {
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
}
#: Short names of what a certificate's subject consists of (RFC 2253 section 2.3).
_SHORT: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
_ESCAPED: Final = ',+"\\<>;'


def make_context(settings: TlsSettings, psk_file: str | None = None) -> ssl.SSLContext:
    """The context of a listener.

    Args:
        psk_file: the pre-shared keys, for ``psk_hint``.

    Raises:
        ConfigError: a file cannot be used, or this Python or OpenSSL lacks what is asked for.
    """
    if settings.tls_engine or settings.tls_keyform != "pem":
        raise ConfigError(
            "Error: tls_engine and tls_keyform engine are not supported: Python's ssl loads no "
            "engines. Use a key in a file, with 'tls_keyform pem'."
        )
    if settings.ciphers_tls13 is not None:
        raise ConfigError(
            "Error: ciphers_tls1.3 is not supported: Python's ssl cannot choose them before 3.15. "
            "Without it, OpenSSL's own choice is used, which openssl.cnf can change (Ciphersuites)."
        )
    with_keys = settings.psk_hint is not None and settings.certfile is None
    if with_keys:
        assert settings.psk_hint is not None
        context: ssl.SSLContext = make_psk_context(settings.psk_hint, read_keys(psk_file))
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if settings.tls_version is not None:
        version = _VERSIONS.get(settings.tls_version)
        if version is None:
            raise ConfigError(f'Error: Unsupported tls_version "{settings.tls_version}".')
        if with_keys and version == ssl.TLSVersion.TLSv1_3:
            raise ConfigError("Error: tls_version tlsv1.3 cannot be used with psk_hint.")
        context.minimum_version = version
    if settings.ciphers is not None:
        try:
            context.set_ciphers(settings.ciphers)
        except ssl.SSLError:
            raise ConfigError(
                f'Error: Unable to set TLS ciphers. Check cipher list "{settings.ciphers}".'
            ) from None
    if not with_keys:
        _load_certificate(context, settings)
        _load_authorities(context, settings)
    if os.environ.get("SSLKEYLOGFILE"):
        context.keylog_filename = os.environ["SSLKEYLOGFILE"]
    context.set_alpn_protocols(["mqtt", "http/1.1"])
    return context


def _load_certificate(context: ssl.SSLContext, settings: TlsSettings) -> None:
    certfile, keyfile = settings.certfile, settings.keyfile
    if certfile is None or keyfile is None:
        raise ConfigError("Error: Both certfile and keyfile must be provided for a TLS listener.")
    for path, option in ((certfile, "certfile"), (keyfile, "keyfile")):
        what = "certificate" if option == "certfile" else "key file"
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise ConfigError(
                f'Error: Unable to load server {what} "{path}". Check {option}. ({error.strerror})'
            ) from None
    try:
        context.load_cert_chain(certfile, keyfile, _no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f'Error: Unable to load server certificate "{certfile}" with key "{keyfile}". '
            f"Check certfile and keyfile. ({_reason(error)})"
        ) from None


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody is there to give its password")


def _load_authorities(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.cafile is not None or settings.capath is not None:
        try:
            context.load_verify_locations(settings.cafile, settings.capath)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f'Error: Unable to load CA certificates. Check cafile "{settings.cafile}" and '
                f'capath "{settings.capath}". ({_reason(error)})'
            ) from None
    if settings.require_certificate:
        if settings.cafile is None and settings.capath is None:
            raise ConfigError("Error: require_certificate needs a cafile or capath.")
        context.verify_mode = ssl.CERT_REQUIRED
    if settings.crlfile is not None:
        try:
            context.load_verify_locations(settings.crlfile)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f'Error: Unable to load certificate revocation file "{settings.crlfile}". '
                f"Check crlfile. ({_reason(error)})"
            ) from None
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if settings.disable_client_cert_date_checks:
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)


class TlsKeeper:
    """The context of one listener, made anew when its files change.

    Attributes:
        context: for the next connection.
    """

    __slots__ = ("_psk_file", "_settings", "_stamps", "context")

    def __init__(self, settings: TlsSettings, psk_file: str | None = None) -> None:
        """Raises ConfigError: see :func:`make_context`."""
        self._settings = settings
        self._psk_file = psk_file
        self._stamps = self._look()
        self.context = make_context(settings, psk_file)

    def _look(self) -> list[tuple[int, int, int] | None]:
        """What tells one state of the files from another."""
        settings = self._settings
        stamps: list[tuple[int, int, int] | None] = []
        for path in (
            settings.certfile,
            settings.keyfile,
            settings.cafile,
            settings.capath,
            settings.crlfile,
            self._psk_file if settings.psk_hint is not None else None,
        ):
            try:
                found = None if path is None else os.stat(path)
            except OSError:
                found = None
            stamps.append(
                None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
            )
        return stamps

    def changed(self) -> bool:
        """Whether a file is another one than when it was last read."""
        return self._look() != self._stamps

    def reload(self) -> None:
        """Read the files again; for the connections to come.

        Raises:
            ConfigError: they cannot be used; the last ones go on being used.
        """
        self._stamps = self._look()
        self.context = make_context(self._settings, self._psk_file)

    def take(self, context: ssl.SSLContext, psk_file: str | None = None) -> None:
        """Use a context that was made of the settings as they are now, and of these keys."""
        self._psk_file = psk_file
        self._stamps = self._look()
        self.context = context


class TlsLayer(Layer):
    """TLS, the server's side.

    Attributes:
        username: after the handshake, what the client's certificate says, or its identity with a
            pre-shared key, if that is asked for.
    """

    __slots__ = ("_context", "_identity", "_incoming", "_outgoing", "_settings", "_shaken", "_tls")

    def __init__(
        self,
        below: Below,
        settings: TlsSettings,
        context: ssl.SSLContext,
        opened: Callable[[Layer], Handler | None],
        refused: Callable[[Layer, str], None],
    ) -> None:
        super().__init__(below, opened, refused)
        self._settings = settings
        self._context = context
        self._identity: str | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken = False
        self.secured = True

    def stream_data(self, data: bytes) -> None:
        """See :class:`midge.net.stream.Handler`."""
        self._incoming.write(data)
        if not self._shaken and not self._shake():
            return
        try:
            clear, over = self._read()
        except ssl.SSLError as error:
            self._flush()
            self.fail(_reason(error))
            return
        if clear and self.above is not None:
            self.above.stream_data(clear)
        self._flush()
        if over and not self.closed:
            self.below.close()

    def _shake(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            try:
                self._tls.do_handshake()
            finally:
                self._see_identity()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._flush()  # the alert that says why
            self.fail(_hint(_reason(error)))
            return False
        self._shaken = True
        self._flush()
        self.username = self._name()
        self.ready()
        return self.above is not None

    def _see_identity(self) -> None:
        """Of a pre-shared key, if this step of the handshake was about one."""
        if isinstance(self._context, PskContext):
            self._identity = self._context.take_identity() or self._identity

    def _read(self) -> tuple[bytes, bool]:
        """What is there in clear, and whether the peer said goodbye."""
        pieces: list[bytes] = []
        try:
            while True:
                piece = self._tls.read(READ_BYTES)
                if not piece:
                    return b"".join(pieces), True
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces), False
        except ssl.SSLZeroReturnError:
            return b"".join(pieces), True

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.below.write(self._outgoing.read())

    def write(self, data: bytes) -> None:
        """Send."""
        if self.closed:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self.fail(_reason(error))
            return
        self._flush()

    def close(self) -> None:
        """Say goodbye, send what there is, then close."""
        if self._shaken and not self.closed:
            with contextlib.suppress(ssl.SSLError, ValueError):
                self._tls.unwrap()  # the peer's goodbye is not waited for
            self._flush()
        self.below.close()

    def _name(self) -> str | None:
        settings = self._settings
        if not (settings.use_identity_as_username or settings.use_subject_as_username):
            return None
        if self._identity is not None:
            return self._identity
        certificate: Any = self._tls.getpeercert()
        if not certificate:
            return None
        subject: Subject = certificate.get("subject", ())
        if settings.use_subject_as_username:
            return subject_text(subject)
        for part in subject:
            for name, value in part:
                if name == "commonName":
                    return str(value)
        return None


def _hint(reason: str) -> str:
    if reason == "http request":
        return "the client speaks HTTP without TLS"
    if reason in ("wrong version number", "unknown protocol", "packet length too long"):
        return "the client does not speak TLS, or no version that is accepted here"
    return reason


def subject_text(subject: Subject) -> str:
    """The subject of a certificate as text, the last part first (RFC 2253 section 2)."""
    return ",".join(
        "+".join(f"{_SHORT.get(name, name)}={_escape(value)}" for name, value in part)
        for part in reversed(subject)
    )


def _escape(value: str) -> str:
    text = "".join(f"\\{one}" if one in _ESCAPED else one for one in value)
    if text[:1] in ("#", " "):
        text = "\\" + text
    if text.endswith(" ") and len(text) > 1:
        text = text[:-1] + "\\ "
    return text
