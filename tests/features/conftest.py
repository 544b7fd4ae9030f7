"""What several features say: people, a workflow, what goes wrong with it, and what is seen of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import httpx2
import pytest
from pytest_bdd import given, parsers, then, when

from tests.harness.listener import Listener
from tests.harness.person import Person
from tests.harness.platform import Platform

STEPS = ["pick_goods", "charge_card", "book_carrier", "ship_parcel", "send_survey"]
FAILING = "book_carrier"


@dataclass
class Story:
    """What a scenario's sentences hand on to each other: "the workflow" and "the answer"."""

    platform: Platform
    me: Person
    page: Listener
    workflow_id: UUID | None = None
    answer: httpx2.Response | None = None

    @property
    def workflow(self) -> UUID:
        assert self.workflow_id is not None, "no sentence has started a workflow yet"
        return self.workflow_id

    @property
    def answered(self) -> httpx2.Response:
        assert self.answer is not None, "no sentence has asked for anything yet"
        return self.answer

    def post(self, path: str) -> None:
        self.answer = self.me.post(f"/workflows/{self.workflow}{path}")


@pytest.fixture
def me(platform: Platform) -> Person:
    return platform.person("sarah")


@pytest.fixture
def support(platform: Platform) -> Person:
    return platform.person("sam", "support")


@pytest.fixture
def page(me: Person) -> Iterator[Listener]:
    """Sarah's page is open all the time."""
    with me.listen() as page:
        yield page


@pytest.fixture
def story(platform: Platform, me: Person, page: Listener) -> Story:
    return Story(platform, me, page)


@given("a workflow step fails")
def _(story: Story) -> None:
    trouble = {FAILING: {"kind": "transient", "times": -1}}
    story.workflow_id = story.me.start("delivery", {"trouble": trouble})


@given("its retries are exhausted")
@when("its retries are exhausted")
def _(story: Story) -> None:
    story.page.wait_for("WORKFLOW_STEP_FAILED", story.workflow)
    assert len(story.me.failed_attempts(story.workflow)) == 1 + 3


@given("a workflow is in Failed state")
def _(story: Story) -> None:
    trouble = {FAILING: {"kind": "permanent", "times": -1}}
    story.workflow_id = story.me.start("delivery", {"order": {"no": 4711, "price": 0.1}, "trouble": trouble})
    story.me.wait_for_status(story.workflow, "Failed")
    # Recovery looks after every failure; until it has, the workflow is not settled.
    story.me.wait_for(story.workflow, lambda seen: seen["requiresManualIntervention"], "looked after")


@when("the trouble is over")
def _(story: Story) -> None:
    story.platform.stage.mend(story.workflow)


@when("I POST to /api/v1/workflows/{id}/recover")
def _(story: Story) -> None:
    story.post("/recover")


@then(parsers.parse("the answer is {status:d}"))
def _(story: Story, status: int) -> None:
    assert story.answered.status_code == status, story.answered.text


@then("the workflow transitions to Failed state")
def _(story: Story) -> None:
    seen = story.me.wait_for_status(story.workflow, "Failed", "Completed", "Cancelled")
    assert seen["status"] == "Failed"
    assert seen["currentStep"] == FAILING
    assert seen["failureReason"]
    assert seen["failedAt"]


@then("the workflow reaches Completed state")
def _(story: Story) -> None:
    story.me.wait_for_status(story.workflow, "Completed")
    story.page.wait_for("WORKFLOW_COMPLETED", story.workflow)


@then("every step was committed once")
def _(story: Story) -> None:
    assert story.me.committed_steps(story.workflow) == STEPS
