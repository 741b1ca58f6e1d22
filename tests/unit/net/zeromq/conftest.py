"""Sockets on a reactor whose clock is moved by hand, and a monitor that writes down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from midge.net.zeromq.blocking import BlockingEngine
from midge.net.zeromq.blocking_context import BlockingContext
from midge.net.zeromq.context import EngineContext
from midge.net.zeromq.engine import SocketEngine
from tests.unit.net.zeromq.fake_reactor import FakeReactor


class World:
    """A reactor, a context, and the sockets in it.

    Attributes:
        seen: what the monitors were told: name of the socket, event, value, endpoint.
    """

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.context = EngineContext(random=bytes)  # no chance: delays are exact
        self.engines: list[SocketEngine] = []
        self.seen: list[tuple[str, int, int, str]] = []

    def socket(self, type_name: str, name: str = "", **options: Any) -> SocketEngine:
        engine = SocketEngine(type_name, self.reactor, self.context)
        for option, value in options.items():
            setattr(engine.options, option, value)
        self.engines.append(engine)
        engine.on_monitor = lambda event, value, endpoint: self.seen.append(
            (name or type_name, event, value, endpoint)
        )
        return engine

    def events(self, name: str) -> list[int]:
        """What a socket's monitor was told."""
        return [event for who, event, _, _ in self.seen if who == name]

    def values(self, name: str, event: int) -> list[int]:
        return [value for who, what, value, _ in self.seen if (who, what) == (name, event)]

    def end(self) -> None:
        for engine in self.engines:
            if not engine.closed:
                engine.close(0, lambda: None)
        self.reactor.settle(0)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.end()
    assert made.reactor.watched == 0, "something is still registered after the end"


@pytest.fixture
def blocking() -> Iterator[Callable[..., BlockingEngine]]:
    """Makes blocking sockets of one context; keyword arguments are attributes of the options."""
    context = BlockingContext()

    def make(type_name: str, **options: Any) -> BlockingEngine:
        made = BlockingEngine(type_name, context)
        for name, value in options.items():
            setattr(made.engine.options, name, value)
        return made

    make.context = context  # type: ignore[attr-defined]
    yield make
    for engine in context.engines:
        engine.close(0)
    assert context.wait_empty(5), "a socket is still open after its close"
    context.stop()
