"""Executors with and without a definition on one pool: whoever does not have it hands it on to one that does."""

import asyncio
import uuid
from typing import Any

from tests.integration.executor.processes import Site, until

BOTH = "crash_workflows,new_release"


def start(definition: str, **changes: Any) -> dict[str, Any]:
    body = {"workflowId": str(uuid.uuid4()), "definition": definition, "ownerId": "sarah", "input": {}}
    return body | changes


async def number_there(site: Site, number: int) -> None:
    async def there() -> bool:
        return await site.count("SELECT count(*) FROM executors WHERE left_at IS NULL") == number

    await until(f"{number} executors to be there", there)


async def completed(site: Site, number: int, definition: str, version: int = 1) -> None:
    async def counted() -> bool:
        query = (
            "SELECT count(*) FROM workflow_instances WHERE status = 'Completed' AND definition = $1 AND version = $2"
        )
        return bool(await site.connection.fetchval(query, definition, version) == number)

    await until(f"{number} of {definition} {version} to complete", counted)


async def test_during_a_rolling_release_no_start_and_no_step_command_is_parked(site: Site) -> None:
    site.start("executor")
    site.start("executor")
    site.start("executor", WORKFLOWS=BOTH)
    site.start("recovery")
    await number_there(site, 3)
    starts = [start("fresh") for _ in range(40)]
    for body in starts[:20]:
        await site.publish("workflow.start", body)
    nonsense = start("never-registered")
    await site.publish("workflow.start", [*starts[20:], nonsense])
    for body in starts:
        await site.publish("step.execute", {"workflowId": body["workflowId"], "stepId": "go_on", "inputs": {}})
    await completed(site, 40, "fresh")
    parked = await site.connection.fetch("SELECT reason FROM parked_messages")
    assert [row["reason"] for row in parked] == ["No executor ever registered a workflow 'never-registered'"]
    assert site.counted_effects() == {"begin": 40, "go_on": 40}


async def test_a_start_without_a_version_gets_the_newest_that_is_served_whoever_takes_it(site: Site) -> None:
    site.start("executor")
    new = site.start("executor", WORKFLOWS="new_release")
    await number_there(site, 2)
    # What each knows of the others is at most two seconds old.
    await asyncio.sleep(2.5)
    for _ in range(20):
        await site.publish("workflow.start", start("many"))
    await completed(site, 20, "many", version=2)
    await site.publish("workflow.start", start("many", version=1))
    await completed(site, 1, "many", version=1)
    new.terminate()
    await asyncio.to_thread(new.wait)
    await asyncio.sleep(2.5)
    await site.publish("workflow.start", start("many"))
    await completed(site, 2, "many", version=1)


async def test_code_that_is_gone_costs_one_claim_and_what_stands_there_goes_on_when_it_comes(site: Site) -> None:
    old = site.start("executor", WORKFLOWS="new_release")
    await site.begin("fresh")
    await number_there(site, 1)
    old.terminate()
    await asyncio.to_thread(old.wait)
    site.start("executor")
    site.start("recovery")
    await number_there(site, 1)
    body = start("fresh")
    await site.publish("workflow.start", body)
    workflow_id = uuid.UUID(body["workflowId"])

    async def stands_aside() -> bool:
        query = "SELECT unserved_since IS NOT NULL FROM workflow_instances WHERE id = $1"
        return bool(await site.connection.fetchval(query, workflow_id))

    await until("the workflow to stand aside", stands_aside)
    query = "SELECT xmin::text FROM workflow_instances WHERE id = $1"
    before = await site.connection.fetchval(query, workflow_id)
    await asyncio.sleep(3)
    assert await site.connection.fetchval(query, workflow_id) == before, "it is left alone while nobody can run it"
    site.start("executor", WORKFLOWS=BOTH)
    await site.publish("step.execute", {"workflowId": str(workflow_id), "stepId": "go_on", "inputs": {}})
    await site.reaches(workflow_id, "Completed")
    assert await site.count("SELECT count(*) FROM parked_messages") == 0
