"""The workflow under fire: five steps that write down every run of theirs, some of which fail at first."""

import asyncio
import hashlib
import os
import time
from typing import Any
from uuid import UUID

from ratchet import Retry, StepContext, TransientError, Workflow

DEFINITION = "under-fire"
STEPS = ("reserve", "charge", "pack", "ship", "tell")
EFFECTS_VARIABLE = "CHAOS_EFFECTS"
ONE_IN = 10
"""So many steps fail once: whatever breaks, ordinary failures go on beside it."""

State = dict[str, Any]
under_fire = Workflow(DEFINITION)


def fails_first(workflow_id: UUID, step: str) -> bool:
    """Whether a step's first attempt fails; always the same for the same step."""
    return hashlib.sha256(f"{workflow_id}:{step}".encode()).digest()[0] % ONE_IN == 0


async def act(ctx: StepContext, state: State) -> State:
    """What every step here does: act on the outside world (a line in a file), take its time, maybe fail."""
    line = f"{ctx.workflow_id} {ctx.step} {ctx.idempotency_key} {time.time()}\n"
    # One write to a file that only grows is not torn, whoever else writes, and a killed process does not take it back.
    out = os.open(os.environ[EFFECTS_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(out, line.encode())
    os.close(out)
    await asyncio.sleep(state["pace"])
    if ctx.attempt == 1 and fails_first(ctx.workflow_id, ctx.step):
        raise TransientError("The first attempt fails")
    return state | {"done": [*state["done"], ctx.step]}


for name in STEPS:
    under_fire.step(id=name, timeout=60, retry=Retry(0.2, 0.4, 0.4))(act)
