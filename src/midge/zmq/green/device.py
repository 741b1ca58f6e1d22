"""Devices that run in a greenlet, beside others."""

from __future__ import annotations

from typing import Any

from midge.zmq.constants import PollEvent
from midge.zmq.green.poll import Poller

#: Types that only send.
_SENDERS = ("PUSH", "PUB", "SCATTER", "RADIO")


def proxy(frontend: Any, backend: Any, capture: Any = None) -> None:
    """Pass messages on in both directions, until a context ends.

    Args:
        capture: a socket that gets a copy of each.
    """
    other = {frontend: backend, backend: frontend}
    poller = Poller()
    for one in other:
        if one.type.name not in _SENDERS:
            poller.register(one, PollEvent.POLLIN)
    while True:
        for one, _ in poller.poll():
            parts = one.recv_multipart()
            if capture is not None:
                capture.send_multipart(parts)
            other[one].send_multipart(parts)


def device(device_type: int, frontend: Any, backend: Any = None) -> None:
    """The old name of :func:`proxy`; the type is looked at by nobody."""
    proxy(frontend, frontend if backend is None or backend == -1 else backend)


__all__ = ["device", "proxy"]
