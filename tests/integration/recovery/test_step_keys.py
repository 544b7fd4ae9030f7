"""A step's idempotency key stays until the step has committed, whoever asks for it again."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import WorkflowStatus
from ratchet.ports import Claim

from tests.integration.recovery.recovery_stage import RecoveryStage

EXPIRED = timedelta(seconds=-1)
HANDED_ON: Any = {"release": True, "status": WorkflowStatus.IN_PROGRESS}


async def fail_again(stage: RecoveryStage, workflow_id: UUID) -> Claim:
    """Deliver it and fail its step; the claim under which that was done."""
    claim = await stage.take(workflow_id)
    await stage.give_up(claim)
    return claim


@pytest.mark.parametrize("kind", [RecoveryKind.RETRY, RecoveryKind.RECOVER, RecoveryKind.OVERRIDE])
async def test_a_step_whose_outcome_is_not_known_is_asked_for_again_under_its_key(
    stage: RecoveryStage, kind: RecoveryKind
) -> None:
    more = {"status": WorkflowStatus.IN_PROGRESS, "reason": "go"} if kind is RecoveryKind.OVERRIDE else {}
    workflow_id = await stage.failed_at("b")
    for _ in range(3):
        await stage.command(kind, workflow_id, **more)
        assert (await fail_again(stage, workflow_id)).commits == 0


async def test_a_restore_to_right_before_the_step_keeps_its_key(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    await stage.command(RecoveryKind.RESTORE, workflow_id, checkpoint_seq=1, reason="again")
    assert (await stage.take(workflow_id)).commits == 0


async def test_a_restore_to_before_a_commit_gives_that_step_a_new_key_and_no_other(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    await stage.command(RecoveryKind.RESTORE, workflow_id, checkpoint_seq=1, reason="wrong sum")
    claim = await fail_again(stage, workflow_id)
    assert (claim.current_step, claim.commits) == ("b", 1)
    await stage.command(RecoveryKind.RETRY, workflow_id)
    claim = await stage.take(workflow_id)
    assert (claim.current_step, claim.commits) == ("b", 1), "it has not committed since"
    await stage.commit(claim, **HANDED_ON)
    claim = await stage.take(workflow_id)
    assert (claim.current_step, claim.commits) == ("c", 0), "the step that had failed never committed"


async def test_the_next_step_of_the_same_delivery_has_the_right_key_too(stage: RecoveryStage) -> None:
    start = await stage.completed()
    await stage.command(RecoveryKind.RESTORE, start.workflow_id, checkpoint_seq=1, reason="again")
    claim = await stage.take(start.workflow_id)
    executor = stage.executor()
    committed = await stage.committed(claim, executor)
    assert (claim.commits, committed.earlier_commits) == (1, 1)


async def test_a_skipped_step_has_not_committed(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    await stage.command(RecoveryKind.SKIP, workflow_id)
    await stage.give_up(await stage.take(workflow_id))
    await stage.command(RecoveryKind.RESTORE, workflow_id, checkpoint_seq=2, reason="do it after all")
    claim = await stage.take(workflow_id)
    assert (claim.current_step, claim.commits) == ("c", 0)


async def test_a_checkpoint_that_is_damaged_takes_its_step_behind_its_commit(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    await stage.pool.execute("UPDATE checkpoints SET state = '{}' WHERE workflow_id = $1 AND seq = 2", workflow_id)
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    claim = await stage.take(workflow_id)
    assert (claim.current_step, claim.commits) == ("b", 1)


async def test_a_rescue_that_passes_over_a_damaged_checkpoint_does_so_too(stage: RecoveryStage) -> None:
    executor = stage.executor("dead", EXPIRED)
    claim = await stage.commit(await stage.commit(await stage.begin(executor), executor), executor)
    await stage.pool.execute("UPDATE checkpoints SET state = '{}' WHERE seq = 2")
    await stage.scan()
    again = await stage.take(claim.workflow_id)
    assert (again.current_step, again.commits) == ("b", 1)


async def test_rescues_and_takeovers_keep_the_key(stage: RecoveryStage) -> None:
    dead = stage.executor("dead", EXPIRED)
    claim = await stage.commit(await stage.begin(dead), dead)
    heir = await stage.take(claim.workflow_id, stage.executor("heir", EXPIRED), take_over=True)
    await stage.scan()
    assert [heir.commits, (await stage.take(claim.workflow_id)).commits] == [0, 0]


async def test_a_line_that_was_left_counts_when_its_steps_are_done_again(stage: RecoveryStage) -> None:
    start = await stage.completed()
    for commits in (1, 2, 3):
        await stage.command(RecoveryKind.RESTORE, start.workflow_id, checkpoint_seq=1, reason="again")
        claim = await stage.take(start.workflow_id)
        assert (claim.current_step, claim.commits) == ("b", commits)
        await stage.commit(claim, **HANDED_ON)
        await stage.give_up(await stage.take(start.workflow_id))
