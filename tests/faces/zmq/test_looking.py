"""Waiting for sockets and looking at them: poll, select, FD and EVENTS, monitors."""

from __future__ import annotations

import json
import select
import socket as sockets
import threading
from typing import Any

import pytest

from tests.faces.zmq.conftest import PATIENCE_MS, Bench

# -- poll -------------------------------------------------------------------------------------


def test_poll_of_a_socket_gives_its_events(bench: Bench) -> None:
    zmq = bench.zmq
    push, pull = bench.pair("PUSH", "PULL", "tcp")
    assert pull.poll(0) == 0
    push.send(b"x")
    assert pull.poll(PATIENCE_MS) == zmq.POLLIN
    assert push.poll(PATIENCE_MS, zmq.POLLOUT) == zmq.POLLOUT
    assert pull.recv() == b"x"
    assert pull.poll(10) == 0


def test_the_rest_of_a_message_can_be_polled_for(bench: Bench) -> None:
    push, pull = bench.pair("PUSH", "PULL")
    push.send_multipart([b"a", b"b"])
    assert pull.recv() == b"a"
    assert pull.poll(0) == bench.zmq.POLLIN
    assert pull.recv() == b"b"
    assert pull.poll(0) == 0


def test_a_poller_watches_many(bench: Bench) -> None:
    zmq = bench.zmq
    pairs = [bench.pair("PUSH", "PULL", transport) for transport in ("tcp", "ipc", "inproc")]
    one, other = sockets.socketpair()
    poller = zmq.Poller()
    for _, pull in pairs:
        poller.register(pull, zmq.POLLIN)
    poller.register(one, zmq.POLLIN)
    assert poller.poll(0) == []
    for push, pull in pairs:
        push.send(b"x")
        assert poller.poll(PATIENCE_MS) == [(pull, zmq.POLLIN)]
        assert pull.recv() == b"x"
    other.send(b"y")
    assert poller.poll(PATIENCE_MS) == [(one.fileno(), zmq.POLLIN)]
    poller.unregister(one)
    assert one not in poller
    assert pairs[0][1] in poller
    assert poller.poll(0) == []
    one.close()
    other.close()


def test_what_a_poller_looks_for_can_be_changed(bench: Bench) -> None:
    zmq = bench.zmq
    dealer, other = bench.pair("DEALER", "DEALER")
    poller = zmq.Poller()
    poller.register(dealer)  # both ways
    assert dict(poller.poll(PATIENCE_MS)) == {dealer: zmq.POLLOUT}
    poller.modify(dealer, zmq.POLLIN)
    assert poller.poll(0) == []
    other.send(b"x")
    assert dict(poller.poll(PATIENCE_MS)) == {dealer: zmq.POLLIN}
    poller.register(dealer, 0)  # pyzmq's other word for unregister
    assert dealer not in poller
    with pytest.raises(KeyError):
        poller.unregister(dealer)


def test_select_is_there_too(bench: Bench) -> None:
    zmq = bench.zmq
    push, pull = bench.pair("PUSH", "PULL")
    assert zmq.select([pull], [push], [pull, push], 0) == ([], [push], [])
    push.send(b"x")
    assert zmq.select([pull], [], [], PATIENCE_MS / 1000) == ([pull], [], [])


def test_a_wait_ends_when_a_message_comes(bench: Bench) -> None:
    push, pull = bench.pair("PUSH", "PULL", "tcp")
    timer = threading.Timer(0.02, push.send, (b"late",))
    timer.start()
    assert pull.poll(PATIENCE_MS) == bench.zmq.POLLIN
    timer.join()
    assert pull.recv() == b"late"


