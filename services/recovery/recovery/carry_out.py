"""Carrying out a decision within its transaction: the row, the messages, the record, the audit."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ratchet.domain.failure import sanitise
from ratchet.domain.recovery import RecoveryKind, RecoveryOutcome
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages import events
from ratchet.messages.commands import CONTINUE, ContinueWorkflow, encode
from ratchet.messages.envelope import Outgoing
from ratchet.messages.events import Event, Subject, announce
from ratchet.messages.routes import to_pool
from ratchet.ports import Change, RecoveryRecord, RecoveryTransaction, WorkflowRow

from recovery.plan import Decision, Facts, Failing, Plan, Refusal


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants what, and why. `id` names the recovery: the same id again is the same recovery."""

    id: str
    kind: RecoveryKind
    actor: str
    reason: str | None
    correlation_id: str


async def gather_facts(transaction: RecoveryTransaction, row: WorkflowRow) -> Facts:
    """Read what decisions are made from; the row is locked already."""
    checkpoints = await transaction.checkpoints_of(row.id)
    kept = None if checkpoints else await transaction.input_of(row.id)
    return Facts(
        row=row,
        definition=await transaction.definition_of(row),
        checkpoints=checkpoints,
        input=None if kept is None else kept.state,
        input_is_intact=kept is None or kept.is_intact,
        new_command_id=str(uuid4()),
        lost_executors=await transaction.lost_executors(row) if row.recoveries else (),
    )


async def carry_out(
    transaction: RecoveryTransaction, row: WorkflowRow, decision: Decision, wish: Wish
) -> RecoveryOutcome:
    """Write everything the decision means; the caller's transaction makes it hold."""
    match decision:
        case Plan():
            await put_into_effect(transaction, row, decision, correlation_id=wish.correlation_id)
            outcome = _outcome(decision, wish)
        case Refusal():
            outcome = RecoveryOutcome.REFUSED
        case Failing():
            await _give_up(transaction, row, decision)
            outcome = RecoveryOutcome.FAILED
    await transaction.record([_record(row, decision, wish, outcome)])
    return outcome


def _outcome(plan: Plan, wish: Wish) -> RecoveryOutcome:
    if plan.change.status in _RESUMED:
        return RecoveryOutcome.RESUMED
    # Whoever was to be rescued and is Failed now was not.
    gave_up = wish.kind is RecoveryKind.RESCUE and plan.change.status is WorkflowStatus.FAILED
    return RecoveryOutcome.FAILED if gave_up else RecoveryOutcome.DONE


_RESUMED = frozenset({WorkflowStatus.IN_PROGRESS, WorkflowStatus.COMPLETED})


async def put_into_effect(
    transaction: RecoveryTransaction, row: WorkflowRow, plan: Plan, *, correlation_id: str
) -> None:
    """The row and the messages alone, for what is no recovery that anybody would want to read of."""
    await transaction.apply(row, plan.change)
    messages = [_about(row, event, correlation_id) for event in plan.events]
    if plan.wakes and plan.pool is not None:
        messages.append(_wake(row, plan.change.command_id, plan.pool))
    await transaction.post(messages)


async def _give_up(transaction: RecoveryTransaction, row: WorkflowRow, failing: Failing) -> None:
    await transaction.apply(row, _needing_person(row))
    failed = events.recovery_failed(resumed_from=row.last_checkpoint_at, reason=failing.detail)
    told = (failed, events.needs_attention(failing.detail))
    await transaction.post([_about(row, event, row.correlation_id) for event in told])


def _needing_person(row: WorkflowRow) -> Change:
    return Change(
        status=row.status,
        step_index=row.step_index,
        current_step=row.current_step,
        checkpoint_seq=row.checkpoint_seq,
        command_id=row.command_id,
        waiting_for=row.waiting_for,
        recoveries=row.recoveries,
        needs_person=True,
    )


def _about(row: WorkflowRow, event: Event, correlation_id: str) -> Outgoing:
    subject = Subject(row.id, row.owner_id, correlation_id)
    return announce(event, subject, event_id=str(uuid4()), at=datetime.now(UTC))


def _wake(row: WorkflowRow, command_id: str, pool: str) -> Outgoing:
    body = encode(ContinueWorkflow(workflow_id=row.id))
    return Outgoing(to_pool(pool), command_id, CONTINUE, body, row.correlation_id)


def _record(row: WorkflowRow, decision: Decision, wish: Wish, outcome: RecoveryOutcome) -> RecoveryRecord:
    record = RecoveryRecord(
        id=wish.id,
        workflow_id=row.id,
        kind=wish.kind,
        actor=wish.actor,
        outcome=outcome,
        correlation_id=wish.correlation_id,
        reason=None if wish.reason is None else sanitise(wish.reason),
        status=row.status,
        before=_snapshot(row),
        after=_snapshot(row),
        status_before=row.status,
        since_seq=row.last_seq,
        lost_executor=_lost(row, wish),
    )
    match decision:
        case Plan(change=change):
            return replace(
                record,
                status=change.status,
                resumed_from=decision.resumed_from,
                resumed_step=change.current_step,
                checkpoint_seq=change.checkpoint_seq,
                damaged_checkpoints=decision.damaged,
                detail=decision.detail,
                awaited_step=decision.awaited_step,
                after=_changed(change, row) | _instead(decision),
            )
        case Failing():
            return replace(
                record,
                problem=decision.problem,
                detail=decision.detail,
                damaged_checkpoints=decision.damaged,
                after=_snapshot(row) | {"requiresManualIntervention": True},
            )
        case Refusal():
            return replace(record, problem=decision.problem, detail=decision.detail, resumed_step=decision.would_run)


def _instead(plan: Plan) -> dict[str, Any]:
    return {} if plan.instead_of is None else {"insteadOf": plan.instead_of}


def _lost(row: WorkflowRow, wish: Wish) -> str | None:
    # Only an executor that is gone leaves a claim for a rescue to find.
    return row.claimed_by if wish.kind is RecoveryKind.RESCUE and row.status is WorkflowStatus.EXECUTING else None


def _snapshot(row: WorkflowRow) -> dict[str, Any]:
    return {
        "status": row.status.value,
        "currentStep": row.current_step,
        "checkpointSeq": row.checkpoint_seq,
        "retryCount": row.retry_count,
        "failureReason": row.failure_reason,
        "requiresManualIntervention": row.requires_manual_intervention,
    }


def _changed(change: Change, row: WorkflowRow) -> dict[str, Any]:
    after = {
        "status": change.status.value,
        "currentStep": change.current_step,
        "checkpointSeq": change.checkpoint_seq,
        "requiresManualIntervention": change.needs_person,
    }
    if row.status is WorkflowStatus.EXECUTING and not change.keeps_claim:
        # Whatever that executor still does, it cannot commit.
        after |= {"droppedStep": row.current_step, "droppedExecutor": row.claimed_by}
    return after
