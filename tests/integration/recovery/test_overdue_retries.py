"""Retries whose command does not come: brought within seconds, or told anew where it waits in line."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from ratchet.adapters.postgres.overdue import PostgresOverdue
from ratchet.domain.interruption import QueueDepth
from ratchet.domain.recovery import RecoveryKind
from recovery.bring_in_time import BringInTime

from tests.integration.recovery.recovery_stage import RecoveryStage

QUIET, BUSY, NOBODY = QueueDepth(0, 1), QueueDepth(2000, 1), QueueDepth(0, 0)


class Look:
    """The look at overdue retries, with a broker that says how full its queue is."""

    def __init__(self, stage: RecoveryStage, depth: QueueDepth) -> None:
        self.depth = depth
        store = PostgresOverdue(stage.pool, stage.store)
        self.bring = BringInTime(store, self._depths, stage.listener, stage.metrics, default_limit=3)

    async def _depths(self) -> Mapping[str, QueueDepth]:
        return {"default": self.depth}


async def late(stage: RecoveryStage, by: float) -> tuple[UUID, str]:
    claim = await stage.begin()
    command_id = await stage.retry_later(claim, timedelta(seconds=2))
    await stage.pool.execute("UPDATE workflow_instances SET retry_count = 1 WHERE id = $1", claim.workflow_id)
    await age(stage, claim.workflow_id, 2 + by)
    return claim.workflow_id, command_id


async def age(stage: RecoveryStage, workflow_id: UUID, seconds: float) -> None:
    past = timedelta(seconds=seconds)
    await stage.age(workflow_id, past)
    await stage.pool.execute(
        "UPDATE step_attempts SET next_attempt_at = next_attempt_at - $2::interval WHERE workflow_id = $1",
        workflow_id,
        past,
    )


async def test_an_overdue_retry_is_brought_under_its_own_command_and_not_every_second(stage: RecoveryStage) -> None:
    on_time, overdue = await late(stage, by=1), await late(stage, by=4)
    look = Look(stage, QUIET)
    assert [await look.bring.look() for _ in range(3)] == [1, 0, 0]
    assert stage.listener.commands(overdue[0]) == [overdue[1]]
    assert stage.listener.commands(on_time[0]) == []
    assert stage.listener.told(overdue[0]) == []
    claim = await stage.take(overdue[0])
    assert claim.step_index == 0
    assert (await stage.row(overdue[0]))["recoveries_since_progress"] == 0


async def test_nothing_is_brought_into_a_line_that_is_long_or_that_nobody_serves(stage: RecoveryStage) -> None:
    workflow_id, _command_id = await late(stage, by=60)
    for depth in (BUSY, NOBODY):
        assert await Look(stage, depth).bring.look() == 0
    assert stage.listener.commands(workflow_id) == []


async def test_what_is_paused_or_waits_for_a_command_is_not_overdue(stage: RecoveryStage) -> None:
    paused, _ = await late(stage, by=0)
    await stage.command(RecoveryKind.PAUSE, paused)
    waiting, _ = await late(stage, by=60)
    await stage.pool.execute("UPDATE workflow_instances SET waiting_for = 'a' WHERE id = $1", waiting)
    assert await Look(stage, QUIET).bring.look() == 0


async def test_a_told_time_that_cannot_be_kept_is_corrected_once_for_each_doubling(stage: RecoveryStage) -> None:
    workflow_id, command_id = await late(stage, by=12)
    look = Look(stage, BUSY)
    for _ in range(3):
        await look.bring.look()
    assert stage.listener.told(workflow_id) == ["WORKFLOW_STEP_RETRYING"]
    due = (await stage.row(workflow_id))["next_attempt_at"]
    data = stage.listener.data("WORKFLOW_STEP_RETRYING")
    assert datetime.fromisoformat(data["nextAttemptAt"]) == due + timedelta(seconds=20)
    assert (data["stepName"], data["attempt"], data["maxAttempts"], data["late"]) == ("a", 1, 3, True)
    assert data["reason"] == "slow"
    # Another recovery service says the same under the same id.
    await Look(stage, BUSY).bring.look()
    ids = {message.headers["ce-id"] for message in stage.listener.messages if "ce-id" in message.headers}
    assert len(ids) == 1
    await age(stage, workflow_id, 10)
    await look.bring.look()
    assert len(stage.listener.told(workflow_id)) == 3
    look.depth = QUIET
    assert await look.bring.look() == 1
    assert stage.listener.commands(workflow_id) == [command_id]
    assert json.loads(stage.listener.messages[-1].body) == {"workflowId": str(workflow_id)}
