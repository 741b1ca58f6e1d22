"""Other people's MQTT clients behind one interface, each run as its own users run it.

A :class:`Client` connects, subscribes, publishes and waits for messages, in a version and a library
of its own. Two of any kind make a test.
"""

from __future__ import annotations

import asyncio
import json
import queue
import subprocess
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from tests.peers import program

WAIT_S = 15


class Received(NamedTuple):
    """A message as a client saw it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Will(NamedTuple):
    """What is published when the client is gone."""

    topic: str
    payload: bytes


class Client:
    """One client. Every method returns when what it does is done.

    Attributes:
        peer: the name of the peer that it needs.
        versions: those that it speaks.
        messages: what it has received.
    """

    peer = ""
    versions: tuple[int, ...] = (4, 5)

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

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        """Cut the connection without a goodbye."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def take(self, count: int) -> list[Received]:
        """The next messages."""
        return [self.messages.get(timeout=WAIT_S) for _ in range(count)]


class Mosquitto(Client):
    """mosquitto_pub and mosquitto_sub, a process for each action."""

    peer = "mosquitto_pub"
    versions = (3, 4, 5)

    def connect(self) -> None:
        self._subscriber: subprocess.Popen[str] | None = None

    def _flags(self, client_id: str) -> list[str]:
        version = {3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}[self.version]
        return ["-h", "127.0.0.1", "-p", str(self.port), "-V", version, "-i", client_id]

    def subscribe(self, filter: str, qos: int) -> None:
        path = program("mosquitto_sub")
        assert path is not None
        words = [path, *self._flags(self.client_id), "-t", filter, "-q", str(qos), "-d"]
        words += ["-F", "%q %r %t %x"]
        if not self.clean:
            words += ["-c", *(["-x", "3600"] if self.version == 5 else [])]
        if self.will is not None:
            words += ["--will-topic", self.will.topic]
            words += ["--will-payload", self.will.payload.decode()]
        # Into a pipe it would write only when its buffer is full.
        self._subscriber = subprocess.Popen(
            ["stdbuf", "-oL", *words], stdout=subprocess.PIPE, text=True
        )
        subscribed = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(subscribed,), daemon=True)
        self._reader.start()
        assert subscribed.wait(WAIT_S), "mosquitto_sub did not subscribe"

    def _read(self, subscribed: threading.Event) -> None:
        assert self._subscriber is not None
        assert self._subscriber.stdout is not None
        for line in self._subscriber.stdout:
            words = line.rstrip("\n").split(" ")
            if "SUBACK" in words:
                subscribed.set()
            elif words[0] in ("0", "1", "2") and len(words) == 4:
                self.messages.put(
                    Received(words[2], bytes.fromhex(words[3]), int(words[0]), words[1] == "1")
                )

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        path = program("mosquitto_pub")
        assert path is not None
        words = [path, *self._flags(self.client_id + "-pub"), "-t", topic, "-q", str(qos)]
        words.append("-s" if payload else "-n")
        subprocess.run(
            [*words, *(["-r"] if retain else [])], input=payload, check=True, timeout=WAIT_S
        )

    def drop(self) -> None:
        assert self._subscriber is not None
        self._subscriber.kill()
        self._end()

    def close(self) -> None:
        if self._subscriber is not None:
            self._subscriber.terminate()
            try:
                self._subscriber.wait(2)
            except subprocess.TimeoutExpired:
                # Its signal handler takes a lock, and waits for ever where the signal came while
                # the program itself held it.
                self._subscriber.kill()
            self._end()

    def _end(self) -> None:
        assert self._subscriber is not None
        self._subscriber.wait(WAIT_S)
        self._reader.join(WAIT_S)
        assert self._subscriber.stdout is not None
        self._subscriber.stdout.close()
        self._subscriber = None


class Paho(Client):
    """paho-mqtt with its own network thread."""

    peer = "paho"
    versions = (3, 4, 5)

    def connect(self) -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        extra: dict[str, Any] = {} if self.version == 5 else {"clean_session": self.clean}
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, self.client_id, protocol=self.version, **extra
        )
        self._done: queue.Queue[object] = queue.Queue()
        self._client.on_connect = lambda *given: self._done.put(given)
        self._client.on_subscribe = lambda *given: self._done.put(given)
        self._client.on_message = lambda client, user, message: self.messages.put(
            Received(message.topic, message.payload, message.qos, message.retain)
        )
        if self.will is not None:
            self._client.will_set(self.will.topic, self.will.payload)
        more: dict[str, Any] = {}
        if self.version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if self.clean else 3600
            more = {"clean_start": self.clean, "properties": properties}
        self._client.connect("127.0.0.1", self.port, **more)
        self._client.loop_start()
        self._done.get(timeout=WAIT_S)
        assert self._client.is_connected()

    def subscribe(self, filter: str, qos: int) -> None:
        self._client.subscribe(filter, qos)
        self._done.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos, retain).wait_for_publish(WAIT_S)

    def drop(self) -> None:
        import socket

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


