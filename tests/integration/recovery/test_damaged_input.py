"""Recovery goes back to the input only while it is what was accepted."""

import json
from dataclasses import replace
from uuid import UUID

import pytest
from ratchet.domain.checkpoint import input_checksum
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import WorkflowStatus
from ratchet.state import canonical

from tests.integration.conftest import new_workflow
from tests.integration.recovery.recovery_stage import OF_CHAIN, RecoveryStage

OUTCOME = "SELECT outcome, problem, detail FROM recovery_attempts WHERE workflow_id = $1 AND kind = $2"


async def failed_at_its_first_step(stage: RecoveryStage) -> UUID:
    workflow = new_workflow(**OF_CHAIN)
    kept = canonical(json.loads(workflow.input))
    workflow = replace(workflow, input_checksum=input_checksum(workflow.workflow_id, kept))
    await stage.give_up(await stage.begin(workflow=workflow))
    return workflow.workflow_id


@pytest.mark.parametrize("kind", [RecoveryKind.RECOVER, RecoveryKind.RETRY])
async def test_a_changed_input_is_not_gone_on_from(stage: RecoveryStage, kind: RecoveryKind) -> None:
    workflow_id = await failed_at_its_first_step(stage)
    await stage.pool.execute("UPDATE workflow_instances SET input = '{\"n\": 1}' WHERE id = $1", workflow_id)
    await stage.command(kind, workflow_id)
    row = await stage.pool.fetchrow(OUTCOME, workflow_id, kind.value)
    assert row is not None
    assert (row["outcome"], row["problem"]) == ("failed", "no-intact-checkpoint")
    assert "input" in row["detail"]
    assert await stage.pool.fetchval("SELECT status FROM workflow_instances WHERE id = $1", workflow_id) == "Failed"


async def test_the_input_that_was_accepted_is_gone_on_from(stage: RecoveryStage) -> None:
    workflow_id = await failed_at_its_first_step(stage)
    await stage.command(RecoveryKind.RECOVER, workflow_id)
    status = await stage.pool.fetchval("SELECT status FROM workflow_instances WHERE id = $1", workflow_id)
    assert status == WorkflowStatus.IN_PROGRESS.value
