"""The power fails at any moment: what was said to be safe is there, and the store opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.disk import build
from tests.disk.losses import lose


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("shim"))


@pytest.mark.parametrize(("seed", "sync"), [(1, "full"), (2, "full"), (3, "normal")])
def test_what_was_safe_survives_a_loss_of_power_at_any_moment(
    library: Path, tmp_path: Path, seed: int, sync: str
) -> None:
    failures = lose(library, tmp_path, seed, 14, sync)
    assert failures.opened > 300
    assert failures.checkpointed > 30
    assert {0, 1} <= failures.behind
    # The test can see a loss: with `normal` there is one.
    assert (min(failures.behind) < 0) == (sync == "normal"), failures.behind
