"""What was seen and what is meant travel with an action; recovery compares them where it acts."""

import httpx2
import pytest
from ratchet.domain.seen import is_meant

from tests.integration.admin_api.admin_stage import ADMIN, EPOCH, SARAH, SUPPORT, Rows, ScriptedRecovery

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_workflow_has_a_tag_that_another_failure_changes_and_a_look_does_not(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await rows.workflow(status="Failed", current_step="charge", failed_attempts=4)
    path = f"/api/v1/workflows/{workflow_id}"
    first = await api.get(path, headers=SARAH)
    assert (first.headers["etag"], first.json()["failedAttempt"]) == (first.json()["etag"], 4)
    await rows.pool.execute("UPDATE workflow_instances SET requires_manual_intervention = true")
    assert (await api.get(path, headers=SARAH)).headers["etag"] == first.headers["etag"]
    await rows.pool.execute("UPDATE workflow_instances SET failed_at = $1", EPOCH.replace(year=2030))
    assert (await api.get(path, headers=SARAH)).headers["etag"] != first.headers["etag"]


async def test_what_was_seen_and_what_is_meant_reach_recovery(
    api: httpx2.AsyncClient, rows: Rows, recovery: ScriptedRecovery
) -> None:
    workflow_id = await rows.workflow(status="Failed", current_step="charge")
    body = {"failedAttempt": 4, "runInstead": "book"}
    headers = SARAH | {"If-Match": '"abc"'}
    answer = await api.post(f"/api/v1/workflows/{workflow_id}/steps/current/retry", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    [sent] = recovery.commands
    assert (sent["failedAttempt"], sent["ifMatch"], sent["runInstead"]) == (4, '"abc"', "book")


@pytest.mark.parametrize("action", ["recover", "steps/current/retry", "steps/current/skip"])
async def test_another_failure_is_a_conflict_of_its_own_kind(
    api: httpx2.AsyncClient, rows: Rows, recovery: ScriptedRecovery, action: str
) -> None:
    workflow_id = await rows.workflow(status="Failed", current_step="charge")
    recovery.script = lambda _command: {"outcome": "refused", "problem": "failure-changed"}
    answer = await api.post(f"/api/v1/workflows/{workflow_id}/{action}", json={"failedAttempt": 1}, headers=SARAH)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:ratchet:problem:failure-changed")


async def test_the_refusal_of_another_step_names_the_one_that_would_run(
    api: httpx2.AsyncClient, rows: Rows, recovery: ScriptedRecovery
) -> None:
    workflow_id = await rows.workflow(status="Failed", current_step="pay_out")
    recovery.script = lambda _command: {
        "outcome": "refused",
        "problem": "definition-changed",
        "resumed_step": "book",
        "status": None,
    }
    answer = await api.post(f"/api/v1/workflows/{workflow_id}/recover", headers=ADMIN)
    assert (answer.status_code, answer.json()["wouldRun"]) == (409, "book")


async def test_a_preview_says_which_step_would_run_in_the_place_of_the_failed_one(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await rows.workflow(status="Failed", current_step="pay_out", current_step_index=1)
    await rows.checkpoint(workflow_id, 1, index=0)
    seen = (await api.get(f"/api/v1/admin/workflows/{workflow_id}/restore-preview", headers=SUPPORT)).json()
    assert (seen["allowed"], seen["problem"], seen["wouldRun"]) == (False, "definition-changed", "charge")
    assert "'pay_out' had failed" in seen["detail"]


async def test_the_header_may_name_several_tags_or_any() -> None:
    assert is_meant('"x", W/"abc"', "abc")
    assert is_meant("*", "abc")
    assert not is_meant('"x"', "abc")
