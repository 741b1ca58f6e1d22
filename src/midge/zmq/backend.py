"""pyzmq's name for what is written in C there; programs look in it for these few."""

from __future__ import annotations

from midge.zmq import (
    Context,
    Frame,
    Socket,
    curve_keypair,
    curve_public,
    has,
    proxy,
    proxy_steerable,
    strerror,
    zmq_errno,
    zmq_poll,
    zmq_version_info,
)

PYZMQ_DRAFT_API = True

__all__ = [
    "PYZMQ_DRAFT_API",
    "Context",
    "Frame",
    "Socket",
    "curve_keypair",
    "curve_public",
    "has",
    "proxy",
    "proxy_steerable",
    "strerror",
    "zmq_errno",
    "zmq_poll",
    "zmq_version_info",
]
