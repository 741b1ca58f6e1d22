"""The broker as a service: everything that belongs to one, put together in an event loop.

:meth:`Service.serve` runs from the first accepted connection to the last goodbye. In between it
does what signals ask for. What a reload does stands in :mod:`midge.server.reload`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from typing import TYPE_CHECKING, Final

from midge import __version__
from midge.clock import SystemClock
from midge.errors import ConfigError
from midge.limits import SLICE_ENTRIES, STOP_TIMEOUT_S, TLS_LOOK_S
from midge.server import broker_control, signals
from midge.server import log_lines as lines
from midge.server.log_sinks import TopicSink
from midge.server.logs import Log, open_sinks, types_of
from midge.server.loop_errors import LoopErrors
from midge.server.mqtt_server import MqttServer
from midge.server.narrator import Narrator
from midge.server.reload import Reload
from midge.server.security import Security
from midge.server.sys_tree import publish_log
from midge.server.systemd import Supervisor
from midge.server.tree import tree_lines
from midge.server.upkeep import Upkeep
from midge.server.web import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from midge.config.settings import Configuration
    from midge.server.listeners import Listeners

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 3


class Service:
    """A running broker with all that surrounds it.

    Args:
        configuration: what it runs with.
        read_again: reads it anew, for a reload.
        listeners: open already.
        log: where everything is told.
        quiet, verbose: the command line's word about the log.

    Attributes:
        configuration: what it runs with now.
        listeners: where it listens.
        server: the broker on the loop.
        security: who may.
        upkeep, narrator, topics: its other parts, for a reload.
    """

    __slots__ = (
        "_again",
        "_look",
        "_quiet",
        "_stop",
        "_supervisor",
        "_verbose",
        "_web",
        "configuration",
        "listeners",
        "log",
        "narrator",
        "read_again",
        "reloading",
        "security",
        "server",
        "topics",
        "upkeep",
    )

    def __init__(
        self,
        configuration: Configuration,
        read_again: Callable[[], Configuration],
        listeners: Listeners,
        log: Log,
        *,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        clock = SystemClock()
        settings = configuration.settings
        self.configuration = configuration
        self.read_again = read_again
        self.listeners = listeners
        self.log = log
        self._quiet = quiet
        self._verbose = verbose
        self._stop = asyncio.Event()
        self._supervisor = Supervisor(os.environ)
        self._again = False
        self.reloading: asyncio.Task[None] | None = None
        self.narrator = Narrator(log, settings.connection_messages)
        self.server = MqttServer(settings, self.narrator)
        self._look: asyncio.TimerHandle | None = None
        self.security = Security(self.server, loop, clock, log)
        self.topics = TopicSink(self._log_waits)
        self.upkeep = Upkeep(self.server, loop, clock, log)
        self._web = Web(self.server, loop, listeners, lines.version(__version__))
        listeners.web = self._web
        orders = broker_control.BrokerControl(self.server.broker, listeners, log)
        self.server.broker.router.subscriptions.add_control(broker_control.TOPIC, orders)
        loop.set_exception_handler(LoopErrors(log))

    # -- from beginning to end -----------------------------------------------------------------

    async def serve(self) -> int:
        """Serve until something says stop; returns the exit status."""
        status = self._prepare()
        if status != EXIT_OK:
            self.security.close()
            return status
        loop = asyncio.get_running_loop()
        signals.handle_in(loop, self)
        for listener in self.listeners.all:
            await self.listeners.serve(self.server, listener)
        # What is here now stays: the collector need not look through it again and again, which
        # takes it some 15 ms each time.
        gc.collect()
        gc.freeze()
        self.log.information(lines.running(__version__))
        self._look_at_files()
        self._supervisor.ready(self._status())
        self._supervisor.watch(loop)
        await self._stop.wait()
        await self._end()
        return EXIT_OK

    def _prepare(self) -> int:
        """Everything that can fail, before anybody is served."""
        settings = self.configuration.settings
        if "topic" in settings.log_destinations:
            with contextlib.suppress(OSError):  # what else failed was said when the log was opened
                self.log.set_sinks(open_sinks(settings, self.topics))
                self.log.set_types(self.log_types(self.configuration))
                self.narrator.trace = self.log.debug_on
        try:
            self.security.apply(self.security.plan(self.configuration))
        except ConfigError as error:
            for line in error.lines():
                self.log.error(line)
            return EXIT_CONFIG
        if settings.persistence and not self._keep_state():
            return EXIT_FAILED
        for fault in self.server.broker.queues.declare(settings.queues):
            self.log.error(f"Error: {fault}.")
        self.upkeep.begin()
        return EXIT_OK

    def _look_at_files(self) -> None:
        """Certificates may be renewed at any time, and nobody need tell."""
        if any(listener.tls is not None for listener in self.listeners.all):
            self.listeners.look_at_files()
        self._look = asyncio.get_running_loop().call_later(TLS_LOOK_S, self._look_at_files)

    async def _end(self) -> None:
        if self._look is not None:
            self._look.cancel()
        self._supervisor.stopping()
        if self.reloading is not None:
            await self.reloading
        self.upkeep.close()
        self.listeners.close()
        self._web.close()
        await self.server.close(STOP_TIMEOUT_S)
        self.topics.close()
        self.security.close()
        self._supervisor.close()
        signals.ignore_in(asyncio.get_running_loop())

    def _keep_state(self) -> bool:
        from midge.server.persistence import keep  # most brokers start without SQLite

        return keep(self.server, self.configuration.settings, self.log)

    def log_types(self, configuration: Configuration) -> frozenset[str]:
        """The kinds of lines that a configuration wants, unless the command line says."""
        return types_of(configuration.settings, quiet=self._quiet, verbose=self._verbose)

    def _status(self) -> str:
        where = ", ".join(listener.settings.name() for listener in self.listeners.all)
        return f"Serving on {where or 'nothing'}"

    def _log_waits(self) -> None:
        asyncio.get_running_loop().call_soon(publish_log, self.server, self.topics)

    # -- what signals ask for ------------------------------------------------------------------

    def stop(self) -> None:
        """See :class:`midge.server.signals.Actions`; the second time, nobody is waited for."""
        if self._stop.is_set():
            for client in list(self.server.clients):
                client.abort()
        self._stop.set()

    def reload(self) -> None:
        """See :class:`midge.server.signals.Actions`."""
        self._again = True
        if self.reloading is None or self.reloading.done():
            self.reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        while self._again:  # whoever asks in the middle of one means the file as it is then
            self._again = False
            self._supervisor.reloading()
            await Reload(self).carry_out()
            self._supervisor.ready(self._status())

    def save(self) -> None:
        """See :class:`midge.server.signals.Actions`."""
        if self.server.durability is None:
            self.log.information("Nothing to save: persistence is off.")
        else:
            self.log.information("Saving what is not on the disk yet.")
            self.server.durability.commit_now()

    def show_tree(self) -> None:
        """See :class:`midge.server.signals.Actions`."""
        self._print_some(tree_lines(self.server.broker.sessions.all()))

    def _print_some(self, printed: Iterator[str]) -> None:
        some = [line for _, line in zip(range(SLICE_ENTRIES), printed, strict=False)]
        if not some:
            return
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write("".join(f"{line}\n" for line in some))
            sys.stdout.flush()
        asyncio.get_running_loop().call_soon(self._print_some, printed)

    def rotate_log(self) -> None:
        """See :class:`midge.server.signals.Actions`."""
        self.log.reopen()
