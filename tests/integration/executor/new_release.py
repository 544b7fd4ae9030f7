"""A release that brings a workflow which the executors before it do not have, and a new version of another."""

from typing import Any

from crash_workflows import note
from ratchet import StepContext, Workflow

fresh = Workflow("fresh")
versioned = Workflow("many", version=2)


@fresh.step
async def begin(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)


@fresh.step(waits_for_command=True)
async def go_on(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)


@versioned.step
async def only_two(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)
