"""A real browser on the running platform. Without a Chromium, and without a way to install one, it is left out."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import WITHOUT, can_install, chromium, find_chromium
from tests.browser.pages import Dashboard
from tests.harness.person import Person
from tests.harness.platform import Platform

collect_ignore_glob = [] if find_chromium() or can_install() else ["test_*.py"]


def pytest_report_header() -> list[str]:
    """Says so when the tests of this folder are left out."""
    return [WITHOUT] if collect_ignore_glob else []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file of tests: its event loop must not be there when others begin theirs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


OpenDashboard = Callable[[Person], Dashboard]


@pytest.fixture
def dashboard(browser: Browser, platform: Platform) -> Iterator[OpenDashboard]:
    """Signs people in, each with cookies of their own. No page may make the browser complain."""
    contexts, opened = [], []

    def sign_in(person: Person) -> Dashboard:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        found = Dashboard(page, platform.running.api_url, [])
        page.on("pageerror", lambda error: found.troubles.append(str(error)))
        page.on("console", lambda said: found.troubles.append(said.text) if _is_ours(said.type, said.text) else None)
        found.sign_in(person.token)
        opened.append(found)
        return found

    yield sign_in
    for context in contexts:
        context.close()
    assert [trouble for each in opened for trouble in each.troubles] == []


def _is_ours(kind: str, text: str) -> bool:
    # Answers with an error status, and requests that end because the page is left, are told as errors too.
    return kind == "error" and not text.startswith(("Failed to load resource", "htmx: htmx:error: Failed to fetch"))
