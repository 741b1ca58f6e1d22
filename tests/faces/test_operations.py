"""Running the broker: its user, its log, its signals, whoever supervises it, its limits."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import midge
from midge.mqtt import packets as p
from tests.process import BrokerProcess, free_port
from tests.raw import Raw

MIDGE = [sys.executable, "-m", "midge", "broker"]


def open_python() -> str | None:
    """A Python that every user of this machine can run; that of the tests may lie in /root."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        code = "import os, sys; print(os.__file__); sys.exit(sys.version_info < (3, 11))"
        try:
            done = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=20)
        except OSError:
            continue
        folders = [Path(done.stdout.strip()), *Path(done.stdout.strip()).parents]
        if done.returncode == 0 and all(folder.stat().st_mode & 0o004 for folder in folders):
            return path
    return None


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_open_python = pytest.mark.skipif(
    os.geteuid() != 0 or open_python() is None,
    reason="only root can become another user, who must be able to read Python's library",
)


@pytest.fixture(autouse=True)
def close_what_was_made() -> Iterator[None]:
    yield
    for raw in Raw.made:
        raw.close()
    Raw.made.clear()


def until(true: Callable[[], bool], what: str, timeout_s: float = 10) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.01)


def logged(broker: BrokerProcess, text: str, count: int = 1) -> None:
    """Wait until the log has a text, so many times."""
    until(lambda: broker.log().count(text) >= count, f"{text!r} in:\n{broker.log()}")


def lines_of(log: str) -> list[str]:
    return [re.sub(r"^\d+: ", "", line) for line in log.splitlines()]


def run(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MIDGE, *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        env=None if environment is None else {**os.environ, **environment},
    )


def without_ids() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("PUID", "PGID")}


# -- who it is ---------------------------------------------------------------------------------


def status_of(pid: int, field: str) -> list[int]:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:(.*)$", text, re.MULTILINE)
    assert found is not None
    return [int(word) for word in found[1].split()]


def started(
    directory: Path, environment: dict[str, str], extra: str = ""
) -> tuple[subprocess.Popen[str], list[str]]:
    """A broker that runs, and what it said until then."""
    directory.chmod(0o755)
    file = directory / "b.conf"
    file.write_text(f"listener {free_port()} 127.0.0.1\nallow_anonymous true\n{extra}")
    process = subprocess.Popen(
        [open_python() or "", "-m", "midge", "broker", "-c", str(file)],
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONPATH": str(Path(midge.__file__).parents[1])},
    )
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(re.sub(r"^\d+: ", "", line.rstrip()))
        if re.search(r"version \S+ running", line):
            break
    return process, said


def ended(process: subprocess.Popen[str]) -> int:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGTERM)
    assert process.stderr is not None
    process.stderr.close()
    return process.wait(15)


@needs_open_python
def test_root_becomes_the_user_for_good_with_only_that_ones_groups(tmp_path: Path) -> None:
    process, said = started(tmp_path, without_ids(), "user nobody\n")
    try:
        assert said[0] == "Info: running midge as user: nobody."
        assert set(status_of(process.pid, "Uid")) == {65534}
        assert set(status_of(process.pid, "Gid")) == {65534}
        assert set(status_of(process.pid, "Groups")) <= {65534}
        assert "Warning: midge should not be run as root/administrator." not in said
    finally:
        assert ended(process) == 0


@needs_open_python
def test_puid_and_pgid_count_before_the_user(tmp_path: Path) -> None:
    environment = {**without_ids(), "PUID": "4321", "PGID": "4322"}
    process, said = started(tmp_path, environment, "user nobody\n")
    try:
        assert said[0] == "Info: running midge as user id: 4321."
        assert set(status_of(process.pid, "Uid")) == {4321}
        assert set(status_of(process.pid, "Gid")) == {4322}
        assert status_of(process.pid, "Groups") == []
    finally:
        assert ended(process) == 0


@needs_open_python
def test_root_stays_root_only_when_told_and_is_warned(tmp_path: Path) -> None:
    process, said = started(tmp_path, without_ids(), "user root\n")
    try:
        assert set(status_of(process.pid, "Uid")) == {0}
        assert "Warning: midge should not be run as root/administrator." in said
    finally:
        assert ended(process) == 0


