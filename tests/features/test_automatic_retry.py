"""Steps of `automatic_retry.feature`."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import pytest
from pytest_bdd import given, scenarios, then, when

from tests.features.conftest import FAILING, Story
from tests.harness.person import Json
from tests.harness.platform import Platform
from tests.harness.supplier import Supplier, running_supplier

scenarios("automatic_retry.feature")

CORRELATION_ID = "order-4711:sarah"

# A wait may be shorter by the jitter (a fifth) and by what a claim may be early; a busy machine may make it longer.
SHORTEST, EARLY, BUSY = 0.8, 0.05, 3.0


@given("a workflow step encounters a timeout")
def _(story: Story) -> None:
    trouble = {"charge_card": {"kind": "timeout", "times": -1}}
    story.workflow_id = story.platform.upstream.start(
        story.me.name, "delivery", {"trouble": trouble}, correlation_id=CORRELATION_ID
    )


@when("the step execution fails")
def _(story: Story) -> None:
    story.page.wait_for("WORKFLOW_STEP_RETRYING", story.workflow)


@then("the system retries up to 3 times")
def _(story: Story) -> None:
    seen = story.me.wait_for_status(story.workflow, "Failed", "Completed")
    attempts = story.me.failed_attempts(story.workflow)
    assert (seen["status"], seen["retryCount"]) == ("Failed", 3)
    assert [(attempt["stepId"], attempt["attempt"]) for attempt in attempts] == [
        ("charge_card", number) for number in (1, 2, 3, 4)
    ]
    assert all("StepTimeout" in attempt["reason"] for attempt in attempts)
    assert len(story.platform.stage.executions(story.workflow, "charge_card")) == 4


@then("each retry is logged with correlation ID")
def _(story: Story) -> None:
    lines = story.platform.log_lines("executor", story.workflow)
    retries = [line for line in lines if line["event"] == "step.retry"]
    assert [line["retry"] for line in retries] == [1, 2, 3]
    assert {line["correlation_id"] for line in lines} == {CORRELATION_ID}
    kept = story.me.failed_attempts(story.workflow)
    assert {attempt["correlationId"] for attempt in kept} == {CORRELATION_ID}


@pytest.fixture
def carrier() -> Iterator[Supplier]:
    with running_supplier(unavailable=2) as supplier:
        yield supplier


@given("the carrier's server answers 503 to the first 2 requests")
def _(carrier: Supplier) -> None:
    assert carrier.unavailable == 2


@when("I start a delivery that books this carrier")
def _(story: Story, carrier: Supplier) -> None:
    story.workflow_id = story.me.start("delivery", {"supplier": carrier.url})


@then("the booking was attempted 3 times with the waits of the plan between")
def _(story: Story, carrier: Supplier) -> None:
    attempts = _attempts_at(story, FAILING)
    assert [attempt["outcome"] for attempt in attempts] == ["failed", "failed", "succeeded"]
    assert carrier.answers == [503, 503, 200]
    _assert_waits(attempts, [0, 0.2])


@then("I was told of each retry as it happened")
def _(story: Story) -> None:
    told = [frame["data"] for frame in story.page.about(story.workflow) if frame["type"] == "WORKFLOW_STEP_RETRYING"]
    assert [(data["stepName"], data["attempt"], data["maxAttempts"]) for data in told] == [
        (FAILING, 1, 3),
        (FAILING, 2, 3),
    ]
    assert all("503" in data["reason"] and data["nextAttemptAt"] for data in told)


@pytest.fixture
def patient_executor(platform: Platform) -> Iterator[None]:
    settings = {"RATCHET_POOLS": "patient"}
    with platform.another_executor("executor-patient", settings, without=("RATCHET_RETRY_DELAYS",)):
        yield


@given("an executor that runs with the default settings")
def _(patient_executor: None) -> None:
    """The fixture runs it."""


@when("a step there fails each time")
def _(story: Story) -> None:
    trouble = {"charge_card": {"kind": "transient", "times": -1}}
    story.workflow_id = story.me.start("patient-delivery", {"trouble": trouble})
    story.me.wait_for_status(story.workflow, "Failed")


@then("the retries came after 0, 2 and 5 seconds")
def _(story: Story) -> None:
    attempts = _attempts_at(story, "charge_card")
    assert len(attempts) == 4
    _assert_waits(attempts, [0, 2, 5])


def _attempts_at(story: Story, step: str) -> list[Json]:
    attempts = story.me.history(story.workflow)["attempts"]
    return [attempt for attempt in attempts if attempt["stepId"] == step]


def _assert_waits(attempts: list[Json], planned: list[float]) -> None:
    waits = [
        (_instant(after["startedAt"]) - _instant(before["finishedAt"])).total_seconds()
        for before, after in pairwise(attempts)
    ]
    bounds = [(max(0.0, delay * SHORTEST - EARLY), delay + BUSY) for delay in planned]
    fits = [low <= wait <= high for (low, high), wait in zip(bounds, waits, strict=True)]
    assert all(fits), f"waited {waits} s, planned {planned} s"


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
