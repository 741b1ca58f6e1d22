"""What is compiled of midge, and how. Whether it is, ``scripts/midge_build.py`` decides.

It says so with ``MIDGE_COMPILE=1``, and why not with ``MIDGE_NOT_COMPILED``; without either, the
package is the Python source as it is.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: Rooms whose modules are compiled, and single modules. What a program of the user derives from, or
#: what tests replace, is not here; see ``midge.compiled``.
ROOMS = ("mqtt", "topics", "broker", "links", "zmtp", "patterns", "net/zeromq")
MODULES = (
    *("message.py", "zmq/quick.py", "zmq/quick_async.py"),
    *("server/clients.py", "server/mqtt_server.py"),
)
#: Modules of those rooms that are not: one needs weak references, and options are set by name.
NOT_COMPILED = (
    "net/zeromq/blocking_context.py",
    "patterns/option_table.py",
    "patterns/options.py",
)


#: How mypy reads them: the types of the libraries of extras are unknown to it, wherever it is
#: built. Where they are missing (pip builds in an environment of its own), it would be an error
#: otherwise, and where they are there, what is compiled would differ.
FLAGS = ("--config-file=", "--ignore-missing-imports", "--no-site-packages")


def sources() -> list[str]:
    """The modules that are compiled."""
    package = Path("src", "midge")
    found = [package / name for name in MODULES]
    for room in ROOMS:
        found += sorted(path for path in (package / room).glob("*.py") if path.stem != "__init__")
    left_out = {package / name for name in NOT_COMPILED}
    return [str(path) for path in found if path not in left_out]


class BuildPython(build_py):
    """Puts beside the source why it is not compiled; ``midge --version`` reads it."""

    def run(self) -> None:
        super().run()
        why = os.environ.get("MIDGE_NOT_COMPILED")
        if why and not self.editable_mode:
            Path(self.build_lib, "midge", "not_compiled.txt").write_text(why + "\n")


if os.environ.get("MIDGE_COMPILE") == "1":
    from mypyc.build import mypycify

    # One library for all of them: calls between compiled modules are then as fast as within one.
    compiled = mypycify(
        [*FLAGS, *sources()], opt_level="2", debug_level="0", multi_file=True, group_name="midge"
    )
    setup(ext_modules=compiled)
else:
    setup(cmdclass={"build_py": BuildPython})
