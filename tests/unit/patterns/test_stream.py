"""STREAM: plain TCP peers under routing ids."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from midge.patterns.errors import SocketError
from tests.unit.patterns.wire import new_pipe, peer, received, sent, socket, take


def fails_with(stream: Any, item: Any) -> int:
    with pytest.raises(SocketError) as caught:
        stream.send(item)
    return caught.value.errno


def test_a_peer_comes_speaks_and_goes() -> None:
    stream = socket("STREAM")
    pipe = peer(stream)
    name = pipe.routing_id
    assert len(name) == 5
    assert name[0] == 0
    stream.deliver(pipe, [b"GET / HTTP/1.1\r\n"])
    stream.detach(pipe)
    assert received(stream) == [[name, b""], [name, b"GET / HTTP/1.1\r\n"], [name, b""]]
    stream.detach(pipe)
    assert not stream.can_receive()


def test_without_notify_only_data_comes() -> None:
    stream = socket("STREAM", stream_notify=False)
    pipe = peer(stream)
    stream.deliver(pipe, [b"x"])
    stream.detach(pipe)
    assert received(stream) == [[pipe.routing_id, b"x"]]


def test_the_id_of_a_connect_is_known_before_there_is_a_connection() -> None:
    stream = socket("STREAM")
    pipe = new_pipe(stream, connecting=True)
    stream.attach(pipe)
    name = stream.options.routing_id
    assert name == pipe.routing_id != b""
    assert stream.send([name, b"early"])
    stream.ready(pipe)
    assert take(stream, pipe) == [b"early"]


def test_a_connect_that_is_lost_and_found_keeps_its_id_and_is_told_each_time() -> None:
    stream = socket("STREAM")
    pipe = peer(stream, connecting=True)
    name = pipe.routing_id
    stream.lost(pipe)
    stream.ready(pipe)
    stream.lost(pipe)
    stream.detach(pipe)
    assert received(stream) == [[name, b""]] * 4


def test_the_program_may_name_the_peer_of_its_next_connect() -> None:
    stream = socket("STREAM", connect_routing_id=b"server")
    pipe = new_pipe(stream, connecting=True)
    stream.attach(pipe)
    assert pipe.routing_id == b"server"
    other = new_pipe(stream, connecting=True)
    stream.attach(other)
    assert other.routing_id[0] == 0


def test_nothing_for_a_peer_closes_its_connection() -> None:
    stream = socket("STREAM")
    pipe = peer(stream)
    assert stream.send([pipe.routing_id, b"bye"])
    assert stream.send([pipe.routing_id, b""])
    assert sent(pipe) == [b"bye"]
    assert stream.refused == [pipe]


def test_data_for_nobody_is_an_error_and_for_a_full_peer_waits() -> None:
    stream = socket("STREAM", send_mark=1)
    pipe = peer(stream)
    assert fails_with(stream, [b"nobody", b"x"]) == errno.EHOSTUNREACH
    assert stream.send([pipe.routing_id, b"1"])
    assert stream.send([pipe.routing_id, b"2"]) is False
    assert not pipe.active
    assert take(stream, pipe) == [b"1"]
    assert pipe.active
    assert stream.send([pipe.routing_id, b"2"])
    stream.detach(pipe)
    assert fails_with(stream, [pipe.routing_id, b"x"]) == errno.EHOSTUNREACH
    assert stream.dropped == {"peer-gone": 1}


@pytest.mark.parametrize("item", [b"x", [b"a", b"b", b"c"]])
def test_a_message_is_a_name_and_data(item: Any) -> None:
    assert fails_with(socket("STREAM"), item) == errno.EINVAL
