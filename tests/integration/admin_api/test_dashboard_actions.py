"""Acting on the dashboard's pages: reasons, warnings, previews, and what recovery says."""

import asyncio
from typing import Any

import pytest

from tests.integration.admin_api.admin_stage import Rows, ScriptedRecovery
from tests.integration.admin_api.dashboard_visitor import Browser, failed, hidden

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_action_needs_a_reason_and_leads_back_to_its_outcome(
    browser: Browser, rows: Rows, recovery: ScriptedRecovery
) -> None:
    workflow_id = await failed(rows)
    await browser.sign_in("sarah")
    action = f"/workflows/{workflow_id}/do/skip"
    assert "What will happen" in (await browser.get(action)).text
    without = await browser.post(action, page=action, reason="  ")
    assert (without.status_code, recovery.commands) == (422, [])
    done = await browser.post(action, page=action, reason="Nobody reads the survey")
    assert done.status_code == 303
    [command] = recovery.commands
    assert (command["type"], command["actor"], command["reason"]) == ("SkipStep", "sarah", "Nobody reads the survey")
    page = (await browser.get(done.headers["location"])).text
    assert "resumed" in page
    assert "not known yet" in page


async def test_a_form_sent_twice_acts_once(browser: Browser, rows: Rows, recovery: ScriptedRecovery) -> None:
    workflow_id = await failed(rows)
    await browser.sign_in("sarah")
    action = f"/workflows/{workflow_id}/do/retry"
    fields = hidden(await browser.get(action), action) | {"reason": "again"}
    answers = await asyncio.gather(*(browser.http.post(action, data=fields) for _ in range(2)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(recovery.commands) == 1


async def test_a_page_that_is_out_of_date_does_nothing_and_offers_to_load_it_again(
    browser: Browser, rows: Rows, recovery: ScriptedRecovery
) -> None:
    workflow_id = await failed(rows)
    await browser.sign_in("sarah")
    action = f"/workflows/{workflow_id}/do/retry"
    fields = hidden(await browser.get(action), action) | {"reason": "again"}
    await rows.pool.execute("UPDATE workflow_instances SET failed_at = clock_timestamp() WHERE id = $1", workflow_id)
    answer = await browser.http.post(action, data=fields)
    assert (answer.status_code, recovery.commands) == (409, [])
    assert "has changed since" in answer.text
    assert "Load the page again" in answer.text
    assert ">again</textarea>" in answer.text


async def test_a_restore_shows_what_changes_before_it_is_done(
    browser: Browser, rows: Rows, recovery: ScriptedRecovery
) -> None:
    workflow_id = await failed(rows)
    await browser.sign_in("sue", "support")
    action = f"/workflows/{workflow_id}/do/restore"
    page = (await browser.get(f"{action}?checkpoint=1")).text
    preview = page[page.index('id="preview"') :]
    assert "Goes on with <b>charge</b>" in preview
    assert "amount" in preview
    assert "paid" in preview
    done = await browser.post(action, page=f"{action}?checkpoint=1", reason="Booked twice")
    assert done.status_code == 303
    assert recovery.commands[0]["checkpointSeq"] == 1


@pytest.mark.parametrize(
    ("columns", "doing", "warning"),
    [
        ({"status": "Failed", "failure_kind": "poison"}, "retry", "stopped the process of every executor"),
        ({"status": "Completed", "current_step": None}, "restore", "everybody takes it for ended"),
    ],
)
async def test_what_is_dangerous_says_why_and_is_asked_for_twice(
    browser: Browser, rows: Rows, recovery: ScriptedRecovery, columns: dict[str, Any], doing: str, warning: str
) -> None:
    workflow_id = await rows.workflow(**columns)
    await rows.checkpoint(workflow_id, 1, index=0)
    await browser.sign_in("ada", "admin")
    action = f"/workflows/{workflow_id}/do/{doing}"
    page = f"{action}?checkpoint=1"
    assert warning in (await browser.get(page)).text
    light = await browser.post(action, page=page, reason="again")
    assert (light.status_code, recovery.commands) == (422, [])
    assert (await browser.post(action, page=page, reason="again", sure="yes")).status_code == 303
    assert len(recovery.commands) == 1


async def test_what_the_recovery_service_refuses_is_told_on_the_form(
    browser: Browser, rows: Rows, recovery: ScriptedRecovery
) -> None:
    recovery.script = lambda _command: {"outcome": "refused", "problem": "wrong-status", "detail": "It is running now"}
    workflow_id = await failed(rows)
    await browser.sign_in("sarah")
    action = f"/workflows/{workflow_id}/do/retry"
    answer = await browser.post(action, page=action, reason="again")
    assert answer.status_code == 409
    assert "It is running now" in answer.text


async def test_a_recovery_that_failed_is_shown_as_failed(
    browser: Browser, rows: Rows, recovery: ScriptedRecovery
) -> None:
    recovery.script = lambda _command: {"outcome": "failed", "problem": "no-intact-checkpoint", "status": "Failed"}
    workflow_id = await failed(rows)
    await browser.sign_in("sarah")
    action = f"/workflows/{workflow_id}/do/recover"
    answer = await browser.post(action, page=action, reason="again")
    assert answer.status_code == 303
    assert "could not be done" in (await browser.get(answer.headers["location"])).text


async def test_who_may_not_act_is_refused_and_the_attempt_is_audited(
    browser: Browser, rows: Rows, recovery: ScriptedRecovery
) -> None:
    workflow_id = await failed(rows)
    await browser.sign_in("sarah")
    page = f"/workflows/{workflow_id}/do/retry"
    fields = hidden(await browser.get(page), page) | {"reason": "mine", "status": "Completed"}
    answer = await browser.http.post(f"/workflows/{workflow_id}/do/override", data=fields)
    assert (answer.status_code, recovery.commands) == (403, [])
    [entry] = await rows.audit()
    assert (entry["actor"], entry["action"], entry["outcome"]) == ("sarah", "override", "refused")


async def test_many_are_recovered_only_after_their_number_was_typed(browser: Browser, rows: Rows) -> None:
    for _ in range(3):
        await failed(rows, definition="orders")
    await failed(rows, definition="refunds")
    await browser.sign_in("ada", "admin")
    plan = "/bulk/new?definition=orders"
    page = (await browser.get(plan)).text
    assert "Recover 3 workflows" in page
    wrong = await browser.post("/bulk", page=plan, reason="The bank is back", confirm="4", canary="1")
    assert wrong.status_code == 409
    assert "3 workflows match now" in wrong.text
    assert 'name="definition" value="orders"' in wrong.text
    assert (await browser.post("/bulk", page=plan, reason=" ", confirm="3")).status_code == 422
