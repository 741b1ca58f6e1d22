"""What a test asks of any client, whoever wrote it.

A :class:`Client` connects, subscribes, publishes and waits for messages, in a version and a library
of its own. Two of any kind make a test. What a library calls things stays in its own module, and
what it cannot say is left out there, beside the reason.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from typing import NamedTuple

WAIT_S = 15


class Properties(NamedTuple):
    """What MQTT 5 adds to a message, as far as every library can say it."""

    user: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None


NONE = Properties()


class Received(NamedTuple):
    """A message as a client saw it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties = NONE


class Will(NamedTuple):
    """What is published when the client is gone."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Client:
    """One client. Every method returns when what it does is done.

    Args:
        port: the broker's, on this machine.
        client_id: as the broker sees it.
        version: 3 for MQTT 3.1, 4 for 3.1.1, 5.
        clean: no session is left, and none is taken up; otherwise it is kept for an hour.
        will: published if the client does not say goodbye.

    Attributes:
        peer: the name of the peer that it needs.
        versions: those that it speaks.
        messages: what it has received.
    """

    peer = ""
    versions: tuple[int, ...] = (3, 4, 5)

    def __init__(
        self,
        port: int,
        client_id: str,
        version: int,
        clean: bool = True,
        will: Will | None = None,
    ) -> None:
        self.port = port
        self.client_id = client_id
        self.version = version
        self.clean = clean
        self.will = will
        self.messages: queue.Queue[Received] = queue.Queue()

    def connect(self) -> None:
        raise NotImplementedError

    def subscribe(self, filter: str, qos: int) -> None:
        raise NotImplementedError

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool = False,
        properties: Properties = NONE,
    ) -> None:
        raise NotImplementedError

    def publish_all(self, topic: str, payloads: Sequence[bytes], qos: int) -> None:
        """Publish as fast as the library does; payloads are words of ASCII."""
        raise NotImplementedError

    def bursts(self, payloads: Sequence[bytes], qos: int) -> list[Sequence[bytes]]:
        """For a library that does not heed the broker's Receive Maximum: as many as that allows.

        Every message of a burst must be acknowledged before the next one.
        """
        size = 10 if qos and self.version == 5 else max(1, len(payloads))
        return [payloads[at : at + size] for at in range(0, len(payloads), size)]

    def drop(self) -> None:
        """Cut the connection without a goodbye."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def take(self, count: int) -> list[Received]:
        """The next messages."""
        return [self.messages.get(timeout=WAIT_S) for _ in range(count)]
