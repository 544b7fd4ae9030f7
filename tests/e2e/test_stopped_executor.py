"""An executor that is asked to stop hands its work back: that is no crash, so nothing is counted as a recovery."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from tests.harness.listener import Listener
from tests.harness.person import Person
from tests.harness.platform import Platform
from tests.harness.waiting import until

DRAINING = "executor.draining"
STEPS = 5


@pytest.fixture
def held(platform: Platform, sarah: Person, wait_for_execution: Callable[[UUID, str, int], None]) -> UUID:
    """A workflow in the middle of its step `ship_parcel`; the next one will be held, too."""
    workflow_id = sarah.start("delivery", {"hold": ["ship_parcel", "send_survey"]})
    wait_for_execution(workflow_id, "ship_parcel", 1)
    return workflow_id


@pytest.fixture
def assert_completes_without_takeover(
    platform: Platform, sarah: Person, page: Listener, assert_all_completed_once: Callable[..., None]
) -> Callable[[UUID], None]:
    def check(workflow_id: UUID) -> None:
        for step in ("ship_parcel", "send_survey"):
            platform.stage.release(workflow_id, step)
        assert_all_completed_once([workflow_id], STEPS)
        assert sarah.history(workflow_id)["recoveries"] == []
        page.wait_for("WORKFLOW_COMPLETED", workflow_id)
        assert page.types(workflow_id) == ["WORKFLOW_COMPLETED"]
        assert platform.metric("executor", "ratchet_takeovers_total") == 0

    return check


@contextmanager
def _stopping(platform: Platform) -> Iterator[None]:
    """The executor begins nothing more when the context opens, and has ended when it closes."""
    before = len(platform.log_lines("executor", DRAINING))
    thread = threading.Thread(target=platform.stop, args=("executor",))
    thread.start()
    try:
        until(
            lambda: platform.log_lines("executor", DRAINING),
            lambda lines: len(lines) > before,
            what="the executor to stop taking work",
        )
        yield
    finally:
        thread.join()


def test_a_step_that_ends_within_the_grace_period_is_committed_and_the_next_one_left_to_others(
    platform: Platform, sarah: Person, held: UUID, assert_completes_without_takeover: Callable[[UUID], None]
) -> None:
    with _stopping(platform):
        platform.stage.release(held, "ship_parcel")
    assert sarah.committed_steps(held)[-1] == "ship_parcel"
    assert platform.stage.executions(held, "send_survey") == []
    assert sarah.workflow(held)["status"] == "InProgress"
    platform.start("executor")
    assert_completes_without_takeover(held)
    assert len(platform.stage.executions(held, "ship_parcel")) == 1


def test_a_step_that_outlasts_the_grace_period_is_given_back_and_done_after_the_restart(
    platform: Platform, sarah: Person, held: UUID, assert_completes_without_takeover: Callable[[UUID], None]
) -> None:
    with _stopping(platform):
        pass
    assert sarah.committed_steps(held)[-1] == "book_carrier"
    assert sarah.workflow(held)["status"] == "InProgress"
    platform.start("executor")
    assert_completes_without_takeover(held)
    assert len(platform.stage.executions(held, "ship_parcel")) == 2
