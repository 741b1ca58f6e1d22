"""The log: kinds, destinations, the form of a line."""

from __future__ import annotations

import io
import json
import logging
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.config.settings import Settings
from midge.server.logs import (
    KINDS,
    LINE_CHARACTERS_MAX,
    FileSink,
    Log,
    LoggingSink,
    StreamSink,
    logging_log,
    open_log,
)


class StoppedClock:
    """Shows whatever time it is set to."""

    def __init__(self, wall: float = 1_795_406_000.75) -> None:
        self.time = wall

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return self.time


class BrokenSink:
    """Takes nothing."""

    def write(self, kind: str, stamp: str, text: str) -> None:
        raise BrokenPipeError


def make(
    types: tuple[str, ...] = ("all",),
    timestamp: bool = True,
    timestamp_format: str | None = None,
) -> tuple[Log, io.StringIO, StoppedClock]:
    stream = io.StringIO()
    clock = StoppedClock()
    log = Log(clock, types, [StreamSink(stream)], timestamp, timestamp_format)
    return log, stream, clock


def test_a_line_begins_with_the_seconds_since_1970() -> None:
    log, stream, clock = make()
    log.notice("one")
    clock.time += 0.5
    log.notice("two")
    assert stream.getvalue() == "1795406000: one\n1795406001: two\n"


def test_a_line_can_begin_with_a_time_in_any_form_or_with_none() -> None:
    log, stream, clock = make(timestamp_format="%%%Y%%")
    log.notice("one")
    clock.time += 366 * 86_400
    log.notice("two")
    assert stream.getvalue() == "%2026%: one\n%2027%: two\n"
    log, stream, _ = make(timestamp=False)
    log.notice("three")
    assert stream.getvalue() == "three\n"


def test_a_form_that_gives_nothing_says_so() -> None:
    log, stream, _ = make(timestamp_format="%Z")
    log._format = ""
    log.notice("one")
    assert stream.getvalue() == "Time error: one\n"


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_kinds_that_are_on_are_written(kind: str) -> None:
    log, stream, _ = make((kind,), timestamp=False)
    for each in KINDS:
        assert getattr(log, each + "_on") is (each == kind)
        getattr(log, each)(each)
        log.write(each, "again " + each)
    assert stream.getvalue() == f"{kind}\nagain {kind}\n"


def test_a_log_without_a_destination_has_no_kind_on_so_that_nobody_formats_a_line() -> None:
    log = Log(StoppedClock(), ("all",), [])
    assert not any(getattr(log, each + "_on") for each in KINDS)
    log.error("nobody hears this")


def test_control_characters_cannot_make_a_second_line_or_reach_a_terminal() -> None:
    log, stream, _ = make(timestamp=False)
    log.notice("New client as x\n1795406000: forged\r\x1b[2J\x85\u2028\x00\tend")
    assert (
        stream.getvalue()
        == "New client as x\\n1795406000: forged\\r\\x1b[2J\\x85\\u2028\\x00\\tend\n"
    )
    log.debug("\ttopic\tü")
    assert stream.getvalue().endswith("\n\ttopic\\tü\n")


@given(st.text())
def test_whatever_is_logged_stays_on_one_line_of_bounded_length(text: str) -> None:
    log, stream, _ = make()
    log.notice(text * 50)
    line = stream.getvalue()
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert len(line) <= LINE_CHARACTERS_MAX + 1


def test_a_destination_that_fails_loses_the_line_and_holds_up_no_other() -> None:
    stream = io.StringIO()
    log = Log(StoppedClock(), ("all",), [BrokenSink(), StreamSink(stream)])
    log.error("one")
    log.error("two")
    assert stream.getvalue().count("\n") == 2
    assert log.lines_lost == 2
    stream.close()
    log.error("three")
    assert log.lines_lost == 4


def test_a_stream_with_a_narrow_encoding_gets_what_it_can_show() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    log = Log(StoppedClock(), ("all",), [StreamSink(stream)], timestamp=False)
    log.notice("Größe")
    assert raw.getvalue() == b"Gr\\xf6\\xdfe\n"
    assert log.lines_lost == 0


def test_a_log_file_is_appended_to_and_private_and_can_be_rotated(tmp_path: Path) -> None:
    path = tmp_path / "midge.log"
    log = Log(StoppedClock(), ("all",), [FileSink(str(path))], timestamp=False)
    log.notice("eins")
    assert path.read_text() == "eins\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.rename(tmp_path / "old.log")
    log.notice("zwei")
    log.reopen()
    log.notice("drei \ud800")
    log.close()
    log.notice("vier")
    assert (tmp_path / "old.log").read_text() == "eins\nzwei\n"
    assert path.read_text() == "drei \\ud800\n"
    assert log.lines_lost == 0


