"""A group is recovered in bulk: the canaries fail again, and nothing beyond them begins."""

import pytest
from admin_api.write_openapi import openapi_text
from playwright.sync_api import expect

from tests.browser.conftest import OpenDashboard
from tests.browser.pages import LIVE
from tests.browser.test_walk_through import failed_delivery
from tests.harness.platform import Platform

SERVED = '"/api/v1/admin/recoveries"' in openapi_text()


@pytest.mark.skipif(not SERVED, reason="this API has no bulk recovery")
def test_a_bulk_recovery_stops_by_itself_when_its_canary_relapses(platform: Platform, dashboard: OpenDashboard) -> None:
    owner, admin = platform.person("olga"), platform.person("ada", "admin")
    ids = [failed_delivery(owner, "ship_parcel") for _ in range(3)]
    seen = dashboard(admin)
    page = seen.page
    seen.open(f"/?tab=groups&owner={owner.name}")
    expect(page.get_by_role("row", name="ship_parcel")).to_contain_text("3")
    seen.open(f"/bulk/new?owner={owner.name}")
    page.get_by_label("Canaries").fill("1")
    page.get_by_label("Type").fill("3")
    seen.say_why("Perhaps it is mended", "Begin")
    expect(page.get_by_role("alert")).to_contain_text("Stopped by itself", timeout=LIVE)
    expect(page.locator("#run-relapsed")).to_have_text("1")
    expect(page.locator("#run-started")).to_have_text("1")
    executions = [len(platform.stage.executions(workflow_id, "ship_parcel")) for workflow_id in ids]
    assert sorted(executions) == [1, 1, 2]
