"""Archiving workflows once they are old enough, and deleting from the archive what is older than is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from ratchet.observability.metrics import RecoveryMetrics
from ratchet.recovery_ports import Archive

log = structlog.get_logger()

BATCH = 200
BETWEEN_BATCHES = timedelta(milliseconds=200)
EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Ages:
    """How long what stays where; None: for ever. Ended and failed ones before they are archived, then the archive."""

    finished: timedelta | None
    failed: timedelta | None
    archived: timedelta | None

    @classmethod
    def of_settings(cls, finished: timedelta, failed: timedelta, archived: timedelta) -> "Ages":
        """From durations of which zero means for ever."""
        return cls(finished or None, failed or None, archived or None)


class ArchiveWorkflows:
    """Runs for ever. Any number may run: each takes rows that nobody has locked."""

    def __init__(self, archive: Archive, metrics: RecoveryMetrics, *, ages: Ages) -> None:
        self._archive = archive
        self._metrics = metrics
        self._ages = ages

    async def run(self) -> None:
        """Archive and purge batch after batch with a breath in between, then wait."""
        while True:
            archived = await self._batch("archive.postponed", self.archive_some)
            purged = await self._batch("archive.purge_postponed", self.purge_some)
            is_more = max(archived, purged) >= BATCH
            await asyncio.sleep((BETWEEN_BATCHES if is_more else EVERY).total_seconds())

    async def archive_some(self) -> int:
        """One batch of those that ended and one of those that failed. Safe to repeat."""
        ages = self._ages
        if ages.finished is None and ages.failed is None:
            return 0
        moved = await self._archive.archive_some(finished=ages.finished, failed=ages.failed, limit=BATCH)
        if moved:
            self._metrics.archived.inc(moved)
            log.info("archive.moved", workflows=moved)
        return moved

    async def purge_some(self) -> int:
        """One batch. Safe to repeat."""
        if self._ages.archived is None:
            return 0
        purged = await self._archive.purge_some(older_than=self._ages.archived, limit=BATCH)
        if purged:
            self._metrics.purged.inc(purged)
            log.warning("archive.purged", workflows=purged)
        return purged

    async def _batch(self, event: str, work: Callable[[], Awaitable[int]]) -> int:
        try:
            return await work()
        except Exception as error:  # whatever it was, the rows are still there and this runs again
            log.warning(event, error=f"{type(error).__name__}: {error}")
            return 0
