"""A definition that changed is answered with the right step by its id, or with a refusal; never with a wrong step."""

from dataclasses import replace

import pytest
from ratchet.domain.definition import StepDefinition
from ratchet.domain.recovery import RecoveryKind

from tests.integration.recovery.recovery_stage import CHAIN, RecoveryStage

# Checkpoints a and b are there; c failed.
FOUND_BY_ID = {
    "as it was": ("abcd", "c"),
    "a step was added at the end": ("abcde", "c"),
    "a step was added right after the checkpoint": ("abxcd", "x"),
    "the failed step was removed": ("abd", "d"),
    "the failed step was renamed": ("abyd", "y"),
    "a step that is done was removed": ("bcd", "c"),
    "later steps changed places": ("abdc", "d"),
    "steps that are done changed places and all still lie before": ("bacd", "c"),
}
REFUSED = {
    "the step of the checkpoint was renamed": ("azcd", "no step 'b' any more"),
    "the step of the checkpoint was removed": ("acd", "no step 'b' any more"),
    "a step was added before the checkpoint": ("axbcd", "step 'x' before 'b', which this workflow has done without"),
    "the next step moved before the checkpoint": ("acbd", "step 'c' before 'b', which this workflow has done without"),
    "a step that is done moved behind": ("bcad", "step 'c' before 'a', which this workflow has done without"),
}


async def redefine(stage: RecoveryStage, steps: str) -> None:
    await stage.define(replace(CHAIN, steps=tuple(StepDefinition(step) for step in steps)))


@pytest.mark.parametrize("case", FOUND_BY_ID)
async def test_the_place_is_found_by_the_steps_id(stage: RecoveryStage, case: str) -> None:
    steps, resumed = FOUND_BY_ID[case]
    workflow_id = await stage.failed_at("c")
    await redefine(stage, steps)
    recovery = await stage.command(RecoveryKind.RECOVER, workflow_id)
    assert recovery["outcome"] == "resumed", recovery["detail"]
    row = await stage.row(workflow_id)
    assert (row["current_step"], row["current_step_index"]) == (resumed, steps.index(resumed))


@pytest.mark.parametrize("case", REFUSED)
async def test_where_a_step_would_be_left_out_or_done_twice_it_is_refused(stage: RecoveryStage, case: str) -> None:
    steps, why = REFUSED[case]
    workflow_id = await stage.failed_at("c")
    await redefine(stage, steps)
    for kind in (RecoveryKind.RECOVER, RecoveryKind.RETRY):
        recovery = await stage.command(kind, workflow_id)
        assert (recovery["outcome"], recovery["problem"]) == ("refused", "definition-changed")
        assert why in recovery["detail"]
    assert await stage.status(workflow_id) == "Failed"


async def test_a_paused_workflow_resumes_at_its_own_step_where_that_is_now(stage: RecoveryStage) -> None:
    executor = stage.executor()
    claim = await stage.commit(await stage.begin(executor), executor)
    await stage.command(RecoveryKind.PAUSE, claim.workflow_id)
    await redefine(stage, "abcd")
    await stage.pool.execute("UPDATE workflow_instances SET claim_token = NULL, lease_until = NULL, claimed_by = NULL")
    await redefine(stage, "axbcd")
    resumed = await stage.command(RecoveryKind.RESUME, claim.workflow_id)
    assert resumed["resumed_step"] == "x"


async def test_the_scan_leaves_a_workflow_whose_place_is_gone_to_a_person(stage: RecoveryStage) -> None:
    claim = await stage.commit(await stage.begin())
    await stage.pool.execute("UPDATE workflow_instances SET lease_until = now() - interval '1 minute'")
    await redefine(stage, "zbcd")
    await stage.scan()
    row = await stage.row(claim.workflow_id)
    assert (row["word"], row["failure_class"], row["requires_manual_intervention"]) == (
        *("Failed", "DefinitionChanged"),
        True,
    )
