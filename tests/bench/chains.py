"""The workflows that are measured: five steps that do nothing, with about 500 bytes of state."""

import asyncio
from typing import Any

from ratchet import Retry, StepContext, TransientError, Workflow

STEPS = 5
STATE = {
    "order": "A-1000",
    "items": [{"sku": f"sku-{n}", "quantity": n, "price": 9.95} for n in range(8)],
    "note": "x" * 80,
}


def _chain(name: str, *, failing: bool = False, seconds: float = 0.0) -> Workflow:
    workflow = Workflow(name)
    for number in range(STEPS):

        async def step(ctx: StepContext, state: dict[str, Any], number: int = number) -> dict[str, Any]:
            if failing and ctx.attempt == 1:
                raise TransientError("the first attempt always fails")
            if seconds:
                await asyncio.sleep(seconds)
            return state | {"done": number}

        _add(workflow, f"step_{number}", step)
    return workflow


def _add(workflow: Workflow, name: str, step: Any) -> None:
    async def two_parameters(ctx: StepContext, state: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = await step(ctx, state)
        return result

    workflow.step(id=name, retry=Retry(0, 0, 0))(two_parameters)


plain = _chain("bench-plain")
failing_once = _chain("bench-failing-once", failing=True)
slow = _chain("bench-slow", seconds=0.05)

delayed = Workflow("bench-delayed")


@delayed.step(retry=Retry(1))
async def fails_once(ctx: StepContext, state: dict[str, Any]) -> None:
    if ctx.attempt == 1:
        raise TransientError("the first attempt always fails")
