"""Sockets for gevent: a call that waits lets other greenlets run."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faces.zmq.conftest import PATIENCE_MS, Bench

gevent = pytest.importorskip("gevent", reason="gevent is not installed")

PATIENCE_S = PATIENCE_MS / 1000


@pytest.fixture(
    params=["midge.zmq.green", pytest.param("zmq.green", marks=pytest.mark.peer("pyzmq"))]
)
def green(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Sockets of ours, and of pyzmq's, which waits for a socket without its timeouts."""
    made = GreenBench(importlib.import_module(request.param))
    with gevent.Timeout(PATIENCE_S):
        yield made
        made.end()


@pytest.fixture
def ours() -> Iterator[Bench]:
    made = Bench(importlib.import_module("midge.zmq.green"))
    with gevent.Timeout(PATIENCE_S):
        yield made
        made.end()


class GreenBench(Bench):
    def socket(self, kind: str, **options: object) -> Any:
        made = self.context.socket(getattr(self.zmq, kind))
        self._made.append(made)
        made.linger = 0
        for name, value in options.items():
            setattr(made, name, value)
        return made


class Ticks:
    """Counts the turns that another greenlet gets."""

    def __init__(self) -> None:
        self.count = 0
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            gevent.sleep(0.001)
            self.count += 1

    def end(self) -> None:
        self._greenlet.kill()


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_a_receive_that_waits_lets_others_run(green: Bench, transport: str) -> None:
    push, pull = green.pair("PUSH", "PULL", transport)
    ticks = Ticks()

    def send_late() -> None:
        while ticks.count < 5:
            gevent.sleep(0.001)
        push.send(b"late")
        push.send_multipart([b"in", b"parts"])

    sender = gevent.spawn(send_late)
    assert pull.recv() == b"late"
    assert ticks.count >= 5
    assert pull.recv_multipart() == [b"in", b"parts"]
    sender.join()
    ticks.end()


def test_a_send_that_waits_for_room_lets_others_run(green: Bench) -> None:
    push = green.socket("PUSH", sndhwm=10)
    pull = green.socket("PULL", rcvhwm=10)
    green.join(push, pull, "inproc")
    total = 500
    sender = gevent.spawn(lambda: [push.send(b"%d" % number) for number in range(total)])
    assert [int(pull.recv()) for _ in range(total)] == list(range(total))
    sender.get()


def test_greenlets_talk_over_one_socket_each(green: Bench) -> None:
    req, rep = green.pair("REQ", "REP", "tcp")

    def serve() -> None:
        for _ in range(50):
            rep.send(rep.recv() + b"!")

    server = gevent.spawn(serve)
    for number in range(50):
        req.send(b"%d" % number)
        assert req.recv() == b"%d!" % number
    server.join()


def test_two_greenlets_may_wait_for_one_socket_in_two_directions(green: Bench) -> None:
    one, other = green.pair("DEALER", "DEALER", "tcp")
    got: list[bytes] = []
    reader = gevent.spawn(lambda: got.extend(one.recv() for _ in range(100)))
    writer = gevent.spawn(lambda: [one.send(b"to the other") for _ in range(100)])
    for _ in range(100):
        assert other.recv() == b"to the other"
        other.send(b"back")
    gevent.joinall([reader, writer], raise_error=True)
    assert got == [b"back"] * 100


def test_a_poller_lets_others_run(green: Bench) -> None:
    zmq = green.zmq
    push, pull = green.pair("PUSH", "PULL", "tcp")
    read_fd, write_fd = os.pipe()
    poller = zmq.Poller()
    poller.register(pull, zmq.POLLIN)
    poller.register(read_fd, zmq.POLLIN)
    assert poller.poll(20) == []
    gevent.spawn_later(0.02, push.send, b"x")
    assert dict(poller.poll(PATIENCE_MS)) == {pull: zmq.POLLIN}
    assert pull.recv() == b"x"
    gevent.spawn_later(0.02, os.write, write_fd, b"x")
    assert dict(poller.poll(PATIENCE_MS)) == {read_fd: zmq.POLLIN}
    os.close(read_fd)
    os.close(write_fd)


def test_whoever_waits_is_told_when_the_context_ends(green: Bench) -> None:
    zmq = green.zmq
    context = zmq.Context()
    pull = context.socket(zmq.PULL)
    said: list[type] = []

    def wait() -> None:
        try:
            pull.recv()
        except zmq.ZMQError as error:
            said.append(type(error))
        pull.close(0)

    waiting = gevent.spawn(wait)
    gevent.sleep(0.02)
    if green.zmq.__name__ == "zmq.green":  # its term() would wait for the greenlet, and keep it
        pull.close(0)
        waiting.kill()
        context.term()
        return
    context.term()
    waiting.join()
    assert said == [zmq.ContextTerminated]


