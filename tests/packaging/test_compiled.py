"""What is compiled, and that a package says whether it is. (``make test-compiled`` compiles it.)"""

from __future__ import annotations

import importlib
import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest

import midge
from midge.cli import version
from midge.topics import names

ROOT = Path(__file__).resolve().parent.parent.parent


def setup_py() -> dict[str, Any]:
    """What setup.py has in it."""
    with mock.patch("setuptools.setup"), mock.patch.dict("os.environ", {"MIDGE_COMPILE": ""}):
        return runpy.run_path(str(ROOT / "setup.py"))


def sources() -> list[str]:
    """The modules that setup.py compiles."""
    return cast("list[str]", setup_py()["sources"]())


def test_the_path_of_a_message_is_compiled() -> None:
    names = {Path(one).relative_to("src").as_posix() for one in sources()}
    assert all((ROOT / "src" / one).is_file() for one in names)
    assert {
        "midge/mqtt/decode.py",
        "midge/topics/trie.py",
        "midge/broker/fanout.py",
        "midge/broker/outbox.py",
        "midge/broker/queue.py",
        "midge/links/mqtt.py",
        "midge/zmtp/frames.py",
        "midge/patterns/pubsub.py",
        "midge/net/zeromq/wire.py",
        "midge/zmq/quick.py",
    } <= names


def test_what_is_compiled_needs_no_library_that_may_be_missing_where_it_is_built() -> None:
    """The flags hide them all, and the compiler still finds nothing wrong."""
    flags = setup_py()["FLAGS"]
    command = [sys.executable, "-m", "mypy", "--cache-dir", os.devnull, *flags, *sources()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Success: no issues found")


def test_what_derives_from_a_compiled_class_is_compiled_too_or_the_class_allows_it() -> None:
    inside = {Path(one).relative_to("src").with_suffix("").as_posix() for one in sources()}
    names = {one.replace("/", ".") for one in inside}
    allowed = {"Link", "Hooks", "Pressure", "Taker", "MqttLink", "ZmqLink", "Quick", "AsyncQuick"}
    allowed |= {"Outbound", "IoThread"}
    for name in names:
        importlib.import_module(name)
    outside = [
        module
        for path in sorted((ROOT / "src" / "midge").rglob("*.py"))
        for module in [".".join(path.relative_to(ROOT / "src").with_suffix("").parts)]
        if module not in names and not path.stem.startswith("__")
    ]
    for name in outside:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # some are there for old programs
            module = importlib.import_module(name)
        for found in vars(module).values():
            if isinstance(found, type) and found.__module__ == name:
                bases = {base for base in found.__mro__[1:] if base.__module__ in names}
                assert {base.__name__ for base in bases} <= allowed, found


@pytest.mark.source_only("it pretends to be other packages")
def test_a_package_says_whether_it_is_compiled(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "midge", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f" ({version.kind()})\n")
    (tmp_path / "topics").mkdir()
    with mock.patch.object(midge, "__file__", str(tmp_path / "__init__.py")):
        assert version.kind() == "pure Python"
        (tmp_path / "not_compiled.txt").write_text("of a reason\n")
        assert version.kind() == "pure Python: of a reason"
        (tmp_path / "topics" / "names.cpython-39-x86_64-linux-gnu.so").touch()
        assert version.kind() == "pure Python: what is compiled is for another Python"
        with mock.patch.dict("os.environ", {"MIDGE_PURE": "1"}):
            assert version.kind() == "pure Python: MIDGE_PURE is set"
    with mock.patch.object(names, "__file__", "names.cpython-311-x86_64-linux-gnu.so"):
        assert version.kind() == "compiled"
