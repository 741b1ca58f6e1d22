"""What systemd is told of a service, and that it is alive: ``sd_notify`` without the library.

Messages are datagrams to the socket that ``NOTIFY_SOCKET`` names. With ``WATCHDOG_USEC`` systemd
waits for a sign of life at least that often; it gets one twice as often, from the event loop, so a
loop that stands still gives none.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
_ALIVE: Final = "WATCHDOG=1"


class Supervisor:
    """Whoever started us and wants to know how we are; says nothing where that is nobody.

    Args:
        environment: has ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC``, where there is such a one. They
            are taken out, so that no child of ours speaks for us.

    Attributes:
        watchdog_s: how often it wants a sign of life; 0 for never.
    """

    __slots__ = ("_address", "_socket", "_timer", "watchdog_s")

    def __init__(self, environment: dict[str, str] | os._Environ[str]) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(environment) if address else 0.0
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            environment.pop(name, None)
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def tell(self, *lines: str) -> None:
        """Send a message; that nobody listens any more is no trouble of ours."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(), self._address)

    def ready(self, status: str) -> None:
        """We serve."""
        self.tell(READY, f"STATUS={status}", f"MAINPID={os.getpid()}")

    def reloading(self) -> None:
        """The configuration is being read again; :meth:`ready` says when that is done."""
        # systemd wants to know when, so that it can tell this message from one before its own.
        stamp_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={stamp_us}", "STATUS=Reloading config.")

    def stopping(self) -> None:
        """We were told to end."""
        self.tell(STOPPING, "STATUS=Telling clients that the server shuts down.")

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give signs of life from ``loop``, from now on."""
        if self.watchdog_s:
            self.tell(_ALIVE)
            self._timer = loop.call_later(self.watchdog_s / 2, self.watch, loop)

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _watchdog_s(environment: Mapping[str, str]) -> float:
    text = environment.get("WATCHDOG_USEC", "")
    meant_for = environment.get("WATCHDOG_PID", "")
    if not text.isdigit() or (meant_for and meant_for != str(os.getpid())):
        return 0.0
    return int(text) / 1_000_000
