"""A commit whose answer is lost is looked up, never guessed: done once, whatever the server did with it."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from ratchet.adapters.postgres.engine import connect_pool
from ratchet.adapters.postgres.execution import PostgresExecution
from ratchet.domain.workflow import WorkflowStatus
from ratchet.observability.metrics import ExecutorMetrics, new_registry
from ratchet.ports import Fenced

from tests.integration.conftest import LEASE, done, fresh_claim, gone_wrong, new_workflow, request_for, row_of
from tests.integration.postgres.cutting_proxy import CuttingProxy, cutting_proxy

ROUNDS = 5


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[CuttingProxy]:
    parts = urlsplit(database_url)
    async with cutting_proxy(parts.hostname or "", parts.port or 5432) as opened:
        yield opened


@pytest.fixture
async def shaky(database_url: str, proxy: CuttingProxy) -> AsyncIterator[PostgresExecution]:
    """A store behind the proxy."""
    parts = urlsplit(database_url)
    url = urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))
    pool = await connect_pool(url, application="shaky", size=4)
    yield PostgresExecution(pool, pool, executor="executor-1", lease=LEASE, metrics=ExecutorMetrics(new_registry()))
    pool.terminate()


@pytest.mark.parametrize("delivers", [True, False], ids=["committed", "never-arrived"])
@pytest.mark.parametrize("members", [1, 25])
async def test_steps_whose_commit_was_cut_off_are_committed_once(
    shaky: PostgresExecution,
    store: PostgresExecution,
    proxy: CuttingProxy,
    pool: asyncpg.Pool,
    delivers: bool,
    members: int,
) -> None:
    for number in range(ROUNDS):
        workflows = [new_workflow() for _ in range(members)]
        await asyncio.gather(*map(store.start, workflows))
        marker = f"cut-{number}-{delivers}-{members}"
        proxy.arm(marker.encode(), delivers=delivers)
        await asyncio.gather(*(shaky.commit_step(done(fresh_claim(item), {"m": marker})) for item in workflows))
        for workflow in workflows:
            row = await row_of(pool, workflow.workflow_id)
            assert (row["current_step_index"], row["last_seq"]) == (1, 1)
    assert proxy.cuts == ROUNDS, "the fault bit in every round"
    assert await pool.fetchval("SELECT count(*) FROM checkpoints") == ROUNDS * members


@pytest.mark.parametrize("delivers", [True, False], ids=["committed", "never-arrived"])
async def test_an_attempt_whose_commit_was_cut_off_counts_once(
    shaky: PostgresExecution, store: PostgresExecution, proxy: CuttingProxy, pool: asyncpg.Pool, delivers: bool
) -> None:
    workflow = new_workflow()
    await store.start(workflow)
    proxy.arm(b"TimeoutError: slow", delivers=delivers)
    await shaky.commit_failure(gone_wrong(fresh_claim(workflow), status=WorkflowStatus.FAILED))
    assert proxy.cuts == 1
    assert await pool.fetchval("SELECT count(*) FROM step_attempts") == 1
    assert (await row_of(pool, workflow.workflow_id))["status_text"] == "Failed"


async def test_a_commit_that_was_cut_off_and_overtaken_is_fenced(
    shaky: PostgresExecution, store: PostgresExecution, proxy: CuttingProxy, pool: asyncpg.Pool
) -> None:
    workflow = new_workflow()
    await store.start(workflow)
    heir = await store.claim(request_for(workflow, redelivered=True))
    assert heir.claim is not None
    proxy.arm(b"overtaken", delivers=False)
    with pytest.raises(Fenced):
        await shaky.commit_step(done(fresh_claim(workflow), {"m": "overtaken"}))
    assert await pool.fetchval("SELECT count(*) FROM checkpoints") == 0
