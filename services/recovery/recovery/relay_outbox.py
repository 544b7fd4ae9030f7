"""The outbox relay: publishes what a crash left behind between a commit and its publishing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from ratchet.observability.metrics import RecoveryMetrics

log = structlog.get_logger()

BATCH = 500


class RelayOutbox:
    """Runs for ever. Any number of relays may run: each takes rows that no other one has locked."""

    def __init__(
        self, relay_some: Callable[[int], Awaitable[int]], metrics: RecoveryMetrics, *, interval: timedelta
    ) -> None:
        """`relay_some(limit)` publishes and removes up to `limit` old rows, and says how many it was."""
        self._relay_some = relay_some
        self._metrics = metrics
        self._interval = interval.total_seconds()

    async def run(self) -> None:
        """Relay, then wait; without the wait while there is more."""
        while True:
            try:
                relayed = await self._relay_some(BATCH)
            except Exception as error:  # whatever it was, the rows are still there and this runs again
                log.warning("relay.failed", error=f"{type(error).__name__}: {error}")
                relayed = 0
            if relayed:
                self._metrics.relayed.inc(relayed)
                log.info("relay.published", messages=relayed)
            if relayed < BATCH:
                await asyncio.sleep(self._interval)
