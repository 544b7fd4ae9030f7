"""A workflow is taken away from the executor that holds it: the next one starts from what is intact, or none does."""

from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import WorkflowStatus

from tests.integration.recovery.recovery_stage import RecoveryStage

AWAY = {"status": WorkflowStatus.IN_PROGRESS, "reason": "It hangs"}
DAMAGE = """UPDATE checkpoints SET state = '{"n": 99}' WHERE workflow_id = $1 AND seq >= $2"""


async def test_an_override_of_a_running_workflow_passes_over_a_damaged_checkpoint(stage: RecoveryStage) -> None:
    claim = await stage.commit(await stage.commit(await stage.begin()))
    await stage.pool.execute(DAMAGE, claim.workflow_id, 2)
    recovery = await stage.command(RecoveryKind.OVERRIDE, claim.workflow_id, **AWAY)
    assert (recovery["outcome"], recovery["checkpoint_seq"]) == ("resumed", 1)
    assert recovery["damaged_checkpoints"] == [2]
    assert await stage.is_fenced(claim)
    taken = await stage.take(claim.workflow_id)
    assert (taken.step_index, taken.checkpoint_seq) == (1, 1)
    assert stage.listener.told(claim.workflow_id) == ["WORKFLOW_RESUMED"]


async def test_with_no_intact_checkpoint_it_is_refused_and_the_executor_goes_on(stage: RecoveryStage) -> None:
    claim = await stage.commit(await stage.begin())
    await stage.pool.execute(DAMAGE, claim.workflow_id, 1)
    recovery = await stage.command(RecoveryKind.OVERRIDE, claim.workflow_id, **AWAY)
    assert (recovery["outcome"], recovery["problem"]) == ("refused", "no-intact-checkpoint")
    assert await stage.status(claim.workflow_id) == "Executing"
    assert not await stage.is_fenced(claim)


async def test_where_all_is_intact_it_goes_on_where_it_stood(stage: RecoveryStage) -> None:
    claim = await stage.commit(await stage.begin())
    recovery = await stage.command(RecoveryKind.OVERRIDE, claim.workflow_id, **AWAY)
    assert (recovery["outcome"], recovery["checkpoint_seq"], recovery["awaited_step"]) == ("resumed", 1, None)
    assert await stage.is_fenced(claim)
    assert (await stage.take(claim.workflow_id)).step_index == 1
