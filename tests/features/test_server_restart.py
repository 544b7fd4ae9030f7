"""Steps of `server_restart.feature`."""

from dataclasses import dataclass
from uuid import UUID

import pytest
from pytest_bdd import given, scenarios, then, when

from tests.features.conftest import STEPS, Story
from tests.harness.person import Person
from tests.harness.platform import SERVICES, Platform
from tests.harness.waiting import until

scenarios("server_restart.feature")

HELD = "ship_parcel"


@dataclass
class Olaf:
    """Somebody who is not looking. `seen_up_to` is where his page was when he closed it."""

    person: Person
    workflow: UUID | None = None
    seen_up_to: int = 0


@pytest.fixture
def olaf(platform: Platform) -> Olaf:
    return Olaf(platform.person("olaf"))


def _start_and_hold(platform: Platform, owner: Person) -> UUID:
    trouble = {"charge_card": {"kind": "transient", "times": 1}}
    workflow_id = owner.start("delivery", {"trouble": trouble, "hold": [HELD]})
    _wait_for_executions(platform, workflow_id, 1)
    return workflow_id


def _wait_for_executions(platform: Platform, workflow_id: UUID, count: int) -> None:
    until(
        lambda: platform.stage.executions(workflow_id, HELD),
        lambda found: len(found) == count,
        what=f"execution {count} of {HELD} in {workflow_id}",
    )


@given("my workflow is in the middle of a step")
def _(story: Story) -> None:
    story.workflow_id = _start_and_hold(story.platform, story.me)
    story.page.wait_for("WORKFLOW_STEP_RETRYING", story.workflow)


@given("so is the workflow of Olaf, who closes his page")
def _(story: Story, olaf: Olaf) -> None:
    with olaf.person.listen() as page:
        olaf.workflow = _start_and_hold(story.platform, olaf.person)
        page.wait_for("WORKFLOW_STEP_RETRYING", olaf.workflow)
    olaf.seen_up_to = page.ids[-1]


@when("all services are killed")
def _(platform: Platform) -> None:
    platform.crash(*SERVICES)


@when("they are started again")
def _(platform: Platform) -> None:
    platform.start(*SERVICES)


@when("the executor is killed")
def _(platform: Platform) -> None:
    platform.crash("executor")


@when("it is started again")
def _(platform: Platform) -> None:
    platform.start("executor")


@then("both incomplete workflows are detected and recovered")
def _(story: Story, olaf: Olaf) -> None:
    assert olaf.workflow is not None
    for person, workflow_id in ((story.me, story.workflow), (olaf.person, olaf.workflow)):
        _wait_for_executions(story.platform, workflow_id, 2)
        [recovery] = person.history(workflow_id)["recoveries"]
        assert (recovery["actor"], recovery["outcome"], recovery["resumedStep"]) == ("system", "resumed", HELD)


@then("I am told so on my open page")
def _(story: Story) -> None:
    data = story.page.wait_for("WORKFLOW_RECOVERED", story.workflow)["data"]
    assert data["resumedFrom"] == story.me.history(story.workflow)["checkpoints"][-1]["committedAt"]


@then("Olaf is told so when he opens his page again")
def _(olaf: Olaf) -> None:
    assert olaf.workflow is not None
    with olaf.person.listen(after=olaf.seen_up_to) as page:
        page.wait_for("WORKFLOW_RECOVERED", olaf.workflow)
        assert page.types(olaf.workflow) == ["WORKFLOW_RECOVERED"]


@then("both workflows go on to Completed with every step committed once")
def _(story: Story, olaf: Olaf) -> None:
    assert olaf.workflow is not None
    _assert_completes(story.platform, story.me, story.workflow)
    _assert_completes(story.platform, olaf.person, olaf.workflow)


@then("my workflow goes on to Completed with every step committed once")
def _(story: Story) -> None:
    _assert_completes(story.platform, story.me, story.workflow)


@then("I am told of the recovery without having to reconnect")
def _(story: Story) -> None:
    story.page.wait_for("WORKFLOW_RECOVERED", story.workflow)
    assert story.page.connections == 1


def _assert_completes(platform: Platform, owner: Person, workflow_id: UUID) -> None:
    platform.stage.release(workflow_id, HELD)
    seen = owner.wait_for_status(workflow_id, "Completed")
    assert owner.committed_steps(workflow_id) == STEPS
    assert seen["state"]["done"] == STEPS
    keys = {execution.key for execution in platform.stage.executions(workflow_id, HELD)}
    assert len(keys) == 1, "a repeated step has to show the same idempotency key"
