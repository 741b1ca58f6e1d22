"""Who ZeroMQ peers of the broker are, and what becomes of the messages of those that die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

from midge.client import sync
from midge.errors import OperationTimeout
from tests.process import BrokerProcess, free_port

TIMEOUT_MS = 10_000

WORKER = """
import sys, zmq
worker = zmq.Context().socket(zmq.REP)
worker.connect(sys.argv[1])
while True:
    print(worker.recv().decode(), flush=True)  # and never answers
"""


class Peers:
    """libzmq's sockets, which are closed at the end."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self._made: list[zmq.Socket[bytes]] = []

    def socket(self, kind: int, endpoint: str, **options: Any) -> zmq.Socket[bytes]:
        made = self.context.socket(kind)
        made.rcvtimeo = made.sndtimeo = TIMEOUT_MS
        made.linger = 0
        for name, value in options.items():
            setattr(made, name, value)
        made.connect(endpoint)
        self._made.append(made)
        return made

    def end(self) -> None:
        for made in self._made:
            made.close()
        self.context.term()


@pytest.fixture
def peers() -> Iterator[Peers]:
    made = Peers()
    yield made
    made.end()


def midge(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "midge", *words], check=True, timeout=20)


def test_plain_asks_the_password_file_and_the_rules(tmp_path: Path, peers: Peers) -> None:
    port = free_port()
    users = tmp_path / "users"
    midge("passwd", "-c", "-b", str(users), "ann", "secret")
    midge("passwd", "-b", str(users), "bob", "other")
    (tmp_path / "acl").write_text(
        "user ann\ntopic readwrite shop/#\nuser bob\ntopic readwrite $queue/jobs\n"
    )
    extra = (
        f"log_type all\npassword_file {users}\nacl_file {tmp_path / 'acl'}\n"
        f"listener {port} 127.0.0.1\nprotocol zmtp\nzmtp_mechanism plain\nzmtp_queue jobs\n"
    )
    endpoint = f"tcp://127.0.0.1:{port}"
    ann = {"plain_username": b"ann", "plain_password": b"secret"}
    bob = {"plain_username": b"bob", "plain_password": b"other"}
    wrong = {"plain_username": b"ann", "plain_password": b"guessed"}
    with BrokerProcess(tmp_path, extra) as broker:
        publisher = peers.socket(zmq.XPUB, endpoint, **ann)
        assert publisher.recv() == b"\x01"
        subscriber = peers.socket(zmq.SUB, endpoint, **ann)
        subscriber.subscribe(b"")
        stranger = peers.socket(zmq.SUB, endpoint, **bob)  # who may not read the shop's topics
        stranger.subscribe(b"")
        liar = peers.socket(zmq.SUB, endpoint, **wrong)
        liar.subscribe(b"")
        for number in range(1000):
            publisher.send_multipart([b"shop/%d" % number, b"x"])
            if subscriber.poll(10):
                break
        assert subscriber.recv_multipart()[0].startswith(b"shop/")
        publisher.send_multipart([b"elsewhere", b"x"])  # which ann may not publish
        publisher.send_multipart([b"shop/last", b"x"])
        topics = []
        while not topics or topics[-1] != b"shop/last":
            topics.append(subscriber.recv_multipart()[0])
        assert b"elsewhere" not in topics
        assert not stranger.poll(50)
        assert not liar.poll(50)
        peers.socket(zmq.PUSH, endpoint, **bob).send(b"a job")
        assert peers.socket(zmq.PULL, endpoint, **bob).recv() == b"a job"
        assert "elsewhere" in broker.log()  # and which rule refused it


@pytest.mark.parametrize("mechanism", ["null", "plain"])
def test_who_is_not_let_in_is_told_so_and_gives_up(
    tmp_path: Path, peers: Peers, mechanism: str
) -> None:
    port = free_port()
    extra = (
        f"allow_anonymous false\nlistener {port} 127.0.0.1\nprotocol zmtp\nzmtp_queue jobs\n"
        f"zmtp_mechanism {mechanism}\n"
    )
    kinds = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_CONNECT_RETRIED
    with BrokerProcess(tmp_path, extra) as broker, peers.context.socket(zmq.PULL) as stranger:
        if mechanism == "plain":
            stranger.plain_username, stranger.plain_password = b"eve", b"guess"
        with stranger.get_monitor_socket(kinds) as monitor:
            stranger.connect(f"tcp://127.0.0.1:{port}")
            assert monitor.poll(TIMEOUT_MS)
            event = recv_monitor_message(monitor)
            assert (event["event"], event["value"]) == (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)
            assert not monitor.poll(500)  # it would come again after a fifth of that
            stranger.disable_monitor()
        assert broker.log().count("refused") == 1


