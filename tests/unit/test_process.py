"""The broker process of the tests says so when its broker did not live as long as the test."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process import BrokerProcess


def test_a_broker_that_ends_unasked_fails_the_test(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.start()
    os.kill(broker.pid, signal.SIGTERM)
    assert broker.process is not None
    assert broker.process.wait(15) == 0
    with pytest.raises(AssertionError, match="unasked"):
        broker.__exit__(None, None, None)


def test_a_broker_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="no_such_option"),
        BrokerProcess(tmp_path, "no_such_option true\n"),
    ):
        pass
