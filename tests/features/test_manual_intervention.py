"""Steps of `manual_intervention.feature`."""

from pytest_bdd import given, scenarios, then, when

from tests.features.conftest import FAILING, STEPS, Story
from tests.harness.person import Person

scenarios("manual_intervention.feature")

REASON = "Checkpoint 1 was repaired from the backup"
DAMAGE = """UPDATE checkpoints SET state = state || '{"damaged": true}' WHERE workflow_id = $1 RETURNING seq"""
REPAIR = "UPDATE checkpoints SET state = state - 'damaged' WHERE workflow_id = $1 AND seq = 1 RETURNING seq"


@given("none of its checkpoints is intact")
def _(story: Story) -> None:
    assert len(story.platform.sql(DAMAGE, story.workflow)) == STEPS.index(FAILING)


@given("support has repaired the first checkpoint")
def _(story: Story, support: Person) -> None:
    assert len(story.platform.sql(REPAIR, story.workflow)) == 1
    checkpoints = support.get(f"/admin/workflows/{story.workflow}/checkpoints")["items"]
    assert [(item["seq"], item["intact"]) for item in checkpoints] == [(1, True), (2, False)]


@when("support restores from the first checkpoint")
def _(story: Story, support: Person) -> None:
    story.answer = support.post(f"/admin/workflows/{story.workflow}/restore", {"checkpointSeq": 1, "reason": REASON})


@then("it says that the recovery did not succeed")
def _(story: Story) -> None:
    assert story.answered.headers["content-type"].startswith("application/problem+json")
    problem = story.answered.json()
    assert (problem["success"], problem["damagedCheckpoints"]) == (False, [1, 2])
    assert problem["recoveryId"]
    assert problem["correlationId"] == story.answered.headers["X-Correlation-ID"]


@then("I am told that the recovery failed")
def _(story: Story) -> None:
    data = story.page.wait_for("WORKFLOW_RECOVERY_FAILED", story.workflow)["data"]
    assert "intact" in data["reason"]
    assert "WORKFLOW_RECOVERED" not in story.page.types(story.workflow)


@then("support is told that the workflow needs attention")
def _(story: Story, support: Person) -> None:
    with support.listen(everybody=True) as page:
        page.wait_for("WORKFLOW_RECOVERY_FAILED", story.workflow)
        page.wait_for("WORKFLOW_NEEDS_ATTENTION", story.workflow)
    assert "WORKFLOW_NEEDS_ATTENTION" not in story.page.types(story.workflow)


@then("the list of failed workflows shows that it needs a person")
def _(story: Story, support: Person) -> None:
    [item] = support.get("/admin/workflows/failed", owner=story.me.name)["items"]
    assert item["workflowId"] == str(story.workflow)
    assert (item["requiresManualIntervention"], item["currentStep"]) == (True, FAILING)
    assert "not valid" in item["failureReason"]


@then("the steps after the first one were done anew")
def _(story: Story) -> None:
    before, anew = STEPS[: STEPS.index(FAILING)], STEPS[1:]
    assert story.me.committed_steps(story.workflow) == [*before, *anew]
    state = story.me.workflow(story.workflow)["state"]
    assert state["done"] == STEPS
    assert "damaged" not in state


@then("the audit names support, the reason and the outcome")
def _(story: Story, support: Person) -> None:
    found = story.platform.sql(
        "SELECT actor, reason, outcome FROM audit_log WHERE workflow_id = $1 AND action = 'restore' ORDER BY id",
        story.workflow,
    )
    asked = {"actor": support.name, "reason": REASON}
    assert found == [asked | {"outcome": "requested"}, asked | {"outcome": "resumed"}]
