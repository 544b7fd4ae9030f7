"""An archived workflow can be looked at like a live one, by the same people, and cannot be changed or begun again."""

import uuid
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from tests.integration.admin_api.admin_stage import ADMIN, EPOCH, SARAH, SUPPORT, TOM, Rows, ScriptedRecovery

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKFLOWS = "/api/v1/workflows"
ARCHIVE = "SELECT archive_finished(interval '1 day', 10)"
LONG_AGO = "UPDATE workflow_instances SET created_at = $1, finished_at = $1 WHERE id = $2"


async def finished(rows: Rows, **columns: Any) -> UUID:
    """A workflow that ended long ago, with everything that can belong to one."""
    workflow_id = await rows.workflow(status="Completed", current_step=None, current_step_index=3, **columns)
    await rows.checkpoint(workflow_id, 1, index=0, state={"reserved": 10**25, "text": "ünï\\u2028"})
    await rows.failed_attempt(workflow_id, 1, at=EPOCH)
    await rows.checkpoint(workflow_id, 2, index=1, parent=1, attempt=2)
    await rows.checkpoint(workflow_id, 3, index=1, parent=1, damaged=True)
    await rows.checkpoint(workflow_id, 4, index=2, parent=2, skipped=True)
    recovery_id = str(uuid.uuid4())
    await rows.pool.execute(
        "INSERT INTO recovery_attempts (id, workflow_id, kind, actor, outcome, correlation_id, status, awaited_step,"
        " resumed_step, checkpoint_seq, damaged_checkpoints, resumed_from)"
        " VALUES ($1, $2, 'recover', 'ada', 'resumed', 'c-1', 'InProgress', 'charge', 'charge', 1, '{3}', $3)",
        recovery_id,
        workflow_id,
        EPOCH,
    )
    await rows.pool.execute(
        "INSERT INTO recovery_verdicts (recovery_id, workflow_id, kind, verdict)"
        " VALUES ($1, $2, 'recover', 'verified')",
        recovery_id,
        workflow_id,
    )
    feed = f"user:{columns.get('owner_id', 'sarah')}"
    await rows.event(workflow_id, feed, 1, kind="WORKFLOW_COMPLETED", event_id=str(uuid.uuid4()))
    await rows.pool.execute(LONG_AGO, EPOCH, workflow_id)
    return workflow_id


async def pages(api: httpx2.AsyncClient, workflow_id: UUID) -> list[dict[str, Any]]:
    """What can be read of it."""
    places = (f"{WORKFLOWS}/{workflow_id}", f"{WORKFLOWS}/{workflow_id}/history")
    answers = [await api.get(place, headers=SARAH) for place in places]
    answers.append(await api.get(f"/api/v1/admin/workflows/{workflow_id}/checkpoints", headers=SUPPORT))
    assert [answer.status_code for answer in answers] == [200] * 3, [answer.text for answer in answers]
    return [answer.json() for answer in answers]


