"""Servers go away and come back; the executor needs no restart and counts no attempt."""

import asyncio

import asyncpg
from local_stack.servers import RunningServers

from tests.integration.executor.processes import Site

ATTEMPTS = "SELECT count(*) FROM step_attempts"


async def test_the_executor_works_again_after_the_database_was_away(servers: RunningServers, site: Site) -> None:
    executor = site.start("executor")
    before = await site.begin("crashing")
    await site.reaches(before, "Completed")
    await asyncio.to_thread(servers["postgres"].kill)
    during = [await site.begin("crashing") for _ in range(5)]
    await asyncio.to_thread(servers["postgres"].start)
    site.connection.terminate()
    site.connection = await asyncpg.connect(site.database_url)
    for workflow in during:
        await site.reaches(workflow, "Completed")
    assert executor.poll() is None, "the same process all along"
    assert await site.count(ATTEMPTS) == 0, "an outage is no attempt"
    assert await site.count("SELECT count(*) FROM checkpoints") == 12


async def test_the_executor_works_again_after_the_broker_was_away(servers: RunningServers, site: Site) -> None:
    executor = site.start("executor")
    before = await site.begin("crashing")
    await site.reaches(before, "Completed")
    await asyncio.to_thread(servers["rabbitmq"].stop)
    await asyncio.to_thread(servers["rabbitmq"].start)
    after = await site.begin("crashing")
    await site.reaches(after, "Completed", seconds=60)
    assert executor.poll() is None, "the same process all along"
    assert await site.count(ATTEMPTS) == 0


async def test_a_step_that_runs_while_the_broker_restarts_is_committed_once(
    servers: RunningServers, site: Site
) -> None:
    site.start("executor")
    site.start("recovery")
    workflow = await site.begin("lingering")
    await site.ran("linger")
    await site.logs("recovery-1", "recovery.ready")
    await asyncio.to_thread(servers["rabbitmq"].stop)
    await asyncio.to_thread(servers["rabbitmq"].start)
    site.gate.touch()
    await site.reaches(workflow, "Completed", seconds=60)
    assert await site.count("SELECT count(*) FROM checkpoints") == 2


async def test_a_long_running_step_goes_on_while_the_broker_restarts(servers: RunningServers, site: Site) -> None:
    """Its message was acknowledged when it began, so nobody would deliver it again."""
    site.start("executor")
    workflow = await site.begin("patient")
    await site.ran("long_one")
    await asyncio.to_thread(servers["rabbitmq"].stop)
    await asyncio.to_thread(servers["rabbitmq"].start)
    site.gate.touch()
    await site.reaches(workflow, "Completed", seconds=20)
    assert site.counted_effects() == {"long_one": 1}


async def test_a_start_that_the_database_forgot_is_begun_again(site: Site) -> None:
    """Starts do not wait for the disk: a database that dies may come back without one that it had answered."""
    site.start("executor")
    workflow = await site.begin("lingering")
    await site.ran("linger")
    await site.connection.execute("DELETE FROM workflow_instances WHERE id = $1", workflow)
    site.gate.touch()
    await site.reaches(workflow, "Completed")
    assert await site.count("SELECT count(*) FROM checkpoints") == 2


async def test_a_claim_that_the_database_forgot_is_taken_again(site: Site) -> None:
    site.start("executor")
    workflow = await site.begin("lingering")
    await site.ran("linger")
    await site.connection.execute(
        "UPDATE workflow_instances SET status = 'InProgress', claim_token = NULL, claimed_by = NULL, lease_until = NULL"
    )
    site.gate.touch()
    await site.reaches(workflow, "Completed")
    assert await site.count("SELECT count(*) FROM checkpoints") == 2
