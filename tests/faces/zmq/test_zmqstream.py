"""ZMQStream and the other names for Tornado."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import midge.zmq as zmq
import midge.zmq.asyncio
from midge.zmq.eventloop.future import Context as FutureContext
from midge.zmq.eventloop.zmqstream import ZMQStream, gen_log


@pytest_asyncio.fixture
async def streams() -> AsyncIterator[tuple[ZMQStream, ZMQStream]]:
    """A PUSH and a PULL, connected."""
    context = zmq.Context()
    push, pull = ZMQStream(context.socket(zmq.PUSH)), ZMQStream(context.socket(zmq.PULL))
    port = push.bind_to_random_port("tcp://127.0.0.1")
    pull.connect(f"tcp://127.0.0.1:{port}")
    yield push, pull
    for stream in (push, pull):
        stream.close(0)
    context.term()


async def _until(found: list[Any], count: int) -> None:
    for _ in range(1000):
        if len(found) >= count:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{len(found)} of {count}")


async def test_messages_come_to_the_callback_in_order(
    streams: tuple[ZMQStream, ZMQStream],
) -> None:
    push, pull = streams
    got: list[list[bytes]] = []
    pull.on_recv(got.append)
    for number in range(3000):  # beyond the high-water marks
        push.send_multipart([b"%d" % number, b"body"])
    await _until(got, 3000)
    assert got == [[b"%d" % number, b"body"] for number in range(3000)]
    assert not push.sending()


async def test_what_came_before_the_callback_is_not_forgotten(
    streams: tuple[ZMQStream, ZMQStream],
) -> None:
    push, pull = streams
    push.send(b"1")
    push.send_string("2")
    push.send_json({"3": 3})
    push.send_pyobj(4)
    await asyncio.sleep(0.05)
    got: list[Any] = []
    pull.on_recv_stream(lambda stream, parts: got.append((stream, parts[0])))
    await _until(got, 4)
    assert [part for _, part in got[:3]] == [b"1", b"2", b'{"3": 3}']
    assert {stream for stream, _ in got} == {pull}


async def test_a_stream_that_is_told_to_stop_leaves_messages_where_they_are(
    streams: tuple[ZMQStream, ZMQStream],
) -> None:
    push, pull = streams
    got: list[Any] = []

    def once(parts: list[bytes]) -> None:
        got.append(parts)
        pull.stop_on_recv()

    pull.on_recv(once)
    assert pull.receiving()
    push.send(b"1")
    push.send(b"2")
    await _until(got, 1)
    await asyncio.sleep(0.05)
    assert got == [[b"1"]]
    assert not pull.receiving()
    pull.on_recv(once)
    await _until(got, 2)
    assert got[1] == [b"2"]


async def test_sending_is_told_with_the_message(streams: tuple[ZMQStream, ZMQStream]) -> None:
    push, pull = streams
    sent: list[Any] = []
    push.on_send_stream(lambda stream, message, tracker: sent.append((stream, message, tracker)))
    push.send(b"plain")
    push.send(b"tracked", copy=False, track=True)
    await _until(sent, 2)
    assert [(stream, message) for stream, message, _ in sent] == [
        (push, [b"plain"]),
        (push, [b"tracked"]),
    ]
    assert sent[0][2] is None
    assert isinstance(sent[1][2], zmq.MessageTracker)
    assert pull is not push


async def test_frames_are_given_where_they_are_asked_for(
    streams: tuple[ZMQStream, ZMQStream],
) -> None:
    push, pull = streams
    got: list[Any] = []
    pull.on_recv(got.append, copy=False)
    push.send(b"framed")
    await _until(got, 1)
    assert isinstance(got[0][0], zmq.Frame)
    assert got[0][0].bytes == b"framed"


async def test_flush_does_now_what_the_loop_would_do_later(
    streams: tuple[ZMQStream, ZMQStream],
) -> None:
    push, pull = streams
    got: list[Any] = []
    push.socket.wait_peers(1, 5)
    for number in range(5):
        push.send(b"%d" % number)
    assert push.flush(zmq.POLLOUT, limit=2) == 2
    assert push.flush() == 3
    assert push.flush() == 0
    pull.on_recv(got.append)
    assert pull.socket.poll(5000)
    await asyncio.sleep(0)
    pull.flush(zmq.POLLIN)
    await _until(got, 5)


async def test_a_failing_callback_is_logged_and_the_stream_goes_on(
    streams: tuple[ZMQStream, ZMQStream], caplog: pytest.LogCaptureFixture
) -> None:
    push, pull = streams
    got: list[Any] = []

    async def later(parts: list[bytes]) -> None:
        got.append(parts)
        raise ValueError("later")

    def at_once(parts: list[bytes]) -> None:
        got.append(parts)
        raise ValueError("at once")

    with caplog.at_level(logging.ERROR, logger=gen_log.name):
        for count, callback in enumerate((later, at_once, later), 1):
            pull.on_recv(callback)
            push.send(b"x")
            await _until(got, count)
            await asyncio.sleep(0.02)
    texts = [str(record.exc_info) for record in caplog.records]
    assert any("later" in text for text in texts)
    assert any("at once" in text for text in texts)


async def test_a_callback_must_be_one(streams: tuple[ZMQStream, ZMQStream]) -> None:
    for register in (streams[0].on_send, streams[1].on_recv, streams[0].set_close_callback):
        with pytest.raises(AssertionError, match="a callback can be called, not 1"):
            register(1)  # type: ignore[arg-type]


async def test_closing_closes_the_socket_and_tells_once(
    streams: tuple[ZMQStream, ZMQStream],
) -> None:
    push, _ = streams
    told: list[int] = []
    push.set_close_callback(lambda: told.append(1))
    assert not push.closed()
    push.close()
    push.close()
    assert push.closed()
    assert push.socket.closed
    assert told == [1]


async def test_a_socket_that_is_closed_behind_the_streams_back_is_told_of(
    streams: tuple[ZMQStream, ZMQStream],
) -> None:
    push, _ = streams
    push.socket.close()
    with pytest.warns(UserWarning, match="close the stream instead"):
        push.close()


async def test_a_socket_of_asyncio_is_shadowed() -> None:
    context = midge.zmq.asyncio.Context()
    socket = context.socket(zmq.PULL)
    with pytest.warns(RuntimeWarning, match="shadowed"):
        stream = ZMQStream(socket)
    assert stream.socket.underlying == socket.underlying
    stream.close(0)
    socket.close()
    context.term()


async def test_sockets_with_futures_work_under_the_name_for_tornado() -> None:
    context = FutureContext()
    push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    push.bind("inproc://future")
    pull.connect("inproc://future")
    await push.send(b"here")
    assert await asyncio.wait_for(pull.recv(), 5) == b"here"
    push.close(0)
    pull.close(0)
    context.term()


def test_without_tornado_the_import_says_what_is_missing() -> None:
    program = (
        "import sys; sys.modules['tornado'] = sys.modules['tornado.ioloop'] = None\n"
        "try:\n    import midge.zmq.eventloop.zmqstream\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "midge.zmq.eventloop needs Tornado: pip install tornado\n"
