"""The broker on an event loop: connections in, one write a turn out.

What a turn does: every socket that has something is read, and its packets are handled at once.
That fills outboxes and marks what else should happen. When all readable sockets have been read,
:meth:`MqttServer.turn` runs once: it writes each outbox that has bytes, closes what is to be
closed, and reads again from those who were held back. So a burst of packets to one client is one
write. Only a chunk that comes out of the blue has its turn at once: nothing else is there to share
it with, and it saves the message a trip round the loop.
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from typing import TYPE_CHECKING

from midge.broker.broker import Broker
from midge.broker.rates import ConnectRates
from midge.limits import CONNECT_TIMEOUT_S, HANDSHAKES_PLAIN_MAX, HANDSHAKES_TLS_MAX
from midge.net.asyncio_stream import AsyncioStream, ReadBuffer
from midge.server.clients import MqttClient, StreamClient, ZmqClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.broker.hooks import Hooks
    from midge.config.settings import ListenerSettings, Settings
    from midge.links.zmq_place import Place
    from midge.net.layer import Layer
    from midge.net.stream import Handler
    from midge.server.clients import Carrier
    from midge.server.durability import Durability

    #: Makes a layer on a carrier: who is told that it is ready, and that it never will be.
    MakeLayer = Callable[
        [Carrier, Callable[[Carrier], Handler | None], Callable[[Layer, str], None]], Layer
    ]
    Client = MqttClient | ZmqClient


def new_client_id() -> str:
    """An id for a client that came without one, in the form that Mosquitto gives."""
    return str(uuid.uuid4()).upper()


class MqttServer:
    """A broker that serves MQTT in the running event loop.

    Attributes:
        broker: the core.
        clients: all connections, also those that have not said who they are.
        touched: connections that have something to write or are to be closed.
        durability: makes safe what outlives the process; ``None`` where nothing does.
        connect_rates: how fast addresses connect.
        reading: what its streams read into.
        busy_until: when the last chunk had been handled.
    """

    def __init__(self, settings: Settings, hooks: Hooks | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.broker = Broker(settings, new_client_id, hooks)
        self.now = time.monotonic  # the loop's clock; uvloop's own stands still within a turn
        self.durability: Durability | None = None
        self.connect_rates = ConnectRates(settings.connect_rate_limit)
        self.busy_until = 0.0
        self.clients: set[Client] = set()
        self.touched: list[StreamClient] = []
        self.reading = ReadBuffer()
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._servers: list[asyncio.Server] = []
        self._shaking: dict[AsyncioStream, asyncio.TimerHandle] = {}
        self._counts: dict[int, int] = {}  # connections by listener, which lives as long as we do

    # -- listening ----------------------------------------------------------------------------

    async def listen(
        self,
        listening: socket.socket,
        listener: ListenerSettings,
        layers: Callable[[], list[MakeLayer]] | None = None,
        place: Callable[[], Place | None] = lambda: None,
    ) -> asyncio.Server:
        """Accept connections from a listening socket, until what is returned is closed.

        Args:
            place: asked for each connection, where ZeroMQ is spoken there, what its peers find;
                ``None`` for MQTT.
            layers: asked for each connection what stands between it and MQTT, the lowest first;
                ``None`` where nothing ever does.
        """
        buffer = self.reading
        name = listening.getsockname()
        port = name[1] if isinstance(name, tuple) else 0

        def opened(stream: AsyncioStream) -> Handler | None:
            wanted = [] if layers is None else layers()
            if not wanted:
                return self._open(stream, listener, port, place())
            return self._shake(stream, listener, port, wanted, place)

        def protocol() -> AsyncioStream:
            return AsyncioStream(buffer, opened)

        if listening.family == socket.AF_UNIX:
            server: asyncio.Server = await self._loop.create_unix_server(protocol, sock=listening)
        else:
            server = await self._loop.create_server(protocol, sock=listening, backlog=1024)
        self._servers.append(server)
        return server

    def _shake(
        self,
        stream: AsyncioStream,
        listener: ListenerSettings,
        port: int,
        wanted: list[MakeLayer],
        place: Callable[[], Place | None],
    ) -> Handler | None:
        """Put layers on a connection; it becomes a client when the uppermost is ready."""
        # Behind a proxy it is the client's address that counts, and that is not known yet.
        there = stream.peer()
        counted = "" if listener.proxy_protocol else there[0]
        tls = listener.certfile is not None or listener.psk_hint is not None
        if len(self._shaking) >= (HANDSHAKES_TLS_MAX if tls else HANDSHAKES_PLAIN_MAX):
            return None
        if not self._admits(stream, listener, bool(counted)):
            return None
        timer = self._loop.call_later(CONNECT_TIMEOUT_S, self._too_slow, stream)
        self._shaking[stream] = timer
        name = listener.name(port)

        def done() -> None:
            waiting = self._shaking.pop(stream, None)
            if waiting is not None:
                waiting.cancel()

        def refused(layer: Layer, text: str) -> None:
            done()
            known = layer.peer()
            # A stream that is gone does not know any more where its peer was.
            self.broker.hooks.not_shaken(*(known if known[0] else there), name, text)

        def build(below: Carrier, index: int) -> Handler | None:
            if index == len(wanted):
                done()
                return self._open(below, listener, port, place(), below.peer()[0] != counted)
            return wanted[index](below, lambda layer: build(layer, index + 1), refused)

        return build(stream, 0)

    def _too_slow(self, stream: AsyncioStream) -> None:
        stream.abort()

    def _open(
        self,
        stream: Carrier,
        listener: ListenerSettings,
        port: int,
        place: Place | None,
        counts: bool = True,
    ) -> Client | None:
        """Make a client of a connection.

        Args:
            counts: its address has not been counted yet.
        """
        if not self._admits(stream, listener, counts):
            return None
        client: Client
        if place is None:
            client = MqttClient(self, listener, port, stream, self.now())
        else:
            client = ZmqClient(self, listener, place, port, stream, self.now())
            self.touched.append(client)  # our greeting
        self.clients.add(client)
        self._counts[id(listener)] = self._counts.get(id(listener), 0) + 1
        self.broker.hooks.opened(client)
        self.wake()
        return client

    def forget(self, client: StreamClient) -> None:
        """A connection is gone."""
        if client in self.clients:
            self.clients.discard(client)
            self._counts[id(client.listener)] -= 1

    def _admits(self, stream: Carrier, listener: ListenerSettings, counts: bool) -> bool:
        broker = self.broker
        total = broker.settings.connections_max
        of_listener = listener.connections_max
        limit = ""
        if 0 <= total <= len(self.clients):
            limit = "global_max_connections"
        elif 0 <= of_listener <= self._counts.get(id(listener), 0):
            limit = "max_connections"
        if limit:
            broker.metrics.refused_connections += 1
            broker.hooks.not_admitted(stream.peer()[0], limit)
            return False
        return not counts or self._comes_slowly_enough(stream)

    def _comes_slowly_enough(self, stream: Carrier) -> bool:
        rate, rates = self.broker.settings.connect_rate_limit, self.connect_rates
        if rate != rates.rate:
            rates.set_rate(rate)
        if not rate:
            return True
        address, now = stream.peer()[0], self.now()
        if rates.admits(address, now):
            return True
        self.broker.metrics.refused_rate += 1
        if rates.is_news(address, now):
            self.broker.hooks.not_admitted(address, "connect_rate_limit")
        return False

    # -- turns --------------------------------------------------------------------------------

    def wake(self) -> None:
        """See to it that :meth:`turn` runs when all readable sockets have been read."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self.turn)

    def turn(self) -> None:
        """Do what this turn of the loop has left to do."""
        self._woken = False
        now = self.now()
        broker = self.broker
        if self.touched:
            touched = self.touched
            self.touched = []
            for client in touched:
                client.flush(now)
        if broker.dirty:
            dirty = broker.dirty.copy()
            broker.dirty.clear()  # the same list stays: outboxes hold on to it
            for outbox in dirty:
                link = outbox.link
                if link is not None and outbox.chunks:
                    assert isinstance(link, StreamClient)
                    link.flush(now)
        if broker.ending:
            self._end_links(now)
        if broker.released:
            released = broker.released.copy()
            broker.released.clear()
            for link in released:
                assert isinstance(link, StreamClient)
                if not link.is_held():
                    link.resume()
        if broker.dirty or self.touched or broker.ending:
            self.wake()  # what was written gave credit for more
        if self.durability is not None:
            self.durability.turn()
        self._arm(now)

    def _end_links(self, now: float) -> None:
        ending = self.broker.ending.copy()
        self.broker.ending.clear()
        for link in ending:
            assert isinstance(link, (MqttClient, ZmqClient))
            link.close()
            link.flush(now)

    def broken(self, client: StreamClient, error: Exception) -> None:
        """Handling a client's bytes raised: that is a bug. Cut the client, keep the broker."""
        assert isinstance(client, (MqttClient, ZmqClient))
        self.broker.hooks.failed(client, error)
        client.abort()

    # -- time ---------------------------------------------------------------------------------

    def _arm(self, now: float) -> None:
        when = self.broker.next_deadline()
        if when is None:
            return
        if self._timer is not None:
            if self._timer_at <= when:
                return  # it will look again when it fires
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        # A loop's clock may fire a hair early; what is due then is due now.
        try:
            self.broker.tick(max(self.now(), self._timer_at))
        finally:
            self.wake()  # whatever happened: what comes next is due all the same

    # -- the end ------------------------------------------------------------------------------

    async def close(self, timeout_s: float = 5.0) -> None:
        """Stop listening, tell every client, and let them read it.

        Args:
            timeout_s: after so long, connections that are still there are cut.
        """
        for server in self._servers:
            server.close()
        self.broker.shut_down(self.now())
        for client in list(self.clients):
            if client.session is None or client in self.broker.guests:
                client.closing = True  # the core ends sessions, and these have none to end
                self.touched.append(client)
        self.turn()
        deadline = self.now() + timeout_s
        while self.clients and self.now() < deadline:
            await asyncio.sleep(0.01)
        for stream in list(self._shaking):
            stream.abort()
        for client in list(self.clients):
            client.abort()
        while self.clients and self.now() < deadline + 1.0:
            await asyncio.sleep(0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.durability is not None:
            await self.durability.close()
