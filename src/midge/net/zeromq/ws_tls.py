"""TLS of ``wss://``, on memory: what libzmq's options say, and one end of a connection.

The options hold certificates and keys themselves (PEM), not the names of files. Who connects always
verifies its peer: the certificate must come from ``WSS_TRUST_PEM`` or, with ``WSS_TRUST_SYSTEM``,
from an authority that this machine trusts, and must name ``WSS_HOSTNAME`` or, where that is empty,
the host of the endpoint. (There libzmq is content with any name.)
"""

from __future__ import annotations

import errno
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from midge.limits import READ_BYTES
from midge.net.zeromq.stream_wire import Buffer
from midge.patterns.errors import SocketError
from midge.zmtp.errors import WS_UNSPECIFIED, ZmtpError

if TYPE_CHECKING:
    from midge.patterns.options import Options


def server_context(options: Options) -> ssl.SSLContext:
    """The context of who is bound.

    Raises:
        SocketError: EINVAL: there is no certificate and key in the options that can be used.
    """
    if not options.wss_cert_pem or not options.wss_key_pem:
        raise SocketError(
            errno.EINVAL, "to bind to wss:// needs WSS_CERT_PEM and WSS_KEY_PEM to be set"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # ssl loads keys from files only; this one is for our user alone, and gone at once.
    with tempfile.NamedTemporaryFile(prefix="midge-") as file:
        pem = f"{options.wss_key_pem.strip()}\n{options.wss_cert_pem.strip()}\n"
        file.write(pem.encode("utf-8"))
        file.flush()
        try:
            context.load_cert_chain(file.name, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise SocketError(
                errno.EINVAL, f"WSS_CERT_PEM and WSS_KEY_PEM cannot be used: {_reason(error)}"
            ) from None
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody is there to give its password")


def client_context(options: Options) -> ssl.SSLContext:
    """The context of who connects.

    Raises:
        SocketError: EINVAL: what is to be trusted cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if options.wss_trust_system:
        context.load_default_certs()
    if options.wss_trust_pem:
        try:
            context.load_verify_locations(cadata=options.wss_trust_pem)
        except (ssl.SSLError, ValueError) as error:
            raise SocketError(
                errno.EINVAL, f"WSS_TRUST_PEM cannot be used: {_reason(error)}"
            ) from None
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        # (Which may be None, whatever typeshed says, and compiled code believes it.)
        reason = getattr(error, "reason", None) or str(error)
        return str(reason).lower().replace("_", " ")
    return str(error)


class TlsEnd:
    """One end of a connection: bytes of the socket in, clear bytes out, and back.

    Attributes:
        shaken: the handshake is done.
    """

    __slots__ = ("_incoming", "_outgoing", "_tls", "shaken")

    def __init__(self, context: ssl.SSLContext, hostname: str = "") -> None:
        """``hostname``: whom we connect to; empty for who is bound."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=not hostname,
            server_hostname=hostname or None,
        )
        self.shaken = False

    def start(self) -> list[bytes]:
        """What is to be said first."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self.to_send()

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """What ``data`` says in clear, and whether the peer said goodbye.

        Raises:
            ZmtpError: the handshake failed, or the connection is broken; :meth:`to_send` tells
                the peer.
        """
        self._incoming.write(data)
        pieces: list[bytes] = []
        over = False
        try:
            if not self.shaken:
                self._tls.do_handshake()
                self.shaken = True
            while piece := self._tls.read(READ_BYTES):
                pieces.append(piece)
            over = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            over = True
        except ssl.SSLError as error:
            raise ZmtpError(f"TLS failed: {_reason(error)}", WS_UNSPECIFIED) from None
        return b"".join(pieces), over

    def send(self, chunks: Sequence[Buffer]) -> list[bytes]:
        """The bytes of the socket for clear ones."""
        data = b"".join(chunks)
        if data:
            with suppress(ssl.SSLError):  # it is over: reading tells why
                self._tls.write(data)
        return self.to_send()

    def goodbye(self) -> list[bytes]:
        """The end; the peer's is not waited for."""
        with suppress(ssl.SSLError, ValueError):
            self._tls.unwrap()
        return self.to_send()

    def to_send(self) -> list[bytes]:
        """What TLS itself has to say."""
        return [self._outgoing.read()] if self._outgoing.pending else []
