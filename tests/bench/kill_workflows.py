"""What is measured when things are killed: a step that holds until it is let go, and one that follows."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from ratchet import PermanentError, Retry, StepContext, Workflow

FOLDER_VARIABLE = "KILL_BENCH_FOLDER"

held = Workflow("bench-held")
failing = Workflow("bench-failing")


def note(ctx: StepContext) -> int:
    """Write down that a step begins; how often this one has begun."""
    file = Path(os.environ[FOLDER_VARIABLE]) / str(ctx.workflow_id)
    with file.open("a") as stream:
        stream.write(f"{ctx.step} {os.getpid()} {time.time()}\n")
    return sum(line.startswith(f"{ctx.step} ") for line in file.read_text().splitlines())


@held.step(timeout=300, retry=Retry())
async def hold(ctx: StepContext, state: dict[str, Any]) -> None:
    if note(ctx) == 1:
        while not (Path(os.environ[FOLDER_VARIABLE]) / f"{ctx.workflow_id}.go").exists():  # noqa: ASYNC110  # two processes
            await asyncio.sleep(0.005)


@held.step
async def follow(ctx: StepContext, state: dict[str, Any]) -> None:
    note(ctx)


@failing.step(retry=Retry())
async def fail_once(ctx: StepContext, state: dict[str, Any]) -> None:
    if note(ctx) == 1:
        raise PermanentError("the first time")
