"""Steps of `failed_step.feature`."""

from pytest_bdd import given, parsers, scenarios, then, when

from tests.features.conftest import FAILING, Story

scenarios("failed_step.feature")


@given("a workflow step fails for a reason that will not pass")
def _(story: Story) -> None:
    trouble = {FAILING: {"kind": "permanent", "times": -1}}
    story.workflow_id = story.me.start("delivery", {"trouble": trouble})


@given("the optional last step of my workflow has failed")
def _(story: Story) -> None:
    trouble = {"send_survey": {"kind": "permanent", "times": -1}}
    story.workflow_id = story.me.start("delivery", {"trouble": trouble})
    story.me.wait_for_status(story.workflow, "Failed")


@when("I ask for the step to be retried")
def _(story: Story) -> None:
    story.post("/steps/current/retry")


@when("I ask for the step to be skipped")
def _(story: Story) -> None:
    story.post("/steps/current/skip")


@then(parsers.parse('I receive notification: "{message}"'))
def _(story: Story, message: str) -> None:
    data = story.page.wait_for("WORKFLOW_STEP_FAILED", story.workflow)["data"]
    assert (data["stepName"], data["message"]) == (FAILING, message)
    assert data["reason"]
    assert data["timestamp"]


@then("the notification offers me to retry")
def _(story: Story) -> None:
    data = story.page.wait_for("WORKFLOW_STEP_FAILED", story.workflow)["data"]
    assert (data["canRetry"], data["canSkip"]) == (True, False)


@given("the notification offers me to skip")
def _(story: Story) -> None:
    data = story.page.wait_for("WORKFLOW_STEP_FAILED", story.workflow)["data"]
    assert (data["canRetry"], data["canSkip"]) == (True, True)


@then("the step was not retried")
def _(story: Story) -> None:
    assert len(story.me.failed_attempts(story.workflow)) == 1
    assert len(story.platform.stage.executions(story.workflow, FAILING)) == 1
    assert story.me.workflow(story.workflow)["retryCount"] == 0


@then("the step is shown as skipped")
def _(story: Story) -> None:
    story.page.wait_for("WORKFLOW_STEP_SKIPPED", story.workflow)
    checkpoints = story.me.history(story.workflow)["checkpoints"]
    assert [checkpoint["skipped"] for checkpoint in checkpoints] == [False] * 4 + [True]
    # It was left out, so it added nothing to the state.
    assert story.me.workflow(story.workflow)["state"]["done"][-1] == "ship_parcel"


@then("the workflow is still Failed")
def _(story: Story) -> None:
    assert story.me.workflow(story.workflow)["status"] == "Failed"
    assert "WORKFLOW_STEP_SKIPPED" not in story.page.types(story.workflow)
