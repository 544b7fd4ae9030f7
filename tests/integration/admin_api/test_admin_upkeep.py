"""The operators' routes: preview, bulk recovery, audit, parked messages, scan."""

import uuid
from typing import Any

import aio_pika
import httpx2
import orjson
import pytest
import pytest_asyncio
from ratchet.adapters.postgres.audit_sealing import PostgresAuditSealer

from tests.integration.admin_api.admin_stage import ADMIN, EPOCH, SARAH, SUPPORT, Rows, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN_TABLES = (
    *("audit_chain", "audit_unsealed", "bulk_recovery_items", "bulk_recoveries"),
    *("parked_messages", "recovery_verdicts", "recovery_watches"),
)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def clean(rows: Rows) -> None:
    await rows.pool.execute("; ".join(f"DELETE FROM {table}" for table in OWN_TABLES))


async def stopped_at_survey(rows: Rows, **columns: Any) -> uuid.UUID:
    """A workflow that failed at its last step, after two checkpoints."""
    wanted = {"status": "Failed", "current_step": "survey", "current_step_index": 2, "input": '{"sum": 0}'} | columns
    workflow_id = await rows.workflow(**wanted)
    await rows.checkpoint(workflow_id, 1, index=0, state={"sum": 1, "items": ["a"]})
    await rows.checkpoint(workflow_id, 2, index=1, parent=1, state={"sum": 2, "items": ["a", "b"], "paid": True})
    return workflow_id


# --- preview ----------------------------------------------------------------------------------------------------------


