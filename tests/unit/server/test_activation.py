"""Sockets that were given to us: which listener uses which, and what becomes of the others."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from midge.config.settings import Configuration, ListenerSettings, Settings
from midge.server.activation import GivenSockets, given_sockets
from midge.server.listeners import Listeners
from tests.unit.server.test_parts import make_log


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    """To be filled; they are closed in the end."""
    made: list[socket.socket] = []
    yield made
    for each in made:
        each.close()


def listening(host: str = "127.0.0.1", path: Path | None = None) -> socket.socket:
    if path is not None:
        made = socket.socket(socket.AF_UNIX)
        made.bind(str(path))
    else:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(family)
        made.bind((host, 0))
    made.listen()
    return made


def port_of(given: socket.socket) -> int:
    return int(given.getsockname()[1])


def names(sockets: list[socket.socket]) -> list[object]:
    found = [each.getsockname() for each in sockets]
    for each in sockets:
        each.close()
    return found


def test_a_listener_takes_the_sockets_that_have_its_address(tmp_path: Path) -> None:
    one, other = listening(), listening()
    wild = listening("0.0.0.0")
    unix = listening(path=tmp_path / "s")
    given = GivenSockets([one, other, wild, unix])
    take = given.take
    assert names(take(ListenerSettings(host="127.0.0.1", port=port_of(one)))) == [
        ("127.0.0.1", port_of(one))
    ]
    assert take(ListenerSettings(host="127.0.0.2", port=port_of(one))) == []
    assert take(ListenerSettings(port=port_of(one))) == []
    assert take(ListenerSettings(host="127.0.0.1", port=port_of(wild))) == []
    assert take(ListenerSettings(port=port_of(wild), socket_domain="ipv6")) == []
    assert names(take(ListenerSettings(port=port_of(wild)))) == [("0.0.0.0", port_of(wild))]
    assert take(ListenerSettings(unix_path=str(tmp_path / "t"), port=0)) == []
    path = os.path.join(str(tmp_path), ".", "s")
    assert names(take(ListenerSettings(unix_path=path, port=0))) == [str(tmp_path / "s")]
    assert given.unused() == [f"no listener has the address 127.0.0.1 port {port_of(other)}"]
    given.close()


def test_an_interface_counts() -> None:
    wild, own = listening("0.0.0.0"), listening()
    given = GivenSockets([wild, own])
    assert given.take(ListenerSettings(port=port_of(wild), bind_interface="lo")) == []
    assert names(given.take(ListenerSettings(port=port_of(own), bind_interface="lo"))) == [
        ("127.0.0.1", port_of(own))
    ]
    given.close()


def test_what_cannot_be_listened_on_is_said_and_closed() -> None:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    idle = socket.socket()
    given = GivenSockets([datagrams, idle])
    assert given.sockets == []
    assert [text.partition(" does")[2] for text in given.unused()] == [
        " not listen for streams",
        " not listen for streams",
    ]
    assert (datagrams.fileno(), idle.fileno()) == (-1, -1)


@pytest.mark.parametrize(
    ("meant_for", "count"),
    [("1", "1"), ("", "1"), ("x", "1"), (None, "1"), ("own", ""), ("own", "x"), ("own", "-1")],
)
def test_the_environment_may_speak_of_somebody_else(meant_for: str | None, count: str) -> None:
    environment = {"LISTEN_FDS": count, "LISTEN_FDNAMES": "a", "OTHER": "stays"}
    if meant_for is not None:
        environment["LISTEN_PID"] = str(os.getpid()) if meant_for == "own" else meant_for
    given = given_sockets(environment)
    assert (given.sockets, given.unused()) == ([], [])
    assert environment == {"OTHER": "stays"}


async def test_listeners_use_what_was_given_and_open_the_others(
    sockets: list[socket.socket], tmp_path: Path
) -> None:
    log, stream = make_log()
    one, vain, unix = listening(), listening(), listening(path=tmp_path / "s")
    given = GivenSockets([one, vain, unix])
    listeners = Listeners(log, given)
    settings = [
        ListenerSettings(host="127.0.0.1", port=port_of(one)),
        ListenerSettings(host="127.0.0.1", port=0),
        ListenerSettings(unix_path=str(tmp_path / "s"), port=0),
        ListenerSettings(unix_path=str(tmp_path / "own"), port=0),
    ]
    assert listeners.open(Configuration(settings=Settings(), listeners=settings))
    assert [listener.given for listener in listeners.all] == [True, False, True, False]
    said = stream.getvalue()
    assert f"Using the ipv4 listen socket on port {port_of(one)} that midge was started" in said
    assert f"Using the unix listen socket on path {tmp_path / 's'} that midge" in said
    assert f"is not used: no listener has the address 127.0.0.1 port {port_of(vain)}." in said
    heir = listeners.all[2].heir(Settings(), settings[2])
    assert heir.given
    listeners.close()
    heir.close()
    assert (tmp_path / "s").exists()  # it is not ours
    assert not (tmp_path / "own").exists()
    again = Configuration(settings=Settings(), listeners=settings[:1])
    assert listeners.open(again)  # as a reload does that brings the listener back
    assert [listener.given for listener in listeners.all] == [True]
    listeners.close()
    given.close()


def test_a_descriptor_that_is_no_socket_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr("midge.server.activation._FIRST", 200)
    os.dup2(reading, 200)
    os.dup2(writing, 201)
    given = given_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "3"})
    assert given.sockets == []
    assert given.unused() == [f"descriptor {each} is no socket" for each in (200, 201, 202)]
    for descriptor in (reading, writing, 200, 201):
        os.close(descriptor)