def test_the_descriptor_wakes_other_loops(bench: Bench) -> None:
    """FD is edge-triggered: EVENTS is read until there is nothing more."""
    zmq = bench.zmq
    push, pull = bench.pair("PUSH", "PULL", "tcp")
    assert not pull.events & zmq.POLLIN
    push.send(b"x")
    descriptor = pull.fileno()
    assert descriptor == pull.FD
    while not pull.getsockopt(zmq.EVENTS) & zmq.POLLIN:
        ready, _, _ = select.select([descriptor], [], [], PATIENCE_MS / 1000)
        assert ready
    assert pull.recv(zmq.DONTWAIT) == b"x"
    assert not pull.getsockopt(zmq.EVENTS) & zmq.POLLIN


# -- monitors ---------------------------------------------------------------------------------


def events(bench: Bench, monitor: Any, last: int) -> list[Any]:
    """What a monitor says until an event."""
    recv_monitor_message = __import__(
        f"{bench.zmq.__name__}.utils.monitor", fromlist=["x"]
    ).recv_monitor_message
    found = []
    while not found or found[-1]["event"] != last:
        assert monitor.poll(PATIENCE_MS)
        found.append(recv_monitor_message(monitor))
    return found


def forget(socket: Any, monitor: Any) -> None:
    """Stop a monitor and close the end that was read."""
    socket.disable_monitor()
    monitor.close(0)


def test_a_monitor_tells_of_a_peer_that_comes_and_goes(bench: Bench) -> None:
    zmq = bench.zmq
    rep, req = bench.socket("REP"), bench.socket("REQ")
    monitor = rep.get_monitor_socket()
    port = rep.bind_to_random_port("tcp://127.0.0.1")
    req.connect(f"tcp://127.0.0.1:{port}")
    came = events(bench, monitor, zmq.EVENT_HANDSHAKE_SUCCEEDED)
    assert [one["event"] for one in came] == [
        zmq.EVENT_LISTENING,
        zmq.EVENT_ACCEPTED,
        zmq.EVENT_HANDSHAKE_SUCCEEDED,
    ]
    assert all(str(port).encode() in one["endpoint"] for one in came)
    req.close(0)
    events(bench, monitor, zmq.EVENT_DISCONNECTED)
    rep.close()
    assert events(bench, monitor, zmq.EVENT_MONITOR_STOPPED)
    monitor.close()


