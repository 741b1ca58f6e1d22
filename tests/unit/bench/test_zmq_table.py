"""The comparison with pyzmq: its samples check what they count, its lines say what is wrong."""

from __future__ import annotations

import asyncio
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


class Said:
    """A socket that receives what it is told to; asyncio's, if it is awaited."""

    def __init__(self, messages: list[bytes]) -> None:
        self._left = iter(messages)

    def recv(self) -> bytes:
        return next(self._left)


class SaidAsync(Said):
    async def recv(self) -> bytes:  # type: ignore[override]
        return super().recv()


def _damage(messages: list[bytes], how: str) -> None:
    if how == "lost":
        del messages[1500]
    elif how == "doubled":
        messages.insert(1500, messages[1500])
    elif how == "one lost and one doubled":
        messages[1500] = messages[1501]
    elif how == "out of order":
        messages[1500:1502] = messages[1501:1499:-1]
    elif how == "a lot out of order":
        messages[1200:1712] = messages[1456:1712] + messages[1200:1456]
    elif how == "changed":
        messages[1500] = messages[1500][:-1] + b"?"
    elif how == "too many at the end":
        messages.insert(-1, messages[5])


@pytest.mark.parametrize("face", ["sync", "asyncio"])
@pytest.mark.parametrize("size", [16, 100, 1024, 65_536])
def test_what_was_sent_is_right_as_it_was_sent(face: str, size: int) -> None:
    _received(face, size, "")


@pytest.mark.parametrize("face", ["sync", "asyncio"])
@pytest.mark.parametrize("size", [16, 1024, 65_536])
@pytest.mark.parametrize(
    "how",
    [
        "lost",
        "doubled",
        "one lost and one doubled",
        "out of order",
        "a lot out of order",
        "changed",
        "too many at the end",
    ],
)
def test_a_message_that_is_not_what_was_sent_then_is_a_fault(
    capsys: pytest.CaptureFixture[str], face: str, size: int, how: str
) -> None:
    with pytest.raises(SystemExit):
        _received(face, size, how)
    assert '"fault"' in capsys.readouterr().out


def _received(face: str, size: int, how: str) -> None:
    count = 1000
    messages = [*zmq_load.bodies_of(size, zmq_load.WARM_UP + count), b"end"]
    _damage(messages, how)
    end = zmq_load.End.__new__(zmq_load.End)
    if face == "sync":
        end.socket = Said(messages)
        zmq_load.receive_all(end, count, size)
    else:
        end.socket = SaidAsync(messages)
        asyncio.run(zmq_load.receive_all_async(end, count, size))


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
