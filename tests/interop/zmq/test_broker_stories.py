"""What people do with ``protocol zmtp``, with libzmq's sockets."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

import midge.zmq as midge_zmq
from midge.client import sync
from tests.process import BrokerProcess, free_port

TIMEOUT_MS = 10_000


class Peers:
    """Sockets of libzmq at one endpoint."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.context = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []

    def socket(self, kind: int, **options: object) -> zmq.Socket[bytes]:
        """A connected socket; ``options`` are set before."""
        made = self.context.socket(kind)
        made.rcvtimeo = made.sndtimeo = TIMEOUT_MS
        made.linger = 1000
        for name, value in options.items():
            setattr(made, name, value)
        self._sockets.append(made)
        made.connect(self.endpoint)
        return made

    def end(self) -> None:
        """Close all sockets."""
        for made in self._sockets:
            made.close()
        self.context.term()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def peers(port: int) -> Iterator[Peers]:
    made = Peers(f"tcp://127.0.0.1:{port}")
    yield made
    made.end()


def broker(directory: Path, port: int, *lines: str) -> BrokerProcess:
    """A broker with a listener for ZeroMQ peers as well."""
    own = (f"listener {port} 127.0.0.1", "protocol zmtp", "allow_anonymous true", *lines)
    return BrokerProcess(directory, "".join(f"{line}\n" for line in own))


def mqtt(running: BrokerProcess) -> sync.Client:
    return sync.connect(f"mqtt://127.0.0.1:{running.port}")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def test_a_proxy_of_zeromq_stands_between_the_broker_and_subscribers(
    tmp_path: Path, port: int, peers: Peers
) -> None:
    """An XSUB subscribes and cancels in the name of those behind it, and an XPUB passes on."""
    with broker(tmp_path, port) as running, mqtt(running) as client:
        behind = peers.socket(zmq.XSUB)
        behind.send(b"\x01news/")
        heard = peers.socket(zmq.XPUB)
        assert heard.recv() == b"\x01"
        for number in range(1000):
            heard.send_multipart([b"news/%d" % number, b"?"])
            if behind.poll(10):
                break
        client.subscribe("news/#")
        heard.send_multipart([b"news/last", b"!"])
        got = behind.recv_multipart()
        while got[0] != b"news/last":
            got = behind.recv_multipart()
        assert client.receive(10).topic == "news/last"
        behind.send(b"\x00news/")
        behind.send(b"\x01end/")
        for _ in range(1000):
            client.publish("news/more", b"")
            client.publish("end/now", b"")
            if behind.poll(10) and behind.recv_multipart()[0] == b"end/now":
                break
        until(lambda: not behind.poll(50) or behind.recv_multipart()[0] != b"news/more")


def test_dealers_share_the_work_of_routers_and_each_gets_its_answers(
    tmp_path: Path, port: int, peers: Peers
) -> None:
    with broker(tmp_path, port, "zmtp_queue sums", "queue sums prefetch=4"):
        askers = [peers.socket(zmq.DEALER) for _ in range(3)]
        workers = [peers.socket(zmq.ROUTER) for _ in range(2)]
        for index, asker in enumerate(askers):
            for number in range(20):
                asker.send_multipart([b"%d" % number, b"", b"%d %d" % (index, number)])
        did = [0, 0]
        poller = zmq.Poller()
        for worker in workers:
            poller.register(worker, zmq.POLLIN)
        while sum(did) < 60:
            ready = poller.poll(TIMEOUT_MS)
            assert ready
            for worker, _ in ready:
                *way, body = worker.recv_multipart()
                worker.send_multipart([*way, b"sum of " + body])
                did[workers.index(worker)] += 1
        assert min(did) > 0, "both worked"
        for index, asker in enumerate(askers):
            answers = [asker.recv_multipart() for _ in range(20)]
            assert sorted(answers) == sorted(
                [b"%d" % number, b"", b"sum of %d %d" % (index, number)] for number in range(20)
            )


