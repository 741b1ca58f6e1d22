"""SIGHUP: another configuration for a broker that runs.

First everything is read, checked and opened, and nothing of the broker changes: the file, the
passwords, rules and keys that it names, log files, new listeners. Whatever fails there is told, and
the old configuration stays, whole. Then everything is applied, without a step that can fail, in one
turn of the loop: settings, who may, the log, listeners. Connections stay as they are, except those
that the new rules do not let in and those of a listener that is gone.

What is to be done is planned by :mod:`midge.config.diff`. What only a restart can change is named
in a warning.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from midge.config.diff import ReloadPlan
from midge.config.diff import plan as plan_reload
from midge.errors import ConfigError
from midge.server import log_lines as lines
from midge.server.listeners import OpenListener, locate, new_context, why_not_open
from midge.server.logs import close_sinks, open_sinks, unopened
from midge.server.zmq_place import make_place
from midge.server.zmq_users import show_out_strangers

if TYPE_CHECKING:
    from ssl import SSLContext

    from midge.config.settings import Configuration, ListenerSettings
    from midge.links.zmq_place import Place
    from midge.server.log_sinks import Sink
    from midge.server.security_plan import Plan
    from midge.server.service import Service

_RATES: Final = ("rate_limit_messages", "rate_limit_bytes")
_FAILED: Final = "Error: The configuration was not reloaded; the old one stays in use."


class Reload:
    """One reload of one service."""

    __slots__ = ("_contexts", "_opened", "_places", "_service")

    def __init__(self, service: Service) -> None:
        self._service = service
        self._opened: list[OpenListener] = []
        # By the listener's new settings.
        self._contexts: dict[int, SSLContext | None] = {}
        self._places: dict[int, Place | None] = {}

    async def carry_out(self) -> None:
        """Do it, or say in the log why not."""
        service = self._service
        log = service.log
        log.information(lines.RELOADING)
        sinks: list[Sink] = []
        try:
            configuration = service.read_again()
            plan = plan_reload(service.configuration, configuration)
            security = service.security.plan(configuration)
            sinks = self._open_log(plan)
            self._open_new(configuration, plan)
        except ConfigError as error:
            self._abandon(sinks)
            for line in error.lines():
                log.error(line)
            log.error(_FAILED)
            return
        self._apply(configuration, plan, security, sinks)
        for listener in self._opened:
            await service.listeners.serve(service.server, listener)
        log.information("Config reloaded.")

    # -- what can fail -------------------------------------------------------------------------

    def _open_new(self, configuration: Configuration, plan: ReloadPlan) -> None:
        listeners = self._service.listeners
        for change in (*plan.changed, *plan.unchanged):
            try:
                self._contexts[id(change.new)] = new_context(plan.settings, change.new)
                self._places[id(change.new)] = make_place(plan.settings, change.new)
            except ConfigError as error:
                locate(configuration, error, change.new)
                raise
        for settings in plan.opened:
            try:
                self._opened.append(listeners.open_one(settings, plan.settings))
            except ConfigError as error:
                locate(configuration, error, settings)
                raise
            except OSError as error:
                if not configuration.local_only:
                    fault = ConfigError(why_not_open(settings, error))
                    locate(configuration, fault, settings)
                    raise fault from error
        for change in plan.reopened:
            # Its port is taken, by ourselves. The sockets are taken over as they are.
            former = listeners.of(change.old)
            try:
                if former is not None:
                    heir = former.heir(plan.settings, change.new)
                    self._opened.append(heir)
                    heir.place = make_place(plan.settings, change.new)
            except OSError as error:
                raise ConfigError(why_not_open(change.new, error)) from error

    def _abandon(self, sinks: list[Sink]) -> None:
        """Close what was opened."""
        for listener in self._opened:
            listener.close(unlink=not listener.inherited)
        close_sinks(sinks)

    def _open_log(self, plan: ReloadPlan) -> list[Sink]:
        try:
            return open_sinks(plan.settings, self._service.topics)
        except OSError as error:
            raise ConfigError(unopened(error)) from error

    # -- what cannot ---------------------------------------------------------------------------

    def _apply(
        self, configuration: Configuration, plan: ReloadPlan, security: Plan, sinks: list[Sink]
    ) -> None:
        service = self._service
        settings = service.server.broker.settings
        rates = [getattr(settings, name) for name in _RATES]
        self._take_queues(settings.queues, plan.settings.queues)
        for field in dataclasses.fields(settings):  # everybody holds on to this object
            setattr(settings, field.name, getattr(plan.settings, field.name))
        configuration.settings = settings
        service.configuration = configuration
        self._take_log(configuration, sinks)
        for line in plan.warnings():
            service.log.warning(line)
        self._take_listeners(configuration, plan)
        service.security.apply(security)  # links and routes make anew what they remember
        show_out_strangers(service.server, service.listeners.all, service.log)
        if rates != [getattr(settings, name) for name in _RATES]:
            now = service.server.now()
            for client in list(service.server.clients):
                client.rates_changed(now)
        service.upkeep.begin()

    def _take_queues(self, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        """Make and change queues; those that are no longer named stay, with their messages."""
        log = self._service.log
        changed = [line for line in new if line not in old]
        for fault in self._service.server.broker.queues.declare(changed):
            log.error(f"Error: {fault}.")
        names = {line.split(" ", 1)[0] for line in new}
        for line in old:
            name = line.split(" ", 1)[0]
            if name not in names:
                log.warning(
                    f"Warning: The queue {name} is no longer in the configuration; it stays as it "
                    "is, because its messages are somebody's."
                )

    def _take_listeners(self, configuration: Configuration, plan: ReloadPlan) -> None:
        """Update listeners in place; the configuration has the objects in use from here on."""
        listeners = self._service.listeners
        server = self._service.server
        in_use: dict[int, ListenerSettings] = {}
        for change in (*plan.changed, *plan.unchanged):
            listener = listeners.of(change.old)
            if listener is not None:
                new = id(change.new)
                listeners.update(
                    listener,
                    configuration.settings,
                    change.new,
                    self._contexts[new],
                    self._places[new],
                )
            in_use[id(change.new)] = change.old
        for settings in plan.closed:
            listener = listeners.of(settings)
            if listener is not None:
                listeners.remove(server, listener)
        for change in plan.reopened:
            listener = listeners.of(change.old)
            if listener is not None:
                listeners.remove(server, listener, heir=True)
        listeners.all += self._opened
        configuration.listeners[:] = [
            in_use.get(id(settings), settings) for settings in configuration.listeners
        ]

    def _take_log(self, configuration: Configuration, sinks: list[Sink]) -> None:
        service = self._service
        log, settings = service.log, configuration.settings
        log.set_sinks(sinks)
        log.set_form(settings.log_timestamp, settings.log_timestamp_format, settings.log_format)
        log.set_types(service.log_types(configuration))
        service.narrator.set(settings.connection_messages)
        for kind, line in configuration.messages:
            log.write(kind, line)
