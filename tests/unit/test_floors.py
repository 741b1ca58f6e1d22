"""The house's floors: an import goes only downwards, and below `net` nothing does I/O."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent / "src" / "midge"

#: From the top; rooms on one floor do not know each other. A room is a package or a module.
FLOORS: list[set[str]] = [
    {"__main__"},
    {"cli", "testing", "web"},
    {"server"},
    {"zmq", "paho", "client.aio", "client.sync"},
    {"net"},
    {"links", "client"},
    {"broker", "patterns", "cluster"},
    {"auth", "store", "config"},
    {"mqtt", "zmtp"},
    {"topics"},
    {"message", "errors", "limits", "clock", "__init__"},
]
#: The first floor that does no I/O.
PURE_FROM = 5
#: What a room without I/O may not import; the clock is where time is read.
IMPURE = {
    "asyncio",
    "concurrent",
    "http",
    "logging",
    "multiprocessing",
    "os",
    "queue",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "urllib",
}
#: Modules of the ground floor may use one another; `message` names the properties that it carries
#: and `__init__` the public names, both only for type checkers or when asked.
EXCUSED = {("message", "mqtt"), ("__init__", "server"), ("__init__", "client")}
#: Who may read what although the floor may not: the system clock reads the time.
EXCUSED_IMPURE = {("clock", "time")}


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
        below = name.removeprefix("midge").removeprefix(".")
        targets = [below] if below else taken
        for target in targets:
            if target.startswith("__"):
                continue
            other = room_of(target)
            if other == room or (room, other) in EXCUSED or not target:
                continue
            if target[0].isupper():
                continue  # a public name of the package: its module is checked by itself
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


def test_the_test_sees_what_it_is_for() -> None:
    assert violations("broker.router", "from midge.links.mqtt import MqttLink")
    assert violations("mqtt.decode", "import socket")
    assert violations("mqtt.decode", "from midge.zmtp import frames")
    assert violations("topics.trie", "def f():\n    import time")
    assert violations("config.settings", "text = open('x').read()")
    assert violations("net.stream", "from midge import server")
    assert not violations("server.app", "from midge.broker.broker import Broker")
    assert not violations("clock", "import time")
