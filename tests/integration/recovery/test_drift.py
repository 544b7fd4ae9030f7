"""A definition that changed is answered with the right step by its id, or with a refusal; never with a wrong step."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ratchet.domain.definition import StepDefinition
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import WorkflowStatus

from tests.integration.recovery.recovery_stage import CHAIN, RecoveryStage

# Checkpoints a and b are there; c failed.
FOUND_BY_ID = {
    "as it was": "abcd",
    "a step was added at the end": "abcde",
    "a step that is done was removed": "bcd",
    "steps that are done changed places and all still lie before": "bacd",
    "a later step was removed": "abc",
}
ANOTHER_WOULD_RUN = {
    "a step was added right after the checkpoint": ("abxcd", "x"),
    "the failed step was removed": ("abd", "d"),
    "the failed step was renamed": ("abyd", "y"),
    "later steps changed places": ("abdc", "d"),
    "the failed step was the last one left and was removed": ("ab", "(nothing)"),
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
    steps = FOUND_BY_ID[case]
    workflow_id = await stage.failed_at("c")
    await redefine(stage, steps)
    recovery = await stage.command(RecoveryKind.RECOVER, workflow_id)
    assert recovery["outcome"] == "resumed", recovery["detail"]
    row = await stage.row(workflow_id)
    assert (row["current_step"], row["current_step_index"]) == ("c", steps.index("c"))


GOING_ON: dict[RecoveryKind, dict[str, Any]] = {
    RecoveryKind.RECOVER: {},
    RecoveryKind.RETRY: {},
    RecoveryKind.RESTORE: {"checkpoint_seq": 2, "reason": "r"},
    RecoveryKind.OVERRIDE: {"status": WorkflowStatus.IN_PROGRESS, "reason": "r"},
}


@pytest.mark.parametrize("case", ANOTHER_WOULD_RUN)
@pytest.mark.parametrize("kind", GOING_ON)
async def test_no_step_runs_in_the_place_of_the_failed_one_unless_somebody_says_so(
    stage: RecoveryStage, kind: RecoveryKind, case: str
) -> None:
    steps, other = ANOTHER_WOULD_RUN[case]
    workflow_id = await stage.failed_at("c")
    await redefine(stage, steps)
    for said in (None, "something-else"):
        refused = await stage.command(kind, workflow_id, run_instead=said, **GOING_ON[kind])
        assert (refused["outcome"], refused["problem"], refused["resumed_step"]) == (
            *("refused", "definition-changed"),
            other,
        )
        assert "'c' had failed" in refused["detail"]
        assert other in refused["detail"]
        assert await stage.status(workflow_id) == "Failed"
    resumed = await stage.command(kind, workflow_id, run_instead=other, **GOING_ON[kind])
    assert resumed["outcome"] == "resumed"
    assert (await stage.row(workflow_id))["current_step"] == (None if other == "(nothing)" else other)
    audited = await stage.pool.fetchval("SELECT after FROM audit_log ORDER BY id DESC LIMIT 1")
    assert json.loads(audited)["insteadOf"] == "c"


async def test_what_was_said_for_another_step_is_refused_where_the_failed_one_is_back(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    refused = await stage.command(RecoveryKind.RETRY, workflow_id, run_instead="y")
    assert (refused["outcome"], refused["problem"]) == ("refused", "definition-changed")


async def test_a_skip_names_what_had_failed_and_what_stands_there_now(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    await redefine(stage, "abyd")
    refused = await stage.command(RecoveryKind.SKIP, workflow_id)
    assert (refused["outcome"], refused["problem"]) == ("refused", "definition-changed")
    assert "'c' had failed" in refused["detail"]
    assert "'y'" in refused["detail"]


async def test_a_step_that_moved_because_a_done_one_was_removed_can_be_skipped(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    await stage.define(replace(CHAIN, steps=tuple(StepDefinition(step, optional=step == "c") for step in "bcd")))
    skipped = await stage.command(RecoveryKind.SKIP, workflow_id)
    assert (skipped["outcome"], skipped["resumed_step"]) == ("resumed", "d")


async def test_from_an_earlier_checkpoint_the_steps_that_are_done_again_are_not_the_failed_ones_place(
    stage: RecoveryStage,
) -> None:
    workflow_id = await stage.failed_at("c")
    again = await stage.command(RecoveryKind.RESTORE, workflow_id, checkpoint_seq=1, reason="r")
    assert (again["outcome"], again["resumed_step"]) == ("resumed", "b")
    await stage.give_up(await stage.take(workflow_id))
    forth = await stage.command(RecoveryKind.RESTORE, workflow_id, checkpoint_seq=2, reason="r")
    assert (forth["outcome"], forth["resumed_step"]) == ("resumed", "c"), "on that line b is done"


async def test_behind_an_earlier_checkpoint_the_failed_step_must_still_be_there(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    await redefine(stage, "abyd")
    refused = await stage.command(RecoveryKind.RESTORE, workflow_id, checkpoint_seq=1, reason="r")
    assert (refused["problem"], refused["resumed_step"]) == ("definition-changed", "y")


async def test_a_workflow_that_failed_because_its_definition_changed_is_asked_about_too(stage: RecoveryStage) -> None:
    claim = await stage.commit(await stage.begin(stage.executor("dead", timedelta(seconds=-1))))
    await stage.pool.execute("UPDATE workflow_instances SET lease_until = now() - interval '1 minute'")
    await redefine(stage, "axcd")
    await stage.scan()
    row = await stage.row(claim.workflow_id)
    assert (row["word"], row["failure_class"]) == ("Failed", "DefinitionChanged"), "no rescue runs another step"
    retried = await stage.command(RecoveryKind.RETRY, claim.workflow_id)
    assert (retried["outcome"], retried["resumed_step"]) == ("refused", "x")


async def test_a_failure_that_is_tried_again_by_itself_runs_no_other_step(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    steps = tuple(StepDefinition(step) for step in "abyd")
    await stage.define(replace(CHAIN, steps=steps, recovers_automatically=True))
    await stage.look_after(workflow_id)
    row = await stage.row(workflow_id)
    assert (row["word"], row["current_step"], row["requires_manual_intervention"]) == ("Failed", "c", True)


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
    refused = await stage.command(RecoveryKind.RESUME, claim.workflow_id)
    assert (refused["problem"], refused["resumed_step"]) == ("definition-changed", "x")
    resumed = await stage.command(RecoveryKind.RESUME, claim.workflow_id, run_instead="x")
    assert (resumed["outcome"], resumed["resumed_step"]) == ("resumed", "x")


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
