"""The pages of the project: links lead somewhere, named commands and files exist, decisions have their form."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
DOCS = PROJECT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *PROJECT.glob("*.md")])
DECISIONS = sorted(path for path in (DOCS / "adr").glob("[0-9]*.md"))


def title(page: Path) -> str:
    """How a page is called in the test's name."""
    return str(page.relative_to(PROJECT))


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page if not path else (page.parent / path)
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", page.read_text()))
    named |= set(re.findall(r"^make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=title)
def test_every_path_in_code_quotes_exists(page: Path) -> None:
    tops = ("shared/", "services/", "deploy/", "docs/", "tests/", "examples/")
    for path in re.findall(r"`([\w./-]+/[\w./-]*)`", page.read_text()):
        if path.startswith(tops):
            assert (PROJECT / path).exists(), path


def test_every_path_in_the_table_of_changes_and_in_contributing_exists() -> None:
    for path in re.findall(
        r"`((?:shared|services|deploy|docs|tests)/[\w./-]*)`", (PROJECT / "CONTRIBUTING.md").read_text()
    ):
        assert (PROJECT / path).exists(), path


@pytest.mark.parametrize("decision", DECISIONS, ids=title)
def test_a_decision_has_five_parts_on_one_page(decision: Path) -> None:
    text = decision.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Status",
        "Context",
        "Decision",
        "Consequences",
        "Alternatives",
    ]
    assert len(text.splitlines()) <= 50
    number = int(decision.name.split("-")[0])
    assert text.startswith(f"# {number}. ")


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.name.split("-")[0]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_commands_of_the_runbook_exist() -> None:
    text = (DOCS / "runbook.md").read_text()
    named = set(re.findall(r"`ratchet ([a-z]+)", text))
    result = subprocess.run(
        [str(Path(sys.executable).with_name("ratchet")), "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    offered = set(re.findall(r"[a-z]+", result.stdout))
    assert named
    assert named <= offered


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
