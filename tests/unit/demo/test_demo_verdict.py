"""The demo says that a workflow ended well only if history, pushed events and outside world all say so."""

import io
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from local_stack.demo.board import Board, Row
from local_stack.demo.scenarios import SCENARIOS, Scenario
from local_stack.demo.screen import DemoScreen
from local_stack.demo.verdict import problems_of
from ratchet.client import AttemptView, CheckpointView, History, Notification
from ratchet.domain.workflow import WorkflowStatus
from rich.console import Console

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(position: int, kind: str, workflow_id: UUID) -> Notification:
    data = {
        "workflowId": str(workflow_id),
        "stepName": "charge_card",
        "attempt": 1,
        "maxAttempts": 3,
        "reason": "TransientError: payment answers 503",
        "message": "Step failed after multiple attempts",
        "resumedStep": "charge_card",
    }
    return Notification(id=position, type=kind, time=NOW, data=data)


def ended(scenario: Scenario) -> Row:
    """A row that shows exactly what the scenario promises."""
    row = Row(scenario, status=WorkflowStatus.COMPLETED)
    row.events = [
        event(position, kind, row.workflow_id) for position, kind in enumerate(scenario.events.elements(), start=1)
    ]
    return row


def history_of(scenario: Scenario) -> History:
    failed = [
        AttemptView(step_id="charge_card", attempt=n + 1, outcome="failed") for n in range(scenario.failed_attempts)
    ]
    checkpoints = [
        CheckpointView(seq=seq, step_id=step, skipped=step in scenario.skipped)
        for seq, step in enumerate(scenario.steps, start=1)
    ]
    return History(attempts=tuple(failed), checkpoints=tuple(checkpoints))


def bookings_of(scenario: Scenario) -> dict[str, int]:
    return dict.fromkeys(scenario.bookings, 1)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_workflow_that_did_what_its_scenario_promises_has_no_problems(scenario: Scenario) -> None:
    assert problems_of(ended(scenario), history_of(scenario), bookings_of(scenario)) == ()


def test_a_workflow_that_stands_still_is_a_problem() -> None:
    row = ended(SCENARIOS[0])
    row.status = WorkflowStatus.FAILED
    assert problems_of(row, history_of(SCENARIOS[0]), bookings_of(SCENARIOS[0])) == (
        "status: Failed instead of Completed",
    )


def test_a_step_that_was_committed_twice_is_a_problem() -> None:
    scenario = SCENARIOS[0]
    history = history_of(replace(scenario, steps=(*scenario.steps, scenario.steps[-1])))
    [problem] = problems_of(ended(scenario), history, bookings_of(scenario))
    assert problem.startswith("committed steps")


def test_an_event_that_was_not_pushed_is_a_problem() -> None:
    row = ended(SCENARIOS[1])
    row.events.pop()
    [problem] = problems_of(row, history_of(SCENARIOS[1]), bookings_of(SCENARIOS[1]))
    assert problem.startswith("events pushed")


def test_an_event_that_was_pushed_twice_is_a_problem_even_if_another_one_is_missing() -> None:
    row = ended(SCENARIOS[1])
    row.events[1] = row.events[0]
    assert problems_of(row, history_of(SCENARIOS[1]), bookings_of(SCENARIOS[1])) == (
        "positions pushed twice: [1] instead of []",
    )


def test_a_card_that_was_charged_twice_is_a_problem() -> None:
    scenario = SCENARIOS[0]
    [problem] = problems_of(ended(scenario), history_of(scenario), {"payment": 2, "survey": 1})
    assert problem.startswith("done in the outside world")


def test_an_event_is_put_into_the_row_of_its_workflow_only() -> None:
    board = Board([Row(scenario) for scenario in SCENARIOS[:2]])
    first, second = board.rows
    assert board.hear(event(1, "WORKFLOW_STEP_RETRYING", second.workflow_id)) is second
    assert board.hear(event(2, "WORKFLOW_COMPLETED", UUID(int=0))) is None
    assert (first.told, second.told) == (Counter(), Counter(["WORKFLOW_STEP_RETRYING"]))
    assert second.note == "retry 1 of 3: payment answers 503"


def test_in_a_pipe_each_change_is_told_once() -> None:
    text = io.StringIO()
    screen, row = DemoScreen(Console(file=text, highlight=False)), Row(SCENARIOS[0])
    for status in (WorkflowStatus.EXECUTING, WorkflowStatus.EXECUTING, WorkflowStatus.COMPLETED):
        row.status = status
        screen.tell(row)
    lines = text.getvalue().splitlines()
    assert [line.split(maxsplit=4)[4] for line in lines] == ["Executing", "Completed"]


def test_the_last_word_names_what_did_not_end_well_and_where_the_logs_are() -> None:
    text = io.StringIO()
    good, bad = ended(SCENARIOS[0]), ended(SCENARIOS[1])
    good.problems, bad.problems = (), ("status: Failed instead of Completed",)
    screen, board = DemoScreen(Console(file=text, highlight=False, width=100)), Board([good, bad])
    screen.summary(board)
    screen.verdict(board, Path("somewhere/logs"))
    told = text.getvalue()
    assert f"{SCENARIOS[1].title} ({bad.workflow_id}) did not end as it should" in told
    assert f"({good.workflow_id})" not in told
    assert "somewhere/logs" in told
