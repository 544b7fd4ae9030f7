"""What recovery has to do while it is dead is done when it is back, once."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from tests.harness.listener import Listener
from tests.harness.person import Person
from tests.harness.platform import Platform

TROUBLE = {"trouble": {"book_carrier": {"kind": "permanent", "times": -1}}}


@pytest.fixture
def failed(sarah: Person) -> UUID:
    """A workflow that has failed and was looked after."""
    workflow_id = sarah.start("delivery", TROUBLE)
    sarah.wait_for(workflow_id, lambda seen: seen.get("requiresManualIntervention"), "looked after")
    return workflow_id


def test_a_recovery_asked_for_while_the_service_is_dead_is_carried_out_once_when_it_is_back(
    platform: Platform, sarah: Person, page: Listener, failed: UUID
) -> None:
    platform.stage.mend(failed)
    platform.crash("recovery")
    with ThreadPoolExecutor(max_workers=1) as thread:
        asking = thread.submit(sarah.post, f"/workflows/{failed}/recover")
        platform.start("recovery")
        answer = asking.result()
    # 202 tells where the outcome will be, for a start that takes longer than the API waits.
    assert answer.status_code in {200, 202}, answer.text
    sarah.wait_for_status(failed, "Completed")
    page.wait_for("WORKFLOW_COMPLETED", failed)
    assert page.types(failed).count("WORKFLOW_RECOVERED") == 1
    kinds = [recovery["kind"] for recovery in sarah.history(failed)["recoveries"]]
    assert kinds.count("recover") == 1
    assert sarah.committed_steps(failed)[-1] == "send_survey"


def test_a_failure_that_happens_while_recovery_is_dead_is_looked_after_when_it_is_back(
    platform: Platform, sarah: Person, page: Listener
) -> None:
    platform.crash("recovery")
    workflow_id = sarah.start("delivery", TROUBLE)
    page.wait_for("WORKFLOW_STEP_FAILED", workflow_id)
    assert not sarah.workflow(workflow_id)["requiresManualIntervention"]
    platform.start("recovery")
    sarah.wait_for(workflow_id, lambda seen: seen["requiresManualIntervention"], "looked after")
    with platform.person("sam", "support").listen(everybody=True) as support_page:
        support_page.wait_for("WORKFLOW_NEEDS_ATTENTION", workflow_id)
        assert support_page.types(workflow_id).count("WORKFLOW_NEEDS_ATTENTION") == 1
