"""The real broker is killed again and again, and nothing that was acknowledged is lost.

``make crash`` is the long form: 200 kills.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faces.crashes import Crashes


@pytest.mark.parametrize(("seed", "sync"), [(1, "full"), (2, "normal")])
def test_what_was_acknowledged_survives_kill_9(seed: int, sync: str, tmp_path: Path) -> None:
    crashes = Crashes(tmp_path, seed, sync)
    crashes.run(5)
    assert crashes.killed == 5
    assert crashes.compared > 100
    assert sum(worker.refused for worker in crashes.workers) > 10
