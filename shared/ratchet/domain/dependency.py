"""A dependency's breaker: while most calls to it fail, steps are held back instead of using up their retries.

Closed, every step runs. When most of the recent ones fail it opens: steps are held back without an attempt. After a
pause one step goes first; if it passes, two may go, then four, and so on, until the breaker closes. That is the
half-open state of the circuit breaker (M. Nygard, Release It!), with waves in place of one probe, so that what has
gathered does not fall on a dependency that has only just come back.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

WINDOW = timedelta(seconds=5)
MINIMUM = 5
"""Fewer outcomes than this within the window prove nothing."""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=1)
LARGEST_WAVE = 64
PATIENCE = timedelta(minutes=1)
"""Those of a wave that have told nothing for this long are let through again: their executors may have died.

When nobody has asked for this long, the next one that comes probes.
"""

FREE_PROBES = 30
"""So many failed probes in a row cost nobody a retry (half an hour); after that they do, or it would never end."""

SHORT_HOLD = timedelta(seconds=2)
LONG_HOLD = timedelta(seconds=15)
HOLDS = (SHORT_HOLD, LONG_HOLD)
"""How long a step may be held back before it asks again; there is a delay queue for each."""


class DependencyState(StrEnum):
    """Whether the steps that depend on it run."""

    CLOSED = "closed"
    OPEN = "open"
    """None runs until `probe_at`."""
    PROBING = "probing"
    """Wave after wave is let through."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """The breaker as it is kept, shared by all executors.

    `epoch` changes with every state and every wave, so that what began earlier does not count for the present one.
    `trips` counts openings since it was last closed; each doubles the pause. `wave` and `admitted` are the size of the
    present wave and how many of it were let through; `passed` and `failed` are the outcomes of the present epoch.
    """

    changed_at: datetime
    state: DependencyState = DependencyState.CLOSED
    epoch: int = 0
    probe_at: datetime | None = None
    trips: int = 0
    wave: int = 0
    admitted: int = 0
    passed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How steps went that were let through in one epoch. `passed`: the dependency answered, whatever it said."""

    epoch: int
    passed: int = 0
    failed: int = 0


def ask(dependency: Dependency, now: datetime) -> tuple[Dependency, bool]:
    """Whether one more step may run now, and the breaker after that."""
    match dependency.state:
        case DependencyState.CLOSED:
            return dependency, True
        case DependencyState.OPEN:
            if dependency.probe_at is not None and now < dependency.probe_at:
                return dependency, False
            return _wave(dependency, 1, now, admitted=1), True
        case DependencyState.PROBING:
            if dependency.admitted < dependency.wave:
                return replace(dependency, admitted=dependency.admitted + 1), True
            if now - dependency.changed_at > PATIENCE:
                told = dependency.passed + dependency.failed
                return replace(dependency, changed_at=now, admitted=told + 1), True
            return dependency, False


def learn(outcomes: Outcomes, dependency: Dependency, now: datetime) -> Dependency:
    """The breaker after hearing how steps went."""
    if outcomes.epoch != dependency.epoch or dependency.state is DependencyState.OPEN:
        return dependency
    is_past = dependency.state is DependencyState.CLOSED and now - dependency.changed_at > WINDOW
    known = replace(dependency, changed_at=now, passed=0, failed=0) if is_past else dependency
    heard = replace(known, passed=known.passed + outcomes.passed, failed=known.failed + outcomes.failed)
    ended = heard.passed + heard.failed
    if ended >= _enough(heard) and heard.failed * 2 > ended:
        return _opened(heard, now)
    if heard.state is DependencyState.CLOSED or ended < heard.wave:
        return heard
    if heard.wave >= LARGEST_WAVE:
        return Dependency(changed_at=now, epoch=heard.epoch + 1)
    return _wave(heard, heard.wave * 2, now, admitted=0)


def rest(dependency: Dependency, now: datetime) -> Dependency:
    """The breaker when nobody asks: no longer open, since nobody knows; the next one that comes probes."""
    is_idle = (
        dependency.state is DependencyState.OPEN
        and dependency.probe_at is not None
        and now - dependency.probe_at > PATIENCE
    )
    return _wave(dependency, 1, now, admitted=0) if is_idle else dependency


def is_free_probe(dependency: Dependency) -> bool:
    """Whether a step that is let through now goes first, so that its failure is not held against its workflow."""
    is_first = dependency.state is DependencyState.PROBING and dependency.wave == 1
    return is_first and dependency.trips <= FREE_PROBES


def hold_for(dependency: Dependency, now: datetime) -> timedelta:
    """How long a step that may not run now is held back: one of `HOLDS`."""
    if dependency.state is DependencyState.OPEN and dependency.probe_at is not None:
        return LONG_HOLD if dependency.probe_at - now >= LONG_HOLD else SHORT_HOLD
    return SHORT_HOLD


def _enough(dependency: Dependency) -> int:
    return MINIMUM if dependency.state is DependencyState.CLOSED else min(MINIMUM, dependency.wave)


def _wave(dependency: Dependency, size: int, now: datetime, *, admitted: int) -> Dependency:
    return Dependency(
        changed_at=now,
        state=DependencyState.PROBING,
        epoch=dependency.epoch + 1,
        trips=dependency.trips,
        wave=size,
        admitted=admitted,
    )


def _opened(dependency: Dependency, now: datetime) -> Dependency:
    pause = min(FIRST_PAUSE * 2 ** min(dependency.trips, 10), LONGEST_PAUSE)
    return Dependency(
        changed_at=now,
        state=DependencyState.OPEN,
        epoch=dependency.epoch + 1,
        probe_at=now + pause,
        trips=dependency.trips + 1,
    )
