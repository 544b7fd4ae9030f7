"""A person in front of the dashboard in a real browser."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from playwright.sync_api import Page, expect

from tests.harness.npm import installed

HERE = Path(__file__).parent
LIVE = 20_000
"""Milliseconds until something has to show by itself."""

HARMLESS = frozenset({"minor", "moderate"})


@dataclass
class Dashboard:
    """Signed in as somebody; `troubles` are what the browser complained of."""

    page: Page
    url: str
    troubles: list[str]

    def open(self, path: str) -> None:
        """Go to a page."""
        self.page.goto(self.url + path)

    def sign_in(self, token: str) -> None:
        """Paste a token, as a person does."""
        self.open("/")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def open_workflow(self, workflow_id: UUID) -> None:
        """Go to a workflow's page."""
        self.open(f"/workflows/{workflow_id}")

    def say_why(self, reason: str, button: str) -> None:
        """Give a reason and do it."""
        self.page.get_by_label("Why?").fill(reason)
        self.page.get_by_role("main").get_by_role("button", name=button, exact=True).click()

    def expect_live(self, status: str) -> None:
        """The workflow's status comes to be this, without anybody loading the page again."""
        expect(self.page.locator("#workflow h1 .badge")).to_have_text(status, timeout=LIVE)

    def violations(self) -> list[str]:
        """What the accessibility check finds serious or critical."""
        self.page.wait_for_timeout(50)
        if not self.page.evaluate("() => 'axe' in window"):
            # The page's policy lets no foreign script in, so it is put in from outside.
            self.page.evaluate(axe_script())
        found: dict[str, Any] = self.page.evaluate("async () => await axe.run(document)")
        return [
            f"{violation['id']} ({violation['impact']}): {violation['help']}: {node['html']}"
            for violation in found["violations"]
            if violation["impact"] not in HARMLESS
            for node in violation["nodes"][:3]
        ]


@cache
def axe_script() -> str:
    """axe-core, installed once."""
    return (installed(HERE / "axe") / "node_modules" / "axe-core" / "axe.min.js").read_text()