def test_a_slow_worker_gets_less(tmp_path: Path, port: int, peers: Peers) -> None:
    with broker(tmp_path, port, "zmtp_queue jobs", "queue jobs prefetch=1"):
        slow, fast = peers.socket(zmq.REP), peers.socket(zmq.REP)
        push = peers.socket(zmq.PUSH)
        for number in range(50):
            push.send(b"%d" % number)
        assert slow.poll(TIMEOUT_MS)
        held = slow.recv()  # and takes its time
        done = [held]
        while len(done) < 50:
            done.append(fast.recv())
            fast.send(b"")
        slow.send(b"")
        assert sorted(map(int, done)) == list(range(50))
        assert not slow.poll(50)


def test_peers_come_by_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "zmq.sock"
    lines = f"listener 0 {path}\nprotocol zmtp\nzmtp_queue jobs\nallow_anonymous true\n"
    peers = Peers(f"ipc://{path}")
    with BrokerProcess(tmp_path, lines):
        peers.socket(zmq.PUSH).send(b"a job")
        assert peers.socket(zmq.PULL).recv() == b"a job"
        peers.end()


def test_no_more_peers_are_let_in_than_may_be(tmp_path: Path, port: int, peers: Peers) -> None:
    with broker(tmp_path, port, "zmtp_queue jobs", "max_connections 1") as running:
        push = peers.socket(zmq.PUSH)
        push.send(b"1")
        until(lambda: "PUSH" in running.log())
        pull = peers.socket(zmq.PULL)
        assert not pull.poll(300)
        push.close()
        assert pull.recv() == b"1"  # libzmq comes again


def test_a_reload_gives_a_listener_another_queue(tmp_path: Path, port: int, peers: Peers) -> None:
    with broker(tmp_path, port, "zmtp_queue before") as running, mqtt(running) as client:
        client.subscribe("$queue/before", qos=1)
        client.subscribe("$queue/after", qos=1)
        early = peers.socket(zmq.PUSH)
        early.send(b"1")
        assert client.receive(10).topic == "$queue/before"
        file = tmp_path / "broker.conf"
        file.write_text(file.read_text().replace("zmtp_queue before", "zmtp_queue after"))
        count = running.log().count("Reloading config")
        os.kill(running.pid, signal.SIGHUP)
        until(lambda: running.log().count("Reloading config") > count)
        client.publish("$SYS/x", b"")  # a turn later it is done

        def comes_to_the_other() -> bool:
            peers.socket(zmq.PUSH).send(b"2")
            return client.receive(10).topic == "$queue/after"

        until(comes_to_the_other)


def test_a_socket_of_midge_names_its_queue_in_the_handshake(
    tmp_path: Path, port: int, peers: Peers
) -> None:
    with broker(tmp_path, port, "zmtp_queue others") as running, mqtt(running) as client:
        client.subscribe("$queue/photos", qos=1)
        with midge_zmq.Context() as context, context.socket(midge_zmq.PUSH) as push:
            push.setsockopt(midge_zmq.METADATA, b"X-Midge-Queue:photos")
            push.connect(peers.endpoint)
            push.send(b"a picture")
            got = client.receive(10)
        assert (got.topic, got.payload) == ("$queue/photos", b"a picture")


def test_a_worker_refuses_and_the_job_ends_among_the_dead(
    tmp_path: Path, port: int, peers: Peers
) -> None:
    settings = "queue jobs deliveries_max=2"
    with broker(tmp_path, port, "zmtp_queue jobs", settings) as running, mqtt(running) as client:
        client.subscribe("$queue/jobs.dead", qos=1)
        worker = peers.socket(zmq.REP)
        peers.socket(zmq.PUSH).send(b"impossible")
        for _ in range(2):
            assert worker.recv() == b"impossible"
            worker.send(b"midge:refuse")
        assert client.receive(10).payload == b"impossible"
        assert not worker.poll(50)
