"""Compiles the modules on the path of a message where that is asked for: ``MIDGE_COMPILE=1``.

Without it, or without mypyc and a C compiler, the package is the Python source as it is.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import setup

#: Rooms whose modules are compiled, and single modules. What a program of the user derives from, or
#: what tests replace, is not here; see ``midge.compiled``.
ROOMS = ("mqtt", "topics", "broker", "links", "zmtp", "patterns", "net/zeromq")
MODULES = ("message.py", "zmq/quick.py", "zmq/quick_async.py")
#: Modules of those rooms that are not: one needs weak references, and options are set by name.
NOT_COMPILED = (
    "net/zeromq/blocking_context.py",
    "patterns/option_table.py",
    "patterns/options.py",
)


def sources() -> list[str]:
    """The modules that are compiled."""
    package = Path("src", "midge")
    found = [package / name for name in MODULES]
    for room in ROOMS:
        found += sorted(path for path in (package / room).glob("*.py") if path.stem != "__init__")
    left_out = {package / name for name in NOT_COMPILED}
    return [str(path) for path in found if path not in left_out]


if os.environ.get("MIDGE_COMPILE") == "1":
    from mypyc.build import mypycify

    # One library for all of them: calls between compiled modules are then as fast as within one.
    setup(ext_modules=mypycify(sources(), opt_level="2", debug_level="0", multi_file=True))
else:
    setup()
