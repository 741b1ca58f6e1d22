"""Disks that fail: a shim that records what a process writes, and can refuse it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).parent / "disk.c"


def build(directory: Path) -> Path:
    """Compile the shim; skips the test where there is no compiler or no Linux."""
    library = directory / "disk.so"
    command = ["gcc", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", str(library)]
    try:
        done = subprocess.run([*command, str(_SOURCE)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("gcc is not installed, which makes the shim under the disk")
    assert done.returncode == 0, done.stderr
    return library


def environment(library: Path, watch: Path, **names: Path) -> dict[str, str]:
    """The environment of a process above the shim: ``DISK_LOG`` and ``DISK_FULL`` by ``names``."""
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "DISK_WATCH": str(watch),
        **{name: str(path) for name, path in names.items()},
    }
