import time
import uuid
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.integration.admin_api.admin_stage import ADMIN, EPOCH, SARAH, SUPPORT, Rows, ScriptedRecovery, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACTIONS = {
    "recover": ("RecoverWorkflow", "/api/v1/workflows/{}/recover", None),
    "retry": ("RetryStep", "/api/v1/workflows/{}/steps/current/retry", None),
    "skip": ("SkipStep", "/api/v1/workflows/{}/steps/current/skip", None),
    "cancel": ("CancelWorkflow", "/api/v1/workflows/{}/cancel", None),
    "pause": ("PauseWorkflow", "/api/v1/workflows/{}/pause", None),
    "resume": ("ResumeWorkflow", "/api/v1/workflows/{}/resume", None),
    "restore": ("RestoreCheckpoint", "/api/v1/admin/workflows/{}/restore", {"checkpointSeq": 2, "reason": "wrong sum"}),
    "override": ("OverrideStatus", "/api/v1/admin/workflows/{}/override", {"status": "Failed", "reason": "by hand"}),
}


@pytest_asyncio.fixture(loop_scope="module")
async def failed(rows: Rows) -> uuid.UUID:
    return await rows.workflow(status="Failed", current_step="charge")


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_becomes_a_command_with_its_actor_and_its_outcome_the_answer(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID, action: str
) -> None:
    command, path, body = ACTIONS[action]
    recovery.script = lambda _command: {"resumed_from": EPOCH, "resumed_step": "charge", "damaged_checkpoints": [2]}
    answer = await api.post(path.format(failed), json=body, headers=ADMIN | {"X-Correlation-ID": "c-9"})
    assert answer.status_code == 200, answer.text
    [sent] = recovery.commands
    expected = {"type": command, "correlationId": "c-9", "workflowId": str(failed), "actor": "ada"} | (body or {})
    assert sent == expected
    result = answer.json()
    recovery_id = result.pop("recoveryId")
    assert result == {
        "workflowId": str(failed),
        "success": True,
        "status": "InProgress",
        "resumedFrom": "2026-01-01T00:00:00Z",
        "resumedStep": "charge",
        "damagedCheckpoints": [2],
    }
    state = (await api.get(f"/api/v1/workflows/{failed}/recoveries/{recovery_id}", headers=ADMIN)).json()
    assert (state["outcome"], state["success"], state["actor"]) == ("resumed", True, "ada")


async def test_the_reason_travels_without_control_characters_or_credentials(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    body = {"reason": "line\r\nbreak \x1b[2J nul\x00 password=hunter2"}
    assert (await api.post(f"/api/v1/workflows/{failed}/recover", json=body, headers=SARAH)).status_code == 200
    assert recovery.commands[0]["reason"] == "line break  [2J nul  password=***"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("recover", {"outcome": "refused", "problem": "wrong-status"}), (400, "wrong-status")),
        (("retry", {"outcome": "refused", "problem": "wrong-status"}), (409, "wrong-status")),
        (("skip", {"outcome": "refused", "problem": "step-not-optional"}), (409, "step-not-optional")),
        (("restore", {"outcome": "refused", "problem": "unknown-checkpoint"}), (404, "unknown-checkpoint")),
        (("restore", {"outcome": "refused", "problem": "damaged-checkpoint"}), (422, "damaged-checkpoint")),
        (
            ("override", {"outcome": "refused", "problem": "wrong-status", "detail": "Legal: none"}),
            (409, "wrong-status"),
        ),
        (("recover", {"outcome": "failed", "problem": "no-intact-checkpoint"}), (500, "recovery-failed")),
        (("cancel", {"outcome": "refused", "problem": "unknown-workflow"}), (404, "unknown-workflow")),
    ],
)
async def test_what_recovery_refuses_is_a_problem_with_the_contracts_status(
    api: httpx2.AsyncClient,
    recovery: ScriptedRecovery,
    failed: uuid.UUID,
    asked: tuple[str, dict[str, Any]],
    expected: tuple[int, str],
) -> None:
    (action, columns), (status, slug) = asked, expected
    recovery.script = lambda _command: columns | {"status": None}
    _command, path, body = ACTIONS[action]
    answer = await api.post(path.format(failed), json=body, headers=ADMIN)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (problem["type"], problem["status"], problem["success"]) == (f"urn:ratchet:problem:{slug}", status, False)
    assert problem["recoveryId"]
    assert problem["correlationId"] == answer.headers["X-Correlation-ID"]
    assert problem["detail"] == columns.get("detail", problem["detail"])


async def test_a_late_outcome_is_a_202_whose_location_tells_it_later(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    recovery.script = lambda _command: None
    answer = await api.post(f"/api/v1/workflows/{failed}/recover", json={"reason": "now"}, headers=SARAH)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "requested")
    location = answer.headers["Location"]
    pending = (await api.get(location, headers=SARAH)).json()
    assert (pending["outcome"], pending["success"], pending["kind"], pending["reason"]) == (
        "requested",
        None,
        "recover",
        "now",
    )
    await recovery.answer(location.rsplit("/", 1)[-1], recovery.commands[0], outcome="resumed")
    assert (await api.get(location, headers=SARAH)).json()["outcome"] == "resumed"


