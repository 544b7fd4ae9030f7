"""What a workflow consists of, with and without its code."""

from datetime import timedelta

import pytest
from pydantic import BaseModel
from ratchet import Retry, StepContext, Workflow
from ratchet.authoring import Registry
from ratchet.domain.definition import fingerprint, from_document, to_document
from ratchet.domain.errors import InvalidDefinition


def sample(version: int = 1) -> Workflow:
    workflow = Workflow("sample", version=version, recovers_automatically=True)

    @workflow.step
    async def first(ctx: StepContext, state: dict) -> dict:
        return state

    @workflow.step(
        id="second",
        timeout=3,
        heartbeat_timeout=1,
        retry=Retry(0, 1),
        optional=True,
        pool="mail",
        waits_for_command=True,
        depends_on="smtp",
        long_running=True,
    )
    async def other(ctx: StepContext, state: dict) -> dict:
        return state

    return workflow


def test_a_steps_id_is_its_functions_name_unless_given() -> None:
    assert [step.id for step in sample().definition.steps] == ["first", "second"]


def test_a_definition_survives_the_trip_through_the_database() -> None:
    definition = sample().definition
    again = from_document("sample", 1, to_document(definition), automatic=True)
    assert again == definition
    assert again.steps[1].timeout == timedelta(seconds=3)


def test_the_fingerprint_changes_with_the_order_of_the_steps() -> None:
    definition = sample().definition
    turned = type(definition)("sample", 1, definition.steps[::-1])
    assert fingerprint(turned) != fingerprint(definition)


def test_a_workflow_without_steps_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="no steps"):
        Registry([Workflow("empty")])


def test_two_steps_of_one_id_are_refused() -> None:
    workflow = sample()

    @workflow.step(id="first")
    async def again(ctx: StepContext, state: dict) -> dict:
        return state

    with pytest.raises(InvalidDefinition, match="same id"):
        Registry([workflow])


def test_the_newest_version_is_found_when_none_is_named() -> None:
    registry = Registry([sample(1), sample(3), sample(2)])
    found = registry.find("sample", None)
    assert found is not None
    assert found.version == 3
    assert registry.find("sample", 4) is None


def test_a_module_that_does_not_exist_is_named() -> None:
    with pytest.raises(InvalidDefinition, match="no_such_module"):
        Registry.of_modules(["no_such_module"])


def test_a_step_with_the_wrong_parameters_is_refused() -> None:
    workflow = Workflow("sample")
    with pytest.raises(InvalidDefinition, match="exactly two parameters"):
        workflow.step(lambda state: state)


class Order(BaseModel):
    amount: int
    paid: bool = False


async def test_a_model_as_state_is_checked_and_comes_back_as_json(context: StepContext) -> None:
    workflow = Workflow("sample")

    @workflow.step
    async def pay(ctx: StepContext, state: Order) -> Order:
        return state.model_copy(update={"paid": True})

    assert await workflow.steps[0].run(context, {"amount": 3}) == {"amount": 3, "paid": True}


async def test_none_keeps_the_state(context: StepContext) -> None:
    workflow = Workflow("sample")

    @workflow.step
    async def look(ctx: StepContext, state: dict) -> None:
        return None

    assert await workflow.steps[0].run(context, {"a": 1}) == {"a": 1}


async def test_a_plain_function_runs_in_a_thread(context: StepContext) -> None:
    workflow = Workflow("sample")

    @workflow.step
    def add(ctx: StepContext, state: dict) -> dict:
        return state | {"added": True}

    assert await workflow.steps[0].run(context, {}) == {"added": True}
