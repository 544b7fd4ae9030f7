"""Sealing the audit log: new entries are put in the chain a moment after they were written."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from ratchet.observability.metrics import RecoveryMetrics
from ratchet.recovery_ports import AuditSealer

log = structlog.get_logger()

BATCH = 1000
PAUSE = timedelta(seconds=1)


class SealAudit:
    """Runs for ever. Any number may run: one at a time seals."""

    def __init__(self, sealer: AuditSealer, metrics: RecoveryMetrics, *, waiting: Callable[[], Awaitable[int]]) -> None:
        """`waiting()` counts entries that are not sealed yet."""
        self._sealer = sealer
        self._metrics = metrics
        self._waiting = waiting

    async def run(self) -> None:
        """Seal, then wait; without the wait while there is more."""
        while True:
            try:
                sealed = await self._sealer.seal_some(BATCH)
                self._metrics.sealed.inc(sealed)
                self._metrics.unsealed.set(await self._waiting())
            except Exception as error:  # whatever it was, the entries are still there and this runs again
                log.warning("audit.not_sealed", error=f"{type(error).__name__}: {error}")
                sealed = 0
            if sealed < BATCH:
                await asyncio.sleep(PAUSE.total_seconds())
