"""A recovery is verified, relapsed or superseded, by what is stored and not by when one looks."""

import asyncio
from datetime import timedelta

import pytest
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import WorkflowStatus

from tests.integration.recovery.recovery_stage import RecoveryStage

EXPIRED = timedelta(seconds=-1)


async def test_a_recovery_is_open_until_the_failed_step_has_passed_and_then_verified(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    recovery = await stage.command(RecoveryKind.RECOVER, workflow_id)
    claim = await stage.take(workflow_id)
    await stage.verify()
    assert await stage.verdicts(workflow_id) == [None]
    await stage.commit(claim)
    await stage.verify()
    assert await stage.verdicts(workflow_id) == ["verified"]
    told = stage.listener.data("WORKFLOW_RECOVERY_VERIFIED")
    assert (told["recoveryId"], told["stepName"]) == (recovery["id"], "b")


async def test_a_recovery_has_relapsed_when_the_step_fails_again(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    await stage.command(RecoveryKind.RETRY, workflow_id)
    await stage.give_up(await stage.take(workflow_id))
    await stage.verify()
    assert await stage.verdicts(workflow_id) == ["relapsed"]
    assert stage.listener.data("WORKFLOW_RECOVERY_RELAPSED")["reason"] == "it broke"
    assert stage.metrics.verdicts.labels("relapsed")._value.get() == 1


async def test_a_restore_to_an_earlier_checkpoint_is_verified_by_the_step_that_had_failed(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    await stage.command(RecoveryKind.RESTORE, workflow_id, checkpoint_seq=1, reason="wrong sum")
    await stage.pass_step(workflow_id)
    await stage.verify()
    assert await stage.verdicts(workflow_id) == [None], "step b ran before, so it shows nothing"


async def test_the_verdict_does_not_depend_on_when_one_looks(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    await stage.give_up(await stage.take(workflow_id))
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    await stage.pass_step(workflow_id)
    await stage.verify()
    assert await stage.verdicts(workflow_id) == ["relapsed", "verified"]


async def test_a_takeover_is_watched_like_every_other_recovery(stage: RecoveryStage) -> None:
    claim = await stage.begin(stage.executor("dead", EXPIRED))
    heir = stage.executor("heir", EXPIRED)
    await stage.take(claim.workflow_id, heir, take_over=True)
    second = stage.executor("second")
    await stage.commit(await stage.take(claim.workflow_id, second, take_over=True), second)
    await stage.verify()
    assert await stage.verdicts(claim.workflow_id) == ["verified", "verified"]


async def test_a_recovery_whose_executor_dies_stays_open_until_its_step_has_passed(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    await stage.take(workflow_id, stage.executor("dead", EXPIRED))
    heir = stage.executor("heir", EXPIRED)
    await stage.take(workflow_id, heir, take_over=True)
    await stage.scan()
    claim = await stage.take(workflow_id)
    await stage.verify()
    assert await stage.verdicts(workflow_id) == [None, None, None]
    await stage.commit(claim)
    await stage.verify()
    assert await stage.verdicts(workflow_id) == ["verified"] * 3


async def test_a_recovery_that_is_interrupted_up_to_the_automatic_limit_has_relapsed(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    for _ in range(4):
        await stage.take(workflow_id, stage.executor("dead", EXPIRED))
        await stage.verify()
        assert set(await stage.verdicts(workflow_id)) == {None}
        await stage.scan()
    assert await stage.status(workflow_id) == "Failed"
    await stage.verify()
    assert await stage.verdicts(workflow_id) == ["relapsed"] * 4
    assert "died or stood still 4 times in a row" in stage.listener.data("WORKFLOW_RECOVERY_RELAPSED")["reason"]


async def test_a_failure_after_an_interruption_is_a_relapse(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    await stage.take(workflow_id, stage.executor("dead", EXPIRED))
    heir = stage.executor("heir")
    await stage.give_up(await stage.take(workflow_id, heir, take_over=True), heir)
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    await stage.pass_step(workflow_id)
    await stage.verify()
    assert await stage.verdicts(workflow_id) == ["relapsed", "relapsed", "verified"]


async def test_a_cancelled_workflow_leaves_its_recovery_without_a_verdict_of_its_own(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    await stage.command(RecoveryKind.CANCEL, workflow_id)
    await stage.verify()
    assert await stage.verdicts(workflow_id) == ["superseded"]


async def test_pausing_and_resuming_in_between_changes_nothing(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    await stage.command(RecoveryKind.PAUSE, workflow_id)
    await stage.command(RecoveryKind.RESUME, workflow_id)
    await stage.pass_step(workflow_id)
    await stage.verify()
    assert (await stage.verdicts(workflow_id))[0] == "verified"


async def test_a_skipped_step_has_not_passed(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    await stage.give_up(await stage.take(workflow_id))
    await stage.command(RecoveryKind.SKIP, workflow_id)
    await stage.pass_step(workflow_id)
    await stage.verify()
    assert await stage.verdicts(workflow_id) == ["relapsed", "verified"]


async def test_several_who_look_at_once_give_each_verdict_once(stage: RecoveryStage) -> None:
    workflows = [await stage.failed_at("a") for _ in range(20)]
    for workflow_id in workflows:
        await stage.command(RecoveryKind.RECOVER, workflow_id)
        await stage.pass_step(workflow_id)
    await asyncio.gather(*(stage.verify() for _ in range(4)))
    await stage.verify()
    assert [await stage.verdicts(workflow_id) for workflow_id in workflows] == [["verified"]] * 20
    told = [message.type for message in stage.listener.messages]
    assert told.count("WORKFLOW_RECOVERY_VERIFIED") == 20
    assert await stage.pool.fetchval("SELECT count(*) FROM recovery_watches") == 0


async def test_recoveries_that_stay_open_do_not_stand_before_others(stage: RecoveryStage) -> None:
    for _ in range(5):
        await stage.command(RecoveryKind.RECOVER, await stage.failed_at("a"))
    done = await stage.failed_at("a")
    await stage.command(RecoveryKind.RECOVER, done)
    await stage.pass_step(done)
    assert await stage.verify() == 1
    assert await stage.pool.fetchval("SELECT count(*) FROM recovery_watches") == 5


async def test_a_cancel_during_a_running_step_wins_and_the_dropped_result_is_on_record(stage: RecoveryStage) -> None:
    executor = stage.executor("executor-7")
    claim = await stage.commit(await stage.begin(executor), executor)
    cancelled = await stage.command(RecoveryKind.CANCEL, claim.workflow_id, reason="by mistake")
    assert await stage.is_fenced(claim)
    assert await stage.status(claim.workflow_id) == WorkflowStatus.CANCELLED
    assert cancelled["detail"] == "Step 'b' was running on executor-7; its result is dropped"
    audited = await stage.pool.fetchrow("SELECT reason, before::text, after::text FROM audit_log WHERE action='cancel'")
    assert audited is not None
    assert audited["reason"] == "by mistake"
    assert '"status": "Executing"' in audited["before"]
    assert '"droppedStep": "b"' in audited["after"]


@pytest.mark.parametrize(
    ("kind", "step", "named"),
    [
        (RecoveryKind.RECOVER, None, "allowed now: restore"),
        (RecoveryKind.RETRY, None, "allowed now: restore"),
        (RecoveryKind.SKIP, None, "allowed now: restore"),
        (RecoveryKind.RESUME, None, "allowed now: restore"),
        (RecoveryKind.PAUSE, None, "legal from here: InProgress"),
        (RecoveryKind.CANCEL, None, "legal from here: InProgress"),
        (RecoveryKind.RESUME, "b", "allowed now: recover, retry, skip, restore, cancel, override"),
    ],
)
async def test_what_a_status_does_not_allow_is_refused_and_says_what_would_be_allowed(
    stage: RecoveryStage, kind: RecoveryKind, step: str | None, named: str
) -> None:
    if step is None:
        claim = await stage.begin()
        for _ in range(4):
            claim = await stage.commit(claim)
        workflow_id = claim.workflow_id
    else:
        workflow_id = await stage.failed_at(step)
    refused = await stage.command(kind, workflow_id)
    assert (refused["outcome"], refused["problem"]) == ("refused", "wrong-status")
    assert named in refused["detail"]
    assert await stage.pool.fetchval("SELECT outcome FROM audit_log ORDER BY id DESC LIMIT 1") == "refused"
