import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio
from admin_api.app import create_app
from local_stack.servers import RunningServers
from ratchet.adapters.redis.connection import connect
from ratchet.adapters.redis.token_bucket import SharedBuckets
from ratchet.settings import Settings

from tests.integration.admin_api.admin_stage import ADMIN, SARAH, TOM, Rows, bearer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def buckets(redis_url: str) -> AsyncIterator[SharedBuckets]:
    client = connect(redis_url, name="test")
    yield SharedBuckets(client)
    await client.aclose()


async def test_instances_share_a_bucket(redis_url: str, buckets: SharedBuckets) -> None:
    other_client = connect(redis_url, name="test-2")
    other = SharedBuckets(other_client)
    waits = [await one.wait_for("k", burst=4, per_second=0.01) for one in (buckets, other) * 3]
    await other_client.aclose()
    assert waits[:4] == [0, 0, 0, 0]
    assert all(80 < wait <= 100 for wait in waits[4:])


async def test_parallel_takers_never_get_more_than_there_is(buckets: SharedBuckets) -> None:
    waits = await asyncio.gather(*(buckets.wait_for("k", burst=10, per_second=0.01) for _ in range(50)))
    assert waits.count(0.0) == 10


async def test_a_bucket_refills_with_time(buckets: SharedBuckets) -> None:
    assert await buckets.wait_for("k", burst=1, per_second=20) == 0
    wait = await buckets.wait_for("k", burst=1, per_second=20)
    assert 0 < wait <= 0.05
    await asyncio.sleep(wait + 0.01)
    assert await buckets.wait_for("k", burst=1, per_second=20) == 0


async def test_a_principal_that_asks_too_often_gets_429_and_others_do_not(
    settings: Settings, servers: RunningServers, redis_url: str, rows: Rows
) -> None:
    app = create_app(settings.model_copy(update={"rate_limit": 1, "redis_url": _secret(redis_url)}))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://api") as api:
        answers = [await api.get("/api/v1/workflows", headers=SARAH) for _ in range(6)]
        other = await api.get("/api/v1/workflows", headers=TOM)
    assert [answer.status_code for answer in answers[:4]] == [200] * 4
    assert answers[-1].status_code == 429
    assert answers[-1].json()["type"] == "urn:ratchet:problem:too-many-requests"
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert other.status_code == 200


def _secret(url: str) -> object:
    from pydantic import SecretStr

    return SecretStr(url)


async def test_a_flood_of_refusals_fills_no_audit_log(api: httpx2.AsyncClient, rows: Rows) -> None:
    flooder = bearer("flooder")
    answers = [await api.get("/api/v1/admin/overview", headers=flooder) for _ in range(330)]
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {403, 429}
    assert len(await rows.audit()) == codes.count(403) < 320


async def test_every_answer_carries_the_security_headers(api: httpx2.AsyncClient, rows: Rows) -> None:
    for path, headers in (
        ("/api/v1/workflows", ADMIN),
        ("/api/v1/nothing", ADMIN),
        ("/api/v1/workflows", {}),
        ("/healthz", {}),
    ):
        answer = await api.get(path, headers=headers)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers


async def test_a_wrong_method_is_told_every_right_one(api: httpx2.AsyncClient, rows: Rows) -> None:
    answer = await api.put("/api/v1/workflows", headers=ADMIN)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert (await api.post("/healthz")).headers["allow"] == "GET, HEAD"
