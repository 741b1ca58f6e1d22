"""Turns of the server when something of ours fails in one of them."""

from __future__ import annotations

import asyncio
from typing import Any

from midge.config.settings import Settings
from midge.server.mqtt_server import MqttServer


class Once:
    """Something that is due at once, and may fail at it."""

    def __init__(self, now: float, fault: Exception | None = None) -> None:
        self._due: float | None = now
        self._fault = fault
        self.ticked = False

    def next_deadline(self) -> float | None:
        return self._due

    def tick(self, now: float) -> None:
        if self._fault is not None:
            raise self._fault
        self._due = None
        self.ticked = True


async def test_a_fault_in_what_is_due_is_told_and_the_rest_is_done() -> None:
    said: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: said.append(context))
    server = MqttServer(Settings())
    server.broker.deadlines.add(Once(server.now(), LookupError("a fault")))
    sound = Once(server.now())
    server.broker.deadlines.add(sound)
    server.wake()
    for _ in range(500):
        await asyncio.sleep(0.002)
        if sound.ticked:
            break
    assert sound.ticked
    assert [type(context["exception"]) for context in said] == [LookupError]
    await server.close()
