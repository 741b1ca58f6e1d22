"""What the guide of ZeroMQ and the documentation of pyzmq begin with, on both packages.

The programs of each example are threads here, with sockets over tcp, as they would be processes.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faces.zmq.conftest import PATIENCE_MS, Bench


class Programs:
    """Runs the programs of an example, and sees that all of them end well."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self.over = threading.Event()

    def run(self, program: Callable[..., None], *arguments: Any) -> None:
        def body() -> None:
            try:
                program(*arguments)
            except BaseException as error:
                self._errors.append(error)

        thread = threading.Thread(target=body, daemon=True)
        self._threads.append(thread)
        thread.start()

    def end(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(15)
            assert not thread.is_alive()
        assert self._errors == []


@pytest.fixture
def programs() -> Programs:
    return Programs()


def bound(socket: Any) -> str:
    """Bind to a free port; returns where."""
    return f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"


def test_weather_is_published_and_who_wants_one_place_hears_of_that(
    bench: Bench, programs: Programs
) -> None:
    server = bench.socket("PUB")
    at = bound(server)

    def publish() -> None:
        number = 0
        while not programs.over.is_set():
            number += 1
            server.send_string(f"{10001 + number % 3} {number % 40} {50}")

    client = bench.socket("SUB")
    client.setsockopt_string(bench.zmq.SUBSCRIBE, "10002")
    client.connect(at)
    programs.run(publish)
    temperatures = []
    for _ in range(100):
        place, temperature, humidity = client.recv_string().split()
        assert (place, humidity) == ("10002", "50")
        temperatures.append(int(temperature))
    programs.end()
    assert 0 <= sum(temperatures) / 100 <= 40


def test_a_ventilator_hands_tasks_to_workers_and_a_sink_gathers(
    bench: Bench, programs: Programs
) -> None:
    ventilator, sink = bench.socket("PUSH"), bench.socket("PULL")
    tasks, results = bound(ventilator), bound(sink)
    stop = bench.socket("PUB")
    control = bound(stop)
    ready = threading.Barrier(4)

    def worker() -> None:
        zmq = bench.zmq
        receiver, sender, killed = bench.socket("PULL"), bench.socket("PUSH"), bench.socket("SUB")
        receiver.connect(tasks)
        sender.connect(results)
        killed.connect(control)
        killed.subscribe(b"")
        poller = zmq.Poller()
        poller.register(receiver, zmq.POLLIN)
        poller.register(killed, zmq.POLLIN)
        ready.wait(10)
        while True:
            there = dict(poller.poll(PATIENCE_MS))
            if receiver in there:
                sender.send(b"%d" % (int(receiver.recv()) ** 2))
            if killed in there:
                return

    for _ in range(3):
        programs.run(worker)
    ready.wait(10)
    for number in range(100):
        ventilator.send(b"%d" % number)
    assert sum(int(sink.recv()) for _ in range(100)) == sum(n * n for n in range(100))
    while any(thread.is_alive() for thread in programs._threads):
        stop.send(b"KILL")  # until all have heard it: a SUB may be late
        programs.over.wait(0.01)
    programs.end()


def test_a_broker_of_requests_polls_both_sides(bench: Bench, programs: Programs) -> None:
    zmq = bench.zmq
    front, back = bench.socket("ROUTER"), bench.socket("DEALER")
    clients, services = bound(front), bound(back)

    def broker() -> None:
        poller = zmq.Poller()
        poller.register(front, zmq.POLLIN)
        poller.register(back, zmq.POLLIN)
        while not programs.over.is_set():
            there = dict(poller.poll(20))
            if front in there:
                back.send_multipart(front.recv_multipart())
            if back in there:
                front.send_multipart(back.recv_multipart())

    def service() -> None:
        socket = bench.socket("REP")
        socket.connect(services)
        while not programs.over.is_set():
            if socket.poll(20):
                assert socket.recv() == b"Hello"
                socket.send(b"World")

    programs.run(broker)
    for _ in range(2):
        programs.run(service)
    client = bench.socket("REQ")
    client.connect(clients)
    for _ in range(10):
        client.send(b"Hello")
        assert client.recv() == b"World"
    programs.end()


def test_a_broker_gives_work_to_who_has_been_idle_the_longest(
    bench: Bench, programs: Programs
) -> None:
    zmq = bench.zmq
    front, back = bench.socket("ROUTER"), bench.socket("ROUTER")
    clients, workers = bound(front), bound(back)
    did: list[bytes] = []

    def worker(name: bytes) -> None:
        socket = bench.socket("REQ", identity=name)
        socket.connect(workers)
        socket.send(b"READY")
        while True:
            *way, asked = socket.recv_multipart()
            if asked == b"STOP":
                return
            socket.send_multipart([*way, name + b" did " + asked])

    def client(number: int) -> None:
        socket = bench.socket("REQ")
        socket.connect(clients)
        socket.send(b"%d" % number)
        who, _, what = socket.recv().split()
        assert what == b"%d" % number
        did.append(who)

    for name in (b"first", b"second"):
        programs.run(worker, name)
    idle: deque[bytes] = deque()
    while len(idle) < 2:
        name, empty, said = back.recv_multipart()
        assert (empty, said) == (b"", b"READY")
        idle.append(name)
    for number in range(6):
        programs.run(client, number)
    answered = 0
    poller = zmq.Poller()
    while answered < 6:
        poller.register(back, zmq.POLLIN)
        if idle:
            poller.register(front, zmq.POLLIN)
        elif front in poller:
            poller.unregister(front)
        there = dict(poller.poll(PATIENCE_MS))
        assert there
        if back in there:
            name, _, asker, _, answer = back.recv_multipart()
            idle.append(name)
            front.send_multipart([asker, b"", answer])
            answered += 1
        if front in there and idle:
            asker, _, asked = front.recv_multipart()
            back.send_multipart([idle.popleft(), b"", asker, b"", asked])
    for name in (b"first", b"second"):
        back.send_multipart([name, b"", b"STOP"])
    programs.end()
    assert len(did) == 6
    assert set(did) <= {b"first", b"second"}


def test_an_ironhouse_lets_in_who_has_a_key_and_nobody_else(bench: Bench, tmp_path: Path) -> None:
    pytest.importorskip("nacl", reason="CURVE needs PyNaCl")
    name = bench.zmq.__name__
    auth = importlib.import_module(f"{name}.auth")
    threaded = importlib.import_module(f"{name}.auth.thread")
    trusted, strangers = tmp_path / "trusted", tmp_path / "strangers"
    for place in (trusted, strangers):
        place.mkdir()
    auth.create_certificates(tmp_path, "server")
    auth.create_certificates(trusted, "friend")
    auth.create_certificates(strangers, "stranger")
    guard = threaded.ThreadAuthenticator(bench.context)
    guard.start()
    try:
        guard.allow("127.0.0.1")
        guard.configure_curve(domain="*", location=str(trusted))
        server_public, server_secret = auth.load_certificate(tmp_path / "server.key_secret")
        server = bench.socket("PUSH", curve_server=True)
        server.curve_publickey, server.curve_secretkey = server_public, server_secret
        at = bound(server)

        def client(place: Path, who: str) -> Any:
            socket = bench.socket("PULL", curve_serverkey=server_public)
            keys = auth.load_certificate(place / f"{who}.key_secret")
            socket.curve_publickey, socket.curve_secretkey = keys
            socket.connect(at)
            return socket

        stranger, friend = client(strangers, "stranger"), client(trusted, "friend")
        server.send(b"Hello")
        assert friend.recv() == b"Hello"
        assert not stranger.poll(100)
    finally:
        guard.stop()


def test_a_client_tries_again_with_a_new_socket_when_nobody_answers(
    bench: Bench, programs: Programs
) -> None:
    """The lazy pirate: a REQ that has asked in vain cannot ask again, so it is thrown away."""
    zmq = bench.zmq
    probe = bench.socket("REP")
    at = bound(probe)
    probe.close(0)  # nobody is there yet
    begun = threading.Event()

    def server() -> None:
        begun.wait(10)
        socket = bench.socket("REP")
        while True:
            with contextlib.suppress(zmq.ZMQError):
                socket.bind(at)
                break
            programs.over.wait(0.05)
        while not programs.over.is_set():
            if socket.poll(20):
                socket.send(b"re:" + socket.recv())

    programs.run(server)
    tries = 0
    while True:
        client = bench.socket("REQ")
        client.connect(at)
        client.send(b"%d" % tries)
        if client.poll(100 if tries < 3 else 1000):
            assert client.recv() == b"re:%d" % tries
            break
        with pytest.raises(zmq.ZMQError) as refused:
            client.send(b"again", zmq.DONTWAIT)
        assert refused.value.errno in (zmq.EFSM, zmq.EAGAIN)
        client.close(0)
        tries += 1
        assert tries < 20
        if tries == 2:
            begun.set()
    programs.end()
    assert tries >= 2


def test_subscribers_that_said_that_they_are_there_miss_nothing(
    bench: Bench, programs: Programs
) -> None:
    publisher, reception = bench.socket("XPUB", xpub_verbose=True), bench.socket("REP")
    news, desk = bound(publisher), bound(reception)
    got: list[int] = []

    def subscriber() -> None:
        socket, announce = bench.socket("SUB"), bench.socket("REQ")
        socket.subscribe(b"")
        socket.connect(news)
        announce.connect(desk)
        announce.send(b"")
        announce.recv()
        count = 0
        while socket.recv() != b"END":
            count += 1
        got.append(count)

    for _ in range(3):
        programs.run(subscriber)
    for _ in range(3):
        reception.recv()
        reception.send(b"")
    for _ in range(3):  # to say so is one thing, to have subscribed another
        assert publisher.recv() == b"\x01"
    for _ in range(900):
        publisher.send(b"Rhubarb")
    publisher.send(b"END")
    programs.end()
    assert got == [900] * 3
