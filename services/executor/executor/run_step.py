"""Running one step: under its time limits, with whatever it raises turned into a value."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ratchet.authoring import Step, StepContext
from ratchet.domain.errors import HeartbeatLost, StepTimeout
from ratchet.domain.failure import Failure, classify

from executor.holdings import Held


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

    def __init__(self, limit: timedelta | None) -> None:
        self._seconds = None if limit is None else limit.total_seconds()
        self._scope: asyncio.Timeout | None = None

    def __call__(self) -> None:
        """The step is alive. Does nothing for a step without a heartbeat time limit."""
        if self._scope is not None and self._seconds is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time() + self._seconds)

    @property
    def is_watched(self) -> bool:
        """Whether the step has such a limit at all."""
        return self._seconds is not None

    def scope(self) -> asyncio.Timeout:
        """The time limit to run the step under."""
        self._scope = asyncio.timeout(self._seconds)
        return self._scope


async def run_step(
    step: Step, context: StepContext, state: Any, *, held: Held, timeout: timedelta, heartbeat: Heartbeat
) -> StepResult:
    """Run the step's code once.

    Raises:
        Interrupted: the claim was lost or the executor stops; the step's result, if any, is dropped.
    """
    held.require_uninterrupted()
    beat: asyncio.Timeout | None = None
    try:
        async with asyncio.timeout(timeout.total_seconds()) as held.scope:
            if not heartbeat.is_watched:
                return Succeeded(await step.run(context, state))
            async with heartbeat.scope() as beat:
                return Succeeded(await step.run(context, state))
    except TimeoutError as error:
        held.require_uninterrupted()
        return Failed(classify(_explained(error, held.scope, timeout, beat), retry_on=step.retry_on))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return Failed(classify(error, retry_on=step.retry_on))
    except Exception as error:  # a step may raise anything; what it was is classified, stored and shown
        return Failed(classify(error, retry_on=step.retry_on))
    finally:
        held.scope = None


def _explained(
    error: TimeoutError, whole: asyncio.Timeout | None, timeout: timedelta, beat: asyncio.Timeout | None
) -> TimeoutError | StepTimeout | HeartbeatLost:
    if whole is not None and whole.expired():
        return StepTimeout(f"no result within {timeout.total_seconds():g} s")
    if beat is not None and beat.expired():
        return HeartbeatLost("the step gave no sign of life within its heartbeat time limit")
    return error
