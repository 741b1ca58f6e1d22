"""Peers whose ZAP handler leaves while they wait for its decision."""

from __future__ import annotations

from typing import Any

import pytest

from midge.net.zeromq.engine import SocketEngine
from midge.patterns import monitor as m
from tests.unit.net.zeromq.conftest import World

ENDPOINT = "inproc://zeromq.zap.01"


def allow(question: Any) -> list[bytes]:
    """The handler's answer, as its ROUTER sends it."""
    start = question.index(b"") + 1
    return [*question[:start], *question[start : start + 2], b"200", b"OK", b"alice", b""]


def client(world: World, endpoint: str, name: str) -> SocketEngine:
    push = world.socket("PUSH", name, plain_username="alice", plain_password="secret")
    push.connect(endpoint)
    push.send(name.encode())
    world.reactor.settle()
    return push


@pytest.mark.parametrize("another_asks", [False, True])
def test_a_handler_that_leaves_has_its_questions_asked_again(
    world: World, another_asks: bool
) -> None:
    handler = world.socket("ROUTER", "first handler")
    handler.bind(ENDPOINT)
    pull = world.socket("PULL", plain_server=True, zap_domain="global", handshake_ms=0)
    endpoint = pull.bind("tcp://127.0.0.1:*")
    client(world, endpoint, "one")
    client(world, endpoint, "two")
    assert pull.shaking.count == 2
    assert handler.receive() is not None
    handler.close(0, lambda: None)
    second = world.socket("ROUTER", "second handler")
    second.bind(ENDPOINT)
    if another_asks:
        client(world, endpoint, "three")
    world.reactor.settle()
    assert len(world.values("PULL", m.HANDSHAKE_FAILED_AUTH)) == 2
    world.reactor.advance(1)
    wanted = {b"one", b"two", b"three"} if another_asks else {b"one", b"two"}
    for _ in wanted:
        second.send(allow(second.receive()))
        world.reactor.settle()
    assert {pull.receive() for _ in wanted} == wanted
    assert pull.shaking.count == 0


def test_an_answer_given_just_before_the_handler_left_counts(world: World) -> None:
    handler = world.socket("ROUTER", "handler")
    handler.bind(ENDPOINT)
    pull = world.socket("PULL", plain_server=True, zap_domain="global")
    client(world, pull.bind("tcp://127.0.0.1:*"), "one")
    handler.send(allow(handler.receive()))
    handler.close(-1, lambda: None)
    world.reactor.settle()
    assert pull.receive() == b"one"
