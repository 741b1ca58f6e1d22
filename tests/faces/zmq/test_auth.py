"""Who may: zmq.auth with PLAIN and CURVE, in a thread and in asyncio's loop."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.faces.zmq.conftest import Bench


def part(bench: Bench, name: str) -> Any:
    """A module of the package, such as ``auth``."""
    return importlib.import_module(f"{bench.zmq.__name__}.{name}")


class Guard:
    """A ThreadAuthenticator that ends with the test."""

    def __init__(self, bench: Bench) -> None:
        self.thread = part(bench, "auth.thread").ThreadAuthenticator(bench.context)
        self.thread.start()

    def __enter__(self) -> Any:
        return self.thread

    def __exit__(self, *_: object) -> None:
        self.thread.stop()


def gets_in(bench: Bench, server: Any, client: Any) -> bool:
    """Whether a message comes through; both have their security options."""
    zmq = bench.zmq
    monitor = server.get_monitor_socket(
        zmq.EVENT_HANDSHAKE_SUCCEEDED
        | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    )
    bench.join(server, client, "tcp")
    message = part(bench, "utils.monitor").recv_monitor_message(monitor)
    server.disable_monitor()
    monitor.close(0)
    if message["event"] != zmq.EVENT_HANDSHAKE_SUCCEEDED:
        return False
    server.send(b"hello")
    assert client.recv() == b"hello"
    return True


@pytest.mark.parametrize(
    ("password", "domain", "welcome"),
    [(b"secret", b"home", True), (b"wrong", b"home", False), (b"secret", b"elsewhere", False)],
)
def test_plain_asks_for_name_and_password(
    bench: Bench, password: bytes, domain: bytes, welcome: bool
) -> None:
    with Guard(bench) as guard:
        guard.configure_plain(domain="home", passwords={"ann": "secret"})
        server, client = bench.socket("PUSH"), bench.socket("PULL")
        server.plain_server = True
        server.zap_domain = domain
        client.plain_username, client.plain_password = b"ann", password
        assert gets_in(bench, server, client) == welcome


@pytest.mark.parametrize("listed", [True, False])
def test_addresses_are_allowed_or_not(bench: Bench, listed: bool) -> None:
    with Guard(bench) as guard:
        guard.allow("127.0.0.1" if listed else "10.0.0.1")
        server, client = bench.socket("PUSH"), bench.socket("PULL")
        server.zap_domain = b"global"
        assert gets_in(bench, server, client) == listed


def test_addresses_that_are_denied_stay_out(bench: Bench) -> None:
    with Guard(bench) as guard:
        guard.deny("127.0.0.1")
        server, client = bench.socket("PUSH"), bench.socket("PULL")
        server.zap_domain = b"global"
        assert not gets_in(bench, server, client)
        with pytest.raises(ValueError, match=r"whitelist or a blacklist|allow.*deny|deny.*allow"):
            guard.allow("127.0.0.2")


def certificates(bench: Bench, directory: Path) -> tuple[Path, Path]:
    """Two pairs of keys: a server's and a client's; the client's public one in ``clients``."""
    auth = part(bench, "auth")
    (directory / "clients").mkdir()
    _, server = auth.create_certificates(directory, "server")
    public, client = auth.create_certificates(directory, "client")
    Path(public).rename(directory / "clients" / "client.key")
    return Path(server), Path(client)


@pytest.mark.parametrize("known", [True, False])
def test_curve_lets_in_who_has_a_known_key(bench: Bench, tmp_path: Path, known: bool) -> None:
    auth = part(bench, "auth")
    server_file, client_file = certificates(bench, tmp_path)
    with Guard(bench) as guard:
        guard.configure_curve(domain="*", location=tmp_path / "clients")
        server, client = bench.socket("PUSH"), bench.socket("PULL")
        public, server.curve_secretkey = auth.load_certificate(server_file)
        server.curve_server = True
        client.curve_serverkey = public
        if known:
            client.curve_publickey, client.curve_secretkey = auth.load_certificate(client_file)
        else:
            client.curve_publickey, client.curve_secretkey = bench.zmq.curve_keypair()
        assert gets_in(bench, server, client) == known


def test_curve_asks_a_program(bench: Bench) -> None:
    keys = [bench.zmq.curve_keypair() for _ in range(3)]

    class Provider:
        asked: list[bytes] = []

        def callback(self, domain: str, key: bytes) -> bool:
            self.asked.append(key)
            return key == keys[1][0]

    with Guard(bench) as guard:
        guard.configure_curve_callback(domain="*", credentials_provider=Provider())
        for number, welcome in ((1, True), (2, False)):
            server, client = bench.socket("PUSH"), bench.socket("PULL")
            server.curve_publickey, server.curve_secretkey = keys[0]
            server.curve_server = True
            client.curve_serverkey = keys[0][0]
            client.curve_publickey, client.curve_secretkey = keys[number]
            assert gets_in(bench, server, client) == welcome
            server.close(0)
            client.close(0)
    assert keys[1][0] in Provider.asked


