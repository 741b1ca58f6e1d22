"""Count what the scenarios cost: ``python -m tests.guard.measure``, ``--update`` to store it.

Callgrind counts the instructions of this very program, between two requests that a few lines of C
make (``counter.c``). The count of a delivery is given in units of :func:`scenarios.reference`, a
piece of plain Python, so that the figures hold for other builds of the interpreter.

It is the midge of ``PYTHONPATH`` that is counted, or the one that is installed: with
``PYTHONPATH=build/compiled`` the compiled one, whose figures are stored beside the others.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from tests.guard.scenarios import SCENARIOS

HERE: Final = Path(__file__).resolve().parent
FIGURES: Final = HERE / "figures.json"
HEADER: Final = Path("/usr/include/valgrind/callgrind.h")
_TOTAL: Final = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)
_NAME: Final = re.compile(r"^desc: Trigger: Client Request: (\w+)", re.MULTILINE)


def missing() -> str | None:
    """Why nothing can be counted here; ``None`` when it can."""
    if shutil.which("valgrind") is None or not HEADER.exists():
        return "valgrind is not installed (make setup installs it)"
    if shutil.which("gcc") is None:
        return "gcc is not installed"
    return None


class Counted(NamedTuple):
    """What was counted.

    Attributes:
        kind: the version of Python, and whether midge was compiled.
        counts: by scenario, instructions for each delivery.
    """

    kind: str
    counts: dict[str, float]

    def in_units(self) -> dict[str, float]:
        """The counts in units of the reference."""
        unit = self.counts["reference"]
        return {n: round(c / unit, 3) for n, c in self.counts.items() if n != "reference"}


def count(directory: Path) -> Counted:
    """Count all scenarios.

    Raises:
        RuntimeError: a program failed; its output is the text.
    """
    library = directory / "counter.so"
    _run("gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "counter.c"))
    _run(
        "valgrind",
        "--tool=callgrind",
        "--instr-atstart=no",
        f"--callgrind-out-file={directory / 'out'}",
        sys.executable,
        "-m",
        "tests.guard.measure",
        "--inside",
        str(library),
        environment={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    found = {}
    for part in directory.glob("out*"):
        text = part.read_text()
        name, total = _NAME.search(text), _TOTAL.search(text)
        if name is not None and total is not None:
            found[name[1]] = int(total[1])
    told = json.loads((directory / "told").read_text())
    deliveries = told["deliveries"]
    return Counted(told["kind"], {name: found[name] / deliveries[name] for name in deliveries})


def kind_of_python() -> str:
    """Figures are stored by version of Python, and by whether midge is compiled.

    To be asked where the counting is done: pytest has the source before it in any case.
    """
    import midge.mqtt.encode as module

    compiled = not str(module.__file__).endswith(".py")
    return f"{sysconfig.get_python_version()}{' compiled' if compiled else ''}"


def inside(library: str) -> None:
    """Under callgrind: run every scenario once, counted."""
    counter = ctypes.CDLL(library)
    deliveries = {}
    for name, make in SCENARIOS.items():
        work, number = make()
        work()  # once before, so that nothing is new
        if name.startswith("qos1"):
            work, number = make()  # its acknowledgements have numbers that go on
        gc.collect()
        gc.disable()
        counter.begin()
        work()
        counter.end(name.encode())
        gc.enable()
        deliveries[name] = number
    told = {"kind": kind_of_python(), "deliveries": deliveries}
    Path(library).with_name("told").write_text(json.dumps(told))


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=HERE.parent.parent,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def main() -> int:
    """Print the figures, and store them with ``--update``."""
    if "--inside" in sys.argv:
        inside(sys.argv[-1])
        return 0
    why = missing()
    if why is not None:
        print(why, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as directory:
        counted = count(Path(directory))
    stored = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    kind, counts = counted
    figures = counted.in_units()
    print(f"{'instructions a delivery':<34}{'count':>10}{'units':>9}{'stored':>9}   ({kind})")
    for name, value in counts.items():
        before = stored.get(kind, {}).get(name)
        print(
            f"{name:<34}{value:>10,.0f}{figures.get(name, 1.0):>9.3f}"
            f"{'' if before is None else f'{before:.3f}':>9}"
        )
    if "--update" in sys.argv:
        stored[kind] = figures
        FIGURES.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
