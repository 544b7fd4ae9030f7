"""Executors that die in the middle of their work lose nothing and do nothing twice."""

import uuid
from collections.abc import Callable
from uuid import UUID

from tests.harness.listener import Listener
from tests.harness.person import Person
from tests.harness.platform import Platform
from tests.harness.upstream import start_body
from tests.harness.waiting import until

DELIVERY_STEPS, VOYAGE_STEPS = 5, 2
LOAD = 200


def test_a_workflow_whose_executor_is_killed_in_the_middle_of_a_step_finishes_with_each_step_committed_once(
    platform: Platform,
    sarah: Person,
    page: Listener,
    wait_for_execution: Callable[[UUID, str, int], None],
    assert_all_completed_once: Callable[..., None],
) -> None:
    workflow_id = sarah.start("delivery", {"hold": ["ship_parcel"]})
    wait_for_execution(workflow_id, "ship_parcel", 1)
    platform.crash("executor")
    platform.start("executor")
    wait_for_execution(workflow_id, "ship_parcel", 2)
    platform.stage.release(workflow_id, "ship_parcel")
    assert_all_completed_once([workflow_id], DELIVERY_STEPS)
    first, second = platform.stage.executions(workflow_id, "ship_parcel")
    assert (first.key, first.attempt) == (second.key, second.attempt), "a crash is no attempt"
    assert first.pid != second.pid
    page.wait_for("WORKFLOW_COMPLETED", workflow_id)
    page.wait_for("WORKFLOW_RECOVERED", workflow_id)
    assert len(page.about(workflow_id)) == 2


def test_an_executor_killed_under_load_leaves_no_workflow_behind_and_commits_no_step_twice(
    platform: Platform, sarah: Person, assert_all_completed_once: Callable[..., None]
) -> None:
    ids = [uuid.uuid4() for _ in range(LOAD)]
    for part in (ids[: LOAD // 2], ids[LOAD // 2 :]):
        platform.upstream.start_many([start_body(each, sarah.name, "delivery", {"pace": 0.02}) for each in part])
    until(
        lambda: platform.sql("SELECT count(*) FROM checkpoints WHERE workflow_id = ANY ($1)", ids)[0]["count"],
        lambda count: count > LOAD,
        what="the load to be half done",
    )
    platform.crash("executor")
    platform.start("executor")
    assert_all_completed_once(ids, DELIVERY_STEPS)


def test_a_long_running_step_whose_executor_is_killed_is_found_by_the_restart_scan(
    platform: Platform,
    sarah: Person,
    page: Listener,
    wait_for_execution: Callable[[UUID, str, int], None],
    assert_all_completed_once: Callable[..., None],
) -> None:
    # Its message was acknowledged long ago, so only its lease can tell that nobody is at it any more.
    workflow_id = sarah.start("voyage", {"hold": ["sail"]})
    wait_for_execution(workflow_id, "sail", 1)
    platform.crash("executor")
    platform.start("executor")
    wait_for_execution(workflow_id, "sail", 2)
    platform.stage.release(workflow_id, "sail")
    assert_all_completed_once([workflow_id], VOYAGE_STEPS)
    [recovery] = sarah.history(workflow_id)["recoveries"]
    assert (recovery["kind"], recovery["outcome"]) == ("rescue", "resumed")
    page.wait_for("WORKFLOW_RECOVERED", workflow_id)
