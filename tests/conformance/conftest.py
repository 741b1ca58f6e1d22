"""What has to do with messages is tested twice: with the fast lane of plain messages, and without.

The fast lane must not be seen from outside, so no statement may depend on it. Which of the two is
the default of :class:`~midge.testing.pair.World` is turned round for a module at a time; a test
that says itself which way it wants has it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from midge.testing.pair import World

#: The modules whose messages could take the fast lane.
BOTH_WAYS = {
    "test_delivery",
    "test_flow_control",
    "test_limits",
    "test_publish",
    "test_publish_properties",
    "test_retained",
    "test_sessions",
    "test_shared",
    "test_subscribe",
    "test_topic_aliases",
    "test_topics",
    "test_wills",
}


@pytest.fixture(autouse=True, scope="module")
def fast_lane_default(request: pytest.FixtureRequest) -> Iterator[None]:
    """The value of ``fast_lane`` for worlds that are made without one."""
    defaults = World.__init__.__kwdefaults__
    assert defaults is not None
    before = defaults["fast_lane"]
    defaults["fast_lane"] = getattr(request, "param", before)
    yield
    defaults["fast_lane"] = before


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the modules above twice."""
    if metafunc.module.__name__.rpartition(".")[2] in BOTH_WAYS:
        metafunc.parametrize(
            "fast_lane_default",
            [True, False],
            ids=["fast lane", "straight"],
            indirect=True,
            scope="module",
        )
