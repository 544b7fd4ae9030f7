"""Workflows for tests in which processes die: each step notes its effect in a file, so that repetitions show."""

import asyncio
import os
import time
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


many = Workflow("many")
timing = Workflow("timing")
silent = Workflow("silent")
blocking = Workflow("blocking")
patient = Workflow("patient")
hopping = Workflow("hopping")


@many.step
async def only(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    note(ctx)
    return state | {"done": True}


@timing.step(timeout=0.1, retry=Retry())
async def too_slow(ctx: StepContext, state: dict[str, Any]) -> None:
    await asyncio.sleep(30)


@silent.step(heartbeat_timeout=0.2, timeout=30, retry=Retry())
async def goes_silent(ctx: StepContext, state: dict[str, Any]) -> None:
    for _ in range(5):
        await asyncio.sleep(0.1)
        await ctx.heartbeat()
    await asyncio.sleep(30)


@blocking.step
def in_a_thread(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    return state | {"thread": True}


@patient.step(long_running=True, timeout=60)
async def long_one(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)
    while not gate_is_open():  # noqa: ASYNC110 - another process opens the gate
        await asyncio.sleep(0.01)


def _hop(number: int) -> None:
    async def step(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
        note(ctx)
        return state | {"hops": number}

    hopping.step(id=f"hop_{number}")(step)


for _number in range(10):
    _hop(_number)


changing = Workflow("changing")


@changing.step
async def begin(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    return state | {"count": 0}


@changing.step(retry=Retry(0, 0))
async def change(ctx: StepContext, state: dict[str, Any]) -> None:
    """Changes what it was given before it fails."""
    state["count"] += 1
    if ctx.attempt < 3:
        raise TransientError("after the change")


relying = Workflow("relying")


@relying.step(retry=Retry(1, 1, 1), depends_on="partner")
async def call_partner(ctx: StepContext, state: dict[str, Any]) -> None:
    """Fails until the partner is up, which an open gate stands for."""
    note(ctx)
    if not gate_is_open():
        raise TransientError("The partner does not answer")


awaiting = Workflow("awaiting")


@awaiting.step(waits_for_command=True)
async def approve(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
    note(ctx)
    return state | {"inputs": ctx.inputs}


hanging = Workflow("hanging")


@hanging.step(timeout=0.2, retry=Retry())
def hang(ctx: StepContext, state: dict[str, Any]) -> None:
    """A plain function that cannot be stopped; it returns once its gate file is there."""
    note(ctx)
    while not gate_is_open():
        time.sleep(0.01)


awaiting_slowly = Workflow("awaiting_slowly")


@awaiting_slowly.step
async def slow(ctx: StepContext, state: dict[str, Any]) -> None:
    """Twenty at a time, so the last of an array are begun seconds after the first."""
    await asyncio.sleep(0.5)


@awaiting_slowly.step(id="go", waits_for_command=True)
async def go_on(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)


retrying = Workflow("retrying")


@retrying.step(retry=Retry(2))
async def fail_once(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)
    if ctx.attempt == 1:
        raise TransientError("once")


selfish = Workflow("selfish")
impossible = Workflow("impossible")


@selfish.step(timeout=60)
async def keep_the_loop(ctx: StepContext, state: dict[str, Any]) -> None:
    """Does what an async step must not do, until its gate opens."""
    note(ctx)
    while not gate_is_open():
        time.sleep(0.01)  # noqa: ASYNC251  # what this step is for


@selfish.step
async def after_all(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)


@impossible.step(timeout=0.5)
async def never_let_go(ctx: StepContext, state: dict[str, Any]) -> None:
    """The same for ever."""
    note(ctx)
    while True:
        time.sleep(0.01)  # noqa: ASYNC251  # what this step is for


pacing = Workflow("pacing")


def _pace(number: int) -> None:
    async def step(ctx: StepContext, state: dict[str, Any]) -> None:
        note(ctx)
        while not gate_is_open():  # noqa: ASYNC110 - another process opens the gate
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)

    pacing.step(id=f"pace_{number}")(step)


for _number in range(5):
    _pace(_number)
