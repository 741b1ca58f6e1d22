"""A missing peer is one line; in CI it is a failure."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest, peers


def item(*names: str) -> Any:
    """A test that is marked with the peers it needs, as pytest hands it to its hooks."""
    markers = [SimpleNamespace(args=(name,)) for name in names]
    return SimpleNamespace(iter_markers=lambda name: markers if name == "peer" else [])


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "program", lambda name: None)
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    "name", sorted(peers.PROGRAMS | peers.MODULES.keys() | peers.NODE_PACKAGES.keys())
)
@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_peer_is_a_skip_with_its_reason_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^[^\n]*not installed[^\n]*make setup[^\n]*$"):
        conftest.pytest_runtest_setup(item(name))


@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_peer_is_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="a peer is missing in CI"):
        conftest.pytest_runtest_setup(item("mosquitto_pub"))


def test_a_peer_that_nobody_knows_is_an_error_and_no_skip() -> None:
    with pytest.raises(KeyError):
        conftest.pytest_runtest_setup(item("mosquito"))


def test_what_is_there_is_not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "program", lambda name: f"/usr/bin/{name}")
    conftest.pytest_runtest_setup(item("mosquitto_pub", "mosquitto_sub"))
    conftest.pytest_runtest_setup(item())


@pytest.mark.parametrize("name", sorted(peers.NODE_PACKAGES))
def test_a_package_that_npm_did_not_install_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "program", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    assert peers.missing(name) == f"{name} is not installed (make setup installs it with npm)"
