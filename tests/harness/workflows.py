"""Workflows whose steps do as the test says: fail so often, take too long, call a server, hold, or end their process.

The input tells the trouble: `{"trouble": {"<step>": {"kind": "timeout", "times": 2}}, "hold": ["<step>"]}`. `times` of
-1 lasts until the test mends the workflow. `supplier` names a URL that `book_carrier` asks; `pace` is how many seconds
each step takes.
"""

import asyncio
import os
import signal
from typing import Any

import httpx2
from ratchet import PermanentError, StepContext, TransientError, Workflow

from tests.harness.stage import Execution, Stage

State = dict[str, Any]

LOOK_EVERY = 0.02
LONGER_THAN_ANY_LIMIT = 600

deliveries = Workflow("delivery")
patient = Workflow("patient-delivery")
voyages = Workflow("voyage")


# Nothing in it waits unless the test says so: `charge_card` has a time limit that a busy machine would break.
async def perform(ctx: StepContext, state: State) -> State:
    """What every step here does: note its execution, meet its trouble, and add itself to what is done."""
    stage = Stage.of_this_process()
    execution = Execution(ctx.step, ctx.attempt, ctx.idempotency_key, os.getpid())
    count = stage.note(ctx.workflow_id, execution)
    trouble = state.get("trouble", {}).get(ctx.step)
    if trouble and (trouble["times"] < 0 or count <= trouble["times"]) and not stage.is_mended(ctx.workflow_id):
        await _meet(trouble["kind"])
    if "pace" in state:
        await asyncio.sleep(state["pace"])
    if ctx.step in state.get("hold", ()):
        while not stage.is_released(ctx.workflow_id, ctx.step):  # noqa: ASYNC110  # the test is another process
            await asyncio.sleep(LOOK_EVERY)
    return state | {"done": [*state.get("done", ()), ctx.step]}


async def _meet(kind: str) -> None:
    match kind:
        case "timeout":
            await asyncio.sleep(LONGER_THAN_ANY_LIMIT)
        case "transient":
            raise TransientError("The card service is not available")
        case "permanent":
            raise PermanentError("The card is not valid")
        case "kills its process":
            os.kill(os.getpid(), signal.SIGKILL)
        case _:
            raise PermanentError(f"The test asks for an unknown trouble: {kind}")


@deliveries.step(timeout=60)
async def pick_goods(ctx: StepContext, state: State) -> State:
    return await perform(ctx, state)


@deliveries.step(timeout=0.4)
async def charge_card(ctx: StepContext, state: State) -> State:
    return await perform(ctx, state)


@deliveries.step(timeout=60)
async def book_carrier(ctx: StepContext, state: State) -> State:
    """Asks another system over HTTP, if the order names one."""
    if "supplier" in state:
        async with httpx2.AsyncClient(trust_env=False) as http:
            (await http.post(state["supplier"], json={"key": ctx.idempotency_key})).raise_for_status()
    return await perform(ctx, state)


@deliveries.step(timeout=60)
async def ship_parcel(ctx: StepContext, state: State) -> State:
    return await perform(ctx, state)


@deliveries.step(optional=True)
async def send_survey(ctx: StepContext, state: State) -> State:
    return await perform(ctx, state)


@patient.step(id="charge_card", pool="patient")
async def charge_patiently(ctx: StepContext, state: State) -> State:
    return await perform(ctx, state)


@voyages.step(id="sail", timeout=60, long_running=True)
async def sail(ctx: StepContext, state: State) -> State:
    return await perform(ctx, state)


@voyages.step(id="unload")
async def unload(ctx: StepContext, state: State) -> State:
    return await perform(ctx, state)
