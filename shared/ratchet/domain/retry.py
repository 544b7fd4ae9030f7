"""How often and when a failed step is tried again."""

from dataclasses import dataclass
from datetime import timedelta

from ratchet.domain.errors import InvalidDefinition

MAX_DELAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """A retry plan: one delay for each retry, in seconds. `Retry()` never retries, `Retry(0)` once and at once."""

    delays: tuple[timedelta, ...]

    def __init__(self, *seconds: float) -> None:
        for value in seconds:
            if not 0 <= value <= MAX_DELAY.total_seconds():
                raise InvalidDefinition(f"A retry delay lies between 0 and 86400 seconds, not {value}")
        object.__setattr__(self, "delays", tuple(timedelta(seconds=value) for value in seconds))

    @property
    def limit(self) -> int:
        """The number of retries this plan allows."""
        return len(self.delays)


DEFAULT_RETRY = Retry(0, 2, 5)


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again after `delay`; `retry` is this retry's number, the first being 1."""

    retry: int
    limit: int
    delay: timedelta


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
    delay = plan.delays[retries_done]
    if retry_after is not None:
        delay = min(max(delay, retry_after), MAX_DELAY)
    return RetryIn(retry=retries_done + 1, limit=plan.limit, delay=delay)


JITTER = 0.2
"""A wake-up may come early by up to this share of its delay, so that retries of one outage do not march in step."""


def jittered(delay: timedelta, fraction: float) -> timedelta:
    """Shorten `delay` by at most `JITTER`; `fraction` in [0, 1) says by how much of that."""
    return delay * (1 - JITTER * fraction)
