"""What is compiled keeps to what the compiler does right: found by a crash, held here for all."""

from __future__ import annotations

import ast
import collections
import runpy
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Classes of extension modules, of whose place in memory the compiler knows nothing, and says
#: nothing. It knows ``dict`` and the exceptions, and refuses the other classes of ``builtins``.
CONTAINERS = {"deque", "defaultdict", "OrderedDict"}


def compiled_modules() -> list[Path]:
    """What ``setup.py`` has compiled."""
    with mock.patch("setuptools.setup"):
        namespace = runpy.run_path(str(ROOT / "setup.py"))
    package = ROOT / "src" / "midge"
    found = [package / name for name in namespace["MODULES"]]
    for room in namespace["ROOMS"]:
        found += sorted((package / room).glob("*.py"))
    return found


@pytest.mark.parametrize(
    "path", compiled_modules(), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_no_compiled_class_derives_from_a_container(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ClassDef):
            continue
        for base in node.bases:
            named = base.value if isinstance(base, ast.Subscript) else base
            name = named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")
            assert name not in CONTAINERS, (
                f"{path.name}, line {node.lineno}: {node.name} derives from {name}; compiled, it "
                "crashes when one is made: let it have one instead"
            )


@pytest.mark.parametrize(
    "path", compiled_modules(), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_no_name_is_of_one_exception_here_and_of_another_there(path: Path) -> None:
    """The first clause gives the name its type, and the second then raises a TypeError."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        seen: dict[str, str] = {}
        for inner in ast.walk(node):
            if isinstance(inner, ast.ExceptHandler) and inner.name and inner.type:
                caught = ast.unparse(inner.type)
                assert seen.setdefault(inner.name, caught) == caught, (
                    f"{path.name}, line {inner.lineno}: {inner.name} is {seen[inner.name]} above "
                    f"in {node.name}; compiled, it cannot become {caught}: give it another name"
                )


def test_the_containers_are_what_they_are_called() -> None:
    assert all(hasattr(collections, name) for name in CONTAINERS)
