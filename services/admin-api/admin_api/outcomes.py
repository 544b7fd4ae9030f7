"""From a recovery's outcome to the HTTP answer."""

from typing import TYPE_CHECKING, Any, assert_never
from uuid import UUID

from ratchet.domain.recovery import Problem, RecoveryKind, RecoveryOutcome

from admin_api.answers import RecoveryRequested, RecoveryState, WorkflowRecoveryResult
from admin_api.once import Answer
from admin_api.problems import ProblemType, document
from admin_api.request_recovery import RecoveryOrder, location_of

if TYPE_CHECKING:
    from ratchet.adapters.postgres.recoveries import FoundRecovery, RecoveryRow


NOT_BEGUN = "No executor has taken up this workflow yet. Try again in a moment."


def answer_to(order: RecoveryOrder, recovery_id: UUID, row: "RecoveryRow | None", *, begun: bool) -> Answer:
    """The answer for an outcome, or 202 with where to look when there is none yet.

    Recovery does not know a workflow that was accepted but has not `begun`.
    """
    if row is None:
        location = location_of(order.workflow_id, recovery_id)
        pending = RecoveryRequested(
            workflow_id=order.workflow_id, recovery_id=str(recovery_id), outcome="requested", location=location
        )
        return Answer(202, pending.model_dump(mode="json", by_alias=True), location=location)
    match row.outcome:
        case RecoveryOutcome.RESUMED | RecoveryOutcome.DONE:
            return Answer(200, _result(row))
        case RecoveryOutcome.FAILED | RecoveryOutcome.REFUSED:
            return _problem(order, row, hidden=None if begun else NOT_BEGUN)
        case _:
            assert_never(row.outcome)


def state_of(found: "FoundRecovery") -> RecoveryState:
    """A recovery for whoever asks about it later."""
    row = found.row
    return RecoveryState(
        recovery_id=found.id,
        workflow_id=found.workflow_id,
        kind=found.kind,
        actor=found.actor,
        reason=found.reason,
        outcome="requested" if row is None else row.outcome.value,
        success=None if row is None else row.outcome in {RecoveryOutcome.RESUMED, RecoveryOutcome.DONE},
        problem=None if row is None or row.problem is None else row.problem.value,
        detail=None if row is None else row.detail,
        status=None if row is None else row.status,
        resumed_from=None if row is None else row.resumed_from,
        resumed_step=None if row is None else row.resumed_step,
        checkpoint_seq=None if row is None else row.checkpoint_seq,
        damaged_checkpoints=[] if row is None else list(row.damaged_checkpoints),
        at=found.at,
    )


def _result(row: "RecoveryRow") -> dict[str, Any]:
    return WorkflowRecoveryResult(
        workflow_id=row.workflow_id,
        recovery_id=row.id,
        success=True,
        status=row.status,
        resumed_from=row.resumed_from,
        resumed_step=row.resumed_step,
        damaged_checkpoints=list(row.damaged_checkpoints),
    ).model_dump(mode="json", by_alias=True)


def _problem(order: RecoveryOrder, row: "RecoveryRow", *, hidden: str | None) -> Answer:
    kind, detail = _kind_of(row), row.detail
    if kind is ProblemType.UNKNOWN_WORKFLOW and hidden is not None:
        kind, detail = ProblemType.WRONG_STATUS, hidden
    # The story asks for 400 here; everywhere else a wrong status is a conflict.
    status = 400 if kind is ProblemType.WRONG_STATUS and order.kind is RecoveryKind.RECOVER else kind.status
    body = document(kind, detail or f"{kind.title}.", order.correlation_id, status=status)
    body |= {
        "success": False,
        "workflowId": str(row.workflow_id),
        "recoveryId": row.id,
        "damagedCheckpoints": list(row.damaged_checkpoints),
    }
    if kind is ProblemType.DEFINITION_CHANGED and row.resumed_step is not None:
        body["wouldRun"] = row.resumed_step
    return Answer(status, body)


_KINDS: dict[Problem, ProblemType] = {
    Problem.UNKNOWN_WORKFLOW: ProblemType.UNKNOWN_WORKFLOW,
    Problem.UNKNOWN_CHECKPOINT: ProblemType.UNKNOWN_CHECKPOINT,
    Problem.DAMAGED_CHECKPOINT: ProblemType.DAMAGED_CHECKPOINT,
    Problem.WRONG_STATUS: ProblemType.WRONG_STATUS,
    Problem.STEP_NOT_OPTIONAL: ProblemType.STEP_NOT_OPTIONAL,
    Problem.BAD_REQUEST: ProblemType.INVALID_REQUEST,
    Problem.NO_INTACT_CHECKPOINT: ProblemType.RECOVERY_FAILED,
    Problem.DEFINITION_CHANGED: ProblemType.DEFINITION_CHANGED,
    Problem.FAILURE_CHANGED: ProblemType.FAILURE_CHANGED,
    Problem.NO_EXECUTOR: ProblemType.NO_EXECUTOR,
    Problem.UNKNOWN_DEFINITION: ProblemType.DEFINITION_CHANGED,
}


def _kind_of(row: "RecoveryRow") -> ProblemType:
    if row.problem is None:
        return ProblemType.RECOVERY_FAILED
    kind = _KINDS[row.problem]
    # A recovery that was tried and failed is a failure, also when the definition is what it failed on.
    tried = row.outcome is RecoveryOutcome.FAILED
    return ProblemType.RECOVERY_FAILED if tried and kind is ProblemType.DEFINITION_CHANGED else kind
