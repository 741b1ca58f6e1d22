"""``midge VERB``, and what a command imports before it does anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import midge
from midge.cli.main import VERBS, main
from midge.cli.version import version_line

#: What costs more than a client command can afford.
EXPENSIVE = [
    "asyncio",
    "argparse",
    "ssl",
    "logging",
    "dataclasses",
    "importlib.metadata",
    "tomllib",
    "json",
]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{version_line()}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_names_the_verbs(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    text = capsys.readouterr().out
    for verb, _, purpose in VERBS:
        assert f"  {verb} " in text
        assert purpose in text


def test_no_verb_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "Usage: midge VERB" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["pub", "--help"], ["help", "pub"]])
def test_help_of_a_verb(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "Usage: midge pub " in capfd.readouterr().out


@pytest.mark.parametrize("verb", [verb for verb, _, _ in VERBS])
def test_each_verb_has_help_and_a_version(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"Usage: midge {verb} " in capfd.readouterr().out
    assert main([verb, "--version"]) == 0
    assert capfd.readouterr().out == f"{version_line()}\n"


def test_an_unknown_verb_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 1
    assert "Error: Unknown verb 'dance'." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "status"), [("pub", 1), ("sub", 1), ("broker", 3)], ids=["pub", "sub", "broker"]
)
def test_a_flag_that_is_none_says_where_help_is(
    verb: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--nonsense"]) == status
    error = capsys.readouterr().err
    assert error == (
        f"Error: Unknown option '--nonsense'.\n\nUse 'midge {verb} --help' to see usage.\n"
    )


def imported_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement, and had not before."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "loaded = sorted(set(sys.modules) - before)\n"
        "import json; print(json.dumps(loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(midge.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "module", ["midge", "midge.cli.main", "midge.cli.pub", "midge.cli.sub", "midge.client.sync"]
)
def test_the_way_of_a_client_command_imports_nothing_expensive(module: str) -> None:
    loaded = imported_by(f"import {module}")
    assert module in loaded
    assert loaded.isdisjoint(EXPENSIVE)


def test_a_verb_imports_no_other() -> None:
    loaded = imported_by("from midge.cli.main import main; main(['pub', '--version'])")
    assert "midge.cli.pub" in loaded
    assert "midge.cli.sub" not in loaded
    assert "midge.server" not in loaded


def test_the_public_names_are_loaded_when_they_are_used() -> None:
    assert "midge.errors" not in imported_by("import midge")
    assert "midge.errors" in imported_by("from midge import MidgeError")
    for name in midge.__all__:
        assert getattr(midge, name) is not None
    assert set(midge.__all__) <= set(dir(midge))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = midge.nonsense