@root_only
@pytest.mark.parametrize(
    ("user", "environment", "said"),
    [
        (
            "user no-such-user\n",
            {},
            "Error: Unable to drop privileges to 'no-such-user' because this user does not exist.",
        ),
        ("", {"PUID": "joe"}, "Error: PUID not a valid ID 'joe'"),
        ("", {"PGID": "-1"}, "Error: PGID must not be negative"),
        ("", {"PUID": "99999999999"}, "Error: PUID must not be less than 2147483647"),
        ("user root\n", {"UMASK_SET": "9"}, "UMASK_SET environment variable not a valid octal"),
        ("user root\n", {"UMASK_SET": "7777"}, "UMASK_SET environment variable out of range."),
    ],
)
def test_a_user_that_cannot_be_is_an_error_and_nothing_is_served_as_root(
    tmp_path: Path, user: str, environment: dict[str, str], said: str
) -> None:
    file = tmp_path / "b.conf"
    file.write_text(f"listener {free_port()} 127.0.0.1\n{user}")
    done = subprocess.run(
        [*MIDGE, "-c", str(file)],
        capture_output=True,
        text=True,
        timeout=20,
        env={**without_ids(), **environment},
    )
    assert done.returncode == 3
    assert said in done.stderr
    assert "running" not in done.stderr


@needs_open_python
def test_files_that_the_broker_makes_belong_to_the_user(tmp_path: Path) -> None:
    place = tmp_path / "own"
    place.mkdir()
    os.chown(place, 65534, 65534)
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    extra = f"user nobody\npid_file {place}/pid\nlog_dest stderr\nlog_dest file {place}/log\n"
    process, _ = started(tmp_path, without_ids(), extra)
    try:
        assert (place / "pid").read_text() == f"{process.pid}\n"
        assert (place / "pid").stat().st_uid == 65534
        assert (place / "log").stat().st_uid == 65534
    finally:
        assert ended(process) == 0
    assert not (place / "pid").exists()


