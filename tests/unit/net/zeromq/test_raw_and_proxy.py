"""STREAM over plain TCP, and connecting through a SOCKS 5 proxy."""

from __future__ import annotations

import errno
import socket
import threading

import pytest

from midge.net.zeromq.socks import proxy_place
from midge.patterns import monitor as m
from midge.patterns.errors import SocketError
from tests.unit.net.zeromq.conftest import World


def test_a_stream_socket_serves_a_plain_client(world: World) -> None:
    stream = world.socket("STREAM")
    port = int(stream.bind("tcp://127.0.0.1:*").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        world.reactor.settle()
        name, body = stream.receive()
        assert body == b""
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        world.reactor.settle()
        assert stream.receive() == [name, b"GET / HTTP/1.0\r\n\r\n"]
        assert stream.send([name, b"HTTP/1.0 200 OK\r\n\r\nhi"])
        assert stream.send([name, b""])
        world.reactor.settle()
        answer = b""
        while data := client.recv(1000):
            answer += data
        assert answer == b"HTTP/1.0 200 OK\r\n\r\nhi"
    world.reactor.settle()
    assert stream.receive() == [name, b""]
    with pytest.raises(SocketError) as caught:
        stream.send([name, b"too late"])
    assert caught.value.errno == errno.EHOSTUNREACH


def test_a_stream_socket_sends_much_to_a_slow_reader_before_it_closes(world: World) -> None:
    stream = world.socket("STREAM")
    port = int(stream.bind("tcp://127.0.0.1:*").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        world.reactor.settle()
        name, _ = stream.receive()
        assert stream.send([name, b"x" * 20_000_000])
        assert stream.send([name, b""])
        total = 0
        while True:
            world.reactor.settle(0)
            data = client.recv(1_000_000)
            if not data:
                break
            total += len(data)
        assert total == 20_000_000


def test_a_stream_socket_connects_too(world: World) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(5)
        stream = world.socket("STREAM")
        stream.connect(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        world.reactor.settle()
        name, body = stream.receive()
        assert body == b""
        client, _ = server.accept()
        with client:
            assert stream.send([name, b"hello"])
            world.reactor.settle()
            assert client.recv(100) == b"hello"


def test_two_stream_sockets_understand_each_other(world: World) -> None:
    one, two = world.socket("STREAM", "one"), world.socket("STREAM", "two")
    two.connect(one.bind("tcp://127.0.0.1:*"))
    world.reactor.settle()
    name, _ = two.receive()
    assert two.send([name, b"x" * 300_000])
    world.reactor.settle()
    peer, body = one.receive()
    assert body == b""
    total = 0
    while (item := one.receive()) is not None:
        assert item[0] == peer
        total += len(item[1])
        world.reactor.settle(0)
    assert total == 300_000


class Proxy:
    """A SOCKS 5 proxy for one connection, on a thread."""

    def __init__(self, user: str = "", password: str = "", answer: int = 0) -> None:
        self.user, self.password, self.answer = user, password, answer
        self.asked: tuple[str, int] | None = None
        self.listening = socket.socket()
        self.listening.bind(("127.0.0.1", 0))
        self.listening.listen()
        self.listening.settimeout(5)
        self.place = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        client, _ = self.listening.accept()
        client.settimeout(5)
        with client:
            _, count = client.recv(2)
            methods = client.recv(count)
            wanted = 2 if self.user else 0
            client.sendall(bytes((5, wanted if wanted in methods else 255)))
            if wanted not in methods:
                return
            if wanted == 2:
                size = client.recv(2)[1]
                user = client.recv(size)
                password = client.recv(client.recv(1)[0])
                right = (user.decode(), password.decode()) == (self.user, self.password)
                client.sendall(bytes((1, 0 if right else 1)))
                if not right:
                    return
            kind = client.recv(4)[3]
            host = (
                socket.inet_ntoa(client.recv(4))
                if kind == 1
                else client.recv(client.recv(1)[0]).decode()
            )
            port = int.from_bytes(client.recv(2), "big")
            self.asked = (host, port)
            client.sendall(bytes((5, self.answer, 0, 1)) + bytes(6))
            if not self.answer:
                with socket.create_connection(("127.0.0.1", port)) as target:
                    self.pump(client, target)

    def pump(self, one: socket.socket, other: socket.socket) -> None:
        def copy(source: socket.socket, sink: socket.socket) -> None:
            try:
                while data := source.recv(10_000):
                    sink.sendall(data)
            except OSError:
                pass

        back = threading.Thread(target=copy, args=(other, one))
        back.start()
        copy(one, other)
        other.shutdown(socket.SHUT_RDWR)
        back.join()

    def end(self) -> None:
        self.thread.join(10)
        self.listening.close()


@pytest.mark.parametrize(
    ("user", "host"), [("", "127.0.0.1"), ("ann", "127.0.0.1"), ("", "known.example")]
)
def test_a_proxy_connects_us(world: World, user: str, host: str) -> None:
    proxy = Proxy(user, "secret")
    pull = world.socket("PULL")
    port = int(pull.bind("tcp://127.0.0.1:*").rpartition(":")[2])
    push = world.socket(
        "PUSH", socks_proxy=proxy.place, socks_username=user, socks_password="secret"
    )
    push.connect(f"tcp://{host}:{port}")
    assert push.send(b"hello")
    for _ in range(200):
        world.reactor.settle(10)
        if (item := pull.receive()) is not None:
            break
    assert item == b"hello"
    assert proxy.asked == (host, port)
    assert world.reactor.lookups == []  # that is the proxy's affair
    push.close(0, lambda: None)
    proxy.end()


@pytest.mark.parametrize("trouble", ["password", "refused"])
def test_a_proxy_that_refuses_is_asked_again_later(world: World, trouble: str) -> None:
    proxy = Proxy("ann" if trouble == "password" else "", "secret", 5)
    push = world.socket(
        "PUSH",
        socks_proxy=proxy.place,
        socks_username="ann" if trouble == "password" else "",
        socks_password="wrong",
    )
    push.connect("tcp://127.0.0.1:5555")
    for _ in range(200):
        world.reactor.settle(10)
        if m.CONNECT_RETRIED in world.events("PUSH"):
            break
    assert world.events("PUSH") == [m.CONNECT_DELAYED, m.CLOSED, m.CONNECT_RETRIED]
    proxy.end()


@pytest.mark.parametrize("text", ["nowhere", "host:", ":1080", "host:0", "host:99999", "host:x"])
def test_a_malformed_proxy_is_refused(text: str) -> None:
    with pytest.raises(SocketError) as caught:
        proxy_place(text)
    assert caught.value.errno == errno.EINVAL