class _InLoop(Client):
    """What the asyncio libraries share: an event loop in a thread of its own."""

    def connect(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._connect())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    async def _connect(self) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        async def cancel_rest() -> None:
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            await asyncio.sleep(0.05)  # transports close in the next turns

        self._run(cancel_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


class Aiomqtt(_InLoop):
    """aiomqtt."""

    peer = "aiomqtt"
    versions = (3, 4, 5)

    async def _connect(self) -> None:
        import aiomqtt

        extra: dict[str, Any] = {}
        if self.version == 5:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties

            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if self.clean else 3600
            extra = {"clean_start": self.clean, "properties": properties}
        else:
            extra = {"clean_session": self.clean}
        will = None if self.will is None else aiomqtt.Will(self.will.topic, self.will.payload)
        self._client = aiomqtt.Client(
            "127.0.0.1",
            self.port,
            identifier=self.client_id,
            protocol=aiomqtt.ProtocolVersion(self.version),
            will=will,
            **extra,
        )
        await self._client.__aenter__()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        import aiomqtt

        try:
            async for message in self._client.messages:
                self.messages.put(
                    Received(
                        message.topic.value, bytes(message.payload), message.qos, message.retain
                    )
                )
        except aiomqtt.MqttError:
            pass  # the connection was cut on purpose

    def subscribe(self, filter: str, qos: int) -> None:
        self._run(self._client.subscribe(filter, qos))

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        self._run(self._client.publish(topic, payload, qos, retain))

    def drop(self) -> None:
        async def cut() -> None:
            import socket

            self._client._client.socket().shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.1)

        self._run(cut())
        self._finish()

    def close(self) -> None:
        self._run(self._client.__aexit__(None, None, None))
        self._finish()


class Gmqtt(_InLoop):
    """gmqtt."""

    peer = "gmqtt"

    async def _connect(self) -> None:
        import gmqtt

        will = None if self.will is None else gmqtt.Message(self.will.topic, self.will.payload)
        extra = {} if self.version == 4 or self.clean else {"session_expiry_interval": 3600}
        self._client = gmqtt.Client(
            self.client_id, clean_session=self.clean, will_message=will, **extra
        )
        self._client.set_config({"reconnect_retries": 0})
        self._subscribed: queue.Queue[int] = queue.Queue()
        self._client.on_subscribe = lambda client, mid, qos, properties: self._subscribed.put(mid)

        def on_message(client: Any, topic: str, payload: bytes, qos: int, properties: Any) -> int:
            retained = bool(properties.get("retain", 0))
            self.messages.put(Received(topic, bytes(payload), qos, retained))
            return 0

        self._client.on_message = on_message
        await self._client.connect("127.0.0.1", self.port, version=self.version)

    def subscribe(self, filter: str, qos: int) -> None:
        import gmqtt

        self._loop.call_soon_threadsafe(self._client.subscribe, gmqtt.Subscription(filter, qos=qos))
        self._subscribed.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        async def publish() -> None:
            self._client.publish(topic, payload, qos=qos, retain=retain)
            if qos:  # it says nothing of acknowledgements, but it keeps what has none
                await self._client._persistent_storage.wait_empty()

        self._run(publish())

    def drop(self) -> None:
        async def cut() -> None:
            self._client._connection._transport.abort()
            await asyncio.sleep(0.1)

        self._run(cut())
        self._finish()

    def close(self) -> None:
        self._run(self._client.disconnect())
        self._finish()


class MqttJs(Client):
    """MQTT.js in a node process, spoken to in lines of JSON."""

    peer = "mqtt.js"
    versions = (3, 4, 5)

    def connect(self) -> None:
        node = program("node")
        assert node is not None
        self._process = subprocess.Popen(
            [node, str(Path(__file__).parent / "node" / "peer.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        properties = (
            {"sessionExpiryInterval": 3600} if self.version == 5 and not self.clean else None
        )
        will = None
        if self.will is not None:
            will = {"topic": self.will.topic, "payload": self.will.payload.decode()}
        self._say(
            "connect",
            port=self.port,
            clientId=self.client_id,
            version=self.version,
            clean=self.clean,
            will=will,
            properties=properties,
        )
        self._wait("connected")

    def _say(self, command: str, **more: object) -> None:
        assert self._process.stdin is not None
        given = {name: value for name, value in more.items() if value is not None}
        self._process.stdin.write(json.dumps({"command": command, **given}) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if event["event"] == "message":
                payload = event["payload"].encode("latin1")
                self.messages.put(Received(event["topic"], payload, event["qos"], event["retain"]))
            else:
                self._events.put(event)

    def _wait(self, name: str) -> None:
        event = self._events.get(timeout=WAIT_S)
        assert event["event"] == name, event
        assert not event.get("error"), event

    def subscribe(self, filter: str, qos: int) -> None:
        self._say("subscribe", filter=filter, qos=qos)
        self._wait("subscribed")

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        self._say("publish", topic=topic, payload=payload.decode("latin1"), qos=qos, retain=retain)
        self._wait("published")

    def drop(self) -> None:
        self._say("drop")
        self._wait("closed")
        self.close()

    def close(self) -> None:
        self._say("end")
        self._process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()


KINDS: tuple[Callable[..., Client], ...] = (Mosquitto, Paho, Aiomqtt, Gmqtt, MqttJs)
