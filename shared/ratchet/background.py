"""Tasks that run for as long as their service. Nobody waits for their results, so somebody has to watch them."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import structlog

from ratchet.observability.metrics import BackgroundMetrics

log = structlog.get_logger()

SHORTEST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_AFTER = 60.0
"""A task that lived for so many seconds had a good start; what ends it then is a new trouble."""

WELL_AFTER = 5.0
MOST_ENDS = 8
"""Ends in a row without a good start, after which the process ends: somebody else may start it in a better state."""

_lost: list[str] = []


def lost_tasks() -> list[str]:
    """The tasks that this process could not keep, and ends for."""
    return list(_lost)


def end_process(task: str) -> None:
    """Ask this process to end in good order; it will not say that all was well."""
    _lost.append(task)
    os.kill(os.getpid(), signal.SIGTERM)


class Background:
    """Keeps tasks running: one that ends is logged, counted, and begun again after a pause that grows."""

    def __init__(
        self, metrics: BackgroundMetrics, *, give_up: Callable[[str], None] = end_process, shortest: float | None = None
    ) -> None:
        """`give_up` is called with the name of a task that cannot be kept; `shortest` pause in seconds."""
        self._metrics = metrics
        self._give_up = give_up
        self._shortest = SHORTEST_PAUSE if shortest is None else shortest
        self._watched: list[_Watched] = []

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work()`, which is meant to run for ever, until `close`. `name` is shown in logs and metrics."""
        # From the beginning: a series that begins with its first event shows no increase.
        self._metrics.ends.labels(name)
        watched = _Watched(name)
        watched.task = asyncio.create_task(self._keep(watched, work), name=name)
        self._watched.append(watched)

    async def is_well(self) -> bool:
        """A check for `/readyz`: no task is down, or up for only a moment after it was."""
        return all(watched.is_well for watched in self._watched)

    async def close(self) -> None:
        """End all of them; returns when they are gone."""
        for watched in reversed(self._watched):
            if watched.task is not None:
                watched.task.cancel()
                with suppress(asyncio.CancelledError):
                    await watched.task
        self._watched.clear()

    async def _keep(self, watched: "_Watched", work: Callable[[], Awaitable[None]]) -> None:
        while watched.ends < MOST_ENDS:
            watched.up_since = monotonic()
            await self._until_it_ends(watched.name, work)
            lived = monotonic() - watched.up_since
            watched.up_since, watched.ends = None, 1 if lived >= STEADY_AFTER else watched.ends + 1
            self._metrics.ends.labels(watched.name).inc()
            await asyncio.sleep(min(LONGEST_PAUSE, self._shortest * 2.0 ** (watched.ends - 1)))
        log.critical("background.given_up", task=watched.name, advice="the process ends; start it again")
        self._give_up(watched.name)

    async def _until_it_ends(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody asked this task to end: something that it waited for was cancelled by somebody else.
            log.exception("background.failed", task=name)
        except Exception:  # whatever it is, it is told and the task goes on
            log.exception("background.failed", task=name)
        else:
            log.error("background.ended", task=name, reason="it is meant to run for ever")


class _Watched:
    """One task and how it fares."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.task: asyncio.Task[None] | None = None
        self.ends = 0
        self.up_since: float | None = None

    @property
    def is_well(self) -> bool:
        """Whether it runs, and not just again."""
        if not self.ends:
            return True
        return self.up_since is not None and monotonic() - self.up_since >= WELL_AFTER
