"""The dashboard says "verified" only once the step that had failed has passed."""

from typing import Any

import pytest
from admin_api.dashboard.truth import stage_of

Json = dict[str, Any]
BEFORE, ASKED, AFTER = "2026-01-01T10:00:00Z", "2026-01-01T10:00:01.5Z", "2026-01-01T10:00:02Z"


def recovery(**changes: Any) -> Json:
    return {"recoveryId": "r", "kind": "recover", "outcome": "resumed", "at": ASKED, "resumedStep": "reserve"} | changes


def workflow(status: str = "Executing", failed_at: str | None = None) -> Json:
    return {"status": status, "failedAt": failed_at}


def history(*, passed: dict[str, str] | None = None, verification: str | None = None, skipped: bool = False) -> Json:
    return {
        "attempts": [{"stepId": "charge", "outcome": "failed", "finishedAt": BEFORE}],
        "checkpoints": [{"stepId": step, "committedAt": at, "skipped": skipped} for step, at in (passed or {}).items()],
        "recoveries": [{"recoveryId": "r", "verification": verification}],
    }


def stage(found: Json, at: Json, past: Json) -> str:
    return stage_of(found, at, past).name


def test_what_nobody_has_answered_is_requested() -> None:
    seen = stage_of(recovery(outcome="requested"), workflow(), history())
    assert (seen.name, seen.is_open) == ("requested", True)


def test_a_workflow_that_goes_on_is_not_healed_yet() -> None:
    seen = stage_of(recovery(), workflow(), history())
    assert (seen.name, seen.is_open) == ("resumed", True)
    assert "not known yet" in seen.text


def test_an_earlier_step_that_passes_again_verifies_nothing() -> None:
    assert stage(recovery(), workflow(), history(passed={"reserve": AFTER})) == "resumed"


def test_the_step_that_had_failed_verifies_it_by_passing() -> None:
    assert stage(recovery(), workflow(), history(passed={"reserve": AFTER, "charge": AFTER})) == "verified"


def test_a_checkpoint_from_before_verifies_nothing() -> None:
    assert stage(recovery(), workflow(), history(passed={"charge": BEFORE})) == "resumed"


def test_failing_again_is_a_relapse() -> None:
    seen = stage_of(recovery(), workflow("Failed", AFTER), history())
    assert (seen.name, seen.is_open) == ("relapsed", False)


def test_the_failure_that_led_to_the_recovery_is_no_relapse() -> None:
    assert stage(recovery(), workflow("Failed", BEFORE), history()) == "resumed"


def test_a_skip_counts_once_the_workflow_has_moved_on() -> None:
    assert stage(recovery(kind="skip"), workflow(), history(passed={"charge": AFTER}, skipped=True)) == "resumed"
    assert stage(recovery(kind="skip"), workflow("Completed"), history()) == "verified"


def test_a_step_that_was_left_out_is_not_said_to_have_passed() -> None:
    skipped = stage_of(recovery(kind="skip"), workflow("Completed"), history())
    assert (skipped.name, "passed" in skipped.text) == ("verified", False)


@pytest.mark.parametrize("told", ["verified", "relapsed", "superseded"])
def test_what_the_recovery_service_has_found_out_counts(told: str) -> None:
    assert stage(recovery(), workflow(), history(verification=told)) == told


@pytest.mark.parametrize("outcome", ["done", "failed", "refused"])
def test_an_outcome_that_is_final_is_shown_as_it_is(outcome: str) -> None:
    seen = stage_of(recovery(outcome=outcome), workflow(), history())
    assert (seen.name, seen.is_open) == (outcome, False)
