"""A client on a plain socket, for tests that want to see every packet."""

from __future__ import annotations

import socket
from typing import ClassVar

from midge.mqtt import packets as p
from midge.mqtt.connection import CLIENT, Connection


class Raw:
    """A client on a plain socket that says and hears whole packets."""

    #: All that were made, so that a test need not close what it has no use for any more.
    made: ClassVar[list[Raw]] = []

    def __init__(
        self, port: int, client_id: str, version: int = 5, host: str = "127.0.0.1"
    ) -> None:
        self.socket = socket.create_connection((host, port), timeout=10)
        self.made.append(self)
        self.connection = Connection(CLIENT, version)
        self.events: list[p.Packet] = []
        self.send(p.Connect(client_id, version))
        connack = self.take()
        assert isinstance(connack, p.Connack)
        assert connack.reason == 0

    def send(self, packet: p.Packet) -> None:
        self.connection.send(packet, 0.0)
        self.socket.sendall(b"".join(self.connection.data_to_send()))

    def take(self) -> p.Packet | None:
        """The next packet; ``None`` when the broker has closed."""
        while not self.events:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.events = self.connection.receive_data(data, 0.0)
        return self.events.pop(0)

    def subscribe(self, filter: str, qos: int = 0) -> None:
        self.send(p.Subscribe(1, [p.SubscribeTo(filter, qos)]))
        assert isinstance(self.take(), p.Suback)

    def close(self) -> None:
        self.socket.close()
