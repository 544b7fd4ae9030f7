"""When somebody who cannot be let in now is to try again: later and later while that lasts, and not all at once."""

import random
from collections.abc import Callable
from datetime import timedelta

SOONEST = timedelta(seconds=2)
LATEST = timedelta(seconds=30)
OVER_AFTER = 2 * LATEST
"""Without a refusal for this long, the trouble is over, and the next one begins anew."""


class ComeBack:
    """Answers for one process. The longer a trouble has lasted, the longer the wait: half of that time, within bounds.

    `clock` counts seconds; `fraction` is random, from 0 to 1.
    """

    def __init__(self, clock: Callable[[], float], fraction: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._fraction = fraction
        self._troubles: dict[str, tuple[float, float]] = {}

    def after(self, reason: str) -> timedelta:
        """How long to wait, up to half as much again, so that a crowd does not come back at one moment."""
        now = self._clock()
        began, last = self._troubles.get(reason, (now, now))
        if now - last > OVER_AFTER.total_seconds():
            began = now
        self._troubles[reason] = (began, now)
        wait = min(max(timedelta(seconds=(now - began) / 2), SOONEST), LATEST)
        return wait * (1 + self._fraction() / 2)
