"""A step that was overtaken by a decision of a person can commit no more, and the decision takes effect at once."""

from collections.abc import Callable
from uuid import UUID

import pytest

from tests.harness.person import Person
from tests.harness.platform import Platform

STEPS = ["pick_goods", "charge_card", "book_carrier", "ship_parcel", "send_survey"]


@pytest.fixture
def cancelled(platform: Platform, sarah: Person, wait_for_execution: Callable[[UUID, str, int], None]) -> UUID:
    """A workflow that was cancelled while its step `ship_parcel` runs; the step has not noticed yet."""
    workflow_id = sarah.start("delivery", {"hold": ["ship_parcel"]})
    wait_for_execution(workflow_id, "ship_parcel", 1)
    answer = sarah.post(f"/workflows/{workflow_id}/cancel", {"reason": "Wrong address"})
    assert answer.status_code == 200, answer.text
    return workflow_id


def test_a_step_cannot_commit_once_its_workflow_was_cancelled(
    platform: Platform, sarah: Person, cancelled: UUID
) -> None:
    platform.stage.release(cancelled, "ship_parcel")
    # Another workflow has gone all the way meanwhile, so the step that was let go has come to its end, too.
    sarah.wait_for_status(sarah.start("delivery", {}), "Completed")
    assert sarah.workflow(cancelled)["status"] == "Cancelled"
    assert sarah.committed_steps(cancelled) == STEPS[:3]


def test_a_workflow_restored_while_its_old_step_still_runs_goes_on_at_once(
    platform: Platform, sarah: Person, cancelled: UUID, wait_for_execution: Callable[[UUID, str, int], None]
) -> None:
    support = platform.person("sam", "support")
    body = {"checkpointSeq": 2, "reason": "The address was right after all"}
    answer = support.post(f"/admin/workflows/{cancelled}/restore", body)
    assert answer.status_code == 200, answer.text
    wait_for_execution(cancelled, "ship_parcel", 2)
    platform.stage.release(cancelled, "ship_parcel")
    seen = sarah.wait_for_status(cancelled, "Completed")
    assert seen["state"]["done"] == STEPS
    assert sarah.committed_steps(cancelled) == [*STEPS[:3], *STEPS[2:]]
    kinds = {recovery["kind"] for recovery in sarah.history(cancelled)["recoveries"]}
    assert kinds == {"cancel", "restore"}, "nobody had to find it interrupted"
