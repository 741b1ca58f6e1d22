"""TLS and WebSockets as clients meet them: certificates, names, origins, renewals, wrong ports."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from midge.mqtt import packets as p
from midge.mqtt.decode import decode_packet, packet_length
from midge.mqtt.encode import encode
from midge.net.websocket import _address_in
from tests.certificates import Authority
from tests.process import BrokerProcess, free_port

CONNECT = encode(p.Connect("client", 4, True, 0), 4)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def listener(authority: Authority, *options: str, days: int = 30) -> tuple[int, str]:
    """A port, and the configuration of a TLS listener there."""
    certificate, key = authority.issue("server", days=days)
    port = free_port()
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        f"certfile {certificate}",
        f"keyfile {key}",
        *options,
    ]
    return port, "\n".join(lines) + "\n"


def tls_client(
    authority: Authority, name: str = "", common_name: str = "alice", days: int = 30
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.cafile))
    if name:
        context.load_cert_chain(*authority.issue(name, common_name, days))
    return context


def shake(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), 5)
    return context.wrap_socket(plain, server_hostname="localhost")


def connack(port: int, context: ssl.SSLContext) -> int:
    """The return code that a client gets."""
    with shake(port, context) as sock:
        sock.sendall(CONNECT)
        data = sock.recv(100)
        start, end = packet_length(data, 0)
        packet = decode_packet(data, start, end, data[0], 4)
        assert isinstance(packet, p.Connack)
        return packet.reason


def refused(port: int, context: ssl.SSLContext) -> None:
    """The client does not get in: at the handshake, or with the first thing it says."""
    with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
        connack(port, context)


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.02)


def test_a_client_talks_through_tls(tmp_path: Path, authority: Authority) -> None:
    port, extra = listener(authority)
    with BrokerProcess(tmp_path, extra):
        assert connack(port, tls_client(authority)) == 0
        big = b"x" * 300_000
        got: list[bytes] = []
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.tls_set(ca_certs=str(authority.cafile))
        client.on_connect = lambda *_: client.subscribe("t", 1)
        client.on_subscribe = lambda *_: client.publish("t", big, 1)
        client.on_message = lambda _client, _data, message: got.append(message.payload)
        client.connect("localhost", port)
        client.loop_start()
        until(lambda: bool(got), "the message")
        client.disconnect()
        client.loop_stop()
        assert got == [big]


def test_a_certificate_is_asked_for_and_says_who_it_is(
    tmp_path: Path, authority: Authority
) -> None:
    port, extra = listener(
        authority,
        f"cafile {authority.cafile}",
        "require_certificate true",
        "use_identity_as_username true",
    )
    stranger = Authority(tmp_path, "stranger")
    with BrokerProcess(tmp_path, extra) as broker:
        assert connack(port, tls_client(authority, "alice")) == 0
        assert "u'alice'" in broker.log()
        refused(port, tls_client(authority))
        wrong = ssl.create_default_context(cafile=str(authority.cafile))
        wrong.load_cert_chain(*stranger.issue("mallory", "mallory"))
        refused(port, wrong)
        refused(port, tls_client(authority, "old", days=-5))
        until(lambda: broker.log().count("ended in its handshake") == 3, "three refusals")
        assert "peer did not return a certificate" in broker.log()


def test_the_subject_can_be_the_user_name(tmp_path: Path, authority: Authority) -> None:
    port, extra = listener(
        authority,
        f"capath {tmp_path}",
        f"cafile {authority.cafile}",
        "require_certificate true",
        "use_subject_as_username true",
    )
    with BrokerProcess(tmp_path, extra) as broker:
        assert connack(port, tls_client(authority, "alice")) == 0
        assert "u'CN=alice,O=Tests\\, Inc,C=DE'" in broker.log()


def test_old_certificates_will_do_where_dates_are_not_checked(
    tmp_path: Path, authority: Authority
) -> None:
    port, extra = listener(
        authority,
        f"cafile {authority.cafile}",
        "require_certificate true",
        "disable_client_cert_date_checks true",
    )
    with BrokerProcess(tmp_path, extra):
        assert connack(port, tls_client(authority, "old", days=-5)) == 0


def test_a_revoked_certificate_is_refused(tmp_path: Path, authority: Authority) -> None:
    good, bad = tls_client(authority, "good"), tls_client(authority, "bad")
    crl = authority.revoke("bad")
    port, extra = listener(
        authority, f"cafile {authority.cafile}", "require_certificate true", f"crlfile {crl}"
    )
    with BrokerProcess(tmp_path, extra):
        assert connack(port, good) == 0
        refused(port, bad)


def test_ciphers_and_versions_are_those_that_are_allowed(
    tmp_path: Path, authority: Authority
) -> None:
    port, extra = listener(authority, "ciphers ECDHE-ECDSA-AES256-GCM-SHA384")
    other = free_port()
    files = "\n".join(line for line in extra.splitlines() if "file" in line)
    extra += f"listener {other} 127.0.0.1\n{files}\ntls_version tlsv1.3\n"
    with BrokerProcess(tmp_path, extra):
        context = tls_client(authority)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with shake(port, context) as sock:
            assert sock.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"  # type: ignore[index]
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        refused(port, context)
        refused(other, context)
        assert connack(other, tls_client(authority)) == 0


@pytest.mark.parametrize("how", ["hang up", "files"])
def test_a_new_certificate_is_for_new_connections_and_nobody_is_cut_off(
    tmp_path: Path, authority: Authority, how: str
) -> None:
    port, extra = listener(authority)
    with BrokerProcess(tmp_path, extra) as broker:
        context = tls_client(authority)
        with shake(port, context) as old:
            before = old.getpeercert(binary_form=True)
            old.sendall(CONNECT)
            assert old.recv(4)[0] == 0x20
            authority.issue("server")
            if how == "hang up":
                os.kill(broker.pid, signal.SIGHUP)

            def renewed() -> bool:
                with shake(port, context) as sock:
                    return sock.getpeercert(binary_form=True) != before

            until(renewed, "the new certificate")
            old.sendall(b"\xc0\0")
            assert old.recv(2) == b"\xd0\0"


def test_a_broken_certificate_leaves_the_last_one_in_use(
    tmp_path: Path, authority: Authority
) -> None:
    port, extra = listener(authority)
    with BrokerProcess(tmp_path, extra) as broker:
        (tmp_path / "server.crt").write_text("broken")
        os.kill(broker.pid, signal.SIGHUP)
        until(lambda: "Unable to load server certificate" in broker.log(), "the complaint")
        assert connack(port, tls_client(authority)) == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["certfile /nowhere"], 'Unable to load server certificate "/nowhere". Check certfile.'),
        (["keyfile /nowhere"], 'Unable to load server key file "/nowhere". Check keyfile.'),
        (["cafile /nowhere"], "Unable to load CA certificates."),
        (["ciphers nonsense"], 'Check cipher list "nonsense"'),
        (["require_certificate true"], "require_certificate needs a cafile or capath"),
        (["crlfile /nowhere"], "Unable to load certificate revocation file"),
        (["tls_keyform engine"], "Python's ssl loads no engines"),
    ],
)
def test_what_cannot_be_used_ends_the_start_and_is_said(
    tmp_path: Path, authority: Authority, options: list[str], complaint: str
) -> None:
    _, extra = listener(authority)
    names = {option.split()[0] for option in options}
    kept = [line for line in extra.splitlines() if line.split()[0] not in names]
    broker = BrokerProcess(tmp_path, "\n".join([*kept, *options]) + "\n")
    with pytest.raises(RuntimeError, match="ended at once"):
        broker.start()
    assert complaint in broker.log()


HAS_PSK = hasattr(ssl.SSLContext, "set_psk_server_callback")


@pytest.mark.skipif(HAS_PSK, reason="this Python speaks TLS-PSK")
def test_psk_without_a_python_that_has_it_is_a_clear_error(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("me:0102\n")
    extra = f"listener {free_port()} 127.0.0.1\npsk_hint hint\npsk_file {keys}\n"
    broker = BrokerProcess(tmp_path, extra)
    with pytest.raises(RuntimeError, match="ended at once"):
        broker.start()
    assert "TLS-PSK (psk_hint) needs Python 3.13 or later" in broker.log()


def test_a_file_of_keys_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("me:xyz\n")
    extra = f"psk_file {keys}\nlistener {free_port()} 127.0.0.1\npsk_hint hint\n"
    broker = BrokerProcess(tmp_path, extra)
    with pytest.raises(RuntimeError, match="ended at once"):
        broker.start()
    assert 'psk for identity "me" contains non-hexadecimal characters' in broker.log()


def psk_client(port: int, identity: str, key: str) -> int:
    """The exit status of a publisher with a pre-shared key."""
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(port), "-t", "t", "-m", "x", "-q", "1"]
    command += ["--psk-identity", identity, "--psk", key]
    return subprocess.run(command, capture_output=True, timeout=20).returncode


@pytest.mark.skipif(not HAS_PSK, reason="TLS-PSK needs Python 3.13 or later")
@pytest.mark.peer("mosquitto_pub")
@pytest.mark.parametrize("per_listener", ["false", "true"])
def test_those_with_a_key_come_in_by_their_identity_and_no_others(
    tmp_path: Path, per_listener: str
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("me:0102\nyou:c0ffee\n")
    port = free_port()
    extra = f"listener {port} 127.0.0.1\npsk_hint hint\npsk_file {keys}\n"
    extra += "use_identity_as_username true\n"
    broker = BrokerProcess(tmp_path, extra)
    if per_listener == "true":
        file = tmp_path / "broker.conf"
        file.write_text(f"per_listener_settings true\n{file.read_text()}")
    with broker:
        assert psk_client(port, "me", "0102") == 0
        assert psk_client(port, "you", "c0ffee") == 0
        assert psk_client(port, "me", "c0ffee") != 0
        assert psk_client(port, "nobody", "0102") != 0
        assert psk_client(port, "", "0102") != 0
        assert "u'me'" in broker.log()
        keys.write_text("me:0202\n")
        os.kill(broker.pid, signal.SIGHUP)
        until(lambda: "Config reloaded" in broker.log(), "the reload")
        assert psk_client(port, "me", "0202") == 0
        assert psk_client(port, "you", "c0ffee") != 0


def test_who_does_not_speak_tls_is_told_apart(tmp_path: Path, authority: Authority) -> None:
    port, extra = listener(authority)
    with BrokerProcess(tmp_path, extra) as broker:
        for said in (CONNECT, b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), 5) as sock:
                sock.sendall(said)
                while sock.recv(100):
                    pass
        until(lambda: broker.log().count("ended in its handshake") == 2, "two refusals")
        assert "does not speak TLS" in broker.log()
        assert "speaks HTTP without TLS" in broker.log()


# -- WebSockets ------------------------------------------------------------------------------------


def websocket_listener(*options: str) -> tuple[int, str]:
    port = free_port()
    lines = [f"listener {port} 127.0.0.1", "protocol websockets", "allow_anonymous true", *options]
    return port, "\n".join(lines) + "\n"


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("version", [4, 5])
def test_a_client_talks_through_a_websocket(
    tmp_path: Path, authority: Authority, secure: bool, version: int
) -> None:
    port, extra = websocket_listener()
    if secure:
        port, extra = listener(authority, "protocol websockets")
    got: list[bytes] = []
    big = b"x" * 200_000
    with BrokerProcess(tmp_path, extra):
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, transport="websockets", protocol=version
        )
        if secure:
            client.tls_set(ca_certs=str(authority.cafile))
        client.on_connect = lambda *_: client.subscribe("t", 2)
        client.on_subscribe = lambda *_: [client.publish("t", one, 2) for one in (b"", b"a", big)]
        client.on_message = lambda _client, _data, message: got.append(message.payload)
        client.connect("localhost", port)
        client.loop_start()
        until(lambda: len(got) == 3, "three messages")
        client.disconnect()
        client.loop_stop()
    assert got == [b"", b"a", big]


def ask(port: int, *headers: str, path: str = "/mqtt") -> bytes:
    """Ask for a WebSocket; the answer's head."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
        "",
        "",
    ]
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        for line in lines[:-1]:  # in pieces, which need not come as such
            sock.sendall(f"{line}\r\n".encode())
        return sock.recv(4096)


