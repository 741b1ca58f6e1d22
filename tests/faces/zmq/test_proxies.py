"""proxy, proxy_steerable and the devices around them."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import pytest

from tests.faces.zmq.conftest import PATIENCE_MS, Bench


class InThread(threading.Thread):
    """A call in a thread; its error is given by :meth:`ended`."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.arguments = arguments
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.call(*self.arguments)
        except Exception as error:
            self.error = error

    def ended(self) -> BaseException | None:
        self.join(10)
        assert not self.is_alive()
        return self.error


def test_a_proxy_is_a_broker_of_requests(bench: Bench) -> None:
    zmq = bench.zmq
    inner = zmq.Context()
    front, back = inner.socket(zmq.ROUTER), inner.socket(zmq.DEALER)
    clients = front.bind_to_random_port("tcp://127.0.0.1")
    workers = back.bind_to_random_port("tcp://127.0.0.1")
    running = InThread(zmq.proxy, front, back)
    reps = [bench.socket("REP") for _ in range(2)]
    reqs = [bench.socket("REQ") for _ in range(4)]
    for rep in reps:
        rep.connect(f"tcp://127.0.0.1:{workers}")
    for req in reqs:
        req.connect(f"tcp://127.0.0.1:{clients}")

    def work(rep: Any) -> None:
        while (asked := rep.recv()) != b"stop":
            rep.send(b"re:" + asked)

    working = [InThread(work, rep) for rep in reps]
    for number in range(20):
        for index, req in enumerate(reqs):
            req.send(b"%d.%d" % (index, number))
        for index, req in enumerate(reqs):
            assert req.recv() == b"re:%d.%d" % (index, number)
    for req in reqs[:2]:
        req.send(b"stop")
    assert [one.ended() for one in working] == [None, None]
    term = InThread(inner.term)  # ends the proxy, which leaves its sockets to us
    assert isinstance(running.ended(), zmq.ContextTerminated)
    front.close(0)
    back.close(0)
    assert term.ended() is None


@pytest.mark.parametrize(("front", "back"), [("XSUB", "XPUB"), ("PULL", "PUSH")])
def test_a_proxy_forwards_and_shows_it_to_who_looks_on(bench: Bench, front: str, back: str) -> None:
    zmq = bench.zmq
    inner = zmq.Context()
    one, other = inner.socket(getattr(zmq, front)), inner.socket(getattr(zmq, back))
    capture = inner.socket(zmq.PUSH)
    ports = [made.bind_to_random_port("tcp://127.0.0.1") for made in (one, other, capture)]
    running = InThread(zmq.proxy, one, other, capture)
    sender = bench.socket("PUB" if front == "XSUB" else "PUSH")
    receiver = bench.socket("SUB" if front == "XSUB" else "PULL")
    observer = bench.socket("PULL")
    sender.connect(f"tcp://127.0.0.1:{ports[0]}")
    receiver.connect(f"tcp://127.0.0.1:{ports[1]}")
    observer.connect(f"tcp://127.0.0.1:{ports[2]}")
    if front == "XSUB":
        receiver.subscribe(b"a")
        for _ in range(1000):  # until the subscription has come through
            sender.send_multipart([b"a", b"?"])
            if receiver.poll(10):
                break
        while receiver.poll(50):
            receiver.recv_multipart()
        sender.send_multipart([b"b", b"0"])
    sender.send_multipart([b"a", b"1"])
    assert receiver.recv_multipart() == [b"a", b"1"]
    seen = []
    while not seen or seen[-1] != [b"a", b"1"]:
        assert observer.poll(PATIENCE_MS)
        seen.append(observer.recv_multipart())
    term = InThread(inner.term)
    assert isinstance(running.ended(), zmq.ContextTerminated)
    for made in (one, other, capture):
        made.close(0)
    assert term.ended() is None


