"""What a delivery costs has not grown: instructions, compared with the stored figures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.guard import measure
from tests.guard.scenarios import SCENARIOS

#: How much more than the stored figure is a regression. Builds of the interpreter differ a little;
#: what a compiler makes of the C differs more from version to version.
TOLERANCE = 1.15
TOLERANCE_COMPILED = 1.25


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> measure.Counted:
    why = measure.missing()
    if why is not None:
        pytest.skip(why)
    return measure.count(tmp_path_factory.mktemp("guard"))


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "reference"])
def test_a_delivery_costs_no_more_than_it_did(counted: measure.Counted, name: str) -> None:
    stored = json.loads(Path(measure.FIGURES).read_text())
    kind = counted.kind
    if kind not in stored:
        pytest.skip(f"no figures are stored for Python {kind}")
    cost = counted.in_units()[name]
    tolerance = TOLERANCE_COMPILED if kind.endswith("compiled") else TOLERANCE
    assert cost <= stored[kind][name] * tolerance, (
        f"{name} costs {cost:.3f} units a delivery (Python {kind}), {stored[kind][name]:.3f} are "
        "stored: make it cheaper, or, where it is worth it, run python -m tests.guard.measure "
        "--update"
    )


def test_the_midge_that_is_asked_for_is_the_one_that_is_counted(counted: measure.Counted) -> None:
    wanted = os.environ.get("GUARD_KIND")
    if wanted is None:
        pytest.skip("GUARD_KIND is not set; make test-compiled sets it")
    assert counted.kind.endswith(" compiled") == (wanted == "compiled")


def test_units_are_parts_of_the_reference() -> None:
    counted = measure.Counted("3.11", {"reference": 50.0, "qos1": 125.0})
    assert counted.in_units() == {"qos1": 2.5}


def test_both_kinds_of_midge_have_figures_of_every_scenario() -> None:
    stored = json.loads(Path(measure.FIGURES).read_text())
    assert "3.11" in stored
    assert "3.11 compiled" in stored
    for figures in stored.values():
        assert figures.keys() == set(SCENARIOS) - {"reference"}


def test_every_scenario_makes_the_deliveries_that_it_says() -> None:
    for make in SCENARIOS.values():
        work, deliveries = make()
        work()
        assert deliveries >= 1000
