"""paho-mqtt with its own network thread, and its properties, which aiomqtt has too."""

from __future__ import annotations

import queue
import socket
from collections.abc import Sequence
from typing import Any

from tests.interop.client import NONE, WAIT_S, Client, Properties, Received

#: Our names and paho's.
_NAMES = {
    "user": "UserProperty",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation": "CorrelationData",
    "expiry_s": "MessageExpiryInterval",
}


def paho_properties(packet: str, **named: object) -> Any:
    """Properties of one kind of packet, by paho's names."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties as PahoProperties

    made = PahoProperties(getattr(PacketTypes, packet))
    for name, value in named.items():
        setattr(made, name, value)
    return made


def to_paho(properties: Properties) -> Any:
    """Ours as paho's."""
    given = {_NAMES[name]: value for name, value in properties._asdict().items() if value}
    if properties.user:
        given["UserProperty"] = list(properties.user)
    return paho_properties("PUBLISH", **given)


def from_paho(properties: Any) -> Properties:
    """Paho's as ours; ``None`` is what it has in the older versions."""
    named: dict[str, Any] = {
        ours: getattr(properties, paho)
        for ours, paho in _NAMES.items()
        if hasattr(properties, paho)
    }
    named["user"] = tuple(named.get("user", ()))
    return Properties(**named)


def connect_properties(clean: bool) -> Any:
    """A session that ends with the connection, or is kept."""
    return paho_properties("CONNECT", SessionExpiryInterval=0 if clean else 3600)


class Paho(Client):
    """paho-mqtt."""

    peer = "paho"

    def connect(self) -> None:
        import paho.mqtt.client as paho

        extra: dict[str, Any] = {} if self.version == 5 else {"clean_session": self.clean}
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, self.client_id, protocol=self.version, **extra
        )
        self._done: queue.Queue[object] = queue.Queue()
        self._client.on_connect = lambda *given: self._done.put(given)
        self._client.on_subscribe = lambda *given: self._done.put(given)
        self._client.on_message = lambda client, user, message: self.messages.put(
            Received(
                message.topic,
                message.payload,
                message.qos,
                message.retain,
                from_paho(message.properties),
            )
        )
        if self.will is not None:
            self._client.will_set(*self.will)
        more: dict[str, Any] = {}
        if self.version == 5:
            more = {"clean_start": self.clean, "properties": connect_properties(self.clean)}
        self._client.connect("127.0.0.1", self.port, **more)
        self._client.loop_start()
        self._done.get(timeout=WAIT_S)
        assert self._client.is_connected()

    def subscribe(self, filter: str, qos: int) -> None:
        self._client.subscribe(filter, qos)
        self._done.get(timeout=WAIT_S)

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool = False,
        properties: Properties = NONE,
    ) -> None:
        more = to_paho(properties) if self.version == 5 else None
        self._client.publish(topic, payload, qos, retain, more).wait_for_publish(WAIT_S)

    def publish_all(self, topic: str, payloads: Sequence[bytes], qos: int) -> None:
        for sent in [self._client.publish(topic, payload, qos) for payload in payloads]:
            sent.wait_for_publish(WAIT_S)

    def drop(self) -> None:
        open_socket = self._client.socket()
        self._client.loop_stop()
        assert open_socket is not None
        open_socket.shutdown(socket.SHUT_RDWR)
        open_socket.close()
        self._forget()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._forget()

    def _forget(self) -> None:
        """Its sockets are closed with its last reference, and the callbacks hold us and so it."""
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None
        del self._client
