import uuid
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.integration.admin_api.admin_stage import ADMIN, SARAH, SUPPORT, Rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUPS = "/api/v1/admin/failure-groups"
FAILED = "/api/v1/admin/workflows/failed"
NOW = datetime.now(UTC)


async def failed(rows: Rows, reason: str, **columns: object) -> uuid.UUID:
    return await rows.workflow(
        **{
            "status": "Failed",
            "current_step": "charge",
            "failure_class": "TimeoutError",
            "failure_reason": reason,
            "failed_at": NOW - timedelta(minutes=5),
        }
        | columns
    )


async def test_failures_that_differ_only_in_ids_and_numbers_are_one_group(api: httpx2.AsyncClient, rows: Rows) -> None:
    first = NOW - timedelta(hours=2)
    await failed(rows, f"Order 17 for {uuid.uuid4()} took 30.5 s", failed_at=first)
    await failed(rows, f"Order 234 for {uuid.uuid4()} took 2 s")
    newest = await failed(rows, f"Order 5 for {uuid.uuid4().hex} took 1.25 s", failed_at=NOW)

    [group] = (await api.get(GROUPS, headers=SUPPORT)).json()["items"]

    assert group["count"] == 3
    assert group["errorClass"] == "TimeoutError"
    assert group["step"] == "charge"
    assert group["definition"] == "orders"
    assert group["message"].startswith("Order <n> for <id> took <n>")
    assert datetime.fromisoformat(group["firstSeen"]) == first
    assert datetime.fromisoformat(group["lastSeen"]) == NOW
    assert group["newestWorkflowId"] == str(newest)


@pytest.mark.parametrize(
    "difference",
    [
        {"failure_class": "PermanentError"},
        {"current_step": "survey"},
        {"definition": "refunds"},
        {"failure_reason": "Other words"},
    ],
    ids=lambda difference: next(iter(difference)),
)
async def test_failures_of_different_causes_are_different_groups(
    api: httpx2.AsyncClient, rows: Rows, difference: dict[str, str]
) -> None:
    await failed(rows, "The same words")
    await failed(rows, **({"reason": "The same words"} | difference))

    groups = (await api.get(GROUPS, headers=SUPPORT)).json()["items"]

    assert [group["count"] for group in groups] == [1, 1]


async def test_the_members_of_a_group_are_listed_by_its_fingerprint(api: httpx2.AsyncClient, rows: Rows) -> None:
    members = {str(await failed(rows, f"Broke {number} times")) for number in range(3)}
    await failed(rows, "Something else")

    groups = (await api.get(GROUPS, headers=SUPPORT)).json()["items"]
    listed = (await api.get(FAILED, params={"group": groups[0]["fingerprint"]}, headers=SUPPORT)).json()["items"]

    assert {item["workflowId"] for item in listed} == members
    assert {item["failureFingerprint"] for item in listed} == {groups[0]["fingerprint"]}


async def test_the_largest_group_comes_first_and_pages_show_each_group_once(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    for kind, count in (("alpha", 1), ("beta", 3), ("gamma", 2), ("delta", 2)):
        for _ in range(count):
            await failed(rows, f"{kind} broke")

    seen, cursor = [], None
    while True:
        query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get(GROUPS, params=query, headers=ADMIN)).json()
        seen += [(group["message"], group["count"]) for group in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break

    assert [count for _message, count in seen] == [3, 2, 2, 1]
    assert len({message for message, _count in seen}) == 4


async def test_groups_take_the_filters_of_the_failed_list(api: httpx2.AsyncClient, rows: Rows) -> None:
    await failed(rows, "Broke 1")
    await failed(rows, "Broke 2", owner_id="tom")

    [group] = (await api.get(GROUPS, params={"owner": "tom"}, headers=SUPPORT)).json()["items"]

    assert group["count"] == 1


async def test_a_group_tells_how_many_came_in_each_of_the_last_24_hours(api: httpx2.AsyncClient, rows: Rows) -> None:
    for age in (timedelta(minutes=1), timedelta(minutes=2), timedelta(hours=3, minutes=5), timedelta(hours=30)):
        await failed(rows, "Broke", failed_at=datetime.now(UTC) - age)

    [group] = (await api.get(GROUPS, headers=SUPPORT)).json()["items"]

    assert len(group["trend"]) == 24
    assert group["trend"][-1] == 2
    assert group["trend"][-4] == 1
    assert sum(group["trend"]) == 3


async def test_a_recovered_workflow_is_in_no_group(api: httpx2.AsyncClient, rows: Rows) -> None:
    workflow_id = await failed(rows, "Broke")
    await rows.pool.execute(
        "UPDATE workflow_instances SET status = 'InProgress', failure_reason = NULL WHERE id = $1", workflow_id
    )

    assert (await api.get(GROUPS, headers=SUPPORT)).json()["items"] == []
    assert (await api.get(f"/api/v1/workflows/{workflow_id}", headers=ADMIN)).json()["failureFingerprint"] is None


async def test_groups_are_not_for_plain_users_and_foreign_cursors_are_refused(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    assert (await api.get(GROUPS, headers=SARAH)).status_code == 403
    assert (await api.get(GROUPS, params={"cursor": "WyJzZXEiLDFd"}, headers=SUPPORT)).status_code == 400


async def test_the_overview_counts_failures_and_names_queues_with_their_consumers(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    response = await api.get("/api/v1/admin/overview", headers=SUPPORT)
    seen = response.json()

    assert response.status_code == 200, seen
    assert seen["brokerReachable"] is True
    queues = {queue["name"]: queue for queue in seen["queues"]}
    assert queues["executor.steps.default"]["messages"] == 0
    assert {"recovery.commands", "ratchet.parked", "notifier.events"} <= queues.keys()
    assert (await api.get("/api/v1/admin/overview", headers=SARAH)).status_code == 403
