"""How the platform stands: counts, queues, what waits; asked of the servers at most once in two seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from ratchet.domain.dependency import DependencyState
from ratchet.domain.trouble import is_outage

from admin_api.answers import DependencyStanding, Overview, QueueState

if TYPE_CHECKING:
    from ratchet.adapters.postgres.overview import Counts, OverviewReader
    from ratchet.adapters.rabbitmq.queue_depths import QueueDepth
    from ratchet.domain.dependency import Dependency

FRESH_FOR = timedelta(seconds=2)
BROKER_PATIENCE = timedelta(seconds=2)

SILENT_AFTER = timedelta(seconds=15)
"""Recovery answers a request within moments; whoever waits longer waits for a service that is away or drowned."""

UNSCANNED_AFTER = timedelta(minutes=5)
"""A scan that has much to do takes its time, so only this long after the last one it counts as missing."""

SCANS_MISSED = 10

AskQueues = Callable[[Sequence[str]], Awaitable[Sequence["QueueDepth"]]]
AskDependencies = Callable[[Sequence[str]], Awaitable[Mapping[str, "Dependency"]]]
"""Those that anybody has used of late; raises ConnectionError when Redis cannot be asked."""

log = structlog.get_logger()


class Lookout:
    """Answers many askers with one question to the servers."""

    def __init__(
        self,
        reader: "OverviewReader",
        ask_queues: AskQueues,
        ask_dependencies: AskDependencies,
        *,
        scan_interval: timedelta,
    ) -> None:
        self._unscanned_after = max(UNSCANNED_AFTER, SCANS_MISSED * scan_interval)
        self._reader = reader
        self._ask_queues = ask_queues
        self._ask_dependencies = ask_dependencies
        self._lock = asyncio.Lock()
        self._seen: tuple[float, Overview] | None = None

    async def look(self) -> Overview:
        """How things stand, or stood up to two seconds ago. Without the broker: no queues."""
        async with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > FRESH_FOR.total_seconds():
                self._seen = time.monotonic(), await self._ask()
            return self._seen[1]

    async def _ask(self) -> Overview:
        counts = await self._reader.counts()
        unserved = [asdict(item) for item in await self._reader.unserved()] if counts.without_executor else []
        named = await self._reader.named()
        queues = await self._queues(named.pools)
        broker = {"broker_reachable": queues is not None, "queues": queues or []}
        dependencies = await self._dependencies(named.dependencies)
        silent = {"recovery_silent_since": silent_since(counts, unscanned_after=self._unscanned_after)}
        return Overview.model_validate(
            asdict(counts) | broker | silent | {"dependencies": dependencies, "unserved": unserved}
        )

    async def _queues(self, pools: Sequence[str]) -> list[QueueState] | None:
        try:
            async with asyncio.timeout(BROKER_PATIENCE.total_seconds()):
                return [QueueState.model_validate(depth) for depth in await self._ask_queues(pools)]
        except Exception as error:
            if not is_outage(error):
                raise
            log.info("overview.broker_away", error=type(error).__name__)
            return None

    async def _dependencies(self, names: Sequence[str]) -> list[DependencyStanding]:
        try:
            known = await self._ask_dependencies(names)
        except ConnectionError as error:
            log.info("overview.redis_away", error=type(error).__name__)
            return [DependencyStanding(name=name, state=None, changed_at=None, probe_at=None) for name in names]
        return [_standing(name, known.get(name)) for name in names]


def silent_since(counts: "Counts", *, unscanned_after: timedelta) -> datetime | None:
    """Since when recovery has not shown that it is there: it owes an answer, or scans."""
    signs = ((counts.oldest_request_at, SILENT_AFTER), (counts.scanned_at, unscanned_after))
    return min((at for at, patience in signs if at is not None and counts.now - at > patience), default=None)


def _standing(name: str, dependency: "Dependency | None") -> DependencyStanding:
    if dependency is None:
        return DependencyStanding(name=name, state=DependencyState.CLOSED, changed_at=None, probe_at=None)
    return DependencyStanding(
        name=name, state=dependency.state, changed_at=dependency.changed_at, probe_at=dependency.probe_at
    )
