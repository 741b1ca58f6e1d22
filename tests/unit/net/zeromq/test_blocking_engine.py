"""Blocking sockets: waits, time-outs, threads, the context's end."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from midge.limits import ZMQ_TIMERS_KEPT
from midge.net.zeromq.blocking import BlockingEngine
from midge.net.zeromq.blocking_context import BlockingContext
from midge.net.zeromq.engine import POLLIN, POLLOUT
from midge.net.zeromq.epoll_reactor import EpollReactor
from midge.net.zeromq.io_thread import LOOP, NOBODY, OWNER, IoThread
from midge.net.zeromq.waiting import POLLERR, wait_any
from midge.patterns.errors import ETERM, SocketError

Make = Callable[..., BlockingEngine]
LONG_MS = 10_000
TRANSPORTS = ["tcp://127.0.0.1:*", "ipc://*", "inproc://here"]


def joined(make: Make, one: str, other: str, transport: str, **options: Any) -> Any:
    """Two sockets; the first binds."""
    first, second = make(one, **options), make(other, **options)
    second.call(second.engine.connect, first.call(first.engine.bind, transport))
    return first, second


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_messages_arrive_once_and_in_order_through_marks(blocking: Make, transport: str) -> None:
    pull, push = joined(blocking, "PULL", "PUSH", transport, send_mark=50, receive_mark=50)
    count = 5000
    got: list[bytes] = []

    def read() -> None:
        while len(got) < count:
            item = pull.receive(LONG_MS)
            assert item is not None
            got.append(item)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(count):
        assert push.send(b"%d" % number, LONG_MS)
    push.flush()
    reader.join(30)
    assert got == [b"%d" % number for number in range(count)]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_send_waits_at_the_mark_and_goes_on_when_the_peer_reads(
    blocking: Make, transport: str
) -> None:
    pull, push = joined(
        blocking,
        "PULL",
        "PUSH",
        transport,
        send_mark=5,
        receive_mark=5,
        send_buffer_bytes=4096,
        receive_buffer_bytes=4096,
    )
    body = b"x" * 200_000
    assert push.poll(LONG_MS, POLLOUT) == POLLOUT
    sent = 0
    while push.send(body, 100):
        sent += 1
        assert sent < 100, "the mark holds nobody"
    if transport.startswith("inproc"):
        assert sent == 10  # the marks of both sides, exactly
    assert push.events() == 0
    waiter = threading.Thread(target=push.send, args=(b"last", LONG_MS))
    waiter.start()
    for _ in range(sent):
        assert pull.receive(LONG_MS) == body
    assert pull.receive(LONG_MS) == b"last"
    waiter.join(10)
    assert not waiter.is_alive()


def test_a_receive_ends_in_time(blocking: Make) -> None:
    pull = blocking("PULL")
    begun = time.monotonic()
    assert pull.receive(0) is None
    assert pull.receive(30) is None
    assert time.monotonic() - begun >= 0.03
    assert pull.poll(10) == 0
    assert pull.receive_many(5, 0) == []


def test_a_send_with_nobody_there_ends_in_time(blocking: Make) -> None:
    push = blocking("PUSH")
    assert push.send(b"x", 0) is False
    assert push.send(b"x", 20) is False
    assert push.send_many([b"x", b"y"], 20) == 0
    assert push.poll(10, POLLOUT) == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_waiting_receive_is_woken_by_a_sender_of_another_thread(
    blocking: Make, transport: str
) -> None:
    pull, push = joined(blocking, "PULL", "PUSH", transport)
    for number in range(50):
        got: list[Any] = []
        reader = threading.Thread(target=lambda got=got: got.append(pull.receive(LONG_MS)))
        reader.start()
        assert push.send(b"%d" % number, LONG_MS)
        reader.join(15)
        assert got == [b"%d" % number]


def test_connect_before_bind_works_for_inproc(blocking: Make) -> None:
    push, pull = blocking("PUSH"), blocking("PULL")
    push.call(push.engine.connect, "inproc://later")
    assert push.send(b"early", LONG_MS)
    pull.call(pull.engine.bind, "inproc://later")
    assert pull.receive(LONG_MS) == b"early"


def test_an_inproc_name_is_taken_once_and_given_back(blocking: Make) -> None:
    one, two = blocking("PULL"), blocking("PULL")
    one.call(one.engine.bind, "inproc://name")
    with pytest.raises(SocketError) as caught:
        two.call(two.engine.bind, "inproc://name")
    assert caught.value.errno == errno.EADDRINUSE
    one.close(0)
    two.call(two.engine.bind, "inproc://name")


def test_what_was_sent_before_an_inproc_peer_closed_is_received(blocking: Make) -> None:
    pull, push = joined(blocking, "PULL", "PUSH", "inproc://here")
    for number in range(20):
        assert push.send(b"%d" % number, LONG_MS)
    push.close(-1)
    assert [pull.receive(LONG_MS) for _ in range(20)] == [b"%d" % n for n in range(20)]
    while pull.engine.pattern.peers():
        pull.poll(10)


def test_the_end_of_a_context_ends_every_call(blocking: Any) -> None:
    pull, push, idle = blocking("PULL"), blocking("PUSH"), blocking("PULL")
    numbers: list[int] = []

    def wait(call: Callable[[], Any]) -> None:
        try:
            call()
        except SocketError as error:
            numbers.append(error.errno)

    calls: list[Callable[[], Any]] = [
        pull.receive,
        lambda: push.send(b"nobody"),
        lambda: wait_any([(idle, POLLIN)]),
    ]
    threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    while not all(one.reactor.waiting for one in (pull, push, idle)):
        time.sleep(0.001)
    blocking.context.terminate()
    for thread in threads:
        thread.join(10)
    assert numbers == [ETERM] * 3
    for call in (pull.receive, lambda: pull.poll(0), pull.events, lambda: push.send(b"x")):
        with pytest.raises(SocketError) as caught:
            call()
        assert caught.value.errno == ETERM
    with pytest.raises(SocketError):
        blocking("PULL")


def test_a_closed_socket_says_so(blocking: Make) -> None:
    pull = blocking("PULL")
    pull.close(0)
    pull.close(0)
    assert pull.closed
    for call in (pull.receive, lambda: pull.poll(0), lambda: pull.send(b"x")):
        with pytest.raises(SocketError) as caught:
            call()
        assert caught.value.errno == errno.ENOTSOCK


def test_a_close_from_another_thread_ends_a_receive(blocking: Make) -> None:
    pull = blocking("PULL")
    pull.call(pull.engine.bind, "tcp://127.0.0.1:*")
    numbers: list[int] = []

    def wait() -> None:
        try:
            pull.receive()
        except SocketError as error:
            numbers.append(error.errno)

    thread = threading.Thread(target=wait)
    thread.start()
    while not pull.reactor.waiting:
        time.sleep(0.001)
    pull.close(-1)
    thread.join(10)
    assert numbers == [errno.ENOTSOCK]


def test_linger_minus_one_waits_for_a_peer_and_zero_does_not(blocking: Any) -> None:
    push = blocking("PUSH")
    push.call(push.engine.connect, "tcp://127.0.0.1:9")
    assert push.send(b"x", LONG_MS)
    push.close(0)
    assert blocking.context.wait_empty(5)
    push = blocking("PUSH")
    push.call(push.engine.connect, "tcp://127.0.0.1:9")
    assert push.send(b"x", LONG_MS)
    push.close(50)
    assert not blocking.context.wait_empty(0)
    assert blocking.context.wait_empty(5)
    # Bound, and nobody has come: there is nothing to wait for.
    pull = blocking("PUSH")
    pull.call(pull.engine.bind, "tcp://127.0.0.1:*")
    pull.close(-1)
    assert blocking.context.wait_empty(5)


def test_several_sockets_and_descriptors_are_waited_for_at_once(blocking: Make) -> None:
    one, push_one = joined(blocking, "PULL", "PUSH", "tcp://127.0.0.1:*")
    two, push_two = joined(blocking, "PULL", "PUSH", "inproc://two")
    reader, writer = os.pipe()
    try:
        items = [(one, POLLIN), (two, POLLIN), (reader, POLLIN), (push_one, POLLOUT)]
        assert push_one.poll(LONG_MS, POLLOUT)
        assert wait_any(items, LONG_MS) == [(3, POLLOUT)]
        del items[3]
        assert wait_any(items, 20) == []
        assert push_two.send(b"x", LONG_MS)
        assert wait_any(items, LONG_MS) == [(1, POLLIN)]
        two.receive()
        os.write(writer, b"x")
        assert wait_any(items, LONG_MS) == [(2, POLLIN)]
        os.read(reader, 1)
        timer = threading.Timer(0.02, lambda: push_one.send(b"y", LONG_MS))
        timer.start()
        assert wait_any(items, LONG_MS) == [(0, POLLIN)]
        timer.join()
        os.close(writer)
        writer = -1
        assert wait_any([(reader, POLLIN)], LONG_MS) == [(0, POLLIN | POLLERR)]
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def test_change_is_told_while_nobody_calls(blocking: Make) -> None:
    pull, push = joined(blocking, "PULL", "PUSH", "tcp://127.0.0.1:*")
    told = threading.Event()
    pull.on_change(told.set)
    pull.events()
    time.sleep(0.02)  # until the context's thread has it
    told.clear()
    assert push.send(b"x", LONG_MS)
    assert told.wait(10)
    assert pull.events() & POLLIN


def test_the_peer_of_each_message_is_known_although_they_are_taken_in_lots(
    blocking: Make,
) -> None:
    pull = blocking("PULL")
    endpoint = pull.call(pull.engine.bind, "tcp://127.0.0.1:*")
    pushes = [blocking("PUSH") for _ in range(3)]
    for number, push in enumerate(pushes):
        push.call(push.engine.connect, endpoint.replace("tcp://", f"tcp://127.0.0.{number + 2}:0;"))
        for _ in range(20):
            assert push.send(b"%d" % (number + 2), LONG_MS)
    for _ in range(60):
        item = pull.receive(LONG_MS)
        assert pull.last_pipe is not None
        assert pull.last_pipe.address == f"127.0.0.{item.decode()}"


def test_a_hundred_threads_use_a_socket_each(blocking: Make) -> None:
    pull = blocking("PULL")
    endpoints = [pull.call(pull.engine.bind, one) for one in ("tcp://127.0.0.1:*", "inproc://x")]
    count = 50

    def work(number: int) -> None:
        push = blocking("PUSH")
        push.call(push.engine.connect, endpoints[number % 2])
        for turn in range(count):
            assert push.send([b"%d" % number, b"%d" % turn], LONG_MS)
        push.close(-1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    seen: dict[bytes, list[int]] = {}
    for _ in range(100 * count):
        item = pull.receive(LONG_MS)
        assert item is not None
        seen.setdefault(item[0], []).append(int(item[1]))
    for thread in threads:
        thread.join(10)
    assert len(seen) == 100
    assert all(turns == list(range(count)) for turns in seen.values())


def test_opening_and_closing_leaves_nothing_behind() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def round_of(count: int) -> None:
        context = BlockingContext()
        for number in range(count):
            pull, push = BlockingEngine("PULL", context), BlockingEngine("PUSH", context)
            transport = TRANSPORTS[number % 3]
            push.call(push.engine.connect, pull.call(pull.engine.bind, transport))
            assert push.send(b"x", LONG_MS)
            assert pull.receive(LONG_MS) == b"x"
            push.close(-1)
            pull.close(0)
        assert context.wait_empty(10)
        context.stop()

    round_of(3)
    before = descriptors(), threading.active_count()
    round_of(100)
    assert (descriptors(), threading.active_count()) == before


def test_timers_that_were_called_off_do_not_pile_up() -> None:
    """Every handshake sets one that is half a minute away, and calls it off when it is done."""
    reactor = EpollReactor()
    fired: list[int] = []
    now = reactor.time()
    for number in range(100):
        reactor.call_at(now, lambda number=number: fired.append(number))  # type: ignore[misc]
    for _ in range(10_000):
        reactor.call_at(now + 3600, fired.clear).cancel()
    assert len(reactor._timers) <= 2 * (100 + ZMQ_TIMERS_KEPT)
    with reactor.lock:
        reactor.run_once(0.0)
    assert sorted(fired) == list(range(100))
    assert reactor.next_deadline() is None
    reactor.close()


def test_the_times_of_closed_sockets_are_forgotten(blocking: Any) -> None:
    """What a socket wanted to be woken for, an hour from now, ends with the socket."""
    thread = blocking.context.io_thread
    for _ in range(20):
        engines = [blocking("PUSH", reconnect_interval_ms=3_600_000) for _ in range(20)]
        for engine in engines:
            engine.call(engine.engine.connect, "ipc://@midge-nobody-is-here")
        while any(engine.warm for engine in engines):
            time.sleep(0.001)
        assert thread._deadlines
        for engine in engines:
            engine.close(0)
    assert len(thread._deadlines) <= 2 * (20 + ZMQ_TIMERS_KEPT)


def test_a_socket_that_the_thread_runs_is_noted_once_however_much_comes(blocking: Any) -> None:
    hour_ms = 3_600_000
    pull, push = joined(blocking, "PULL", "PUSH", "ipc://*", reconnect_interval_ms=hour_ms)
    pull.call(pull.engine.connect, "ipc://@midge-nobody-is-here")
    while pull.warm:
        time.sleep(0.001)
    for number in range(1, 201):
        assert push.send(b"x", LONG_MS)
        push.flush()
        while sum(pipe.received for pipe in pull.engine.pattern.peers()) < number:
            time.sleep(0.001)
    assert len(blocking.context.io_thread._deadlines) <= ZMQ_TIMERS_KEPT


def test_a_context_whose_sockets_are_idle_does_nothing(blocking: Any) -> None:
    pull, push = joined(blocking, "PULL", "PUSH", "tcp://127.0.0.1:*")
    assert push.send(b"x", LONG_MS)
    assert pull.receive(LONG_MS) == b"x"
    time.sleep(0.1)
    ticks = blocking.context.io_thread.ticks
    time.sleep(0.1)
    assert blocking.context.io_thread.ticks == ticks


def test_a_forked_child_is_refused_and_disturbs_nothing(blocking: Make) -> None:
    pull, push = joined(blocking, "PULL", "PUSH", "tcp://127.0.0.1:*")
    for _ in range(20):  # credit is granted, so that the short way is tried, too
        assert push.send(b"parent", LONG_MS)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer = []
        for call in (lambda: push.send(b"child", 0), lambda: pull.receive(0), push.events):
            try:
                call()
                answer.append("no error")
            except SocketError as error:
                answer.append(str(error.errno))
        push.close(0)
        pull.close(-1)
        os.write(writer, " ".join(answer).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    answers = os.read(reader, 1000)
    os.close(reader)
    assert answers.decode().split() == [str(errno.ENOTSOCK)] * 3
    for _ in range(10):
        assert push.send(b"parent", LONG_MS)
    assert [pull.receive(LONG_MS) for _ in range(30)] == [b"parent"] * 30
    assert pull.receive(50) is None


def test_what_was_received_ahead_is_gone_with_its_subscription(blocking: Make) -> None:
    sub, pub = blocking("SUB"), blocking("PUB")
    for prefix in (b"a", b"b"):
        sub.call(sub.engine.pattern.subscribe, prefix)
    sub.call(sub.engine.connect, pub.call(pub.engine.bind, "tcp://127.0.0.1:*"))
    while not pub.call(pub.engine.pattern.subscriber_count, b"b"):
        pub.poll(1, 0)
    for number in range(20):
        assert pub.send(b"%c%d" % (b"ab"[number % 2], number))
    pub.flush()
    while sub.engine.pattern.peers()[0].received < 20:
        sub.poll(10, 0)
    assert sub.receive(LONG_MS) == b"a0"
    assert sub.inbox, "nothing was received ahead, so that this shows nothing"
    sub.call(sub.engine.pattern.unsubscribe, b"a")
    assert [sub.receive(LONG_MS) for _ in range(10)] == [b"b%d" % n for n in range(1, 20, 2)]
    assert sub.receive(0) is None
    assert sub.engine.pattern.dropped["unwanted"] == 9


def test_a_publisher_that_never_stops_still_hears_of_new_subscribers(blocking: Make) -> None:
    pub = blocking("PUB")
    endpoint = pub.call(pub.engine.bind, "tcp://127.0.0.1:*")
    sub = blocking("SUB")
    sub.call(sub.engine.pattern.subscribe, b"")
    sub.call(sub.engine.connect, endpoint)
    deadline = time.monotonic() + 10
    while not sub.poll(0):
        for _ in range(100):
            assert pub.send(b"x")
        assert time.monotonic() < deadline
    assert sub.receive(0) == b"x"


def test_two_first_sockets_start_one_thread() -> None:
    """Who waited for the other's start looks again."""
    thread = IoThread()

    class Late:
        """While one waits for this guard, the other has started the thread."""

        def __enter__(self) -> None:
            thread._worker = threading.current_thread()

        def __exit__(self, *_: object) -> None:
            pass

    thread._guard = Late()  # type: ignore[assignment]
    thread._start()
    assert thread._epoll is None


