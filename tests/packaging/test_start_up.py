"""Commands start fast because they import little; every module can be imported alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent.parent / "src"

#: What costs more than 5 ms to import and must not be on the way of `midge pub` and `midge sub`.
EXPENSIVE = {
    "argparse",
    "asyncio",
    "dataclasses",
    "importlib.metadata",
    "inspect",
    "logging",
    "ssl",
    "tomllib",
}


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("verb", ["pub", "sub"])
def test_everyday_commands_import_nothing_expensive(verb: str) -> None:
    code = (
        "import sys\n"
        "from midge.cli.main import main\n"
        "sys.argv[0] = 'midge'\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('MODULES', *sorted(sys.modules))\n"
    )
    # A refused connection takes the whole way but the broker's answer.
    done = run(code, verb, "-p", "1", "-t", "a", *(["-m", "x"] if verb == "pub" else []))
    loaded = set(done.stdout.split("MODULES", 1)[1].split())
    assert f"midge.cli.{verb}" in loaded, done.stderr
    assert "midge.client.core" in loaded
    assert not loaded & EXPENSIVE


def test_every_module_can_be_imported_alone() -> None:
    names = []
    for path in sorted((SOURCE / "midge").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[-1] != "__main__":
            names.append(".".join(parts).removesuffix(".__init__"))
    # One interpreter, emptied of midge between modules: each one is imported as if it were first.
    code = (
        "import sys, importlib\n"
        "failed = []\n"
        "for name in sys.argv[1:]:\n"
        "    for loaded in [m for m in sys.modules if m.partition('.')[0] == 'midge']:\n"
        "        del sys.modules[loaded]\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        failed.append(f'{name}: {type(error).__name__}: {error}')\n"
        "print('\\n'.join(failed))\n"
    )
    done = run(code, *names)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip(), done.stdout
