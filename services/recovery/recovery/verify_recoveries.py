"""Giving each recovery its verdict: verified, relapsed or superseded; stored, counted and told."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog
from ratchet.domain.verification import Verdict, judge
from ratchet.messages import events
from ratchet.messages.envelope import Outgoing
from ratchet.messages.events import Subject, announce
from ratchet.observability.metrics import RecoveryMetrics, begin
from ratchet.recovery_ports import OpenRecovery, WatchStore

log = structlog.get_logger()

BATCH = 200
PAUSE = timedelta(milliseconds=250)
SHARE = 20
"""Looking takes at most one part in so many of the time, however many recoveries are open."""


class VerifyRecoveries:
    """Runs for ever. Any number may run: each takes recoveries that no other one has locked."""

    def __init__(self, store: WatchStore, metrics: RecoveryMetrics) -> None:
        self._store = store
        self._metrics = metrics
        begin(metrics.verdicts, Verdict)

    async def run(self) -> None:
        """Settle what can be settled, then wait; without the wait while there is more."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                settled = await self.settle_some()
            except Exception as error:  # whatever it was, the watches are still there and this runs again
                log.warning("verdicts.postponed", error=f"{type(error).__name__}: {error}")
                settled = 0
            if settled < BATCH:
                await asyncio.sleep(max(PAUSE.total_seconds(), SHARE * (clock() - began)))

    async def settle_some(self) -> int:
        """Give up to `BATCH` verdicts; returns how many recoveries were looked at. Safe to repeat."""
        async with self._store.transaction() as transaction:
            found = await transaction.lock_decided(limit=BATCH)
            verdicts = [(item, verdict) for item in found if (verdict := _judge(item)) is not None]
            await transaction.settle(verdicts)
            await transaction.post([message for item, verdict in verdicts for message in _told(item, verdict)])
        for item, verdict in verdicts:
            self._metrics.verdicts.labels(verdict.value).inc()
            log.info(
                "recovery.settled",
                verdict=verdict.value,
                recovery_id=item.id,
                kind=item.kind.value,
                workflow_id=str(item.workflow_id),
                correlation_id=item.correlation_id,
            )
        return len(found)


def _judge(item: OpenRecovery) -> Verdict | None:
    return judge(passed=item.passed, status=item.status, following=item.following)


def _told(item: OpenRecovery, verdict: Verdict) -> list[Outgoing]:
    match verdict:
        case Verdict.VERIFIED:
            event = events.recovery_verified(item.id, step=item.awaited_step)
        case Verdict.RELAPSED:
            reason = item.failure_reason or "It failed again"
            event = events.recovery_relapsed(item.id, step=item.awaited_step, reason=reason)
        case Verdict.SUPERSEDED:
            return []
    subject = Subject(item.workflow_id, item.owner_id, item.correlation_id)
    return [announce(event, subject, event_id=str(uuid4()), at=datetime.now(UTC))]
