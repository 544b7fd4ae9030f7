"""An action means the failure that was seen: another one by now is refused, and nothing is done."""

import asyncio
from uuid import UUID

import pytest
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.seen import mark_of
from ratchet.domain.workflow import WorkflowStatus

from tests.integration.recovery.recovery_stage import RecoveryStage


async def mark(stage: RecoveryStage, workflow_id: UUID) -> str:
    row = await stage.row(workflow_id)
    return f'"{mark_of(WorkflowStatus(row["word"]), row["current_step"], row["last_seq"], row["failed_at"])}"'


@pytest.mark.parametrize("kind", [RecoveryKind.RETRY, RecoveryKind.RECOVER, RecoveryKind.SKIP])
async def test_of_twenty_clicks_on_one_failure_one_takes_effect(stage: RecoveryStage, kind: RecoveryKind) -> None:
    workflow_id = await stage.failed_at("c")
    seen = await mark(stage, workflow_id)
    clicks = [stage.command(kind, workflow_id, if_match=seen) for _ in range(8)]
    outcomes = [row["outcome"] for row in await asyncio.gather(*clicks)]
    await stage.give_up(await stage.take(workflow_id))
    for _ in range(12):
        late = await stage.command(kind, workflow_id, if_match=seen)
        outcomes.append(late["outcome"])
        assert late["problem"] == "failure-changed"
    assert (outcomes.count("resumed"), outcomes.count("refused")) == (1, 19)
    assert await stage.status(workflow_id) == "Failed"


async def test_the_number_of_the_failed_attempt_tells_failures_apart(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    resumed = await stage.command(RecoveryKind.RETRY, workflow_id, failed_attempt=1)
    assert resumed["outcome"] == "resumed"
    gone = await stage.command(RecoveryKind.RETRY, workflow_id, failed_attempt=1)
    assert (gone["outcome"], gone["problem"]) == ("refused", "failure-changed")
    await stage.give_up(await stage.take(workflow_id))
    other = await stage.command(RecoveryKind.RETRY, workflow_id, failed_attempt=1)
    assert (other["outcome"], other["problem"]) == ("refused", "failure-changed")
    assert "attempt 2 has failed since" in other["detail"]
    assert (await stage.command(RecoveryKind.RETRY, workflow_id, failed_attempt=2))["outcome"] == "resumed"


async def test_looking_after_a_failure_does_not_make_it_another_one(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    seen = await mark(stage, workflow_id)
    await stage.look_after(workflow_id)
    assert (await stage.row(workflow_id))["requires_manual_intervention"]
    assert (await stage.command(RecoveryKind.RETRY, workflow_id, if_match=seen))["outcome"] == "resumed"


async def test_a_failure_of_the_next_step_is_another_one_although_its_attempt_has_the_same_number(
    stage: RecoveryStage,
) -> None:
    workflow_id = await stage.failed_at("b")
    seen = await mark(stage, workflow_id)
    await stage.command(RecoveryKind.RETRY, workflow_id)
    await stage.give_up(await stage.commit(await stage.take(workflow_id)))
    late = await stage.command(RecoveryKind.RETRY, workflow_id, if_match=seen)
    assert late["problem"] == "failure-changed"


async def test_what_moves_may_be_paused_wherever_it_is_by_then(stage: RecoveryStage) -> None:
    claim = await stage.begin()
    seen = await mark(stage, claim.workflow_id)
    await stage.commit(claim)
    assert (await stage.command(RecoveryKind.PAUSE, claim.workflow_id, if_match=seen))["outcome"] == "done"
    refused = await stage.command(RecoveryKind.CANCEL, claim.workflow_id, if_match=seen)
    assert refused["problem"] == "failure-changed"
