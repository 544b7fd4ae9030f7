"""Dependencies that are down stand on the overview and on the dashboard's strip; their steps are held back."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from admin_api.app import create_app
from local_stack.servers import RunningServers
from pydantic import SecretStr
from ratchet.adapters.redis.connection import connect
from ratchet.adapters.redis.dependencies import SharedDependencies
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.domain.dependency import MINIMUM, Outcomes, learn
from ratchet.settings import Settings

from tests.integration.admin_api.admin_stage import SUPPORT, Rows, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAILS = WorkflowDefinition(
    "mails", 1, (StepDefinition("write", depends_on="crm"), StepDefinition("send", depends_on="smtp"))
)


@pytest_asyncio.fixture(loop_scope="module")
async def with_redis(settings: Settings, servers: RunningServers, rows: Rows) -> AsyncIterator[httpx2.AsyncClient]:
    """The API on a Redis that answers, where one of two dependencies is down."""
    client = connect(servers.redis_url, name="test")
    await client.flushall()
    shared = SharedDependencies(client)
    await shared.change("smtp", lambda known, now: learn(Outcomes(0, failed=MINIMUM), known, now))
    await rows.definition(MAILS)
    app = create_app(settings.model_copy(update={"redis_url": SecretStr(servers.redis_url)}))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://api") as api:
        yield api
    await client.flushall()
    await client.aclose()


async def test_the_overview_says_which_dependency_is_down(with_redis: httpx2.AsyncClient) -> None:
    seen = (await with_redis.get("/api/v1/admin/overview", headers=SUPPORT)).json()
    standings = {item["name"]: item for item in seen["dependencies"]}
    assert standings["smtp"]["state"] == "open"
    assert standings["smtp"]["probeAt"] > standings["smtp"]["changedAt"]
    assert standings["crm"] == {"name": "crm", "state": "closed", "changedAt": None, "probeAt": None}


async def test_the_dashboard_names_it_and_says_what_that_means(with_redis: httpx2.AsyncClient) -> None:
    await with_redis.post("/sign-in", data={"token": token("sue", "support"), "next": "/"})
    strip = (await with_redis.get("/live/strip", headers={"HX-Request": "true"})).text
    assert "smtp" in strip
    assert "its steps are held back" in strip
    assert "crm" not in strip


async def test_without_redis_the_overview_answers_and_says_that_it_does_not_know(
    api: httpx2.AsyncClient, rows: Rows
) -> None:
    await rows.definition(MAILS)
    response = await api.get("/api/v1/admin/overview", headers=SUPPORT)
    assert response.status_code == 200
    known: list[Any] = [item["state"] for item in response.json()["dependencies"]]
    assert known == [None, None]
