"""The blocking link over a pair of sockets, with the server's end in the test's hands."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from midge.client.core import Client
from midge.client.events import BY_CLIENT, BY_NETWORK, BY_SERVER, Connected, Disconnected
from midge.mqtt import packets as p
from midge.mqtt.encode import encode
from midge.net.blocking import BlockingLink, Signals, connect_tcp, connect_unix


class Clock:
    """A clock that is moved by hand, and never by waiting."""

    def __init__(self) -> None:
        self.time_s = 1000.0

    def __call__(self) -> float:
        return self.time_s


class Ends:
    """A link and the server's end of its socket."""

    def __init__(self) -> None:
        ours, self.server = socket.socketpair()
        self.clock = Clock()
        self.client = Client(p.Connect("me", 5, keepalive_s=10))
        self.link = BlockingLink(self.client, ours, self.clock)

    def send(self, *packets: p.Packet) -> None:
        self.server.sendall(b"".join(encode(packet, 5) for packet in packets))

    def now(self) -> float:
        """A time that has come: a turn until then does not wait."""
        return self.clock.time_s

    def accept(self) -> None:
        self.client.connect(self.clock.time_s)
        self.link.turn(self.now())
        assert self.server.recv(1000)[0] >> 4 == p.CONNECT
        self.send(p.Connack())
        (event,) = self.link.turn()
        assert isinstance(event, Connected)


@pytest.fixture
def ends() -> Iterator[Ends]:
    pair = Ends()
    pair.accept()
    yield pair
    pair.link.close()
    pair.server.close()


def test_a_turn_writes_waits_and_reads(ends: Ends) -> None:
    ends.client.publish("t", b"x", ends.now())
    message = p.Publish("a", b"y", 1, packet_id=1)
    ends.send(message)
    assert ends.link.turn() == [message]
    # The acknowledgement has left with the same turn.
    assert ends.server.recv(1000) == encode(p.Publish("t", b"x"), 5) + encode(p.Puback(1), 5)


def test_a_turn_ends_when_the_caller_says_so(ends: Ends) -> None:
    assert ends.link.turn(ends.now()) == []
    assert ends.link.turn(ends.now() - 5) == []


def test_a_turn_does_what_the_clients_deadline_asks_for(ends: Ends) -> None:
    ends.clock.time_s += 10
    assert ends.link.turn() == []
    assert ends.server.recv(1000) == encode(p.Pingreq(), 5)


def test_another_descriptor_ends_the_wait(ends: Ends) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")
    assert ends.link.turn(None, (reading,)) == []
    assert ends.link.ready_fd == reading
    ends.link.turn(ends.now())
    assert ends.link.ready_fd == -1
    os.close(reading)
    os.close(writing)


def test_the_first_of_the_watched_descriptors_is_named(ends: Ends) -> None:
    pipes = [os.pipe() for _ in range(3)]
    for _, writing in pipes:
        os.write(writing, b"x")
    for order in ((0, 1, 2), (2, 1, 0), (1, 2)):
        watch = tuple(pipes[index][0] for index in order)
        ends.link.turn(None, watch)
        assert ends.link.ready_fd == watch[0]
    for pipe in pipes:
        os.close(pipe[0])
        os.close(pipe[1])


def test_the_end_of_the_connection_is_an_event(ends: Ends) -> None:
    ends.server.close()
    (event,) = ends.link.turn()
    assert isinstance(event, Disconnected)
    assert event.by == BY_NETWORK
    assert ends.link.closed
    assert ends.link.turn() == []


def test_what_the_server_said_before_it_closed_is_heard(ends: Ends) -> None:
    ends.send(p.Disconnect(0x8B))
    ends.server.close()
    ends.client.publish("t", b"x" * 1_000_000, ends.now())
    events = ends.link.turn()
    assert [type(event) for event in events] == [Disconnected]
    assert isinstance(events[0], Disconnected)
    assert (events[0].by, events[0].reason) == (BY_SERVER, 0x8B)
    assert ends.link.closed


