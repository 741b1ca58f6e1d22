"""Builds the packages of midge: compiled where that can be done, else the Python source as it is.

The hooks are those of setuptools (PEP 517), with a decision before: a wheel is compiled by mypyc if
there is a C compiler that finds Python's headers. Where there is none, where mypyc is not there, or
where the compilation fails, the wheel is pure Python, one line says why, and the reason goes into
the wheel for ``midge --version``. ``MIDGE_COMPILE=0`` forbids the compilation; with
``MIDGE_COMPILE=1``, what prevents it is an error.

An editable install is never compiled: its files are there to be changed.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

#: Needed only where something is compiled, so it is asked for only there: it is large, and not to
#: be had for every machine on which midge runs. The versions are those whose code was tested.
COMPILER = "mypy>=2.4,<3"


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What has to be installed before a wheel can be built."""
    with _told(compile="0"):
        wanted = build_meta.get_requires_for_build_wheel(config_settings)
    return wanted if obstacle() else [*wanted, COMPILER]


def prepare_metadata_for_build_wheel(directory: str, config_settings: Any = None) -> str:
    """The metadata of the wheel; they are the same, compiled or not."""
    with _told(compile="0"):
        return build_meta.prepare_metadata_for_build_wheel(directory, config_settings)


def build_wheel(directory: str, config_settings: Any = None, metadata: str | None = None) -> str:
    """Build a wheel, compiled if that goes; returns its name."""
    why = obstacle()
    if why is None and importlib.util.find_spec("mypyc") is None:
        why = "mypyc, a part of mypy, is not installed"
    if why is None:
        try:
            with _told(compile="1"):
                return build_meta.build_wheel(directory, config_settings, metadata)
        except (Exception, SystemExit) as error:  # a compiler that gives up exits
            print(f"midge: {type(error).__name__}: {error}", file=sys.stderr)
            why = "the compilation failed"
    if os.environ.get("MIDGE_COMPILE") == "1":
        raise SystemExit(f"midge: MIDGE_COMPILE=1 is set, but {why}.")
    print(f"midge: not compiled, because {why}; it will run as plain Python.", file=sys.stderr)
    with _told(compile="0", why=why):
        return build_meta.build_wheel(directory, config_settings, metadata)


def prepare_metadata_for_build_editable(directory: str, config_settings: Any = None) -> str:
    """The metadata of an editable install."""
    with _told(compile="0"):
        return build_meta.prepare_metadata_for_build_editable(directory, config_settings)


def build_editable(directory: str, config_settings: Any = None, metadata: str | None = None) -> str:
    """A wheel that points to the source; that is what runs, whatever ``MIDGE_COMPILE`` says."""
    with _told(compile="0"):
        return build_meta.build_editable(directory, config_settings, metadata)


def obstacle() -> str | None:
    """Why nothing can or should be compiled here; ``None``: a compiler is at hand."""
    asked = os.environ.get("MIDGE_COMPILE", "")
    if asked not in ("", "0", "1"):
        raise SystemExit(f"midge: MIDGE_COMPILE is 0 or 1, not {asked!r}.")
    if asked == "0":
        return "MIDGE_COMPILE=0 was set"
    if platform.python_implementation() != "CPython":
        return f"mypyc does not compile for {platform.python_implementation()}"
    if not _compiler_works():
        return "no C compiler that finds Python's headers was there"
    return None


def _compiler_works() -> bool:
    """Whether the compiler that setuptools would take makes something of ``Python.h``."""
    from distutils.ccompiler import new_compiler
    from distutils.sysconfig import customize_compiler, get_python_inc

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\nint probe(void) { return PY_MAJOR_VERSION; }\n")
        try:
            compiler = new_compiler()
            customize_compiler(compiler)
            compiler.compile([str(source)], output_dir=folder, include_dirs=[get_python_inc()])
        except Exception as error:  # each platform has its own, and any of them is an answer
            print(f"midge: {error}", file=sys.stderr)
            return False
    return True


@contextmanager
def _told(*, compile: str, why: str = "") -> Iterator[None]:
    """Tell ``setup.py``, which setuptools runs, what to do."""
    before = dict(os.environ)
    os.environ["MIDGE_COMPILE"] = compile
    os.environ["MIDGE_NOT_COMPILED"] = why
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
