"""What all tests share: peers that may be missing, and a broker as a process of its own."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from midge.cli.version import is_compiled
from tests.peers import missing
from tests.process import BrokerProcess

# A slow machine is no failure of a property.
settings.register_profile(
    "midge", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("midge")

# A broker that root starts would become another user, who cannot read what tests write.
if os.geteuid() == 0:
    os.environ.setdefault("PUID", "0")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the source can be tested with, where a compiled midge is tested."""
    if not is_compiled():
        return
    left_out = [item for item in items if item.get_closest_marker("source_only")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose peer is missing, with the reason; in CI that is a failure."""
    for marker in item.iter_markers("peer"):
        for name in marker.args:
            why = missing(name)
            if why is not None:
                if os.environ.get("CI"):
                    pytest.fail(f"a peer is missing in CI: {why}", pytrace=False)
                pytest.skip(why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the log of every broker that runs during a failed test beside its failure."""
    report = yield
    if report.failed:
        for number, broker in enumerate(BrokerProcess.running, 1):
            report.sections.append((f"log of broker {number}, port {broker.port}", broker.log()))
    return report


@pytest.fixture
def broker_process(tmp_path: Path) -> Iterator[BrokerProcess]:
    """``midge broker`` with a configuration that lets everybody in, on a port of its own."""
    with BrokerProcess(tmp_path) as broker:
        yield broker
