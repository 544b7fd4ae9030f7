"""Workflows for tests in which processes die: each step notes its effect in a file, so that repetitions show."""

import asyncio
import os
from pathlib import Path
from typing import Any

from ratchet import Retry, StepContext, TransientError, Workflow

crashing = Workflow("crashing")
elsewhere = Workflow("elsewhere")
lingering = Workflow("lingering")


def note(ctx: StepContext) -> None:
    """One line for each execution."""
    with Path(os.environ["EFFECTS"]).open("a") as effects:
        effects.write(f"{ctx.workflow_id} {ctx.step}\n")


def gate_is_open() -> bool:
    """Whether the test lets lingering steps go on."""
    return Path(os.environ["GATE"]).exists()


@crashing.step(retry=Retry(0.05))
async def first(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    note(ctx)
    if state.get("fails") and ctx.attempt == 1:
        raise TransientError("once")
    return state | {"first": True}


@crashing.step
async def second(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    note(ctx)
    return state | {"second": True}


@elsewhere.step
async def here(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)


@elsewhere.step(pool="other")
async def there(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)


@lingering.step(timeout=60)
async def linger(ctx: StepContext, state: dict[str, Any]) -> None:
    """Goes on once its gate file is there."""
    note(ctx)
    while not gate_is_open():  # noqa: ASYNC110 - another process opens the gate
        await asyncio.sleep(0.01)


@lingering.step
async def end(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)
