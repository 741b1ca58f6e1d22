"""Who may connect: certificates, and the handlers that decide (ZAP, RFC 27)."""

from __future__ import annotations

from midge.zmq.auth.base import Authenticator
from midge.zmq.auth.certs import create_certificates, load_certificate, load_certificates

#: Any client with a key may come in.
CURVE_ALLOW_ANY = "*"

__all__ = [
    "CURVE_ALLOW_ANY",
    "Authenticator",
    "create_certificates",
    "load_certificate",
    "load_certificates",
]
