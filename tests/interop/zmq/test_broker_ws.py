"""ZeroMQ peers of the broker in WebSockets, on the port that those over tcp use as well."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import midge.zmq as zmq
from midge.auth.passwords import SHA512, make_hash
from midge.client import sync
from tests.certificates import Authority
from tests.process import BrokerProcess, free_port

TIMEOUT_MS = 10_000
_PROGRAM = Path(__file__).with_name("libzmq_ws_peer.py")


class Peers:
    """Sockets of midge's own, which are closed at the end."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self._made: list[zmq.Socket] = []

    def socket(self, kind: int, endpoint: str, **options: Any) -> zmq.Socket:
        made = self.context.socket(kind)
        made.rcvtimeo = made.sndtimeo = TIMEOUT_MS
        made.linger = 1000
        for name, value in options.items():
            setattr(made, name, value)
        self._made.append(made)
        made.connect(endpoint)
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


@pytest.fixture
def port() -> int:
    return free_port()


def broker(directory: Path, port: int, *lines: str) -> BrokerProcess:
    own = (f"listener {port} 127.0.0.1", "protocol zmtp", *lines)
    return BrokerProcess(directory, "log_type all\n" + "".join(f"{line}\n" for line in own))


def libzmq(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(_PROGRAM), *words], stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> list[str]:
    """What a peer of libzmq has printed at its end."""
    with process:
        out, _ = process.communicate(timeout=20)
    return out.splitlines()


@pytest.fixture(scope="module")
def libzmq_has_ws() -> None:
    if said(libzmq()) != ["yes"]:
        pytest.skip("there is no libzmq with WebSockets on this machine")


def test_every_pattern_goes_through_a_websocket(tmp_path: Path, port: int, peers: Peers) -> None:
    ws = f"ws://127.0.0.1:{port}/queue/photos"
    tcp = f"tcp://127.0.0.1:{port}"
    with (
        broker(tmp_path, port, "zmtp_queue photos", "allow_anonymous true") as running,
        sync.connect(f"mqtt://127.0.0.1:{running.port}") as client,
    ):
        for there, here in ((ws, tcp), (tcp, ws)):
            bodies = [bytes([size % 251]) * size for size in (0, 1, 255, 256, 100_000)]
            push, pull = peers.socket(zmq.PUSH, here), peers.socket(zmq.PULL, there)
            for body in bodies:
                push.send(body)
                assert pull.recv() == body
            push.send_multipart(bodies)
            assert pull.recv_multipart() == bodies
            pull.close()
            worker, asker = peers.socket(zmq.REP, there), peers.socket(zmq.REQ, here)
            asker.send(b"what?")
            assert worker.recv() == b"what?"
            worker.send(b"that")
            assert asker.recv() == b"that"
            worker.close()
        client.subscribe("home/#")
        publisher = peers.socket(zmq.XPUB, ws)
        assert publisher.recv() == b"\x01"
        publisher.send_multipart([b"home/door", b"open"])
        assert client.receive(10).payload == b"open"
        subscriber = peers.socket(zmq.XSUB, ws)
        subscriber.send(b"\x01home/")
        for _ in range(1000):
            client.publish("home/door", b"closed")
            if subscriber.poll(10):
                break
        assert subscriber.recv_multipart() == [b"home/door", b"closed"]


def test_the_path_stands_between_what_the_peer_says_and_what_the_listener_has(
    tmp_path: Path, port: int, peers: Peers
) -> None:
    users = tmp_path / "users"
    users.write_text(f"ann:{make_hash(SHA512, b'secret', b's' * 12).encoded}\n")
    users.chmod(0o600)
    lines = (
        *("zmtp_mechanism plain", "zmtp_queue of-listener", "zmtp_user_queue ann of-user"),
        f"password_file {users}",
    )
    ann = {"plain_username": b"ann", "plain_password": b"secret"}
    with broker(tmp_path, port, *lines) as running:
        endpoint = f"ws://127.0.0.1:{port}"
        peers.socket(zmq.PUSH, endpoint, **ann).send(b"1")
        peers.socket(zmq.PUSH, f"{endpoint}/queue/of%2Dpath", **ann).send(b"2")
        named = peers.socket(
            zmq.DEALER, f"{endpoint}/queue/of-path", routing_id=b"queue/of-id", **ann
        )
        named.send_multipart([b"", b"3"])
        said_so = peers.context.socket(zmq.PUSH)
        said_so.plain_username, said_so.plain_password = b"ann", b"secret"
        said_so.setsockopt(zmq.METADATA, b"X-Midge-Queue:of-metadata")
        said_so.connect(f"{endpoint}/queue/of-path")
        said_so.send(b"4")
        with sync.connect(f"mqtt://127.0.0.1:{running.port}") as client:
            for queue, payload in (
                ("of-user", b"1"),
                ("of-path", b"2"),
                ("of-id", b"3"),
                ("of-metadata", b"4"),
            ):
                client.subscribe(f"$queue/{queue}", qos=1)
                assert client.receive(10).payload == payload
        said_so.close()


