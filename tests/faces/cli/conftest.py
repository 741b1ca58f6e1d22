"""Brokers for the commands to talk to: Debian's Mosquitto, and our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import missing, program
from tests.process import BrokerProcess


class MosquittoProcess(BrokerProcess):
    """Debian's broker, whatever else the tests are run against."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        super().__init__(directory, extra)
        self._command = [program("mosquitto") or "mosquitto", "-c", str(self._file)]


def _broker(kind: str, directory: Path, extra: str = "") -> BrokerProcess:
    if kind == "midge":
        return BrokerProcess(directory, extra)
    why = missing("mosquitto")
    if why is not None:
        pytest.skip(why)
    return MosquittoProcess(directory, extra)


@pytest.fixture(
    scope="module",
    params=["midge", pytest.param("mosquitto", marks=pytest.mark.peer("mosquitto"))],
)
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrokerProcess]:
    """A broker that lets everybody in; each test has topics of its own on it."""
    kind: str = request.param
    with _broker(kind, tmp_path_factory.mktemp(kind), "max_queued_messages 20000\n") as process:
        yield process


@pytest.fixture(
    scope="module",
    params=["midge", pytest.param("mosquitto", marks=pytest.mark.peer("mosquitto"))],
)
def closed_broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrokerProcess]:
    """A broker that lets nobody in."""
    kind: str = request.param
    process = _broker(kind, tmp_path_factory.mktemp(kind + "-closed"))
    process._file.write_text(process._file.read_text().replace("true", "false"))
    with process:
        yield process
