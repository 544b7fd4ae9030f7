"""How often a principal may ask: a bucket that all instances share, and one of our own while Redis is away."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from ratchet.tokens import Principal
from starlette.types import ASGIApp, Receive, Scope, Send

from admin_api.problems import Problem, ProblemType

if TYPE_CHECKING:
    from ratchet.adapters.redis.token_bucket import SharedBuckets

ANSWER_WITHIN = timedelta(milliseconds=250)
ASK_AGAIN_AFTER = timedelta(seconds=2)
"""A Redis that did not answer is left alone for this long: nobody waits for it twice."""

REMEMBERED = 10_000
"""Principals of whom the instance's own buckets know; the ones that asked longest ago are forgotten first."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many per second in the long run."""

    burst: float
    per_second: float

    @classmethod
    def of(cls, per_second: int) -> "Rate":
        """Four seconds' worth may come at once: a page asks several things, a script begins with many."""
        return cls(per_second * 4, per_second)


REFUSALS = Rate(300, 1)
"""Each refusal is written to the audit log, so it must not be possible to have many written."""


@dataclass(slots=True)
class Bucket:
    """Starts full. Seconds of any steady clock are passed in."""

    rate: Rate
    counted_at: float
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.rate.burst

    def wait_for(self, now: float) -> float:
        """Take one; 0.0 if there was one, else the seconds until there is (then nothing was taken)."""
        self.left = min(self.rate.burst, self.left + max(0.0, now - self.counted_at) * self.rate.per_second)
        self.counted_at = now
        if self.left < 1:
            return (1 - self.left) / self.rate.per_second
        self.left -= 1
        return 0.0


class Limiter:
    """Counts by purpose and principal. Without Redis each instance counts for itself: never open, never closed."""

    def __init__(self, shared: "SharedBuckets", clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._clock = clock
        self._own: OrderedDict[str, Bucket] = OrderedDict()
        self._away_until = -math.inf

    async def admit(self, purpose: str, principal: str, rate: Rate) -> None:
        """Take one of what this principal may do.

        Raises:
            Problem: 429, with the seconds to wait in `Retry-After`.
        """
        wait = await self._wait_for(f"{purpose}:{principal}", rate)
        if wait > 0:
            raise Problem(
                ProblemType.TOO_MANY_REQUESTS,
                f"This principal asks too often. In the long run {rate.per_second:g} per second are answered.",
                headers={"Retry-After": str(math.ceil(wait))},
            )

    async def _wait_for(self, key: str, rate: Rate) -> float:
        now = self._clock()
        if now >= self._away_until:
            try:
                async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
                    return await self._shared.wait_for(key, burst=rate.burst, per_second=rate.per_second)
            except (ConnectionError, TimeoutError) as error:
                self._away_until = now + ASK_AGAIN_AFTER.total_seconds()
                log.warning("rate_limit.counted_here", error=f"{type(error).__name__}: {error}")
        return self._bucket(key, rate, now).wait_for(now)

    def _bucket(self, key: str, rate: Rate, now: float) -> Bucket:
        bucket = self._own.setdefault(key, Bucket(rate, now))
        self._own.move_to_end(key)
        if len(self._own) > REMEMBERED:
            self._own.popitem(last=False)
        return bucket


class RateLimit:
    """Lets each principal's requests through at its rate, or raises Problem (429)."""

    def __init__(self, app: ASGIApp, limiter: Limiter, rate: Rate) -> None:
        self._app = app
        self._limiter = limiter
        self._rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        principal = scope.get("state", {}).get("principal")
        if isinstance(principal, Principal):
            await self._limiter.admit("requests", principal.sub, self._rate)
        await self._app(scope, receive, send)
