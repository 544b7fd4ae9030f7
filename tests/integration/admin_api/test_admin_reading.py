import uuid
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.integration.admin_api.admin_stage import ADMIN, EPOCH, SARAH, SUPPORT, TOM, Rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST = "/api/v1/workflows"


async def _all(api: httpx2.AsyncClient, path: str, headers: dict[str, str], **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    while True:
        answer = await api.get(path, headers=headers, params=query)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        if answer.json()["nextCursor"] is None:
            return items
        query["cursor"] = answer.json()["nextCursor"]


async def test_a_workflow_says_where_it_stands_in_the_words_of_the_contract(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await rows.workflow(
        status="Failed",
        current_step="charge",
        current_step_index=1,
        retry_count=3,
        failure_reason="TimeoutError: too slow",
        failure_class="TimeoutError",
        requires_manual_intervention=True,
        last_checkpoint_at=EPOCH,
    )
    await rows.checkpoint(workflow_id, 1, index=0, state={"reserved": 10**25})
    answer = (await api.get(f"{LIST}/{workflow_id}", headers=SARAH)).json()
    assert {
        "status": "Failed",
        "currentStep": "charge",
        "retryCount": 3,
        "failureReason": "TimeoutError: too slow",
        "failureKind": "transient",
        "failedAt": "2026-01-01T00:00:00Z",
        "requiresManualIntervention": True,
        "lastCheckpointAt": "2026-01-01T00:00:00Z",
        "state": {"reserved": 10**25},
    }.items() <= answer.items()
    assert [step["status"] for step in answer["steps"]] == ["done", "current", "pending"]


async def test_steps_are_told_by_the_line_the_workflow_stands_on(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = await rows.workflow(current_step="survey", current_step_index=2)
    await rows.checkpoint(workflow_id, 1, index=0)
    await rows.checkpoint(workflow_id, 2, index=1, parent=1)
    await rows.checkpoint(workflow_id, 3, index=2, parent=2)
    await rows.checkpoint(workflow_id, 4, index=1, parent=1, skipped=True)
    answer = (await api.get(f"{LIST}/{workflow_id}", headers=SARAH)).json()
    assert [step["status"] for step in answer["steps"]] == ["done", "skipped", "current"]


async def test_history_tells_failed_and_successful_attempts_in_the_order_of_time(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await rows.workflow()
    await rows.checkpoint(workflow_id, 1, index=0)
    for attempt in (1, 2):
        await rows.failed_attempt(workflow_id, attempt, at=EPOCH + timedelta(seconds=12 + attempt))
    await rows.checkpoint(workflow_id, 2, index=1, parent=1, attempt=3)
    await rows.checkpoint(workflow_id, 3, index=2, parent=2, skipped=True)
    history = (await api.get(f"{LIST}/{workflow_id}/history", headers=SARAH)).json()
    assert [(item["stepId"], item["attempt"], item["outcome"]) for item in history["attempts"]] == [
        ("reserve", 1, "succeeded"),
        ("charge", 1, "failed"),
        ("charge", 2, "failed"),
        ("charge", 3, "succeeded"),
    ]
    assert [(item["reason"], item["correlationId"]) for item in history["attempts"][1:3]] == [("it broke", "c-1")] * 2
    assert [(item["seq"], item["stepId"], item["skipped"], item["current"]) for item in history["checkpoints"]] == [
        (1, "reserve", False, False),
        (2, "charge", False, False),
        (3, "survey", True, True),
    ]
    assert history["truncated"] is False


async def test_an_event_is_told_once_and_those_for_the_staff_only_to_them(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id, other = await rows.workflow(), await rows.workflow()
    for feed, offset in (("sarah", 0), ("everybody", 5)):
        await rows.event(workflow_id, feed, offset + 1, kind="WORKFLOW_STEP_FAILED", event_id="e-1")
        await rows.event(other, feed, offset + 3, kind="WORKFLOW_COMPLETED", event_id="e-3")
    await rows.event(workflow_id, "everybody", 9, kind="WORKFLOW_NEEDS_ATTENTION", event_id="e-2")
    path = f"{LIST}/{workflow_id}/history"
    assert [event["type"] for event in (await api.get(path, headers=SARAH)).json()["events"]] == [
        "WORKFLOW_STEP_FAILED"
    ]
    told = (await api.get(path, headers=SUPPORT)).json()["events"]
    assert [event["type"] for event in told] == ["WORKFLOW_STEP_FAILED", "WORKFLOW_NEEDS_ATTENTION"]
    assert told[0]["data"] == {"reason": "it broke"}


async def test_a_long_history_keeps_its_newest_thousand_and_says_so(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = await rows.workflow()
    await rows.pool.execute(
        "INSERT INTO step_attempts (workflow_id, step_index, step_id, attempt, kind, error_class, reason, "
        "correlation_id, claim_token, executor, started_at, finished_at) "
        "SELECT $1, 0, 'reserve', n, 'transient', 'E', 'r', "
        "'c', gen_random_uuid(), 'x', $2::timestamptz, $2 + n * interval '1 second' FROM generate_series(1, 1005) AS n",
        workflow_id,
        EPOCH,
    )
    history = (await api.get(f"{LIST}/{workflow_id}/history", headers=SARAH)).json()
    assert history["truncated"] is True
    assert [history["attempts"][0]["attempt"], history["attempts"][-1]["attempt"]] == [6, 1005]


async def test_plain_users_list_their_own_and_staff_everybodys(api: httpx2.AsyncClient, rows: Rows) -> None:
    for owner in ("sarah", "sarah", "tom"):
        await rows.workflow(owner_id=owner)
    assert {item["ownerId"] for item in await _all(api, LIST, SARAH)} == {"sarah"}
    assert len(await _all(api, LIST, SARAH)) == 2
    for staff in (SUPPORT, ADMIN):
        assert len(await _all(api, LIST, staff)) == 3
        assert [item["ownerId"] for item in await _all(api, LIST, staff, owner="tom")] == ["tom"]


async def test_naming_another_owner_is_refused_and_audited(api: httpx2.AsyncClient, rows: Rows) -> None:
    assert (await api.get(LIST, headers=TOM, params={"owner": "tom"})).status_code == 200
    assert (await api.get(LIST, headers=TOM, params={"owner": "sarah"})).status_code == 403
    assert [(entry["actor"], entry["action"]) for entry in await rows.audit()] == [("tom", "list")]


async def test_pages_cover_every_workflow_once_newest_first(api: httpx2.AsyncClient, rows: Rows) -> None:
    ids = [await rows.workflow(created_at=EPOCH + timedelta(seconds=number // 2)) for number in range(9)]
    for number in range(2):
        await rows.pool.execute(
            "INSERT INTO accepted_starts VALUES ($1, 'orders', 2, 'sarah', '', 'c', $2)",
            uuid.UUID(int=number + 1),
            EPOCH + timedelta(seconds=2.2 + number),
        )
    listed = await _all(api, LIST, SARAH, limit=2)
    assert len(listed) == 11
    assert {item["workflowId"] for item in listed} >= {str(workflow_id) for workflow_id in ids}
    times = [datetime.fromisoformat(item["createdAt"]) for item in listed]
    assert times == sorted(times, reverse=True)


async def test_lists_can_be_narrowed_to_statuses_and_a_definition(api: httpx2.AsyncClient, rows: Rows) -> None:
    await rows.workflow(status="Completed")
    await rows.workflow(status="Paused")
    await rows.workflow(status="Paused", definition="billing")
    await rows.pool.execute(
        "INSERT INTO accepted_starts VALUES ($1, 'orders', 2, 'sarah', '', 'c', now())", uuid.uuid4()
    )

    async def statuses(**query: Any) -> list[str]:
        return sorted(item["status"] for item in await _all(api, LIST, SARAH, **query))

    assert await statuses(status="Paused") == ["Paused", "Paused"]
    assert await statuses(status=["Paused", "NotStarted"], definition="orders") == ["NotStarted", "Paused"]
    assert await statuses(definition="billing") == ["Paused"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"status": "Broken"}, 422),
        ({"limit": 0}, 422),
        ({"limit": 201}, 422),
        ({"limit": "many"}, 422),
        ({"cursor": "nonsense"}, 400),
        ({"cursor": ""}, 422),
        ({"definiton": "typo"}, 422),
        ({"definition": "nul\x00"}, 422),
    ],
)
async def test_a_query_that_cannot_be_meant_is_refused(
    api: httpx2.AsyncClient, query: dict[str, Any], status: int
) -> None:
    answer = await api.get(LIST, headers=SARAH, params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_checkpoints_are_listed_with_state_and_whether_they_are_intact(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await rows.workflow()
    await rows.checkpoint(workflow_id, 1, index=0, state={"whole": 1.0, "big": 1e22})
    await rows.checkpoint(workflow_id, 2, index=1, parent=1, damaged=True)
    await rows.checkpoint(workflow_id, 3, index=2, parent=2)
    path = f"/api/v1/admin/workflows/{workflow_id}/checkpoints"
    for query in ({}, {"limit": 1}):
        found = await _all(api, path, SUPPORT, **query)
        assert [(item["seq"], item["intact"], item["current"]) for item in found] == [
            (1, True, False),
            (2, False, False),
            (3, True, True),
        ]
    assert found[0]["state"] == {"whole": 1.0, "big": 1e22}


async def test_a_page_of_large_checkpoints_ends_early_and_goes_on_where_it_ended(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await rows.workflow()
    for seq in range(1, 8):
        await rows.checkpoint(workflow_id, seq, index=0, state={"blob": "x" * 1_000_000})
    path = f"/api/v1/admin/workflows/{workflow_id}/checkpoints"
    first = (await api.get(path, headers=SUPPORT)).json()
    assert [item["seq"] for item in first["items"]] == [1, 2, 3, 4, 5]
    assert [item["seq"] for item in await _all(api, path, SUPPORT)] == [1, 2, 3, 4, 5, 6, 7]


async def test_a_traceback_is_told_to_staff_and_to_nobody_else(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = await rows.workflow(status="Failed")
    await rows.failed_attempt(workflow_id, 1, at=EPOCH)
    await rows.pool.execute("UPDATE step_attempts SET traceback = 'File x, line 3'")
    for who, told in ((SARAH, None), (SUPPORT, "File x, line 3")):
        history = (await api.get(f"/api/v1/workflows/{workflow_id}/history", headers=who)).json()
        assert [attempt["traceback"] for attempt in history["attempts"]] == [told]
