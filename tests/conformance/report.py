"""``make spec``: which normative statements have a test, which have none, and why.

Reads the sources of all tests without running them and collects what their
``@pytest.mark.spec("...")`` decorators and module-wide ``pytestmark`` name. Prints counts and the
statements without a test, and fails when one of them binds a server and could be tested, or when a
marker names a statement that does not exist. It does not know whether the tests pass: that is
pytest's affair.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.conformance.statements import ALL, CLIENT, V5, V311, Statement

TESTS = Path(__file__).resolve().parent.parent


class MarkerError(Exception):
    """A ``spec`` marker that cannot be read: its arguments are not plain strings."""


def marked_in(source: str, name: str = "<test>") -> dict[str, list[str]]:
    """The statements that the tests of a module name, each with those tests.

    Args:
        source: the module's text.
        name: how the module is called in the report.

    Raises:
        MarkerError: a marker has an argument that is not a plain string.
    """
    found: dict[str, list[str]] = {}
    for node, test in _marked_nodes(ast.parse(source, name)):
        for id in _spec_ids(node, name):
            found.setdefault(id, []).append(f"{name}::{test}")
    return found


def _marked_nodes(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Everywhere a marker counts: on a test, on a class, in ``pytest.param``, or on the module."""
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _marked_function(statement, "")
        elif isinstance(statement, ast.ClassDef):
            for decorator in statement.decorator_list:
                yield decorator, statement.name
            for inner in statement.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from _marked_function(inner, f"{statement.name}::")
        elif isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark"
            for target in statement.targets
        ):
            yield statement.value, "(module)"


def _marked_function(
    function: ast.FunctionDef | ast.AsyncFunctionDef, prefix: str
) -> Iterator[tuple[ast.expr, str]]:
    if function.name.startswith("test"):
        for decorator in function.decorator_list:
            yield decorator, prefix + function.name


def _spec_ids(expression: ast.expr, name: str) -> Iterator[str]:
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and _is_spec(node.func):
            for argument in node.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    raise MarkerError(f"{name}:{node.lineno}: a statement must be a plain string")
                yield argument.value


def _is_spec(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "spec"
        and isinstance(function.value, ast.Attribute)
        and function.value.attr == "mark"
    )


def marked_below(folder: Path) -> dict[str, list[str]]:
    """The same for all test modules below a folder."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        name = str(path.relative_to(folder))
        for id, tests in marked_in(path.read_text(encoding="utf-8"), name).items():
            found.setdefault(id, []).extend(tests)
    return found


class Report:
    """Statements against the tests that name them.

    Attributes:
        statements: all that there are.
        tests: by statement, the tests that name it.
        missing: testable, bind a server, and no test names them.
        untestable: bind a server, and have a reason why no test can tell.
        client: bind clients only and are named by no test.
        unknown: named by a test, and not in the tables.
    """

    __slots__ = ("client", "missing", "statements", "tests", "unknown", "untestable")

    def __init__(self, statements: Iterable[Statement], tests: Mapping[str, list[str]]) -> None:
        self.statements = tuple(statements)
        self.tests = tests
        known = {statement.id for statement in self.statements}
        self.unknown = sorted(set(tests) - known)
        without = [statement for statement in self.statements if statement.id not in tests]
        self.missing = [statement for statement in without if statement.needs_test]
        self.client = [statement for statement in without if statement.binds == CLIENT]
        self.untestable = [
            statement
            for statement in without
            if statement.binds != CLIENT and not statement.needs_test
        ]

    @property
    def complete(self) -> bool:
        """Nothing is missing, and no marker is wrong."""
        return not self.missing and not self.unknown

    def lines(self) -> Iterator[str]:
        """The report, for people."""
        yield from self._counts()
        yield from _section("Not tested, and why", [(s, s.untestable) for s in self.untestable])
        yield from _section(
            "Not tested: they bind clients only", [(s, s.words) for s in self.client]
        )
        yield from _section("WITHOUT A TEST", [(s, s.words) for s in self.missing])
        for id in self.unknown:
            yield f"UNKNOWN STATEMENT {id}, named by {', '.join(self.tests[id])}"

    def _counts(self) -> Iterator[str]:
        server = [statement for statement in self.statements if statement.binds != CLIENT]
        covered = [statement for statement in server if statement.id in self.tests]
        extra = sum(s.binds == CLIENT and s.id in self.tests for s in self.statements)
        yield (
            f"{len(self.statements)} statements, {len(server)} bind a server: "
            f"{len(covered)} tested, {len(self.untestable)} cannot be, {len(self.missing)} missing"
        )
        yield f"of those for clients, {extra} are tested where the server has to notice them"


def _section(title: str, rows: list[tuple[Statement, str]]) -> Iterator[str]:
    if rows:
        yield ""
        yield f"{title}:"
        width = max(len(statement.id) for statement, _ in rows)
        for statement, text in rows:
            yield f"  {statement.id:<{width}}  {text}"


def covered_lines(report: Report) -> Iterator[str]:
    """Every covered statement with its tests, for ``--all``."""
    for statement in report.statements:
        if statement.id in report.tests:
            yield f"{statement.id}  {statement.words}"
            for test in report.tests[statement.id]:
                yield f"    {test}"


def main(arguments: list[str], folder: Path = TESTS) -> int:
    """Print the report; 0 when it is complete. ``--all`` lists what is covered as well."""
    tests = marked_below(folder)
    if "--all" in arguments:
        print(*covered_lines(Report(ALL, tests)), "", sep="\n")
    complete = True
    for title, statements in (("MQTT 5.0", V5), ("MQTT 3.1.1", V311)):
        prefix = statements[0].id.startswith("3.1.1:")
        mine = {id: names for id, names in tests.items() if id.startswith("3.1.1:") == prefix}
        report = Report(statements, mine)
        complete = complete and report.complete
        print(f"{title}: ", end="")
        print(*report.lines(), "", sep="\n")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
