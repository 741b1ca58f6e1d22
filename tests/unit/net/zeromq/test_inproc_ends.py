"""inproc: ends that leave before they know that they have met somebody."""

from __future__ import annotations

import pytest

from tests.unit.net.zeromq.conftest import World


@pytest.mark.parametrize("linger_ms", [0, -1, 1000])
@pytest.mark.parametrize("binds_first", [True, False])
def test_who_binds_and_leaves_before_it_has_looked_is_gone_for_the_other(
    world: World, linger_ms: int, binds_first: bool
) -> None:
    pull, push = world.socket("PULL"), world.socket("PUSH")
    if binds_first:
        pull.bind("inproc://name")
        push.connect("inproc://name")
    else:
        push.connect("inproc://name")
        pull.bind("inproc://name")
    closed: list[bool] = []
    pull.close(linger_ms, lambda: closed.append(True))
    assert closed
    world.reactor.settle(0)
    assert not push.send(b"for nobody")
    assert not push.pattern.peers()
    assert not push.events()


def test_who_connects_and_leaves_before_it_has_looked_still_sends(world: World) -> None:
    push, pull = world.socket("PUSH"), world.socket("PULL")
    push.connect("inproc://name")
    assert push.send(b"waits for who binds")
    pull.bind("inproc://name")
    closed: list[bool] = []
    push.close(-1, lambda: closed.append(True))
    world.reactor.settle(0)
    assert pull.receive() == b"waits for who binds"
    assert closed
    assert not pull.pattern.peers()