def test_whoever_waits_is_told_when_the_socket_is_closed(ours: Bench) -> None:
    zmq = ours.zmq
    pull = ours.socket("PULL")
    pull.rcvtimeo = -1
    waiting = gevent.spawn(pull.recv)
    gevent.sleep(0.02)
    pull.close(0)
    with pytest.raises(zmq.ZMQError) as told:
        waiting.get()
    assert told.value.errno == zmq.ENOTSOCK


def test_whoever_polls_is_told_when_the_socket_is_closed(ours: Bench) -> None:
    zmq = ours.zmq
    pull = ours.socket("PULL")
    poller = zmq.Poller()
    poller.register(pull, zmq.POLLIN)
    waiting = gevent.spawn(poller.poll)
    gevent.sleep(0.02)
    pull.close(0)
    with pytest.raises(zmq.ZMQError) as told:
        waiting.get()
    assert told.value.errno == zmq.ENOTSOCK


def test_timeouts_hold(ours: Bench) -> None:
    zmq = ours.zmq
    pull = ours.socket("PULL", rcvtimeo=30)
    push = ours.socket("PUSH", sndtimeo=30)
    ticks = Ticks()
    for call in (pull.recv, pull.recv_multipart, pull.recv_many, lambda: push.send(b"x")):
        ticks.count = 0
        with pytest.raises(zmq.Again):
            call()
        assert ticks.count >= 5
    with pytest.raises(zmq.Again):
        pull.recv(zmq.DONTWAIT)
    assert pull.poll(10) == 0
    ticks.end()


def test_what_only_we_have_waits_in_the_same_way(ours: Bench) -> None:
    pub, sub = ours.socket("PUB"), ours.socket("SUB")
    ours.join(pub, sub, "tcp")
    gevent.spawn_later(0.02, sub.subscribe, b"a")
    pub.wait_subscribed(b"a")
    sub.wait_peers(1)
    gevent.spawn_later(0.02, pub.send_many, [b"a1", b"b1", b"a2"])
    got: list[bytes] = []
    while len(got) < 2:
        got += sub.recv_many()
    assert got == [b"a1", b"a2"]


def test_a_device_runs_beside_others(green: Bench) -> None:
    zmq = green.zmq
    front, back = green.socket("ROUTER"), green.socket("DEALER")
    req, rep = green.socket("REQ"), green.socket("REP")
    green.join(front, req, "tcp")
    green.join(back, rep, "tcp")
    device = gevent.spawn(zmq.device, zmq.QUEUE, front, back)
    gevent.spawn(lambda: rep.send(rep.recv().upper()))
    req.send(b"question")
    assert req.recv() == b"QUESTION"
    device.kill()


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


PATCHED = """
from gevent import monkey
monkey.patch_all()
import threading
import {module} as zmq
context = zmq.Context()
server = context.socket(zmq.REP)
server.bind("tcp://127.0.0.1:*")
def serve():
    while True:
        server.send(server.recv() + b"!")
threading.Thread(target=serve, daemon=True).start()
client = context.socket(zmq.REQ)
client.connect(server.last_endpoint.decode())
for number in range(20):
    client.send(b"%d" % number)
    assert client.recv() == b"%d!" % number
print("done")
"""


def test_a_program_that_gevent_has_patched_runs() -> None:
    assert run(PATCHED.format(module="midge.zmq.green")) == "done\n"


def test_blocking_sockets_do_in_a_patched_program_what_they_do_elsewhere() -> None:
    program = """
from gevent import monkey
monkey.patch_all()
import midge.zmq as zmq
with zmq.Context() as context:
    push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    push.bind("tcp://127.0.0.1:*")
    pull.connect(push.last_endpoint.decode())
    push.send(b"x")
    print(pull.recv())
    assert pull.poll(10) == 0
    push.close()
    pull.close()
"""
    assert run(program) == "b'x'\n"


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_what_is_queued_at_the_end_of_a_program_still_leaves(patch: str) -> None:
    import midge.zmq as zmq

    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.bind("tcp://127.0.0.1:*")
        pull.rcvtimeo = PATIENCE_MS
        endpoint = pull.last_endpoint.decode()
        run(
            f"{patch}\nimport midge.zmq.green as zmq\n"
            "push = zmq.Context.instance().socket(zmq.PUSH)\n"
            f"push.connect({endpoint!r})\npush.send(b'last words')\n"
        )
        assert pull.recv() == b"last words"


def test_without_gevent_the_import_says_what_is_missing() -> None:
    program = (
        "import sys; sys.modules['gevent'] = None\n"
        "try:\n    import midge.zmq.green\n"
        "except ImportError as error:\n    print(error)\n"
    )
    assert run(program) == "midge.zmq.green needs gevent: pip install gevent\n"
