"""Carrying out bulk recoveries: canaries first, then the rest at a bounded rate, until the first relapse."""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog
from ratchet.domain.bulk_recovery import BulkState, End, ItemOutcome, Start, Wait, next_move
from ratchet.domain.recovery import RecoveryKind, RecoveryOutcome
from ratchet.domain.workflow import WorkflowStatus
from ratchet.observability.metrics import RecoveryMetrics, begin
from ratchet.recovery_ports import BulkItem, BulkRequest, BulkStore, BulkTransaction, ItemResult

from recovery import plan
from recovery.carry_out import Wish, carry_out, gather_facts
from recovery.heed_presence import heed_presence
from recovery.plan import Plan

log = structlog.get_logger()

CHUNK = 50
"""Items of one transaction, so that the batch can be cancelled and its progress be seen meanwhile."""

PAUSE = timedelta(milliseconds=300)


class RunBulk:
    """Runs for ever; a restart goes on where the last commit left off. `rate` is in workflows per second."""

    def __init__(self, store: BulkStore, metrics: RecoveryMetrics, *, rate: int) -> None:
        self._store = store
        self._metrics = metrics
        self._rate = rate
        self._not_before: dict[UUID, float] = {}
        begin(metrics.bulk_ended, BulkState)
        begin(metrics.bulk_items, ItemOutcome)

    async def run(self) -> None:
        """Advance every running batch in turn."""
        clock = asyncio.get_running_loop().time
        while True:
            began, done = clock(), 0
            try:
                running = await self._store.running()
                self._metrics.bulk_running.set(len(running))
                due = [bulk_id for bulk_id in running if self._not_before.get(bulk_id, 0.0) <= clock()]
                done = sum([await self.advance(bulk_id) for bulk_id in due])
            except Exception as error:  # whatever it was, what was committed is kept and this runs again
                log.warning("bulk.postponed", error=f"{type(error).__name__}: {error}")
            pause = done / self._rate if done else PAUSE.total_seconds()
            await asyncio.sleep(max(0.0, pause - (clock() - began)))

    async def advance(self, bulk_id: UUID) -> int:
        """One step of a batch, in one transaction; how many items it took. Safe to repeat and to run twice at once."""
        end: End | None = None
        results = list[ItemResult]()
        async with self._store.transaction() as transaction:
            found = await transaction.lock_bulk(bulk_id)
            if found is None:
                return 0
            bulk, progress = found
            match next_move(progress, canary=bulk.canary):
                case Wait():
                    return 0
                case End() as end:
                    await transaction.end_bulk(bulk, end.state, end.detail)
                case Start(limit):
                    slowly = CHUNK if bulk.rate is None else min(CHUNK, bulk.rate)
                    items = await transaction.pending_items(bulk_id, limit=min(limit, slowly))
                    if bulk.rate is not None:
                        self._not_before[bulk_id] = asyncio.get_running_loop().time() + len(items) / bulk.rate
                    results = [await _recover(transaction, bulk, item) for item in items]
                    await transaction.keep_items(bulk_id, results)
        if end is not None:
            self._not_before.pop(bulk_id, None)
            self._metrics.bulk_ended.labels(end.state.value).inc()
            log.info("bulk.ended", bulk_id=str(bulk_id), state=end.state.value, detail=end.detail)
        for result in results:
            self._metrics.bulk_items.labels(result.outcome.value).inc()
        return len(results)


async def _recover(transaction: BulkTransaction, bulk: BulkRequest, item: BulkItem) -> ItemResult:
    row = await transaction.lock(item.workflow_id)
    if row is None:
        return ItemResult(item, ItemOutcome.SKIPPED, "It is archived, or there is none")
    facts = await gather_facts(transaction, row)
    decision = await heed_presence(transaction, row, plan.recover(facts))
    if isinstance(decision, plan.Refusal) and row.status is not WorkflowStatus.FAILED:
        return ItemResult(item, ItemOutcome.SKIPPED, f"It is {row.status} by now")
    wish = Wish(item.recovery_id, RecoveryKind.RECOVER, bulk.actor, bulk.reason, bulk.correlation_id)
    outcome = await carry_out(transaction, row, decision, wish)
    if outcome is not RecoveryOutcome.RESUMED or not isinstance(decision, Plan):
        return ItemResult(item, ItemOutcome.FAILED, None if isinstance(decision, Plan) else decision.detail)
    # Where every step was done already there is nothing left to show.
    return ItemResult(item, ItemOutcome.VERIFIED if decision.awaited_step is None else ItemOutcome.STARTED)
