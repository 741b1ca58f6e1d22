"""Becoming somebody else, and what systemd is told: without a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
from pathlib import Path

import pytest

from midge.server import process
from midge.server.process import ProcessError, drop_privileges, set_umask
from midge.server.systemd import Supervisor


class System:
    """Stands in for the calls that only root can make, and remembers them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, users: dict[str, int]) -> None:
        self.calls: list[tuple[str, object]] = []
        self.uid = self.gid = 0
        self.said: list[tuple[str, str]] = []
        self._users = users
        monkeypatch.setattr(os, "geteuid", lambda: self.uid)
        monkeypatch.setattr(os, "getegid", lambda: self.gid)
        monkeypatch.setattr(os, "setuid", self._setuid)
        monkeypatch.setattr(os, "setgid", self._setgid)
        monkeypatch.setattr(os, "setgroups", lambda groups: self.calls.append(("groups", groups)))
        monkeypatch.setattr(
            os, "initgroups", lambda name, gid: self.calls.append(("groups of", name))
        )
        monkeypatch.setattr(pwd, "getpwnam", self._getpwnam)

    def _setuid(self, uid: int) -> None:
        self.calls.append(("uid", uid))
        self.uid = uid

    def _setgid(self, gid: int) -> None:
        self.calls.append(("gid", gid))
        self.gid = gid

    def _getpwnam(self, name: str) -> pwd.struct_passwd:
        uid = self._users[name]
        return pwd.struct_passwd((name, "x", uid, uid + 1, "", "/", "/bin/false"))

    def say(self, kind: str, line: str) -> None:
        self.said.append((kind, line))


def test_groups_come_first_and_the_user_last(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(monkeypatch, {"mosquitto": 200_001})
    drop_privileges("mosquitto", {}, system.say)
    assert system.calls == [("groups of", "mosquitto"), ("gid", 200_002), ("uid", 200_001)]
    assert system.said == [("information", "Info: running midge as user id: 200001.")]


def test_without_the_default_user_it_is_nobody_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = System(monkeypatch, {"nobody": 200_003})
    drop_privileges("mosquitto", {}, system.say)
    assert system.calls[0] == ("groups of", "nobody")
    assert system.uid == 200_003
    assert system.said[0] == (
        "error",
        "Warning: Unable to drop privileges to 'mosquitto' because this user does not exist. "
        "Trying 'nobody' instead.",
    )


def test_without_nobody_there_is_nobody_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(monkeypatch, {})
    with pytest.raises(ProcessError, match="Unable to drop privileges to 'nobody'"):
        drop_privileges("mosquitto", {}, system.say)
    assert system.uid == 0


def test_a_call_that_fails_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(monkeypatch, {"mosquitto": 200_001})

    def refuse(gid: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setgid", refuse)
    with pytest.raises(ProcessError, match="Error setting gid whilst dropping privileges: Oper"):
        drop_privileges("mosquitto", {}, system.say)


@pytest.mark.parametrize(
    ("environment", "calls"),
    [
        ({"PUID": "7", "PGID": "8"}, [("groups", []), ("gid", 8), ("uid", 7)]),
        ({"PUID": "7"}, [("groups", []), ("uid", 7)]),
        ({"PGID": "8"}, [("groups", []), ("gid", 8)]),
        ({"PUID": "0", "PGID": "0"}, []),
    ],
)
def test_numbers_of_the_environment_count_before_the_name(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], calls: list[object]
) -> None:
    system = System(monkeypatch, {})
    drop_privileges("no-such-user", environment, system.say)
    assert system.calls == calls


def test_whoever_is_not_root_stays_who_he_is(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(monkeypatch, {})
    system.uid = 1000
    drop_privileges("no-such-user", {"PUID": "7"}, system.say)
    assert system.calls == []


def test_the_umask_is_read_as_octal(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(os, "umask", taken.append)
    set_umask({})
    set_umask({"UMASK_SET": "027"})
    assert taken == [0o27]


def test_a_pid_file_that_cannot_be_written_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not process.write_pid(str(tmp_path / "no" / "pid"))
    assert "Error: Unable to write pid file" in capsys.readouterr().err


# -- systemd ---------------------------------------------------------------------------------------


def test_without_systemd_nothing_is_told() -> None:
    supervisor = Supervisor({})
    supervisor.ready("x")
    supervisor.stopping()
    assert supervisor.watchdog_s == 0
    supervisor.close()


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "-5"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_ours_only_when_it_means_us(
    environment: dict[str, str], watchdog_s: float
) -> None:
    both = {"NOTIFY_SOCKET": "/nowhere", **environment}
    supervisor = Supervisor(both)
    assert supervisor.watchdog_s == watchdog_s
    assert both == {}  # our children are not to speak for us
    supervisor.tell("nobody listens, and that is no trouble")
    supervisor.close()


async def test_an_abstract_socket_is_found_and_signs_of_life_end_with_close() -> None:
    name = f"midge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name)
        systemd.setblocking(False)
        loop = asyncio.get_running_loop()
        supervisor = Supervisor({"NOTIFY_SOCKET": "@" + name, "WATCHDOG_USEC": "20000"})
        supervisor.watch(loop)
        for _ in range(3):
            assert await asyncio.wait_for(loop.sock_recv(systemd, 100), 10) == b"WATCHDOG=1"
        supervisor.close()
        await asyncio.sleep(0.05)
        with contextlib.suppress(BlockingIOError):
            while True:
                systemd.recv(100)  # what was sent before
        await asyncio.sleep(0.05)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