def test_curve_lets_in_users_by_their_keys(tmp_path: Path, peers: Peers) -> None:
    port = free_port()
    for name in ("server", "ann", "eve"):
        zmq.auth.create_certificates(tmp_path, name)
    keys = {
        name: zmq.auth.load_certificate(tmp_path / f"{name}.key_secret")
        for name in ("server", "ann", "eve")
    }
    (tmp_path / "keys").write_text(f"# who has which key\nann {keys['ann'][0].decode()}\n")
    extra = (
        f"listener {port} 127.0.0.1\nprotocol zmtp\nzmtp_mechanism curve\nzmtp_queue jobs\n"
        f"zmtp_curve_secret {tmp_path / 'server.key_secret'}\n"
        f"zmtp_curve_keys {tmp_path / 'keys'}\n"
    )
    with BrokerProcess(tmp_path, extra):
        made = {
            name: peers.socket(
                zmq.REQ,
                f"tcp://127.0.0.1:{port}",
                curve_serverkey=keys["server"][0],
                curve_publickey=keys[name][0],
                curve_secretkey=keys[name][1],
            )
            for name in ("ann", "eve")
        }
        worker = peers.socket(
            zmq.REP,
            f"tcp://127.0.0.1:{port}",
            curve_serverkey=keys["server"][0],
            curve_publickey=keys["ann"][0],
            curve_secretkey=keys["ann"][1],
        )
        made["ann"].send(b"what?")
        assert worker.recv() == b"what?"
        worker.send(b"that")
        assert made["ann"].recv() == b"that"
        made["eve"].sndtimeo = 100
        with contextlib.suppress(zmq.Again):  # it may have been thrown out by now, or not yet
            made["eve"].send(b"let me in")
        assert not worker.poll(100)


def test_what_a_killed_worker_had_another_one_does(tmp_path: Path, peers: Peers) -> None:
    port = free_port()
    extra = (
        f"queue jobs prefetch=1\nlistener {port} 127.0.0.1\nprotocol zmtp\nzmtp_queue jobs\n"
        "allow_anonymous true\n"
    )
    endpoint = f"tcp://127.0.0.1:{port}"
    with BrokerProcess(tmp_path, extra) as broker:
        asker = peers.socket(zmq.REQ, endpoint)
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, endpoint], stdout=subprocess.PIPE, text=True
        ) as doomed:
            assert doomed.stdout is not None
            asker.send(b"a job")
            assert doomed.stdout.readline() == "a job\n"
            os.kill(doomed.pid, signal.SIGKILL)
        worker = peers.socket(zmq.REP, endpoint)
        assert worker.recv() == b"a job"
        worker.send(b"done")
        assert asker.recv() == b"done"
        worker.close()
        with sync.connect(f"mqtt://127.0.0.1:{broker.port}") as client:
            client.subscribe("$queue/jobs", qos=1)
            peers.socket(zmq.PUSH, endpoint).send(b"for anybody")
            assert client.receive(10).payload == b"for anybody"


def test_messages_of_any_size_pass(tmp_path: Path, peers: Peers) -> None:
    port = free_port()
    extra = f"listener {port} 127.0.0.1\nprotocol zmtp\nzmtp_queue q\nallow_anonymous true\n"
    endpoint = f"tcp://127.0.0.1:{port}"
    bodies = [bytes([size % 251]) * size for size in (0, 1, 255, 256, 65_536, 1_000_000)]
    with BrokerProcess(tmp_path, extra):
        push = peers.socket(zmq.PUSH, endpoint)
        pull = peers.socket(zmq.PULL, endpoint)
        for body in bodies:
            push.send(body)
            assert pull.recv() == body
        push.send_multipart(bodies)
        assert pull.recv_multipart() == bodies


@pytest.mark.parametrize(("takes", "gives"), [(zmq.SUB, zmq.PUB), (zmq.XSUB, zmq.XPUB)])
def test_curve_users_publish_and_subscribe_by_the_rules(
    tmp_path: Path, peers: Peers, takes: int, gives: int
) -> None:
    port = free_port()
    public, secret = zmq.curve_keypair()
    server, server_secret = zmq.auth.load_certificate(
        zmq.auth.create_certificates(tmp_path, "server")[1]
    )
    assert server_secret is not None
    (tmp_path / "keys").write_text(f"ann {public.decode()}\n")
    (tmp_path / "acl").write_text("topic readwrite #\nuser ann\ntopic readwrite shop/#\n")
    extra = (
        f"acl_file {tmp_path / 'acl'}\nlistener {port} 127.0.0.1\nprotocol zmtp\n"
        f"zmtp_mechanism curve\nzmtp_curve_secret {tmp_path / 'server.key_secret'}\n"
        f"zmtp_curve_keys {tmp_path / 'keys'}\n"
    )
    ann = {"curve_serverkey": server, "curve_publickey": public, "curve_secretkey": secret}
    endpoint = f"tcp://127.0.0.1:{port}"
    with (
        BrokerProcess(tmp_path, extra) as broker,
        sync.connect(f"mqtt://127.0.0.1:{broker.port}") as client,
    ):
        subscriber = peers.socket(takes, endpoint, **ann)
        if takes == zmq.SUB:
            subscriber.subscribe(b"")
        else:
            subscriber.send(b"\x01")
        for _ in range(1000):
            client.publish("home/1", b"not for her")
            client.publish("shop/1", b"hers")
            if subscriber.poll(10):
                break
        assert subscriber.recv_multipart() == [b"shop/1", b"hers"]
        while subscriber.poll(50):
            assert subscriber.recv_multipart()[0] == b"shop/1"
        client.subscribe("#")
        publisher = peers.socket(gives, endpoint, **ann)
        got = None
        for _ in range(1000):
            publisher.send_multipart([b"home/2", b"may not"])
            publisher.send_multipart([b"shop/2", b"may"])
            with contextlib.suppress(OperationTimeout):
                got = client.receive(0.05)
                break
        assert got is not None
        assert (got.topic, got.payload) == ("shop/2", b"may")
