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
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from midge.config.settings import Settings
from midge.errors import ConfigError
from midge.limits import WEBSOCKET_HEADER_BYTES_MAX
from midge.mqtt.reasons import Reason
from midge.net.listener import keep_alive, open_tcp, open_unix
from midge.net.proxy_protocol import ProxyLayer
from midge.net.tls import TlsKeeper, TlsLayer, make_context
from midge.net.zmtp_door import ZmtpDoor
from midge.server import log_lines as lines
from midge.server.activation import FAMILIES, GivenSockets
from midge.server.zmq_place import make_place

if TYPE_CHECKING:
    import asyncio
    from ssl import SSLContext

    from midge.config.settings import Configuration, ListenerSettings
    from midge.links.zmq_place import Place
    from midge.server.logs import Log
    from midge.server.mqtt_server import MakeLayer, MqttServer
    from midge.server.web import Web

# Options whose files or values can be at fault when a listener is made.
_FILES: Final = (
    *("certfile", "keyfile", "cafile", "capath", "crlfile", "dhparamfile", "ciphers"),
    "http_dir",
)


class OpenListener:
    """One listener with its sockets.

    Attributes:
        settings: its own; a reload changes them in place, so that clients see it.
        sockets: they listen; connections wait in the system until the listener is served.
        servers: those that accept from them, once it is served.
        tls: what TLS is spoken with; ``None`` where it is not.
        request_bytes: how long a request for a WebSocket may be.
        inherited: the sockets are those of another listener as well.
        given: whoever started us has opened them, and goes on having them.
        place: what ZeroMQ peers find there; ``None`` where MQTT is spoken.
    """

    __slots__ = (
        "given",
        "inherited",
        "place",
        "request_bytes",
        "servers",
        "settings",
        "sockets",
        "tls",
    )

    def __init__(
        self,
        settings: ListenerSettings,
        sockets: list[socket.socket],
        tls: TlsKeeper | None = None,
        inherited: bool = False,
    ) -> None:
        self.inherited = inherited
        self.given = False
        self.settings = settings
        self.sockets = sockets
        self.servers: list[asyncio.Server] = []
        self.place: Place | None = None
        self.tls = tls
        self.request_bytes = WEBSOCKET_HEADER_BYTES_MAX

    def layers(self, web: Web | None = None) -> list[MakeLayer]:
        """What stands between a connection and MQTT, the lowest first.

        Args:
            web: answers what is asked over HTTP; ``None``: nobody does.
        """
        settings = self.settings
        if self.tls is None and settings.protocol == "mqtt" and not settings.proxy_protocol:
            return []  # as most are: each connection asks, and what is below makes functions
        return self._make_layers(settings, web)

    def _make_layers(self, settings: ListenerSettings, web: Web | None) -> list[MakeLayer]:
        made: list[MakeLayer] = []
        if settings.proxy_protocol:
            made.append(lambda below, opened, refused: ProxyLayer(below, settings, opened, refused))
        if self.tls is not None:
            context = self.tls.context
            made.append(
                lambda below, opened, refused: TlsLayer(below, settings, context, opened, refused)
            )
        if settings.protocol == "websockets":
            from midge.net.websocket import WebSocketLayer  # needs a library of its own

            request_bytes = self.request_bytes
            plain = web.files_of(settings) if web is not None and settings.http_dir else None
            made.append(
                lambda below, opened, refused: WebSocketLayer(
                    below, settings.websockets_origins, request_bytes, opened, refused, plain
                )
            )
        elif self.place is not None:
            zmtp = self.place.settings
            request_bytes = self.request_bytes
            made.append(
                lambda below, opened, refused: ZmtpDoor(
                    below, zmtp, settings.websockets_origins, request_bytes, opened, refused
                )
            )
        elif settings.protocol == "http_api" and web is not None:
            from midge.net.http import HttpLayer

            request_bytes = self.request_bytes
            answer = web.facts_at(settings)
            made.append(
                lambda below, opened, refused: HttpLayer(
                    below, request_bytes, answer, opened, refused
                )
            )
        return made

    def heir(self, general: Settings, settings: ListenerSettings) -> OpenListener:
        """Another listener on the same sockets, which stay open when this one is closed.

        Raises:
            OSError, ConfigError: as in :meth:`Listeners.open_one`.
        """
        tls = tls_keeper(general, settings)
        sockets = [listening.dup() for listening in self.sockets]
        heir = OpenListener(settings, sockets, tls, inherited=True)
        heir.given = self.given
        heir.request_bytes = longest_request(general)
        return heir

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
        if path is not None and unlink and not self.given:
            with contextlib.suppress(OSError):
                os.unlink(path)


