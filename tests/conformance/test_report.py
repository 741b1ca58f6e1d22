"""The report itself: what it counts, and that it notices what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.report import TESTS, MarkerError, Report, main, marked_below, marked_in
from tests.conformance.statements import ALL, BOTH, BY_ID, CLIENT, SERVER, V5, V311, Statement

MODULE = """
import pytest

@pytest.mark.spec("MQTT-1", "MQTT-2")
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.spec("MQTT-3"))])
def test_one(x): ...

class TestGroup:
    @pytest.mark.spec("MQTT-1")
    async def test_two(self): ...

@pytest.mark.spec("MQTT-4")
def helper(): ...
"""


def table() -> tuple[Statement, ...]:
    return (
        Statement("MQTT-1", SERVER, "one"),
        Statement("MQTT-2", BOTH, "two"),
        Statement("MQTT-3", CLIENT, "three"),
        Statement("MQTT-4", SERVER, "four", "nobody can see it"),
    )


def test_markers_are_read_from_functions_methods_and_parameters_but_not_from_helpers() -> None:
    assert marked_in(MODULE, "m.py") == {
        "MQTT-1": ["m.py::test_one", "m.py::TestGroup::test_two"],
        "MQTT-2": ["m.py::test_one"],
        "MQTT-3": ["m.py::test_one"],
    }


def test_a_marker_whose_statement_is_not_a_plain_string_is_an_error() -> None:
    with pytest.raises(MarkerError, match=r"m\.py:3"):
        marked_in("import pytest\n\n@pytest.mark.spec(NAME)\ndef test_it(): ...\n", "m.py")


def test_a_statement_that_binds_a_server_and_has_no_test_makes_the_report_incomplete() -> None:
    report = Report(table(), {"MQTT-1": ["t"]})
    assert [statement.id for statement in report.missing] == ["MQTT-2"]
    assert not report.complete
    assert any(line.startswith("  MQTT-2") for line in report.lines())


def test_client_statements_and_untestable_ones_do_not_make_it_incomplete_and_are_listed() -> None:
    report = Report(table(), {"MQTT-1": ["t"], "MQTT-2": ["t"]})
    assert report.complete
    text = "\n".join(report.lines())
    assert "nobody can see it" in text
    assert "MQTT-3" in text


def test_a_marker_that_names_no_statement_makes_the_report_incomplete() -> None:
    tests = {"MQTT-1": ["t"], "MQTT-2": ["t"], "MQTT-9": ["t"]}
    report = Report(table(), tests)
    assert report.unknown == ["MQTT-9"]
    assert not report.complete


def test_taking_one_marker_out_of_the_real_tests_is_noticed() -> None:
    tests = marked_below(TESTS)
    complete = Report(ALL, tests)
    victim = next(s for s in ALL if s.needs_test and s.id in tests)
    report = Report(ALL, {id: names for id, names in tests.items() if id != victim.id})
    assert set(report.missing) - set(complete.missing) == {victim}


def test_every_testable_statement_that_binds_a_server_has_a_test_and_no_marker_is_wrong() -> None:
    report = Report(ALL, marked_below(TESTS))
    assert [statement.id for statement in report.missing] == []
    assert report.unknown == []


def test_the_exit_status_is_1_while_a_statement_has_no_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    assert "0 missing" in capsys.readouterr().out
    assert main([], tmp_path) == 1
    assert "  MQTT-3.3.2-8 " in capsys.readouterr().out.partition("WITHOUT A TEST:")[2]


def test_each_identifier_stands_once_and_the_tables_have_the_size_of_the_standards() -> None:
    assert len(BY_ID) == len(ALL)
    assert len(V5) == 252
    assert len(V311) == 141