def test_a_lot_of_messages_goes_on_while_the_peer_reads(blocking: Make) -> None:
    """What made room may have been the very write that filled it."""
    pull, push = joined(blocking, "PULL", "PUSH", "tcp://127.0.0.1:*")
    got: list[bytes] = []

    def read() -> None:
        while len(got) < 20_000:
            items = pull.receive_many(1000, LONG_MS)
            assert items
            got.extend(items)

    reader = threading.Thread(target=read)
    reader.start()
    assert push.send_many([b"%d" % number for number in range(20_000)], LONG_MS) == 20_000
    reader.join(30)
    assert got == [b"%d" % number for number in range(20_000)]


def test_a_lot_that_is_larger_than_a_subscribers_mark_is_not_cut_by_it(blocking: Make) -> None:
    sub, pub = blocking("SUB"), blocking("PUB")
    sub.call(sub.engine.pattern.subscribe, b"")
    sub.call(sub.engine.connect, pub.call(pub.engine.bind, "tcp://127.0.0.1:*"))
    while not pub.call(pub.engine.pattern.subscriber_count):
        pub.poll(1, 0)
    assert pub.send_many([b"%d" % number for number in range(5000)]) == 5000
    assert [sub.receive(LONG_MS) for _ in range(5000)] == [b"%d" % n for n in range(5000)]
    assert not pub.engine.pattern.dropped


