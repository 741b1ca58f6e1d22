"""PLAIN, CURVE and ZAP between midge and libzmq, whoever is the server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from midge.net.zeromq.blocking import BlockingEngine
from midge.patterns import monitor
from midge.zmtp import z85
from midge.zmtp.zap import ZapReply, decode_request, encode_reply
from tests.interop.zmq.conftest import TIMEOUT_MS, Libzmq

MakeOurs = Callable[..., BlockingEngine]
MakeTheirs = Callable[[str], Libzmq]

SERVER = zmq.curve_keypair()
CLIENT = zmq.curve_keypair()


class Handler:
    """A ZAP handler at its endpoint: a REP that lets one user in."""

    def __init__(self, socket: BlockingEngine, decide: Callable[[Any], ZapReply]) -> None:
        self.socket = socket
        self.decide = decide
        self.asked: list[Any] = []
        socket.call(socket.engine.bind, "inproc://zeromq.zap.01")
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            frames = self.socket.receive(200)
            if frames is None:
                if self.socket.closed:
                    return
                continue
            if frames == b"stop":
                return
            request, request_id = decode_request(frames)
            self.asked.append(request)
            self.socket.send(encode_reply(self.decide(request), request_id))


@pytest.fixture
def handler(midge: MakeOurs) -> Any:
    made: list[tuple[Handler, BlockingEngine]] = []

    def make(decide: Callable[[Any], ZapReply]) -> Handler:
        stopper = midge("REQ")
        one = Handler(midge("REP"), decide)
        made.append((one, stopper))
        return one

    yield make
    for one, stopper in made:
        stopper.call(stopper.engine.connect, "inproc://zeromq.zap.01")
        stopper.send(b"stop")
        one.thread.join(5)
        assert not one.thread.is_alive()


def plain_only(user: bytes, password: bytes) -> Callable[[Any], ZapReply]:
    def decide(request: Any) -> ZapReply:
        right = request.credentials == [user, password]
        return ZapReply(200, user.decode()) if right else ZapReply(400)

    return decide


def test_a_plain_client_of_libzmq_is_let_in_by_our_handler(
    midge: MakeOurs, libzmq: MakeTheirs, handler: Any
) -> None:
    one = handler(plain_only(b"ann", b"secret"))
    we = midge("PULL", mechanism="PLAIN", plain_server=True, zap_domain="home")
    endpoint = we.call(we.engine.bind, "tcp://127.0.0.1:*")
    they = libzmq("PUSH")
    they.set("PLAIN_USERNAME", "ann")
    they.set("PLAIN_PASSWORD", "secret")
    they.connect(endpoint)
    they.send(["hello"])
    assert we.receive(TIMEOUT_MS) == b"hello"
    assert we.last_pipe is not None
    assert we.last_pipe.user_id == "ann"
    assert we.last_pipe.metadata["User-Id"] == b"ann"
    assert we.last_pipe.metadata["Peer-Address"] == b"127.0.0.1"
    assert one.asked[0].domain == b"home"
    assert one.asked[0].address == b"127.0.0.1"


def test_a_wrong_password_is_refused_and_reported(
    midge: MakeOurs, libzmq: MakeTheirs, handler: Any
) -> None:
    handler(plain_only(b"ann", b"secret"))
    we = midge("PULL", mechanism="PLAIN", plain_server=True)
    events: list[tuple[int, int, str]] = []
    we.engine.on_monitor = lambda *event: events.append(event)
    endpoint = we.call(we.engine.bind, "tcp://127.0.0.1:*")
    they = libzmq("PUSH")
    they.set("PLAIN_USERNAME", "ann")
    they.set("PLAIN_PASSWORD", "wrong")
    they.connect(endpoint)
    assert we.receive(500) is None
    failed = [event for event in events if event[0] == monitor.HANDSHAKE_FAILED_AUTH]
    assert failed
    assert failed[0] == (monitor.HANDSHAKE_FAILED_AUTH, 400, endpoint)
    assert not [event for event in events if event[0] == monitor.HANDSHAKE_SUCCEEDED]


def test_a_plain_server_without_a_handler_lets_nobody_in(
    midge: MakeOurs, libzmq: MakeTheirs
) -> None:
    we = midge("PULL", mechanism="PLAIN", plain_server=True)
    endpoint = we.call(we.engine.bind, "tcp://127.0.0.1:*")
    they = libzmq("PUSH")
    they.set("PLAIN_USERNAME", "ann")
    they.set("PLAIN_PASSWORD", "secret")
    they.connect(endpoint)
    assert we.receive(300) is None


def test_we_are_a_plain_client_of_libzmq(midge: MakeOurs, libzmq: MakeTheirs) -> None:
    they = libzmq("PULL")
    they.authenticate("*", {"ann": "secret"})
    they.set("PLAIN_SERVER", 1)
    endpoint = they.bind("tcp://127.0.0.1:*")
    we = midge("PUSH", mechanism="PLAIN", plain_username="ann", plain_password="secret")
    we.call(we.engine.connect, endpoint)
    assert we.send(b"hello", TIMEOUT_MS)
    assert they.receive() == ["hello"]
    they.close(0)


@pytest.mark.parametrize("who", ["we bind", "they bind"])
def test_curve_with_libzmq_as_the_client(
    midge: MakeOurs, libzmq: MakeTheirs, handler: Any, who: str
) -> None:
    key = z85.decode(CLIENT[0].decode())
    one = handler(lambda request: ZapReply(200 if request.credentials == [key] else 400, "bob"))
    we = midge(
        "PAIR",
        mechanism="CURVE",
        curve_server=True,
        curve_secret_key=z85.decode(SERVER[1].decode()),
    )
    they = libzmq("PAIR")
    they.set("CURVE_SERVERKEY", SERVER[0].decode())
    they.set("CURVE_PUBLICKEY", CLIENT[0].decode())
    they.set("CURVE_SECRETKEY", CLIENT[1].decode())
    if who == "we bind":
        they.connect(we.call(we.engine.bind, "tcp://127.0.0.1:*"))
    else:
        we.call(we.engine.connect, they.bind("tcp://127.0.0.1:*"))
    they.send(["hello", "x" * 100_000])
    assert we.receive(TIMEOUT_MS) == [b"hello", b"x" * 100_000]
    assert we.last_pipe is not None
    assert we.last_pipe.user_id == "bob"
    assert we.send([b"and", b"back"], TIMEOUT_MS)
    assert they.receive() == ["and", "back"]
    assert one.asked[0].mechanism == "CURVE"


def test_curve_with_libzmq_as_the_server(midge: MakeOurs, libzmq: MakeTheirs) -> None:
    they = libzmq("PAIR")
    they.authenticate("*", None)
    they.set("CURVE_SERVER", 1)
    they.set("CURVE_SECRETKEY", SERVER[1].decode())
    endpoint = they.bind("tcp://127.0.0.1:*")
    we = midge(
        "PAIR",
        mechanism="CURVE",
        curve_server_key=z85.decode(SERVER[0].decode()),
        curve_public_key=z85.decode(CLIENT[0].decode()),
        curve_secret_key=z85.decode(CLIENT[1].decode()),
    )
    we.call(we.engine.connect, endpoint)
    assert we.send(b"hello", TIMEOUT_MS)
    assert they.receive() == ["hello"]
    they.send(["back"])
    assert we.receive(TIMEOUT_MS) == b"back"
    they.close(0)


def test_encryption_without_a_handler_is_allowed_unless_the_domain_is_enforced(
    midge: MakeOurs, libzmq: MakeTheirs
) -> None:
    secret = z85.decode(SERVER[1].decode())
    for enforce in (False, True):
        we = midge(
            "PULL",
            mechanism="CURVE",
            curve_server=True,
            curve_secret_key=secret,
            zap_enforce_domain=enforce,
            zap_domain="home",
        )
        they = libzmq("PUSH")
        they.set("CURVE_SERVERKEY", SERVER[0].decode())
        they.set("CURVE_PUBLICKEY", CLIENT[0].decode())
        they.set("CURVE_SECRETKEY", CLIENT[1].decode())
        they.connect(we.call(we.engine.bind, "tcp://127.0.0.1:*"))
        they.tell("send", ["hello"])
        assert we.receive(300 if enforce else TIMEOUT_MS) == (None if enforce else b"hello")
        they.kill()


def test_a_null_client_is_asked_about_where_a_domain_is_set(
    midge: MakeOurs, libzmq: MakeTheirs, handler: Any
) -> None:
    one = handler(lambda request: ZapReply(200, "guest"))
    we = midge("PULL", zap_domain="open")
    they = libzmq("PUSH")
    they.connect(we.call(we.engine.bind, "tcp://127.0.0.1:*"))
    they.send(["hello"])
    assert we.receive(TIMEOUT_MS) == b"hello"
    assert one.asked[0].mechanism == "NULL"
    assert one.asked[0].domain == b"open"


def test_mechanisms_that_differ_are_reported_and_the_socket_lives_on(
    midge: MakeOurs, libzmq: MakeTheirs
) -> None:
    we = midge("PULL")
    events: list[tuple[int, int, str]] = []
    we.engine.on_monitor = lambda *event: events.append(event)
    endpoint = we.call(we.engine.bind, "tcp://127.0.0.1:*")
    stranger = libzmq("PUSH")
    stranger.set("PLAIN_USERNAME", "ann")
    stranger.connect(endpoint)
    assert we.receive(300) is None
    assert monitor.HANDSHAKE_FAILED_PROTOCOL in [event[0] for event in events]
    friend = libzmq("PUSH")
    friend.connect(endpoint)
    friend.send(["hello"])
    assert we.receive(TIMEOUT_MS) == b"hello"
