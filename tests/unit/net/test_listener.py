"""Listening sockets: all addresses, or those of one interface."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from midge.net.interfaces import addresses_of
from midge.net.listener import keep_alive, open_tcp, open_unix, resolve

LOOPBACK = next(
    (name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), "no loopback here"
)


@contextmanager
def opened(
    host: str | None, port: int = 0, family: int = 0, interface: str | None = None
) -> Iterator[list[socket.socket]]:
    sockets = open_tcp(host, port, family, interface)
    try:
        yield sockets
    finally:
        for listening in sockets:
            listening.close()


def at(sockets: list[socket.socket]) -> list[str]:
    return [str(listening.getsockname()[0]) for listening in sockets]


# -- interfaces -----------------------------------------------------------------------------------


def test_the_loopback_interface_has_its_addresses() -> None:
    found = addresses_of(LOOPBACK)
    assert (socket.AF_INET, "127.0.0.1", 0) in found
    assert {address for _, address, _ in found} <= {"127.0.0.1", "::1", "fe80::1"}
    assert [family for family, _, _ in found] == sorted(family for family, _, _ in found)


def test_each_address_of_this_machine_belongs_to_one_interface() -> None:
    """What the system binds is an address of ours: hold the list to that."""
    for _, name in socket.if_nameindex():
        for family, address, scope in addresses_of(name):
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.bind((address, 0, 0, scope) if family == socket.AF_INET6 else (address, 0))
                assert probe.getsockname()[0].partition("%")[0] == address


def test_case_does_not_count_as_with_mosquitto() -> None:
    assert addresses_of(LOOPBACK.upper()) == addresses_of(LOOPBACK)


def test_an_interface_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="Interface nothing0 does not exist") as caught:
        addresses_of("nothing0")
    assert caught.value.errno == errno.ENODEV


# -- sockets --------------------------------------------------------------------------------------


def test_at_an_interface_only_its_addresses_are_listened_on() -> None:
    own = [address for _, address, _ in addresses_of(LOOPBACK)]
    with opened(None, interface=LOOPBACK) as sockets:
        assert at(sockets) == own
        assert len({listening.getsockname()[1] for listening in sockets}) == 1
    with opened(None) as sockets:
        assert set(at(sockets)) <= {"0.0.0.0", "::"}


def test_at_an_interface_a_family_may_be_chosen() -> None:
    with opened(None, 0, socket.AF_INET, LOOPBACK) as sockets:
        assert at(sockets) == ["127.0.0.1"]


def test_a_host_must_be_at_the_interface() -> None:
    with opened("127.0.0.1", interface=LOOPBACK) as sockets:
        assert at(sockets) == ["127.0.0.1"]
    text = (
        f"Interface address for {LOOPBACK} does not match specified listener address "
        r"\(192\.0\.2\.1\)"
    )
    with pytest.raises(OSError, match=text):
        open_tcp("192.0.2.1", 0, 0, LOOPBACK)


def test_an_interface_without_addresses_of_that_family_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only_ipv4 = [(socket.AF_INET, "127.0.0.1", 0)]
    monkeypatch.setattr("midge.net.interfaces.addresses_of", lambda name: only_ipv4)
    with pytest.raises(OSError, match=f"Interface {LOOPBACK} has no address to listen on"):
        open_tcp(None, 0, socket.AF_INET6, LOOPBACK)
    assert [place[4] for place in resolve(None, 7, 0, LOOPBACK)] == [("127.0.0.1", 7)]


def test_a_link_local_address_is_bound_with_its_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    local = [(socket.AF_INET6, "fe80::5", 4)]
    monkeypatch.setattr("midge.net.interfaces.addresses_of", lambda name: local)
    assert [place[4] for place in resolve(None, 7, socket.AF_INET6, "any")] == [
        ("fe80::5", 7, 0, 4)
    ]


# -- those who are gone ---------------------------------------------------------------------------


def test_the_system_looks_after_those_who_are_accepted() -> None:
    with opened("127.0.0.1") as (listening,):
        keep_alive(listening)
        with socket.create_connection(listening.getsockname()):
            listening.setblocking(True)
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                if hasattr(socket, "TCP_KEEPIDLE"):
                    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def test_unix_sockets_need_no_looking_after(tmp_path: Path) -> None:
    listening = open_unix(str(tmp_path / "s"))
    with listening:
        keep_alive(listening)
        assert not listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
