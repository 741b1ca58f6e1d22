"""The foreign programs and libraries that tests talk to, and where they are."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
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
#: Peers that are packages of Node, by the name of the peer.
NODE_PACKAGES = {"mqtt.js": "mqtt", "zeromq.js": "zeromq"}


def program(name: str) -> str | None:
    """The path of a program; Debian keeps servers where an ordinary user does not look."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def missing(name: str) -> str | None:
    """Why a peer cannot be used, in one line; ``None`` when it can."""
    if name in PROGRAMS:
        return None if program(name) else f"{name} is not installed (make setup installs it)"
    if name in NODE_PACKAGES:
        if program("node") is None:
            return "node is not installed (make setup installs it)"
        if not (ROOT / "node_modules" / NODE_PACKAGES[name]).is_dir():
            return f"{name} is not installed (make setup installs it with npm)"
        return None if name != "zeromq.js" else _zeromq_js_does_not_load()
    module = MODULES[name]
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    return None if found else f"the Python package {module} is not installed (make setup does it)"


@functools.cache
def _zeromq_js_does_not_load() -> str | None:
    """It has a compiled library in it, for the systems that its makers have thought of."""
    node = program("node")
    assert node is not None
    tried = subprocess.run(
        [node, "-e", "require('zeromq')"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        return None
    return "zeromq.js does not load here: " + " ".join(tried.stderr.split())
