"""The settings of a listener that say how TLS is spoken there."""

from __future__ import annotations

from dataclasses import dataclass

from midge.config.security import SecuritySettings


@dataclass(slots=True, kw_only=True)
class TlsSettings(SecuritySettings):
    """TLS at a listener. It goes where there is a ``certfile``, or a ``psk_hint``.

    Attributes:
        certfile, keyfile: the broker's certificate, with its chain, and its key.
        cafile, capath: authorities that client certificates are checked with: a file, a directory.
        crlfile: certificates that were revoked.
        ciphers, ciphers_tls13: ciphers that are offered up to TLS 1.2, and with TLS 1.3; ``None``
            for OpenSSL's choice.
        tls_version: the lowest version that is accepted, as the configuration has it.
        tls_keyform: ``pem`` or ``engine``.
        tls_engine, tls_engine_kpass_sha1: an engine of OpenSSL, and the hash of a key's password.
        psk_hint: TLS-PSK is spoken, with this hint.
        require_certificate: clients must show a valid certificate.
        disable_client_cert_date_checks: one that has expired, or is not valid yet, will do.
        use_identity_as_username: the common name of its certificate, or the PSK identity, is a
            client's user name.
        use_subject_as_username: the subject of its certificate is a client's user name.
    """

    certfile: str | None = None
    keyfile: str | None = None
    cafile: str | None = None
    capath: str | None = None
    crlfile: str | None = None
    ciphers: str | None = None
    ciphers_tls13: str | None = None
    tls_version: str | None = None
    tls_keyform: str = "pem"
    tls_engine: str | None = None
    tls_engine_kpass_sha1: str | None = None
    psk_hint: str | None = None
    require_certificate: bool = False
    disable_client_cert_date_checks: bool = False
    use_identity_as_username: bool = False
    use_subject_as_username: bool = False
