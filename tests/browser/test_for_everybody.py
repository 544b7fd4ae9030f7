"""The dashboard without a mouse, in the dark, and under an accessibility check."""

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenDashboard
from tests.browser.test_walk_through import failed_delivery
from tests.harness.platform import Platform


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_accessibility_fault(platform: Platform, dashboard: OpenDashboard, scheme: str) -> None:
    owner, admin = platform.person("olga"), platform.person("ada", "admin")
    workflow_id = failed_delivery(owner, "ship_parcel")
    seen = dashboard(admin)
    seen.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two that it knows
    found = {}
    own = f"/workflows/{workflow_id}"
    paths = ("/", "/?tab=groups", "/?tab=all", own, f"{own}/do/restore?checkpoint=2", f"{own}/do/override", "/bulk/new")
    for path in (*paths, "/bulk", "/parked", "/audit", "/mine", "/docs", "/sign-in", "/workflows/nothing"):
        seen.open(path)
        found[path] = seen.violations()
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_everything_can_be_done_by_keyboard(platform: Platform, dashboard: OpenDashboard) -> None:
    owner = platform.person("olga")
    workflow_id = failed_delivery(owner, "send_survey")
    seen = dashboard(owner)
    keys = seen.page.keyboard
    keys.press("j")
    keys.press("Enter")
    expect(seen.page).to_have_url(f"{seen.url}/workflows/{workflow_id}")
    seen.page.get_by_role("link", name="Skip step").focus()
    keys.press("Enter")
    seen.page.get_by_label("Why?").focus()
    keys.type("By keyboard")
    keys.press("Tab")
    keys.press("Enter")
    seen.expect_live("Completed")


def test_the_first_stop_of_the_keyboard_leads_past_the_menu(platform: Platform, dashboard: OpenDashboard) -> None:
    seen = dashboard(platform.person("olga"))
    seen.open("/")
    seen.page.keyboard.press("Tab")
    expect(seen.page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_a_chosen_theme_stays(platform: Platform, dashboard: OpenDashboard) -> None:
    seen = dashboard(platform.person("olga"))
    ground = "() => getComputedStyle(document.body).backgroundColor"
    before = seen.page.evaluate(ground)
    seen.page.get_by_role("button", name="Switch between light and dark").click()
    after = seen.page.evaluate(ground)
    assert after != before
    seen.open("/?tab=all")
    assert seen.page.evaluate(ground) == after


def test_a_ready_made_login_signs_in_by_a_link_and_leaves_no_token_in_the_address(
    platform: Platform, dashboard: OpenDashboard
) -> None:
    seen = dashboard(platform.person("olga"))
    seen.page.get_by_role("button", name="Sign out").click()
    expect(seen.page.get_by_label("Token")).to_be_visible()
    token = platform.person("ada", "admin").token
    asked: list[str] = []
    seen.page.on("request", lambda request: asked.append(request.url))
    seen.open(f"/sign-in#token={quote(token)}")
    expect(seen.page.get_by_role("link", name="Inbox")).to_be_visible()
    assert token not in seen.page.url
    assert not any(token in url for url in asked)


def test_pages_work_without_scripts(platform: Platform, dashboard: OpenDashboard) -> None:
    owner = platform.person("olga")
    workflow_id = failed_delivery(owner, "send_survey")
    seen = dashboard(owner)
    browser = seen.page.context.browser
    assert browser is not None
    bare = browser.new_context(java_script_enabled=False)
    page = bare.new_page()
    page.goto(f"{seen.url}/sign-in?next=/workflows/{workflow_id}/do/skip")
    page.get_by_label("Token").fill(owner.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Why?").fill("Without scripts")
    page.get_by_role("button", name="Skip step").click()
    expect(page).to_have_url(f"{seen.url}/workflows/{workflow_id}?recovery=" + page.url.rpartition("=")[2])
    bare.close()
    owner.wait_for_status(workflow_id, "Completed")
