"""Sockets of midge.zmq, and the same of pyzmq: a test that both pass is right about both."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

#: Milliseconds after which a call that should have been done is over.
PATIENCE_MS = 10_000


class Bench:
    """Makes sockets whose calls end, and closes them.

    Attributes:
        zmq: the module they are of.
        context: their context.
    """

    def __init__(self, zmq: ModuleType) -> None:
        self.zmq: Any = zmq
        self.context: Any = zmq.Context()
        self._made: list[Any] = []

    def socket(self, kind: str, **options: object) -> Any:
        """A socket of the type of that name."""
        made = self.context.socket(getattr(self.zmq, kind))
        self._made.append(made)
        made.linger = 0
        made.rcvtimeo = made.sndtimeo = PATIENCE_MS
        for name, value in options.items():
            setattr(made, name, value)
        return made

    def pair(self, first: str, second: str, transport: str = "inproc") -> tuple[Any, Any]:
        """Two sockets; the first is bound, the second connected to it."""
        one, other = self.socket(first), self.socket(second)
        self.join(one, other, transport)
        return one, other

    def join(self, one: Any, other: Any, transport: str = "inproc") -> None:
        """Bind one and connect the other."""
        endpoints = {
            "inproc": f"inproc://bench-{len(self._made)}",
            "ipc": "ipc://*",
            "tcp": "tcp://127.0.0.1:*",
        }
        one.bind(endpoints[transport])
        other.connect(one.last_endpoint.decode())

    def end(self) -> None:
        """Close everything."""
        for made in self._made:
            if not made.closed:
                made.close(0)
        self.context.destroy(0)  # monitors too


@pytest.fixture(params=["midge.zmq", pytest.param("zmq", marks=pytest.mark.peer("pyzmq"))])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Both of them, one after the other."""
    made = Bench(importlib.import_module(request.param))
    yield made
    made.end()


@pytest.fixture
def ours() -> Iterator[Bench]:
    """For what only midge.zmq has."""
    made = Bench(importlib.import_module("midge.zmq"))
    yield made
    made.end()
