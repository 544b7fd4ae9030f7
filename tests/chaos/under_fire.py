"""The workflow under fire: five steps that write down every run of theirs, some of which fail at first."""

import asyncio
import hashlib
import os
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from ratchet import Retry, StepContext, TransientError, Workflow

DEFINITION = "under-fire"
STEPS = ("reserve", "charge", "pack", "ship", "tell")
EFFECTS_VARIABLE = "CHAOS_EFFECTS"
TRAP, MUD = ".trap", ".mud"
"""Files beside the effects. The one step that takes the trap away blocks its executor's event loop; every plain step
that finds mud hangs past its time limit."""
BLOCKED_SECONDS = 8.0
HUNG_SECONDS = 12.0
ONE_IN = 10
"""So many steps fail once: whatever breaks, ordinary failures go on beside it."""

State = dict[str, Any]
under_fire = Workflow(DEFINITION)


def fails_first(workflow_id: UUID, step: str) -> bool:
    """Whether a step's first attempt fails; always the same for the same step."""
    return hashlib.sha256(f"{workflow_id}:{step}".encode()).digest()[0] % ONE_IN == 0


def note(ctx: StepContext) -> None:
    """Act on the outside world: a line in a file."""
    line = f"{ctx.workflow_id} {ctx.step} {ctx.idempotency_key} {time.time()}\n"
    # One write to a file that only grows is not torn, whoever else writes, and a killed process does not take it back.
    out = os.open(os.environ[EFFECTS_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(out, line.encode())
    os.close(out)


def springs_trap() -> bool:
    """Whether this is the one that takes the trap away."""
    try:
        Path(os.environ[EFFECTS_VARIABLE] + TRAP).unlink()
    except FileNotFoundError:
        return False
    return True


def done(ctx: StepContext, state: State) -> State:
    """The end of every step here, which some first attempts do not reach."""
    if ctx.attempt == 1 and fails_first(ctx.workflow_id, ctx.step):
        raise TransientError("The first attempt fails")
    return state | {"done": [*state["done"], ctx.step]}


async def act(ctx: StepContext, state: State) -> State:
    """What every step here does: act, take its time, maybe fail. The one that finds the trap keeps the event loop."""
    note(ctx)
    await asyncio.sleep(state["pace"])
    if springs_trap():
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251  # what the trap is for
    return done(ctx, state)


def act_in_thread(ctx: StepContext, state: State) -> State:
    """The same as a plain function, which does not come back for long while there is mud."""
    note(ctx)
    time.sleep(HUNG_SECONDS if Path(os.environ[EFFECTS_VARIABLE] + MUD).exists() else state["pace"])
    return done(ctx, state)


for name in STEPS[:-1]:
    under_fire.step(id=name, timeout=60, retry=Retry(0.2, 0.4, 0.4))(act)
under_fire.step(id=STEPS[-1], timeout=HUNG_SECONDS / 4, retry=Retry(0.2, 0.4, 0.4))(act_in_thread)
