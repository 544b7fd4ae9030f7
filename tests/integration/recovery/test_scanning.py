"""The restart scan rescues what is lost, and leaves alone what only waits."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from ratchet.adapters.postgres import gauges
from ratchet.domain.interruption import QueueDepth
from ratchet.domain.recovery import AUTOMATIC_LIMIT
from ratchet.domain.workflow import WorkflowStatus
from recovery.look_after import Verdict

from tests.integration.recovery.recovery_stage import CHAIN, RecoveryStage

HOUR = timedelta(hours=1)
EXPIRED = timedelta(seconds=-1)
BACKLOG = {"default": QueueDepth(10_000, 0)}
BUSY = {"default": QueueDepth(10_000, 3)}
DESERTED = {"default": QueueDepth(0, 0)}

INSERT_WAITING = """
INSERT INTO workflow_instances (id, definition, version, owner_id, status, input, content_hash, correlation_id,
    current_step, command_id, created_at, updated_at)
SELECT gen_random_uuid(), 'chain', 1, 'sarah', 'InProgress', '{}', '', 'c', 'a', 'm-' || n,
    now() - interval '50 minutes', now() - interval '50 minutes'
FROM generate_series(1, $1) AS n
"""


async def test_an_expired_lease_is_rescued_and_its_holder_fenced_off(stage: RecoveryStage) -> None:
    claim = await stage.begin(stage.executor("dead", EXPIRED))
    counts = await stage.scan()
    assert counts is not None
    assert counts.resumed == 1
    row = await stage.row(claim.workflow_id)
    assert (row["word"], row["recoveries_since_progress"]) == ("InProgress", 1)
    assert stage.listener.commands(claim.workflow_id) == [row["command_id"]]
    assert await stage.is_fenced(claim)
    assert stage.listener.told(claim.workflow_id) == ["WORKFLOW_RECOVERED"]
    audited = await stage.pool.fetchrow("SELECT action, actor, outcome, after::text FROM audit_log")
    assert audited is not None
    assert tuple(audited)[:3] == ("rescue", "system", "resumed")
    assert '"droppedExecutor": "dead"' in audited["after"]


async def test_a_valid_lease_and_a_recent_command_are_left_alone(stage: RecoveryStage) -> None:
    await stage.begin()
    await stage.retry_later(await stage.begin(), timedelta(0))
    counts = await stage.scan()
    assert counts is not None
    assert counts.resumed == 0


async def test_a_lost_command_is_sent_again_under_its_own_id_so_that_a_late_original_is_harmless(
    stage: RecoveryStage,
) -> None:
    claim = await stage.begin()
    command_id = await stage.retry_later(claim, timedelta(0))
    await stage.pool.execute("UPDATE workflow_instances SET next_attempt_at = NULL")
    await stage.age(claim.workflow_id, HOUR)
    await stage.scan()
    assert stage.listener.commands(claim.workflow_id) == [command_id]
    assert (await stage.row(claim.workflow_id))["recoveries_since_progress"] == 1
    await stage.take(claim.workflow_id)


async def test_a_retry_is_rescued_once_it_is_overdue_and_not_before(stage: RecoveryStage) -> None:
    claim = await stage.begin()
    await stage.retry_later(claim, timedelta(minutes=10))
    await stage.scan()
    await stage.age(claim.workflow_id, timedelta(minutes=10, seconds=20))
    await stage.scan()
    assert stage.listener.commands(claim.workflow_id) == [], "the delay queue's own message may still be on its way"
    await stage.age(claim.workflow_id, timedelta(seconds=20))
    await stage.scan()
    assert len(stage.listener.commands(claim.workflow_id)) == 1


async def test_ten_thousand_queued_commands_with_executors_stopped_are_no_interruption(stage: RecoveryStage) -> None:
    await stage.pool.execute(INSERT_WAITING, 10_000)
    counts = await stage.scan(depths=BACKLOG)
    assert counts is not None
    assert (counts.resumed, counts.failed) == (0, 0)
    assert stage.listener.messages == []


async def test_however_long_nobody_serves_a_full_queue_nothing_in_it_is_interrupted(stage: RecoveryStage) -> None:
    await stage.pool.execute(INSERT_WAITING, 3)
    await stage.pool.execute("UPDATE workflow_instances SET updated_at = now() - interval '30 days'")
    counts = await stage.scan(depths=BACKLOG)
    assert counts is not None
    assert counts.resumed == 0


async def test_beyond_the_ceiling_a_command_is_repeated_although_others_wait_and_that_is_nobodys_failure(
    stage: RecoveryStage,
) -> None:
    await stage.pool.execute(INSERT_WAITING, 1)
    for _ in range(AUTOMATIC_LIMIT + 2):
        await stage.pool.execute("UPDATE workflow_instances SET updated_at = now() - interval '2 hours'")
        await stage.scan(depths=BUSY)
    assert [message.message_id for message in stage.listener.messages if message.type == "ContinueWorkflow"] == [
        "m-1"
    ] * (AUTOMATIC_LIMIT + 2)
    assert await stage.pool.fetchval("SELECT recoveries_since_progress FROM workflow_instances") == 0


async def test_an_empty_queue_that_nobody_serves_gets_the_command_again_without_counting(stage: RecoveryStage) -> None:
    await stage.pool.execute(INSERT_WAITING, 1)
    counts = await stage.scan(depths=DESERTED)
    assert counts is not None
    assert counts.resumed == 1
    assert await stage.pool.fetchval("SELECT recoveries_since_progress FROM workflow_instances") == 0


async def test_a_backlog_of_another_pool_slows_nobody(stage: RecoveryStage) -> None:
    await stage.pool.execute(INSERT_WAITING, 1)
    counts = await stage.scan(depths={"mail": QueueDepth(500, 0), "default": QueueDepth(0, 1)})
    assert counts is not None
    assert counts.resumed == 1


async def test_an_expired_lease_is_rescued_whatever_waits_in_the_queue(stage: RecoveryStage) -> None:
    await stage.begin(stage.executor("dead", EXPIRED))
    counts = await stage.scan(depths=BACKLOG)
    assert counts is not None
    assert counts.resumed == 1


async def test_two_scans_at_once_rescue_each_workflow_once(stage: RecoveryStage) -> None:
    claims = [await stage.begin(stage.executor("dead", EXPIRED)) for _ in range(12)]
    await asyncio.gather(*(stage.scan() for _ in range(4)))
    assert [len(stage.listener.commands(claim.workflow_id)) for claim in claims] == [1] * 12


async def test_interruptions_without_progress_end_at_the_limit_and_name_the_executors_that_died(
    stage: RecoveryStage,
) -> None:
    claim = await stage.begin(stage.executor("executor-0", EXPIRED))
    for number in range(1, AUTOMATIC_LIMIT + 1):
        await stage.scan()
        await stage.take(claim.workflow_id, stage.executor(f"executor-{number}", EXPIRED))
    await stage.scan()
    row = await stage.row(claim.workflow_id)
    assert (row["word"], row["failure_kind"], row["requires_manual_intervention"]) == ("Failed", "poison", True)
    for number in range(AUTOMATIC_LIMIT + 1):
        assert f"executor-{number}" in row["failure_reason"]
    assert "WORKFLOW_STEP_FAILED" in stage.listener.told(claim.workflow_id)


async def test_takeovers_name_the_executors_that_died_too(stage: RecoveryStage) -> None:
    claim = await stage.begin(stage.executor("executor-0"))
    for number in range(1, AUTOMATIC_LIMIT + 1):
        name = stage.executor(f"executor-{number}", EXPIRED)
        await stage.age(claim.workflow_id, HOUR)
        await stage.take(claim.workflow_id, name, take_over=True)
    command_id = (await stage.row(claim.workflow_id))["command_id"]
    await stage.look_after(claim.workflow_id, command_id)
    reason = (await stage.row(claim.workflow_id))["failure_reason"]
    assert all(f"executor-{number}" in reason for number in range(AUTOMATIC_LIMIT + 1))


async def test_a_row_that_cannot_be_read_needs_a_person_and_stops_nobody_else(stage: RecoveryStage) -> None:
    damaged = await stage.begin(stage.executor("dead", EXPIRED))
    await stage.pool.execute("UPDATE workflow_instances SET version = 9 WHERE id = $1", damaged.workflow_id)
    await stage.define(replace(CHAIN, version=9))
    await stage.pool.execute("""UPDATE workflow_definitions SET steps = '[{"id": "a"}]' WHERE version = 9""")
    healthy = await stage.begin(stage.executor("dead", EXPIRED))
    await stage.scan()
    row = await stage.row(damaged.workflow_id)
    assert (row["word"], row["requires_manual_intervention"]) == ("Failed", True)
    assert "cannot be read" in row["failure_reason"]
    assert await stage.status(healthy.workflow_id) == WorkflowStatus.IN_PROGRESS


@pytest.mark.parametrize("damaged", [True, False])
async def test_the_scan_verifies_the_checkpoint_and_falls_back_to_the_newest_intact_one(
    stage: RecoveryStage, damaged: bool
) -> None:
    dead = stage.executor("dead", EXPIRED)
    claim = await stage.commit(await stage.commit(await stage.begin(dead), dead), dead)
    if damaged:
        await stage.pool.execute("UPDATE checkpoints SET state = '{}' WHERE seq = 2")
    await stage.scan()
    row = await stage.row(claim.workflow_id)
    assert (row["current_step"], row["checkpoint_seq"]) == (("b", 1) if damaged else ("c", 2))
    recovery = await stage.pool.fetchrow("SELECT damaged_checkpoints, resumed_step FROM recovery_attempts")
    assert recovery is not None
    assert recovery["damaged_checkpoints"] == ([2] if damaged else [])


async def test_a_workflow_without_an_intact_checkpoint_fails_and_its_owner_is_told(stage: RecoveryStage) -> None:
    dead = stage.executor("dead", EXPIRED)
    claim = await stage.commit(await stage.begin(dead), dead)
    await stage.pool.execute("UPDATE checkpoints SET state = '{}'")
    await stage.scan()
    row = await stage.row(claim.workflow_id)
    assert (row["word"], row["requires_manual_intervention"]) == ("Failed", True)
    assert "WORKFLOW_RECOVERY_FAILED" in stage.listener.told(claim.workflow_id)


async def test_a_failure_that_was_only_looked_at_is_no_recovery_and_no_audit_entry(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    assert await stage.look_after(workflow_id) is Verdict.FAILED
    assert (await stage.row(workflow_id))["requires_manual_intervention"]
    assert await stage.pool.fetchval("SELECT count(*) FROM recovery_attempts") == 0
    assert await stage.pool.fetchval("SELECT count(*) FROM audit_log") == 0


async def test_a_failure_whose_checkpoint_turned_out_to_be_damaged_is_written_down(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("c")
    await stage.pool.execute("UPDATE checkpoints SET state = '{}' WHERE workflow_id = $1 AND seq = 2", workflow_id)
    await stage.look_after(workflow_id)
    [found] = await stage.pool.fetch("SELECT kind, damaged_checkpoints, checkpoint_seq FROM recovery_attempts")
    assert (found["kind"], found["damaged_checkpoints"], found["checkpoint_seq"]) == ("look-after", [2], 1)


async def test_the_figures_tell_new_failures_from_old_ones(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    await stage.look_after(workflow_id)
    numbers = await gauges.read(stage.pool)
    assert (numbers.needing_attention, numbers.needing_attention_new) == (1, 1)
    assert numbers.attention_seconds < 60
    await stage.pool.execute("UPDATE workflow_instances SET failed_at = failed_at - interval '25 hours'")
    numbers = await gauges.read(stage.pool)
    assert (numbers.needing_attention, numbers.needing_attention_new) == (1, 0)
    assert numbers.attention_seconds > 86_400
