import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.integration.admin_api.admin_stage import EPOCH, SUPPORT, Rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILED = "/api/v1/admin/workflows/failed"


@pytest_asyncio.fixture(loop_scope="module")
async def failures(rows: Rows) -> dict[str, uuid.UUID]:
    """One failure for each thing that can be asked for."""
    now = datetime.now(UTC)
    rest = {"status": "Failed", "current_step": "charge"}
    await rows.workflow(status="Completed")
    return {
        "oldest": await rows.workflow(**rest, failed_at=EPOCH, failure_kind="permanent"),
        "billing": await rows.workflow(**rest, definition="billing", failed_at=EPOCH + timedelta(hours=1)),
        "survey": await rows.workflow(**rest | {"current_step": "survey"}, failed_at=EPOCH + timedelta(hours=2)),
        "toms": await rows.workflow(**rest, owner_id="tom", failed_at=EPOCH + timedelta(hours=3)),
        "poison": await rows.workflow(**rest, failure_kind="poison", failed_at=EPOCH + timedelta(hours=4)),
        "full": await rows.workflow(**rest, failure_reason="Disk is 100% FULL_", failed_at=EPOCH + timedelta(hours=5)),
        "new": await rows.workflow(**rest, failed_at=now - timedelta(minutes=10)),
    }


async def _names(api: httpx2.AsyncClient, failures: dict[str, uuid.UUID], **query: Any) -> list[str]:
    answer = await api.get(FAILED, headers=SUPPORT, params=query)
    assert answer.status_code == 200, answer.text
    names = {str(workflow_id): name for name, workflow_id in failures.items()}
    return [names[item["workflowId"]] for item in answer.json()["items"]]


async def test_only_failed_workflows_are_listed_oldest_first(
    api: httpx2.AsyncClient, failures: dict[str, uuid.UUID]
) -> None:
    assert await _names(api, failures) == list(failures)


async def test_the_order_can_be_turned_round(api: httpx2.AsyncClient, failures: dict[str, uuid.UUID]) -> None:
    assert await _names(api, failures, sort="-failedAt") == list(failures)[::-1]
    assert await _names(api, failures, sort="failedAt") == list(failures)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"definition": "billing"}, ["billing"]),
        ({"step": "survey"}, ["survey"]),
        ({"owner": "tom"}, ["toms"]),
        ({"kind": "poison"}, ["poison"]),
        ({"kind": "permanent"}, ["oldest"]),
        ({"kind": "interrupted"}, []),
        ({"text": "100%"}, ["full"]),
        ({"text": "full_"}, ["full"]),
        ({"text": "1%0"}, []),
        ({"olderThan": "5m", "text": "broke", "kind": "transient"}, ["billing", "survey", "toms", "new"]),
        ({"olderThan": "15m", "text": "broke", "kind": "transient"}, ["billing", "survey", "toms"]),
        ({"olderThan": "900", "owner": "tom"}, ["toms"]),
        ({"olderThan": "1h", "owner": "tom", "step": "survey"}, []),
    ],
)
async def test_every_filter_that_is_given_must_hold(
    api: httpx2.AsyncClient, failures: dict[str, uuid.UUID], query: dict[str, str], names: list[str]
) -> None:
    assert await _names(api, failures, **query) == names


@pytest.mark.parametrize("sort", ["failedAt", "-failedAt"])
async def test_pages_cover_every_failure_once_also_when_many_failed_at_once(
    api: httpx2.AsyncClient, rows: Rows, sort: str
) -> None:
    failures = {str(number): await rows.workflow(status="Failed") for number in range(5)}
    failures |= {
        f"later {number}": await rows.workflow(status="Failed", failed_at=EPOCH + timedelta(hours=1))
        for number in range(3)
    }
    seen, cursor = [], None
    while True:
        query = {"limit": 2, "sort": sort} | ({} if cursor is None else {"cursor": cursor})
        answer = (await api.get(FAILED, headers=SUPPORT, params=query)).json()
        seen += [item["workflowId"] for item in answer["items"]]
        cursor = answer["nextCursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(map(str, failures.values()))


async def test_a_cursor_belongs_to_its_order(api: httpx2.AsyncClient, failures: dict[str, uuid.UUID]) -> None:
    cursor = (await api.get(FAILED, headers=SUPPORT, params={"limit": 1})).json()["nextCursor"]
    answer = await api.get(FAILED, headers=SUPPORT, params={"cursor": cursor, "sort": "-failedAt"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:ratchet:problem:invalid-cursor")


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "bad"},
        {"olderThan": "soon"},
        {"olderThan": "-5m"},
        {"olderThan": "9" * 30},
        {"olderThan": "P1D"},
        {"sort": "name"},
        {"text": ""},
        {"text": "nul\x00"},
        {"texxt": "typo"},
    ],
)
async def test_a_filter_that_cannot_be_meant_is_a_422(
    api: httpx2.AsyncClient, rows: Rows, query: dict[str, str]
) -> None:
    assert (await api.get(FAILED, headers=SUPPORT, params=query)).status_code == 422


async def test_the_index_of_failed_rows_carries_the_list(rows: Rows) -> None:
    from ratchet.adapters.postgres import workflow_lists
    from ratchet.failed_filter import FailedFilter
    from sqlalchemy.dialects import postgresql

    [condition] = workflow_lists.failed_conditions(FailedFilter())
    where = condition.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    async with rows.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(
            f"EXPLAIN SELECT id FROM workflow_instances WHERE {where} ORDER BY failed_at, id LIMIT 50"
        )
    assert any("workflow_instances_failed" in row[0] for row in plan)
