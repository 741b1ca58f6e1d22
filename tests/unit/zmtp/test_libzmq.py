"""libzmq, through pyzmq, at the other end of a real socket: each mechanism, either side."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from midge.zmtp import events as ev
from midge.zmtp import z85
from midge.zmtp.connection import CLOSED, READY, Connection
from midge.zmtp.settings import Settings
from tests.unit.zmtp.support import (
    CLIENT_PUBLIC,
    CLIENT_SECRET,
    SERVER_PUBLIC,
    SERVER_SECRET,
    curve_settings,
    received,
)

pytestmark = pytest.mark.peer("pyzmq")

MESSAGES: list[bytes | list[bytes]] = [
    b"",
    b"x",
    b"y" * 255,
    b"z" * 256,
    [b"a", b"", b"c" * 70_000],
]


class Face:
    """The least that a connection needs to talk over a socket."""

    def __init__(self, sock: socket.socket, settings: Settings, zap: int = 200) -> None:
        self.socket = sock
        self.socket.settimeout(5)
        self.zap = zap
        self.connection = Connection(settings, 0.0, random=os.urandom)
        self.events: list[ev.Event] = []

    def step(self) -> None:
        self.flush()
        data = self.socket.recv(1 << 18)
        connection = self.connection
        events = connection.receive_data(data, 0.0) if data else connection.receive_eof(0.0)
        for event in events:
            if isinstance(event, ev.ZapRequest):
                self.events += connection.zap_reply(self.zap, 0.0, user_id="somebody")
        self.events += events
        self.flush()

    def flush(self) -> None:
        data = b"".join(self.connection.data_to_send())
        if data:
            self.socket.sendall(data)

    def until_ready(self) -> None:
        while self.connection.state < READY:
            self.step()
        assert self.connection.state == READY, self.events[-1].text  # type: ignore[attr-defined]

    def take(self, count: int) -> list[bytes | list[bytes]]:
        while len(got := received(self.events)) < count:
            assert self.connection.state != CLOSED
            self.step()
        return got


@pytest.fixture
def context() -> Iterator[Any]:
    import zmq

    class Context(zmq.Context):  # type: ignore[type-arg]
        """Keeps its sockets until they are closed."""

        def socket(self, *given: Any) -> Any:
            made = super().socket(*given)
            kept.append(made)
            return made

    kept: list[Any] = []
    context = Context()
    yield context
    for made in kept:
        made.close(linger=0)
    context.term()


def secure(peer: Any, mechanism: str, as_server: bool) -> None:
    """Give a libzmq socket the keys or the password."""
    if mechanism == "PLAIN":
        peer.plain_username, peer.plain_password = b"ann", b"secret"
    elif mechanism == "CURVE" and as_server:
        peer.curve_server = 1
        peer.curve_secretkey = z85.encode(SERVER_SECRET)
    elif mechanism == "CURVE":
        peer.curve_publickey = z85.encode(CLIENT_PUBLIC)
        peer.curve_secretkey = z85.encode(CLIENT_SECRET)
        peer.curve_serverkey = z85.encode(SERVER_PUBLIC)


def connected(peer: Any, settings: Settings) -> Face:
    port = peer.bind_to_random_port("tcp://127.0.0.1")
    return Face(socket.create_connection(("127.0.0.1", port)), settings)


def accepted(peer: Any, settings: Settings, zap: int = 200) -> Face:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer.connect(f"tcp://127.0.0.1:{listening.getsockname()[1]}")
        listening.settimeout(5)
        return Face(listening.accept()[0], settings, zap)


def as_sent(message: bytes | list[bytes]) -> list[bytes]:
    return [message] if isinstance(message, bytes) else message


@pytest.mark.parametrize("mechanism", ["NULL", "CURVE"])
def test_we_push_to_a_libzmq_server(context: Any, mechanism: str) -> None:
    import zmq

    peer = context.socket(zmq.PULL)
    peer.rcvtimeo = 5000
    secure(peer, mechanism, as_server=True)
    client = curve_settings("PUSH", "PULL")[0] if mechanism == "CURVE" else Settings("PUSH")
    face = connected(peer, client)
    face.until_ready()
    for message in MESSAGES:
        face.connection.send_multipart(as_sent(message))
    face.flush()
    assert [peer.recv_multipart() for _ in MESSAGES] == [as_sent(message) for message in MESSAGES]
    face.socket.close()


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN", "CURVE"])
def test_a_libzmq_client_pushes_to_us(context: Any, mechanism: str) -> None:
    import zmq

    peer = context.socket(zmq.PUSH)
    secure(peer, mechanism, as_server=False)
    if mechanism == "CURVE":
        server = curve_settings("PUSH", "PULL")[1]
    else:
        server = Settings("PULL", mechanism=mechanism, as_server=True)
    face = accepted(peer, server)
    face.until_ready()
    for message in MESSAGES:
        peer.send_multipart(as_sent(message))
    assert [as_sent(message) for message in face.take(len(MESSAGES))] == [
        as_sent(message) for message in MESSAGES
    ]
    face.socket.close()


def test_a_libzmq_client_with_a_wrong_password_is_refused(context: Any) -> None:
    import zmq

    peer = context.socket(zmq.PUSH)
    secure(peer, "PLAIN", as_server=False)
    face = accepted(peer, Settings("PULL", mechanism="PLAIN", as_server=True), zap=400)
    while face.connection.state != CLOSED:
        face.step()
    assert any(isinstance(event, ev.HandshakeFailed) for event in face.events)
    face.socket.close()


def test_a_libzmq_subscriber_subscribes_with_us(context: Any) -> None:
    import zmq

    peer = context.socket(zmq.SUB)
    peer.rcvtimeo = 5000
    peer.subscribe(b"a")
    face = accepted(peer, Settings("PUB"))
    face.until_ready()
    while not any(isinstance(event, ev.Subscribe) for event in face.events):
        face.step()
    face.connection.send_multipart([b"a/b", b"hello"])
    face.flush()
    assert peer.recv_multipart() == [b"a/b", b"hello"]
    peer.unsubscribe(b"a")
    while not any(isinstance(event, ev.Cancel) for event in face.events):
        face.step()
    face.socket.close()


def test_we_subscribe_with_a_libzmq_publisher(context: Any) -> None:
    import zmq

    peer = context.socket(zmq.XPUB)
    peer.rcvtimeo = 5000
    face = connected(peer, Settings("SUB"))
    face.until_ready()
    face.connection.subscribe(b"a")
    face.flush()
    assert peer.recv() == b"\x01a"
    peer.send(b"a message")
    peer.send(b"not for us")
    peer.send(b"another")
    assert face.take(2) == [b"a message", b"another"]
    face.socket.close()
