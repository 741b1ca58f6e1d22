"""MQTT.js in a node process, which is spoken to in lines of JSON; the other end is node/peer.js."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.interop.client import NONE, WAIT_S, Client, Properties, Received
from tests.peers import program

#: Our names and MQTT.js's. User properties are an object there: the order of different names is
#: kept, that of equal ones too, but not how they were mixed.
_NAMES = {
    "user": "userProperties",
    "content_type": "contentType",
    "response_topic": "responseTopic",
    "correlation": "correlationData",
    "expiry_s": "messageExpiryInterval",
}


def _to_js(properties: Properties) -> dict[str, Any]:
    given: dict[str, Any] = {
        _NAMES[name]: value for name, value in properties._asdict().items() if value
    }
    if properties.user:
        given["userProperties"] = dict(properties.user)
    if properties.correlation:
        given["correlationData"] = properties.correlation.decode("latin1")
    return given


def _from_js(given: dict[str, Any]) -> Properties:
    named = {ours: given[js] for ours, js in _NAMES.items() if js in given}
    named["user"] = tuple(named.get("user", {}).items())
    if "correlation" in named:
        named["correlation"] = named["correlation"].encode("latin1")
    return Properties(**named)


class _Node:
    """The node process, one for all clients: a start of node takes longer than a test."""

    def __init__(self) -> None:
        node = program("node")
        assert node is not None
        self._process = subprocess.Popen(
            [node, str(Path(__file__).parent / "node" / "peer.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self._clients: dict[int, MqttJs] = {}
        self._count = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def enter(self, client: MqttJs) -> int:
        """The number under which a client's commands and events go."""
        self._count += 1
        self._clients[self._count] = client
        return self._count

    def say(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._clients[event["client"]].take_event(event)
        for client in self._clients.values():
            client.take_event({"event": "node ended"})

    def end(self) -> None:
        """Nothing more comes on its standard input: that ends it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        self._process.stdout.close()


class MqttJs(Client):
    """MQTT.js."""

    peer = "mqtt.js"
    _node: ClassVar[_Node | None] = None

    @classmethod
    def end_node(cls) -> None:
        """To be called when no more clients are made."""
        if cls._node is not None:
            cls._node.end()
            cls._node = None

    def connect(self) -> None:
        if MqttJs._node is None:
            MqttJs._node = _Node()
        self._number = MqttJs._node.enter(self)
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        will = None
        if self.will is not None:
            will = {**self.will._asdict(), "payload": self.will.payload.decode("latin1")}
        self._say(
            "connect",
            port=self.port,
            clientId=self.client_id,
            version=self.version,
            clean=self.clean,
            will=will,
            properties={"sessionExpiryInterval": 0 if self.clean else 3600},
        )
        self._wait("connected")

    def take_event(self, event: dict[str, Any]) -> None:
        """What node says of this client; called on its reader's thread."""
        if event["event"] == "message":
            payload = event["payload"].encode("latin1")
            properties = _from_js(event["properties"])
            self.messages.put(
                Received(event["topic"], payload, event["qos"], event["retain"], properties)
            )
        else:
            self._events.put(event)

    def _say(self, command: str, **more: object) -> None:
        assert MqttJs._node is not None
        given = {name: value for name, value in more.items() if value is not None}
        MqttJs._node.say({"command": command, "client": self._number, **given})

    def _wait(self, name: str) -> None:
        event = self._events.get(timeout=WAIT_S)
        assert event["event"] == name, event
        assert not event.get("error"), event

    def subscribe(self, filter: str, qos: int) -> None:
        self._say("subscribe", filter=filter, qos=qos)
        self._wait("subscribed")

    def _publish(self, topic: str, payloads: Sequence[bytes], qos: int, **more: object) -> None:
        words = [payload.decode("latin1") for payload in payloads]
        self._say("publish", topic=topic, payloads=words, qos=qos, **more)
        self._wait("published")

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool = False,
        properties: Properties = NONE,
    ) -> None:
        self._publish(topic, [payload], qos, retain=retain, properties=_to_js(properties))

    def publish_all(self, topic: str, payloads: Sequence[bytes], qos: int) -> None:
        for burst in self.bursts(payloads, qos):
            self._publish(topic, burst, qos)

    def drop(self) -> None:
        self._say("drop")
        self._wait("closed")

    def close(self) -> None:
        self._say("end")
        self._wait("closed")
