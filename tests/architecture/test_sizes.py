"""The tree stays readable: small files, small functions, every exception to a rule with its reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
PRODUCT = ("shared", "services", "deploy", "examples")
LONGEST_FILE = 400
LONGEST_FUNCTION = 40
FORBIDDEN_NAMES = {"utils", "common", "helpers", "manager", "base"}


def python_files(*roots: str) -> list[Path]:
    return sorted(path for root in roots for path in (PROJECT / root).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of the body, without the signature and the docstring."""
    body = function.body
    if (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body = body[1:]
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize("path", python_files(*PRODUCT, "tests"), ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", python_files(*PRODUCT), ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_function_is_longer_than_40_lines(path: Path) -> None:
    long = {function.name: own_lines(function) for function in functions(path)}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION} == {}


def test_no_module_hides_behind_a_name_that_says_nothing() -> None:
    assert [path for path in python_files(*PRODUCT) if path.stem in FORBIDDEN_NAMES] == []


SWITCH = r"# (type: ignore(\[[\w, -]+\])?|noqa(: [A-Z]+\d+(, ?[A-Z]+\d+)*)?|pragma: no cover)"
SPECIFIC = r"# (type: ignore\[[\w, -]+\]|noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|pragma: no cover)"


WITH_SWITCHES = [path for path in python_files(*PRODUCT, "tests") if path != Path(__file__)]


@pytest.mark.parametrize("path", WITH_SWITCHES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_switched_off_check_says_which_and_why(path: Path) -> None:
    bare = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        switches = [match.group() for match in re.finditer(SWITCH, line)]
        reason = re.sub(SPECIFIC, "", line[line.index(switches[0]) :]) if switches else "none needed"
        if not all(re.fullmatch(SPECIFIC, switch) for switch in switches) or not re.search(r"\w", reason):
            bare.append(f"{number}: {line.strip()}")
    assert bare == []
