"""What a delivery costs has not grown: instructions, compared with the stored figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.guard import measure
from tests.guard.scenarios import SCENARIOS

#: How much more than the stored figure is a regression. Builds of the interpreter differ a little.
TOLERANCE = 1.15


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    why = measure.missing()
    if why is not None:
        pytest.skip(why)
    return measure.in_units(measure.count(tmp_path_factory.mktemp("guard")))


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "reference"])
def test_a_delivery_costs_no_more_than_it_did(figures: dict[str, float], name: str) -> None:
    stored = json.loads(Path(measure.FIGURES).read_text())
    kind = measure.kind_of_python()
    if kind not in stored:
        pytest.skip(f"no figures are stored for Python {kind}")
    limit = stored[kind][name] * TOLERANCE
    assert figures[name] <= limit, (
        f"{name} costs {figures[name]:.3f} units a delivery, {stored[kind][name]:.3f} are stored: "
        "make it cheaper, or, where it is worth it, run python -m tests.guard.measure --update"
    )


def test_every_scenario_makes_the_deliveries_that_it_says() -> None:
    for make in SCENARIOS.values():
        work, deliveries = make()
        work()
        assert deliveries >= 1000