def test_a_path_that_is_none_is_said_in_the_log(tmp_path: Path, port: int, peers: Peers) -> None:
    with broker(tmp_path, port, "allow_anonymous true") as running:
        peers.socket(zmq.PUSH, f"ws://127.0.0.1:{port}/queue/a/b")
        peers.socket(zmq.PUSH, f"ws://127.0.0.1:{port}/")
        push = peers.socket(zmq.PUSH, f"ws://127.0.0.1:{port}/queue/a")
        push.send(b"good")
        assert peers.socket(zmq.PULL, f"ws://127.0.0.1:{port}/a").recv() == b"good"
        assert "the path is neither / nor /queue/NAME" in running.log()
        assert "a PUSH needs a queue, and nothing names one" in running.log()


def test_curve_and_tls_go_through_a_websocket(tmp_path: Path, port: int, peers: Peers) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    server_public, server_secret = zmq.curve_keypair()
    public, secret = zmq.curve_keypair()
    (tmp_path / "server.key_secret").write_text(
        f'curve\n    public-key = "{server_public.decode()}"\n'
        f'    secret-key = "{server_secret.decode()}"\n'
    )
    (tmp_path / "keys").write_text(f"ann {public.decode()}\n")
    lines = (
        *("zmtp_mechanism curve", f"zmtp_curve_secret {tmp_path / 'server.key_secret'}"),
        *(f"zmtp_curve_keys {tmp_path / 'keys'}", f"certfile {certificate}", f"keyfile {key}"),
    )
    ann = {
        "curve_serverkey": server_public,
        "curve_publickey": public,
        "curve_secretkey": secret,
        "wss_trust_pem": authority.cafile.read_bytes(),
        "wss_hostname": b"localhost",
    }
    with broker(tmp_path, port, *lines):
        endpoint = f"wss://127.0.0.1:{port}/queue/q"
        push, pull = (
            peers.socket(zmq.PUSH, endpoint, **ann),
            peers.socket(zmq.PULL, endpoint, **ann),
        )
        for size in (0, 10, 100_000):
            push.send(bytes(size))
            assert pull.recv() == bytes(size)


@pytest.mark.usefixtures("libzmq_has_ws")
def test_libzmq_comes_by_a_websocket(tmp_path: Path, port: int, peers: Peers) -> None:
    endpoint = f"ws://127.0.0.1:{port}/queue/photos"  # of which it sends "/photos"
    with (
        broker(tmp_path, port, "allow_anonymous true") as running,
        sync.connect(f"mqtt://127.0.0.1:{running.port}") as client,
    ):
        assert said(libzmq("PUSH", endpoint, "a", "b", "c")) == []
        assert said(libzmq("PULL", endpoint, "", "", "")) == ["a", "b", "c"]
        asker = libzmq("REQ", endpoint, "what?")
        worker = peers.socket(zmq.REP, endpoint)
        assert worker.recv() == b"what?"
        worker.send(b"that")
        assert said(asker) == ["that"]
        subscriber = libzmq("SUB", f"ws://127.0.0.1:{port}", "home/")
        for _ in range(1500):
            client.publish("home/door", b"open")
            if subscriber.poll() is not None:
                break
            time.sleep(0.01)
        assert said(subscriber) == ["home/door open"]


def test_who_comes_and_says_nothing_is_named_in_the_log(tmp_path: Path, port: int) -> None:
    with broker(tmp_path, port, "allow_anonymous true") as running:
        silent = socket.create_connection(("127.0.0.1", port))
        own = silent.getsockname()[1]
        silent.close()
        for _ in range(1500):
            if f"from 127.0.0.1:{own} on" in running.log():
                break
            time.sleep(0.01)
        assert f"Connection from 127.0.0.1:{own} on 127.0.0.1:{port} ended" in running.log()