def test_a_connection_with_a_handshake_counts_once_for_the_rate(tmp_path: Path) -> None:
    port, extra = websocket_listener()
    with BrokerProcess(tmp_path, f"connect_rate_limit 4\n{extra}"):
        for _ in range(4):
            assert b" 101 " in ask(port, "Sec-WebSocket-Protocol: mqtt")


def test_only_pages_of_the_named_origins_may_come(tmp_path: Path) -> None:
    port, extra = websocket_listener(
        "websockets_origin https://good.example", "websockets_origin https://also.example"
    )
    mqtt = "Sec-WebSocket-Protocol: mqtt"
    with BrokerProcess(tmp_path, extra) as broker:
        for origin in ("https://good.example", "https://also.example"):
            assert ask(port, mqtt, f"Origin: {origin}").startswith(b"HTTP/1.1 101")
        assert ask(port, mqtt, "Origin: https://bad.example").startswith(b"HTTP/1.1 403")
        assert ask(port, mqtt).startswith(b"HTTP/1.1 403")
        until(lambda: "https://bad.example is not in websockets_origin" in broker.log(), "the why")


def test_the_subprotocol_must_be_offered(tmp_path: Path) -> None:
    port, extra = websocket_listener()
    with BrokerProcess(tmp_path, extra):
        assert ask(port).startswith(b"HTTP/1.1 400")
        answer = ask(port, "Sec-WebSocket-Protocol: chat, mqtt")
        assert b"sec-websocket-protocol: mqtt" in answer.lower()
        old = ask(port, "Sec-WebSocket-Protocol: mqttv3.1")
        assert b"sec-websocket-protocol: mqttv3.1" in old.lower()


