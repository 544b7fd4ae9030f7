"""An account that could not find a broken promise would be worth nothing: each one is broken here once."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from tests.chaos.account import Effect, Tables, broken_promises
from tests.chaos.outside import Ledger
from tests.chaos.under_fire import STEPS

WORKFLOW = uuid4()


def good() -> tuple[Ledger, Tables, list[Effect]]:
    """One workflow, as it should be."""
    ledger = Ledger({WORKFLOW}, {WORKFLOW: 1}, [1, 2])
    places = list(enumerate(STEPS, start=1))
    checkpoints = [{"workflow_id": WORKFLOW, "step_id": step, "at": place + 0.5} for place, step in places]
    tables = Tables([{"id": WORKFLOW, "status": "Completed", "seconds": 1.0}], checkpoints, 0, 0, 0, 0)
    effects = [
        Effect(WORKFLOW, step, f"{WORKFLOW}:{step}:0", float(place)) for place, step in enumerate(STEPS, start=1)
    ]
    return ledger, tables, effects


def broken(ledger: Ledger, tables: Tables, effects: list[Effect]) -> dict[str, int]:
    return {what: count for what, count in broken_promises(ledger, tables, effects).items() if count}


def test_a_workflow_that_went_as_promised_breaks_nothing() -> None:
    assert broken(*good()) == {}


@pytest.mark.parametrize("status", ["Failed", "Executing", "InProgress"])
def test_a_workflow_that_did_not_complete_is_lost(status: str) -> None:
    ledger, tables, effects = good()
    assert broken(ledger, replace(tables, workflows=[tables.workflows[0] | {"status": status}]), effects) == {"lost": 1}


def test_an_accepted_workflow_that_is_unknown_is_lost_and_untold() -> None:
    ledger, tables, effects = good()
    ledger.accepted.add(uuid4())
    assert broken(ledger, tables, effects) == {"lost": 1, "end not told": 1}


def test_a_workflow_that_nobody_asked_for_is_found() -> None:
    ledger, tables, effects = good()
    stranger = {"id": uuid4(), "status": "Failed", "seconds": None}
    assert broken(ledger, replace(tables, workflows=[*tables.workflows, stranger]), effects) == {"never asked for": 1}


@pytest.mark.parametrize("wrong", ["twice", "missing", "disorder"])
def test_steps_that_are_not_committed_once_and_in_order_are_found(wrong: str) -> None:
    ledger, tables, effects = good()
    rows = list(tables.checkpoints)
    changed = {"twice": [*rows, rows[-1]], "missing": rows[:-1], "disorder": [rows[1], rows[0], *rows[2:]]}[wrong]
    found = broken(ledger, replace(tables, checkpoints=changed), effects)
    assert found["not each step once, in order"] == 1


def test_a_run_after_its_commit_and_a_second_idempotency_key_are_found() -> None:
    ledger, tables, effects = good()
    late = replace(effects[0], at=9.0)
    assert broken(ledger, tables, [*effects, late]) == {"run after its commit": 1}
    other = replace(effects[0], key="another")
    assert broken(ledger, tables, [*effects, other]) == {"another idempotency key for the same step": 1}


@pytest.mark.parametrize(
    ("told", "positions", "what"),
    [({}, [1, 2], "end not told"), ({WORKFLOW: 2}, [1, 2], "end told twice")],
)
def test_an_end_is_told_exactly_once(told: dict[UUID, int], positions: list[int], what: str) -> None:
    _ledger, tables, effects = good()
    assert broken(Ledger({WORKFLOW}, told, positions), tables, effects) == {what: 1}


@pytest.mark.parametrize("positions", [[2, 3], [1, 3], [2, 1], [1, 1]])
def test_a_feed_with_gaps_or_in_disorder_is_found(positions: list[int]) -> None:
    _ledger, tables, effects = good()
    assert "gaps or disorder in the feed" in broken(Ledger({WORKFLOW}, {WORKFLOW: 1}, positions), tables, effects)


def test_what_is_left_behind_and_a_broken_audit_chain_are_found() -> None:
    ledger, tables, effects = good()
    found = broken(ledger, replace(tables, unsent=3, audit_flaws=1), effects)
    assert found == {"left in the outbox": 3, "flaws in the audit log": 1}
