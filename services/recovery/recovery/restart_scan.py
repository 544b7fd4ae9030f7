"""The restart scan: finds workflows that nothing will move any more, and gives each a new command."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from ratchet.domain.failure import Failure
from ratchet.domain.recovery import AUTOMATIC_LIMIT
from ratchet.domain.workflow import FailureKind, WorkflowStatus
from ratchet.messages import events
from ratchet.observability.metrics import RecoveryMetrics
from ratchet.ports import RecoveryStore, RecoveryTransaction, WorkflowRow

from recovery import plan
from recovery.carry_out import carry_out, gather_facts
from recovery.look_after import LookAfter, automatic, poison, reissue
from recovery.plan import Decision

log = structlog.get_logger()

FOUND = "Found interrupted by the restart scan"
UNATTENDED_AFTER = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What one scan did."""

    resumed: int = 0
    failed: int = 0
    attended: int = 0


class RestartScan:
    """The use case. `concurrency` bounds how many workflows are rescued at once."""

    def __init__(
        self,
        *,
        store: RecoveryStore,
        look_after: LookAfter,
        metrics: RecoveryMetrics,
        stale_after: timedelta,
        concurrency: int,
        observe: "Callable[[], Awaitable[None]]",
    ) -> None:
        self._store = store
        self._look_after = look_after
        self._metrics = metrics
        self._stale_after = stale_after
        self._concurrency = concurrency
        self._observe = observe

    async def __call__(self, reason: str) -> ScanResult | None:
        """Scan until nothing is left; None when another scan is at it. Safe to repeat and to run twice at once."""
        async with self._store.scanning() as is_ours:
            if not is_ours:
                self._metrics.scans.labels("skipped").inc()
                return None
            result = await self._scan()
        await self._observe()
        self._metrics.scans.labels("done").inc()
        self._metrics.last_scan.set_to_current_time()
        if result != ScanResult():
            log.info("scan.done", reason=reason, resumed=result.resumed, failed=result.failed, attended=result.attended)
        return result

    async def _scan(self) -> ScanResult:
        resumed = failed = attended = 0
        while True:
            rescued = await self._rescue_some()
            resumed += sum(rescued)
            failed += len(rescued) - sum(rescued)
            looked_after = await self._attend_some()
            attended += looked_after
            if not rescued and not looked_after:
                return ScanResult(resumed, failed, attended)

    async def _rescue_some(self) -> list[bool]:
        async with self._store.transaction() as transaction:
            rows = await transaction.lock_interrupted(stale_after=self._stale_after, limit=self._concurrency)
            outcomes = [await _rescue(transaction, row) for row in rows]
        self._count(rows, outcomes)
        return [decision.change.status is not WorkflowStatus.FAILED for decision in _plans(outcomes)]

    async def _attend_some(self) -> int:
        async with self._store.transaction() as transaction:
            rows = await transaction.lock_unattended(older_than=UNATTENDED_AFTER, limit=self._concurrency)
            for row in rows:
                await self._look_after.settle(transaction, row, None)
        return len(rows)

    def _count(self, rows: Iterable[WorkflowRow], outcomes: Iterable[Decision]) -> None:
        for row, decision in zip(rows, _plans(outcomes), strict=True):
            outcome = "failed" if decision.change.status is WorkflowStatus.FAILED else "resumed"
            self._metrics.rescues.labels(outcome).inc()
            log.warning(
                "workflow.rescued" if outcome == "resumed" else "workflow.rescue_failed",
                workflow_id=str(row.id),
                was=row.status.value,
                step=row.current_step,
                recoveries=row.recoveries + 1,
                correlation_id=row.correlation_id,
            )


def _plans(decisions: Iterable[Decision]) -> list[plan.Plan]:
    return [decision for decision in decisions if isinstance(decision, plan.Plan)]


async def _rescue(transaction: RecoveryTransaction, row: WorkflowRow) -> Decision:
    if row.recoveries < AUTOMATIC_LIMIT:
        return await reissue(transaction, row, FOUND)
    facts = await gather_facts(transaction, row)
    if row.status is WorkflowStatus.EXECUTING:
        decision = poison(facts)
    else:
        reason = f"Interrupted {row.recoveries + 1} times in a row without progress"
        failure = Failure(FailureKind.INTERRUPTED, "Interrupted", reason)
        decision = plan.failed(facts, failure, message=events.PERMANENT)
    await carry_out(transaction, row, decision, automatic(FOUND, row))
    return decision
