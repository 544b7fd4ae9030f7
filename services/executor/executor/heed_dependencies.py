"""Holding steps back while what they depend on is down, and letting them go again in waves."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog
from ratchet.domain.definition import StepDefinition
from ratchet.domain.dependency import (
    LONG_HOLD,
    SHORT_HOLD,
    Dependency,
    DependencyState,
    Outcomes,
    ask,
    hold_for,
    is_free_probe,
    learn,
    rest,
)
from ratchet.domain.retry import jittered
from ratchet.observability.metrics import ExecutorMetrics

from executor.run_step import Failed, StepResult

log = structlog.get_logger()

LOOK_EVERY = timedelta(milliseconds=500)
ANSWER_WITHIN = timedelta(seconds=2)
"""A step does not wait longer than this to hear whether it may run."""

FORGET_AFTER = timedelta(seconds=5)
"""When the store has not answered for so long, nothing is held back any more."""

CROWD = 200
"""When so many were held back for a short time, further ones are held back for a long time, to spare the broker."""


class DependencyStore(Protocol):
    """The breakers, shared by all executors. Every method raises ConnectionError when it cannot be asked."""

    async def read(self, names: Sequence[str]) -> dict[str, Dependency]:
        """The breakers of these dependencies; one that was never changed is missing."""

    async def change(self, name: str, change: Callable[[Dependency, datetime], Dependency]) -> Dependency:
        """Apply a pure function of the breaker and the time; answers the breaker after it."""


@dataclass(frozen=True, slots=True)
class Go:
    """The step may run; how it went is reported under this epoch.

    `is_free`: it goes first, to find out for the others, so its failure costs no retry.
    """

    epoch: int
    is_free: bool = False


FIRST = Go(0)


@dataclass(frozen=True, slots=True)
class Hold:
    """The step has to wait so long, without an attempt."""

    delay: timedelta


class HeedDependencies:
    """One instance serves all deliveries. Without the store nothing is held back: it is a help, not a promise."""

    def __init__(self, store: DependencyStore, names: Iterable[str], metrics: ExecutorMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._doors = {name: Door(name) for name in sorted(set(names))}
        self._answered_at = -math.inf
        self._is_store_away = False

    async def admit(self, step: StepDefinition) -> Go | Hold:
        """Whether a step may run now. Asks the store only while the breaker of its dependency is not closed."""
        door = None if step.depends_on is None else self._doors.get(step.depends_on)
        if door is None:
            return FIRST
        answer = door.known_answer()
        if answer is None:
            # One question at a time: those that come together would only get in each other's way.
            async with door.turn:
                answer = door.known_answer() or await self._ask(door)
        if isinstance(answer, Hold):
            self._metrics.held_back.labels(door.name).inc()
            return Hold(jittered(door.crowded(answer.delay), random.random()))  # noqa: S311  # jitter
        return answer

    def report(self, step: StepDefinition, go: Go, result: StepResult) -> None:
        """How a step went that was let through; told to the others a moment later."""
        door = None if step.depends_on is None else self._doors.get(step.depends_on)
        if door is None or (isinstance(result, Failed) and not result.was_run):
            return
        is_outage = isinstance(result, Failed) and result.failure.is_transient
        door.heard.setdefault(go.epoch, [0, 0])[1 if is_outage else 0] += 1

    async def keep(self) -> None:
        """Tell what was reported and look what others have found, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY.total_seconds())
            await self.look()

    async def look(self) -> None:
        """Once."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
                await self._tell()
                known = await self._store.read(list(self._doors))
                for name, door in self._doors.items():
                    self._note(door, known.get(name))
                    if door.state is DependencyState.OPEN:
                        self._note(door, await self._store.change(name, rest))
        except Exception as error:  # whatever it is, steps have to run
            self._missing_store(error)
        else:
            self._answered_at = time.monotonic()
            self._is_store_away = False

    async def _ask(self, door: "Door") -> Go | Hold:
        answer: Go | Hold = FIRST

        def decide(dependency: Dependency, now: datetime) -> Dependency:
            nonlocal answer
            after, may_run = ask(dependency, now)
            answer = Go(after.epoch, is_free_probe(after)) if may_run else Hold(hold_for(dependency, now))
            return after

        try:
            async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
                self._note(door, await self._store.change(door.name, decide))
        except Exception as error:  # whatever it is, steps have to run
            self._missing_store(error)
            answer = FIRST if door.seen is None else Hold(SHORT_HOLD)
        if isinstance(answer, Hold):
            door.remember(answer)
        return answer

    async def _tell(self) -> None:
        for door in self._doors.values():
            heard, door.heard = door.heard, {}
            for epoch, (passed, failed) in heard.items():
                outcomes = Outcomes(epoch, passed, failed)
                self._note(door, await self._store.change(door.name, partial(learn, outcomes)))

    def _note(self, door: "Door", dependency: Dependency | None) -> None:
        before, now = door.state, DependencyState.CLOSED if dependency is None else dependency.state
        door.seen = dependency
        for state in DependencyState:
            self._metrics.dependencies.labels(door.name, state.value).set(state is now)
        if before is not now:
            log.warning("dependency.breaker", dependency=door.name, state=now.value, was=before.value)

    def _missing_store(self, error: Exception) -> None:
        # One answer that came late is no reason to let everything through; nobody to ask for a while is.
        if time.monotonic() - self._answered_at < FORGET_AFTER.total_seconds():
            return
        for door in self._doors.values():
            self._note(door, None)
        if not self._is_store_away:
            reason = f"{type(error).__name__}: {error}"
            log.warning("dependency.store_away", error=reason, advice="steps run whatever they depend on")
        self._is_store_away = True


class Door:
    """What this executor knows of one dependency: what it saw last, and how its own steps went since it told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: Dependency | None = None
        self.heard: dict[int, list[int]] = {}
        self.turn = asyncio.Lock()
        self._refusal: Hold | None = None
        self._refused_until = 0.0
        self._crowd = 0
        self._crowd_until = 0.0

    @property
    def state(self) -> DependencyState:
        """As far as this executor knows."""
        return DependencyState.CLOSED if self.seen is None else self.seen.state

    def remember(self, refusal: Hold) -> None:
        """Nobody has to ask again for a moment."""
        self._refusal = refusal
        self._refused_until = time.monotonic() + LOOK_EVERY.total_seconds() / 2

    def known_answer(self) -> Go | Hold | None:
        """The answer where nobody has to be asked for it."""
        if self.seen is None:
            return FIRST
        if self.seen.state is DependencyState.CLOSED:
            return Go(self.seen.epoch)
        return self._refusal if time.monotonic() < self._refused_until else None

    def crowded(self, delay: timedelta) -> timedelta:
        """The delay, or a long one where many are held back already."""
        now = time.monotonic()
        if now > self._crowd_until:
            self._crowd, self._crowd_until = 0, now + SHORT_HOLD.total_seconds()
        self._crowd += 1
        return LONG_HOLD if self._crowd > CROWD else delay
