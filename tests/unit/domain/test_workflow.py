"""The transition table says what may follow what."""

import pytest
from ratchet.domain.errors import IllegalTransition
from ratchet.domain.workflow import FINAL, LIVE, TRANSITIONS, WorkflowStatus, require_transition

CONTRACT = {
    "NotStarted": {"InProgress", "Cancelled"},
    "InProgress": {"Executing", "Paused", "Completed", "Failed", "Cancelled"},
    "Executing": {"InProgress", "Paused", "Completed", "Failed", "Cancelled"},
    "Paused": {"InProgress", "Failed", "Cancelled"},
    "Failed": {"InProgress", "Completed", "Cancelled"},
    "Completed": {"InProgress"},
    "Cancelled": {"InProgress"},
}


def test_the_table_is_the_contract() -> None:
    assert {status.value: {after.value for after in afters} for status, afters in TRANSITIONS.items()} == CONTRACT


@pytest.mark.parametrize("before", WorkflowStatus)
@pytest.mark.parametrize("after", WorkflowStatus)
def test_a_transition_passes_exactly_if_the_table_has_it(before: WorkflowStatus, after: WorkflowStatus) -> None:
    if after.value in CONTRACT[before.value]:
        require_transition(before, after)
    else:
        with pytest.raises(IllegalTransition):
            require_transition(before, after)


def test_a_refused_transition_names_the_legal_ones() -> None:
    with pytest.raises(IllegalTransition, match="legal from here: Cancelled, Failed, InProgress"):
        require_transition(WorkflowStatus.PAUSED, WorkflowStatus.COMPLETED)


def test_running_can_fail_and_a_failed_workflow_can_run_again() -> None:
    require_transition(WorkflowStatus.EXECUTING, WorkflowStatus.FAILED)
    require_transition(WorkflowStatus.FAILED, WorkflowStatus.IN_PROGRESS)


def test_no_status_is_both_live_and_final() -> None:
    assert not LIVE & FINAL