def test_who_has_the_wrong_server_key_does_not_get_in(bench: Bench) -> None:
    """And the server's socket lives on."""
    zmq = bench.zmq
    (public, secret), (other, _) = zmq.curve_keypair(), zmq.curve_keypair()
    server = bench.socket("PUSH")
    server.curve_secretkey, server.curve_publickey = secret, public
    server.curve_server = True
    port = server.bind_to_random_port("tcp://127.0.0.1")
    for key, comes in ((other, False), (public, True)):
        client = bench.socket("PULL")
        client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
        client.curve_serverkey = key
        client.connect(f"tcp://127.0.0.1:{port}")
        if comes:
            server.send(b"hello")
            assert client.recv() == b"hello"
        else:
            assert not client.poll(50)
        client.close(0)


def test_a_message_knows_its_user(bench: Bench) -> None:
    with Guard(bench) as guard:
        guard.configure_plain(domain="*", passwords={"ann": "secret"})
        server, client = bench.socket("PULL"), bench.socket("PUSH")
        server.plain_server = True
        client.plain_username, client.plain_password = b"ann", b"secret"
        bench.join(server, client, "tcp")
        client.send(b"x")
        assert server.recv(copy=False).get("User-Id") == "ann"


async def test_an_authenticator_runs_in_the_loop(bench: Bench) -> None:
    zmq = bench.zmq
    context = part(bench, "asyncio").Context()
    guard = part(bench, "auth.asyncio").AsyncioAuthenticator(context)
    guard.start()
    guard.configure_plain(domain="*", passwords={"ann": "secret"})
    server, client = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    server.plain_server = True
    client.plain_username, client.plain_password = b"ann", b"secret"
    port = server.bind_to_random_port("tcp://127.0.0.1")
    client.connect(f"tcp://127.0.0.1:{port}")
    await server.send(b"hello")
    assert await client.recv() == b"hello"
    guard.stop()
    server.close(0)
    client.close(0)
    context.term()


# -- keys and files ---------------------------------------------------------------------------


def test_a_public_key_is_that_of_its_secret_key(bench: Bench) -> None:
    public, secret = bench.zmq.curve_keypair()
    assert (len(public), len(secret)) == (40, 40)
    assert bench.zmq.curve_public(secret) == public


def test_certificates_are_what_the_other_package_reads(tmp_path: Path) -> None:
    ours, theirs = importlib.import_module("midge.zmq.auth"), pytest.importorskip("zmq.auth")
    for writer, reader in ((ours, theirs), (theirs, ours)):
        directory = tmp_path / writer.__name__
        directory.mkdir()
        public, secret = writer.create_certificates(directory, "ann", metadata={"for": "tests"})
        assert reader.load_certificate(secret) == writer.load_certificate(secret)
        assert reader.load_certificate(public)[1] is None
        assert reader.load_certificates(directory) == writer.load_certificates(directory)


def test_a_file_that_holds_no_key_says_so(bench: Bench, tmp_path: Path) -> None:
    auth = part(bench, "auth")
    with pytest.raises(OSError, match="nowhere"):
        auth.load_certificate(tmp_path / "nowhere")
    (tmp_path / "empty.key").write_text("nothing\n")
    with pytest.raises(ValueError, match="public key"):
        auth.load_certificate(tmp_path / "empty.key")


@pytest.mark.parametrize("data", [b"", b"1234", bytes(32), bytes(range(128, 160))])
def test_z85_comes_back(bench: Bench, data: bytes) -> None:
    z85 = part(bench, "utils.z85")
    assert z85.decode(z85.encode(data)) == data
    with pytest.raises(ValueError, match=r"multiple|divisible|4"):
        z85.encode(b"12345")


# -- small things -----------------------------------------------------------------------------


def test_a_function_is_given_a_context_and_sockets(bench: Bench) -> None:
    zmq = bench.zmq
    decorators = part(bench, "decorators")
    kept: list[Any] = []

    @decorators.context()
    @decorators.socket(zmq.PUSH)
    @decorators.socket("receiver", zmq.PULL)
    def talk(ctx: Any, push: Any, receiver: Any) -> bytes:
        kept.extend((ctx, push, receiver))
        receiver.bind("inproc://decorated")
        push.connect("inproc://decorated")
        push.send(b"x")
        received: bytes = receiver.recv()
        return received

    assert talk() == b"x"
    assert all(one.closed for one in kept)


def test_log_records_are_published_by_level(bench: Bench) -> None:
    handlers = part(bench, "log.handlers")
    pub, sub = bench.pair("PUB", "SUB")
    sub.subscribe(b"app.ERROR")
    handler = handlers.PUBHandler(pub)
    handler.root_topic = "app"
    logger = logging.Logger("app")
    logger.addHandler(handler)
    for _ in range(1000):
        logger.error("there")
        if sub.poll(10):
            break
    while sub.poll(20):
        sub.recv_multipart()
    logger.info("nobody asked")
    logger.error("it broke: %s", "the wheel")
    topic, text = sub.recv_multipart()
    assert topic == b"app.ERROR"
    assert b"it broke: the wheel" in text
    assert not sub.poll(10)


def test_the_package_knows_its_version_and_what_it_has(bench: Bench) -> None:
    zmq = bench.zmq
    assert zmq.zmq_version_info() >= (4, 3)
    assert zmq.pyzmq_version_info() >= (26,)
    for name in ("ipc", "curve"):
        assert zmq.has(name)
    assert not zmq.has("pigeons")
