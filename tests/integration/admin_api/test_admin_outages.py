import asyncio

import asyncpg
import httpx2
import pytest
from local_stack.servers import RunningServers
from ratchet.adapters.postgres import workflow_views

from tests.harness.administrator import administrator_url
from tests.integration.admin_api.admin_stage import ADMIN, SARAH, Rows, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_without_postgres_every_route_is_a_503_and_works_again_by_itself(
    servers: RunningServers, api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await rows.workflow(status="Failed")
    routes = (f"/api/v1/workflows/{workflow_id}", "/api/v1/workflows", "/api/v1/admin/workflows/failed")
    assert [(await api.get(route, headers=ADMIN)).status_code for route in routes] == [200, 200, 200]
    servers["postgres"].kill()
    try:
        for route in routes * 2:
            answer = await api.get(route, headers=ADMIN)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:ratchet:problem:unavailable"), route
        assert (await api.post("/api/v1/workflows", json={"definition": "orders"}, headers=SARAH)).status_code == 503
        assert (await api.get("/readyz")).status_code == 503
        assert (await api.get("/healthz")).status_code == 200
    finally:
        servers["postgres"].start()

    async def all_well() -> bool:
        return [(await api.get(route, headers=ADMIN)).status_code for route in routes] == [200, 200, 200]

    await eventually(all_well)
    assert (await api.get("/readyz")).status_code == 200


async def test_a_database_that_takes_no_writes_is_a_503_and_reading_goes_on(
    servers: RunningServers, api: httpx2.AsyncClient, rows: Rows
) -> None:
    workflow_id = await rows.workflow(status="Failed")
    administrator = await asyncpg.connect(administrator_url(servers, servers.database_url))
    await administrator.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await administrator.execute("SELECT pg_reload_conf()")
    try:

        async def refused() -> httpx2.Response | None:
            answer = await api.post("/api/v1/workflows", json={"definition": "orders"}, headers=SARAH)
            return answer if answer.status_code == 503 else None

        answer = await eventually(refused)
        assert answer.json()["type"] == "urn:ratchet:problem:unavailable"
        assert int(answer.headers["retry-after"]) > 0
        assert (await api.post(f"/api/v1/workflows/{workflow_id}/recover", headers=SARAH)).status_code == 503
        assert (await api.get(f"/api/v1/workflows/{workflow_id}", headers=ADMIN)).status_code == 200
    finally:
        await administrator.execute("SET default_transaction_read_only = off")
        await administrator.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await administrator.execute("SELECT pg_reload_conf()")
        await administrator.close()

    async def accepted() -> bool:
        answer = await api.post("/api/v1/workflows", json={"definition": "orders"}, headers=SARAH)
        return answer.status_code != 503

    await eventually(accepted)


async def test_a_statement_that_the_server_ends_is_a_503(
    api: httpx2.AsyncClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow_views, "_IDENTITY", "SELECT pg_sleep(60), $1::uuid AS hanging")
    answer = asyncio.create_task(api.get(f"/api/v1/workflows/{await rows.workflow()}", headers=SARAH))
    find = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%AS hanging' AND datname = current_database()"
    [[pid]] = await eventually(lambda: rows.pool.fetch(find))
    await rows.pool.execute("SELECT pg_cancel_backend($1)", pid)
    assert (await answer).status_code == 503
