"""The libraries for asyncio, each client in an event loop and a thread of its own."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

from tests.interop.client import NONE, WAIT_S, Client, Properties, Received
from tests.interop.paho_client import connect_properties, from_paho, to_paho


class _InLoop(Client):
    """What they share: the loop."""

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

    async def _connect(self) -> None:
        import aiomqtt

        extra: dict[str, Any] = {"clean_session": self.clean}
        if self.version == 5:
            extra = {"clean_start": self.clean, "properties": connect_properties(self.clean)}
        self._client = aiomqtt.Client(
            "127.0.0.1",
            self.port,
            identifier=self.client_id,
            protocol=aiomqtt.ProtocolVersion(self.version),
            will=None if self.will is None else aiomqtt.Will(*self.will),
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
                        message.topic.value,
                        bytes(message.payload),
                        message.qos,
                        message.retain,
                        from_paho(message.properties),
                    )
                )
        except aiomqtt.MqttError:
            pass  # the connection was cut on purpose

    def subscribe(self, filter: str, qos: int) -> None:
        self._run(self._client.subscribe(filter, qos))

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool = False,
        properties: Properties = NONE,
    ) -> None:
        more = to_paho(properties) if self.version == 5 else None
        self._run(self._client.publish(topic, payload, qos, retain, more))

    def publish_all(self, topic: str, payloads: Sequence[bytes], qos: int) -> None:
        async def publish() -> None:
            await asyncio.gather(*[self._client.publish(topic, one, qos) for one in payloads])

        self._run(publish())

    def drop(self) -> None:
        async def cut() -> None:
            self._client._client.socket().shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.1)

        self._run(cut())
        self._finish()

    def close(self) -> None:
        self._run(self._client.__aexit__(None, None, None))
        self._finish()


#: Our names and gmqtt's.
_NAMES = {
    "user": "user_property",
    "content_type": "content_type",
    "response_topic": "response_topic",
    "correlation": "correlation_data",
    "expiry_s": "message_expiry_interval",
}


def _from_gmqtt(given: dict[str, Any]) -> Properties:
    """It gives every property as a list, and correlation data as it finds it."""
    named: dict[str, Any] = {ours: given[its] for ours, its in _NAMES.items() if its in given}
    user = tuple(tuple(pair) for pair in named.pop("user", ()))
    made = Properties(user=user, **{name: value[0] for name, value in named.items()})
    if isinstance(made.correlation, str):
        made = made._replace(correlation=made.correlation.encode())
    return made


class Gmqtt(_InLoop):
    """gmqtt, which has no MQTT 3.1."""

    peer = "gmqtt"
    versions = (4, 5)

    async def _connect(self) -> None:
        import gmqtt

        will = None
        if self.will is not None:
            topic, payload, qos, retain = self.will
            will = gmqtt.Message(topic, payload, qos=qos, retain=retain)
        extra = {} if self.version == 4 or self.clean else {"session_expiry_interval": 3600}
        self._client = gmqtt.Client(
            self.client_id, clean_session=self.clean, will_message=will, **extra
        )
        self._client.set_config({"reconnect_retries": 0})
        self._subscribed: queue.Queue[int] = queue.Queue()
        self._client.on_subscribe = lambda client, mid, qos, properties: self._subscribed.put(mid)

        def on_message(client: Any, topic: str, payload: bytes, qos: int, given: Any) -> int:
            retained = bool(given.get("retain", 0))
            self.messages.put(Received(topic, bytes(payload), qos, retained, _from_gmqtt(given)))
            return 0

        self._client.on_message = on_message
        await self._client.connect("127.0.0.1", self.port, version=self.version)

    def subscribe(self, filter: str, qos: int) -> None:
        import gmqtt

        self._loop.call_soon_threadsafe(self._client.subscribe, gmqtt.Subscription(filter, qos=qos))
        self._subscribed.get(timeout=WAIT_S)

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool = False,
        properties: Properties = NONE,
    ) -> None:
        given = {_NAMES[name]: value for name, value in properties._asdict().items() if value}
        if properties.user:
            given["user_property"] = list(properties.user)
        self._run(self._publish(topic, [payload], qos, retain=retain, **given))

    def publish_all(self, topic: str, payloads: Sequence[bytes], qos: int) -> None:
        for burst in self.bursts(payloads, qos):
            self._run(self._publish(topic, burst, qos))

    async def _publish(self, topic: str, payloads: Sequence[bytes], qos: int, **more: Any) -> None:
        for payload in payloads:
            self._client.publish(topic, payload, qos=qos, **more)
        if qos:  # it says nothing of acknowledgements, but it keeps what has none
            await self._client._persistent_storage.wait_empty()

    def drop(self) -> None:
        async def cut() -> None:
            self._client._connection._transport.abort()
            await asyncio.sleep(0.1)

        self._run(cut())
        self._finish()

    def close(self) -> None:
        self._run(self._client.disconnect())
        self._finish()
