"""Listeners: from their settings to open sockets, and from those to a server that accepts.

Opening and serving are two steps. All sockets of a configuration are opened before the first of
them is served, at the start as in a reload, so that a port that is taken changes nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import socket
from typing import TYPE_CHECKING

from midge.mqtt.reasons import Reason
from midge.net.listener import open_tcp, open_unix
from midge.server import log_lines as lines

if TYPE_CHECKING:
    import asyncio

    from midge.config.settings import Configuration, ListenerSettings
    from midge.server.logs import Log
    from midge.server.mqtt_server import MqttServer


class OpenListener:
    """One listener with its sockets.

    Attributes:
        settings: its own; a reload changes them in place, so that clients see it.
        sockets: they listen; connections wait in the system until the listener is served.
        servers: those that accept from them, once it is served.
        inherited: the sockets are those of another listener as well.
    """

    __slots__ = ("inherited", "servers", "settings", "sockets")

    def __init__(
        self, settings: ListenerSettings, sockets: list[socket.socket], inherited: bool = False
    ) -> None:
        self.inherited = inherited
        self.settings = settings
        self.sockets = sockets
        self.servers: list[asyncio.Server] = []

    def heir(self, settings: ListenerSettings) -> OpenListener:
        """Another listener on the same sockets, which stay open when this one is closed."""
        return OpenListener(settings, [listening.dup() for listening in self.sockets], True)

    def close(self, *, unlink: bool = True) -> None:
        """Stop listening; connections stay.

        Args:
            unlink: also remove the path of a Unix socket.
        """
        for server in self.servers:
            server.close()
        if not self.servers:
            for listening in self.sockets:
                listening.close()
        path = self.settings.unix_path
        if path is not None and unlink:
            with contextlib.suppress(OSError):
                os.unlink(path)


class Listeners:
    """The listeners of a broker.

    Attributes:
        all: those that are open, in order.
    """

    __slots__ = ("_log", "all")

    def __init__(self, log: Log) -> None:
        self._log = log
        self.all: list[OpenListener] = []

    def open(self, configuration: Configuration) -> bool:
        """Open all listeners of a configuration; false, with the reason in the log, if one fails.

        Nothing stays open then.
        """
        for settings in configuration.listeners:
            try:
                self.all.append(self.open_one(settings))
            except OSError as error:
                if configuration.local_only and error.errno in (
                    errno.EADDRNOTAVAIL,
                    errno.EAFNOSUPPORT,
                ):
                    continue  # a machine with one of the two loopback addresses is well served
                self._log.error(why_not_open(settings, error))
                self.close()
                return False
        return True

    def open_one(self, settings: ListenerSettings) -> OpenListener:
        """Open the sockets of one listener, and say so in the log.

        Raises:
            OSError: that is not possible.
        """
        if settings.unix_path is not None:
            sockets = [open_unix(settings.unix_path)]
            self._log.information(lines.opening_unix(settings.unix_path))
            return OpenListener(settings, sockets)
        families = {None: 0, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
        family = int(families[settings.socket_domain])
        sockets = open_tcp(settings.host, settings.port, family)
        for listening in sockets:
            shown = "ipv6" if listening.family == socket.AF_INET6 else "ipv4"
            self._log.information(lines.opening(shown, listening.getsockname()[1]))
        return OpenListener(settings, sockets)

    def of(self, settings: ListenerSettings) -> OpenListener | None:
        """The open listener that has these settings, the object itself."""
        for listener in self.all:
            if listener.settings is settings:
                return listener
        return None

    async def serve(self, server: MqttServer, listener: OpenListener) -> None:
        """Accept connections of a listener from here on."""
        for listening in listener.sockets:
            listener.servers.append(await server.listen(listening, listener.settings))

    def remove(self, server: MqttServer, listener: OpenListener, *, heir: bool = False) -> None:
        """Stop listening, and see those out who came in there: they are told, then closed.

        Args:
            heir: another one goes on listening at its place.
        """
        self.all.remove(listener)
        listener.close(unlink=not heir)
        for client in list(server.clients):
            if client.listener is listener.settings:
                client.end(int(Reason.SERVER_SHUTTING_DOWN), "its listener was removed")
        server.wake()

    def update(self, listener: OpenListener, settings: ListenerSettings) -> None:
        """Let other settings go for a listener; those who are connected stay."""
        for field in dataclasses.fields(settings):
            setattr(listener.settings, field.name, getattr(settings, field.name))

    def close(self) -> None:
        """Stop listening everywhere."""
        for listener in self.all:
            listener.close()
        self.all = []


def why_not_open(settings: ListenerSettings, error: OSError) -> str:
    """The line for a listener that could not be opened: what, where, and what to do."""
    text = f"Error: {error.strerror or error}"
    if settings.unix_path is not None:
        return f"{text} (unix socket {settings.unix_path})."
    where = f"port {settings.port}" + (f" on {settings.host}" if settings.host else "")
    advice = ""
    if error.errno == errno.EACCES and settings.port < 1024:
        advice = (
            " Ports below 1024 need root or the capability CAP_NET_BIND_SERVICE, also after the "
            "change to another user."
        )
    elif error.errno == errno.EADDRINUSE:
        advice = " Another program listens there."
    return f"{text} ({where}).{advice}"
