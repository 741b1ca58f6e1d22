"""Every name that programs may use of pyzmq is there, and its classes' methods too."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

MODULES = (
    "zmq", "zmq.asyncio", "zmq.auth", "zmq.auth.asyncio", "zmq.auth.base", "zmq.auth.certs",
    "zmq.auth.ioloop", "zmq.auth.thread", "zmq.constants", "zmq.decorators", "zmq.devices",
    "zmq.devices.basedevice", "zmq.devices.monitoredqueue", "zmq.devices.monitoredqueuedevice",
    "zmq.devices.proxydevice", "zmq.devices.proxysteerabledevice", "zmq.error",
    "zmq.eventloop.future", "zmq.eventloop.zmqstream", "zmq.log.handlers", "zmq.utils.interop",
    "zmq.utils.jsonapi", "zmq.utils.monitor", "zmq.utils.strtypes", "zmq.utils.win32",
    "zmq.utils.z85",
)  # fmt: skip
#: What is not, and why.
LEFT_OUT = {
    "zmq.Context.shadow_pyczmq": "contexts of another binding to libzmq",
    "zmq.asyncio.Context.shadow_pyczmq": "the same",
    "zmq.eventloop.future.Context.shadow_pyczmq": "the same",
    "zmq.asyncio.ProactorSelectorThreadWarning": "of a workaround for Windows",
    "zmq.auth.thread.AuthenticationThread.poller": "how its thread waits",
    "zmq.error.EINTR": "from the module errno",
    "zmq.eventloop.future.Context.io_loop": "deprecated there, and always the current one",
    "zmq.eventloop.future.Future": "asyncio's",
    "zmq.utils.interop.cast_int_addr": "addresses of C structures",
}
#: They are there when there is an object: pyzmq has them in the class for Cython's sake.
OF_OBJECTS = ("context", "copy_threshold")


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Names that are the module's own, or that it says are its own."""
    said = getattr(module, "__all__", ())
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or inspect.ismodule(value):
            continue
        home = getattr(value, "__module__", None)
        if home in ("enum", "typing") or name == "TYPE_CHECKING":
            continue
        if name in said or home == module.__name__ or (name.isupper() and home is None):
            yield name, value


@pytest.mark.peer("pyzmq")
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore:.*auth.ioloop:DeprecationWarning")
def test_every_name_is_there(name: str) -> None:
    theirs = importlib.import_module(name)
    ours = importlib.import_module(f"midge.{name}")
    missing = []
    for one, value in public(theirs):
        if not hasattr(ours, one):
            missing.append(f"{name}.{one}")
        elif inspect.isclass(value):
            mine = getattr(ours, one)
            missing += [
                f"{name}.{one}.{method}"
                for method in dir(value)
                if not method.startswith("_")
                and method not in OF_OBJECTS
                and not hasattr(mine, method)
            ]
    assert [one for one in missing if one not in LEFT_OUT] == []


def test_who_reads_monitors_has_asyncio_sockets_too() -> None:
    program = "import midge.zmq as zmq, midge.zmq.utils.monitor; print(zmq.asyncio.Context)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert "midge.zmq.asyncio.Context" in done.stdout, done.stderr
