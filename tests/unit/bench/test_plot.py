"""What is drawn of results; the drawing itself where matplotlib is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from bench import growth, plot, report
from bench.brokers import Broker
from bench.rows import CPU, Aim, Row

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None,
    reason="matplotlib is not installed (pip install --group bench)",
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A run of two rows, one of which mosquitto got wrong."""
    brokers = [Broker("midge", "", "midge 1"), Broker("mosquitto", "", "mosquitto 2")]
    first = report.Outcome(Row("first", (CPU,), aims={"cpu_us": Aim(0.5)}))
    first.samples = {
        "midge": [{"cpu_us": v} for v in (1.0, 4.0, 2.0)],
        "mosquitto": [{"cpu_us": 30.0}],
    }
    second = report.Outcome(Row("second", (CPU,), aims={"cpu_us": Aim(2, "first")}))
    second.samples = {"midge": [{"cpu_us": 3.0}], "mosquitto": [{"cpu_us": 7.0}]}
    second.faults = {"mosquitto": ["lost one"]}
    path = tmp_path / "bench-1.json"
    report.write_json(path, [first, second], brokers, 3, 1.0)
    return path


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    """A run of one question."""
    question = {
        "name": "q",
        "sizes": [1, 10],
        "labels": growth.SUBSCRIPTION,
        "samples": {
            "midge": {size: [{"cpu_us": 1.0, "make_us": 2.0, "bytes": 0.0}] for size in ("1", "10")}
        },
        "faults": {"mosquitto": "at 1: lost one"},
    }
    path = tmp_path / "growth-1.json"
    brokers = [Broker("midge", "m", ""), Broker("mosquitto", "", "2")]
    report.write(path, report.document("growth", brokers, questions=[question]))
    return path


def test_a_panel_has_medians_with_their_spread_and_leaves_out_who_was_wrong(table: Path) -> None:
    document: dict[str, Any] = json.loads(table.read_text())
    ((label, rows),) = plot.panels(document)
    assert label == CPU.label
    first, second = rows
    assert first[0] == "first"
    ours = first[1]["midge"]
    assert (ours.least, ours.median, ours.greatest) == (1.0, 2.0, 4.0)
    assert ours.arms() == [[1.0], [2.0]]
    assert first[2] == 0.5
    assert second[1].keys() == {"midge"}
    assert second[2] == 0.0, "an aim that is a factor has no place on the axis"


def test_the_caption_says_on_what_of_whom_and_who_was_wrong(table: Path, curves: Path) -> None:
    text = plot.caption(json.loads(table.read_text()))
    for part in (report.machine(), "midge 1", "mosquitto 2", "Logarithmic", "mosquitto: second"):
        assert part in text
    assert "mosquitto: q" in plot.caption(json.loads(curves.read_text()))


def test_a_figure_of_nothing_has_no_place_on_a_logarithmic_scale() -> None:
    assert plot.spread_of([{"bytes": 0.0}], "bytes") is None
    assert plot.spread_of([{"bytes": 0.0}, {"bytes": 2.0}], "bytes") is not None


@needs_matplotlib
def test_both_kinds_of_results_become_pictures_beside_them(
    table: Path, curves: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plot.main([str(table), str(curves)]) == 0
    for path in (table, curves):
        assert "<svg" in path.with_suffix(".svg").read_text()
        assert str(path.with_suffix(".svg")) in capsys.readouterr().out or path is curves


def test_what_is_no_result_is_refused_and_nothing_to_draw_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    assert plot.main([str(path)]) == 2
    assert "no results" in capsys.readouterr().err
    monkeypatch.setattr(plot, "RESULTS", tmp_path)
    assert plot.main([]) == 2
    assert "run python -m bench first" in capsys.readouterr().err


def test_a_narrow_scale_is_widened_around_its_middle_and_a_wide_one_is_left() -> None:
    low, high = plot.widened(2.0, 8.0)
    assert low == pytest.approx(0.4)
    assert high == pytest.approx(40.0)
    assert plot.widened(1.0, 1000.0) == (1.0, 1000.0)


def test_the_newest_run_of_each_kind_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot, "RESULTS", tmp_path)
    for name in ("bench-20260101T000000Z", "bench-20260102T000000Z", "growth-20250101T000000Z"):
        (tmp_path / f"{name}.json").touch()
    names = [path.stem for path in plot.newest()]
    assert names == ["bench-20260102T000000Z", "growth-20250101T000000Z"]
