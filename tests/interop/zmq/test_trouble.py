"""Peers of libzmq that are killed, come back, or do not read."""

from __future__ import annotations

from collections.abc import Callable

from midge.net.zeromq.blocking import BlockingEngine
from midge.patterns import monitor
from tests.interop.zmq.conftest import TIMEOUT_MS, Libzmq

MakeOurs = Callable[..., BlockingEngine]
MakeTheirs = Callable[[str], Libzmq]


def test_a_peer_that_is_killed_and_comes_back_is_found_again(
    midge: MakeOurs, libzmq: MakeTheirs
) -> None:
    we = midge("PUSH", reconnect_interval_ms=10)
    events: list[int] = []
    we.engine.on_monitor = lambda event, value, endpoint: events.append(event)
    first = libzmq("PULL")
    endpoint = first.bind("tcp://127.0.0.1:*")
    we.call(we.engine.connect, endpoint)
    assert we.send(b"one", TIMEOUT_MS)
    assert first.receive() == ["one"]
    first.kill()
    while monitor.DISCONNECTED not in events:
        we.poll(20, 0)
    assert we.send(b"two", TIMEOUT_MS)  # kept: the pipe of a connect outlives its connection
    second = libzmq("PULL")
    second.bind(endpoint)
    assert second.receive() == ["two"]
    assert monitor.CONNECT_RETRIED in events


def test_a_subscription_is_sent_again_after_the_publisher_came_back(
    midge: MakeOurs, libzmq: MakeTheirs
) -> None:
    we = midge("SUB", reconnect_interval_ms=10)
    we.call(we.engine.pattern.subscribe, b"a")
    first = libzmq("XPUB")
    endpoint = first.bind("tcp://127.0.0.1:*")
    we.call(we.engine.connect, endpoint)
    assert first.receive() == ["\x01a"]
    first.kill()
    second = libzmq("XPUB")
    second.bind(endpoint)
    assert second.receive() == ["\x01a"]
    second.send(["a1"])
    assert we.receive(TIMEOUT_MS) == b"a1"


def test_we_restart_and_libzmq_finds_us(midge: MakeOurs, libzmq: MakeTheirs) -> None:
    we = midge("PULL")
    endpoint = we.call(we.engine.bind, "tcp://127.0.0.1:*")
    they = libzmq("PUSH")
    they.set("RECONNECT_IVL", 10)
    they.connect(endpoint)
    they.send(["one"])
    assert we.receive(TIMEOUT_MS) == b"one"
    we.close(0)
    again = midge("PULL")
    again.call(again.engine.bind, endpoint)
    for _ in range(100):  # libzmq loses what it had written to the old connection
        they.send(["two"])
        if again.poll(50):
            break
    assert again.receive(TIMEOUT_MS) == b"two"


def test_a_peer_that_is_killed_in_mid_message_leaves_nothing_behind(
    midge: MakeOurs, libzmq: MakeTheirs
) -> None:
    we = midge("PULL")
    endpoint = we.call(we.engine.bind, "tcp://127.0.0.1:*")
    they = libzmq("PUSH")
    they.connect(endpoint)
    they.send(["whole"])
    they.tell("send_run", 1, 64 * 1024 * 1024)
    assert we.receive(TIMEOUT_MS) == b"whole"
    they.kill()
    friend = libzmq("PUSH")
    friend.connect(endpoint)
    friend.send(["0.friend"])
    got = we.receive(TIMEOUT_MS)
    # The large one may have been whole already; what is not whole is never delivered.
    if got != b"0.friend":
        assert len(got) == 64 * 1024 * 1024 + 1
        got = we.receive(TIMEOUT_MS)
    assert got == b"0.friend"
    while len(we.engine.pattern.peers()) > 1:
        we.poll(20, 0)


def test_marks_hold_a_sender_back_until_the_peer_reads(midge: MakeOurs, libzmq: MakeTheirs) -> None:
    we = midge("PUSH", send_mark=10, send_buffer_bytes=4096)
    they = libzmq("PULL")
    they.set("RCVHWM", 10)
    they.set("RCVBUF", 4096)
    they.connect(we.call(we.engine.bind, "tcp://127.0.0.1:*"))
    body = b"." + b"x" * 100_000
    sent = 0
    while we.send(b"%d" % sent + body, 300):
        sent += 1
        assert sent < 200, "nothing holds the sender back"
    assert sent >= 20
    pipe = we.engine.pattern.peers()[0]
    assert len(pipe.outgoing) + pipe.in_flight == 10
    assert they.receive_run(sent)[0] == list(range(sent))
    assert we.send(b"%d" % sent + body, TIMEOUT_MS)
    assert they.receive_run(1)[0] == [sent]


def test_a_slow_subscriber_loses_messages_and_the_loss_is_counted(
    midge: MakeOurs, libzmq: MakeTheirs
) -> None:
    we = midge("PUB", send_mark=10, send_buffer_bytes=4096)
    they = libzmq("SUB")
    they.set("RCVHWM", 10)
    they.set("RCVBUF", 4096)
    they.set("SUBSCRIBE", "")
    they.connect(we.call(we.engine.bind, "tcp://127.0.0.1:*"))
    while not we.call(we.engine.pattern.subscriber_count):
        we.poll(20, 0)
    total = 300
    for number in range(total):
        assert we.send(b"%d" % number + b"." + b"x" * 100_000)
    dropped = we.engine.stats()["peers"][0]["dropped"]["full"]
    assert 0 < dropped < total
    got = [int(one[0].split(".")[0]) for one in they.receive_until_quiet(300)]
    assert len(got) == total - dropped
    assert got == sorted(got)


def test_closing_with_linger_delivers_everything_in_the_background(
    midge: MakeOurs, libzmq: MakeTheirs
) -> None:
    we = midge("PUSH", send_mark=0)
    they = libzmq("PULL")
    we.call(we.engine.connect, they.bind("tcp://127.0.0.1:*"))
    for number in range(200):
        assert we.send(b"%d" % number + b"." + b"x" * 50_000)
    we.close(-1)
    assert they.receive_run(200)[0] == list(range(200))


def test_garbage_is_dropped_and_the_others_are_served(midge: MakeOurs, libzmq: MakeTheirs) -> None:
    import socket

    we = midge("PULL")
    endpoint = we.call(we.engine.bind, "tcp://127.0.0.1:*")
    port = int(endpoint.rpartition(":")[2])
    they = libzmq("PUSH")
    they.connect(endpoint)
    for garbage in (
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(100),
        b"\xff" * 100,
        b"\xff" + bytes(8) + b"\x7f\x03",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
            stranger.sendall(garbage)
            if len(garbage) > 20 or garbage.startswith(b"GET"):
                with_answer = b""
                while True:  # until we close
                    try:
                        data = stranger.recv(1000)
                    except ConnectionResetError:
                        break
                    if not data:
                        break
                    with_answer += data
                assert len(with_answer) <= 64
    they.send(["hello"])
    assert we.receive(TIMEOUT_MS) == b"hello"