async def test_a_missed_bell_does_not_matter(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    recovery.rings = False
    assert (await api.post(f"/api/v1/workflows/{failed}/recover", headers=SARAH)).status_code == 200


async def test_the_bell_makes_the_answer_quick(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    await api.post(f"/api/v1/workflows/{failed}/recover", headers=SARAH)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        assert (await api.post(f"/api/v1/workflows/{failed}/recover", headers=SARAH)).status_code == 200
        took.append(time.perf_counter() - began)
    # Without the bell each would take the half second after which the row is looked at.
    assert min(took) < 0.4


async def test_the_bell_is_hung_up_again_when_its_connection_is_cut(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    ours = "pg_stat_activity WHERE application_name = 'ratchet-admin-api-bell' AND datname = current_database()"
    [[cut]] = await eventually(lambda: recovery.pool.fetch(f"SELECT pid FROM {ours}"))
    await recovery.pool.execute("SELECT pg_terminate_backend($1)", cut)
    await eventually(lambda: recovery.pool.fetch(f"SELECT pid FROM {ours} AND pid <> $1", cut))
    assert (await api.post(f"/api/v1/workflows/{failed}/recover", headers=SARAH)).status_code == 200


async def test_a_command_that_the_broker_did_not_take_is_kept_and_the_answer_says_where_to_look(
    cut_off_api: httpx2.AsyncClient, rows: Rows, failed: uuid.UUID
) -> None:
    api = cut_off_api
    answer = await api.post(f"/api/v1/workflows/{failed}/recover", headers=SARAH)
    assert answer.status_code == 202, answer.text
    assert (await api.get(answer.headers["Location"], headers=SARAH)).json()["outcome"] == "requested"
    kept = await rows.pool.fetch("SELECT routing_key, message_id FROM outbox")
    assert [tuple(row) for row in kept] == [("recovery.RecoverWorkflow", answer.json()["recoveryId"])]


async def test_a_request_shows_on_its_workflow_and_in_the_audit_log_before_recovery_answers(
    api: httpx2.AsyncClient, rows: Rows, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    place = f"/api/v1/workflows/{failed}"
    recovery.script = lambda _command: None
    asked = await api.post(f"{place}/recover", headers=SARAH, json={"reason": "The bank is back"})
    recovery_id = asked.json()["recoveryId"]
    [request] = (await api.get(place, headers=SARAH)).json()["requests"]
    assert request.pop("at")
    assert request == {
        "recoveryId": recovery_id,
        "kind": "recover",
        "actor": "sarah",
        "reason": "The bank is back",
    }
    [line] = await rows.audit()
    assert (line["actor"], line["action"], line["outcome"]) == ("sarah", "recover", "requested")
    await recovery.answer(recovery_id, recovery.commands[0])
    assert (await api.get(place, headers=SARAH)).json()["requests"] == []


async def test_the_overview_says_when_recovery_is_silent(
    api: httpx2.AsyncClient, rows: Rows, failed: uuid.UUID
) -> None:
    async def seen() -> dict[str, Any]:
        answer: dict[str, Any] = (await api.get("/api/v1/admin/overview", headers=SUPPORT)).json()
        return answer

    await rows.pool.execute(
        "INSERT INTO recovery_requests (id, workflow_id, kind, actor, correlation_id, requested_at)"
        " VALUES ('r-1', $1, 'retry', 'sarah', 'c-1', clock_timestamp() - interval '20 seconds')",
        failed,
    )

    async def silent() -> dict[str, Any] | None:
        overview = await seen()
        return overview if overview["recoverySilentSince"] else None

    overview = await eventually(silent)
    assert overview["requestsWaiting"] == 1
    assert overview["recoverySilentSince"] == overview["oldestRequestAt"]


async def test_a_workflow_that_has_not_begun_cannot_be_recovered_yet(
    api: httpx2.AsyncClient, rows: Rows, recovery: ScriptedRecovery
) -> None:
    recovery.script = lambda _command: {"outcome": "refused", "problem": "unknown-workflow", "status": None}
    location = (await api.post("/api/v1/workflows", json={"definition": "orders"}, headers=SARAH)).headers["Location"]
    assert (await api.post(f"{location}/recover", headers=SARAH)).status_code == 400
    assert (await api.post(f"{location}/cancel", headers=SARAH)).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"checkpointSeq": 1},
        {"checkpointSeq": 1, "reason": " \t\u200b\n"[:2]},
        {"checkpointSeq": 0, "reason": "x"},
        {"checkpointSeq": 1, "reason": "\x00\x01"},
        {"checkpointSeq": 1, "reason": "x" * 501},
    ],
)
async def test_a_restore_needs_a_checkpoint_and_a_reason(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID, body: dict[str, Any]
) -> None:
    answer = await api.post(f"/api/v1/admin/workflows/{failed}/restore", json=body, headers=SUPPORT)
    assert (answer.status_code, recovery.commands) == (422, [])


@pytest.mark.parametrize(
    "body", [{}, {"status": "Failed"}, {"status": "Broken", "reason": "x"}, {"status": "Failed", "reason": "  "}]
)
async def test_an_override_needs_a_status_and_a_reason(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID, body: dict[str, Any]
) -> None:
    answer = await api.post(f"/api/v1/admin/workflows/{failed}/override", json=body, headers=ADMIN)
    assert (answer.status_code, recovery.commands) == (422, [])


async def test_manual_actions_are_counted(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, failed: uuid.UUID
) -> None:
    await api.post(f"/api/v1/workflows/{failed}/recover", headers=SARAH)
    figures = (await api.get("/metrics")).text
    assert 'ratchet_manual_actions_total{action="recover",outcome="done"}' in figures
    assert 'http_requests_total{method="POST",route="/api/v1/workflows/{workflowId}/recover",status="200"}' in figures