def test_the_address_that_a_proxy_names_is_the_clients(tmp_path: Path) -> None:
    port, extra = websocket_listener()
    with BrokerProcess(tmp_path, extra) as broker:
        ask(port, "Sec-WebSocket-Protocol: mqtt", "X-Forwarded-For: 192.0.2.7, 10.0.0.1")
        until(lambda: "New connection from 192.0.2.7:" in broker.log(), "the address")


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"192.0.2.7", "192.0.2.7"),
        (b" 192.0.2.7 , 10.0.0.1", "192.0.2.7"),
        (b"2001:DB8::0:1", "2001:db8::1"),
        (b"anybody, 192.0.2.7", None),
        (b"", None),
        (b"192.0.2.7:80", None),
        (b"1" * 5000, None),
        (b"\xff", None),
    ],
)
def test_only_an_address_is_taken_for_one_from_x_forwarded_for(
    header: bytes, address: str | None
) -> None:
    assert _address_in(header) == address


def test_what_is_no_request_gets_an_answer_of_http(tmp_path: Path) -> None:
    port, extra = websocket_listener()
    with BrokerProcess(tmp_path, extra):
        for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", CONNECT, b"\0" * 50 + b"\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), 5) as sock:
                sock.sendall(said)
                data = b""
                while True:
                    more = sock.recv(4096)
                    if not more:
                        break
                    data += more
                assert not data or data.startswith(b"HTTP/1.1 4"), data
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000)
            assert sock.recv(100).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("option", ["packet_buffer_size", "websockets_headers_size"])