async def test_a_preview_shows_what_would_run_again_and_how_the_state_would_change(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await stopped_at_survey(rows)
    await rows.failed_attempt(workflow_id, 1, at=EPOCH)
    path = f"/api/v1/admin/workflows/{workflow_id}/restore-preview"
    answer = await api.get(path, params={"checkpointSeq": 1}, headers=SUPPORT)
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert (seen["allowed"], seen["resumedStep"], seen["checkpointSeq"]) == (True, "charge", 1)
    steps = [(step["stepId"], step["executions"], step["alreadyDone"]) for step in seen["steps"]]
    assert steps == [("charge", 2, True), ("survey", 0, False)]
    keys = [step["idempotencyKey"] for step in seen["steps"]]
    assert keys == [f"{workflow_id}:charge:1", f"{workflow_id}:survey:0"], "what has committed gets a new key"
    assert seen["stateDiff"] == [
        {"op": "remove", "path": "/items/1", "before": "b", "after": None},
        {"op": "remove", "path": "/paid", "before": True, "after": None},
        {"op": "replace", "path": "/sum", "before": 2, "after": 1},
    ]


async def test_a_preview_without_a_checkpoint_shows_what_a_recovery_would_do(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await stopped_at_survey(rows)
    await rows.pool.execute("UPDATE checkpoints SET state = '{}' WHERE seq = 2")
    seen = (await api.get(f"/api/v1/admin/workflows/{workflow_id}/restore-preview", headers=SUPPORT)).json()
    assert (seen["allowed"], seen["checkpointSeq"], seen["damagedCheckpoints"]) == (True, 1, [2])
    assert [step["stepId"] for step in seen["steps"]] == ["charge", "survey"]


@pytest.mark.parametrize(
    ("case", "seq", "expected"),
    [
        ("status = 'InProgress'", 1, (False, "wrong-status")),
        ("version = 99", 1, (False, "unknown-definition")),
        ("status = status", 9, None),
    ],
)
async def test_a_preview_says_why_a_restore_would_be_refused(
    api: httpx2.AsyncClient, rows: Rows, case: str, seq: int, expected: tuple[bool, str] | None
) -> None:
    workflow_id = await stopped_at_survey(rows)
    await rows.pool.execute(f"UPDATE workflow_instances SET {case}")
    path = f"/api/v1/admin/workflows/{workflow_id}/restore-preview"
    answer = await api.get(path, params={"checkpointSeq": seq}, headers=SUPPORT)
    if expected is None:
        assert answer.status_code == 404
    else:
        assert (answer.json()["allowed"], answer.json()["problem"]) == expected
        assert answer.json()["detail"]


async def test_a_preview_of_a_damaged_checkpoint_says_so(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = await stopped_at_survey(rows)
    await rows.pool.execute("UPDATE checkpoints SET state = '{}' WHERE seq = 1")
    path = f"/api/v1/admin/workflows/{workflow_id}/restore-preview"
    seen = (await api.get(path, params={"checkpointSeq": 1}, headers=SUPPORT)).json()
    assert (seen["allowed"], seen["problem"], seen["steps"]) == (False, "damaged-checkpoint", [])


# --- bulk -------------------------------------------------------------------------------------------------------------

BULK = {"filter": {"step": "survey"}, "reason": "the supplier is back"}


async def test_a_bulk_recovery_freezes_its_selection_and_shows_its_progress(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    chosen = {str(await stopped_at_survey(rows)) for _ in range(3)}
    await rows.workflow(status="Failed", current_step="reserve")
    answer = await api.post("/api/v1/admin/recoveries", json=BULK, headers=ADMIN)
    assert answer.status_code == 202, answer.text
    assert answer.json()["total"] == 3
    location = answer.headers["Location"]
    assert location.endswith(answer.json()["recoveryId"])
    first = (await api.get(location, params={"limit": 2}, headers=ADMIN)).json()
    second = (await api.get(location, params={"limit": 2, "cursor": first["nextCursor"]}, headers=ADMIN)).json()
    assert {item["workflowId"] for item in first["items"] + second["items"]} == chosen
    assert (first["state"], first["pending"], first["started"], first["canary"]) == ("running", 3, 0, 5)
    assert second["nextCursor"] is None
    [listed] = (await api.get("/api/v1/admin/recoveries", headers=ADMIN)).json()["items"]
    assert (listed["recoveryId"], listed["filter"]) == (answer.json()["recoveryId"], {"step": "survey"})


async def test_the_same_bulk_recovery_asked_for_twice_is_one(api: httpx2.AsyncClient, rows: Rows) -> None:
    await stopped_at_survey(rows)
    headers = ADMIN | {"Idempotency-Key": "bulk-1"}
    answers = [await api.post("/api/v1/admin/recoveries", json=BULK, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert await rows.pool.fetchval("SELECT count(*) FROM bulk_recoveries") == 1


async def test_a_bulk_recovery_can_be_cancelled_once(api: httpx2.AsyncClient, rows: Rows) -> None:
    await stopped_at_survey(rows)
    location = (await api.post("/api/v1/admin/recoveries", json=BULK, headers=ADMIN)).headers["Location"]
    answer = await api.post(f"{location}/cancel", json={"reason": "wrong filter"}, headers=ADMIN)
    assert (answer.status_code, answer.json()["state"], answer.json()["skipped"]) == (200, "cancelled", 1)
    assert (await api.post(f"{location}/cancel", json={"reason": "again"}, headers=ADMIN)).status_code == 409
    unknown = f"/api/v1/admin/recoveries/{uuid.uuid4()}"
    assert (await api.get(unknown, headers=ADMIN)).status_code == 404
    assert (await api.post(f"{unknown}/cancel", json={"reason": "r"}, headers=ADMIN)).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {}},
        {"filter": {}, "reason": "  "},
        {"filter": {"colour": "red"}, "reason": "r"},
        {"filter": {"step": "s"}, "reason": "r", "canary": -1},
        {"filter": {"step": "s"}, "reason": "r", "canary": int("9" * 4000)},
        {"filter": {"step": "s"}, "reason": "r", "rate": 0},
        {"filter": {"step": "s"}, "reason": "r", "expected": -1},
        {"filter": {"step": "s"}, "reason": "r", "expected": 2**31},
        {"filter": {"step": "s"}, "reason": "r", "all": True, "expected": 1},
        {"filter": {}, "reason": "r", "expected": 1},
        {"all": True, "reason": "r"},
        {"workflowIds": [], "reason": "r"},
        {"workflowIds": ["x"], "reason": "r"},
        {"workflowIds": [str(uuid.UUID(int=n)) for n in range(1001)], "reason": "r"},
        {"reason": "r"},
    ],
)
async def test_a_bulk_recovery_needs_a_reason_and_a_filter_that_is_one(
    api: httpx2.AsyncClient, rows: Rows, body: dict[str, Any]
) -> None:
    assert (await api.post("/api/v1/admin/recoveries", json=body, headers=ADMIN)).status_code == 422
    assert await rows.pool.fetchval("SELECT count(*) FROM bulk_recoveries") == 0


async def test_a_canary_count_of_thousands_of_digits_is_a_mistake_and_no_failure(api: httpx2.AsyncClient) -> None:
    body = b'{"filter": {"step": "s"}, "reason": "r", "canary": ' + b"9" * 5000 + b"}"
    headers = ADMIN | {"Content-Type": "application/json"}
    assert (await api.post("/api/v1/admin/recoveries", content=body, headers=headers)).status_code in {400, 422}


async def test_another_number_than_expected_begins_nothing_and_is_told(api: httpx2.AsyncClient, rows: Rows) -> None:
    for _ in range(3):
        await stopped_at_survey(rows)
    for meant in ({"filter": {"step": "survey"}}, {"all": True}):
        body = {**meant, "expected": 2, "reason": "r"}
        answer = await api.post("/api/v1/admin/recoveries", json=body, headers=ADMIN | {"Idempotency-Key": "k"})
        problem = answer.json()
        assert (answer.status_code, problem["type"], problem["total"]) == (
            *(409, "urn:ratchet:problem:selection-changed"),
            3,
        )
        assert await rows.pool.fetchval("SELECT count(*) FROM bulk_recoveries") == 0
        body["expected"] = 3
        begun = await api.post("/api/v1/admin/recoveries", json=body, headers=ADMIN | {"Idempotency-Key": "k"})
        assert (begun.status_code, begun.json()["total"]) == (202, 3)
        await rows.pool.execute("DELETE FROM bulk_recoveries")
        await rows.pool.execute("DELETE FROM idempotency_keys")


async def test_a_group_that_there_is_not_is_unknown(api: httpx2.AsyncClient, rows: Rows) -> None:
    body = {"filter": {"group": "nothing"}, "reason": "r"}
    answer = await api.post("/api/v1/admin/recoveries", json=body, headers=ADMIN)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:ratchet:problem:unknown-group")
    assert await rows.pool.fetchval("SELECT count(*) FROM bulk_recoveries") == 0


async def test_a_list_of_ids_is_a_selection(api: httpx2.AsyncClient, rows: Rows) -> None:
    chosen = [str(await stopped_at_survey(rows)) for _ in range(2)]
    await stopped_at_survey(rows)
    body = {"workflowIds": [chosen[1], chosen[0], chosen[1]], "expected": 2, "reason": "r", "rate": 7}
    answer = await api.post("/api/v1/admin/recoveries", json=body, headers=ADMIN)
    assert (answer.status_code, answer.json()["total"]) == (202, 2), answer.text
    seen = (await api.get(answer.headers["Location"], headers=ADMIN)).json()
    assert [item["workflowId"] for item in seen["items"]] == [chosen[1], chosen[0]]
    assert (seen["filter"], seen["rate"]) == ({"workflowIds": [chosen[1], chosen[0]]}, 7)


async def test_the_audit_says_what_a_bulk_recovery_meant_from_its_beginning_to_its_end(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    await stopped_at_survey(rows)
    all_of_them = {"all": True, "expected": 1, "reason": "r"}
    for body, meant in ((BULK, BULK["filter"]), (all_of_them, {"all": True})):
        location = (await api.post("/api/v1/admin/recoveries", json=body, headers=ADMIN)).headers["Location"]
        await api.post(f"{location}/cancel", json={"reason": "enough"}, headers=ADMIN)
        told = [entry for entry in await rows.audit() if entry["action"] == "bulk-recover"][-2:]
        assert [(entry["outcome"], orjson.loads(entry["after"])["filter"]) for entry in told] == [
            ("requested", meant),
            ("cancelled", meant),
        ]


async def test_the_number_of_what_matches_does_not_depend_on_how_many_groups_are_shown(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    for number in range(5):
        await rows.workflow(status="Failed", current_step="charge", failure_class=f"Error{number}")
    page = (await api.get("/api/v1/admin/failure-groups", params={"limit": 2}, headers=SUPPORT)).json()
    assert (len(page["items"]), page["total"]) == (2, 5)


# --- audit ------------------------------------------------------------------------------------------------------------


async def test_the_audit_log_is_read_newest_first_with_filters(api: httpx2.AsyncClient, rows: Rows) -> None:
    for number in range(5):
        await rows.pool.execute(
            "INSERT INTO audit_log (actor, after, action, outcome, correlation_id)"
            " VALUES ($1, $2, 'recover', 'done', 'c')",
            f"actor-{number % 2}",
            orjson.dumps({"n": number}).decode(),
        )
    first = (await api.get("/api/v1/admin/audit", params={"limit": 3}, headers=ADMIN)).json()
    second = (
        await api.get("/api/v1/admin/audit", params={"limit": 3, "cursor": first["nextCursor"]}, headers=ADMIN)
    ).json()
    assert [line["after"]["n"] for line in first["items"] + second["items"]] == [4, 3, 2, 1, 0]
    one = (await api.get("/api/v1/admin/audit", params={"actor": "actor-1"}, headers=ADMIN)).json()
    assert [line["after"]["n"] for line in one["items"]] == [3, 1]


async def test_the_check_of_the_audit_log_finds_an_edit_and_a_cut(api: httpx2.AsyncClient, rows: Rows) -> None:
    path = "/api/v1/admin/audit/verification"
    for number in range(3):
        await rows.pool.execute(
            "INSERT INTO audit_log (actor, action, outcome, correlation_id) VALUES ($1, 'recover', 'done', 'c')",
            f"actor-{number}",
        )
    await PostgresAuditSealer(rows.pool).seal_some(10)
    whole = (await api.get(path, headers=ADMIN)).json()
    assert (whole["intact"], whole["checked"], whole["findings"]) == (True, 3, [])
    await rows.pool.execute("UPDATE audit_log SET actor = 'nobody' WHERE actor = 'actor-1'")
    edited = (await api.get(path, headers=ADMIN)).json()
    assert (edited["intact"], [finding["kind"] for finding in edited["findings"]]) == (False, ["edited"])
    head = {"headPosition": whole["head"]["position"], "headHash": whole["head"]["hash"]}
    await rows.pool.execute("DELETE FROM audit_log; DELETE FROM audit_chain")
    cut = (await api.get(path, params=head, headers=ADMIN)).json()
    assert [finding["kind"] for finding in cut["findings"]] == ["forged"]
    assert (await api.get(path, params={"headPosition": 1}, headers=ADMIN)).status_code == 422


# --- parked messages --------------------------------------------------------------------------------------------------


async def parked(rows: Rows, **columns: Any) -> uuid.UUID:
    row: dict[str, Any] = {
        "id": uuid.uuid4(),
        "message_id": "m-1",
        "type": "workflow.start",
        "exchange": "ratchet.commands",
        "routing_key": "workflow.start",
        "body": b'{"a": 1}',
        "reason": "definition: field required",
        "parked_by": "executor",
    } | columns
    values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await rows.pool.execute(f"INSERT INTO parked_messages ({', '.join(row)}) VALUES ({values})", *row.values())
    return uuid.UUID(str(row["id"]))


async def test_a_parked_message_is_sent_again_to_where_it_came_from_and_stays_on_record(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    parked_id = await parked(rows)
    [listed] = (await api.get("/api/v1/admin/parked", headers=ADMIN)).json()["items"]
    assert (listed["id"], listed["body"], listed["bodyIsText"]) == (str(parked_id), '{"a": 1}', True)
    answer = await api.post(f"/api/v1/admin/parked/{parked_id}/replay", headers=ADMIN)
    assert (answer.status_code, answer.json()["resolution"]) == (200, "replayed")
    sent = await rows.pool.fetchrow("SELECT message_id, exchange, routing_key, body, headers::text FROM outbox")
    assert sent is not None
    assert tuple(sent) == ("m-1", "ratchet.commands", "workflow.start", '{"a": 1}', "{}")
    assert (await api.get("/api/v1/admin/parked", headers=ADMIN)).json()["items"] == []
    [kept] = (await api.get("/api/v1/admin/parked", params={"resolved": True}, headers=ADMIN)).json()["items"]
    assert (kept["resolution"], kept["resolvedBy"]) == ("replayed", "ada")
    assert (await api.post(f"/api/v1/admin/parked/{parked_id}/replay", headers=ADMIN)).status_code == 409
    assert [line["action"] for line in await rows.audit()] == ["replay-parked"]


async def test_a_message_that_came_without_an_id_gets_one_when_it_is_sent_again(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    parked_id = await parked(rows, message_id=None)
    await api.post(f"/api/v1/admin/parked/{parked_id}/replay", headers=ADMIN)
    assert await rows.pool.fetchval("SELECT message_id FROM outbox") == str(parked_id)


async def test_a_parked_message_is_discarded_with_a_reason_only(api: httpx2.AsyncClient, rows: Rows) -> None:
    parked_id = await parked(rows, body=b"\xff\xfe")
    path = f"/api/v1/admin/parked/{parked_id}"
    assert (await api.post(f"{path}/replay", headers=ADMIN)).status_code == 409
    assert (await api.post(f"{path}/discard", json={"reason": " "}, headers=ADMIN)).status_code == 422
    answer = await api.post(f"{path}/discard", json={"reason": "a test sent it"}, headers=ADMIN)
    assert (answer.status_code, answer.json()["resolution"]) == (200, "discarded")
    kept = await rows.pool.fetchrow("SELECT resolution, resolution_reason, resolved_by FROM parked_messages")
    assert kept is not None
    assert tuple(kept) == ("discarded", "a test sent it", "ada")
    assert await rows.pool.fetchval("SELECT count(*) FROM outbox") == 0
    assert (await api.post(f"/api/v1/admin/parked/{uuid.uuid4()}/replay", headers=ADMIN)).status_code == 404


# --- scan -------------------------------------------------------------------------------------------------------------


async def test_a_scan_is_asked_for_over_the_queue_and_its_state_is_shown(
    api: httpx2.AsyncClient, rows: Rows, broker: aio_pika.abc.AbstractChannel
) -> None:
    answer = await api.post("/api/v1/admin/scan", json={"reason": "just to be sure"}, headers=ADMIN)
    assert answer.status_code == 202
    queue = await broker.get_queue("recovery.commands")
    message = await eventually(lambda: queue.get(no_ack=True, fail=False))
    assert (message.type, orjson.loads(message.body)) == ("RestartScan", {"reason": "just to be sure"})
    seen = (await api.get("/api/v1/admin/scan", headers=SUPPORT)).json()
    assert (seen["breaker"]["state"], seen["breaker"]["probeAt"]) == ("closed", None)


# --- rights -----------------------------------------------------------------------------------------------------------

REASON = {"reason": "why"}
ADMINS_ONLY: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/api/v1/admin/recoveries", None),
    ("POST", "/api/v1/admin/recoveries", BULK),
    ("GET", f"/api/v1/admin/recoveries/{uuid.uuid4()}", None),
    ("POST", f"/api/v1/admin/recoveries/{uuid.uuid4()}/cancel", REASON),
    ("GET", "/api/v1/admin/audit", None),
    ("GET", "/api/v1/admin/audit/verification", None),
    ("GET", "/api/v1/admin/parked", None),
    ("POST", f"/api/v1/admin/parked/{uuid.uuid4()}/replay", None),
    ("POST", f"/api/v1/admin/parked/{uuid.uuid4()}/discard", REASON),
    ("POST", "/api/v1/admin/scan", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ADMINS_ONLY)
async def test_what_is_for_admins_is_refused_to_everybody_else_and_the_attempt_is_audited(
    api: httpx2.AsyncClient, rows: Rows, method: str, path: str, body: dict[str, Any] | None
) -> None:
    assert (await api.request(method, path, json=body)).status_code == 401
    for headers in (SARAH, SUPPORT):
        answer = await api.request(method, path, json=body, headers=headers)
        assert answer.status_code == 403
        assert "role admin" in answer.json()["detail"]
    assert [line["outcome"] for line in await rows.audit()] == ["refused"] * 2


async def test_a_preview_and_the_state_of_the_scan_are_for_the_staff(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = await stopped_at_survey(rows)
    for path in (f"/api/v1/admin/workflows/{workflow_id}/restore-preview", "/api/v1/admin/scan"):
        assert (await api.get(path, headers=SARAH)).status_code == 403
        assert (await api.get(path, headers=SUPPORT)).status_code == 200
