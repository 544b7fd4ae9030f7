"""Tasks that nobody waits for are watched."""

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from ratchet import background
from ratchet.background import MOST_ENDS, Background
from ratchet.observability.metrics import BackgroundMetrics
from structlog.testing import capture_logs


class Work:
    """Fails as often as told, then runs for ever."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)
        self.runs = 0
        self.is_running = asyncio.Event()

    async def __call__(self) -> None:
        self.runs += 1
        if self.errors:
            error = self.errors.pop(0)
            if error is not None:
                raise error
            return
        self.is_running.set()
        await asyncio.Event().wait()


class Watch:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.given_up: list[str] = []
        self.tasks = Background(BackgroundMetrics(self.registry), give_up=self.given_up.append, shortest=0.001)

    def ends(self) -> float | None:
        return self.registry.get_sample_value("ratchet_background_task_ends_total", {"task": "work"})


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # any number of things may make it true
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("ours"), KeyError("ours"), None, asyncio.CancelledError()],
    ids=["defect", "another", "an-end-without-a-word", "a-cancellation-that-nobody-asked-for"],
)
async def test_a_task_that_ends_is_told_counted_and_begun_again(
    error: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "WELL_AFTER", 0.02)
    watch, work = Watch(), Work(error)
    with capture_logs() as lines:
        watch.tasks.keep("work", work)
        assert watch.ends() == 0, "shown before it happens"
        await reached(lambda: watch.ends() == 1)
        assert not await watch.tasks.is_well(), "down"
        async with asyncio.timeout(5):
            await work.is_running.wait()
        assert not await watch.tasks.is_well(), "up for a moment only"
        async with asyncio.timeout(5):
            while not await watch.tasks.is_well():  # noqa: ASYNC110  # only time makes it true
                await asyncio.sleep(0.001)
    [line] = [line for line in lines if line["log_level"] == "error"]
    assert line["task"] == "work"
    assert line["event"] == ("background.ended" if error is None else "background.failed")
    assert work.runs == 2
    await watch.tasks.close()


async def test_a_task_that_cannot_be_kept_ends_the_process() -> None:
    watch, work = Watch(), Work(*[RuntimeError("always")] * 100)
    watch.tasks.keep("work", work)
    await reached(lambda: bool(watch.given_up))
    assert watch.given_up == ["work"]
    assert work.runs == MOST_ENDS
    assert not await watch.tasks.is_well()
    await watch.tasks.close()


async def test_tasks_end_with_their_service() -> None:
    watch, work = Watch(), Work()
    watch.tasks.keep("work", work)
    async with asyncio.timeout(5):
        await work.is_running.wait()
        assert await watch.tasks.is_well()
        await watch.tasks.close()
    assert watch.ends() == 0