def test_a_log_file_that_cannot_be_reopened_stays_open(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = Log(StoppedClock(), ("all",), [FileSink(str(folder / "a.log"))], timestamp=False)
    (folder / "a.log").rename(tmp_path / "b.log")
    folder.rmdir()
    log.reopen()
    log.notice("still here")
    log.close()
    first, second = (tmp_path / "b.log").read_text().splitlines()
    assert first == f"Error: Unable to open log file {folder / 'a.log'} for writing."
    assert second == "still here"


def test_the_configuration_chooses_kinds_and_destinations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "midge.log"
    settings = Settings(
        log_destinations=frozenset({"stdout", "stderr", "file"}),
        log_file=str(path),
        log_types=frozenset({"notice"}),
    )
    log = open_log(settings, StoppedClock())
    log.notice("yes")
    log.information("no")
    log.close()
    line = "1795406000: yes\n"
    assert capsys.readouterr() == (line, line)
    assert path.read_text() == line


def test_quiet_and_verbose_override_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(log_types=frozenset({"error"}))
    open_log(settings, StoppedClock(), verbose=True).debug("verbose")
    open_log(settings, StoppedClock(), quiet=True).error("quiet")
    open_log(settings, StoppedClock(), quiet=True, verbose=True).error("quiet, too")
    assert capsys.readouterr().err == "1795406000: verbose\n"


def test_no_destination_is_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    log = open_log(Settings(log_destinations=frozenset()), StoppedClock(), verbose=True)
    log.error("nobody hears this")
    assert capsys.readouterr() == ("", "")


def test_a_log_file_that_cannot_be_opened_is_an_error_on_stderr_and_only_errors_go_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "missing" / "midge.log"
    settings = Settings(log_destinations=frozenset({"file"}), log_file=str(path))
    log = open_log(settings, StoppedClock(), verbose=True)
    log.notice("no")
    log.error("yes")
    assert capsys.readouterr().err == (
        f"1795406000: Error: Unable to open log file {path} for writing.\n1795406000: yes\n"
    )


def test_an_embedded_broker_logs_to_the_standard_library(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("midge.test_logs")
    with caplog.at_level(logging.INFO, logger.name):
        log = logging_log(logger, StoppedClock())
        assert not log.debug_on
        log.debug("no")
        log.notice("100% yes")
        log.warning("careful")
        log.error("bad")
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (logging.INFO, "100% yes"),
        (logging.WARNING, "careful"),
        (logging.ERROR, "bad"),
    ]
    with caplog.at_level(logging.DEBUG, logger.name):
        assert LoggingSink(logger).wanted() == set(KINDS)


def test_a_log_file_that_exists_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "midge.log"
    path.write_text("before\n")
    os.chmod(path, 0o640)
    sink = FileSink(str(path))
    sink.write("notice", "", "after")
    sink.close()
    assert path.read_text() == "before\nafter\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


# -- one object a line ---------------------------------------------------------------------------


def json_lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@given(st.text(max_size=2000))
def test_any_line_can_be_a_json_line(text: str) -> None:
    stream = io.StringIO()
    log = Log(StoppedClock(), ("all",), [StreamSink(stream)], form="json")
    log.notice(text)
    assert stream.getvalue().count("\n") == 1
    (found,) = json_lines(stream)
    assert found["time"] == 1_795_406_000.75
    assert found["type"] == "notice"
    shown = found["message"]
    assert isinstance(shown, str)
    if text.isprintable() and len(text) < 900:
        assert shown == text


def test_the_time_of_a_json_line_follows_the_settings() -> None:
    stream = io.StringIO()
    log = Log(StoppedClock(), ("all",), [StreamSink(stream)], False, None, "json")
    log.error("none")
    log.set_form(True, "year %Y", "json")
    log.error("form")
    none, form = json_lines(stream)
    assert none == {"type": "error", "message": "none"}
    assert form["time"] == "year 2026"


def test_the_form_can_change_while_the_log_is_in_use() -> None:
    log, stream, _ = make()
    log.notice("one")
    log.set_form(False, None, "text")
    log.notice("two")
    assert stream.getvalue() == "1795406000: one\ntwo\n"