class Listeners:
    """The listeners of a broker.

    Attributes:
        all: those that are open, in order.
        given: sockets that are used where a listener has their address; ours are opened elsewhere.
        web: answers what is asked over HTTP; ``None`` until there is somebody to ask.
    """

    __slots__ = ("_log", "all", "given", "web")

    def __init__(self, log: Log, given: GivenSockets | None = None) -> None:
        self._log = log
        self.given = GivenSockets() if given is None else given
        self.all: list[OpenListener] = []
        self.web: Web | None = None

    def open(self, configuration: Configuration) -> bool:
        """Open all listeners of a configuration; false, with the reason in the log, if one fails.

        Nothing stays open then.
        """
        for settings in configuration.listeners:
            try:
                self.all.append(self.open_one(settings, configuration.settings))
            except ConfigError as error:
                locate(configuration, error, settings)
                self._say(error)
                self.close()
                return False
            except OSError as error:
                if configuration.local_only and error.errno in (
                    errno.EADDRNOTAVAIL,
                    errno.EAFNOSUPPORT,
                ):
                    continue  # a machine with one of the two loopback addresses is well served
                fault = ConfigError(why_not_open(settings, error))
                locate(configuration, fault, settings)
                self._say(fault)
                self.close()
                return False
        for text in self.given.unused():
            self._log.warning(lines.given_in_vain(text))
        return True

    def _say(self, error: ConfigError) -> None:
        for line in error.lines():
            self._log.error(line)

    def open_one(self, settings: ListenerSettings, general: Settings | None = None) -> OpenListener:
        """Open the sockets of one listener, and say so in the log.

        Args:
            general: the broker's settings; ``None`` for the defaults.

        Raises:
            OSError: that is not possible.
            ConfigError: its files cannot be used, or a library is missing.
        """
        check_libraries(settings)
        general = Settings() if general is None else general
        place = make_place(general, settings)
        tls = tls_keeper(general, settings)  # before there are sockets that would have to be closed
        listener = self._open_sockets(settings)
        listener.place = place
        listener.tls = tls
        listener.request_bytes = longest_request(general)
        return listener

    def _open_sockets(self, settings: ListenerSettings) -> OpenListener:
        given = self.given.take(settings)
        if given:
            return self._use(settings, given)
        if settings.unix_path is not None:
            sockets = [open_unix(settings.unix_path)]
            self._log.information(lines.opening_unix(settings.unix_path))
            return OpenListener(settings, sockets)
        family = int(FAMILIES.get(settings.socket_domain or "", 0))
        sockets = open_tcp(settings.host, settings.port, family, settings.bind_interface)
        for listening in sockets:
            port = listening.getsockname()[1]
            if settings.protocol == "http_api":
                self._log.information(lines.opening_http_api(port))
            else:
                self._log.information(lines.opening(_family(listening), port))
        if settings.http_dir is not None:
            self._log.information(lines.http_dir(settings.http_dir))
        return OpenListener(settings, sockets)

    def _use(self, settings: ListenerSettings, given: list[socket.socket]) -> OpenListener:
        """A listener on sockets that are open already."""
        for listening in given:
            where = listening.getsockname()
            port = where[1] if isinstance(where, tuple) else where
            self._log.information(lines.given(_family(listening), port))
        listener = OpenListener(settings, given)
        listener.given = True
        return listener

    def of(self, settings: ListenerSettings) -> OpenListener | None:
        """The open listener that has these settings, the object itself."""
        for listener in self.all:
            if listener.settings is settings:
                return listener
        return None

    async def serve(self, server: MqttServer, listener: OpenListener) -> None:
        """Accept connections of a listener from here on."""
        for listening in listener.sockets:
            if listener.place is not None:
                keep_alive(listening)
            listener.servers.append(
                await server.listen(
                    listening,
                    listener.settings,
                    lambda: listener.layers(self.web),
                    lambda: listener.place,
                )
            )

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

    def update(
        self,
        listener: OpenListener,
        general: Settings,
        settings: ListenerSettings,
        context: SSLContext | None = None,
        place: Place | None = None,
    ) -> None:
        """Let other settings go for a listener; those who are connected stay.

        Args:
            context: what TLS is spoken with from here on, made of these settings.
            place: what ZeroMQ peers find from here on, the same.
        """
        listener.place = place
        listener.request_bytes = longest_request(general)
        for field in dataclasses.fields(settings):
            setattr(listener.settings, field.name, getattr(settings, field.name))
        if context is None:
            listener.tls = None
        elif listener.tls is None:
            listener.tls = tls_keeper(general, listener.settings)
        else:
            listener.tls.take(context, psk_file_of(general, settings))

    def look_at_files(self) -> None:
        """Read certificates, keys, authorities and revocations again where they have changed."""
        for listener in self.all:
            keeper = listener.tls
            if keeper is None or not keeper.changed():
                continue
            name = listener.settings.name()
            try:
                keeper.reload()
            except ConfigError as error:
                self._log.error(f"{error} The files used until now go on being used ({name}).")
            else:
                self._log.information(f"The TLS files of listener {name} were read again.")

    def close(self) -> None:
        """Stop listening everywhere."""
        for listener in self.all:
            listener.close()
        self.all = []


