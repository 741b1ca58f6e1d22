"""``midge zmq`` as a user has it: processes, pipes, exit statuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import midge.zmq as zmq
from midge.cli.zmq import COMMANDS
from midge.zmq.auth import load_certificate

MIDGE = [sys.executable, "-m", "midge", "zmq"]


def run(*words: str, given: str = "", status: int = 0, timeout: float = 20) -> str:
    """Run a command to its end; returns what it printed."""
    done = subprocess.run(
        [*MIDGE, *words],
        input=given.encode(),
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return (done.stdout or done.stderr).decode()


@pytest.fixture
def context() -> Iterator[Any]:
    with zmq.Context() as made:
        yield made


@pytest.fixture
def bound(context: Any) -> Iterator[Any]:
    """Makes bound sockets of ours, and gives each with its endpoint."""
    opened = []

    def make(kind: int, **options: object) -> tuple[Any, str]:
        socket = context.socket(kind)
        opened.append(socket)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = 15_000
        for name, value in options.items():
            setattr(socket, name, value)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        return socket, f"tcp://127.0.0.1:{port}"

    yield make
    for socket in opened:
        socket.close()


def test_lines_are_pushed_one_a_message(bound: Any) -> None:
    pull, endpoint = bound(zmq.PULL)
    run("push", "-c", endpoint, given="one\ntwo words\n\n")
    assert [pull.recv() for _ in range(3)] == [b"one", b"two words", b""]


def test_messages_files_and_parts_are_pushed(bound: Any, tmp_path: Path) -> None:
    pull, endpoint = bound(zmq.PULL)
    file = tmp_path / "data"
    file.write_bytes(b"\0\1\n\2")
    run("push", "-c", endpoint, "-m", "a", "-m", "b")
    run("push", "-c", endpoint, "-f", str(file))
    run("push", "-c", endpoint, "--multipart", "-m", "x", "-m", "y")
    run("push", "-c", endpoint, "--multipart", given="l\tr\n")
    got = [pull.recv_multipart() for _ in range(5)]  # from four peers, in turn
    assert sorted(got) == [[b"\0\1\n\2"], [b"a"], [b"b"], [b"l", b"r"], [b"x", b"y"]]


@pytest.mark.parametrize(
    ("flag", "shown"),
    [
        ("", "h\xff\tx\n"),
        ("--hex", "68ff 78\n"),
        ("--base64", "aP8= eA==\n"),
        ("--json", '{"parts": [{"base64": "aP8="}, "x"]}\n'),
    ],
)
def test_what_is_pulled_is_printed_as_it_is_wanted(bound: Any, flag: str, shown: str) -> None:
    push, endpoint = bound(zmq.PUSH)
    sender = threading.Thread(target=push.send_multipart, args=([b"h\xff", b"x"],))
    sender.start()
    done = subprocess.run(
        [*MIDGE, "pull", "-c", endpoint, "-C", "1", *([flag] if flag else [])],
        stdout=subprocess.PIPE,
        timeout=20,
        check=True,
    )
    sender.join()
    assert done.stdout == shown.encode("latin-1")


def test_a_publisher_waits_for_its_subscriber(bound: Any) -> None:
    xpub, endpoint = bound(zmq.PUB)
    command = subprocess.Popen(
        [*MIDGE, "sub", "-c", endpoint, "-s", "a", "-C", "2"], stdout=subprocess.PIPE
    )
    xpub.wait_subscribed("a", timeout=15)
    for message in (b"ab", b"b", b"ac"):
        xpub.send(message)
    assert command.communicate(timeout=15)[0] == b"ab\nac\n"
    sub = zmq.Context.instance().socket(zmq.SUB)
    sub.linger = 0
    sub.subscribe(b"")
    port = sub.bind_to_random_port("tcp://127.0.0.1")
    sub.rcvtimeo = 15_000
    run("pub", "-c", f"tcp://127.0.0.1:{port}", "-m", "not lost")
    assert sub.recv() == b"not lost"
    sub.close()
    zmq.Context.instance().term()


def test_requests_are_answered(bound: Any) -> None:
    req, endpoint = bound(zmq.REQ)
    reply = subprocess.Popen(
        [*MIDGE, "rep", "-c", endpoint, "--execute", "tr a-z A-Z", "-C", "1"],
        stdout=subprocess.PIPE,
    )
    req.send(b"hello")
    assert req.recv() == b"HELLO"
    assert reply.communicate(timeout=15)[0] == b"hello\n"


def test_replies_are_printed(bound: Any) -> None:
    rep, endpoint = bound(zmq.REP)

    def answer() -> None:
        for _ in range(2):
            rep.send(rep.recv() + b"!")

    thread = threading.Thread(target=answer)
    thread.start()
    assert run("req", "-c", endpoint, "-m", "a", "-m", "b") == "a!\nb!\n"
    thread.join()


def test_who_gets_nothing_in_time_ends_with_27(bound: Any) -> None:
    _, endpoint = bound(zmq.PUSH)
    run("pull", "-c", endpoint, "-W", "1", status=27)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "No command given"),
        (("dance",), "Unknown command 'dance'"),
        (("pub",), "Give an endpoint"),
        (("rep", "-b", "tcp://127.0.0.1:*"), "Give one of -m, --echo and --execute"),
        (("pull", "-c", "inproc://x", "-C", "none"), "'none' is no number"),
        (("proxy", "queue"), "Give the kind"),
        (("monitor",), "Give the endpoint"),
        (("monitor", "tcp://127.0.0.1:1", "CLOWN"), "no socket type 'CLOWN'"),
        (("push", "-c", "tcp://127.0.0.1:1", "--curve-key", "none"), "needs --curve-server"),
        (("push", "-c", "tcp://127.0.0.1:1", "--curve-server", "none"), "Invalid certificate file"),
    ],
)
def test_a_wrong_command_line_is_explained(words: tuple[str, ...], complaint: str) -> None:
    assert complaint in run(*words, status=2)


def test_an_endpoint_that_cannot_be_used_is_an_error() -> None:
    assert "Error" in run("pull", "-b", "carrier://pigeon", status=1)


def test_each_command_has_help() -> None:
    for name in COMMANDS:
        assert f"Usage: midge zmq {name} " in run(name, "--help")


def test_keys_are_made_and_used(bound: Any, tmp_path: Path) -> None:
    pytest.importorskip("nacl", reason="CURVE needs PyNaCl")
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        assert run("keygen", "server").splitlines() == ["./server.key", "./server.key_secret"]
    finally:
        os.chdir(here)
    assert len(run("keygen").split()) == 4
    assert (tmp_path / "server.key_secret").stat().st_mode & 0o077 == 0
    _, secret = load_certificate(tmp_path / "server.key_secret")
    pull, endpoint = bound(zmq.PULL, curve_server=True, curve_secretkey=secret)
    run("push", "-c", endpoint, "--curve-server", str(tmp_path / "server.key"), "-m", "sealed")
    assert pull.recv() == b"sealed"


@pytest.mark.parametrize("kind", ["queue", "forwarder", "streamer"])
def test_a_proxy_stands_between_two_sides_and_counts(context: Any, kind: str) -> None:
    command = subprocess.Popen(
        [*MIDGE, "proxy", kind, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*"], stdout=subprocess.PIPE
    )
    assert command.stdout is not None
    front, back = (command.stdout.readline().decode().split()[1] for _ in range(2))
    types = {
        "queue": (zmq.REQ, zmq.REP),
        "forwarder": (zmq.PUB, zmq.SUB),
        "streamer": (zmq.PUSH, zmq.PULL),
    }
    with context.socket(types[kind][0]) as source, context.socket(types[kind][1]) as target:
        for socket, endpoint in ((source, front), (target, back)):
            socket.linger = 0
            socket.rcvtimeo = 15_000
            socket.connect(endpoint)
        if kind == "forwarder":
            target.subscribe(b"")
            source.wait_subscribed(timeout=15)
        source.send(b"through")
        assert target.recv() == b"through"
        if kind == "queue":
            target.send(b"and back")
            assert source.recv() == b"and back"
    command.send_signal(signal.SIGUSR1)
    said = [command.stdout.readline().decode() for _ in range(2)]
    assert said[0].startswith("front: ")
    assert "1 messages" in said[0] or "2 messages" in said[0]
    command.send_signal(signal.SIGTERM)
    assert command.wait(15) == 0
    command.stdout.close()


def test_a_monitor_says_who_is_there(bound: Any) -> None:
    _, endpoint = bound(zmq.ROUTER, routing_id=b"me")
    said = [json.loads(line) for line in run("monitor", endpoint, "--json", "-C", "3").splitlines()]
    assert [one["event"] for one in said] == ["CONNECT_DELAYED", "CONNECTED", "HANDSHAKE_SUCCEEDED"]
    assert said[2]["type"] == "ROUTER"
    assert said[2]["identity"] == "me"


def test_a_monitor_says_that_nobody_is_there_and_why() -> None:
    text = run("monitor", "tcp://127.0.0.1:1", "-C", "3", status=1)
    assert "connect retried" in text
    assert "why=Connection refused" in text
    said = run("monitor", "tcp://127.0.0.1:1", "--json", "-C", "3", status=1).splitlines()
    assert json.loads(said[2])["why"] == "Connection refused"


# -- ends ---------------------------------------------------------------------------------------


def test_keys_that_are_there_are_not_written_over(tmp_path: Path) -> None:
    name = str(tmp_path / "me")
    run("keygen", name)
    before = (tmp_path / "me.key_secret").read_bytes()
    assert "there already" in run("keygen", name, status=1)
    (tmp_path / "me.key").unlink()
    assert "there already" in run("keygen", name, status=1)
    assert (tmp_path / "me.key_secret").read_bytes() == before
    assert not (tmp_path / "me.key").exists()


def test_who_binds_to_any_port_is_told_which() -> None:
    with subprocess.Popen(
        [*MIDGE, "pull", "-b", "tcp://127.0.0.1:*", "-C", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        assert command.stderr is not None
        assert command.stdout is not None
        said, endpoint = command.stderr.readline().decode().split()
        assert said == "bound"
        run("push", "-c", endpoint, "-m", "hello")
        assert command.stdout.read() == b"hello\n"
        assert command.wait(20) == 0


@pytest.mark.parametrize(
    "words",
    [
        ("push", "-c", "tcp://127.0.0.1:1", "--wait", "0", "-m", "for nobody"),
        ("push", "-c", "tcp://127.0.0.1:1", "-m", "for nobody"),
        ("req", "-c", "tcp://127.0.0.1:1", "-m", "for nobody"),
        ("sub", "-c", "tcp://127.0.0.1:1"),
        ("rep", "-c", "tcp://127.0.0.1:1", "--echo"),
        ("monitor", "tcp://127.0.0.1:1"),
    ],
)
def test_ctrl_c_ends_it_at_once_whatever_waits(words: tuple[str, ...]) -> None:
    code = (
        "import os, sys, threading, time, signal\n"
        "from midge.cli.main import main\n"
        "def later():\n"
        "    time.sleep(0.5)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=later).start()\n"
        f"sys.exit(main({['zmq', *words]!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (130, b"")


def test_a_reader_that_has_had_enough_ends_it_quietly(bound: Any) -> None:
    push, endpoint = bound(zmq.PUSH)
    with subprocess.Popen(
        [*MIDGE, "pull", "-c", endpoint], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        push.send(b"one")
        assert command.stdout.readline() == b"one\n"
        command.stdout.close()
        push.send(b"two")
        assert command.wait(20) == 0
        assert command.stderr.read() == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [("keygen",), ("monitor", "tcp://127.0.0.1:1")])
def test_output_that_is_lost_is_an_error(words: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*MIDGE, *words], stdout=full, stderr=subprocess.PIPE, timeout=20, check=False
        )
    assert done.returncode == 1
    assert b"standard output cannot be written: No space left on device" in done.stderr
