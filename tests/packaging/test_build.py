"""Whether a wheel is compiled: what decides it, what happens when it fails, what is said."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
from setuptools import build_meta

ROOT = Path(__file__).resolve().parents[2]
NO_COMPILER = "no C compiler that finds Python's headers was there"


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The hooks of the build, as they are at the start of one."""
    spec = importlib.util.spec_from_file_location("midge_build", ROOT / "scripts/midge_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("MIDGE_COMPILE", "MIDGE_NOT_COMPILED", "CC"):
        monkeypatch.delenv(name, raising=False)
    return module


class Setuptools:
    """In place of what builds: says what it was told to do, and fails where it should."""

    def __init__(self, fails_with: BaseException | None = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self._fails_with = fails_with

    def build(self, *arguments: object) -> str:
        told = (os.environ["MIDGE_COMPILE"], os.environ["MIDGE_NOT_COMPILED"])
        self.calls.append(told)
        if told[0] == "1" and self._fails_with is not None:
            raise self._fails_with
        return "midge.whl"

    def requires(self, *arguments: object) -> list[str]:
        self.build()
        return ["setuptools"]


@pytest.fixture
def setuptools(request: pytest.FixtureRequest) -> Iterator[Setuptools]:
    """Setuptools that build nothing; the test's parameter is what a compilation fails with."""
    instead = Setuptools(getattr(request, "param", None))
    with (
        mock.patch.object(build_meta, "build_wheel", instead.build),
        mock.patch.object(build_meta, "build_editable", instead.build),
        mock.patch.object(build_meta, "prepare_metadata_for_build_wheel", instead.build),
        mock.patch.object(build_meta, "prepare_metadata_for_build_editable", instead.build),
        mock.patch.object(build_meta, "get_requires_for_build_wheel", instead.requires),
    ):
        yield instead


@pytest.fixture
def compiler(backend: ModuleType) -> Iterator[None]:
    """A C compiler and mypyc, wherever this runs."""
    with (
        mock.patch.object(backend, "_compiler_works", return_value=True),
        mock.patch.object(importlib.util, "find_spec", return_value=object()),
    ):
        yield


@pytest.mark.usefixtures("compiler")
def test_a_wheel_is_compiled_where_a_compiler_is_at_hand(
    backend: ModuleType, setuptools: Setuptools
) -> None:
    assert backend.get_requires_for_build_wheel() == ["setuptools", backend.COMPILER]
    assert backend.build_wheel("dist") == "midge.whl"
    assert setuptools.calls == [("0", ""), ("1", "")]


@pytest.mark.parametrize("compiler", ["/nonexistent", "false"])
def test_without_a_compiler_the_wheel_is_plain_and_needs_no_mypyc(
    backend: ModuleType,
    setuptools: Setuptools,
    compiler: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CC", compiler)
    assert backend.get_requires_for_build_wheel() == ["setuptools"]
    assert backend.build_wheel("dist") == "midge.whl"
    assert setuptools.calls == [("0", ""), ("0", NO_COMPILER)]
    assert (
        f"midge: not compiled, because {NO_COMPILER}; it will run as plain Python.\n"
        in capsys.readouterr().err
    )


def test_a_compiler_that_is_not_on_the_path_is_none(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert backend.obstacle() == NO_COMPILER


def test_a_compiler_without_the_headers_of_python_is_none(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import distutils.sysconfig

    monkeypatch.setattr(distutils.sysconfig, "get_python_inc", lambda: str(tmp_path))
    assert backend.obstacle() == NO_COMPILER


@pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed")
def test_a_compiler_that_works_is_no_obstacle(backend: ModuleType) -> None:
    assert backend.obstacle() is None


def test_without_mypyc_the_wheel_is_plain(backend: ModuleType, setuptools: Setuptools) -> None:
    with (
        mock.patch.object(backend, "_compiler_works", return_value=True),
        mock.patch.object(importlib.util, "find_spec", return_value=None),
    ):
        backend.build_wheel("dist")
    assert setuptools.calls == [("0", "mypyc, a part of mypy, is not installed")]


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(
    "setuptools", [SystemExit("error: command failed"), ValueError("odd")], indirect=True
)
def test_a_compilation_that_fails_leaves_a_plain_wheel(
    backend: ModuleType, setuptools: Setuptools, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backend.build_wheel("dist") == "midge.whl"
    assert setuptools.calls == [("1", ""), ("0", "the compilation failed")]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[1].startswith("midge: not compiled, because the compilation failed;")


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("setuptools", [SystemExit(1)], indirect=True)
def test_a_compilation_that_must_be_and_fails_is_an_error(
    backend: ModuleType, setuptools: Setuptools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDGE_COMPILE", "1")
    with pytest.raises(SystemExit, match="MIDGE_COMPILE=1 is set, but the compilation failed"):
        backend.build_wheel("dist")
    assert setuptools.calls == [("1", "")]


def test_a_compilation_that_must_be_needs_a_compiler(
    backend: ModuleType, setuptools: Setuptools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDGE_COMPILE", "1")
    monkeypatch.setenv("CC", "/nonexistent")
    with pytest.raises(SystemExit, match="MIDGE_COMPILE=1 is set, but no C compiler"):
        backend.build_wheel("dist")
    assert setuptools.calls == []


@pytest.mark.usefixtures("compiler")
def test_a_compilation_can_be_forbidden(
    backend: ModuleType, setuptools: Setuptools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDGE_COMPILE", "0")
    assert backend.get_requires_for_build_wheel() == ["setuptools"]
    backend.build_wheel("dist")
    assert setuptools.calls == [("0", ""), ("0", "MIDGE_COMPILE=0 was set")]


@pytest.mark.usefixtures("compiler")
def test_another_interpreter_is_none_that_mypyc_compiles_for(backend: ModuleType) -> None:
    with mock.patch("platform.python_implementation", return_value="PyPy"):
        assert backend.obstacle() == "mypyc does not compile for PyPy"


def test_a_choice_that_is_none_is_refused(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDGE_COMPILE", "yes")
    with pytest.raises(SystemExit, match="MIDGE_COMPILE is 0 or 1, not 'yes'"):
        backend.obstacle()


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("asked", [None, "1"])
def test_what_is_to_be_edited_is_not_compiled_and_metadata_need_nothing(
    backend: ModuleType,
    setuptools: Setuptools,
    asked: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if asked is not None:
        monkeypatch.setenv("MIDGE_COMPILE", asked)
    backend.prepare_metadata_for_build_wheel("dist")
    backend.prepare_metadata_for_build_editable("dist")
    backend.build_editable("dist")
    assert setuptools.calls == [("0", "")] * 3
    assert os.environ.get("MIDGE_COMPILE") == asked
    assert "MIDGE_NOT_COMPILED" not in os.environ
