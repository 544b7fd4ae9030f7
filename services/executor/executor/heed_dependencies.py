"""Holding steps back while what they depend on is down, and letting them go again in waves."""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog
from ratchet.domain.definition import StepDefinition
from ratchet.domain.dependency import Dependency, DependencyState, Outcomes, ask, hold_for, learn
from ratchet.domain.retry import jittered
from ratchet.observability.metrics import ExecutorMetrics

log = structlog.get_logger()

LOOK_EVERY = timedelta(milliseconds=500)


class DependencyStore(Protocol):
    """The breakers, shared by all executors. Every method raises ConnectionError when it cannot be asked."""

    async def read(self, names: list[str]) -> dict[str, Dependency]:
        """The breakers of these dependencies; one that was never changed is missing."""

    async def change(self, name: str, change: Callable[[Dependency, datetime], Dependency]) -> Dependency:
        """Apply a pure function of the breaker and the time; answers the breaker after it."""


@dataclass(frozen=True, slots=True)
class Go:
    """The step may run; how it went is reported under this epoch."""

    epoch: int


FIRST = Go(0)


@dataclass(frozen=True, slots=True)
class Hold:
    """The step has to wait so long, without an attempt."""

    delay: timedelta


class HeedDependencies:
    """One instance serves all deliveries. Without the store nothing is held back: it is a help, not a promise."""

    def __init__(self, store: DependencyStore, names: Iterable[str], metrics: ExecutorMetrics) -> None:
        self._store = store
        self._names = sorted(set(names))
        self._metrics = metrics
        self._seen: dict[str, Dependency] = {}
        self._heard: dict[tuple[str, int], list[int]] = {}
        self._is_store_away = False

    async def admit(self, step: StepDefinition) -> Go | Hold:
        """Whether a step may run now. Asks the store only while the breaker of its dependency is not closed."""
        name = step.depends_on
        seen = None if name is None else self._seen.get(name)
        if name is None or seen is None:
            return FIRST
        if seen.state is DependencyState.CLOSED:
            return Go(seen.epoch)
        return await self._ask(name, seen)

    def report(self, step: StepDefinition, go: Go, *, answered: bool) -> None:
        """How a step went that was let through; told to the others a moment later."""
        if step.depends_on is not None:
            counts = self._heard.setdefault((step.depends_on, go.epoch), [0, 0])
            counts[0 if answered else 1] += 1

    async def keep(self) -> None:
        """Tell what was reported and look what others have found, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY.total_seconds())
            try:
                await self._tell()
                known = await self._store.read(self._names)
                for name in self._names:
                    self._note(name, known.get(name))
                self._is_store_away = False
            except ConnectionError as error:
                self._missing_store(error)

    async def _ask(self, name: str, seen: Dependency) -> Go | Hold:
        answer: Go | Hold = Go(seen.epoch)

        def decide(dependency: Dependency, now: datetime) -> Dependency:
            nonlocal answer
            after, may_run = ask(dependency, now)
            answer = Go(after.epoch) if may_run else Hold(hold_for(dependency, now))
            return after

        try:
            self._note(name, await self._store.change(name, decide))
        except ConnectionError as error:
            self._missing_store(error)
            return Go(seen.epoch)
        if isinstance(answer, Hold):
            self._metrics.held_back.labels(name).inc()
            return Hold(jittered(answer.delay, random.random()))  # noqa: S311  # jitter
        return answer

    async def _tell(self) -> None:
        heard, self._heard = self._heard, {}
        for (name, epoch), (passed, failed) in heard.items():
            outcomes = Outcomes(epoch, passed, failed)
            self._note(name, await self._store.change(name, partial(learn, outcomes)))

    def _note(self, name: str, dependency: Dependency | None) -> None:
        before, now = _state(self._seen.get(name)), _state(dependency)
        if dependency is None:
            self._seen.pop(name, None)
        else:
            self._seen[name] = dependency
        for state in DependencyState:
            self._metrics.dependencies.labels(name, state.value).set(state is now)
        if before is not now:
            log.warning("dependency.breaker", dependency=name, state=now.value, was=before.value)

    def _missing_store(self, error: ConnectionError) -> None:
        # What was seen last may be long past: without anybody to ask, nothing is held back.
        for name in self._names:
            self._note(name, None)
        self._heard.clear()
        if not self._is_store_away:
            log.warning("dependency.store_away", error=str(error), advice="steps run whatever they depend on")
        self._is_store_away = True


def _state(dependency: Dependency | None) -> DependencyState:
    return DependencyState.CLOSED if dependency is None else dependency.state
