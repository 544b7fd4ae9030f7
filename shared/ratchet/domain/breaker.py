"""The scan's breaker: when most recoveries fail, more of them make it worse; so it pauses, probes, and then resumes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

WINDOW = timedelta(minutes=10)
SAMPLE = 20
"""The newest automatic recoveries with a verdict, at most this many and no older than the window, are the evidence."""

MINIMUM = 10
"""Fewer verdicts than this prove nothing."""

PROBES = 3
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=15)
PATIENCE = timedelta(minutes=10)
"""A probe whose step takes longer than this is believed to be well."""


class BreakerState(StrEnum):
    """Whether the scan rescues."""

    CLOSED = "closed"
    OPEN = "open"
    """It rescues nobody until `probe_at`."""
    PROBING = "probing"
    """A few were rescued; what becomes of them decides."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker as it is kept. `trips` counts openings since it was last closed; each doubles the pause."""

    state: BreakerState
    changed_at: datetime
    probe_at: datetime | None = None
    trips: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Verdicts on recent automatic recoveries; while probing, on the probes alone, of which `pending` have none yet."""

    verified: int = 0
    relapsed: int = 0
    pending: int = 0


def advance(breaker: Breaker, evidence: Evidence, now: datetime) -> Breaker:
    """The breaker after looking at the evidence; the same one if nothing changes."""
    match breaker.state:
        case BreakerState.CLOSED:
            settled = evidence.verified + evidence.relapsed
            if settled >= MINIMUM and evidence.relapsed * 2 > settled:
                return _opened(breaker, now)
            return breaker
        case BreakerState.OPEN:
            is_over = breaker.probe_at is None or now >= breaker.probe_at
            return Breaker(BreakerState.PROBING, now, None, breaker.trips) if is_over else breaker
        case BreakerState.PROBING:
            return _after_probes(breaker, evidence, now)


def allowance(before: Breaker, after: Breaker) -> int | None:
    """How many workflows this scan may rescue; None: as many as there are."""
    match after.state:
        case BreakerState.CLOSED:
            return None
        case BreakerState.PROBING if before.state is not BreakerState.PROBING:
            return PROBES
        case _:
            return 0


def _after_probes(breaker: Breaker, evidence: Evidence, now: datetime) -> Breaker:
    sent = evidence.verified + evidence.relapsed + evidence.pending
    if evidence.relapsed * 2 > sent:
        return _opened(breaker, now)
    # Nothing to probe means that nothing is interrupted.
    is_well = evidence.verified * 2 > sent or sent == 0
    if is_well or now - breaker.changed_at > PATIENCE:
        return Breaker(BreakerState.CLOSED, now)
    return breaker


def _opened(breaker: Breaker, now: datetime) -> Breaker:
    pause = min(FIRST_PAUSE * 2**breaker.trips, LONGEST_PAUSE)
    return Breaker(BreakerState.OPEN, now, now + pause, breaker.trips + 1)
