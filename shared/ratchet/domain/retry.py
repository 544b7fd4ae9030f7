"""How often and when a failed step is tried again."""

from dataclasses import dataclass
from datetime import timedelta

from ratchet.domain.errors import LONGEST_WAIT, InvalidDefinition


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """A retry plan: one delay for each retry, in seconds. `Retry()` never retries, `Retry(0)` once and at once."""

    delays: tuple[timedelta, ...]

    def __init__(self, *seconds: float) -> None:
        for value in seconds:
            if not 0 <= value <= LONGEST_WAIT.total_seconds():
                raise InvalidDefinition(f"A retry delay lies between 0 and 86400 seconds, not {value}")
        object.__setattr__(self, "delays", tuple(timedelta(seconds=value) for value in seconds))

    @property
    def limit(self) -> int:
        """The number of retries this plan allows."""
        return len(self.delays)


DEFAULT_RETRY = Retry(0, 2, 5)


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again after `delay`; `retry` is this retry's number, the first being 1.

    `at_least` is the wait that was asked for: jitter makes it longer, never shorter.
    """

    retry: int
    limit: int
    delay: timedelta
    at_least: timedelta = timedelta(0)

    def jittered(self, fraction: float) -> timedelta:
        """The wait that this retry gets; `fraction` in [0, 1) says how much of the jitter."""
        planned = jittered(self.delay, fraction)
        return max(planned, lengthened(self.at_least, fraction)) if self.at_least else planned


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No retry is left, or none would help. `exhausted` means that retries were made and used up."""

    exhausted: bool


RetryDecision = RetryIn | GiveUp


def plan_retry(
    plan: Retry, *, retries_done: int, transient: bool, retry_after: timedelta | None = None
) -> RetryDecision:
    """Decide what follows a failed attempt.

    `retries_done` counts the retries this step has had since its last fresh start. A `retry_after` from the failure can
    lengthen the planned delay, never shorten it.
    """
    if not transient:
        return GiveUp(exhausted=False)
    if retries_done >= plan.limit:
        return GiveUp(exhausted=plan.limit > 0)
    at_least = min(retry_after or timedelta(0), LONGEST_WAIT)
    delay = max(plan.delays[retries_done], at_least)
    return RetryIn(retry=retries_done + 1, limit=plan.limit, delay=delay, at_least=at_least)


JITTER = 0.2
"""A wake-up may come early by up to this share of its delay, so that retries of one outage do not march in step."""


def jittered(delay: timedelta, fraction: float) -> timedelta:
    """Shorten `delay` by at most `JITTER`; `fraction` in [0, 1) says by how much of that."""
    return delay * (1 - JITTER * fraction)


EARLY = timedelta(milliseconds=100)
"""A wake-up is taken for due when it comes a moment (50 ms) too soon; this makes up for that."""


def lengthened(asked: timedelta, fraction: float) -> timedelta:
    """Put off what was asked for by at most `JITTER`, and never come early."""
    return asked + max(EARLY, asked * (JITTER * fraction))


STANDING_DELAYS = (timedelta(seconds=1), timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10))
"""There is a delay queue for each of these, whatever the plans are, so that every wait has a place to be waited in."""
