"""The load generator, compiled once for these tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bench.generator import build


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The load generator; without a C compiler there is none to test."""
    if not os.environ.get("CI") and not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        pytest.skip("the load generator needs a C compiler")
    return build(tmp_path_factory.mktemp("load"))
