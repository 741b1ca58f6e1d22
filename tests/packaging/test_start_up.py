"""Commands start fast because they import little; every module can be imported alone."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import BrokerProcess

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


#: Runs a command and says which modules it took; the command's own output comes before.
WITH_MODULES = (
    "import sys\n"
    "from midge.cli.main import main\n"
    "sys.argv[0] = 'midge'\n"
    "try:\n"
    "    status = main(sys.argv[1:])\n"
    "except SystemExit as done:\n"
    "    status = done.code\n"
    "print('MODULES', status, *sorted(sys.modules))\n"
)


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
def test_everyday_commands_import_nothing_expensive(
    broker_process: BrokerProcess, version: str
) -> None:
    """The whole way: a message is kept by the broker, and the subscriber shows it."""
    port = ["-p", str(broker_process.port), "-V", version, "-t", "kept", "-q", "2"]
    for verb, more in (("pub", ["-r", "-m", "x"]), ("sub", ["-v", "-C", "1", "-W", "20"])):
        done = run(WITH_MODULES, verb, *port, *more)
        said, _, rest = done.stdout.partition("MODULES ")
        status, *loaded = rest.split()
        assert status in ("0", "None"), done.stderr
        assert said == ("kept x\n" if verb == "sub" else "")
        assert {f"midge.cli.{verb}", "midge.client.core"} <= set(loaded)
        assert not EXPENSIVE & set(loaded)


def test_the_list_of_expensive_modules_is_one_of_real_modules() -> None:
    for name in EXPENSIVE:
        importlib.import_module(name)


@pytest.mark.source_only("a compiled module can be imported once in a process")
@pytest.mark.parametrize("quarter", range(4))
def test_every_module_can_be_imported_alone(quarter: int) -> None:
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
    done = run(code, *names[quarter::4])
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip(), done.stdout
