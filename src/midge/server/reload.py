"""SIGHUP: another configuration for a broker that runs.

First everything is read, checked and opened, and nothing of the broker changes: the file, the
passwords, rules and keys that it names, log files, new listeners. Whatever fails there is told, and
the old configuration stays, whole. Then everything is applied, without a step that can fail, in one
turn of the loop: settings, who may, the log, listeners. Connections stay as they are, except those
that the new rules do not let in and those of a listener that is gone.

What only a restart can change (``user``, ``pid_file``, where the store is) is named in a warning.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from midge.errors import ConfigError
from midge.server import log_lines as lines
from midge.server.listeners import OpenListener, place_of, why_not_open
from midge.server.logs import open_sinks, unopened

if TYPE_CHECKING:
    from midge.config.settings import Configuration, ListenerSettings, Settings
    from midge.server.log_sinks import Sink
    from midge.server.security import Plan
    from midge.server.service import Service

#: Settings that are looked at when the process starts, with the options that set them.
_FIXED: Final = {
    "pid_file": "pid_file",
    "user": "user",
    "persistence": "persistence",
    "persistence_location": "persistence_location",
    "persistence_sync": "persistence_sync",
}
_RATES: Final = frozenset({"rate_limit_messages", "rate_limit_bytes"})


class Reload:
    """One reload of one service."""

    __slots__ = ("_opened", "_service")

    def __init__(self, service: Service) -> None:
        self._service = service
        self._opened: list[OpenListener] = []

    async def carry_out(self) -> None:
        """Do it, or say in the log why not."""
        service = self._service
        log = service.log
        log.information(lines.RELOADING)
        if service.read_again is None:
            log.reopen()
            return
        try:
            configuration = service.read_again()
            plan = service.security.plan(configuration)
            self._open_new(configuration)
            sinks = self._open_log(configuration)
        except ConfigError as error:
            for listener in self._opened:
                listener.close()
            for line in (str(error), *getattr(error, "__notes__", ())):
                log.error(line)
            log.error("Error: The configuration was not reloaded; the old one stays in use.")
            return
        gone = self._gone(configuration)
        self._apply(configuration, plan, sinks)
        for listener in gone:
            service.listeners.remove(service.server, listener)
        for listener in self._opened:
            await service.listeners.serve(service.server, listener)
        log.information("Config reloaded.")

    # -- what can fail -------------------------------------------------------------------------

    def _open_new(self, configuration: Configuration) -> None:
        listeners = self._service.listeners
        there = {listener.key() for listener in listeners.all}
        for settings in configuration.listeners:
            if place_of(settings) in there:
                continue
            try:
                self._opened.append(listeners.open_one(settings))
            except OSError as error:
                if not configuration.local_only:
                    raise ConfigError(why_not_open(settings, error)) from error

    def _open_log(self, configuration: Configuration) -> list[Sink]:
        try:
            return open_sinks(configuration.settings, self._service.topics)
        except OSError as error:
            raise ConfigError(unopened(error)) from error

    # -- what cannot ---------------------------------------------------------------------------

    def _gone(self, configuration: Configuration) -> list[OpenListener]:
        wanted = {place_of(settings) for settings in configuration.listeners}
        return [one for one in self._service.listeners.all if one.key() not in wanted]

    def _apply(self, configuration: Configuration, plan: Plan, sinks: list[Sink]) -> None:
        service = self._service
        settings = service.configuration.settings
        changed = self._take_settings(settings, configuration.settings)
        configuration.settings = settings
        self._take_listeners(configuration)
        service.configuration = configuration
        self._take_log(configuration, sinks)
        service.security.apply(plan)  # whatever links and routes remember is made anew by this
        if changed & _RATES:
            now = service.server.now()
            for client in list(service.server.clients):
                client.rates_changed(now)
        service.begin_limits()

    def _take_settings(self, old: Settings, new: Settings) -> set[str]:
        """Change the settings that everybody holds on to; returns the names of what changed."""
        changed = set()
        for field in dataclasses.fields(new):
            value = getattr(new, field.name)
            before = getattr(old, field.name)
            if value == before:
                continue
            option = _FIXED.get(field.name)
            if option is not None:
                self._service.log.warning(
                    f"Warning: The '{option}' option needs a restart to take effect: it stays "
                    f"{_shown(before)}, the file has {_shown(value)}."
                )
                continue
            setattr(old, field.name, value)
            changed.add(field.name)
        return changed

    def _take_listeners(self, configuration: Configuration) -> None:
        """Update listeners in place; the new configuration has their objects from here on."""
        listeners = self._service.listeners
        there = {listener.key(): listener for listener in listeners.all}
        kept: list[ListenerSettings] = []
        for settings in configuration.listeners:
            listener = there.get(place_of(settings))
            if listener is None:
                kept.append(settings)
            else:
                listeners.update(listener, settings)
                kept.append(listener.settings)
        configuration.listeners[:] = kept
        listeners.all += self._opened

    def _take_log(self, configuration: Configuration, sinks: list[Sink]) -> None:
        service = self._service
        log, settings = service.log, configuration.settings
        log.set_sinks(sinks)
        log.set_form(settings.log_timestamp, settings.log_timestamp_format, settings.log_format)
        log.set_types(service.log_types(configuration))
        service.narrator.set(settings.connection_messages)
        for kind, line in configuration.messages:
            log.write(kind, line)


def _shown(value: object) -> str:
    if value is None:
        return "unset"
    return str(value).lower() if isinstance(value, bool) else str(value)
