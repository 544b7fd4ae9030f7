import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.integration.admin_api.admin_stage import ADMIN, SARAH, SUPPORT, TOM, Rows, ScriptedRecovery, bearer, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN, ADMINS = "/api/v1/workflows/{id}", "/api/v1/admin/workflows"
RESTORE = {"checkpointSeq": 1, "reason": "why"}
OVERRIDE = {"status": "Failed", "reason": "why"}
WHO = {"anonymous": {}, "owner": SARAH, "other": TOM, "support": SUPPORT, "admin": ADMIN}

ALLOWED: dict[str, tuple[str, str, dict[str, Any] | None, set[str]]] = {
    "listWorkflows": ("GET", "/api/v1/workflows", None, {"owner", "other", "support", "admin"}),
    "startWorkflow": ("POST", "/api/v1/workflows", {"definition": "orders"}, {"owner", "other", "support", "admin"}),
    "getWorkflow": ("GET", OWN, None, {"owner", "support", "admin"}),
    "getHistory": ("GET", OWN + "/history", None, {"owner", "support", "admin"}),
    "getRecovery": ("GET", OWN + "/recoveries/{recovery}", None, {"owner", "support", "admin"}),
    "recoverWorkflow": ("POST", OWN + "/recover", None, {"owner", "admin"}),
    "retryStep": ("POST", OWN + "/steps/current/retry", None, {"owner", "admin"}),
    "skipStep": ("POST", OWN + "/steps/current/skip", None, {"owner", "admin"}),
    "cancelWorkflow": ("POST", OWN + "/cancel", None, {"owner", "admin"}),
    "pauseWorkflow": ("POST", OWN + "/pause", None, {"owner", "admin"}),
    "resumeWorkflow": ("POST", OWN + "/resume", None, {"owner", "admin"}),
    "listFailedWorkflows": ("GET", ADMINS + "/failed", None, {"support", "admin"}),
    "listCheckpoints": ("GET", ADMINS + "/{id}/checkpoints", None, {"support", "admin"}),
    "restoreCheckpoint": ("POST", ADMINS + "/{id}/restore", RESTORE, {"support", "admin"}),
    "listFailureGroups": ("GET", "/api/v1/admin/failure-groups", None, {"support", "admin"}),
    "getOverview": ("GET", "/api/v1/admin/overview", None, {"support", "admin"}),
    "overrideStatus": ("POST", ADMINS + "/{id}/override", OVERRIDE, {"admin"}),
}

TESTED_WITH_THE_UPKEEP = {
    *("previewRestore", "recoverMany", "listBulkRecoveries", "getBulkRecovery", "cancelBulkRecovery"),
    *("listAudit", "verifyAudit", "listParked", "replayParked", "discardParked", "getScan", "requestScan"),
}


async def test_the_matrix_of_rights_covers_every_route(api: httpx2.AsyncClient) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]
    operations = {operation["operationId"] for path in paths.values() for operation in path.values()}
    assert operations == ALLOWED.keys() | TESTED_WITH_THE_UPKEEP


@pytest.mark.parametrize("operation", ALLOWED)
async def test_each_route_lets_in_exactly_whom_the_contract_names(
    api: httpx2.AsyncClient, rows: Rows, recovery: ScriptedRecovery, operation: str
) -> None:
    method, path, body, allowed = ALLOWED[operation]
    workflow_id = await rows.workflow(status="Failed")
    command = {"workflowId": str(workflow_id), "actor": "sarah", "correlationId": "c"}
    await recovery.answer("r-1", command)
    for who, headers in WHO.items():
        answer = await api.request(method, path.format(id=workflow_id, recovery="r-1"), json=body, headers=headers)
        expected = {True} if who in allowed else {401 if who == "anonymous" else 403}
        assert {answer.is_success or answer.status_code} == expected, who
    refused = [entry["actor"] for entry in await rows.audit() if entry["outcome"] == "refused"]
    assert refused == [
        sub for who, sub in (("owner", "sarah"), ("other", "tom"), ("support", "sue")) if who not in allowed
    ]


