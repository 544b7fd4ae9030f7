"""Pools that nobody serves: their steps wait safely in their queues, and somebody should know."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from ratchet.observability.metrics import ExecutorMetrics

log = structlog.get_logger()

INTERVAL = timedelta(seconds=30)

CountConsumers = Callable[[str], Awaitable[int]]


class WatchPools:
    """Looks now and then whether every pool that the known workflows use has an executor."""

    def __init__(self, pools: frozenset[str], count_consumers: CountConsumers, metrics: ExecutorMetrics) -> None:
        self._pools = pools
        self._count_consumers = count_consumers
        self._metrics = metrics

    async def run(self) -> None:
        """For ever. The first look comes after a pause, because executors of other pools may be starting, too."""
        while True:
            await asyncio.sleep(INTERVAL.total_seconds())
            try:
                await self.look()
            except Exception as error:  # a broker that is away is reported elsewhere; this runs again
                log.debug("pools.not_counted", error=type(error).__name__)

    async def look(self) -> list[str]:
        """The pools without consumers, each reported in the log and all counted in the metrics."""
        unserved = [pool for pool in sorted(self._pools) if not await self._count_consumers(pool)]
        self._metrics.unserved_pools.set(len(unserved))
        for pool in unserved:
            log.warning(
                "pool.unserved",
                pool=pool,
                advice=f"no executor serves this pool; start one with RATCHET_POOLS={pool}",
            )
        return unserved
