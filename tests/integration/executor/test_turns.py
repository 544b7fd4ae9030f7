"""How a workflow's turn ends: by its budget, its time limits, its pool, or its length."""

from typing import Any

import pytest

from tests.integration.executor.processes import Site, until


async def failure_of(site: Site, definition: str) -> Any:
    workflow = await site.begin(definition)
    await site.reaches(workflow, "Failed")
    return await site.connection.fetchrow("SELECT * FROM workflow_instances WHERE id = $1", workflow)


async def test_a_workflow_goes_back_through_the_broker_when_its_budget_is_spent(site: Site) -> None:
    site.start("executor", DELIVERY_STEPS="3")
    workflow = await site.begin("hopping")
    await site.reaches(workflow, "Completed")
    assert await site.count("SELECT count(*) FROM checkpoints") == 10
    tokens = await site.count("SELECT count(DISTINCT claim_token) FROM checkpoints")
    assert tokens == 4, "three steps for each delivery"


async def test_a_step_that_outlasts_its_time_limit_fails_as_transient(site: Site) -> None:
    site.start("executor")
    row = await failure_of(site, "timing")
    assert (row["failure_kind"], row["failure_reason"]) == ("transient", "StepTimeout: no result within 0.1 s")


async def test_a_step_that_goes_silent_fails_as_transient_and_one_that_beats_goes_on(site: Site) -> None:
    site.start("executor")
    row = await failure_of(site, "silent")
    assert row["failure_kind"] == "transient"
    assert row["failure_reason"].startswith("HeartbeatLost")
    [attempt] = await site.connection.fetch("SELECT finished_at - started_at AS took FROM step_attempts")
    assert attempt["took"].total_seconds() > 0.5, "five beats kept it alive"


async def test_a_plain_function_runs_in_a_thread(site: Site) -> None:
    site.start("executor")
    workflow = await site.begin("blocking")
    await site.reaches(workflow, "Completed")


async def test_a_long_running_step_lets_go_of_its_message_and_lives_on_its_lease(site: Site) -> None:
    doomed = site.start("executor", LEASE="1s")
    workflow = await site.begin("patient")
    await site.ran("long_one")
    # Longer than the lease: only its extension keeps the workflow.
    site.start("recovery", RECOVERY_STARTUP_DELAY="0s", SCAN_INTERVAL="300ms")
    site.start("executor", LEASE="1s")

    async def scanned() -> bool:
        return (site.folder / "recovery-1.log").read_text().count("recovery.ready") > 0

    await until("recovery to scan", scanned)
    assert site.counted_effects() == {"long_one": 1}
    doomed.kill()
    site.gate.touch()
    await site.reaches(workflow, "Completed")
    assert site.counted_effects() == {"long_one": 2}, "without a message it was the scan that brought it back"
    assert await site.count("SELECT count(*) FROM recovery_attempts WHERE kind = 'rescue'") == 1


async def test_steps_of_a_pool_without_executors_wait_and_are_not_lost(site: Site) -> None:
    site.start("executor", POOLS="default")
    workflow = await site.begin("elsewhere")
    await site.ran("here")

    async def handed_over() -> bool:
        return await site.status(workflow) == "InProgress"

    await until("the workflow to wait for its pool", handed_over)
    site.start("executor", POOLS="other")
    await site.reaches(workflow, "Completed")


async def test_a_step_that_is_not_the_one_the_workflow_stands_before_is_not_run(site: Site) -> None:
    """The workflow's code was changed under the same version while it was on its way."""
    first = site.start("executor")
    workflow = await site.begin("elsewhere")
    await site.reaches(workflow, "InProgress")
    await site.connection.execute("UPDATE workflow_instances SET current_step = 'before' WHERE id = $1", workflow)
    site.start("executor", POOLS="default,other")
    await site.reaches(workflow, "Failed")
    row = await site.connection.fetchrow("SELECT * FROM workflow_instances WHERE id = $1", workflow)
    assert (row["failure_kind"], row["failure_class"]) == ("permanent", "DefinitionChanged")
    assert "before" in row["failure_reason"]
    assert site.counted_effects() == {"here": 1}
    assert first.poll() is None


@pytest.mark.parametrize("steps", [1, 100])
async def test_what_a_failed_attempt_changed_in_the_state_is_gone_at_the_next(site: Site, steps: int) -> None:
    """With one step for each delivery the second step's state comes from its checkpoint, else from memory."""
    site.start("executor", DELIVERY_STEPS=str(steps))
    workflow = await site.begin("changing")
    await site.reaches(workflow, "Completed")
    assert await site.count("SELECT (state ->> 'count')::int FROM checkpoints WHERE step_id = 'change'") == 1
    assert await site.count("SELECT count(*) FROM step_attempts") == 2
