"""Whatever a step raises is that step's failure; it neither ends the process nor is lost."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from executor.holdings import Held
from executor.loop_clock import LoopClock
from executor.run_step import Failed, run_step
from executor.step_threads import StepThreads
from prometheus_client import CollectorRegistry
from ratchet import StepContext, TransientError, Workflow
from ratchet.domain.failure import Failure
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import Claim
from ratchet.settings import parse_duration


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def leave() -> None:
    sys.exit("I am done here")


def raising(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


async def failure_of(act: Callable[[], Any], *, is_async: bool) -> Failure:
    async def on_the_loop(ctx: StepContext, state: Any) -> None:
        act()

    def in_a_thread(ctx: StepContext, state: Any) -> None:
        act()

    workflow = Workflow("w")
    workflow.step(on_the_loop if is_async else in_a_thread)
    pool = StepThreads(ExecutorMetrics(CollectorRegistry()), limit=10)
    context = StepContext(uuid4(), "s", 1, "c", {}, "k", in_thread=lambda *call: pool.run("w", "s", *call))
    claim = Claim(uuid4(), uuid4(), "d", 1, "o", "c", 0, "a", 0, 0, 0, 0, None, "{}")
    held = Held(claim, time.monotonic(), LoopClock())
    result = await run_step(workflow.steps[0], context, {}, held=held, timeout=parse_duration("5s"))
    assert isinstance(result, Failed)
    return result.failure


async def test_what_would_end_those_who_wait_for_the_step_is_its_failure_too() -> None:
    assert (await failure_of(raising(GeneratorExit()), is_async=True)).reason == "GeneratorExit"
    for error in (GeneratorExit(), StopIteration(1)):
        failure = await failure_of(raising(error), is_async=False)
        assert failure.reason == f"RuntimeError: the step raised {type(error).__name__}({error})"


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "thread"])
@pytest.mark.parametrize(
    ("act", "reason", "is_transient"),
    [
        (leave, "SystemExit: I am done here", False),
        (raising(SystemExit(3)), "SystemExit: 3", False),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt", False),
        (raising(asyncio.CancelledError()), "CancelledError", True),
        (raising(BaseException("bare")), "BaseException: bare", False),
        (raising(Unspeakable()), "Unspeakable: (its text could not be read: ValueError)", False),
        (raising(TransientError("busy", retry_after=30)), "TransientError: busy", True),
        (raising(TransientError("busy", retry_after=-1)), "TransientError: busy", True),
        (raising(BaseExceptionGroup("all", [SystemExit(1)])), "BaseExceptionGroup: all: SystemExit: 1", False),
    ],
)
async def test_whatever_a_step_raises_becomes_its_failure(
    act: Callable[[], Any], reason: str, is_transient: bool, is_async: bool
) -> None:
    failure = await failure_of(act, is_async=is_async)
    assert (failure.reason, failure.is_transient) == (reason, is_transient)
