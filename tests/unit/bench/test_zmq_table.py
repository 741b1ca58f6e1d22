"""The comparison with pyzmq: its samples check what they count, its lines say what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import zmq_load, zmq_table
from bench.zmq_rows import LIBRARIES, ZmqRow, rows


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("face", ["sync", "asyncio"])
def test_a_sample_counts_every_message(library: str, face: str) -> None:
    row = ZmqRow("push", face, "inproc", 16, 1.0)
    figures = zmq_table.sample(library, row, 0.002)
    assert figures["rate"] > 0
    assert figures["cpu_us"] > 0


def test_a_message_that_is_not_what_was_sent_is_a_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Socket:
        def recv(self) -> bytes:
            return b"something else"

    end = zmq_load.End.__new__(zmq_load.End)
    end.socket = Socket()
    with pytest.raises(SystemExit):
        zmq_load.receive_all(end, 10, 16)
    assert "not what was sent" in capsys.readouterr().out


def test_a_line_has_the_ratio_and_whether_it_reaches_the_aim() -> None:
    row = ZmqRow("pub", "sync", "tcp", 100, 1.5)
    good = zmq_table.line_of(row, {"midge.zmq": 3e6, "zmq": 1.5e6}, [])
    assert "PUB/SUB sync tcp 100 B" in good
    assert " 2.00 " in good
    assert "below" not in good
    assert "below the aim" in zmq_table.line_of(row, {"midge.zmq": 2e6, "zmq": 1.5e6}, [])
    assert "WRONG  zmq: lost" in zmq_table.line_of(row, {"midge.zmq": 2e6}, ["zmq: lost"])


def test_a_run_keeps_every_sample_with_the_versions(tmp_path: Path) -> None:
    path = tmp_path / "zmq.json"
    words = ["--only", "PUSH/PULL sync inproc 16 B", "--rounds", "2", "--seconds", "0.001"]
    assert zmq_table.main([*words, "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    assert document["kind"] == "zmq"
    assert document["libraries"]["midge.zmq"].startswith("midge version ")
    (row,) = document["rows"]
    assert row["name"] == "PUSH/PULL sync inproc 16 B"
    for library in LIBRARIES:
        assert len(row["samples"][library]) == 2
        assert zmq_table.medians(row["samples"])[library] > 0


def test_every_row_has_a_name_of_its_own() -> None:
    names = [row.name for row in rows()]
    assert len(names) == len(set(names))
