"""Workflows whose code no executor has: nobody is told that they go on, and they do once it is there."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from ratchet.adapters.postgres import gauges
from ratchet.adapters.postgres.presence import PostgresPresence
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.domain.recovery import RecoveryKind
from recovery.look_after import Verdict

from tests.integration.recovery.recovery_stage import CHAIN, RecoveryStage

OTHER = WorkflowDefinition("other", 1, (StepDefinition("a"),))
MINUTE = timedelta(minutes=1)


async def arrives(pool: asyncpg.Pool, name: str, definition: WorkflowDefinition, *pools: str) -> PostgresPresence:
    presence = PostgresPresence(pool, executor=name)
    await presence.arrive([definition], pools or ["default"])
    return presence


@pytest.fixture
async def gone(stage: RecoveryStage) -> PostgresPresence:
    """The one executor with the code was there and left; another one, without it, still is."""
    await arrives(stage.pool, "without", OTHER)
    presence = await arrives(stage.pool, "with", CHAIN)
    await presence.leave()
    return presence


async def unserved(stage: RecoveryStage, workflow_id: UUID) -> bool:
    return (await stage.row(workflow_id))["unserved_since"] is not None


ACTIONS: list[tuple[RecoveryKind, dict[str, Any]]] = [
    (RecoveryKind.RETRY, {}),
    (RecoveryKind.RECOVER, {}),
    (RecoveryKind.SKIP, {}),
    (RecoveryKind.RESTORE, {"checkpoint_seq": 1}),
    (RecoveryKind.OVERRIDE, {"status": "InProgress", "reason": "x"}),
]


@pytest.mark.parametrize(("kind", "more"), ACTIONS)
async def test_what_would_wake_it_is_refused_and_nothing_changes(
    stage: RecoveryStage, gone: PostgresPresence, kind: RecoveryKind, more: dict[str, Any]
) -> None:
    workflow_id = await stage.failed_at("c")
    before = await stage.row(workflow_id)
    answer = await stage.command(kind, workflow_id, **more)
    assert (answer["outcome"], answer["problem"]) == ("refused", "no-executor")
    assert "RATCHET_WORKFLOWS" in answer["detail"]
    assert await stage.row(workflow_id) == before
    assert "WORKFLOW_RECOVERED" not in stage.listener.told(workflow_id)
    await arrives(stage.pool, "with-again", CHAIN)
    assert (await stage.command(kind, workflow_id, **more))["outcome"] == "resumed"


@pytest.mark.parametrize("kind", [RecoveryKind.CANCEL, RecoveryKind.PAUSE])
async def test_what_wakes_nobody_is_done_all_the_same(
    stage: RecoveryStage, gone: PostgresPresence, kind: RecoveryKind
) -> None:
    claim = await stage.begin()
    assert (await stage.command(kind, claim.workflow_id))["outcome"] == "done"


async def test_an_executor_of_another_pool_serves_nobody_here(stage: RecoveryStage, gone: PostgresPresence) -> None:
    await arrives(stage.pool, "elsewhere", CHAIN, "mail")
    workflow_id = await stage.failed_at("b")
    assert (await stage.command(RecoveryKind.RETRY, workflow_id))["problem"] == "no-executor"


async def test_one_that_was_not_seen_for_long_serves_nobody(stage: RecoveryStage, gone: PostgresPresence) -> None:
    await arrives(stage.pool, "killed", CHAIN)
    await stage.pool.execute("UPDATE executors SET seen_at = seen_at - interval '11 seconds'")
    workflow_id = await stage.failed_at("b")
    assert (await stage.command(RecoveryKind.RETRY, workflow_id))["problem"] == "no-executor"


async def test_while_no_executor_ever_said_that_it_is_there_actions_are_carried_out(stage: RecoveryStage) -> None:
    workflow_id = await stage.failed_at("b")
    assert (await stage.command(RecoveryKind.RETRY, workflow_id))["outcome"] == "resumed"


async def test_what_its_executor_left_in_the_middle_stands_aside_and_goes_on_when_code_comes(
    stage: RecoveryStage, gone: PostgresPresence
) -> None:
    held = await stage.commit(await stage.begin())
    await stage.age(held.workflow_id, MINUTE)
    for _ in range(5):
        await stage.scan()
    row = await stage.row(held.workflow_id)
    assert (row["word"], row["recoveries_since_progress"]) == ("Executing", 0)
    assert await unserved(stage, held.workflow_id)
    assert stage.listener.commands(held.workflow_id) == []
    assert stage.listener.told(held.workflow_id) == []
    assert (await gauges.read(stage.pool)).unserved == 1
    await arrives(stage.pool, "with-again", CHAIN)
    assert await stage.unserved().wake() == 1
    await stage.scan()
    assert len(stage.listener.commands(held.workflow_id)) == 1
    assert not await unserved(stage, held.workflow_id)
    assert (await stage.take(held.workflow_id)).step_index == 1


async def test_what_waits_in_line_for_code_that_is_gone_is_woken_by_its_own_command_and_uncounted(
    stage: RecoveryStage, gone: PostgresPresence
) -> None:
    claim = await stage.begin()
    command_id = await stage.retry_later(claim, timedelta(seconds=1))
    await stage.age(claim.workflow_id, MINUTE)
    for _ in range(5):
        await stage.scan()
    assert await unserved(stage, claim.workflow_id)
    assert await stage.unserved().wake() == 0
    assert stage.listener.commands(claim.workflow_id) == []
    await arrives(stage.pool, "with-again", CHAIN)
    assert await stage.unserved().wake() == 1
    assert await stage.unserved().wake() == 0
    assert stage.listener.commands(claim.workflow_id) == [command_id]
    row = await stage.row(claim.workflow_id)
    assert (row["recoveries_since_progress"], row["unserved_since"]) == (0, None)


async def test_what_is_cancelled_or_waits_for_a_command_is_not_held_up_by_missing_code(
    stage: RecoveryStage, gone: PostgresPresence
) -> None:
    claim = await stage.begin()
    await stage.retry_later(claim, timedelta(seconds=1))
    await stage.age(claim.workflow_id, MINUTE)
    await stage.scan()
    await stage.command(RecoveryKind.CANCEL, claim.workflow_id)
    assert not await unserved(stage, claim.workflow_id)
    waiting = await stage.begin()
    await stage.retry_later(waiting, timedelta(seconds=1))
    await stage.pool.execute(
        "UPDATE workflow_instances SET waiting_for = current_step WHERE id = $1", waiting.workflow_id
    )
    await stage.age(waiting.workflow_id, MINUTE)
    await stage.scan()
    assert not await unserved(stage, waiting.workflow_id)


async def test_a_dead_letter_of_a_workflow_that_nobody_can_run_is_kept_for_when_somebody_can(
    stage: RecoveryStage, gone: PostgresPresence
) -> None:
    claim = await stage.begin()
    command_id = await stage.retry_later(claim, timedelta(0))
    assert await stage.look_after(claim.workflow_id, command_id) is Verdict.UNSERVED
    assert stage.listener.told(claim.workflow_id) == []
    await arrives(stage.pool, "with-again", CHAIN)
    await stage.unserved().wake()
    assert stage.listener.commands(claim.workflow_id) == [command_id]


async def test_after_an_outage_executors_get_a_moment_to_show_themselves(
    stage: RecoveryStage, gone: PostgresPresence
) -> None:
    held = await stage.begin()
    await stage.age(held.workflow_id, MINUTE)
    awaiting = stage.unserved()
    awaiting.lose_touch()
    assert await awaiting.set_aside() == 0
    assert await stage.unserved().set_aside() == 1
