"""The PROXY protocol in front of a broker: who clients are then, and who is not let in."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from midge.mqtt import packets as p
from midge.mqtt.decode import decode_packet, packet_length
from midge.mqtt.encode import encode
from tests.certificates import Authority
from tests.process import BrokerProcess, free_port

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CONNECT = encode(p.Connect("client", 4, True, 0), 4)
LINE = b"PROXY TCP4 192.0.2.5 127.0.0.1 6275 1883\r\n"


def listener(*options: str) -> tuple[int, str]:
    """A port, and the configuration of a listener there."""
    port = free_port()
    return port, "\n".join([f"listener {port} 127.0.0.1", "allow_anonymous true", *options, ""])


def binary(vectors: bytes = b"", command: int = 0x21, family: int = 0x11) -> bytes:
    addresses = bytes((192, 0, 2, 5, 127, 0, 0, 1, 0x18, 0x83, 0x07, 0x5B))
    body = addresses + vectors if family else b""
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2, "big") + body


def tls(flags: int, result: int = 0, name: bytes = b"") -> bytes:
    """What a proxy says of TLS."""
    inner = b"\x22" + len(name).to_bytes(2, "big") + name if name else b""
    value = bytes((flags,)) + result.to_bytes(4, "big") + inner
    return b"\x20" + len(value).to_bytes(2, "big") + value


def connack(sock: socket.socket) -> int:
    data = sock.recv(100)
    assert data, "the broker hung up"
    start, _ = packet_length(data, 0)
    packet = decode_packet(data, start, len(data), data[0], 4)
    assert isinstance(packet, p.Connack)
    return packet.reason


def admitted(port: int, header: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(header + CONNECT)
        assert connack(sock) == 0


def cut_off(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(data)
        with contextlib.suppress(ConnectionError):
            assert sock.recv(100) == b""


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.02)


@pytest.mark.parametrize(("version", "header"), [(1, LINE), (2, binary())])
def test_a_client_has_the_address_that_the_proxy_says(
    tmp_path: Path, version: int, header: bytes
) -> None:
    port, extra = listener(f"enable_proxy_protocol {version}")
    with BrokerProcess(tmp_path, extra) as broker:
        admitted(port, header)
        assert "New client connected from 192.0.2.5:6275 as client" in broker.log()
        other = binary() if version == 1 else LINE
        cut_off(port, other + CONNECT)
        cut_off(port, CONNECT)
        until(lambda: broker.log().count("rejected, corrupt PROXY header (") == 2, "two refusals")


def test_a_proxy_that_looks_whether_the_broker_lives_leaves_no_line(tmp_path: Path) -> None:
    port, extra = listener("enable_proxy_protocol 2")
    with BrokerProcess(tmp_path, extra) as broker:
        before = broker.log()
        cut_off(port, binary(command=0x20, family=0))
        assert broker.log() == before


def test_clients_must_have_come_to_the_proxy_by_tls(tmp_path: Path) -> None:
    port, extra = listener("enable_proxy_protocol 2", "proxy_protocol_v2_require_tls true")
    with BrokerProcess(tmp_path, extra) as broker:
        admitted(port, binary(tls(1)))
        cut_off(port, binary() + CONNECT)
        line = "Connection from 192.0.2.5:6275 rejected, client did not connect using TLS."
        until(lambda: line in broker.log(), line)


def test_who_a_client_is_says_the_certificate_that_it_showed_the_proxy(tmp_path: Path) -> None:
    port, extra = listener(
        "enable_proxy_protocol 2", "require_certificate true", "use_identity_as_username true"
    )
    with BrokerProcess(tmp_path, extra) as broker:
        admitted(port, binary(tls(5, 0, b"alice")))
        assert "u'alice'" in broker.log()
        for vectors in (b"", tls(1), tls(5, 1, b"mallory")):
            cut_off(port, binary(vectors) + CONNECT)
        line = "Connection from 192.0.2.5:6275 rejected, client did not provide a certificate."
        until(lambda: broker.log().count(line) == 3, line)
        assert "mallory" not in broker.log()


def test_tls_and_a_websocket_may_stand_behind_the_line_of_a_proxy(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    port, extra = listener(
        "enable_proxy_protocol 1",
        f"certfile {certificate}",
        f"keyfile {key}",
        "protocol websockets",
    )
    context = ssl.create_default_context(cafile=str(authority.cafile))
    request = (
        b"GET /mqtt HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-protocol: mqtt\r\n\r\n"
    )
    with (
        BrokerProcess(tmp_path, extra) as broker,
        socket.create_connection(("127.0.0.1", port), 5) as plain,
    ):
        plain.sendall(LINE)
        with context.wrap_socket(plain, server_hostname="localhost") as sock:
            sock.sendall(request)
            assert sock.recv(1000).startswith(b"HTTP/1.1 101")
            sock.sendall(bytes((0x82, 0x80 | len(CONNECT), 0, 0, 0, 0)) + CONNECT)
            until(
                lambda: "New client connected from 192.0.2.5:6275 as client" in broker.log(),
                "the client",
            )
