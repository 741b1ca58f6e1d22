"""The transports beside tcp, ipc and inproc: ws, wss and udp, of both kinds of sockets."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import midge.zmq as zmq
import midge.zmq.asyncio as azmq
from tests.certificates import Authority
from tests.faces.zmq.conftest import PATIENCE_MS, Bench

PAIRS = [("PUSH", "PULL"), ("PUB", "SUB"), ("REQ", "REP"), ("DEALER", "ROUTER"), ("PAIR", "PAIR")]
MESSAGE = [b"topic", b"", b"x" * 300, bytes(70_000)]


class Pems:
    """What goes into the options of wss."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        certificate, key = authority.issue("server", "localhost")
        self.trust = authority.cafile.read_bytes()
        self.server = {"wss_cert_pem": certificate.read_bytes(), "wss_key_pem": key.read_bytes()}
        self.client = {"wss_trust_pem": self.trust, "wss_hostname": b"localhost"}


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Pems:
    return Pems(tmp_path_factory.mktemp("pems"))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(zmq)
    yield made
    made.end()


@pytest.fixture
async def context() -> AsyncIterator[Any]:
    made = azmq.Context()
    yield made
    made.destroy(0)


def prepare(one: Any, pems: Pems, role: dict[str, bytes]) -> None:
    one.linger = 0
    one.rcvtimeo = one.sndtimeo = PATIENCE_MS
    for name, value in role.items():
        setattr(one, name, value)
    if one.type == zmq.SUB:
        one.subscribe(b"topic")


def wait_for_subscriber(publisher: Any) -> None:
    """Until a message arrives is too late: what was sent before is lost."""
    if publisher.type == zmq.PUB:
        publisher.wait_subscribed(b"topic", timeout=PATIENCE_MS / 1000)


@pytest.mark.parametrize("transport", ["ws", "wss"])
@pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_messages_go_both_ways(
    bench: Bench, pems: Pems, first: str, second: str, swapped: bool, transport: str
) -> None:
    one, other = bench.socket(first), bench.socket(second)
    bound, connecting = (other, one) if swapped else (one, other)
    prepare(bound, pems, pems.server)
    prepare(connecting, pems, pems.client)
    bound.bind(f"{transport}://127.0.0.1:*/path")
    connecting.connect(bound.last_endpoint.decode())
    wait_for_subscriber(one)
    one.send_multipart(MESSAGE)
    received = other.recv_multipart()
    assert received[-4:] == MESSAGE
    if first in ("REQ", "DEALER", "PAIR"):
        other.send_multipart([*received[:-4], b"answer"])
        assert one.recv_multipart() == [b"answer"]


@pytest.mark.parametrize("transport", ["ws", "wss"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_messages_go_both_ways_with_asyncio(
    context: Any, pems: Pems, first: str, second: str, transport: str
) -> None:
    one = context.socket(getattr(zmq, first))
    other = context.socket(getattr(zmq, second))
    prepare(one, pems, pems.server)
    prepare(other, pems, pems.client)
    one.bind(f"{transport}://127.0.0.1:*")
    other.connect(one.last_endpoint.decode())
    if first == "PUB":
        await one.wait_subscribed(b"topic", timeout=PATIENCE_MS / 1000)
    await one.send_multipart(MESSAGE)
    received = await other.recv_multipart()
    assert received[-4:] == MESSAGE
    if first in ("REQ", "DEALER", "PAIR"):
        await other.send_multipart([*received[:-4], b"answer"])
        assert await one.recv_multipart() == [b"answer"]


@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_a_message_of_8_mib_arrives(bench: Bench, pems: Pems, transport: str) -> None:
    push, pull = bench.socket("PUSH"), bench.socket("PULL")
    prepare(pull, pems, pems.server)
    prepare(push, pems, pems.client)
    pull.bind(f"{transport}://127.0.0.1:*")
    push.connect(pull.last_endpoint.decode())
    body = bytes(range(256)) * 32_768
    push.send(body)
    assert pull.recv() == body


def test_many_small_messages_keep_their_order(bench: Bench) -> None:
    push, pull = bench.socket("PUSH"), bench.socket("PULL")
    pull.bind("ws://127.0.0.1:*")
    push.connect(pull.last_endpoint.decode())
    for number in range(3000):
        push.send(b"%d" % number)
    assert [pull.recv() for _ in range(3000)] == [b"%d" % number for number in range(3000)]


def test_curve_works_in_websockets(bench: Bench) -> None:
    public, secret = zmq.curve_keypair()
    server_options = {"curve_server": True, "curve_publickey": public, "curve_secretkey": secret}
    client_options = dict(
        zip(("curve_publickey", "curve_secretkey"), zmq.curve_keypair(), strict=True)
    )
    sub = bench.socket("SUB", curve_serverkey=public, **client_options)
    pub = bench.socket("PUB", **server_options)
    sub.subscribe(b"")
    pub.bind("ws://127.0.0.1:*")
    sub.connect(pub.last_endpoint.decode())
    pub.wait_subscribed(b"", timeout=PATIENCE_MS / 1000)
    pub.send_multipart(MESSAGE)
    assert sub.recv_multipart() == MESSAGE


def test_a_connection_comes_back(bench: Bench) -> None:
    pull, push = bench.socket("PULL"), bench.socket("PUSH", reconnect_ivl=10)
    pull.bind("ws://127.0.0.1:*/x")
    endpoint = pull.last_endpoint.decode()
    push.connect(endpoint)
    push.send(b"first")
    assert pull.recv() == b"first"
    pull.close()
    again = bench.socket("PULL")
    again.bind(endpoint)
    push.send(b"second")
    assert again.recv() == b"second"


@pytest.mark.parametrize("trusts", [False, True], ids=["nobody", "another name"])
def test_who_is_not_trusted_gets_nothing(bench: Bench, pems: Pems, trusts: bool) -> None:
    client = {"wss_trust_pem": pems.trust, "wss_hostname": b"elsewhere"} if trusts else {}
    pull, push = bench.socket("PULL", **pems.server), bench.socket("PUSH", **client)
    with push.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL) as events:
        events.rcvtimeo = PATIENCE_MS
        pull.bind("wss://127.0.0.1:*")
        push.connect(pull.last_endpoint.decode())
        push.send(b"secret")
        assert events.recv_multipart()
        assert not pull.poll(20)
        push.disable_monitor()


@pytest.mark.parametrize(
    "options",
    [{}, {"wss_cert_pem": b"no", "wss_key_pem": b"none"}],
)
def test_wss_needs_a_certificate_to_be_bound(bench: Bench, options: dict[str, bytes]) -> None:
    with pytest.raises(zmq.ZMQError) as caught:
        bench.socket("PULL", **options).bind("wss://127.0.0.1:*")
    assert caught.value.errno == zmq.EINVAL


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b"\x16\x03\x01\x00\x05what?"]
)
def test_who_speaks_no_tls_is_dropped(bench: Bench, pems: Pems, said: bytes) -> None:
    pull, push = bench.socket("PULL", **pems.server), bench.socket("PUSH", **pems.client)
    with pull.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL) as events:
        events.rcvtimeo = PATIENCE_MS
        pull.bind("wss://127.0.0.1:*")
        endpoint = pull.last_endpoint.decode()
        with socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as stranger:
            stranger.sendall(said)
            pull.poll(20)
            assert events.recv_multipart()
        pull.disable_monitor()
    push.connect(endpoint)
    push.send(b"still here")
    assert pull.recv() == b"still here"


