"""Running one step: under its time limits, with whatever it raises turned into a value."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ratchet.authoring import Step, StepContext
from ratchet.domain.errors import HeartbeatLost, StepTimeout
from ratchet.domain.failure import Failure, classify

from executor.holdings import Held
from executor.time_limit import Lost, TimeLimit, nothing_lost


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The step returned; `state` is the workflow's new state."""

    state: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The step raised, or ran out of time; or, if not `was_run`, there was a reason not to begin it."""

    failure: Failure
    was_run: bool = True


StepResult = Succeeded | Failed


class Heartbeat:
    """Restarts the heartbeat time limit; until the step runs there is nothing to restart."""

    def __init__(self, limit: timedelta, lost: Lost = nothing_lost) -> None:
        self.limit = TimeLimit(limit.total_seconds(), lost)
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> None:
        """The step is alive; may be called from its thread."""
        if self._loop is asyncio._get_running_loop():  # noqa: SLF001  # documented; the public one raises in a thread
            self.limit.restart()
        else:
            # A thread whose step was given up may beat on after the loop has closed.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.limit.restart)


async def run_step(
    step: Step, context: StepContext, state: Any, *, held: Held, timeout: timedelta, heartbeat: Heartbeat | None = None
) -> StepResult:
    """Run the step's code once.

    Raises:
        Interrupted: the claim was lost or the executor stops; the step's result, if any, is dropped.
    """
    held.require_uninterrupted()
    whole = TimeLimit(timeout.total_seconds(), held.lost)
    beat: asyncio.Timeout | None = None
    try:
        async with asyncio.timeout(None) as held.scope:
            whole.start(held.scope)
            if heartbeat is None:
                return Succeeded(await step.run(context, state))
            async with asyncio.timeout(None) as beat:
                heartbeat.limit.start(beat)
                return Succeeded(await step.run(context, state))
    except TimeoutError as error:
        held.require_uninterrupted()
        return Failed(classify(_explained(error, held, timeout, beat), retry_on=step.retry_on))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return Failed(classify(error, retry_on=step.retry_on))
    except BaseException as error:  # a step may raise anything, SystemExit included: it ends the step, not the process
        return Failed(classify(error, retry_on=step.retry_on))
    finally:
        whole.stop()
        if heartbeat is not None:
            heartbeat.limit.stop()
        held.scope = None


def _explained(
    error: TimeoutError, held: Held, timeout: timedelta, beat: asyncio.Timeout | None
) -> TimeoutError | StepTimeout | HeartbeatLost:
    if held.scope is not None and held.scope.expired():
        return StepTimeout(f"no result within {timeout.total_seconds():g} s{held.how_it_blocked()}")
    if beat is not None and beat.expired():
        return HeartbeatLost("the step gave no sign of life within its heartbeat time limit")
    return error
