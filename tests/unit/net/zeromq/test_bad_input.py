"""Whatever a peer sends: nothing is raised, the peer is dropped, the socket lives on."""

from __future__ import annotations

import socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midge.patterns import monitor as m
from midge.zmtp.commands import encode_ping
from midge.zmtp.frames import encode_frame
from midge.zmtp.greeting import OPENING, rest_of_greeting
from midge.zmtp.metadata import encode_metadata
from tests.unit.net.zeromq.conftest import World

_GREETING = OPENING + rest_of_greeting("NULL", False)


def _ready(socket_type: bytes) -> bytes:
    return encode_frame(4, b"\x05READY" + encode_metadata([("Socket-Type", socket_type)]))


#: What a conversation can be made of; the most of it is wrong somewhere.
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            _GREETING,
            OPENING,
            _ready(b"PUSH"),
            _ready(b"SUB"),
            _ready(b"DEALER"),
            _ready(b""),
            encode_frame(0, b"hello"),
            encode_frame(1, b"more"),
            encode_frame(4, b"\x09SUBSCRIBEa"),
            encode_frame(4, b"\x06CANCELa"),
            encode_frame(4, encode_ping(0.1, b"context")),
            encode_frame(4, b"\x05ERROR\x03no!"),
            encode_frame(0, b"\x01a"),
            b"\x02" + b"\xff" * 8,
            b"\x00\xff",
            b"\x06" + bytes(8),
        ]
    ),
)
_BEGINNINGS = {"PULL": b"PUSH", "XPUB": b"SUB", "ROUTER": b"DEALER", "REP": b"DEALER"}


@given(
    type_name=st.sampled_from(sorted(_BEGINNINGS)),
    introduced=st.booleans(),
    pieces=st.lists(PIECES, max_size=8),
    cuts=st.integers(1, 50),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes_end_the_peer_or_are_a_message(
    type_name: str, introduced: bool, pieces: list[bytes], cuts: int
) -> None:
    world = World()
    try:
        engine = world.socket(type_name)
        endpoint = engine.bind("tcp://127.0.0.1:*")
        port = int(endpoint.rpartition(":")[2])
        data = b"".join(pieces)
        if introduced:
            data = _GREETING + _ready(_BEGINNINGS[type_name]) + data
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            for start in range(0, len(data), cuts):
                try:
                    stranger.send(data[start : start + cuts])
                except OSError:
                    break
                world.reactor.settle(0)
            world.reactor.settle(1)
            while engine.receive() is not None:
                pass
        world.reactor.settle(2)
        assert engine.shaking.count == 0
        assert not engine.wires
        # Others are still served.
        friend = world.socket({"PULL": "PUSH", "XPUB": "SUB"}.get(type_name, "DEALER"))
        friend.connect(endpoint)
        world.reactor.settle(2)
        assert m.HANDSHAKE_SUCCEEDED in world.events(friend.type_name)
    finally:
        world.end()
    assert world.reactor.watched == 0


def test_a_frame_larger_than_allowed_ends_the_peer_at_its_header() -> None:
    world = World()
    pull = world.socket("PULL", message_bytes_max=1000)
    endpoint = pull.bind("tcp://127.0.0.1:*")
    push = world.socket("PUSH")
    push.connect(endpoint)
    world.reactor.settle()
    assert push.send(b"x" * 1000)
    assert push.send(b"x" * 1001)
    world.reactor.settle()
    assert pull.receive() == b"x" * 1000
    assert pull.receive() is None
    assert m.DISCONNECTED in world.events("PULL")
    world.end()


def test_a_type_that_does_not_fit_is_refused_with_the_number_of_libzmq() -> None:
    world = World()
    pull, publisher = world.socket("PULL"), world.socket("PUB")
    publisher.connect(pull.bind("tcp://127.0.0.1:*"))
    world.reactor.settle()
    assert world.values("PULL", m.HANDSHAKE_FAILED_PROTOCOL) == [0x10000018]
    assert world.events("PULL")[-1] == m.DISCONNECTED
    assert not pull.pattern.peers()
    world.end()


def test_inproc_types_that_do_not_fit_are_not_joined() -> None:
    world = World()
    pull, publisher = world.socket("PULL"), world.socket("PUB")
    pull.bind("inproc://x")
    publisher.connect("inproc://x")
    world.reactor.settle()
    assert not pull.pattern.peers()
    assert not publisher.pattern.peers()
    world.end()
