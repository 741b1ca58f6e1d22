"""Options of listeners, the log and the store, each from its line to what it changes."""

from __future__ import annotations

import io
import re
import socket
import sys
from pathlib import Path

import pytest

from midge.clock import SystemClock
from midge.config.mosquitto_conf import parse
from midge.net.interfaces import addresses_of
from midge.server.listeners import Listeners
from midge.server.log_sinks import SyslogSink
from midge.server.logs import Log, open_log
from midge.server.mqtt_server import MqttServer
from midge.server.persistence import keep
from midge.store.sqlite.database import SqliteStore
from tests.process import free_port
from tests.unit.server.test_log_sinks import syslog


def listened_on(text: str) -> list[str]:
    """The addresses at which a configuration listens."""
    listeners = Listeners(Log(SystemClock(), ()))
    assert listeners.open(parse(text, "m.conf"))
    found = [one.getsockname()[0] for each in listeners.all for one in each.sockets]
    listeners.close()
    return found


def said(text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a line looks like in the log of a configuration."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log = open_log(parse(text, "m.conf").settings, SystemClock())
    assert log is not None
    log.error("what happened")
    log.close()
    return stream.getvalue()


# -- listeners -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("domain", "address"), [("ipv4", "0.0.0.0"), ("ipv6", "::")])
def test_socket_domain_is_the_one_family_that_is_listened_on(domain: str, address: str) -> None:
    if domain == "ipv6" and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    assert listened_on(f"listener {free_port()}\nsocket_domain {domain}\n") == [address]


def test_bind_address_is_that_of_the_default_listener() -> None:
    assert listened_on(f"port {free_port()}\nbind_address 127.0.0.1\n") == ["127.0.0.1"]


def test_bind_interface_gives_the_addresses_that_are_listened_on() -> None:
    own = [address for _, address, _ in addresses_of("lo")]
    assert listened_on(f"listener {free_port()}\nbind_interface lo\n") == own


# -- the log ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "looks"),
    [
        ("", r"\d{10}: what happened\n"),
        ("log_timestamp true", r"\d{10}: what happened\n"),
        ("log_timestamp false", r"what happened\n"),
        ("log_timestamp_format %Y-%m-%d", r"\d{4}-\d\d-\d\d: what happened\n"),
        ("log_format json", r'\{.*"what happened".*\}\n'),
        ("log_type notice", ""),
        ("log_dest none", ""),
    ],
)
def test_a_line_of_the_log_looks_as_the_options_say(
    lines: str, looks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = said(f"listener 1883\n{lines}\n", monkeypatch)
    assert re.fullmatch(looks, text), text


@pytest.mark.parametrize(
    ("lines", "code"), [("", 3), ("log_facility 0", 16), ("log_facility 5", 21)]
)
def test_log_facility_is_what_syslog_is_told(
    lines: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "syslog"
    with syslog(path) as listening:
        monkeypatch.setattr(SyslogSink.__init__, "__defaults__", (str(path),))
        assert said(f"listener 1883\nlog_dest syslog\n{lines}\n", monkeypatch) == ""
        assert listening.recv(1000).startswith(b"<%d>" % (code * 8 + 3))


# -- the store -------------------------------------------------------------------------------------


async def kept(text: str) -> int:
    """How a store of a configuration waits for the disk: SQLite's number for it."""
    server = MqttServer(parse(text, "m.conf").settings)
    log = Log(SystemClock(), ())
    assert keep(server, server.broker.settings, log)
    assert server.durability is not None
    store = server.durability._store
    assert isinstance(store, SqliteStore)
    ((number,),) = store._writer.execute("PRAGMA synchronous")
    await server.close()
    return int(number)


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ("", 2),
        ("persistence_sync full", 2),
        ("persistence_sync normal", 1),
        ("persistence_sync off", 0),
    ],
)
async def test_persistence_sync_is_what_a_commit_waits_for(
    lines: str, number: int, tmp_path: Path
) -> None:
    text = f"listener 1883\npersistence true\npersistence_location {tmp_path}\n{lines}\n"
    assert await kept(text) == number
    assert (tmp_path / "midge.db").exists()


@pytest.mark.parametrize("name", ["persistence", "retained_persistence"])
def test_either_name_of_persistence_turns_it_on(name: str) -> None:
    assert not parse("listener 1883\n", "m.conf").settings.persistence
    assert parse(f"listener 1883\n{name} true\n", "m.conf").settings.persistence
