"""Every configuration of the documentation is run, at ports and with files of a test."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from midge.auth.passwords import SHA512, make_hash
from midge.cli.broker import FLAGS, BrokerOptions
from midge.cli.flags import parse as parse_flags
from midge.config.mosquitto_conf import parse
from midge.config.settings import ListenerSettings
from midge.mqtt import packets as p
from midge.mqtt.encode import encode
from tests.certificates import Authority
from tests.packaging.test_readme import ROOT, examples
from tests.process import BrokerProcess, free_port

CONNECT = encode(p.Connect("client", 4, True, 0), 4)
ADMITTED = b"\x20\x02\x00\x00"
UPGRADE = (
    "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: mqtt\r\nOrigin: https://example.org\r\n\r\n"
)
#: PROXY protocol, version 2: a connection from 192.0.2.5, port 6275, to 127.0.0.1, port 1883.
PROXIED = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x05\x7f\0\0\x01\x18\x83\x07\x5b"


class Moved:
    """An example with ports and files of a test."""

    def __init__(self, text: str, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority(directory)
        text = re.sub(
            r"^listener ([1-9]\d*)", lambda _: f"listener {free_port()}", text, flags=re.M
        )
        self.text = re.sub(
            r"^(listener 0|password_file|certfile|keyfile|cafile|http_dir) (\S+)",
            lambda found: f"{found[1]} {self.file(found[1], found[2])}",
            text,
            flags=re.M,
        )

    def file(self, option: str, name: str) -> Path:
        certificate, key = self.authority.issue("server")
        if option == "password_file":
            path = self.directory / "passwords"
            path.write_text(f"bob:{make_hash(SHA512, b'secret', b's' * 12).encoded}\n")
            return path
        if option == "http_dir":
            return self.directory
        made = {"certfile": certificate, "keyfile": key, "cafile": self.authority.cafile}
        return made.get(option) or self.directory / Path(name).name

    def talk(self, listener: ListenerSettings) -> bytes:
        """What a client is told that says CONNECT in the way of a listener."""
        if listener.unix_path is not None:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(listener.unix_path)
        else:
            sock = socket.create_connection(("127.0.0.1", listener.port), 5)
        sock.settimeout(10)
        if listener.proxy_protocol == 2:
            sock.sendall(PROXIED)
        if listener.certfile is not None:
            context = ssl.create_default_context(cafile=str(self.authority.cafile))
            if listener.require_certificate:
                context.load_cert_chain(*self.authority.issue("client", "alice"))
            sock = context.wrap_socket(sock, server_hostname="localhost")
        with sock:
            if listener.protocol == "websockets":
                sock.sendall(UPGRADE.encode())
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += sock.recv(4096)
                assert answer.startswith(b"HTTP/1.1 101 ")
                mask = b"\0\0\0\0"
                sock.sendall(bytes((0x82, 0x80 | len(CONNECT))) + mask + CONNECT)
                return sock.recv(100)[2:]
            if listener.protocol == "http_api":
                sock.sendall(b"GET /api/v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return ADMITTED if sock.recv(100).startswith(b"HTTP/1.1 200 ") else b""
            sock.sendall(CONNECT)
            return sock.recv(100)


@pytest.mark.parametrize(("where", "text"), examples(""), ids=lambda text: text[:30])
def test_clients_come_in_as_a_configuration_of_the_documentation_says(
    where: str, text: str, tmp_path: Path
) -> None:
    moved = Moved(text, tmp_path)
    listeners = parse(moved.text, where).listeners
    elsewhere = f"persistence_location {tmp_path}/\n"  # or the store would be where we stand
    with BrokerProcess(tmp_path, elsewhere + moved.text) as broker:
        for listener in listeners:
            assert moved.talk(listener) == ADMITTED, (listener.name(), broker.log())
        if any(listener.use_identity_as_username for listener in listeners):
            assert "u'alice'" in broker.log()


def units() -> list[configparser.ConfigParser]:
    """The units of systemd in the documentation."""
    found = []
    for _, text in examples("ini"):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(text)
        found.append(unit)
    return found


def test_units_start_the_broker_with_flags_that_it_has() -> None:
    commands = [unit["Service"]["ExecStart"] for unit in units() if "Service" in unit]
    assert len(commands) >= 2
    for command in commands:
        program, verb, *arguments = shlex.split(command)
        assert (Path(program).name, verb) == ("midge", "broker")
        options = BrokerOptions()
        parse_flags(FLAGS, arguments, options)
        assert options.config_file == "/etc/mosquitto/mosquitto.conf"


def test_the_sockets_of_the_unit_are_those_of_the_configuration_behind_it() -> None:
    text = (ROOT / "docs" / "listeners.md").read_text()
    opened = set(re.findall(r"^ListenStream=(\S+)$", text, re.M))
    behind = [text for where, text in examples("") if where.startswith("listeners.md")][-1]
    asked = {listener.name() for listener in parse(behind, "m.conf").listeners}
    assert opened == asked


def test_the_configuration_that_carries_retained_messages_is_one_for_mosquitto() -> None:
    """Mosquitto reads it; midge, which has no bridges, refuses it by name."""
    text = (ROOT / "docs" / "migrate-mosquitto.md").read_text()
    lines = re.findall(r"^    ((?:listener|connection|address|topic) .*)$", text, re.M)
    done = subprocess.run(
        [sys.executable, "-m", "midge", "broker", "--test-config", "-c", "/dev/stdin"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=20,
        env=os.environ,
    )
    assert done.returncode == 3
    faults = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(faults) == 2
    assert all("'connection' is not supported" in line for line in faults)