def check_libraries(settings: ListenerSettings) -> None:
    """Raise ConfigError where a listener needs a library that is not there."""
    if settings.protocol == "websockets" and find_spec("wsproto") is None:
        raise ConfigError(
            "Error: protocol websockets needs the library wsproto: pip install 'midge[ws]'."
        )
    if settings.http_dir is not None and not os.path.isdir(settings.http_dir):
        raise ConfigError(
            f"Error: http_dir '{settings.http_dir}' is no directory, or cannot be read."
        )


def longest_request(general: Settings) -> int:
    """How many bytes a request for a WebSocket may have."""
    return max(WEBSOCKET_HEADER_BYTES_MAX, general.packet_buffer_bytes)


def psk_file_of(general: Settings, settings: ListenerSettings) -> str | None:
    """Where the pre-shared keys that go for a listener stand; ``None`` for nowhere."""
    return settings.psk_file if general.per_listener_settings else general.psk_file


def tls_keeper(general: Settings, settings: ListenerSettings) -> TlsKeeper | None:
    """What TLS is spoken with at a listener; ``None`` where it is not.

    Raises:
        ConfigError: a file cannot be used.
    """
    if settings.certfile is None and settings.psk_hint is None:
        return None
    return TlsKeeper(settings, psk_file_of(general, settings))


def new_context(general: Settings, settings: ListenerSettings) -> SSLContext | None:
    """What TLS is to be spoken with; ``None`` where it is not.

    Raises:
        ConfigError: a file cannot be used.
    """
    check_libraries(settings)
    if settings.certfile is None and settings.psk_hint is None:
        return None
    return make_context(settings, psk_file_of(general, settings))


def _family(listening: socket.socket) -> str:
    names = {int(family): name for name, family in FAMILIES.items()}
    return names.get(int(listening.family), "unix")


def locate(configuration: Configuration, error: ConfigError, settings: ListenerSettings) -> None:
    """Note below an error of a listener where its option stands that the text speaks of."""
    text = str(error)
    named = [name for name in _FILES if name in text]
    configuration.locate(error, settings, *named, "listener", "port")


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
        advice = " Another program listens there, or another listener of this configuration."
    return f"{text} ({where}).{advice}"