def test_a_message_keeps_its_sender_when_that_has_left(blocking: Make) -> None:
    router = blocking("ROUTER")
    endpoint = router.call(router.engine.bind, "tcp://127.0.0.1:*")
    dealers = [blocking("DEALER", routing_id=name) for name in (b"a", b"b")]
    for dealer in dealers:
        dealer.call(dealer.engine.connect, endpoint)
        for _ in range(3):
            assert dealer.send(b"x", LONG_MS)
        dealer.flush()
    while sum(pipe.received for pipe in router.call(router.engine.pattern.peers)) < 6:
        router.poll(1, 0)
    dealers[0].close(-1)
    while len(router.call(router.engine.pattern.peers)) > 1:
        router.poll(1, 0)
    for _ in range(6):
        name, _body = router.receive(LONG_MS)
        assert router.last_pipe is not None
        assert router.last_pipe.identity == name


def test_a_wait_that_ends_in_an_exception_leaves_somebody_who_looks_after_the_socket(
    blocking: Make,
) -> None:
    pull = blocking("PULL")
    pull.call(pull.engine.bind, "tcp://127.0.0.1:*")
    with pull.reactor.lock:
        pull.run_by(NOBODY)  # as after a long wait
        pull._context.io_thread.forget(pull)
        pull.reactor.call_soon(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        with pytest.raises(ZeroDivisionError):
            pull._run(0.0)
        assert pull.runner == OWNER


def test_a_wait_for_several_sockets_leaves_somebody_who_looks_after_them(blocking: Make) -> None:
    pull = blocking("PULL")
    pull.begin_wait()
    with pull.reactor.lock:
        pull.run_by(NOBODY)
        pull._context.io_thread.forget(pull)
    pull.end_wait()
    assert pull.runner == OWNER


def test_the_thread_does_not_take_a_socket_that_a_loop_has_just_taken(blocking: Make) -> None:
    """It looks at a list of what was its own a moment ago."""
    pull = blocking("PULL")
    pull.call(pull.engine.bind, "tcp://127.0.0.1:*")
    with pull.reactor.lock:
        pull.leave_thread()
        pull.touched = False
    pull._context.io_thread._tick(pull)
    assert (pull.runner, pull.warm) == (LOOP, True)
    pull.leave_loop()
    assert pull.runner == OWNER
