"""midge's engine here, libzmq in another process: under Python, or under Node."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from midge.net.zeromq.blocking import BlockingEngine
from midge.net.zeromq.blocking_context import BlockingContext
from tests.peers import program

_HERE = Path(__file__).parent
_UNDER_PYTHON = [sys.executable, str(_HERE / "libzmq_peer.py")]
_UNDER_NODE = str(_HERE.parent / "node" / "zeromq_peer.js")
TIMEOUT_MS = 10_000


class Libzmq:
    """The other process; its verbs are methods here."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            self.tell(verb, *arguments)
            return self.hear()

        return ask

    def tell(self, verb: str, *arguments: Any) -> None:
        """Have something done that takes a while; :meth:`hear` has the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([verb, *arguments]) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        answer = json.loads(self.process.stdout.readline())
        if "errno" in answer:
            raise OSError(answer["errno"], answer.get("text", "libzmq says so"))
        return answer["ok"]

    def end(self) -> None:
        """Close the socket properly and wait for the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()


def _peers(command: list[str]) -> Iterator[Callable[[str], Libzmq]]:
    made: list[Libzmq] = []

    def make(type_name: str) -> Libzmq:
        peer = Libzmq(command)
        made.append(peer)
        peer.socket_of(type_name)
        return peer

    yield make
    for peer in made:
        peer.end()


@pytest.fixture
def libzmq() -> Iterator[Callable[[str], Libzmq]]:
    """Makes processes with a socket of the type that is asked for."""
    yield from _peers(_UNDER_PYTHON)


@pytest.fixture
def node() -> Iterator[Callable[[str], Libzmq]]:
    """The same, with Node and its zeromq in them."""
    found = program("node")
    assert found is not None
    yield from _peers([found, _UNDER_NODE])


@pytest.fixture
def midge() -> Iterator[Callable[..., BlockingEngine]]:
    """Makes sockets of ours; keyword arguments are attributes of the options."""
    context = BlockingContext()

    def make(type_name: str, **options: Any) -> BlockingEngine:
        made = BlockingEngine(type_name, context)
        for name, value in options.items():
            setattr(made.engine.options, name, value)
        return made

    yield make
    for engine in context.engines:
        engine.close(0)
    assert context.wait_empty(5)
    context.stop()
