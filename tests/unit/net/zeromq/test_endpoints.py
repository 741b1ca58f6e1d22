"""Endpoints and the options that act on them: what the system is asked for."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from midge.net.zeromq.reactor import Address
from midge.net.zeromq.resolver import look_up
from midge.patterns import monitor as m
from midge.patterns.errors import SocketError
from tests.process import free_port
from tests.unit.net.zeromq.conftest import World


def pair(world: World, endpoint: str, **options: object) -> str:
    """A PULL that binds, a PUSH that connects, a message."""
    pull = world.socket("PULL", **options)
    real = pull.bind(endpoint)
    push = world.socket("PUSH", **options)
    push.connect(real)
    world.reactor.settle()
    assert push.send(b"hello")
    world.reactor.settle()
    assert pull.receive() == b"hello"
    return real


@pytest.mark.parametrize("wildcard", ["tcp://*:*", "tcp://0.0.0.0:0", "tcp://*:0"])
def test_a_wildcard_becomes_a_real_port(world: World, wildcard: str) -> None:
    pull = world.socket("PULL")
    real = pull.bind(wildcard)
    assert real.startswith("tcp://0.0.0.0:")
    assert int(real.rpartition(":")[2]) > 0
    assert pull.last_endpoint == real
    push = world.socket("PUSH")
    push.connect(real.replace("0.0.0.0", "127.0.0.1"))
    world.reactor.settle()
    # What the peer connected to, not what was bound, is where it is.
    assert ("PULL", m.LISTENING, pytest.approx(0, abs=10_000), real) in world.seen
    accepted = [one[3] for one in world.seen if one[1] == m.ACCEPTED]
    assert accepted == [real.replace("0.0.0.0", "127.0.0.1")]


def test_interfaces_have_names(world: World) -> None:
    assert pair(world, "tcp://lo:*").startswith("tcp://127.0.0.1:")


def test_localhost_can_be_bound(world: World) -> None:
    assert pair(world, "tcp://localhost:*").startswith("tcp://127.0.0.1:")


def test_another_host_cannot_be_bound(world: World) -> None:
    pull = world.socket("PULL")
    with pytest.raises(SocketError) as caught:
        pull.bind("tcp://somewhere.example:5555")
    assert caught.value.errno == errno.ENODEV
    assert world.events("PULL") == [m.BIND_FAILED]
    assert world.values("PULL", m.BIND_FAILED) == [errno.ENODEV]


def test_a_port_in_use_is_refused(world: World) -> None:
    one, two = world.socket("PULL"), world.socket("PULL")
    real = one.bind("tcp://127.0.0.1:*")
    with pytest.raises(SocketError) as caught:
        two.bind(real)
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_ipv6_takes_both_families(world: World) -> None:
    pull = world.socket("PULL", ipv6=True)
    real = pull.bind("tcp://*:*")
    port = real.rpartition(":")[2]
    assert real == f"tcp://[::]:{port}"
    for host in ("[::1]", "127.0.0.1"):
        push = world.socket("PUSH", ipv6=True)
        push.connect(f"tcp://{host}:{port}")
        world.reactor.settle()
        assert push.send(host.encode())
        world.reactor.settle()
        assert pull.receive() == host.encode()
    assert [pipe.address for pipe in pull.pattern.peers()] == ["::1", "127.0.0.1"]


def test_a_source_address_is_where_we_come_from(world: World) -> None:
    pull = world.socket("PULL")
    real = pull.bind("tcp://127.0.0.1:*")
    push = world.socket("PUSH")
    push.connect(real.replace("tcp://", "tcp://127.0.0.2:0;"))
    world.reactor.settle()
    assert [pipe.address for pipe in pull.pattern.peers()] == ["127.0.0.2"]


def test_ipc_has_a_path_that_goes_with_the_unbind(world: World, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    real = pair(world, f"ipc://{path}")
    assert real == f"ipc://{path}"
    assert path.is_socket()
    world.engines[0].unbind(real)
    assert not path.exists()


def test_ipc_with_a_wildcard_makes_a_place_of_its_own(world: World) -> None:
    real = pair(world, "ipc://*")
    path = Path(real.removeprefix("ipc://"))
    assert path.is_socket()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    world.engines[0].close(0, lambda: None)
    assert not path.parent.exists()


def test_ipc_can_be_abstract(world: World) -> None:
    name = f"ipc://@midge-test-{os.getpid()}"
    assert pair(world, name) == name


def test_a_path_that_was_left_behind_is_taken_over_but_not_one_in_use(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    one = world.socket("PULL")
    one.bind(f"ipc://{path}")
    two = world.socket("PULL")
    with pytest.raises(SocketError) as caught:
        two.bind(f"ipc://{path}")
    assert caught.value.errno == errno.EADDRINUSE
    assert path.is_socket()


@pytest.mark.parametrize("name", ["ipc_filter_uid", "ipc_filter_gid", "ipc_filter_pid"])
def test_ipc_lets_in_whom_the_filters_allow(world: World, tmp_path: Path, name: str) -> None:
    ours = {
        "ipc_filter_uid": os.getuid(),
        "ipc_filter_gid": os.getgid(),
        "ipc_filter_pid": os.getpid(),
    }[name]
    pull = world.socket("PULL", **{name: [ours + 1]})
    endpoint = pull.bind(f"ipc://{tmp_path / 'socket'}")
    push = world.socket("PUSH")
    push.connect(endpoint)
    world.reactor.settle()
    assert world.values("PULL", m.ACCEPT_FAILED) == [errno.EACCES]
    assert not pull.pattern.peers()
    pull.options.__setattr__(name, [ours + 1, ours])
    world.reactor.advance(1)
    assert len(pull.pattern.peers()) == 1


@pytest.mark.parametrize("transport", ["tcp", "ws"])
@pytest.mark.parametrize(("bound", "ipv6"), [("127.0.0.1", False), ("[::1]", True), ("*", True)])
def test_tcp_lets_in_whom_the_filters_allow(
    world: World, transport: str, bound: str, ipv6: bool
) -> None:
    pull = world.socket("PULL", tcp_accept_filter=[b"192.0.2.0/24", b"2001:db8::1"], ipv6=ipv6)
    endpoint = pull.bind(f"{transport}://{bound}:*")
    push = world.socket("PUSH", ipv6=ipv6)
    # An IPv4 peer of an IPv6 socket is still one of IPv4.
    push.connect(endpoint.replace("[::]", "127.0.0.1") if bound == "*" else endpoint)
    world.reactor.settle()
    assert world.values("PULL", m.ACCEPT_FAILED) == [errno.EACCES]
    assert not pull.pattern.peers()
    pull.options.tcp_accept_filter.append(b"::1" if bound == "[::1]" else b"127.0.0.0/8")
    world.reactor.advance(1)
    assert len(pull.pattern.peers()) == 1


def test_options_reach_the_system(world: World) -> None:
    pull = world.socket("PULL", receive_buffer_bytes=30_000)
    push = world.socket(
        "PUSH",
        send_buffer_bytes=20_000,
        tos=0x28,
        tcp_keepalive=1,
        tcp_keepalive_count=3,
        tcp_keepalive_idle_s=7,
        tcp_keepalive_interval_s=5,
        tcp_maxrt_ms=9000,
    )
    push.connect(pull.bind("tcp://127.0.0.1:*"))
    world.reactor.settle()
    (out,) = (wire.sock for wire in push.wires)
    (into,) = (wire.sock for wire in pull.wires)
    assert out.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 40_000  # Linux doubles it
    assert into.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 60_000
    assert out.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x28
    assert out.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert out.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
    assert out.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
    assert out.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
    assert out.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 9000
    assert out.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_socket_that_listens_already_can_be_given(world: World) -> None:
    given = socket.socket()
    given.bind(("127.0.0.1", 0))
    given.listen()
    port = given.getsockname()[1]
    assert pair_with(world, given.detach()) == f"tcp://127.0.0.1:{port}"


def pair_with(world: World, fd: int) -> str:
    pull = world.socket("PULL", use_fd=fd)
    real = pull.bind("tcp://127.0.0.1:*")
    push = world.socket("PUSH")
    push.connect(real)
    world.reactor.settle()
    assert len(pull.pattern.peers()) == 1
    return real


def test_unbind_leaves_those_who_are_there(world: World) -> None:
    pull = world.socket("PULL")
    real = pull.bind("tcp://127.0.0.1:*")
    push = world.socket("PUSH")
    push.connect(real)
    world.reactor.settle()
    pull.unbind(real)
    assert world.events("PULL")[-1] == m.CLOSED
    assert push.send(b"still here")
    world.reactor.settle()
    assert pull.receive() == b"still here"
    late = world.socket("PUSH", "late")
    late.connect(real)
    world.reactor.settle()
    assert m.CONNECTED not in world.events("late")
    with pytest.raises(SocketError) as caught:
        pull.unbind(real)
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("wildcard", ["tcp://127.0.0.1:*", "ipc://*"])
def test_unbind_knows_the_name_that_was_given_too(world: World, wildcard: str) -> None:
    pull = world.socket("PULL")
    pull.bind(wildcard)
    pull.unbind(wildcard)
    with pytest.raises(SocketError):
        pull.unbind(pull.last_endpoint)


@pytest.mark.parametrize("before", [False, True])
def test_what_is_queued_at_a_disconnect_waits_for_the_peer(world: World, before: bool) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    push = world.socket("PUSH")
    push.connect(endpoint)
    if before:
        gone = world.socket("PULL")
        gone.bind(endpoint)
        world.reactor.advance(1.0)
        assert push.send(b"first")
        world.reactor.settle()
        assert gone.receive() == b"first"
        gone.close(0, lambda: None)
        world.reactor.settle()
    assert push.send(b"left")
    push.disconnect(endpoint)
    assert not push.send(b"nobody")
    pull = world.socket("PULL")
    pull.bind(endpoint)
    world.reactor.advance(1.0)
    assert pull.receive_many(5) == [b"left"]
    assert not pull.pattern.peers()
    assert world.reactor.watched == 1, "something is left of the connection"


def test_it_waits_no_longer_than_linger_says(world: World) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    push = world.socket("PUSH", linger_ms=2000)
    push.connect(endpoint)
    assert push.send(b"left")
    push.disconnect(endpoint)
    world.reactor.advance(3.0)
    assert sum(push.stats()["dropped"].values()) == 1
    pull = world.socket("PULL")
    pull.bind(endpoint)
    world.reactor.advance(3.0)
    assert pull.receive() is None


@pytest.mark.parametrize(("linger_ms", "came"), [(0, []), (5000, [b"left"])])
def test_a_socket_that_is_closed_then_waits_as_its_own_linger_says(
    world: World, linger_ms: int, came: list[bytes]
) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    push = world.socket("PUSH")
    push.connect(endpoint)
    assert push.send(b"left")
    push.disconnect(endpoint)
    push.close(linger_ms, lambda: None)
    assert push.closed == (linger_ms == 0)
    pull = world.socket("PULL")
    pull.bind(endpoint)
    world.reactor.advance(1.0)
    assert pull.receive_many(5) == came
    assert push.closed


def test_who_only_subscribes_has_nothing_left_to_send(world: World) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    sub = world.socket("SUB")
    sub.pattern.subscribe(b"")
    sub.connect(endpoint)
    sub.disconnect(endpoint)
    pub = world.socket("PUB")
    pub.bind(endpoint)
    world.reactor.advance(1.0)
    assert not pub.pattern.peers()


def test_disconnect_sends_what_is_queued_and_then_goes(world: World) -> None:
    pull = world.socket("PULL")
    real = pull.bind("tcp://127.0.0.1:*")
    push = world.socket("PUSH")
    push.connect(real)
    world.reactor.settle()
    big = b"x" * 5_000_000
    assert push.send(big)
    assert push.send(b"last")
    push.disconnect(real)
    assert not push.send(b"nobody")
    world.reactor.settle()
    assert pull.receive_many(5) == [big, b"last"]
    assert not pull.pattern.peers()
    with pytest.raises(SocketError) as caught:
        push.disconnect(real)
    assert caught.value.errno == errno.ENOENT


def test_names_are_looked_up_by_the_system() -> None:
    found = look_up("localhost", 5555, socket.AF_INET)
    expected: Address = (socket.AF_INET, ("127.0.0.1", 5555))
    assert isinstance(found, list)
    assert expected in found
    assert isinstance(look_up("no-such-host.invalid", 1, socket.AF_INET), OSError)
    assert isinstance(look_up("a" * 70 + ".example", 1, socket.AF_INET), OSError)


def test_the_statistics_tell_who_is_there(world: World) -> None:
    pull = world.socket("PULL")
    real = pull.bind("tcp://127.0.0.1:*")
    push = world.socket("PUSH")
    push.connect(real)
    world.reactor.settle()
    for number in range(3):
        push.send(b"%d" % number)
    world.reactor.settle()
    there, here = push.stats(), pull.stats()
    assert there["connecting"] == [
        {
            "endpoint": real,
            "attempts": 1,
            "connections": 1,
            "connected": True,
            "error": 0,
            "why": "",
        }
    ]
    assert there["sent"] == here["received"] == 3
    assert here["bound"] == [real]
    assert here["peers"][0]["socket_type"] == "PUSH"
    assert here["peers"][0]["incoming"] == 3
    assert here["dropped"] == {}
