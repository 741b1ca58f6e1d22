"""Socket activation: a broker that is started with sockets that listen already."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from midge.mqtt import packets as p
from midge.mqtt.encode import encode
from tests.process import BrokerProcess, free_port

CONNECT = encode(p.Connect("client", 4, True, 0), 4)
#: Does what systemd does: opens sockets, numbers them from 3, and becomes the broker.
STARTER = """
import os, socket, sys
for number, place in enumerate(os.environ["TEST_PLACES"].split(), 3):
    host, _, port = place.rpartition(":")
    listening = socket.socket(socket.AF_INET if host else socket.AF_UNIX)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, int(port)) if host else port)
    listening.listen()
    os.dup2(listening.fileno(), 100 + number)
    listening.close()
for number in range(3, 3 + len(os.environ["TEST_PLACES"].split())):
    os.dup2(100 + number, number, inheritable=True)
    os.close(100 + number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(os.environ["TEST_PLACES"].split()))
os.execv(sys.executable, [sys.executable, "-m", "midge", "broker", *sys.argv[1:]])
"""


def broker_with(
    directory: Path, monkeypatch: pytest.MonkeyPatch, extra: str, *places: str
) -> BrokerProcess:
    """A broker that is started with sockets at some places, and at its own port."""
    script = directory / "starter.py"
    script.write_text(STARTER)
    monkeypatch.setenv("MIDGE_TEST_BROKER", shlex.join([sys.executable, str(script)]))
    broker = BrokerProcess(directory, extra)
    monkeypatch.setenv("TEST_PLACES", " ".join([f"127.0.0.1:{broker.port}", *places]))
    return broker


def admitted(where: tuple[str, int] | str) -> None:
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(5)
        sock.connect(where)
        sock.sendall(CONNECT)
        assert sock.recv(100) == b"\x20\x02\x00\x00"


def until_said(broker: BrokerProcess, text: str, times: int = 1) -> None:
    deadline = time.monotonic() + 15
    while broker.log().count(text) < times:
        assert time.monotonic() < deadline, f"it never said: {text}\n{broker.log()}"
        time.sleep(0.02)


def test_the_sockets_that_it_was_started_with_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "socket")
    vain = free_port()
    extra = f"listener 0 {path}\nallow_anonymous true\n"
    with broker_with(tmp_path, monkeypatch, extra, f":{path}", f"127.0.0.1:{vain}") as broker:
        admitted(("127.0.0.1", broker.port))
        admitted(path)
        said = broker.log()
        assert f"Using the ipv4 listen socket on port {broker.port} that midge" in said
        assert f"Using the unix listen socket on path {path} that midge" in said
        assert f"no listener has the address 127.0.0.1 port {vain}." in said
        assert "Opening" not in said
    assert os.path.exists(path)  # it belongs to who made it, and is for the next start


def test_a_listener_may_go_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with broker_with(tmp_path, monkeypatch, "") as broker:
        file = tmp_path / "broker.conf"
        text = file.read_text()
        file.write_text(f"listener {free_port()} 127.0.0.1\n")
        os.kill(broker.pid, signal.SIGHUP)
        until_said(broker, "Config reloaded.")
        file.write_text(text)
        os.kill(broker.pid, signal.SIGHUP)
        until_said(broker, "Config reloaded.", 2)
        admitted(("127.0.0.1", broker.port))
        assert broker.log().count(f"Using the ipv4 listen socket on port {broker.port}") == 2
