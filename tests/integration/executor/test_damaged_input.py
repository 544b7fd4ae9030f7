"""The input is trusted like a checkpoint: only while it is what was accepted."""

from uuid import UUID

from tests.integration.executor.processes import Site

FAILURE = "SELECT failure_class, failure_reason FROM workflow_instances WHERE id = $1"
CHANGE = """UPDATE workflow_instances SET input = '{"amount": 9000}' WHERE id = $1"""


async def waiting(site: Site) -> UUID:
    workflow_id = await site.begin("awaiting", amount=90)
    await site.reaches(workflow_id, "InProgress")
    return workflow_id


async def drive(site: Site, workflow_id: UUID) -> None:
    await site.publish("step.execute", {"workflowId": str(workflow_id), "stepId": "approve", "inputs": {}})


async def test_an_input_that_was_changed_in_the_table_is_not_run_and_says_so(site: Site) -> None:
    site.start("executor")
    changed, untouched, old = [await waiting(site) for _ in range(3)]
    await site.connection.execute(CHANGE, changed)
    await site.connection.execute(CHANGE, old)
    await site.connection.execute("UPDATE workflow_instances SET input_checksum = NULL WHERE id = $1", old)
    for workflow_id in (changed, untouched, old):
        await drive(site, workflow_id)
    await site.reaches(changed, "Failed")
    row = await site.connection.fetchrow(FAILURE, changed)
    assert row is not None
    assert (row["failure_class"], row["failure_reason"]) == (
        "CheckpointDamaged",
        "CheckpointDamaged: the input does not match its checksum",
    )
    await site.reaches(untouched, "Completed")
    await site.reaches(old, "Completed")
