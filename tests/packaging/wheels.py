"""Builds packages of midge from a copy of this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*words: str, cwd: Path, **environment: str) -> str:
    """Standard output of a program that must succeed, and sees nothing of this checkout."""
    hidden = ("PYTHONPATH", "MIDGE_PURE", "MIDGE_COMPILE")
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        words, cwd=cwd, env=inherited | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def modules() -> list[str]:
    """The files of the package, as the wheel should name them."""
    source = ROOT / "src"
    return [path.relative_to(source).as_posix() for path in (source / "midge").rglob("*.py")]


def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the source distribution unpacks to; it is made from a copy, because that leaves files.

    So all that a build needs has to be in it.
    """
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("src", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    code = "import midge_build as build; build.build_sdist('.')"
    run(sys.executable, "-c", code, cwd=copy, PYTHONPATH=str(copy / "scripts"))
    (packed,) = copy.glob("midge-*.tar.gz")
    target = tmp_path_factory.mktemp("source")
    with tarfile.open(packed) as archive:
        archive.extractall(target, filter="data")
    (unpacked,) = target.iterdir()
    return unpacked


def build(source: Path, target: Path, compiled: str) -> Path:
    """Have pip build a wheel with what is in this environment."""
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(target))
    run(*PIP, "wheel", "-q", *options, str(source), cwd=source, MIDGE_COMPILE=compiled)
    (built,) = target.glob("midge-*.whl")
    return built
