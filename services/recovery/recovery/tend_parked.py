"""Parked messages: what the broker gave up gets its row like everything else, and what was settled leaves the queue."""

import asyncio
from datetime import timedelta

import structlog
from ratchet.observability.metrics import RecoveryMetrics
from ratchet.recovery_ports import ParkedMirror

log = structlog.get_logger()

EVERY = timedelta(seconds=5)
WHOLE_EVERY = timedelta(hours=1)
"""However alike queue and table look: as many may have been taken out by somebody as the broker put in."""

IDLE_SHARE = 10
"""A long look is followed by a pause that is longer by this factor, also while messages are parked all the time."""
LONGEST_PAUSE = timedelta(minutes=5)
"""A look that waited for a server was not long because of its work."""


class TendParked:
    """Runs for ever. Any number may run: one at a time does something."""

    def __init__(self, mirror: ParkedMirror, metrics: RecoveryMetrics) -> None:
        self._mirror = mirror
        self._metrics = metrics

    async def run(self) -> None:
        """Look, then wait."""
        clock = asyncio.get_running_loop().time
        whole_at = clock()
        while True:
            began = clock()
            try:
                await self.look(whole=began >= whole_at)
                if began >= whole_at:
                    whole_at = began + WHOLE_EVERY.total_seconds()
            except Exception as error:  # whatever it was, the messages are still there and this runs again
                log.warning("parked.postponed", error=f"{type(error).__name__}: {error}")
            pause = max(EVERY.total_seconds(), IDLE_SHARE * (clock() - began))
            await asyncio.sleep(min(pause, LONGEST_PAUSE.total_seconds()))

    async def look(self, *, whole: bool = False) -> None:
        """One look at the queue."""
        tidied = await self._mirror.tidy(whole=whole)
        if tidied is not None and (tidied.adopted or tidied.removed):
            self._metrics.parked.inc(tidied.adopted)
            tell = log.warning if tidied.adopted else log.info
            tell("parked.tidied", adopted=tidied.adopted, removed=tidied.removed)
