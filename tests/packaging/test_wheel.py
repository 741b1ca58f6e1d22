"""What is built and installed is whole, typed, and needs nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q"),
            *("--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(ROOT)),
        ],
        check=True,
        timeout=60,
        capture_output=True,
    )
    (built,) = target.glob("midge-*.whl")
    return built


def test_the_wheel_has_every_module_and_says_that_it_is_typed(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "src" / "midge").rglob("*.py"):
        assert str(path.relative_to(ROOT / "src")) in inside
    assert "midge/py.typed" in inside
    assert any(name.endswith("LICENSE") for name in inside)


def test_nothing_else_is_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []


def test_the_installed_command_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check"),
            *("--python", str(home / "bin" / "python")),
            *("install", "-q", "--no-index", "--no-deps", str(wheel)),
        ],
        check=True,
        timeout=60,
        capture_output=True,
    )
    done = subprocess.run(
        [str(home / "bin" / "midge"), "--version"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert "0.1.0" in done.stdout
