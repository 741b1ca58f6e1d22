"""Connecting, and connecting again: waits, give-ups, look-ups. The clock is moved by hand."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

import pytest

from midge.limits import ZMQ_ACCEPT_PAUSE_S, ZMQ_HANDSHAKE_SURE_S
from midge.net.zeromq import transport
from midge.patterns import monitor as m
from midge.patterns.errors import SocketError
from tests.process import free_port
from tests.unit.net.zeromq.conftest import World


def test_a_first_connection_is_reported_step_by_step(world: World) -> None:
    pull = world.socket("PULL")
    endpoint = pull.bind("tcp://127.0.0.1:*")
    push = world.socket("PUSH")
    push.connect(endpoint)
    world.reactor.settle()
    assert world.events("PULL") == [m.LISTENING, m.ACCEPTED, m.HANDSHAKE_SUCCEEDED]
    assert world.events("PUSH") == [m.CONNECT_DELAYED, m.CONNECTED, m.HANDSHAKE_SUCCEEDED]
    assert world.values("PUSH", m.CONNECT_DELAYED) == [errno.EINPROGRESS]
    assert world.values("PUSH", m.HANDSHAKE_SUCCEEDED) == [0]
    assert {one[3] for one in world.seen} == {endpoint}


@pytest.mark.parametrize("transport_name", ["tcp", "inproc"])
def test_a_connect_that_the_socket_refuses_leaves_nothing_behind(
    world: World, transport_name: str
) -> None:
    router = world.socket("ROUTER")
    endpoint = f"tcp://127.0.0.1:{free_port()}" if transport_name == "tcp" else "inproc://nobody"
    router.options.connect_routing_id = b"twin"
    router.connect(endpoint)
    router.options.connect_routing_id = b"twin"
    with pytest.raises(SocketError) as caught:
        router.connect(endpoint)
    assert caught.value.errno == errno.EINVAL
    assert len(router.pattern.peers()) == 1
    router.disconnect(endpoint)
    with pytest.raises(SocketError) as caught:
        router.disconnect(endpoint)
    assert caught.value.errno == errno.ENOENT


def test_a_socket_can_tell_why_its_last_attempt_failed(world: World) -> None:
    port = free_port()
    push = world.socket("PUSH", reconnect_interval_ms=100)
    push.connect(f"tcp://127.0.0.1:{port}")
    world.reactor.settle()
    (told,) = push.stats()["connecting"]
    assert (told["error"], told["why"]) == (errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    pub = world.socket("PUB")
    pub.bind(f"tcp://127.0.0.1:{port}")
    world.reactor.advance(0.1)
    (told,) = push.stats()["connecting"]
    assert told["error"] == 0
    assert "PUB" in told["why"]
    pub.close(0, lambda: None)
    world.reactor.settle()
    world.socket("PULL").bind(f"tcp://127.0.0.1:{port}")
    world.reactor.advance(1)
    (told,) = push.stats()["connecting"]
    assert told["connected"]
    assert (told["error"], told["why"]) == (0, "")


def test_the_wait_stays_the_same_without_a_maximum(world: World) -> None:
    push = world.socket("PUSH", reconnect_interval_ms=100)
    push.connect(f"tcp://127.0.0.1:{free_port()}")
    for _ in range(5):
        world.reactor.advance(0.1)
    assert world.values("PUSH", m.CONNECT_RETRIED) == [100] * 6
    assert world.events("PUSH")[:3] == [m.CONNECT_DELAYED, m.CLOSED, m.CONNECT_RETRIED]


def test_the_wait_doubles_up_to_the_maximum_and_starts_again_after_a_success(world: World) -> None:
    port = free_port()
    push = world.socket("PUSH", reconnect_interval_ms=100, reconnect_interval_max_ms=1000)
    push.connect(f"tcp://127.0.0.1:{port}")
    world.reactor.advance(0.05 + 0.1 + 0.2 + 0.4 + 0.8 + 1 + 1)
    assert world.values("PUSH", m.CONNECT_RETRIED) == [100, 200, 400, 800, 1000, 1000, 1000]
    pull = world.socket("PULL")
    pull.bind(f"tcp://127.0.0.1:{port}")
    world.reactor.advance(1)
    assert m.HANDSHAKE_SUCCEEDED in world.events("PUSH")
    pull.close(0, lambda: None)
    world.reactor.settle()
    assert world.values("PUSH", m.CONNECT_RETRIED)[-1] == 100


def test_minus_one_means_that_there_is_no_second_attempt(world: World) -> None:
    push = world.socket("PUSH", reconnect_interval_ms=-1)
    push.connect(f"tcp://127.0.0.1:{free_port()}")
    world.reactor.advance(100)
    assert world.events("PUSH") == [m.CONNECT_DELAYED, m.CLOSED]
    assert not push.pattern.peers()


@pytest.mark.parametrize(("stop", "attempts"), [(0, 11), (1, 1)])
def test_a_refusal_can_end_the_attempts(world: World, stop: int, attempts: int) -> None:
    push = world.socket("PUSH", reconnect_interval_ms=100, reconnect_stop=stop)
    push.connect(f"tcp://127.0.0.1:{free_port()}")
    world.reactor.advance(1.05)
    assert world.events("PUSH").count(m.CONNECT_DELAYED) == attempts


@pytest.mark.parametrize(("stop", "again"), [(0, True), (2, False)])
def test_a_failed_handshake_can_end_the_attempts(world: World, stop: int, again: bool) -> None:
    other = world.socket("PUB")
    push = world.socket("PUSH", reconnect_stop=stop)
    push.connect(other.bind("tcp://127.0.0.1:*"))
    world.reactor.advance(1)
    assert m.HANDSHAKE_FAILED_PROTOCOL in world.events("PUSH")
    assert (m.CONNECT_RETRIED in world.events("PUSH")) is again


def test_the_wait_doubles_with_every_handshake_that_is_refused(world: World) -> None:
    other = world.socket("PUB")
    endpoint = other.bind("tcp://127.0.0.1:*")
    push = world.socket("PUSH", reconnect_interval_ms=4000)
    push.connect(endpoint)
    for delay_s in (0, 4, 8, 16, 30):
        world.reactor.advance(delay_s)
    assert world.values("PUSH", m.CONNECT_RETRIED) == [4000, 8000, 16_000, 30_000, 30_000]
    other.close(0, lambda: None)
    world.reactor.settle()
    world.reactor.advance(30)  # nobody is there any more: whoever comes next may be another
    assert world.values("PUSH", m.CONNECT_RETRIED)[5:] == [4000]


def test_with_a_maximum_the_wait_after_a_refusal_doubles_up_to_that(world: World) -> None:
    push = world.socket("PUSH", reconnect_interval_ms=100, reconnect_interval_max_ms=300)
    push.connect(world.socket("PUB").bind("tcp://127.0.0.1:*"))
    for delay_s in (0, 0.1, 0.2, 0.3):
        world.reactor.advance(delay_s)
    assert world.values("PUSH", m.CONNECT_RETRIED) == [100, 200, 300, 300]


def test_a_peer_that_hangs_up_in_the_handshake_is_asked_again_soon(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        push = world.socket("PUSH", reconnect_interval_ms=400)
        push.connect(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        for delay_s in (0, 0.4, 0.8, 1.0):
            world.reactor.advance(delay_s)
            server.accept()[0].close()
            world.reactor.settle()
    assert world.values("PUSH", m.CONNECT_RETRIED) == [400, 800, 1000, 1000]


def test_no_wait_after_a_refusal_is_nothing(world: World) -> None:
    push = world.socket("PUSH", reconnect_interval_ms=0)
    push.connect(world.socket("PUB").bind("tcp://127.0.0.1:*"))
    world.reactor.advance(0.015)
    assert world.values("PUSH", m.CONNECT_RETRIED)[:2] == [10, 20]


@pytest.mark.parametrize(("stop", "again"), [(0, True), (4, False)])
def test_a_disconnect_can_end_the_attempts(world: World, stop: int, again: bool) -> None:
    pull = world.socket("PULL")
    push = world.socket("PUSH", reconnect_stop=stop)
    push.connect(pull.bind("tcp://127.0.0.1:*"))
    world.reactor.settle()
    pull.close(0, lambda: None)
    world.reactor.settle()
    assert m.DISCONNECTED in world.events("PUSH")
    assert (m.CONNECT_RETRIED in world.events("PUSH")) is again


def test_messages_that_wait_go_out_when_the_peer_comes(world: World) -> None:
    port = free_port()
    push = world.socket("PUSH")
    push.connect(f"tcp://127.0.0.1:{port}")
    world.reactor.settle()
    assert all(push.send(b"%d" % number) for number in range(5))
    pull = world.socket("PULL")
    pull.bind(f"tcp://127.0.0.1:{port}")
    world.reactor.advance(1)
    assert pull.receive_many(10) == [b"0", b"1", b"2", b"3", b"4"]


def test_with_immediate_nothing_is_accepted_before_the_peer_is_there(world: World) -> None:
    port = free_port()
    push = world.socket("PUSH", immediate=True)
    push.connect(f"tcp://127.0.0.1:{port}")
    world.reactor.settle()
    assert not push.send(b"early")
    pull = world.socket("PULL")
    pull.bind(f"tcp://127.0.0.1:{port}")
    world.reactor.advance(1)
    assert push.send(b"now")
    world.reactor.settle()
    assert pull.receive() == b"now"
    pull.close(0, lambda: None)
    world.reactor.settle()
    assert not push.send(b"nobody")


def test_every_address_of_a_host_is_tried_before_there_is_a_wait(world: World) -> None:
    pull = world.socket("PULL")
    port = int(pull.bind("tcp://127.0.0.1:*").rpartition(":")[2])
    dead = (socket.AF_INET, ("127.0.0.1", free_port()))
    world.reactor.names["two.example"] = [dead, (socket.AF_INET, ("127.0.0.1", port))]
    push = world.socket("PUSH")
    push.connect(f"tcp://two.example:{port}")
    world.reactor.settle()
    assert m.HANDSHAKE_SUCCEEDED in world.events("PUSH")
    assert m.CONNECT_RETRIED not in world.events("PUSH")


def test_a_name_that_nobody_knows_is_asked_for_again(world: World) -> None:
    push = world.socket("PUSH", reconnect_interval_ms=100)
    push.connect("tcp://nowhere.example:5555")
    world.reactor.advance(0.25)
    assert world.reactor.lookups == ["nowhere.example"] * 3


def test_an_answer_that_comes_after_the_disconnect_is_not_heard(world: World) -> None:
    world.reactor.names["late.example"] = [(socket.AF_INET, ("127.0.0.1", free_port()))]
    push = world.socket("PUSH")
    push.connect("tcp://late.example:5555")
    push.disconnect("tcp://late.example:5555")
    world.reactor.advance(1)
    assert world.events("PUSH") == []


def test_a_peer_that_says_nothing_is_given_up_on_after_the_handshake_interval(
    world: World,
) -> None:
    pull = world.socket("PULL", handshake_ms=500)
    endpoint = pull.bind("tcp://127.0.0.1:*")
    port = int(endpoint.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as silent:
        world.reactor.settle()
        assert pull.shaking.count == 1
        world.reactor.advance(0.4)
        assert pull.shaking.count == 1
        world.reactor.advance(0.2)
        assert pull.shaking.count == 0
        silent.settimeout(5)
        while silent.recv(100):
            pass
    assert world.values("PULL", m.HANDSHAKE_FAILED_NO_DETAIL) == [errno.ETIMEDOUT]


def test_heartbeats_find_out_that_a_peer_has_gone_silent(world: World) -> None:
    pull = world.socket("PULL", heartbeat_interval_ms=100, heartbeat_timeout_ms=300)
    push = world.socket("PUSH")
    push.connect(pull.bind("tcp://127.0.0.1:*"))
    world.reactor.settle()
    world.reactor.advance(5)
    assert m.DISCONNECTED not in world.events("PULL")
    for wire in push.wires:
        wire.hold()  # it reads no more, so that it answers no PING
    world.reactor.advance(0.5)
    assert m.DISCONNECTED in world.events("PULL")


def test_without_descriptors_a_listener_rests_and_then_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull = world.socket("PULL")
    endpoint = pull.bind("tcp://127.0.0.1:*")
    listener = pull.endpoints.listeners[0]
    real = listener.sock
    calls = 0

    class Empty:
        fileno = real.fileno

        def accept(self) -> None:
            nonlocal calls
            calls += 1
            raise OSError(errno.EMFILE, "too many open files")

        def close(self) -> None:
            real.close()

    listener.sock = Empty()  # type: ignore[union-attr,assignment]
    push = world.socket("PUSH")
    push.connect(endpoint)
    world.reactor.settle()
    assert calls == 1, "it spins"
    assert world.values("PULL", m.ACCEPT_FAILED) == [errno.EMFILE]
    world.reactor.advance(ZMQ_ACCEPT_PAUSE_S)
    assert calls == 2
    listener.sock = real  # type: ignore[union-attr]
    world.reactor.advance(ZMQ_ACCEPT_PAUSE_S)
    assert m.HANDSHAKE_SUCCEEDED in world.events("PULL")


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_storm_of_handshakes_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midge.net.zeromq.handshakes.ZMQ_HANDSHAKES_MAX", 3)
    pull = world.socket("PULL", handshake_ms=1000)
    endpoint = pull.bind("tcp://127.0.0.1:*")
    port = int(endpoint.rpartition(":")[2])
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    push = world.socket("PUSH")
    push.connect(endpoint)
    world.reactor.settle()
    assert pull.shaking.count == 3
    for stranger in strangers:
        stranger.close()
    world.reactor.settle()
    assert m.HANDSHAKE_SUCCEEDED in world.events("PULL")
    assert pull.stats()["handshakes"] == pull.stats()["cut_short"] == 0


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_silent_peers_keep_nobody_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midge.net.zeromq.handshakes.ZMQ_HANDSHAKES_MAX", 3)
    pull = world.socket("PULL", handshake_ms=0)
    endpoint = pull.bind("tcp://127.0.0.1:*")
    port = int(endpoint.rpartition(":")[2])
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
    world.reactor.settle()
    world.reactor.advance(ZMQ_HANDSHAKE_SURE_S / 2)
    late = socket.create_connection(("127.0.0.1", port))
    push = world.socket("PUSH")
    push.connect(endpoint)
    push.send(b"let in")
    world.reactor.settle()
    assert pull.receive() is None, "each has a moment for its handshake"
    world.reactor.advance(ZMQ_HANDSHAKE_SURE_S)
    assert pull.receive() == b"let in"
    assert world.values("PULL", m.HANDSHAKE_FAILED_NO_DETAIL) == [errno.ETIMEDOUT] * 2
    assert len(world.values("PULL", m.DISCONNECTED)) == 2
    assert pull.stats()["cut_short"] == 2
    assert pull.stats()["handshakes"] == 2
    for stranger, open_still in zip(strangers, (False, False, True), strict=True):
        stranger.settimeout(0)
        stranger.recv(64)  # our greeting
        with contextlib.nullcontext() if not open_still else pytest.raises(BlockingIOError):
            assert stranger.recv(64) == b"", "the oldest go first"
        stranger.close()
    late.close()


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_an_unbind_among_silent_peers_leaves_no_timer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midge.net.zeromq.handshakes.ZMQ_HANDSHAKES_MAX", 1)
    pull = world.socket("PULL", handshake_ms=0)
    endpoint = pull.bind("tcp://127.0.0.1:*")
    port = int(endpoint.rpartition(":")[2])
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    world.reactor.settle()
    pull.unbind(endpoint)
    assert world.reactor.watched == 1, "the one that was accepted"
    for stranger in strangers:
        stranger.close()
    world.reactor.settle()
    assert world.reactor.watched == 0


def test_a_connect_that_takes_too_long_is_begun_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "connect_outcome", lambda sock: errno.EINPROGRESS)
    monkeypatch.setattr(
        socket.socket, "connect_ex", lambda self, address: errno.EINPROGRESS, raising=False
    )
    push = world.socket("PUSH", connect_timeout_ms=500)
    with pytest.MonkeyPatch.context() as patch:
        # Nothing is ever writable, so that the kernel does not decide before the clock does.
        patch.setattr(world.reactor, "add_writer", lambda fd, callback: None)
        push.connect("tcp://127.0.0.1:9")
        world.reactor.advance(0.4)
        assert m.CLOSED not in world.events("PUSH")
        world.reactor.advance(0.15)
        assert world.events("PUSH") == [m.CONNECT_DELAYED, m.CLOSED, m.CONNECT_RETRIED]


@pytest.mark.parametrize(
    ("endpoint", "number"),
    [
        ("tcp://", errno.EINVAL),
        ("tcp://127.0.0.1", errno.EINVAL),
        ("tcp://127.0.0.1:*", errno.EINVAL),
        ("tcp://*:5555", errno.EINVAL),
        ("tcp://127.0.0.1:99999", errno.EINVAL),
        ("tcp://nonsense;127.0.0.1:5555", errno.ENODEV),
        ("carrier-pigeon://home", errno.EPROTONOSUPPORT),
        ("ipc://" + "x" * 200, errno.ENAMETOOLONG),
    ],
)
def test_an_endpoint_that_cannot_be_connected_is_refused_at_once(
    world: World, endpoint: str, number: int
) -> None:
    push = world.socket("PUSH")
    with pytest.raises(SocketError) as caught:
        push.connect(endpoint)
    assert caught.value.errno == number
    assert not push.pattern.peers()


def test_what_was_being_written_when_the_connection_broke_is_counted(world: World) -> None:
    pull = world.socket("PULL", receive_mark=1)
    push = world.socket("PUSH", send_mark=1000)
    push.connect(pull.bind("tcp://127.0.0.1:*"))
    world.reactor.settle()
    body = bytes(1 << 20)
    for _ in range(100):  # more than the kernel holds between them; PULL reads no more than one
        push.send(body)
    world.reactor.settle()
    before = push.stats()
    assert before["peers"][0]["in_flight"] > 0
    for wire in list(pull.wires):
        wire.close()
    world.reactor.settle()
    after = push.stats()
    # One was cut through; those behind it, of which nothing was written, go to the next connection.
    assert after["dropped"] == {"connection-broke": 1}
    pipe = after["peers"][0]
    assert (pipe["in_flight"], pipe["sent"] + pipe["outgoing"]) == (0, 99)


@pytest.mark.parametrize("parts", [[], [b"", b"head"]])
def test_what_was_not_begun_when_the_connection_broke_is_sent_on_the_next(
    world: World, parts: list[bytes]
) -> None:
    """In order, and all that comes after the one that was cut through."""
    pull = world.socket("PULL", receive_mark=1)
    push = world.socket("PUSH", send_mark=1000)
    push.connect(pull.bind("tcp://127.0.0.1:*"))
    world.reactor.settle()
    for number in range(100):
        body = b"%03d" % number + bytes(1 << 18)
        push.send([*parts, body] if parts else body)
    world.reactor.settle()
    assert push.stats()["peers"][0]["in_flight"] > 2
    for wire in list(pull.wires):
        wire.close()
    world.reactor.settle()
    world.reactor.advance(1.0)
    numbers: list[int] = []
    for _ in range(1000):
        item = pull.receive()
        if item is None:
            if numbers[-1:] == [99]:
                break
            world.reactor.settle()
        else:
            numbers.append(int((item[-1] if type(item) is list else item)[:3]))
    assert push.stats()["dropped"] == {"connection-broke": 1}
    tail = [number for number in numbers if number > 0]  # the first may have been read before
    assert len(tail) > 2
    assert tail == list(range(tail[0], 100))
