from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from admin_api.outcomes import answer_to
from admin_api.request_recovery import COMMAND_OF, RecoveryOrder
from ratchet.adapters.postgres.recoveries import RecoveryRow
from ratchet.domain.recovery import Problem, RecoveryKind, RecoveryOutcome
from ratchet.domain.workflow import WorkflowStatus

WORKFLOW, RECOVERY = UUID(int=1), UUID(int=2)
AT = datetime(2026, 1, 1, tzinfo=UTC)
ASKABLE = list(COMMAND_OF)


def _order(kind: RecoveryKind = RecoveryKind.RECOVER) -> RecoveryOrder:
    return RecoveryOrder(kind, WORKFLOW, "sarah", "c-1")


def _row(outcome: RecoveryOutcome, problem: Problem | None = None, **more: Any) -> RecoveryRow:
    fields: dict[str, Any] = {
        "id": str(RECOVERY),
        "workflow_id": WORKFLOW,
        "kind": "recover",
        "actor": "sarah",
        "reason": None,
        "outcome": outcome,
        "problem": problem,
        "detail": None,
        "status": WorkflowStatus.IN_PROGRESS,
        "resumed_from": AT,
        "resumed_step": "charge",
        "checkpoint_seq": 1,
        "damaged_checkpoints": (),
        "attempted_at": AT,
    }
    return RecoveryRow(**fields | more)


def test_a_recovery_that_resumed_is_a_200_with_all_the_contract_names() -> None:
    answer = answer_to(_order(), RECOVERY, _row(RecoveryOutcome.RESUMED, damaged_checkpoints=(2, 3)), begun=True)
    assert (answer.status, answer.body) == (
        200,
        {
            "workflowId": str(WORKFLOW),
            "recoveryId": str(RECOVERY),
            "success": True,
            "status": "InProgress",
            "resumedFrom": "2026-01-01T00:00:00Z",
            "resumedStep": "charge",
            "damagedCheckpoints": [2, 3],
        },
    )


def test_no_outcome_yet_is_a_202_that_says_where_to_look() -> None:
    answer = answer_to(_order(), RECOVERY, None, begun=True)
    assert (answer.status, answer.location) == (202, f"/api/v1/workflows/{WORKFLOW}/recoveries/{RECOVERY}")


@pytest.mark.parametrize("kind", ASKABLE)
def test_a_wrong_status_is_a_conflict_except_for_recover(kind: RecoveryKind) -> None:
    answer = answer_to(_order(kind), RECOVERY, _row(RecoveryOutcome.REFUSED, Problem.WRONG_STATUS), begun=True)
    expected = 400 if kind is RecoveryKind.RECOVER else 409
    assert (answer.status, answer.body["status"]) == (expected, expected)


@pytest.mark.parametrize(
    ("outcome", "problem", "status"),
    [
        (RecoveryOutcome.REFUSED, Problem.STEP_NOT_OPTIONAL, 409),
        (RecoveryOutcome.REFUSED, Problem.UNKNOWN_WORKFLOW, 404),
        (RecoveryOutcome.REFUSED, Problem.UNKNOWN_CHECKPOINT, 404),
        (RecoveryOutcome.REFUSED, Problem.DAMAGED_CHECKPOINT, 422),
        (RecoveryOutcome.FAILED, Problem.DAMAGED_CHECKPOINT, 422),
        (RecoveryOutcome.REFUSED, Problem.DEFINITION_CHANGED, 409),
        (RecoveryOutcome.FAILED, Problem.DEFINITION_CHANGED, 500),
        (RecoveryOutcome.FAILED, Problem.UNKNOWN_DEFINITION, 500),
        (RecoveryOutcome.FAILED, Problem.NO_INTACT_CHECKPOINT, 500),
        (RecoveryOutcome.REFUSED, Problem.BAD_REQUEST, 422),
        (RecoveryOutcome.FAILED, None, 500),
    ],
)
def test_each_problem_has_its_status(outcome: RecoveryOutcome, problem: Problem | None, status: int) -> None:
    answer = answer_to(_order(), RECOVERY, _row(outcome, problem), begun=True)
    assert (answer.status, answer.body["success"], answer.body["recoveryId"]) == (status, False, str(RECOVERY))


@pytest.mark.parametrize("problem", list(Problem))
@pytest.mark.parametrize("outcome", [RecoveryOutcome.REFUSED, RecoveryOutcome.FAILED])
def test_no_problem_goes_without_an_answer(problem: Problem, outcome: RecoveryOutcome) -> None:
    answer = answer_to(_order(), RECOVERY, _row(outcome, problem), begun=True)
    assert answer.status >= 400
    assert answer.body["detail"]


def test_a_workflow_that_has_not_begun_is_in_the_wrong_status_rather_than_unknown() -> None:
    row = _row(RecoveryOutcome.REFUSED, Problem.UNKNOWN_WORKFLOW)
    assert answer_to(_order(RecoveryKind.CANCEL), RECOVERY, row, begun=False).status == 409
    assert answer_to(_order(RecoveryKind.CANCEL), RECOVERY, row, begun=True).status == 404
