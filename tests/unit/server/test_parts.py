"""Small parts of the service: the look at the memory, the tree as text, listeners that change."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from midge.config.settings import Configuration, ListenerSettings, Settings
from midge.server.listeners import Listeners, why_not_open
from midge.server.log_sinks import StreamSink
from midge.server.logs import Log
from midge.server.memory import MemoryGuard, give_back, memory_bytes
from midge.server.mqtt_server import MqttServer
from midge.server.tree import tree_lines
from midge.testing.pair import World
from tests.unit.server.test_logs import StoppedClock


def make_log() -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(StoppedClock(), ("all",), [StreamSink(stream)], timestamp=False), stream


# -- memory --------------------------------------------------------------------------------------


class Loop:
    """Takes timers and runs them when told."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> Loop:
        self.due.append(callback)
        return self

    def cancel(self) -> None:
        self.due.clear()

    def run(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()


def test_the_memory_is_looked_at_while_there_is_a_limit() -> None:
    world = World(memory_bytes_max=1000)
    log, stream = make_log()
    loop, used = Loop(), 500
    guard = MemoryGuard(world.broker, loop, log, lambda: used)  # type: ignore[arg-type]
    guard.begin()
    assert not world.broker.metrics.memory_full
    used = 1001
    loop.run()
    assert world.broker.metrics.memory_full
    loop.run()
    used = 999
    loop.run()
    assert not world.broker.metrics.memory_full
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Warning: 1001 bytes of memory are in use, memory_limit is 1000:")
    used = 2000
    loop.run()
    world.settings.memory_bytes_max = 0
    guard.begin()  # a reload has lifted the limit
    assert not world.broker.metrics.memory_full
    assert loop.due == []


def test_the_memory_of_this_process_is_known_and_can_be_given_back() -> None:
    before = memory_bytes()
    assert before > 10_000_000
    pile = [bytes(1_000_000) for _ in range(50)]
    assert memory_bytes() > before
    del pile
    give_back()
    assert memory_bytes() < before + 40_000_000


# -- the tree --------------------------------------------------------------------------------------


def test_the_tree_has_a_line_a_level_and_says_who_is_there() -> None:
    world = World()
    world.connect("a").subscribe("x/y", 1)
    world.connect("b").subscribe("x/y", 2)
    world.connect("a2").subscribe("$share/g/x/#", 0)
    world.connect("c").subscribe("/", 0)
    assert list(tree_lines(world.broker.sessions.all())) == [
        "    x",
        "      y (a, 1) (b, 2)",
        "    $share",
        "      g",
        "        x",
        "          # (a2, 0)",
        "    ",
        "       (c, 0)",
    ]


# -- listeners -----------------------------------------------------------------------------------


def test_a_listener_that_cannot_be_opened_leaves_none_open() -> None:
    log, stream = make_log()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listeners = Listeners(log)
        free = ListenerSettings(host="127.0.0.1", port=0)
        both = [free, ListenerSettings(host="127.0.0.1", port=port)]
        assert not listeners.open(Configuration(settings=Settings(), listeners=both))
    assert listeners.all == []
    assert f"(port {port} on 127.0.0.1). Another program listens there, " in stream.getvalue()


def test_a_low_port_is_explained() -> None:
    text = why_not_open(ListenerSettings(port=443), PermissionError(13, "Permission denied"))
    assert text.startswith("Error: Permission denied (port 443). Ports below 1024 need root or")


@pytest.mark.parametrize("unix", [False, True])
async def test_an_heir_goes_on_where_the_listener_was_closed(tmp_path: Path, unix: bool) -> None:
    log, _ = make_log()
    listeners = Listeners(log)
    path = str(tmp_path / "s") if unix else None
    listener = listeners.open_one(ListenerSettings(host="127.0.0.1", port=0, unix_path=path))
    listeners.all.append(listener)
    server = MqttServer(Settings(allow_anonymous=True))
    await listeners.serve(server, listener)
    address = listener.sockets[0].getsockname()
    heir = listener.heir(
        Settings(), ListenerSettings(host="127.0.0.1", port=0, unix_path=path, max_qos=1)
    )
    listeners.remove(server, listener, heir=True)
    listeners.all.append(heir)
    await listeners.serve(server, heir)
    await asyncio.sleep(0)
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as client:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, address)
        await loop.sock_sendall(client, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c")
        assert await asyncio.wait_for(loop.sock_recv(client, 100), 10) == b"\x20\x02\x00\x00"
    (one,) = server.clients
    assert one.max_qos == 1
    listeners.close()
    await server.close(1.0)
    assert not unix or not (tmp_path / "s").exists()
