"""A compiled wheel, of one compiled module: all of them take minutes (``make test-compiled``)."""

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.packaging.wheels import PIP, PROJECT, build, modules, run, sdist

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed")

#: Which files of midge's modules run, and what is said of it.
WHICH = (
    "import json, sys\n"
    "from midge.cli.version import version_line\n"
    "import midge.cli.pub, midge.topics.names as names\n"
    "files = {name: module.__file__ for name, module in sys.modules.items()"
    " if name.partition('.')[0] == 'midge'}\n"
    "try: names.check_topic('a/#')\n"
    "except Exception as error: said = str(error)\n"
    "print(json.dumps([files, said, version_line()]))"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a source distribution whose list of what is compiled is one module."""
    source = sdist(tmp_path_factory)
    setup = source / "setup.py"
    text = re.sub("(?m)^ROOMS = .*", "ROOMS = ()", setup.read_text())
    text = re.sub(r"(?ms)^MODULES = .*?^\)", 'MODULES = ("topics/names.py",)', text)
    setup.write_text(text.replace('opt_level="2"', 'opt_level="0"'))
    return build(source, tmp_path_factory.mktemp("wheel"), "1")


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which there is nothing but that."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    found = home / "bin" / "python"
    run(*PIP, "--python", str(found), "install", "-q", "--no-index", str(wheel), cwd=home)
    return found


def test_the_wheel_is_for_this_machine_and_has_the_source_too(wheel: Path) -> None:
    platform = re.sub("[-.]", "_", sysconfig.get_platform())
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert wheel.name == f"midge-{PROJECT['version']}-{tag}-{tag}-{platform}.whl"
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    libraries = {f"midge__mypyc{suffix}", f"midge/topics/names{suffix}"}
    assert inside == {*modules(), "midge/py.typed", *libraries}


def which(python: Path, **environment: str) -> tuple[dict[str, str], str, str]:
    files, error, version = json.loads(
        run(str(python), "-c", WHICH, cwd=python.parent, **environment)
    )
    return files, error, version


@pytest.mark.parametrize("pure", ["", "0"])
def test_what_is_compiled_runs(python: Path, pure: str) -> None:
    files, error, version = which(python, MIDGE_PURE=pure)
    compiled = {name for name, path in files.items() if not path.endswith(".py")}
    assert compiled == {"midge.topics.names"}
    assert "midge.pure" not in files
    assert "'a/#'" in error
    assert version == f"midge version {PROJECT['version']} (compiled)"


def test_the_source_beside_it_runs_where_that_is_asked_for(python: Path) -> None:
    files, error, version = which(python, MIDGE_PURE="1")
    assert all(path.endswith(".py") for path in files.values())
    assert "midge.client.core" in files
    assert error == which(python)[1]
    assert version == f"midge version {PROJECT['version']} (pure Python: MIDGE_PURE is set)"


def test_other_packages_keep_their_extension_modules(python: Path) -> None:
    """The hook is asked for each folder, and passes on all that are not midge's."""
    beside = next((python.parents[1] / "lib").glob("python*/site-packages"))
    (library,) = beside.glob("midge/topics/names.*" + sysconfig.get_config_var("EXT_SUFFIX")[-3:])
    code = (
        "import midge, importlib.machinery as m, os, sys\n"
        "folder = os.path.dirname(os.path.dirname(midge.__file__))\n"
        "print(m.PathFinder.find_spec('midge__mypyc', [folder]).origin)\n"
        "print(m.PathFinder.find_spec('names', [os.path.join(folder, 'midge', 'topics')]).origin)"
    )
    said = run(str(python), "-c", code, cwd=beside.parent, MIDGE_PURE="1").split()
    assert said[0].endswith(library.suffix)
    assert said[1].endswith("names.py")
