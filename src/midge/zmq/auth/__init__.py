"""Who may connect: certificates, and the handlers that decide (ZAP, RFC 27)."""

from __future__ import annotations

from midge.zmq.auth.base import CURVE_ALLOW_ANY, Authenticator
from midge.zmq.auth.certs import create_certificates, load_certificate, load_certificates

__all__ = [
    "CURVE_ALLOW_ANY",
    "Authenticator",
    "create_certificates",
    "load_certificate",
    "load_certificates",
]
