"""The comparison with pyzmq: its samples check what they count, its lines say what is wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

import midge.zmq
from bench import zmq_load, zmq_table
from bench.generator import ZMQ, build_zmq_ends
from bench.zmq_rows import LIBRARIES, NATIVE, ZmqRow, rows


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
    good = zmq_table.line_of(row, {"midge.zmq": 3e6, "zmq": 1.5e6}, {})
    assert "PUB/SUB sync tcp 100 B" in good
    assert " 2.00 " in good
    assert "below" not in good
    assert "below the aim" in zmq_table.line_of(row, {"midge.zmq": 2e6, "zmq": 1.5e6}, {})
    assert "WRONG  zmq: lost" in zmq_table.line_of(row, {"midge.zmq": 2e6}, {"zmq": "lost"})
    assert "? not measured" in zmq_table.line_of(row, {"midge.zmq": 2e6}, {})


def test_a_line_below_tells_of_libzmq_in_c_or_that_it_was_not_measured() -> None:
    row = ZmqRow("push", "sync", "tcp", 16, 4.0)
    rates = {"midge.zmq": 3e6, "zmq": 1e6, NATIVE: 4e6}
    line = zmq_table.line_of_native(row, rates, {})
    assert " 0.75   1.00  below the aim" in line
    assert "? not measured" in zmq_table.line_of_native(row, {"midge.zmq": 3e6}, {})
    assert "WRONG  libzmq in C: lost" in zmq_table.line_of_native(row, rates, {NATIVE: "lost"})
    assert "WRONG" not in zmq_table.line_of(row, rates, {NATIVE: "lost"})
    large = ZmqRow("push", "sync", "tcp", 1024, 2.0)
    assert zmq_table.line_of_native(large, rates, {}).endswith(" 0.75")
    assert zmq_table.line_of_native(large, {"midge.zmq": 3e6}, {}) == ""
    assert zmq_table.line_of_native(ZmqRow("pub", "sync", "tcp", 16, 4.0), rates, {}) == ""


needs_headers = pytest.mark.skipif(not ZMQ.exists(), reason="libzmq's headers are not installed")


@needs_headers
@pytest.mark.parametrize("size", [16, 1024, 65_536])
def test_a_sample_in_c_counts_every_message(size: int) -> None:
    figures = zmq_table.sample(NATIVE, ZmqRow("push", "sync", "ipc", size, 4.0), 0.002)
    assert figures["rate"] > 0
    assert figures["cpu_us"] > 0


@needs_headers
@pytest.mark.parametrize("how", ["", "lost", "doubled", "changed", "too many at the end"])
@pytest.mark.parametrize("size", [100, 1024])
def test_the_program_in_c_checks_what_ours_checks(tmp_path: Path, size: int, how: str) -> None:
    messages = [*zmq_load.bodies_of(size, 2000), b"end"]
    _damage(messages, how)
    words = ["receive", f"ipc://{tmp_path}/socket", "1000", str(size), "1000"]
    words.append(str(zmq_load.how_many_differ(size)))
    command = [str(build_zmq_ends()), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        context = midge.zmq.Context()
        push = context.socket(midge.zmq.PUSH)
        push.sndhwm = 0  # it may end before it has had all
        push.connect(words[1])
        push.send_many(messages)
        told = json.loads(receiver.stdout.read())
        push.close(0)
        context.term()
    assert ("fault" in told) == bool(how)


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
