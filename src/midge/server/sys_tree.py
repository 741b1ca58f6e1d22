"""Publishes what the broker tells about itself, and the log where it goes to topics.

The values come from :mod:`midge.broker.sys_tree`. As with Mosquitto since 2.1, updates come when
the clock of the machine shows a multiple of ``sys_interval``, as retained messages of QoS 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.broker.sys_tree import SysTree
from midge.limits import LOG_TOPIC_EXPIRY_S
from midge.message import NEVER, Message
from midge.server.memory import memory_bytes

if TYPE_CHECKING:
    import asyncio

    from midge.clock import Clock
    from midge.server.log_sinks import TopicSink
    from midge.server.mqtt_server import MqttServer

_QOS: Final = 2


class SysPublisher:
    """Publishes below ``$SYS``.

    Args:
        server: whose values.
        version: what ``$SYS/broker/version`` says.
        clock: of the machine.
    """

    __slots__ = ("_clock", "_interval_s", "_loop", "_server", "_timer", "_tree", "_version")

    def __init__(
        self,
        server: MqttServer,
        loop: asyncio.AbstractEventLoop,
        version: str,
        clock: Clock,
    ) -> None:
        self._server = server
        self._loop = loop
        self._version = version
        self._clock = clock
        self._interval_s = 0
        self._tree: SysTree | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Publish everything, and then what changes; to be called again when settings change."""
        interval_s = self._server.broker.settings.sys_interval_s
        if interval_s == self._interval_s:
            return
        self.close()
        self._interval_s = interval_s
        if not interval_s:
            return
        if self._tree is None:
            now = self._server.now()
            self._tree = SysTree(self._server.broker, self._version, now)
            self._publish(self._tree.first(now, memory_bytes()))
        self._arm()

    def close(self) -> None:
        """Publish no more."""
        self._interval_s = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        wait_s = self._interval_s - self._clock.wall() % self._interval_s
        self._timer = self._loop.call_later(wait_s, self._update)

    def _update(self) -> None:
        assert self._tree is not None
        self._publish(self._tree.update(self._server.now(), memory_bytes()))
        self._arm()

    def _publish(self, values: list[tuple[str, str]]) -> None:
        now = self._server.now()
        router = self._server.broker.router
        for topic, value in values:
            router.publish(Message(topic, value.encode(), _QOS, True, None, NEVER, ""), None, now)
        self._server.wake()


def publish_log(server: MqttServer, sink: TopicSink) -> None:
    """Publish the lines of the log that wait."""
    now = server.now()

    def publish(topic: str, line: bytes) -> None:
        message = Message(topic, line, _QOS, False, None, now + LOG_TOPIC_EXPIRY_S, "")
        server.broker.router.publish(message, None, now)

    sink.take(publish)
    server.wake()
