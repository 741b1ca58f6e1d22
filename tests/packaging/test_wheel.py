"""What is built and installed is whole, typed, and needs nothing else."""

from __future__ import annotations

import venv
import zipfile
from pathlib import Path

import pytest

from tests.packaging.wheels import PIP, PROJECT, build, modules, run, sdist

#: Modules that are all about an extra's library, and what that is. Nobody imports them before.
EXTRAS = {
    "midge.net.websocket": "wsproto",
    "midge.net.zws": "wsproto",
    "midge.net.zeromq.ws_session": "wsproto",
    "midge.net.zeromq.ws_wire": "wsproto",
    "midge.zmq.green": "gevent",
    "midge.zmq.green.core": "gevent",
    "midge.zmq.green.device": "gevent",
    "midge.zmq.green.poll": "gevent",
    "midge.zmq.green.runner": "gevent",
    "midge.zmq.green.waiting": "gevent",
    "midge.zmq.eventloop": "tornado",
    "midge.zmq.eventloop.future": "tornado",
    "midge.zmq.eventloop.ioloop": "tornado",
    "midge.zmq.eventloop.zmqstream": "tornado",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one for every machine; it is built from what the source distribution has in it."""
    return build(sdist(tmp_path_factory), tmp_path_factory.mktemp("wheel"), "0")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of an environment in which there is nothing but midge."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    python = str(home / "bin" / "python")
    options = ("install", "-q", "--no-index", "--no-deps", str(wheel))
    run(*PIP, "--python", python, *options, cwd=home)
    return home / "bin"


def test_the_wheel_has_every_module_and_nothing_else(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = {name for name in inside if ".dist-info/" not in name}
    assert package == {*modules(), "midge/py.typed", "midge/not_compiled.txt"}
    assert any(name.endswith("/LICENSE") for name in inside - package)


def test_the_wheel_is_for_every_machine(wheel: Path) -> None:
    assert wheel.name == f"midge-{PROJECT['version']}-py3-none-any.whl"


def test_nothing_else_is_needed() -> None:
    assert PROJECT["dependencies"] == []


def test_the_installed_command_runs_in_an_empty_environment(installed: Path) -> None:
    said = run(str(installed / "midge"), "--version", cwd=installed)
    version = PROJECT["version"]
    assert said == f"midge version {version} (pure Python: MIDGE_COMPILE=0 was set)\n"


def test_every_module_is_there_in_an_empty_environment(installed: Path) -> None:
    """What is an extra is imported when it is asked for, and not before."""
    names = [name.removesuffix(".py").removesuffix("/__init__") for name in modules()]
    wanted = [name.replace("/", ".") for name in names if not name.endswith("__main__")]
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)"
    plain = [name for name in wanted if name not in EXTRAS]
    run(str(installed / "python"), "-c", code, *plain, cwd=installed)


@pytest.mark.parametrize(("name", "library"), EXTRAS.items())
def test_a_module_of_an_extra_says_what_it_misses(installed: Path, name: str, library: str) -> None:
    code = f"try: import {name}\nexcept ModuleNotFoundError as error: print(error.name)"
    assert run(str(installed / "python"), "-c", code, cwd=installed).strip() == library


def test_the_version_is_said_once_and_the_same_everywhere(installed: Path) -> None:
    code = "import midge, importlib.metadata as m; print(midge.__version__, m.version('midge'))"
    said = run(str(installed / "python"), "-c", code, cwd=installed)
    assert said.split() == [PROJECT["version"]] * 2
