"""A broker inside a program: ``async with midge.Broker(port=0) as broker:``."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import TYPE_CHECKING

from midge.clock import SystemClock
from midge.config.settings import Configuration, ListenerSettings, Settings
from midge.net.listener import open_tcp
from midge.server.mqtt_server import MqttServer
from midge.server.narrator import Narrator
from midge.server.security import Security
from midge.server.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midge.broker.metrics import Metrics
    from midge.server.logs import Log


class Broker:
    """An MQTT broker in the event loop that it is entered in.

    ::

        async with midge.Broker(port=0) as broker:
            print(broker.host, broker.port)

    It logs to the standard library's logger ``midge``. Leaving the block tells every client that
    the server shuts down, and waits for them to be gone.

    Args:
        host: the address to listen on; ``None`` for all addresses of the machine.
        port: 0 for a free one; :attr:`port` says which.
        settings: limits and choices, see :class:`midge.config.settings.Settings`.
        listener: those of the listener.
        authenticators: who is asked who a client is, besides what the settings name: objects with
            a method ``authenticate``, ordinary or ``async``, see :mod:`midge.server.plugins`.
        authorizers: who is asked what a client may do: objects with a method ``authorize``.

    Raises:
        OSError: on entering, when the address cannot be listened on.
        ConfigError: on entering, when a file that the settings name cannot be used.
    """

    def __init__(
        self,
        host: str | None = "127.0.0.1",
        port: int = 1883,
        *,
        settings: Settings | None = None,
        listener: ListenerSettings | None = None,
        authenticators: Sequence[object] = (),
        authorizers: Sequence[object] = (),
    ) -> None:
        self._host = host
        self._port = port
        self._settings = Settings() if settings is None else settings
        self._listener = ListenerSettings() if listener is None else listener
        self._own = (tuple(authenticators), tuple(authorizers))
        self._server: MqttServer | None = None
        self._upkeep: Upkeep | None = None
        self._security: Security | None = None
        self._addresses: list[tuple[str, int]] = []

    async def start(self) -> None:
        """Listen and serve; what entering the block does."""
        sockets = open_tcp(self._host, self._port)
        narrator = Narrator.to_logging(logging.getLogger("midge"))
        server = MqttServer(self._settings, narrator)
        for fault in server.broker.queues.declare(self._settings.queues):
            narrator.log.error(f"Error: {fault}.")
        try:
            self._secure(server, narrator.log)
        except BaseException:
            for listening in sockets:
                listening.close()
            raise
        for listening in sockets:
            address = listening.getsockname()
            self._addresses.append((address[0], address[1]))
            await server.listen(listening, self._listener)
        self._server = server
        loop = asyncio.get_running_loop()
        self._upkeep = Upkeep(server, loop, SystemClock(), narrator.log)
        self._upkeep.begin()

    def _secure(self, server: MqttServer, log: Log) -> None:
        """Ask those who decide, where the settings or the program name any."""
        settings, listener = self._settings, self._listener
        places = (settings, listener)
        if not (
            any(self._own)
            or any(one.has_authentication() or one.has_authorization() for one in places)
            or any(one.allow_anonymous is False for one in places)
        ):
            return
        security = Security(server, asyncio.get_running_loop(), SystemClock(), log, *self._own)
        try:
            configuration = Configuration(settings=settings, listeners=[listener])
            security.apply(security.plan(configuration))
        except BaseException:
            security.close()
            raise
        self._security = security

    async def stop(self) -> None:
        """Tell the clients, close; what leaving the block does."""
        server = self._server
        self._server = None
        self._addresses = []
        if self._upkeep is not None:
            self._upkeep.close()
            self._upkeep = None
        if server is not None:
            await server.close()
        if self._security is not None:
            self._security.close()
            self._security = None

    async def __aenter__(self) -> Broker:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Address and port of each listening socket; empty while it does not serve."""
        return list(self._addresses)

    @property
    def host(self) -> str:
        """The address that clients on this machine reach it by."""
        return self._running()[0]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._running()[1]

    @property
    def metrics(self) -> Metrics:
        """What it has counted."""
        if self._server is None:
            raise RuntimeError("the broker is not running: enter it with `async with`")
        return self._server.broker.metrics

    def _running(self) -> tuple[str, int]:
        if not self._addresses:
            raise RuntimeError("the broker is not running: enter it with `async with`")
        return self._addresses[0]