def test_a_steerable_proxy_pauses_goes_on_and_ends(ours: Bench) -> None:
    """Newer versions of libzmq have none."""
    bench, zmq = ours, ours.zmq
    inner = zmq.Context()
    front, back = inner.socket(zmq.PULL), inner.socket(zmq.PUSH)
    control = inner.socket(zmq.PAIR)
    ports = [made.bind_to_random_port("tcp://127.0.0.1") for made in (front, back, control)]
    running = InThread(zmq.proxy_steerable, front, back, None, control)
    push, pull, steer = bench.socket("PUSH"), bench.socket("PULL"), bench.socket("PAIR")
    for made, port in zip((push, pull, steer), ports, strict=True):
        made.connect(f"tcp://127.0.0.1:{port}")
    push.send(b"1")
    assert pull.recv() == b"1"
    steer.send(b"PAUSE")
    assert not pull.poll(30)
    push.send(b"2")
    assert not pull.poll(30)
    steer.send(b"RESUME")
    assert pull.recv() == b"2"
    steer.send(b"TERMINATE")
    assert running.ended() is None
    for made in (front, back, control):
        made.close(0)
    inner.term()


@pytest.mark.parametrize("kind", ["ThreadDevice", "ThreadProxy"])
def test_a_device_runs_in_a_thread(bench: Bench, kind: str) -> None:
    zmq = bench.zmq
    devices = importlib.import_module(f"{zmq.__name__}.devices")
    if kind == "ThreadDevice":
        device = devices.ThreadDevice(zmq.QUEUE, zmq.ROUTER, zmq.DEALER)
    else:
        device = devices.ThreadProxy(zmq.ROUTER, zmq.DEALER, zmq.PUB)
        device.bind_mon("inproc://looks-on")
    device.setsockopt_in(zmq.LINGER, 0)
    device.setsockopt_out(zmq.LINGER, 0)
    device.context_factory = lambda: bench.context
    clients = device.bind_in_to_random_port("tcp://127.0.0.1")
    workers = device.bind_out_to_random_port("tcp://127.0.0.1")
    device.start()
    rep, req = bench.socket("REP"), bench.socket("REQ")
    rep.connect(f"tcp://127.0.0.1:{workers}")
    req.connect(f"tcp://127.0.0.1:{clients}")
    req.send(b"?")
    assert rep.recv() == b"?"
    rep.send(b"!")
    assert req.recv() == b"!"
    for made in (rep, req):
        made.close(0)
    bench.context.term()  # which ends it
    device.join(10)
    assert device.done


def test_a_monitored_queue_shows_both_ways_to_who_looks_on(bench: Bench) -> None:
    zmq = bench.zmq
    devices = importlib.import_module(f"{zmq.__name__}.devices")
    device = devices.ThreadMonitoredQueue(
        zmq.ROUTER, zmq.DEALER, zmq.PUSH, in_prefix=b"in", out_prefix=b"out"
    )
    device.setsockopt_in(zmq.LINGER, 0)
    device.setsockopt_out(zmq.LINGER, 0)
    device.setsockopt_mon(zmq.LINGER, 0)
    device.context_factory = lambda: bench.context
    clients = device.bind_in_to_random_port("tcp://127.0.0.1")
    workers = device.bind_out_to_random_port("tcp://127.0.0.1")
    observers = device.bind_mon_to_random_port("tcp://127.0.0.1")
    device.start()
    rep, req, observer = (bench.socket(kind) for kind in ("REP", "REQ", "PULL"))
    rep.connect(f"tcp://127.0.0.1:{workers}")
    req.connect(f"tcp://127.0.0.1:{clients}")
    observer.connect(f"tcp://127.0.0.1:{observers}")
    req.send(b"?")
    rep.send(rep.recv() + b"!")
    assert req.recv() == b"?!"
    one, other = observer.recv_multipart(), observer.recv_multipart()
    assert (one[0], one[-1]) == (b"in", b"?")
    assert (other[0], other[-1]) == (b"out", b"?!")
    for made in (rep, req, observer):
        made.close(0)
    bench.context.term()
    device.join(10)