async def test_a_refusal_reaches_neither_recovery_nor_the_row(
    api: httpx2.AsyncClient, rows: Rows, recovery: ScriptedRecovery
) -> None:
    workflow_id = await rows.workflow(status="Failed")
    answer = await api.post(f"/api/v1/workflows/{workflow_id}/recover", headers=TOM | {"X-Correlation-ID": "c-7"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:ratchet:problem:forbidden")
    assert recovery.commands == []
    [entry] = await rows.audit()
    assert (entry["actor"], entry["action"], entry["outcome"], entry["workflow_id"], entry["correlation_id"]) == (
        "tom",
        "recover",
        "refused",
        workflow_id,
        "c-7",
    )


@pytest.mark.parametrize("operation", [name for name, (_method, path, *_rest) in ALLOWED.items() if "{id}" in path])
@pytest.mark.parametrize("workflow_id", [str(uuid.uuid4()), "no-uuid", "%00", "a" * 3000])
async def test_what_was_never_started_is_a_404(
    api: httpx2.AsyncClient, recovery: ScriptedRecovery, rows: Rows, operation: str, workflow_id: str
) -> None:
    method, path, body, _allowed = ALLOWED[operation]
    answer = await api.request(method, path.format(id=workflow_id, recovery="r-1"), json=body, headers=ADMIN)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert recovery.commands == []


async def test_a_recovery_is_only_found_under_its_own_workflow(
    api: httpx2.AsyncClient, rows: Rows, recovery: ScriptedRecovery
) -> None:
    hers, his = await rows.workflow(), await rows.workflow(owner_id="tom")
    await recovery.answer("r-1", {"workflowId": str(hers), "actor": "sarah", "correlationId": "c"})
    assert (await api.get(f"/api/v1/workflows/{hers}/recoveries/r-1", headers=SARAH)).status_code == 200
    assert (await api.get(f"/api/v1/workflows/{his}/recoveries/r-1", headers=TOM)).status_code == 404
    assert (await api.get(f"/api/v1/workflows/{hers}/recoveries/r-2", headers=SARAH)).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Basic {token('sarah')}"},
        {"Authorization": token("sarah")},
        {"Authorization": f"Bearer {token('sarah', expires_in=-5)}"},
        {"Authorization": f"Bearer {token('sarah')[:-4]}abcd"},
        {"Authorization": f"Bearer {token('sarah', nbf=2**32)}"},
    ],
)
async def test_a_bad_token_is_a_401_with_a_challenge(api: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    answer = await api.get("/api/v1/workflows", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:ratchet:problem:unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_two_authorization_headers_are_refused(api: httpx2.AsyncClient) -> None:
    headers = [("Authorization", f"Bearer {token('sarah')}"), ("Authorization", f"Bearer {token('tom')}")]
    assert (await api.get("/api/v1/workflows", headers=headers)).status_code == 401


async def test_a_token_in_the_query_counts_for_nothing(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/api/v1/workflows", params={"access_token": token("sarah")})).status_code == 401


async def test_roles_count_only_as_the_contract_spells_them(api: httpx2.AsyncClient, rows: Rows) -> None:
    for roles in (["ADMIN"], ["root"], [["admin"]], []):
        headers = {"Authorization": f"Bearer {token('sarah', roles=roles)}"}
        assert (await api.get("/api/v1/admin/workflows/failed", headers=headers)).status_code == 403
    assert (await api.get("/api/v1/admin/workflows/failed", headers=bearer("eve", "user", "admin"))).status_code == 200


async def test_a_body_is_not_read_before_the_caller_is_known(api: httpx2.AsyncClient) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10):
            read += 1
            yield b"x" * 1000

    assert (await api.post("/api/v1/workflows", content=body())).status_code == 401
    # The test's transport itself hands over at most one piece.
    assert read <= 1


async def test_health_and_metrics_need_no_token(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/healthz")).status_code == 200
    assert (await api.get("/readyz")).json() == {
        "ready": True,
        "checks": {"postgres": True, "rabbitmq": True, "background": True},
    }
    assert (await api.get("/metrics")).status_code == 200