@pytest.mark.source_only("it copies the package alone, without the library of what is compiled")
@root_only
def test_a_user_that_cannot_read_midge_is_told_so(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    shutil.copytree(Path(midge.__file__).parent, hidden / "midge")
    hidden.chmod(0o700)
    file = tmp_path / "b.conf"
    file.write_text(f"listener {free_port()} 127.0.0.1\nuser nobody\n")
    done = subprocess.run(
        [*MIDGE, "-c", str(file)],
        capture_output=True,
        text=True,
        timeout=20,
        env={**without_ids(), "PYTHONPATH": str(hidden)},
        cwd=tmp_path,
    )
    assert done.returncode == 3
    assert "Error: the user: nobody cannot read " in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("-p", str(port))
    assert done.returncode == 1
    assert f"Error: Address already in use (port {port} on 127.0.0.1)." in done.stderr


# -- the log -------------------------------------------------------------------------------------


def test_the_start_is_told_in_the_order_of_mosquitto(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        pass
    told = lines_of(broker.log())
    order = [
        next(number for number, line in enumerate(told) if re.fullmatch(pattern, line))
        for pattern in (
            r"Info: running midge as user.*",
            r"midge version \S+ starting",
            r"Config loaded from .*",
            r"Bridge support (NOT )?available\.",
            r"Persistence support available\.",
            r"TLS support (NOT )?available\.",
            r"TLS-PSK support (NOT )?available\.",
            r"Websockets support (NOT )?available\.",
            r"Opening ipv4 listen socket on port \d+\.",
            r"midge version \S+ running",
            r"midge version \S+ terminating",
        )
    ]
    assert order == sorted(order)


def test_the_log_can_be_one_json_object_a_line(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "log_format json\nlog_type all\n") as broker:
        Raw(broker.port, 'cl\u2028ient"\\').close()
        logged(broker, "disconnected")
    found = [json.loads(line) for line in broker.log().splitlines()]
    assert {"notice", "information", "debug"} <= {one["type"] for one in found}
    assert all(set(one) == {"time", "type", "message"} for one in found)
    assert all(abs(one["time"] - time.time()) < 60 for one in found)
    assert any('as cl\\u2028ient"\\ (p5' in one["message"] for one in found)


def test_lines_go_to_topics_below_sys(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "log_dest topic\nlog_dest stderr\nlog_type all\n") as broker:
        watcher = Raw(broker.port, "watcher")
        watcher.subscribe("$SYS/broker/log/#", 2)
        Raw(broker.port, "other").subscribe("a/b", 1)
        found: dict[str, str] = {}
        while not found.get("$SYS/broker/log/M/subscribe", "").endswith("other 1 a/b"):
            packet = watcher.take()
            if isinstance(packet, p.Publish):
                assert packet.qos == 2
                assert not packet.retain
                found[packet.topic] = packet.payload.decode()
                watcher.send(p.Pubrec(packet.packet_id))
            elif isinstance(packet, p.Pubrel):
                watcher.send(p.Pubcomp(packet.packet_id))
        assert re.fullmatch(r"\d+: other 1 a/b", found["$SYS/broker/log/M/subscribe"])
        assert re.match(r"\d+: New client connected from ", found["$SYS/broker/log/N"])
        assert "$SYS/broker/log/D" not in found


def test_a_takeover_is_told_before_the_new_connection(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        first = Raw(broker.port, "c")
        Raw(broker.port, "c")
        goodbye = first.take()
        assert isinstance(goodbye, p.Disconnect)
        assert goodbye.reason == 0x8E
        logged(broker, "as c (p5", 2)
    told = [line for line in lines_of(broker.log()) if "as c (p5" in line or "taken over" in line]
    assert re.match(r"New client connected from 127\.0\.0\.1:\d+ as c ", told[0])
    port = first.socket.getsockname()[1]
    assert told[1] == f"Client c [127.0.0.1:{port}] disconnected: session taken over."
    assert re.match(r"New client connected from 127\.0\.0\.1:\d+ as c ", told[2])
    assert len(told) == 3


@pytest.mark.parametrize("number", [signal.SIGRTMIN, signal.SIGHUP])
def test_a_log_that_was_moved_away_is_opened_anew(tmp_path: Path, number: int) -> None:
    file = tmp_path / "midge.log"
    with BrokerProcess(tmp_path, f"log_dest file {file}\nlog_dest stderr\n") as broker:
        Raw(broker.port, "before").close()
        logged(broker, "before")
        file.rename(tmp_path / "midge.log.1")
        os.kill(broker.pid, number)
        until(file.exists, "the new file")
        Raw(broker.port, "after").close()
        until(lambda: "after" in file.read_text(), "a line in the new file")
    assert "before" in (tmp_path / "midge.log.1").read_text()
    assert "after" not in (tmp_path / "midge.log.1").read_text()


# -- signals --------------------------------------------------------------------------------------


def test_usr1_says_that_there_is_nothing_to_save(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        os.kill(broker.pid, signal.SIGUSR1)
        logged(broker, "Nothing to save: persistence is off.")


def test_usr1_saves_where_there_is_a_store(tmp_path: Path) -> None:
    extra = f"persistence true\npersistence_location {tmp_path}\n"
    with BrokerProcess(tmp_path, extra) as broker:
        os.kill(broker.pid, signal.SIGUSR1)
        logged(broker, "Saving what is not on the disk yet.")


def test_usr2_prints_the_tree_of_subscriptions(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        client = Raw(broker.port, "c")
        client.subscribe("house/+/light", 1)
        client.subscribe("house/kitchen", 2)
        Raw(broker.port, "d").subscribe("house/kitchen", 0)
        os.kill(broker.pid, signal.SIGUSR2)
        logged(broker, "kitchen (c, 2) (d, 0)")
    assert (
        "    house\n      +\n        light (c, 1)\n      kitchen (c, 2) (d, 0)\n"
    ) in broker.log()


def test_a_hangup_without_a_file_reads_the_environment_and_its_files_again(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    port = free_port()
    process = subprocess.Popen(
        [*MIDGE, "-p", str(port)],
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "MIDGE_LISTENER": f"{port} 127.0.0.1",
            "MIDGE_PASSWORD_FILE": str(passwords),
        },
    )
    assert process.stderr is not None
    said: list[str] = []

    def heard(text: str) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if text in line or "Config reloaded." in line:
                break
        assert text in said[-1], said

    try:
        heard(" running\n")
        passwords.unlink()
        os.kill(process.pid, signal.SIGHUP)
        heard("not reloaded")
        assert any("Unable to open pwfile" in line for line in said)
        passwords.write_text("")
        os.kill(process.pid, signal.SIGHUP)
        heard("Config reloaded.")
    finally:
        assert ended(process) == 0


def test_a_client_that_does_not_read_holds_up_the_end_until_it_is_asked_for_twice(
    tmp_path: Path,
) -> None:
    with BrokerProcess(tmp_path) as broker:
        stuck = Raw(broker.port, "stuck", version=4)
        stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.subscribe("t")
        publisher = Raw(broker.port, "publisher", version=4)
        publisher.connection.send(p.Publish("t", bytes(1_900_000)), 0.0)
        for _ in range(6):
            publisher.socket.sendall(b"".join(publisher.connection.out))
        publisher.send(p.Pingreq())
        assert isinstance(publisher.take(), p.Pingresp)
        assert broker.process is not None
        os.kill(broker.pid, signal.SIGTERM)
        assert publisher.take() is None
        with pytest.raises(subprocess.TimeoutExpired):
            broker.process.wait(0.5)
        os.kill(broker.pid, signal.SIGTERM)
        assert broker.process.wait(2) == 0
        broker.stop()


# -- systemd ---------------------------------------------------------------------------------------


def test_systemd_hears_of_start_reload_stop_and_that_it_lives(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(10)
        file = tmp_path / "b.conf"
        file.write_text(f"listener {free_port()} 127.0.0.1\nallow_anonymous true\n")
        environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen(
            [*MIDGE, "-c", str(file)], stderr=subprocess.DEVNULL, env=environment
        )
        try:
            ready = systemd.recv(4096).decode().splitlines()
            assert ready[0] == "READY=1"
            assert f"MAINPID={process.pid}" in ready
            assert any(line.startswith("STATUS=Serving on 127.0.0.1:") for line in ready)
            for _ in range(3):
                assert systemd.recv(4096) == b"WATCHDOG=1"
            os.kill(process.pid, signal.SIGHUP)
            told = []
            while len(told) < 2:
                message = systemd.recv(4096).decode()
                if message != "WATCHDOG=1":
                    told.append(message)
            assert told[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert told[1].startswith("READY=1\n")
            os.kill(process.pid, signal.SIGTERM)
            message = ""
            while not message.startswith("STOPPING=1"):
                message = systemd.recv(4096).decode()
        finally:
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(15) == 0


# -- limits ----------------------------------------------------------------------------------------


def test_connections_of_one_address_come_at_the_rate_that_is_set(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "connect_rate_limit 3\n") as broker:
        let_in = 0
        for number in range(10):
            try:
                Raw(broker.port, f"c{number}")
                let_in += 1
            except (OSError, AssertionError):
                pass
        assert 3 <= let_in < 10
        line = "Client connection from 127.0.0.1 denied: connect_rate_limit exceeded."
        assert broker.log().count(line) == 1
        time.sleep(0.5)
        Raw(broker.port, "later")


def test_above_the_memory_limit_nobody_new_comes_in_and_the_log_says_why(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "memory_limit 1000000\n") as broker:
        with pytest.raises(AssertionError):
            Raw(broker.port, "c")
        logged(broker, "memory_limit is 1000000: no new clients")
        logged(broker, "refused: memory_limit is reached.")


def test_a_fast_client_is_slowed_down_and_not_its_neighbour(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "rate_limit_messages 20\n") as broker:
        watcher = Raw(broker.port, "watcher")
        watcher.subscribe("#")
        fast = Raw(broker.port, "fast")
        began = time.monotonic()
        for _ in range(40):
            fast.connection.send(p.Publish("fast", b"x"), 0.0)
        fast.socket.sendall(b"".join(fast.connection.data_to_send()))  # twice a second's worth
        assert isinstance(watcher.take(), p.Publish)
        fast.send(p.Publish("fast", b"x"))
        Raw(broker.port, "neighbour").send(p.Publish("neighbour", b"x"))
        topics = []
        while len(topics) < 41:
            message = watcher.take()
            assert isinstance(message, p.Publish)
            topics.append(message.topic)
        assert topics[-2:] == ["neighbour", "fast"]  # none is lost, and the neighbour is at once
        assert time.monotonic() - began > 0.9


# -- $SYS ----------------------------------------------------------------------------------------


def test_sys_is_told_at_the_interval_and_nobody_else_can_write_there(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "sys_interval 1\n") as broker:
        watcher = Raw(broker.port, "watcher")
        watcher.subscribe("$SYS/#")
        liar = Raw(broker.port, "liar")
        liar.send(p.Publish("$SYS/broker/version", b"mine", 1, True, packet_id=1))
        answer = liar.take()
        assert isinstance(answer, p.Puback)
        assert answer.reason == 0x87
        values: dict[str, bytes] = {}
        ups: list[bytes] = []
        while len(ups) < 3:
            message = watcher.take()
            assert isinstance(message, p.Publish)
            values[message.topic] = message.payload
            if message.topic == "$SYS/broker/uptime":
                ups.append(message.payload)
        assert values["$SYS/broker/version"].startswith(b"midge version ")
        assert values["$SYS/broker/clients/connected"] == b"2"
        assert values["$SYS/broker/clients/active"] == b"2"
        assert values["$SYS/broker/subscriptions/count"] == b"1"
        assert re.fullmatch(rb"\d+ seconds", ups[-1])
        assert re.fullmatch(rb"\d+\.\d\d", values["$SYS/broker/load/sockets/15min"])
        assert int(values["$SYS/broker/heap/current"]) > 1_000_000


def test_without_an_interval_there_is_no_sys(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "sys_interval 0\n") as broker:
        client = Raw(broker.port, "c")
        client.subscribe("$SYS/#")
        client.send(p.Pingreq())
        assert isinstance(client.take(), p.Pingresp)