def test_a_monitor_tells_of_nobody_there(bench: Bench) -> None:
    zmq = bench.zmq
    push = bench.socket("PUSH")
    push.reconnect_ivl = 20
    monitor = push.get_monitor_socket()
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        push.connect(f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        told = [one["event"] for one in events(bench, monitor, zmq.EVENT_CONNECT_RETRIED)]
    assert zmq.EVENT_CONNECT_DELAYED in told
    assert zmq.EVENT_CLOSED in told
    forget(push, monitor)


def test_a_monitor_tells_only_what_was_asked_for(bench: Bench) -> None:
    zmq = bench.zmq
    rep, req = bench.socket("REP"), bench.socket("REQ")
    monitor = rep.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    bench.join(rep, req, "tcp")
    told = events(bench, monitor, zmq.EVENT_HANDSHAKE_SUCCEEDED)
    assert len(told) == 1
    forget(rep, monitor)


def test_a_monitor_tells_of_a_peer_that_does_not_speak_zmtp(bench: Bench) -> None:
    zmq = bench.zmq
    rep = bench.socket("REP")
    monitor = rep.get_monitor_socket()
    port = rep.bind_to_random_port("tcp://127.0.0.1")
    with sockets.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NONSENSE".ljust(20, b"\0"))
        raw.sendall(bytes(32))
        told = events(bench, monitor, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    assert told[-1]["value"] == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
    req = bench.socket("REQ")
    req.connect(f"tcp://127.0.0.1:{port}")  # the socket lives on
    req.send(b"?")
    assert rep.recv() == b"?"
    forget(rep, monitor)


# -- what pyzmq does not have -----------------------------------------------------------------


def test_who_sends_waits_for_who_hears(ours: Bench) -> None:
    pub, sub = ours.pair("PUB", "SUB", "tcp")
    pub.wait_peers(1, 10)
    with pytest.raises(ours.zmq.Again):
        pub.wait_subscribed("weather", timeout=0.01)
    sub.subscribe("weather")
    pub.wait_subscribed("weather", timeout=10)
    pub.send(b"weather: fine")
    assert sub.recv() == b"weather: fine"
    with pytest.raises(ours.zmq.Again):
        pub.wait_peers(2, timeout=0.01)


@pytest.mark.parametrize(
    ("identity", "readable"),
    [(b"me", "me"), ("Müll".encode(), "Müll"), (b"\x80\0\xff", "0x8000ff"), (b"a\nb", "0x610a62")],
)
def test_what_a_socket_tells_of_itself_is_json(ours: Bench, identity: bytes, readable: str) -> None:
    router, dealer = ours.socket("ROUTER"), ours.socket("DEALER", routing_id=identity)
    ours.join(router, dealer)
    router.wait_peers(1, 10)
    dealer.wait_peers(1, 10)
    there = json.loads(json.dumps(router.stats()))
    assert there["peers"][0]["identity"] == readable
    here = json.loads(json.dumps(dealer.stats()))
    assert here["peers"][0]["identity"] == ""
    assert here["type"] == "DEALER"


@pytest.mark.parametrize("wanted", [b"", b"wea"])
def test_who_wants_a_beginning_of_a_prefix_is_waited_for(ours: Bench, wanted: bytes) -> None:
    pub, sub = ours.pair("PUB", "SUB", "tcp")
    sub.subscribe(wanted)
    pub.wait_subscribed(b"weather", timeout=10)
    pub.send(b"weather: fine")
    assert sub.recv() == b"weather: fine"


def test_a_verbose_publisher_hears_of_each_subscription_to_the_same(bench: Bench) -> None:
    zmq = bench.zmq
    xpub, sub = bench.pair("XPUB", "SUB", "tcp")
    xpub.setsockopt(zmq.XPUB_VERBOSE, 1)
    sub.setsockopt(zmq.SUBSCRIBE, b"0")
    assert xpub.recv() == b"\x010"  # so they are connected
    for prefix in (b"a", b"a", b"b"):
        sub.setsockopt(zmq.SUBSCRIBE, prefix)
    assert [xpub.recv() for _ in range(3)] == [b"\1a", b"\1a", b"\1b"]
    for prefix in (b"a", b"b", b"a"):
        sub.setsockopt(zmq.UNSUBSCRIBE, prefix)
    assert [xpub.recv() for _ in range(2)] == [b"\0b", b"\0a"]


def test_messages_are_iterated_over(ours: Bench) -> None:
    push, pull = ours.pair("PUSH", "PULL")
    push.send(b"1")
    push.send_multipart([b"2", b"3"])
    found = []
    for message in pull:
        found.append(message)
        if len(found) == 2:
            break
    assert found == [b"1", [b"2", b"3"]]


def test_many_are_sent_and_received_at_once(ours: Bench) -> None:
    push, pull = ours.pair("PUSH", "PULL", "tcp")
    assert push.send_many([b"1", [b"2", b"3"], b"4"]) == 3
    found: list[Any] = []
    while len(found) < 3:
        found += pull.recv_many()
    assert found == [b"1", [b"2", b"3"], b"4"]


def test_a_lost_message_has_an_explanation(ours: Bench) -> None:
    pub, sub = ours.socket("PUB", sndhwm=1), ours.socket("SUB", rcvhwm=1)
    ours.join(pub, sub)
    sub.subscribe(b"")
    pub.wait_subscribed(timeout=10)
    for _ in range(100):
        pub.send(b"x")
    stats = pub.stats()
    assert stats["dropped"] == {"full": 98}
    assert stats["sent"] == 2
    assert stats["peers"][0]["dropped"] == {"full": 98}
    assert stats["peers"][0]["socket_type"] == "SUB"
