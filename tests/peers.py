"""The foreign programs and libraries that tests talk to, and where they are."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Peers that are programs: their name is the command's.
PROGRAMS = frozenset({"mosquitto", "mosquitto_passwd", "mosquitto_pub", "mosquitto_sub", "node"})
#: Peers that are Python modules, by the name of the peer.
MODULES = {
    "paho": "paho.mqtt",
    "aiomqtt": "aiomqtt",
    "gmqtt": "gmqtt",
    "pyzmq": "zmq",
    "pynacl": "nacl",
    "uvloop": "uvloop",
}


def program(name: str) -> str | None:
    """The path of a program; Debian keeps servers where an ordinary user does not look."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def missing(name: str) -> str | None:
    """Why a peer cannot be used, in one line; ``None`` when it can."""
    if name in PROGRAMS:
        return None if program(name) else f"{name} is not installed (make setup installs it)"
    if name == "mqtt.js":
        if program("node") is None:
            return "node is not installed (make setup installs it)"
        if not (ROOT / "node_modules" / "mqtt").is_dir():
            return "MQTT.js is not installed (make setup installs it with npm)"
        return None
    module = MODULES[name]
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    return None if found else f"the Python package {module} is not installed (make setup does it)"
