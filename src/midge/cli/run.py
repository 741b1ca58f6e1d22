"""The life of a client command: connect, serve the connection, connect again if it must.

:class:`Command` is the loop; ``pub`` and ``sub`` say what to do with each event. The exit status is
Mosquitto's: 0, the code of a refusal, 27 for a time-out, otherwise one of the numbers below.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from typing import Final

from midge.cli.client_flags import ClientOptions
from midge.cli.output import print_error, reason_text, refusal_text
from midge.client.core import Client, Event
from midge.client.events import BY_CLIENT, BY_SERVER, Connected, Disconnected, Refused
from midge.errors import MidgeError, ProtocolError
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import Reason
from midge.net.blocking import BlockingLink, Signals, connect_tcp, connect_unix

# Exit statuses, with Mosquitto's numbers.
FAILED: Final = 1
PROTOCOL_BROKEN: Final = 2
CONNECTION_LOST: Final = 7
KEEPALIVE_EXCEEDED: Final = 19
TIMED_OUT: Final = 27

#: How long to wait before connecting again.
RECONNECT_DELAY_S: Final = 1.0
#: How long one address may take to answer then.
RECONNECT_TIMEOUT_S: Final = 10.0
#: How long the last bytes may take to leave when the command ends.
FAREWELL_S: Final = 5.0


class Command:
    """One run of a client command.

    Attributes:
        options: what the command line says.
        client: the core.
        link: the present connection.
        status: the exit status so far.
        finished: nothing more is to be done but to say goodbye.
        signal: the signal that ended the command, 0 for none.
    """

    #: Connect again when the connection is lost.
    reconnects = True

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
        self.client = Client(
            options.connect_packet(), inflight_messages_max=options.inflight_messages_max
        )
        if options.debug:
            from midge.cli.trace import PacketTrace

            self.client.trace = PacketTrace(lambda: self.client.client_id, self.flush_output)
        self.link: BlockingLink | None = None
        self.status = 0
        self.finished = False
        self.signal = 0
        self._signals: Signals | None = None
        self._was_connected = False

    # -- what a command adds ------------------------------------------------------------------

    def started(self, now: float) -> None:
        """There is a socket for the first time."""

    def connected(self, event: Connected) -> None:
        """The server accepted us; also after each reconnect."""
        raise NotImplementedError

    def handle(self, events: list[Event]) -> None:
        """Look at everything that happened in a turn but connections made and lost."""
        raise NotImplementedError

    def until(self) -> float | None:
        """When the command has something to do by itself."""
        return None

    def input_fd(self) -> int:
        """A descriptor that the command wants to read from now, or -1."""
        return -1

    def turned(self, input_ready: bool) -> None:
        """Something may have happened, or it is time: called again and again."""

    def interrupted(self) -> None:
        """SIGINT or SIGTERM came while we were connected."""
        self.finish()

    def cut_short(self) -> None:
        """The connection broke while we said goodbye: what was sent last may not have arrived."""

    def flush_output(self) -> None:
        """Write out what was kept to be written together."""

    # -- the loop ------------------------------------------------------------------------------

    def run(self) -> int:
        """Do it all; returns the exit status."""
        sock = self._connect(report=True)
        if sock is None:
            return FAILED
        # From here on, and not while the system looks for the host: that can be interrupted as is.
        self._signals = Signals(signal.SIGINT, signal.SIGTERM)
        self.started(time.monotonic())
        try:
            while sock is not None:
                self._serve(sock)
                if self.finished and self.link is not None and self.link.broken:
                    self.cut_short()
                sock = None if self.finished else self._reconnect()
        finally:
            self._signals.close()
        if self.signal:
            # Whoever sent it sees that it ended us.
            signal.signal(self.signal, signal.SIG_DFL)
            os.kill(os.getpid(), self.signal)
        return self.status

    def say(self, text: str) -> None:
        """Write a line to standard error, unless ``--quiet``."""
        print_error(text, self.options.quiet)

    def finish(self, reason: int = 0) -> None:
        """Say goodbye and end."""
        self.finished = True
        if self.link is not None and not self.link.closed and self.client.connected:
            properties = self.options.properties.get("disconnect")
            self.client.disconnect(self.link.now(), reason, properties)

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties | None
    ) -> int:
        """Publish; returns the token, or -1 when it was refused, which is reported."""
        assert self.link is not None
        # A server that keeps nothing gets it all the same, as a message of the moment.
        retain = retain and self.client.granted.retain_available
        try:
            return self.client.publish(topic, payload, self.link.now(), qos, retain, properties)
        except ProtocolError as error:
            if error.reason == Reason.QOS_NOT_SUPPORTED:
                self.say("Error: Message QoS not supported on broker, try a lower QoS.")
            else:
                self.say(f"Error: {error}.")
        except MidgeError as error:
            self.say(f"Error: {error}.")
        return -1

    def _serve(self, sock: socket.socket) -> None:
        self.link = link = BlockingLink(self.client, sock)
        self.client.connect(link.now())
        farewell_at: float | None = None
        while not link.closed:
            if self.finished:
                # The goodbye is queued; a server that takes nothing more is not waited for.
                farewell_at = farewell_at or link.now() + FAREWELL_S
                if not self.client.closing or link.now() >= farewell_at:
                    link.close()
                    return
            if farewell_at is not None:
                self._dispatch(link.turn(farewell_at))
                continue
            self._dispatch(link.turn(self.until(), self._watched()))
            self._turned(link.ready_fd)

    def _watched(self) -> tuple[int, ...]:
        signals = -1 if self._signals is None else self._signals.fd
        return tuple(fd for fd in (signals, self.input_fd()) if fd >= 0)

    def _turned(self, ready_fd: int) -> None:
        if self._signals is not None and ready_fd == self._signals.fd:
            self.signal = self._signals.received()
            if self._was_connected:
                self.interrupted()
            else:
                self.finished = True
                self.status = FAILED
        elif not self.finished:
            self.turned(ready_fd >= 0)

    def _dispatch(self, events: list[Event]) -> None:
        rest: list[Event] = []
        for event in events:
            if isinstance(event, Connected):
                self._was_connected = True
                self.connected(event)
            elif isinstance(event, Refused):
                self.say(refusal_text(event.code, self.options.version))
                self.status = event.code
                self.finished = True
            elif isinstance(event, Disconnected):
                self._disconnected(event)
            else:
                rest.append(event)
        if rest:
            self.handle(rest)

    def _disconnected(self, event: Disconnected) -> None:
        if self.finished or self.reconnects:
            return
        self.finished = True
        if event.by == BY_CLIENT:
            self.status = KEEPALIVE_EXCEEDED if event.reason == 0x8D else PROTOCOL_BROKEN
            self.say(f"Error: {event.text}.")
        else:
            self.status = CONNECTION_LOST
            if event.by == BY_SERVER:
                self.say(f"Error: The server ended the connection: {reason_text(event.reason)}.")
            else:
                self.say("Error: The connection was lost.")

    def _connect(self, report: bool) -> socket.socket | None:
        options = self.options
        # A reconnect must come back to look for signals and for the time.
        timeout_s = None if report else RECONNECT_TIMEOUT_S
        try:
            if options.unix_path is not None:
                return connect_unix(options.unix_path, timeout_s=timeout_s)
            return connect_tcp(
                options.host,
                options.port,
                bind_address=options.bind_address,
                timeout_s=timeout_s,
            )
        except socket.gaierror:
            if report:
                self.say("Unable to connect (Lookup error).")
        except OSError as error:
            if report:
                self.say(f"Error: {error.strerror or error}")
        return None

    def _reconnect(self) -> socket.socket | None:
        """A new connection, as soon as there is one; ``None`` when the command is to end."""
        while True:
            again_at = time.monotonic() + RECONNECT_DELAY_S
            while not self.finished:
                now = time.monotonic()
                until = self.until()
                wait_until = again_at if until is None else min(again_at, until)
                if now >= again_at:
                    break
                ready, _, _ = select.select(self._watched(), [], [], max(0.0, wait_until - now))
                self._turned(ready[0] if ready else -1)
            if self.finished:
                return None
            sock = self._connect(report=False)
            if sock is not None:
                return sock
