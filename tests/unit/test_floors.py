"""The house's floors: an import goes only downwards, and below `net` nothing does I/O."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent.parent / "src" / "midge"

#: From the top; rooms on one floor do not know each other. A room is a package or a module.
FLOORS: list[set[str]] = [
    {"__main__"},
    {"cli", "testing", "web"},
    {"server"},
    {"zmq", "paho", "client.aio", "client.sync", "cluster.nats"},
    {"net", "store.sqlite", "auth.http"},
    {"links", "client"},
    {"broker", "patterns", "cluster"},
    {"auth", "store", "config"},
    {"mqtt", "zmtp"},
    {"topics"},
    {"message", "errors", "limits", "clock", "compiled", "pure", "__init__"},
]
#: The first floor that does no I/O.
PURE_FROM = 5
#: What a room without I/O may not import; the clock is where time is read.
IMPURE = {
    "asyncio",
    "concurrent",
    "datetime",
    "http",
    "importlib",
    "logging",
    "multiprocessing",
    "os",
    "queue",
    "random",
    "pathlib",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
}
#: Modules of the ground floor may use one another; `message` names the properties that it carries
#: and `__init__` the public names, both only for type checkers or when asked.
EXCUSED = {("message", "mqtt"), ("__init__", "server"), ("__init__", "client")}
#: Who may read what although the floor may not: the system clock reads the time, and what chooses
#: between source and compiled modules asks the environment, and how modules are found.
EXCUSED_IMPURE = {("clock", "time"), ("__init__", "os"), ("pure", "os"), ("pure", "importlib")}


def public_names() -> dict[str, str]:
    """Where the names that ``midge`` itself offers live, as it tells type checkers."""
    return {
        name: module.removeprefix("midge.")
        for module, taken in imports_of((SOURCE / "__init__.py").read_text())
        for name in taken
        if module.startswith("midge.")
    }


def room_of(module: str) -> str:
    """The room that a dotted module below ``midge`` belongs to."""
    for floor in FLOORS:
        for room in sorted(floor, key=len, reverse=True):
            if "." in room and (module == room or module.startswith(room + ".")):
                return room
    return module.split(".")[0]


def floor_of(room: str) -> int:
    """The floor of a room; an unknown room is an error, so that the plan is kept up to date."""
    for number, floor in enumerate(FLOORS):
        if room in floor:
            return number
    raise AssertionError(f"the room {room} stands on no floor: see ARCHITECTURE.md")


def imports_of(source: str) -> list[tuple[str, list[str]]]:
    """Every module that a source imports, anywhere in it, with the names taken from it."""
    found: list[tuple[str, list[str]]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.append((node.module or "", [alias.name for alias in node.names]))
    return found


def targets_of(name: str, taken: list[str]) -> list[str]:
    """The modules below ``midge`` that one import statement reaches.

    ``from midge.client import sync`` may mean a module in a room of its own, so the names that are
    taken count as modules where there is such a room. The public names of ``midge`` itself are
    loaded from where they live.
    """
    below = name.removeprefix("midge").removeprefix(".")
    if not below:
        named = [PUBLIC.get(one, one) for one in taken]
        return [one for one in named if not one.startswith("__")]
    longer = [f"{below}.{one}" for one in taken]
    return [one for one in longer if room_of(one) != room_of(below)] or [below]


PUBLIC = public_names()


def violations(module: str, source: str) -> list[str]:
    """What is wrong with the imports of one module."""
    wrong = []
    room = room_of(module)
    floor = floor_of(room)
    for name, taken in imports_of(source):
        top = name.split(".")[0]
        if floor >= PURE_FROM and top in IMPURE and (room, top) not in EXCUSED_IMPURE:
            wrong.append(f"{module} imports {name}, which does I/O or reads the time")
        if top != "midge":
            continue
        for target in targets_of(name, taken):
            other = room_of(target)
            if other == room or (room, other) in EXCUSED:
                continue
            other_floor = floor_of(other)
            ground = floor == other_floor == len(FLOORS) - 1
            if other_floor < floor or (other_floor == floor and not ground):
                wrong.append(f"{module} imports midge.{target}, which is not below it")
    if floor >= PURE_FROM:
        calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        if any(isinstance(call, ast.Name) and call.id == "open" for call in calls):
            wrong.append(f"{module} opens a file")
    return wrong


def modules() -> list[tuple[str, str]]:
    """Dotted name below ``midge`` and source of every module."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = list(path.relative_to(SOURCE).with_suffix("").parts)
        if parts[-1] == "__init__" and len(parts) > 1:
            parts.pop()
        found.append((".".join(parts), path.read_text()))
    return found


def test_every_import_goes_downwards() -> None:
    wrong = [line for module, source in modules() for line in violations(module, source)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("broker.router", "from midge.links.mqtt import MqttLink"),
        ("broker.router", "from midge import Broker"),
        ("broker.router", "import midge.server.app as app"),
        ("broker.router", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n import midge.net"),
        ("mqtt.decode", "import socket"),
        ("mqtt.decode", "from asyncio.streams import StreamReader"),
        ("mqtt.decode", "from midge.zmtp import frames"),
        ("topics.trie", "def f():\n    import time"),
        ("config.settings", "text = open('x').read()"),
        ("links.mqtt", "from midge.client import sync"),
        ("links.mqtt", "from midge.client.core import ClientCore"),
        ("client.core", "from midge.client.sync import Client"),
        ("net.stream", "from midge import server"),
        ("errors", "from midge.mqtt.reasons import SUCCESS"),
        ("store.base", "from midge.store.sqlite import SqliteStore"),
    ],
)
def test_what_is_against_the_floors_is_seen(module: str, source: str) -> None:
    assert violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("server.app", "from midge.broker.broker import Broker"),
        ("client.sync", "from midge.client.core import ClientCore"),
        ("client.sync", "from midge.net import blocking"),
        ("broker.router", "from midge import Message, __version__"),
        ("store.sqlite", "import sqlite3"),
        ("clock", "import time"),
        ("errors", "from midge.limits import CLIENT_ID_BYTES_MAX"),
    ],
)
def test_what_goes_downwards_is_not_complained_about(module: str, source: str) -> None:
    assert not violations(module, source)


def test_a_room_without_a_floor_is_an_error() -> None:
    with pytest.raises(AssertionError, match="stands on no floor"):
        violations("attic.box", "")


def test_relative_imports_are_an_error() -> None:
    with pytest.raises(AssertionError, match="absolute"):
        violations("broker.router", "from . import fanout")