def test_longer_requests_can_be_allowed_also_by_a_reload(tmp_path: Path, option: str) -> None:
    port, extra = websocket_listener()
    broker = BrokerProcess(tmp_path, extra)
    cookie = f"Cookie: {'a' * 20_000}"
    with broker:
        assert ask(port, "Sec-WebSocket-Protocol: mqtt", cookie).startswith(b"HTTP/1.1 431")
        file = tmp_path / "broker.conf"
        file.write_text(f"{option} 40000\n{file.read_text()}")
        os.kill(broker.pid, signal.SIGHUP)
        until(lambda: "Config reloaded" in broker.log(), "the reload")
        assert ask(port, "Sec-WebSocket-Protocol: mqtt", cookie).startswith(b"HTTP/1.1 101")
        pieces = [f"Cookie{number}: {'a' * 7_000}" for number in range(5)]
        assert ask(port, "Sec-WebSocket-Protocol: mqtt", *pieces).startswith(b"HTTP/1.1 101")


def test_the_listeners_of_a_broker_end_with_it(tmp_path: Path, authority: Authority) -> None:
    port, extra = listener(authority)
    broker = BrokerProcess(tmp_path, extra)
    broker.start()
    with shake(port, tls_client(authority)), socket.create_connection(("127.0.0.1", port)):
        assert broker.stop() == 0
