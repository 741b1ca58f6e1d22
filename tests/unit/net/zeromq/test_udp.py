"""RADIO and DISH over datagrams."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.net.zeromq.blocking import BlockingEngine
from midge.net.zeromq.udp import decode_datagram, encode_datagram
from midge.patterns.errors import ENOCOMPATPROTO, SocketError

Make = Callable[..., BlockingEngine]
WAIT_MS = 5000


@given(st.binary(max_size=255), st.binary(max_size=500))
def test_a_datagram_is_read_as_it_was_written(group: bytes, body: bytes) -> None:
    assert decode_datagram(encode_datagram(group, body)) == [group, body]


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_message_or_none(data: bytes) -> None:
    found = decode_datagram(data)
    assert found is None or encode_datagram(*found) == data


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x05abcd", b"\xff"])
def test_a_datagram_that_is_too_short_for_its_group_is_none(data: bytes) -> None:
    assert decode_datagram(data) is None


def do(one: BlockingEngine, verb: str, endpoint: str) -> str:
    """Bind, connect and the like."""
    return str(one.call(getattr(one.engine, verb), endpoint))


def pair(blocking: Make, endpoint: str = "udp://127.0.0.1:*") -> tuple[BlockingEngine, ...]:
    dish, radio = blocking("DISH"), blocking("RADIO")
    dish.call(dish.engine.pattern.join, b"news")
    do(radio, "connect", do(dish, "bind", endpoint))
    return radio, dish


@pytest.mark.parametrize("endpoint", ["udp://127.0.0.1:*", "udp://lo;239.255.17.4:*"])
def test_a_dish_gets_what_it_joined(blocking: Make, endpoint: str) -> None:
    radio, dish = pair(blocking, endpoint)
    radio.send([b"weather", b"rain"], WAIT_MS)
    radio.send([b"news", b"all is well"], WAIT_MS)
    assert dish.receive(WAIT_MS) == [b"news", b"all is well"]
    assert dish.engine.stats()["dropped"] == {"unwanted": 1}
    assert dish.engine.stats()["bound"] == [dish.engine.last_endpoint]


def test_a_host_is_looked_up(blocking: Make) -> None:
    dish, radio = blocking("DISH"), blocking("RADIO")
    dish.call(dish.engine.pattern.join, b"g")
    port = do(dish, "bind", "udp://127.0.0.1:*").rpartition(":")[2]
    do(radio, "connect", f"udp://localhost:{port}")
    for _ in range(100):  # until the name is known there is nobody to send to
        radio.send([b"g", b"x"], WAIT_MS)
        if dish.receive(50) is not None:
            return
    pytest.fail("nothing arrived")


def test_garbage_is_counted_and_the_socket_lives_on(blocking: Make) -> None:
    radio, dish = pair(blocking)
    port = int(dish.engine.last_endpoint.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for data in (b"", b"\x09short", b"\xff"):
            stranger.sendto(data, ("127.0.0.1", port))
    radio.send([b"news", b"x"], WAIT_MS)
    assert dish.receive(WAIT_MS) == [b"news", b"x"]
    assert dish.engine.stats()["dropped"] == {"malformed": 3}


def test_a_message_that_fits_no_datagram_is_counted_and_dropped(blocking: Make) -> None:
    radio, dish = pair(blocking)
    radio.send([b"news", bytes(8192 - 4)], WAIT_MS)  # one byte too many
    radio.send([b"news", bytes(8192 - 5)], WAIT_MS)
    received = dish.receive(WAIT_MS)
    assert received is not None
    assert len(received[1]) == 8192 - 5
    assert radio.engine.stats()["dropped"] == {"too-large": 1}


def test_a_dish_takes_nothing_larger_than_maxmsgsize(blocking: Make) -> None:
    radio, dish = pair(blocking)
    dish.engine.options.message_bytes_max = 10
    radio.send([b"news", bytes(11)], WAIT_MS)
    radio.send([b"news", bytes(10)], WAIT_MS)
    assert dish.receive(WAIT_MS) == [b"news", bytes(10)]
    assert dish.engine.stats()["dropped"] == {"too-large": 1}


def test_two_dishes_of_a_group_both_get_it(blocking: Make) -> None:
    radio, dish = pair(blocking, "udp://lo;239.255.17.5:*")
    other = blocking("DISH")
    other.call(other.engine.pattern.join, b"news")
    do(other, "bind", dish.engine.last_endpoint)
    radio.send([b"news", b"x"], WAIT_MS)
    assert dish.receive(WAIT_MS) == other.receive(WAIT_MS) == [b"news", b"x"]


@pytest.mark.parametrize("kind", ["PUSH", "RADIO", "SUB"])
def test_only_a_dish_can_be_bound(blocking: Make, kind: str) -> None:
    with pytest.raises(SocketError) as caught:
        do(blocking(kind), "bind", "udp://127.0.0.1:*")
    assert caught.value.errno == ENOCOMPATPROTO


def test_only_a_radio_can_be_connected(blocking: Make) -> None:
    with pytest.raises(SocketError) as caught:
        do(blocking("DISH"), "connect", "udp://127.0.0.1:5555")
    assert caught.value.errno == ENOCOMPATPROTO


def test_an_endpoint_can_be_taken_back_once(blocking: Make) -> None:
    radio, dish = pair(blocking)
    endpoint = dish.engine.last_endpoint
    do(dish, "unbind", endpoint)
    do(radio, "disconnect", endpoint)
    for take_back in (
        lambda: do(dish, "unbind", endpoint),
        lambda: do(radio, "disconnect", endpoint),
    ):
        with pytest.raises(SocketError) as caught:
            take_back()
        assert caught.value.errno == errno.ENOENT
    radio.send([b"news", b"x"], WAIT_MS)
    assert radio.engine.stats()["dropped"] == {"no-peer": 1}


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("udp://no.such.interface.here:5", errno.ENODEV),
        ("udp://nowhere0;239.0.0.1:*", errno.ENODEV),
    ],
)
def test_what_cannot_be_bound_is_an_error(blocking: Make, endpoint: str, code: int) -> None:
    with pytest.raises(SocketError) as caught:
        do(blocking("DISH"), "bind", endpoint)
    assert caught.value.errno == code
