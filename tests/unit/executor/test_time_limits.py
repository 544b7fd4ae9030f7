"""A step's time limits begin with its code, and do not count time in which others kept the loop."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from executor.holdings import Held
from executor.loop_clock import LoopClock
from executor.run_step import Failed, Heartbeat, StepResult, Succeeded, run_step
from executor.step_threads import StepThreads
from executor.time_limit import TimeLimit
from prometheus_client import CollectorRegistry
from ratchet import StepContext, Workflow
from ratchet.domain.errors import InvalidDefinition
from ratchet.observability.metrics import ExecutorMetrics
from ratchet.ports import Claim

SECOND = timedelta(seconds=1)


def threads(limit: int = 100) -> StepThreads:
    return StepThreads(ExecutorMetrics(CollectorRegistry()), limit=limit)


def held(clock: LoopClock | None = None) -> Held:
    claim = Claim(uuid4(), uuid4(), "d", 1, "o", "c", 0, "a", 0, 0, 0, 0, None, "{}")
    return Held(claim, time.monotonic(), clock or LoopClock())


async def run(
    code: Callable[..., Any],
    pool: StepThreads,
    *,
    timeout: timedelta = SECOND,
    heartbeat: Heartbeat | None = None,
    item: Held | None = None,
) -> StepResult:
    workflow = Workflow("w")
    workflow.step(code)
    context = StepContext(
        workflow_id=uuid4(),
        step="s",
        attempt=1,
        correlation_id="c",
        inputs={},
        idempotency_key="k",
        on_heartbeat=heartbeat or (lambda: None),
        in_thread=lambda *call: pool.run("w", "s", *call),
    )
    return await run_step(workflow.steps[0], context, {}, held=item or held(), timeout=timeout, heartbeat=heartbeat)


async def test_as_many_plain_steps_run_at_once_as_there_are() -> None:
    together = threading.Barrier(60)

    def meet(_ctx: StepContext, _state: Any) -> dict[str, Any]:
        return {"met": together.wait(5) >= 0}

    pool = threads()
    results = await asyncio.gather(*(run(meet, pool, timeout=timedelta(seconds=10)) for _ in range(60)))
    assert [result for result in results if not isinstance(result, Succeeded)] == []


async def test_hung_threads_are_counted_and_named_and_nobody_waits_behind_them() -> None:
    let_go = threading.Event()

    def hang(_ctx: StepContext, _state: Any) -> None:
        let_go.wait(30)

    def quick(_ctx: StepContext, _state: Any) -> dict[str, Any]:
        return {"quick": True}

    pool = threads(limit=40)
    hung = await asyncio.gather(*(run(hang, pool, timeout=timedelta(milliseconds=50)) for _ in range(40)))
    assert all(isinstance(result, Failed) and result.failure.is_transient for result in hung)
    assert pool.hanging == 40
    assert pool.too_many_hang
    assert "40 threads hang in w.s" in (pool.why_not_ready() or "")
    assert await run(quick, pool) == Succeeded({"quick": True})
    let_go.set()
    async with asyncio.timeout(5):
        while pool.hanging:
            pool.changed.clear()
            await pool.changed.wait()
    assert pool.why_not_ready() is None


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no"), SystemExit("no")])
async def test_what_a_thread_raises_comes_back(error: BaseException) -> None:
    def fail(*_args: Any) -> None:
        raise error

    with pytest.raises((ValueError, RuntimeError, SystemExit), match="no"):
        await threads().run("w", "s", fail)


async def test_a_plain_function_can_beat_from_its_thread() -> None:
    beat = Heartbeat(timedelta(milliseconds=200))

    def slow(ctx: StepContext, _state: Any) -> dict[str, Any]:
        for _ in range(6):
            time.sleep(0.1)
            ctx.heartbeat()
        return {"alive": True}

    assert await run(slow, threads(), timeout=timedelta(seconds=10), heartbeat=beat) == Succeeded({"alive": True})


async def test_a_plain_function_that_does_not_beat_is_given_up() -> None:
    def silent(_ctx: StepContext, _state: Any) -> None:
        time.sleep(0.3)

    result = await run(silent, threads(), heartbeat=Heartbeat(timedelta(milliseconds=50)))
    assert isinstance(result, Failed)
    assert result.failure.error_class == "HeartbeatLost"


async def test_an_async_step_may_beat_with_and_without_await() -> None:
    beat = Heartbeat(timedelta(milliseconds=100))

    async def slow(ctx: StepContext, _state: Any) -> None:
        for _ in range(4):
            await asyncio.sleep(0.05)
            await ctx.heartbeat()
            await asyncio.sleep(0.05)
            ctx.heartbeat()  # type: ignore[unused-awaitable]  # what this test is about

    assert isinstance(await run(slow, threads(), heartbeat=beat), Succeeded)


def test_time_limits_that_nobody_can_keep_are_refused_at_definition() -> None:
    workflow = Workflow("w")
    with pytest.raises(InvalidDefinition, match="heartbeat_timeout"):
        workflow.http_step("call", url="http://example.org", heartbeat_timeout=5)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(InvalidDefinition, match="more than 0"):
            workflow.step(timeout=wrong)(lambda ctx, state: state)
        with pytest.raises(InvalidDefinition, match="more than 0"):
            workflow.step(heartbeat_timeout=wrong)(lambda ctx, state: state)


async def test_time_in_which_somebody_else_kept_the_loop_does_not_count() -> None:
    clock = LoopClock()
    ticking = asyncio.create_task(clock.run())
    await asyncio.sleep(0)

    async def innocent(_ctx: StepContext, _state: Any) -> dict[str, Any]:
        await asyncio.sleep(0.3)
        return {"done": True}

    running = asyncio.create_task(run(innocent, threads(), timeout=timedelta(seconds=0.8), item=held(clock)))
    await asyncio.sleep(0.01)
    time.sleep(1.5)  # noqa: ASYNC251  # this is the blocking step
    assert await running == Succeeded({"done": True})
    assert clock.lost == pytest.approx(1.25, abs=0.4)
    ticking.cancel()


async def test_time_that_a_step_itself_kept_the_loop_does_count() -> None:
    clock = LoopClock()
    ticking = asyncio.create_task(clock.run())
    await asyncio.sleep(0)
    item = held(clock)

    async def culprit(_ctx: StepContext, _state: Any) -> None:
        time.sleep(1.0)  # noqa: ASYNC251  # this is the blocking step
        item.blocked_seconds, item.blocked_at = clock.stalled, "culprit (test.py:1)"
        await asyncio.sleep(30)

    result = await run(culprit, threads(), timeout=timedelta(seconds=0.5), item=item)
    assert isinstance(result, Failed)
    assert "blocked the event loop for" in result.failure.reason
    assert "culprit (test.py:1)" in result.failure.reason
    ticking.cancel()


async def test_a_limit_that_was_stopped_ends_nothing() -> None:
    limit = TimeLimit(0.01)
    async with asyncio.timeout(None) as scope:
        limit.start(scope)
        limit.stop()
        limit.restart()
        await asyncio.sleep(0.05)
