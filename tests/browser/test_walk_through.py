"""What people come to the dashboard for, from signing in to seeing it done."""

from uuid import UUID

from playwright.sync_api import expect

from tests.browser.conftest import OpenDashboard
from tests.browser.pages import LIVE
from tests.harness.person import Person
from tests.harness.platform import Platform


def failed_delivery(owner: Person, step: str, *, kind: str = "permanent", times: int = -1) -> UUID:
    workflow_id = owner.start("delivery", {"trouble": {step: {"kind": kind, "times": times}}})
    owner.wait_for_status(workflow_id, "Failed")
    return workflow_id


def test_support_finds_a_failure_reads_why_and_restores_an_earlier_checkpoint(
    platform: Platform, dashboard: OpenDashboard
) -> None:
    owner, support = platform.person("olga"), platform.person("sue", "support")
    workflow_id = failed_delivery(owner, "ship_parcel", times=1)
    seen = dashboard(support)
    page = seen.page

    page.get_by_label("Owner").fill(owner.name)
    page.get_by_role("button", name="Filter").click()
    assert f"owner={owner.name}" in page.url
    page.get_by_role("row", name="ship_parcel").get_by_role("link", name="delivery").click()
    expect(page.locator("#reason")).to_contain_text("The card is not valid")

    page.locator(".checkpoint", has_text="checkpoint 1 ").get_by_role("link", name="Restore…").click()
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Goes on with charge_card")
    expect(preview).to_contain_text("charge_card, book_carrier")
    seen.say_why("The carrier was mended", "Restore")

    seen.expect_live("Completed")
    expect(page.locator("#asked .badge")).to_have_text("verified", timeout=LIVE)
    restored = platform.stage.executions(workflow_id, "charge_card")
    assert len(restored) == 2


def test_an_owner_skips_an_optional_step(platform: Platform, dashboard: OpenDashboard) -> None:
    owner = platform.person("olga")
    workflow_id = failed_delivery(owner, "send_survey")
    seen = dashboard(owner)
    seen.page.get_by_role("row", name="send_survey").get_by_role("link", name="delivery").click()
    seen.page.get_by_role("link", name="Skip step").click()
    expect(seen.page.get_by_role("main")).to_contain_text("left out for good")
    seen.say_why("Nobody reads it", "Skip step")
    seen.expect_live("Completed")
    assert owner.workflow(workflow_id)["status"] == "Completed"


def test_a_user_cannot_see_what_belongs_to_another(platform: Platform, dashboard: OpenDashboard) -> None:
    workflow_id = failed_delivery(platform.person("olga"), "ship_parcel")
    seen = dashboard(platform.person("mallory"))
    expect(seen.page.get_by_role("main")).to_contain_text("Nothing needs you")
    seen.open_workflow(workflow_id)
    expect(seen.page.get_by_role("alert")).to_contain_text("Not allowed")
    expect(seen.page.get_by_role("main")).not_to_contain_text("The card is not valid")


def test_a_script_in_a_failure_reason_is_text(platform: Platform, dashboard: OpenDashboard) -> None:
    owner, admin = platform.person("olga"), platform.person("ada", "admin")
    script = "<script>window.broken = 1</script><img src=x onerror='window.broken = 1'>"
    workflow_id = failed_delivery(owner, "ship_parcel", kind=script)
    seen = dashboard(admin)
    for path in (f"/?owner={owner.name}", f"/?tab=groups&owner={owner.name}", f"/workflows/{workflow_id}"):
        seen.open(path)
        expect(seen.page.get_by_role("main")).to_contain_text("<script>window.broken")
        assert seen.page.evaluate("() => window.broken") is None


def test_a_retry_that_fails_again_is_told_as_a_relapse_and_not_as_done(
    platform: Platform, dashboard: OpenDashboard
) -> None:
    owner = platform.person("olga")
    workflow_id = failed_delivery(owner, "ship_parcel")
    seen = dashboard(owner)
    seen.open(f"/workflows/{workflow_id}/do/retry")
    seen.say_why("Perhaps now", "Retry step")
    expect(seen.page.locator("#asked .badge")).to_have_text("relapsed", timeout=LIVE)
    expect(seen.page.locator("#asked")).to_contain_text("Failed again")


def test_new_failures_are_told_and_move_no_row(platform: Platform, dashboard: OpenDashboard) -> None:
    owner, admin = platform.person("olga"), platform.person("ada", "admin")
    first = failed_delivery(owner, "ship_parcel")
    seen = dashboard(admin)
    seen.open(f"/?owner={owner.name}&sort=-failedAt")
    row = seen.page.locator(f"tr[data-row='/workflows/{first}']")
    rows = seen.page.locator("tr[data-row]").count()
    second = failed_delivery(owner, "ship_parcel")
    expect(seen.page.locator("#news")).to_contain_text("1 new failure", timeout=LIVE)
    assert seen.page.locator("tr[data-row]").count() == rows
    platform.stage.mend(first)
    owner.post(f"/workflows/{first}/recover")
    expect(row).to_contain_text("Completed", timeout=LIVE)
    seen.page.get_by_role("link", name="Show").click()
    expect(seen.page.locator(f"tr[data-row='/workflows/{second}']")).to_be_visible()


def test_a_page_left_open_says_when_somebody_else_was_quicker(platform: Platform, dashboard: OpenDashboard) -> None:
    owner = platform.person("olga")
    workflow_id = failed_delivery(owner, "ship_parcel")
    seen = dashboard(owner)
    seen.open(f"/workflows/{workflow_id}/do/retry")
    platform.stage.mend(workflow_id)
    owner.post(f"/workflows/{workflow_id}/recover")
    owner.wait_for_status(workflow_id, "Completed")
    seen.say_why("Again", "Retry step")
    expect(seen.page.get_by_role("alert").first).to_contain_text("has changed since")
    expect(seen.page.get_by_role("link", name="Load the page again")).to_be_visible()


def test_a_page_that_gets_no_news_says_so(platform: Platform, dashboard: OpenDashboard) -> None:
    owner = platform.person("olga")
    workflow_id = failed_delivery(owner, "ship_parcel")
    seen = dashboard(owner)
    seen.open_workflow(workflow_id)
    seen.page.route("**/live**", lambda route: route.abort())
    expect(seen.page.get_by_text("The connection is lost")).to_be_visible(timeout=LIVE)
    seen.page.unroute("**/live**")
    expect(seen.page.get_by_text("The connection is lost")).to_be_hidden(timeout=LIVE)