async def test_it_reads_as_it_did_when_it_was_live_and_says_that_it_is_archived(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await finished(rows)
    where, *rest = await pages(api, workflow_id)
    assert (where.pop("archived"), where.pop("archivedAt")) == (False, None)
    assert await rows.pool.fetchval(ARCHIVE) == 1
    now_where, *now_rest = await pages(api, workflow_id)
    assert now_where.pop("archived") is True
    assert now_where.pop("archivedAt") is not None
    assert now_where == where
    assert now_rest == rest
    history, checkpoints = now_rest
    assert {name: len(history[name]) for name in ("attempts", "checkpoints", "events", "recoveries")} == {
        "attempts": 4,
        "checkpoints": 4,
        "events": 1,
        "recoveries": 1,
    }
    assert [item["intact"] for item in checkpoints["items"]] == [True, True, False, True]


async def test_its_checkpoints_are_paged_like_those_of_a_live_one(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = await finished(rows)
    await rows.pool.execute(ARCHIVE)
    seqs, cursor = [], None
    while True:
        query = {"limit": 3} if cursor is None else {"limit": 3, "cursor": cursor}
        place = f"/api/v1/admin/workflows/{workflow_id}/checkpoints"
        page = (await api.get(place, headers=SUPPORT, params=query)).json()
        seqs += [item["seq"] for item in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seqs == [1, 2, 3, 4]


async def test_whoever_might_not_see_it_live_may_not_see_it_archived(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = await finished(rows)
    await rows.pool.execute(ARCHIVE)
    for place in (f"{WORKFLOWS}/{workflow_id}", f"{WORKFLOWS}/{workflow_id}/history"):
        assert (await api.get(place, headers=TOM)).status_code == 403
        assert (await api.get(place, headers=SUPPORT)).status_code == 200
    assert (await api.get(f"/api/v1/admin/workflows/{workflow_id}/checkpoints", headers=SARAH)).status_code == 403
    assert [line["action"] for line in await rows.audit()] == ["read", "read", "read-checkpoints"]


async def test_of_two_with_one_id_the_live_one_is_shown_and_of_two_archived_ones_the_newer(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await finished(rows)
    await rows.pool.execute(ARCHIVE)
    await finished(rows, id=workflow_id, owner_id="tom")
    assert (await api.get(f"{WORKFLOWS}/{workflow_id}", headers=TOM)).json()["archived"] is False
    await rows.pool.execute(ARCHIVE)
    answer = (await api.get(f"{WORKFLOWS}/{workflow_id}", headers=TOM)).json()
    assert (answer["ownerId"], answer["archived"]) == ("tom", True)
    assert (await api.get(f"{WORKFLOWS}/{workflow_id}", headers=SARAH)).status_code == 403


async def test_what_is_asked_for_it_is_recoverys_to_decide(
    api: httpx2.AsyncClient, rows: Rows, recovery: ScriptedRecovery
) -> None:
    """Recovery brings it back from the archive, or refuses by its status like that of a live one."""
    workflow_id = await finished(rows)
    await rows.pool.execute(ARCHIVE)
    recovery.script = lambda _command: {"outcome": "resumed", "status": "InProgress"}
    body = {"checkpointSeq": 1, "reason": "Once more"}
    answer = await api.post(f"/api/v1/admin/workflows/{workflow_id}/restore", headers=ADMIN, json=body)
    assert (answer.status_code, answer.json()["success"]) == (200, True), answer.text
    recovery.script = lambda _command: {"outcome": "refused", "problem": "wrong-status", "status": "Completed"}
    assert (await api.post(f"{WORKFLOWS}/{workflow_id}/recover", headers=SARAH)).status_code == 400
    assert (await api.post(f"{WORKFLOWS}/{workflow_id}/cancel", headers=TOM)).status_code == 403


async def test_what_a_restore_of_it_would_do_is_foreseen_like_that_of_a_live_one(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await finished(rows)
    place = f"/api/v1/admin/workflows/{workflow_id}/restore-preview?checkpointSeq=1"
    live = await api.get(place, headers=SUPPORT)
    await rows.pool.execute(ARCHIVE)
    archived = await api.get(place, headers=SUPPORT)
    assert (archived.status_code, archived.json()) == (200, live.json()), archived.text


FAILED = "/api/v1/admin/workflows/failed"


async def failed(rows: Rows, reason: str, at: datetime) -> UUID:
    """A workflow that failed for good at a time, and lies in the archive."""
    workflow_id = await rows.workflow(
        status="Failed", failure_reason=reason, failed_at=at, requires_manual_intervention=True
    )
    await rows.pool.execute("SELECT archive_old(NULL, interval '1 day', 10)")
    return workflow_id


async def test_archived_failures_are_found_with_the_filters_and_pages_of_live_ones(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    older = await failed(rows, "Timeout: the bank", EPOCH)
    newer = await failed(rows, "Timeout: the mill", EPOCH + timedelta(days=1))
    live = (await api.get(FAILED, headers=SUPPORT)).json()["items"]
    assert not {item["workflowId"] for item in live} & {str(older), str(newer)}
    query: dict[str, Any] = {"archived": True, "limit": 1}
    page = (await api.get(FAILED, headers=SUPPORT, params=query)).json()
    rest = (await api.get(FAILED, headers=SUPPORT, params=query | {"cursor": page["nextCursor"]})).json()
    assert [item["workflowId"] for item in page["items"] + rest["items"]] == [str(older), str(newer)]
    assert page["items"][0]["failureReason"] == "Timeout: the bank"
    assert page["items"][0]["failureFingerprint"]
    bank = (await api.get(FAILED, headers=SUPPORT, params={"archived": True, "text": "BANK"})).json()["items"]
    assert [item["workflowId"] for item in bank] == [str(older)]
    assert (await api.get(FAILED, headers=SARAH, params={"archived": True})).status_code == 403


async def test_what_was_purged_from_the_archive_is_gone_for_readers(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = await finished(rows)
    await rows.pool.execute(ARCHIVE)
    await rows.pool.execute("SELECT purge_archive(interval '0', 1000)")
    for place in (f"{WORKFLOWS}/{workflow_id}", f"{WORKFLOWS}/{workflow_id}/history"):
        assert (await api.get(place, headers=SUPPORT)).status_code == 404
    assert (await api.get(FAILED, headers=SUPPORT, params={"archived": True})).json()["items"] == []


async def test_its_id_stays_taken_for_starts_over_http(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = str(uuid.uuid4())
    start = {"definition": "orders", "version": 2, "input": {"a": 1}, "workflowId": workflow_id}
    assert (await api.post(WORKFLOWS, headers=SARAH, json=start)).status_code == 202
    content_hash = await rows.pool.fetchval("SELECT content_hash FROM accepted_starts")
    await finished(rows, id=UUID(workflow_id), content_hash=content_hash)
    await rows.pool.execute("DELETE FROM accepted_starts")
    await rows.pool.execute(ARCHIVE)
    assert (await api.post(WORKFLOWS, headers=SARAH, json=start)).status_code == 202, "the same again is no news"
    assert await rows.pool.fetchval("SELECT count(*) FROM accepted_starts") == 0
    assert await rows.pool.fetchval("SELECT count(*) FROM outbox") == 0
    other = await api.post(WORKFLOWS, headers=SARAH, json=start | {"input": {"a": 2}})
    assert (other.status_code, other.json()["type"]) == (409, "urn:ratchet:problem:workflow-exists")
