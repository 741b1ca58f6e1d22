"""Streams on an event loop: what of a peer is heard that has left."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import time
from collections.abc import Callable

import pytest

from midge.mqtt import packets as p
from midge.mqtt.encode import encode
from midge.net.asyncio_stream import AsyncioStream, ReadBuffer

LOOPS: list[Callable[[], asyncio.AbstractEventLoop] | None] = [None]
if importlib.util.find_spec("uvloop") is not None:
    import uvloop

    LOOPS.append(uvloop.new_event_loop)


class Heard:
    """A handler that remembers."""

    def __init__(self) -> None:
        self.data = b""
        self.closed: list[str] = []

    def stream_data(self, data: bytes) -> None:
        self.data += data

    def stream_writable(self) -> None:
        pass

    def stream_closed(self, text: str) -> None:
        self.closed.append(text)


async def goodbye_of_a_peer_that_reads_nothing(resets: bool) -> Heard:
    """Write to a peer that has said goodbye and left, before its goodbye was read."""
    loop = asyncio.get_running_loop()
    heard = Heard()
    streams: list[AsyncioStream] = []

    def opened(stream: AsyncioStream) -> Heard:
        streams.append(stream)
        return heard

    buffer = ReadBuffer()
    server = await loop.create_server(lambda: AsyncioStream(buffer, opened), "127.0.0.1", 0)
    peer = socket.create_connection(server.sockets[0].getsockname())
    while not streams:
        await asyncio.sleep(0.001)
    streams[0].write(b"something that the peer does not read")
    await asyncio.sleep(0.01)
    streams[0].pause_reading()  # the loop hears nothing of what comes now
    peer.sendall(encode(p.Disconnect(), 4))
    if not resets:
        peer.recv(1000)
    peer.close()  # with something unread, that is a reset
    await asyncio.sleep(0.01)
    for _ in range(3):
        streams[0].write(b"more")
        await asyncio.sleep(0.01)
    streams[0].resume_reading()
    for _ in range(1000):
        if heard.closed:
            break
        await asyncio.sleep(0.001)
    server.close()
    await server.wait_closed()
    return heard


@pytest.mark.parametrize("factory", LOOPS)
@pytest.mark.parametrize("resets", [True, False])
def test_the_last_words_of_a_peer_are_heard_though_writing_to_it_failed(
    factory: Callable[[], asyncio.AbstractEventLoop] | None, resets: bool
) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        heard = runner.run(goodbye_of_a_peer_that_reads_nothing(resets))
    assert heard.data == b"\xe0\x00"
    assert len(heard.closed) == 1


class Slow(Heard):
    """A handler that takes its time, and notes in which turn of the loop it was told what."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = 0
        self.turns: list[int] = []

    def stream_data(self, data: bytes) -> None:
        super().stream_data(data)
        self.turns.append(self.turn)
        time.sleep(0.001)  # that the loop does nothing else is the point

    def count_turns(self) -> None:
        self.turn += 1
        asyncio.get_running_loop().call_soon(self.count_turns)


async def flood_of_what_is_slow() -> Slow:
    loop = asyncio.get_running_loop()
    heard = Slow()
    streams: list[AsyncioStream] = []

    def opened(stream: AsyncioStream) -> Slow:
        streams.append(stream)
        return heard

    buffer = ReadBuffer()
    server = await loop.create_server(lambda: AsyncioStream(buffer, opened), "127.0.0.1", 0)
    peer = socket.create_connection(server.sockets[0].getsockname())
    peer.setblocking(False)
    flood = os.urandom(3_000_000)
    heard.count_turns()
    await loop.sock_sendall(peer, flood)
    while not heard.data:
        await asyncio.sleep(0)
    streams[0].pause_reading()  # as a handler would, at any time
    before = len(heard.data)
    await asyncio.sleep(0.01)
    assert len(heard.data) == before
    streams[0].resume_reading()
    while len(heard.data) < len(flood):
        await asyncio.sleep(0)
    assert heard.data == flood
    peer.close()
    server.close()
    await server.wait_closed()
    return heard


@pytest.mark.parametrize("factory", LOOPS)
def test_a_stream_that_takes_long_leaves_the_others_their_turns(
    factory: Callable[[], asyncio.AbstractEventLoop] | None,
) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        heard = runner.run(flood_of_what_is_slow())
    assert len(heard.turns) > 5
    assert len(set(heard.turns)) == len(heard.turns), "it was read twice in one turn"