def test_a_goodbye_is_written_before_the_close(ends: Ends) -> None:
    ends.send(p.Publish("t", b"that nobody reads"))
    ends.client.disconnect(ends.now())
    ends.server.shutdown(socket.SHUT_WR)
    (event,) = ends.link.turn()
    assert isinstance(event, Disconnected)
    assert event.by == BY_CLIENT
    assert ends.link.closed
    assert ends.server.recv(1000) == encode(p.Disconnect(), 5)
    assert ends.server.recv(1000) == b""


def test_what_is_still_on_its_way_does_not_break_the_goodbye() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        clock = Clock()
        client = Client(p.Connect("me", 5))
        link = BlockingLink(client, connect_tcp(*listening.getsockname()), clock)
        server, _ = listening.accept()
        with server:
            client.connect(clock())
            link.turn(clock())
            server.recv(1000)
            server.sendall(
                encode(p.Connack(), 5) + encode(p.Publish("t", b"", 1, False, False, 1), 5)
            )
            link.turn()
            server.settimeout(10)
            server.recv(1000)

            def go_on() -> None:
                # As a server with more to send: it writes before it reads our last words.
                for _ in range(20):
                    server.sendall(encode(p.Publish("t", b"x" * 1000), 5))

            client.disconnect(clock())
            thread = threading.Timer(0.05, go_on)
            thread.start()
            ending = threading.Timer(0.1, server.shutdown, [socket.SHUT_WR])
            ending.start()
            link.turn()
            thread.join()
            ending.join()
            assert server.recv(1000) == encode(p.Disconnect(), 5)


def test_a_server_that_reads_slowly_gets_everything_in_order(ends: Ends) -> None:
    ends.server.setblocking(False)
    sent = b""
    for number in range(40):
        packet = p.Publish("t", bytes([number]) * 50_000)
        ends.client.publish(packet.topic, packet.payload, ends.now())
        sent += encode(packet, 5)
        ends.link.turn(ends.now())
    assert ends.link.backlog() > 0
    received = b""
    while len(received) < len(sent):
        received += ends.server.recv(100_000)
        ends.link.turn(ends.now())
    assert received == sent
    assert ends.link.backlog() == 0


def test_flush_waits_no_longer_than_it_was_told(ends: Ends) -> None:
    ends.client.publish("t", b"x" * 5_000_000, ends.now())
    ends.link.flush()
    assert ends.link.backlog() > 0
    assert not ends.link.closed


def test_close_is_heard_by_the_client_and_may_come_twice(ends: Ends) -> None:
    ends.link.close()
    ends.link.close()
    assert not ends.client.connected
    assert ends.link.turn() == []


# -- signals ------------------------------------------------------------------------------------


def test_a_signal_ends_the_wait_and_nothing_else(ends: Ends) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    signals = Signals(signal.SIGUSR1)
    try:
        assert signals.received() == 0
        os.kill(os.getpid(), signal.SIGUSR1)
        assert ends.link.turn(None, (signals.fd,)) == []
        assert ends.link.ready_fd == signals.fd
        assert signals.received() == signal.SIGUSR1
        assert signals.received() == 0
    finally:
        signals.close()
    assert signal.getsignal(signal.SIGUSR1) is before
    assert signal.set_wakeup_fd(-1) == -1


# -- connecting ---------------------------------------------------------------------------------


def test_connect_tcp_goes_on_to_the_next_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening, socket.socket() as closed:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        closed.bind(("127.0.0.1", 0))  # bound but not listening: refused
        good, bad = listening.getsockname(), closed.getsockname()
        kinds = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(*kinds, bad), (*kinds, good)])
        with connect_tcp("anything", 1) as sock:
            assert sock.getpeername() == good
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(*kinds, bad), (*kinds, bad)])
        with pytest.raises(ConnectionRefusedError):
            connect_tcp("anything", 1)


def test_connect_tcp_can_come_from_a_given_address() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        with connect_tcp("127.0.0.1", port, bind_address="127.0.0.2") as sock:
            assert sock.getsockname()[0] == "127.0.0.2"


def test_connect_unix(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        with connect_unix(path) as sock:
            assert sock.getpeername() == path
    with pytest.raises(ConnectionRefusedError):
        connect_unix(path)
    with pytest.raises(FileNotFoundError):
        connect_unix(path + "-not")
