"""The comparison with a proxy of libzmq: what is wrong is said, and does not end the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import zmq_proxy
from bench.zmq_proxy import WrongError


def test_what_came_once_and_in_order_is_right() -> None:
    zmq_proxy.check(["2 2 1\n", "2 4 1\n", "0 0 1\n"], 4)  # 0 and 2, 1 and 3, nothing


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (["3 3 1"], "3 of 4"),
        (["5 6 1"], "5 of 4"),
        (["4 7 1"], "another one came twice"),
        (["2 2 1", "2 4 0"], "out of order"),
        (["4 6 1", ""], "without a word"),
    ],
)
def test_what_did_not_is_wrong(told: list[str], text: str) -> None:
    with pytest.raises(WrongError, match=text):
        zmq_proxy.check(told, 4)


def test_a_side_that_is_wrong_is_told_in_its_line_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(workers: int) -> float:
        if workers == 8:
            raise WrongError("3 of 4 messages came")
        return 1.5

    monkeypatch.setattr(zmq_proxy, "by_midge", wrong)
    monkeypatch.setattr(zmq_proxy, "COMPILED", Path("/nowhere"))
    monkeypatch.setattr(zmq_proxy, "by_proxy", lambda workers: 2.0 if workers == 1 else 1.0)
    assert zmq_proxy.main(["--rounds", "2"]) == 1
    one, eight, many = capsys.readouterr().out.splitlines()[2:]
    assert "1 worker " in one
    assert one.endswith("0.75   1.00")
    assert eight.endswith("WRONG  midge: 3 of 4 messages came")
    assert "64 workers" in many
    assert many.endswith("above the aim")


def test_messages_are_carried_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zmq", reason="pyzmq is not installed")
    monkeypatch.setattr(zmq_proxy, "MESSAGES", 500)
    medians, faults = zmq_proxy.measure({"zmq.proxy": zmq_proxy.by_proxy}, 2, 1)
    assert not faults
    assert medians["zmq.proxy"] > 0


def test_messages_that_do_not_come_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zmq", reason="pyzmq is not installed")
    monkeypatch.setattr(zmq_proxy, "MESSAGES", 500)
    monkeypatch.setattr(zmq_proxy, "WORKER", "import sys; print(7, 7, 1); sys.stdin.read()")
    words: dict[str, Any] = {"zmq.proxy": zmq_proxy.by_proxy}
    medians, faults = zmq_proxy.measure(words, 1, 1)
    assert not medians
    assert len(faults) == 1
