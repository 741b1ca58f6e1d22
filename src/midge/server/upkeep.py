"""What a broker does now and then by itself: $SYS, a look at its memory and at expired messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge import __version__
from midge.broker.expiry import RetainedExpiry
from midge.server import log_lines as lines
from midge.server.memory import MemoryGuard
from midge.server.sys_tree import SysPublisher

if TYPE_CHECKING:
    import asyncio

    from midge.clock import Clock
    from midge.server.logs import Log
    from midge.server.mqtt_server import MqttServer


class Upkeep:
    """The upkeep of one broker."""

    __slots__ = ("_expiry", "_memory", "_server", "_sys_tree")

    def __init__(
        self, server: MqttServer, loop: asyncio.AbstractEventLoop, clock: Clock, log: Log
    ) -> None:
        self._server = server
        self._expiry = RetainedExpiry(server.broker)
        self._memory = MemoryGuard(server.broker, loop, log)
        self._sys_tree = SysPublisher(server, loop, lines.version(__version__), clock)

    def begin(self) -> None:
        """Go by the settings as they are now; to be called again when they change."""
        self._expiry.begin(self._server.now())
        self._memory.begin()
        self._sys_tree.begin()
        self._server.wake()

    def close(self) -> None:
        """Do no more."""
        self._sys_tree.close()
        self._memory.close()
