"""Links with their streams: they hear what happens there, and write what their connections have.

:class:`StreamClient` is what all of them have in common, whatever they speak; a server holds them,
and runs its turn when they have something to say.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from midge.compiled import trait
from midge.limits import OUTPUT_PIECES_MAX
from midge.links.mqtt import MqttLink
from midge.links.zmq import ZmqLink

if TYPE_CHECKING:
    from midge.broker.broker import Broker
    from midge.broker.session import Session
    from midge.config.settings import ListenerSettings
    from midge.links.zmq_place import Place
    from midge.net.layer import Below
    from midge.server.mqtt_server import MqttServer

    #: What a client's bytes come by: a transport, or the uppermost layer on one.
    Carrier = Below

#: A chunk after a pause of this length is alone. Under load the next one comes sooner.
ALONE_S: Final = 0.0001


@trait
class StreamClient:
    """A link on a stream: the part that is the same for all protocols."""

    __slots__ = ()

    _server: MqttServer
    _stream: Carrier
    broker: Broker
    closing: bool
    listener: ListenerSettings
    session: Session | None

    # -- what the link brings ----------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """See the link."""
        raise NotImplementedError

    def receive_eof(self, now: float, text: str = "") -> None:
        """See the link."""
        raise NotImplementedError

    def is_held(self) -> bool:
        """See the link."""
        raise NotImplementedError

    def pending_pieces(self) -> int:
        """How many pieces wait to be written."""
        raise NotImplementedError

    def take_output(self) -> bytes:
        """The bytes that are to be written; they are the caller's from here on."""
        raise NotImplementedError

    # -- the stream --------------------------------------------------------------------------

    def stream_data(self, data: bytes) -> None:
        """See :class:`midge.net.stream.Handler`."""
        server = self._server
        now = server.now()
        alone = now - server.busy_until > ALONE_S
        try:
            self.receive_data(data, now)
        except Exception as error:
            # A fault of ours, not of the peer's; it must not take others with it.
            server.broken(self, error)
            return
        if self.pending_pieces() or self.closing:
            server.touched.append(self)
        if alone:
            began = server.now()
            server.turn()
            server.busy_until = server.now()
            server.reading.aside_s -= server.busy_until - began
        else:
            server.wake()
            server.busy_until = server.now()
        if self.is_held() or (self._stream.full and self.pending_pieces() > OUTPUT_PIECES_MAX):
            self._stream.pause_reading()

    def stream_writable(self) -> None:
        """See :class:`midge.net.stream.Handler`."""
        self.flush(self._server.now())
        if not self.is_held():
            self._stream.resume_reading()
        self._server.wake()

    def stream_closed(self, text: str) -> None:
        """See :class:`midge.net.stream.Handler`."""
        self._server.forget(self)
        self.receive_eof(self._server.now(), text or "connection closed by client")
        self._server.wake()

    def flush(self, now: float) -> None:
        """Write what the connection has, unless the transport is full."""
        stream = self._stream
        if self.pending_pieces() and (not stream.full or self.closing):
            data = self.take_output()
            self.broker.metrics.bytes_sent += len(data)
            stream.write(data)
        if self.closing:
            stream.close()
        elif not stream.full and self.session is not None:
            self.session.outbox.written(now)

    def resume(self) -> None:
        """Nobody needs this client to wait any more."""
        if self.pending_pieces() or self.closing:
            self._server.touched.append(self)
        if not self._stream.full or self.pending_pieces() <= OUTPUT_PIECES_MAX:
            self._stream.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        self._stream.abort()


class MqttClient(MqttLink, StreamClient):
    """An MQTT client."""

    __slots__ = ("_server", "_stream")

    def __init__(
        self,
        server: MqttServer,
        listener: ListenerSettings,
        listener_port: int,
        stream: Carrier,
        now: float,
    ) -> None:
        address, port = stream.peer()
        MqttLink.__init__(self, server.broker, listener, address, port, listener_port, now)
        self.certified = stream.username
        self._server = server
        self._stream = stream

    def acknowledged(self) -> None:
        """Something was queued outside of a turn of this link."""
        self._server.touched.append(self)

    def pending_pieces(self) -> int:
        """See :meth:`StreamClient.pending_pieces`."""
        return len(self.connection.out)

    def take_output(self) -> bytes:
        """See :meth:`StreamClient.take_output`."""
        out = self.connection.out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        if self.broker.hooks.trace:
            self.sent(data)
        return data

    def tick(self, now: float) -> None:
        """See :meth:`MqttLink.tick`."""
        MqttLink.tick(self, now)
        self._server.touched.append(self)


class ZmqClient(ZmqLink, StreamClient):
    """A ZeroMQ peer."""

    __slots__ = ("_server", "_stream")

    def __init__(
        self,
        server: MqttServer,
        listener: ListenerSettings,
        place: Place,
        listener_port: int,
        stream: Carrier,
        now: float,
    ) -> None:
        address, port = stream.peer()
        ZmqLink.__init__(
            self, server.broker, listener, place, address, port, listener_port, now, os.urandom
        )
        self.path_queue = getattr(stream, "queue", "")
        self._server = server
        self._stream = stream

    def acknowledged(self) -> None:
        """Something was queued outside of a turn of this link."""
        self._server.touched.append(self)

    def pending_pieces(self) -> int:
        """See :meth:`StreamClient.pending_pieces`."""
        return len(self.connection.out)

    def take_output(self) -> bytes:
        """See :meth:`StreamClient.take_output`."""
        return b"".join(self.connection.data_to_send())

    def tick(self, now: float) -> None:
        """See :meth:`ZmqLink.tick`."""
        ZmqLink.tick(self, now)
        self._server.touched.append(self)
