"""Pictures of the main pages for the README, from a running platform: `python -m tests.browser.take_pictures`.

Reads the platform's address and secret from `.ratchet/env`, and starts orders of the example that fail and succeed.
"""

import time
from pathlib import Path
from typing import Any

import httpx2
from local_stack.logins import token_for
from playwright.sync_api import Page, sync_playwright

from tests.browser.chromium import chromium

PROJECT = Path(__file__).parents[2]
PICTURES = PROJECT / "docs" / "pictures"
ORDERS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("sarah", 7, {"items": ["tea"], "paymentFailures": -1}),
    ("tom", 5, {"items": ["cups"], "paymentFailures": -1}),
    ("li", 3, {"items": []}),
    ("sarah", 4, {"items": ["pot"], "surveyDown": True}),
    ("sarah", 20, {"items": ["tea"]}),
)


def settings() -> dict[str, str]:
    """What `make up` has written down."""
    lines = (PROJECT / ".ratchet" / "env").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name: value.strip().strip("'\"") for name, value in pairs}


def make_things_happen(api: httpx2.Client) -> None:
    """Orders that fail in different ways, and some that do not."""
    for owner, count, order in ORDERS:
        for _ in range(count):
            body = {"definition": "order-fulfilment", "input": order, "ownerId": owner}
            api.post("/workflows", json=body).raise_for_status()
    expected = sum(count for _owner, count, order in ORDERS if order != {"items": ["tea"]})
    deadline = time.monotonic() + 120
    while api.get("/admin/overview").json()["failed"] < expected and time.monotonic() < deadline:
        time.sleep(0.5)


def take(page: Page, name: str, path: str, url: str) -> None:
    """One picture, once the page has its news."""
    page.goto(url + path)
    page.wait_for_timeout(2500)
    page.screenshot(path=PICTURES / f"{name}.png")


def main() -> None:
    """Take them all."""
    env = settings()
    token, url = token_for("admin", ["admin"], env), env["RATCHET_API_URL"]
    headers = {"Authorization": f"Bearer {token}"}
    PICTURES.mkdir(exist_ok=True)
    with httpx2.Client(base_url=f"{url}/api/v1", headers=headers, trust_env=False, timeout=30) as api:
        make_things_happen(api)
        failed = api.get("/admin/workflows/failed", params={"step": "send_survey"}).json()["items"][0]["workflowId"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for name, path, scheme in (
            ("inbox", "/", "light"),
            ("groups", "/?tab=groups", "light"),
            ("workflow", f"/workflows/{failed}", "light"),
            ("workflow-dark", f"/workflows/{failed}", "dark"),
            ("restore", f"/workflows/{failed}/do/restore?checkpoint=1", "light"),
            ("api", "/docs", "light"),
        ):
            context = browser.new_context(viewport={"width": 1200, "height": 760}, color_scheme=scheme)  # type: ignore[arg-type]  # one of the two that it knows
            page = context.new_page()
            page.goto(f"{url}/sign-in#token={token}")
            page.wait_for_url(f"{url}/")
            take(page, name, path, url)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
