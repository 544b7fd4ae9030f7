"""Steps of `recovery_over_the_api.feature`."""

from pytest_bdd import scenarios, then

from tests.features.conftest import FAILING, STEPS, Story

scenarios("recovery_over_the_api.feature")

BEFORE = STEPS[: STEPS.index(FAILING)]


@then("the workflow resumes from last checkpoint")
def _(story: Story) -> None:
    last_before = story.me.history(story.workflow)["checkpoints"][len(BEFORE) - 1]
    assert story.answered.json()["resumedFrom"] == last_before["committedAt"]
    seen = story.me.wait_for_status(story.workflow, "Completed")
    assert story.me.committed_steps(story.workflow) == STEPS
    assert (seen["failureReason"], seen["failedAt"], seen["requiresManualIntervention"]) == (None, None, False)


@then("I receive a success notification")
def _(story: Story) -> None:
    data = story.page.wait_for("WORKFLOW_RECOVERED", story.workflow)["data"]
    assert data["resumedFrom"] == story.answered.json()["resumedFrom"]
    story.page.wait_for("WORKFLOW_COMPLETED", story.workflow)


@then("it names the step and the checkpoint that the workflow goes on from")
def _(story: Story) -> None:
    result = story.answered.json()
    assert (result["success"], result["status"], result["resumedStep"]) == (True, "InProgress", FAILING)
    assert result["resumedFrom"]
    recoveries = story.me.history(story.workflow)["recoveries"]
    assert [item["kind"] for item in recoveries if item["recoveryId"] == result["recoveryId"]] == ["recover"]


@then("its state is what the steps before the failure had made, and what the later ones added")
def _(story: Story) -> None:
    state = story.me.workflow(story.workflow)["state"]
    assert state["done"] == STEPS
    assert state["order"] == {"no": 4711, "price": 0.1}


@then("no step before the failure was executed again")
def _(story: Story) -> None:
    executions = story.platform.stage.executions(story.workflow)
    assert [execution.step for execution in executions] == [*BEFORE, FAILING, *STEPS[len(BEFORE) :]]
