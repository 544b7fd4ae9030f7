"""Only a failure is a relapse; an interruption leaves the verdict open."""

import pytest
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.verification import INTERRUPTIONS, Following, Verdict, judge
from ratchet.domain.workflow import WorkflowStatus

LIVE = (WorkflowStatus.IN_PROGRESS, WorkflowStatus.EXECUTING)


@pytest.mark.parametrize("kind", sorted(INTERRUPTIONS))
@pytest.mark.parametrize("status", LIVE)
def test_an_interruption_leaves_the_verdict_open(kind: RecoveryKind, status: WorkflowStatus) -> None:
    following = Following(kind, WorkflowStatus.EXECUTING)
    assert judge(passed=False, status=status, following=following) is None
    assert judge(passed=True, status=status, following=following) is Verdict.VERIFIED


@pytest.mark.parametrize("kind", sorted(INTERRUPTIONS))
def test_interrupted_until_it_was_failed_it_has_relapsed(kind: RecoveryKind) -> None:
    following = Following(kind, WorkflowStatus.EXECUTING)
    assert judge(passed=False, status=WorkflowStatus.FAILED, following=following) is Verdict.RELAPSED


@pytest.mark.parametrize("kind", sorted(set(RecoveryKind) - {RecoveryKind.PAUSE, RecoveryKind.RESUME}))
def test_whatever_was_done_to_a_failed_workflow_shows_that_it_had_failed_again(kind: RecoveryKind) -> None:
    following = Following(kind, WorkflowStatus.FAILED)
    assert judge(passed=False, status=WorkflowStatus.IN_PROGRESS, following=following) is Verdict.RELAPSED
