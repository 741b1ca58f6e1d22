"""Where lines of the log go: syslog and topics; files and streams are with the log itself."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from midge.limits import LOG_TOPIC_LINES_MAX
from midge.server.log_sinks import KINDS, SyslogSink, TopicSink
from midge.server.logs import Log
from tests.unit.server.test_logs import StoppedClock


def syslog(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(path))
    listening.settimeout(5)
    return listening


@pytest.mark.parametrize(("facility", "code"), [(None, 3), (0, 16), (7, 23)])
def test_syslog_gets_each_line_with_facility_severity_time_and_pid(
    tmp_path: Path, facility: int | None, code: int
) -> None:
    path = tmp_path / "log"
    with syslog(path) as listening:
        sink = SyslogSink(facility, str(path))
        severities = {"error": 3, "warning": 4, "notice": 5, "information": 6, "debug": 7}
        for kind, severity in severities.items():
            sink.write(kind, "17: ", "what happened")
            line = listening.recv(2000).decode()
            assert re.fullmatch(
                rf"<{code * 8 + severity}>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d "
                rf"midge\[{os.getpid()}\]: 17: what happened",
                line,
            )
        sink.close()


def test_a_syslog_that_was_started_anew_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with syslog(path):
        sink = SyslogSink(None, str(path))
    path.unlink()
    log = Log(StoppedClock(), ("all",), [sink])
    log.error("nobody hears this")
    assert log.lines_lost == 1
    with syslog(path) as listening:
        log.error("this is heard")
        assert listening.recv(2000).decode().endswith("this is heard")
    assert log.lines_lost == 1
    log.close()


def test_a_syslog_that_does_not_read_costs_lines_and_no_time(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with syslog(path):
        log = Log(StoppedClock(), ("all",), [SyslogSink(None, str(path))])
        for _ in range(5000):
            log.error("x" * 500)
        assert log.lines_lost > 0
        log.close()


def test_no_syslog_at_all_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        SyslogSink(None, str(tmp_path / "none"))


def test_each_kind_has_its_topic_and_debug_has_none() -> None:
    sink = TopicSink(lambda: None)
    for kind in KINDS:
        sink.write(kind, "17: ", kind)
    found: list[tuple[str, bytes]] = []
    sink.take(lambda topic, line: found.append((topic, line)))
    assert found == [
        ("$SYS/broker/log/E", b"17: error"),
        ("$SYS/broker/log/W", b"17: warning"),
        ("$SYS/broker/log/N", b"17: notice"),
        ("$SYS/broker/log/I", b"17: information"),
        ("$SYS/broker/log/M/subscribe", b"17: subscribe"),
        ("$SYS/broker/log/M/unsubscribe", b"17: unsubscribe"),
        ("$SYS/broker/log/WS", b"17: websockets"),
    ]


def test_what_publishing_a_line_has_to_tell_is_not_published_again() -> None:
    sink = TopicSink(lambda: None)
    log = Log(StoppedClock(), ("all",), [sink], timestamp=False)
    log.notice("first")
    found: list[bytes] = []

    def publish(topic: str, line: bytes) -> None:
        found.append(line)
        log.notice("a message was dropped")

    sink.take(publish)
    sink.take(publish)
    assert found == [b"first"]


def test_lines_that_wait_are_bounded_and_the_first_wakes_whoever_takes_them() -> None:
    woken: list[int] = []
    sink = TopicSink(lambda: woken.append(1))
    log = Log(StoppedClock(), ("all",), [sink])
    for _ in range(LOG_TOPIC_LINES_MAX + 7):
        log.error("x")
    assert log.lines_lost == 7
    assert len(woken) == 1
    count = 0

    def publish(topic: str, line: bytes) -> None:
        nonlocal count
        count += 1

    sink.take(publish)
    assert count == LOG_TOPIC_LINES_MAX
    log.error("again")
    assert len(woken) == 2
    sink.close()
    log.error("nobody is there any more")
    sink.take(publish)
    assert count == LOG_TOPIC_LINES_MAX