def test_password_of_plain_is_asked_for_in_websockets(bench: Bench) -> None:
    rep = bench.context.socket(zmq.REP)
    rep.rcvtimeo = PATIENCE_MS
    rep.bind("inproc://zeromq.zap.01")
    pull = bench.socket("PULL", plain_server=True)
    push = bench.socket("PUSH", plain_username=b"ann", plain_password=b"secret")
    pull.bind("ws://127.0.0.1:*")
    push.connect(pull.last_endpoint.decode())
    request = rep.recv_multipart()
    assert request[5:] == [b"PLAIN", b"ann", b"secret"]
    rep.send_multipart([b"1.0", request[1], b"200", b"OK", b"ann", b""])
    push.send(b"hello")
    frame = pull.recv(copy=False)
    assert (frame.bytes, frame["User-Id"]) == (b"hello", "ann")
    rep.close(0)


def test_a_radio_reaches_a_dish_by_datagrams(bench: Bench) -> None:
    dish, radio = bench.socket("DISH"), bench.socket("RADIO")
    dish.join(b"news")
    dish.bind("udp://127.0.0.1:*")
    radio.connect(dish.last_endpoint.decode())
    radio.send(b"nobody wants this", group="other")
    radio.send(b"hello", group="news")
    frame = dish.recv(copy=False)
    assert (frame.bytes, frame.group) == (b"hello", "news")


async def test_a_radio_reaches_a_dish_by_datagrams_with_asyncio(context: Any) -> None:
    dish, radio = context.socket(zmq.DISH), context.socket(zmq.RADIO)
    dish.join(b"news")
    dish.bind("udp://127.0.0.1:*")
    radio.connect(dish.last_endpoint.decode())
    await radio.send(b"hello", group="news")
    assert await dish.recv() == b"hello"


@pytest.mark.parametrize("name", ["ws", "wss", "udp"])
def test_it_says_that_it_has_them(name: str) -> None:
    assert zmq.has(name)


@pytest.mark.parametrize("transport", ["tcp", "inproc"])
def test_a_peer_that_connects_can_speak_first(ours: Bench, transport: str) -> None:
    one, other = ours.socket("PEER"), ours.socket("PEER")
    if transport == "inproc":
        endpoint = "inproc://peer"
        one.bind(endpoint)
    else:
        endpoint = f"tcp://127.0.0.1:{one.bind_to_random_port('tcp://127.0.0.1')}"
    number = other.connect_peer(endpoint)
    other.send(b"first", routing_id=number)
    heard = one.recv(copy=False)
    assert heard.bytes == b"first"
    one.send(b"second", routing_id=heard.routing_id)
    answer = other.recv(copy=False)
    assert (answer.bytes, answer.routing_id) == (b"second", number)


def test_what_is_no_peer_has_no_routing_id_to_connect_by(ours: Bench) -> None:
    with pytest.raises(ours.zmq.ZMQError) as caught:
        ours.socket("DEALER").connect_peer("tcp://127.0.0.1:1")
    assert caught.value.errno == ours.zmq.Errno.ENOTSUP
    with pytest.raises(ours.zmq.ZMQError) as caught:
        ours.socket("PEER", immediate=1).connect_peer("tcp://127.0.0.1:1")
    assert caught.value.errno == errno.EFAULT
