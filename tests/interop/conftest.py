"""A broker for all clients of a module, and a room in it for each test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.clients import Client, MqttJs
from tests.process import BrokerProcess


@pytest.fixture(scope="session", autouse=True)
def node_ends_with_the_tests() -> Iterator[None]:
    """All clients in JavaScript share a process."""
    yield
    MqttJs.end_node()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker for all: every test has client ids and topics of its own."""
    # The clients are compared here, not what is done with those that are too slow.
    extra = "max_queued_messages 20000\n"
    with BrokerProcess(tmp_path_factory.mktemp("broker"), extra) as running:
        yield running


class Room:
    """Makes clients for one test and closes them behind it."""

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self._name = "".join(letter if letter.isalnum() else "-" for letter in name)
        self._open: list[Client] = []
        self._count = 0
        #: The beginning of all topics of this test.
        self.topic = f"t/{self._name}"

    def client(
        self, kind: type[Client], version: int, client_id: str | None = None, **more: Any
    ) -> Client:
        self._count += 1
        name = f"{self._name}-{client_id or self._count}"
        client = kind(self._port, name, version, **more)
        client.connect()
        self._open.append(client)
        return client

    def drop(self, client: Client) -> None:
        self._open.remove(client)
        client.drop()

    def close(self, client: Client) -> None:
        self._open.remove(client)
        client.close()

    def close_all(self) -> None:
        """Close what is open, each although another could not be closed."""
        with contextlib.ExitStack() as stack:
            for client in self._open:
                stack.callback(client.close)


@pytest.fixture
def room(broker: BrokerProcess, request: pytest.FixtureRequest) -> Iterator[Room]:
    made = Room(broker.port, request.node.name)
    yield made
    made.close_all()
