"""A replay proves that it helped: by the workflow that is there afterwards, or by the row that is open again."""

import uuid
from datetime import timedelta

import asyncpg
from ratchet.adapters.postgres.parked_messages import ParkedMessages
from ratchet.recovery_ports import Settling

from tests.integration.executor.processes import Site, until

BY_ADA = Settling("ada", None, "c")
SOON = timedelta(seconds=20)


async def test_a_replay_says_that_it_was_parked_again_and_later_that_it_was_carried_out(site: Site) -> None:
    site.start("executor")
    site.start("recovery")
    await site.begin("many")
    workflow_id = uuid.uuid4()
    body = {"workflowId": str(workflow_id), "definition": "fresh", "ownerId": "sarah", "input": {}}
    await site.publish("workflow.start", body)
    await site.publish("step.execute", {"workflowId": str(workflow_id), "stepId": "go_on", "inputs": {}})

    async def parked() -> list[asyncpg.Record]:
        rows = await site.connection.fetch("SELECT id FROM parked_messages WHERE resolution IS NULL ORDER BY parked_at")
        return rows if len(rows) == 2 else []

    start, step = [row["id"] for row in await until("both to be parked", parked)]
    async with asyncpg.create_pool(site.database_url, min_size=1, max_size=2) as pool:
        messages = ParkedMessages(pool)
        assert await messages.replay(start, BY_ADA) is None
        outcome, reason = await messages.came_of(start, within=SOON)
        assert outcome == "parked-again"
        assert "No executor ever registered" in (reason or "")
        site.start("executor", WORKFLOWS="crash_workflows,new_release")

        async def registered() -> bool:
            return await site.count("SELECT count(*) FROM workflow_definitions WHERE name = 'fresh'") == 1

        await until("the new release", registered)
        for parked_id in (start, step):
            assert await messages.replay(parked_id, BY_ADA) is None
            assert await messages.came_of(parked_id, within=SOON) == ("carried-out", None)
        await site.reaches(workflow_id, "Completed")
        assert await site.count("SELECT count(*) FROM parked_messages WHERE outcome = 'carried-out'") == 2
