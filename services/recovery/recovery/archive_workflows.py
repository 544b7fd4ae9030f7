"""Archiving finished workflows once they are old enough."""

import asyncio
from datetime import timedelta

import structlog
from ratchet.observability.metrics import RecoveryMetrics
from ratchet.recovery_ports import Archive

log = structlog.get_logger()

BATCH = 200
BETWEEN_BATCHES = timedelta(milliseconds=200)
EVERY = timedelta(minutes=5)


class ArchiveWorkflows:
    """Runs for ever. Any number may run: each takes rows that nobody has locked."""

    def __init__(self, archive: Archive, metrics: RecoveryMetrics, *, older_than: timedelta) -> None:
        """Workflows that were finished longer ago than `older_than` are archived; zero: none ever is."""
        self._archive = archive
        self._metrics = metrics
        self._older_than = older_than

    async def run(self) -> None:
        """Archive batch after batch with a breath in between, then wait."""
        while self._older_than:
            try:
                moved = await self._archive.archive_some(older_than=self._older_than, limit=BATCH)
            except Exception as error:  # whatever it was, the rows are still there and this runs again
                log.warning("archive.postponed", error=f"{type(error).__name__}: {error}")
                moved = 0
            if moved:
                self._metrics.archived.inc(moved)
                log.info("archive.moved", workflows=moved)
            await asyncio.sleep((BETWEEN_BATCHES if moved == BATCH else EVERY).total_seconds())
