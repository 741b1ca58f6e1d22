"""What a WebSocket's server side writes: frames that the library's other end reads."""

from __future__ import annotations

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import BytesMessage, CloseConnection, Event, Request

from midge.net.layer import Layer
from midge.net.websocket import WebSocketLayer


class Wire:
    """What carries the layer: it gives what is written to a client."""

    full = False
    username: str | None = None

    def __init__(self) -> None:
        self.client = WSConnection(ConnectionType.CLIENT)
        self.closed = False

    def peer(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    def write(self, data: bytes) -> None:
        self.client.receive_data(data)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class Above:
    """Who is above it, and takes everything."""

    def stream_data(self, data: bytes) -> None: ...

    def stream_writable(self) -> None: ...

    def stream_closed(self, text: str) -> None: ...


def open_one() -> tuple[Wire, WebSocketLayer]:
    def opened(layer: Layer) -> Above:
        return Above()

    def refused(layer: Layer, text: str) -> None:
        raise AssertionError(text)

    wire = Wire()
    layer = WebSocketLayer(wire, (), 4096, opened, refused)
    request = Request(host="localhost", target="/mqtt", subprotocols=["mqtt"])
    layer.stream_data(wire.client.send(request))
    assert layer.above is not None
    list(wire.client.events())
    return wire, layer


def binary(events: list[Event]) -> list[bytes]:
    """The messages, put together of what came of each."""
    messages = [b""]
    for event in events:
        assert isinstance(event, BytesMessage)
        messages[-1] += bytes(event.data)
        if event.message_finished:
            messages.append(b"")
    assert messages.pop() == b""
    return messages


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1 << 20])
def test_every_write_is_one_message_whatever_its_length(size: int) -> None:
    wire, layer = open_one()
    layer.write(b"x" * size)
    layer.write(b"and the next")
    assert binary(list(wire.client.events())) == [b"x" * size, b"and the next"]


def test_nothing_follows_the_goodbye() -> None:
    wire, layer = open_one()
    layer.write(b"one")
    layer.close()
    layer.write(b"two")
    one, goodbye = list(wire.client.events())
    assert isinstance(one, BytesMessage)
    assert isinstance(goodbye, CloseConnection)
    assert list(wire.client.events()) == []
    assert wire.closed
