"""The table of rows, the report, and one small row against real brokers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from bench import report
from bench.__main__ import broker_of, chosen_brokers, chosen_rows, main, measure_row
from bench.brokers import Broker, midge, mosquitto
from bench.measure import sample
from bench.rows import CPU, RATE, ROWS, Aim, Row

SMALL = Row("small", qos=2, batch=0, inflight=20, backlog=100, subscribers=2, topics=3)


@pytest.mark.peer("mosquitto")
def test_a_small_row_of_mosquitto_has_every_figure(load: Path) -> None:
    broker = mosquitto()
    assert broker is not None
    figures = sample(load, broker, SMALL, 0.1)
    assert figures["delivered"] > 0
    assert figures["rate"] > 0
    assert figures["cpu_us"] > 0


def test_midge_delivers_a_small_row_and_connects_the_idle(load: Path) -> None:
    assert sample(load, midge(), SMALL, 0.1)["cpu_us"] > 0
    idle = Row("idle", step="connect", publishers=0, subscribers=200)
    figures = sample(load, midge(), idle, 0.1)
    assert figures["cpu_us"] > 0
    assert figures["memory_kib"] >= 0  # so few may fit into memory that it had already


def test_a_broker_that_does_not_start_is_a_fault_that_says_why(load: Path) -> None:
    broker = Broker("broken", "sh -c 'echo no such luck; exit 3'")
    outcome = measure_row(load, SMALL, [broker], 2, 0.1)
    assert "no such luck" in outcome.faults["broken"][0]
    assert len(outcome.faults["broken"]) == 1
    assert any("WRONG" in line for line in report.lines_of(outcome, [broker]))


def outcome_of(**samples: list[float]) -> report.Outcome:
    outcome = report.Outcome(Row("row"))
    for name, values in samples.items():
        outcome.samples[name] = [{"cpu_us": v, "rate": 1e6 / v, "load": 0.5} for v in values]
    return outcome


def test_a_line_has_the_medians_and_midge_divided_by_the_other() -> None:
    outcome = outcome_of(midge=[1.0, 9.0, 2.0], mosquitto=[8.0, 7.0, 100.0])
    assert outcome.median("midge", "cpu_us") == 2.0
    assert report.ratio(outcome, CPU, "mosquitto") == 0.25
    brokers = [Broker("midge", ""), Broker("mosquitto", "")]
    rate, cpu = report.lines_of(outcome, brokers)
    assert rate.split() == ["row", "messages/s", "500,000", "125,000", "4x"]
    assert cpu.split() == ["CPU,", "µs/message", "2.000", "8.000", "0.25x"]


def test_a_rate_that_the_generator_may_have_set_is_marked() -> None:
    outcome = outcome_of(midge=[1.0])
    outcome.samples["midge"][0]["load"] = 0.99
    rate, cpu = report.lines_of(outcome, [Broker("midge", "")])
    assert rate.endswith("*")
    assert not cpu.endswith("*")


def test_a_broker_that_was_wrong_has_no_figures_and_no_ratio() -> None:
    outcome = outcome_of(midge=[1.0], mosquitto=[2.0])
    outcome.faults["midge"] = ["lost one"]
    assert outcome.median("midge", RATE.key) is None
    assert report.ratio(outcome, RATE, "mosquitto") is None
    lines = report.lines_of(outcome, [Broker("midge", ""), Broker("mosquitto", "")])
    assert lines[-1].split() == ["WRONG", "midge:", "lost", "one"]


def test_the_json_file_has_every_sample(tmp_path: Path) -> None:
    path = tmp_path / "results" / "run.json"
    report.write_json(path, [outcome_of(midge=[1.0, 3.0])], [Broker("midge", "run it", "1")])
    document = json.loads(path.read_text())
    assert document["brokers"] == {"midge": {"command": "run it", "version": "1", "ours": True}}
    assert document["kind"] == "bench"
    assert document["machine"] == report.machine()
    (row,) = document["rows"]
    assert row["medians"]["midge"]["cpu_us"] == 2.0
    assert [sample["cpu_us"] for sample in row["samples"]["midge"]] == [1.0, 3.0]


def test_names_of_rows_are_unique_and_choose_rows() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert chosen_rows([]) == list(ROWS)
    assert {row.name for row in chosen_rows(["qos 2", "Connections"])} == {
        "QoS 2, 20 in flight",
        "connections",
    }


def test_a_broker_of_the_command_line_replaces_ours_or_comes_last() -> None:
    other, ours = Broker("other", "x"), Broker("midge", "y")
    assert chosen_brokers([other, ours], just=["other", "midge"]) == [ours, other]
    assert chosen_brokers([other, ours], ["other"], ["other", "midge"]) == [ours]


def test_the_command_says_when_there_is_nothing_to_measure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--only", "no such row"]) == 2
    assert "nothing to measure" in capsys.readouterr().err


def test_the_command_lists_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [row.name for row in ROWS]


def test_one_wrong_broker_makes_the_command_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    words = ["--only", "QoS 2", "--quick", "--just", "broken", "--json", str(path)]
    assert main([*words, "--broker", "broken=sh -c 'exit 3'"]) == 1
    assert "WRONG broken" in capsys.readouterr().out
    assert json.loads(path.read_text())["rows"][0]["faults"].keys() == {"broken"}


def test_a_midge_in_a_directory_is_one_of_ours(tmp_path: Path) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no midge in"):
        broker_of(f"compiled={tmp_path}")
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=COMMAND"):
        broker_of("compiled")
    (tmp_path / "midge").mkdir()
    (tmp_path / "midge" / "__init__.py").touch()
    broker = broker_of(f"compiled={tmp_path}")
    assert broker.ours
    assert f"PYTHONPATH={tmp_path}" in broker.command
    assert not broker_of("other=run it").ours


def test_an_aim_that_is_missed_is_marked_and_one_that_is_met_is_not() -> None:
    row = Row("row", (CPU,), aims={"cpu_us": Aim(1.5)})
    outcome = report.Outcome(row)
    outcome.samples = {"midge": [{"cpu_us": 2.0}], "compiled": [{"cpu_us": 1.0}]}
    brokers = [Broker("midge", ""), Broker("compiled", "", ours=True)]
    (line,) = report.lines_of(outcome, brokers)
    assert line.split() == ["row", "CPU,", "µs/message", "2.000!", "1.000", "<=", "1.5"]


def test_an_aim_may_be_a_factor_of_another_broker_or_of_another_row() -> None:
    base = outcome_of(midge=[1.0])
    before = {"row": base}
    row = Row("v5", (CPU, RATE), aims={"cpu_us": Aim(1.5, "row"), "rate": Aim(2, "mosquitto")})
    outcome = report.Outcome(row)
    outcome.samples = {
        "midge": [{"cpu_us": 1.6, "rate": 3.0, "load": 0.0}],
        "mosquitto": [{"cpu_us": 9.0, "rate": 1.0, "load": 0.0}],
    }
    assert report.is_missed(outcome, CPU, "midge", before)
    assert not report.is_missed(outcome, RATE, "midge", before)
    outcome.samples["mosquitto"][0]["rate"] = 2.0
    assert report.is_missed(outcome, RATE, "midge", before)
    assert not report.is_missed(outcome, CPU, "midge", {}), "nothing to compare with is no verdict"


def test_every_aim_that_is_a_factor_names_a_row_before_it_or_a_broker() -> None:
    before = {"mosquitto"}
    for row in ROWS:
        for key, aim in row.aims.items():
            assert key in {measure.key for measure in row.measures}
            assert not aim.of or aim.of in before, (row.name, aim.of)
        before.add(row.name)


@pytest.mark.parametrize("door", ["tls", "ws"])
def test_midge_delivers_through_every_door(load: Path, door: str) -> None:
    row = Row("door", door=door, qos=1, batch=16, subscribers=2, payload=2000)
    assert sample(load, midge(), row, 0.1)["delivered"] > 0


def test_a_door_that_a_peer_does_not_have_is_no_fault(load: Path) -> None:
    row = Row("door", door="ws")
    cannot = Broker("cannot", "sh -c 'echo built without it; exit 1' {config}")
    not_told = Broker("not told", "run --port {port}")
    outcome = measure_row(load, row, [cannot, not_told], 1, 0.1)
    assert not outcome.faults
    assert "built without it" in outcome.absent["cannot"]
    assert "not told how to listen for ws" in outcome.absent["not told"]


@pytest.mark.parametrize("broker", [midge(), mosquitto()], ids=["midge", "mosquitto"])
def test_retained_messages_are_stored_and_fetched(load: Path, broker: Broker | None) -> None:
    if broker is None:
        pytest.skip("there is no mosquitto")
    row = Row("few", step="retained", retained=1, topics=300, batch=64)
    figures = sample(load, broker, row, 0.1)
    assert all(figures[key] > 0 for key in ("rate", "cpu_us", "fetch_ms"))
