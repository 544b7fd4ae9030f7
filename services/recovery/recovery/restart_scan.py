"""The restart scan: finds workflows that nothing will move any more, and sends each to an executor again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from ratchet.domain.breaker import Breaker, BreakerState, Evidence, advance, allowance
from ratchet.domain.definition import DEFAULT_POOL
from ratchet.domain.errors import RatchetError
from ratchet.domain.failure import Failure, sanitise
from ratchet.domain.interruption import Interruption, QueueDepth
from ratchet.domain.recovery import AUTOMATIC_LIMIT
from ratchet.domain.trouble import Trouble, trouble_of
from ratchet.domain.workflow import FailureKind, WorkflowStatus
from ratchet.messages import events
from ratchet.observability.metrics import RecoveryMetrics, begin
from ratchet.ports import RecoveryStore, RecoveryTransaction, WorkflowRow
from ratchet.recovery_ports import ScanCounts, ScanLedger

from recovery import plan
from recovery.await_executors import AwaitExecutors
from recovery.carry_out import carry_out, gather_facts
from recovery.look_after import LookAfter, automatic, await_person, poison, reissue, stand_by
from recovery.plan import Decision, Facts

log = structlog.get_logger()

FOUND = "Found interrupted by the restart scan"
UNATTENDED_AFTER = timedelta(seconds=10)
LOOK_EVERY = 0.02
"""How often, in seconds, it is looked whether a place is free while workflows wait for one."""

UNREADABLE_ROW = "What is stored of this workflow cannot be read"
UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError, RatchetError)
"""What reading a damaged row raises, unless a driver means an outage by it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a scan looks, and how many places there are.

    A rescued workflow takes one of the `concurrency` places until its step has passed or failed, but no longer than
    `place`: one whose step takes hours, or that nobody takes up, must not keep the others waiting. A scan goes on for
    `turn` and then asks for another one, so that it is never long in the hands of a service that may have to stop.
    """

    when: Interruption
    concurrency: int
    place: timedelta = timedelta(seconds=5)
    turn: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Senses:
    """What a scan learns from outside: how full the pools' queues are, and figures for the dashboards afterwards."""

    depths: Callable[[], Awaitable[Mapping[str, QueueDepth]]]
    observe: Callable[[], Awaitable[None]]
    ask_again: Callable[[], Awaitable[None]] | None = None
    """Asks for another scan, which goes on where this one has to leave off."""


class RestartScan:
    """The use case."""

    def __init__(
        self,
        *,
        store: RecoveryStore,
        ledger: ScanLedger,
        unserved: AwaitExecutors,
        look_after: LookAfter,
        metrics: RecoveryMetrics,
        rules: Rules,
        senses: Senses,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._unserved = unserved
        self._look_after = look_after
        self._metrics = metrics
        begin(metrics.scans, ("skipped", "paused", "done"))
        begin(metrics.rescues, ("resumed", "failed"))
        self._rules = rules
        self._senses = senses

    async def __call__(self, reason: str) -> ScanCounts | None:
        """Scan until nothing is left, or its turn is over; None when another scan is at it.

        Safe to repeat and to run twice at once.
        """
        async with self._store.scanning() as is_ours:
            if not is_ours:
                self._metrics.scans.labels("skipped").inc()
                return None
            may_rescue = await self._consult_breaker()
            # Read before the rows are: a message that arrives in between then only makes the scan more careful.
            when = replace(self._rules.when, depths=await self._senses.depths())
            await self._unserved.set_aside()
            counts = await self._scan(when, may_rescue)
            await self._ledger.scanned(counts)
        if counts.has_more and self._senses.ask_again is not None:
            await self._senses.ask_again()
        await self._observe()
        self._metrics.scans.labels("paused" if may_rescue == 0 else "done").inc()
        self._metrics.last_scan.set_to_current_time()
        if counts != ScanCounts():
            log.info(
                "scan.done",
                reason=reason,
                resumed=counts.resumed,
                failed=counts.failed,
                attended=counts.attended,
                held_back=counts.held_back,
            )
        return counts

    async def _observe(self) -> None:
        """What is only counted for dashboards never makes a scan that was done be done again."""
        try:
            await self._senses.observe()
        except Exception as error:  # whatever it was, the next scan counts again
            log.warning("scan.not_counted", error=f"{type(error).__name__}: {error}")

    async def _consult_breaker(self) -> int | None:
        before, evidence, now = await self._ledger.breaker()
        after = advance(before, evidence, now)
        if after != before:
            reason = _why(after, evidence)
            await self._ledger.keep(after, reason=reason)
            tell = log.error if after.state is BreakerState.OPEN else log.warning
            tell("scan.breaker", state=after.state.value, reason=reason, probe_at=str(after.probe_at))
        for state in BreakerState:
            self._metrics.breaker.labels(state.value).set(state is after.state)
        return allowance(before, after)

    async def _scan(self, when: Interruption, may_rescue: int | None) -> ScanCounts:
        counts, left = ScanCounts(), may_rescue
        clock = asyncio.get_running_loop().time
        ends_at = clock() + self._rules.turn.total_seconds()
        while True:
            places = await self._free_places()
            limit = places if left is None else min(left, places)
            rescued = await self._rescue_some(when, limit) if limit else []
            attended = await self._attend_some()
            if not rescued and not attended:
                if left == 0 or places or not await self._held_back(when, limit=1):
                    break
                if clock() >= ends_at:
                    counts = replace(counts, has_more=True)
                    break
                await asyncio.sleep(LOOK_EVERY)
            left = None if left is None else left - len(rescued)
            counts = replace(
                counts,
                resumed=counts.resumed + sum(rescued),
                failed=counts.failed + len(rescued) - sum(rescued),
                attended=counts.attended + attended,
            )
        return counts if left is None else replace(counts, held_back=await self._held_back(when))

    async def _free_places(self) -> int:
        async with self._store.transaction() as transaction:
            taken = await transaction.count_rescued(within=self._rules.place)
        return max(0, self._rules.concurrency - taken)

    async def _held_back(self, when: Interruption, *, limit: int = 1000) -> int:
        async with self._store.transaction() as transaction:
            return len(await transaction.lock_interrupted(when, limit=limit))

    async def _rescue_some(self, when: Interruption, limit: int) -> list[bool]:
        async with self._store.transaction() as transaction:
            rows = await transaction.lock_interrupted(when, limit=limit)
            resumed = [await _rescue_apart(transaction, row, when) for row in rows]
        for row, is_resumed in zip(rows, resumed, strict=True):
            self._report(row, is_resumed=is_resumed)
        return resumed

    async def _attend_some(self) -> int:
        async with self._store.transaction() as transaction:
            rows = await transaction.lock_unattended(older_than=UNATTENDED_AFTER, limit=self._rules.concurrency)
            for row in rows:
                await self._attend_apart(transaction, row)
        return len(rows)

    async def _attend_apart(self, transaction: RecoveryTransaction, row: WorkflowRow) -> None:
        try:
            async with transaction.savepoint():
                await self._look_after.settle(transaction, row, None)
        except Exception as error:
            if not is_the_rows_own(error):
                raise
            log.exception("workflow.unreadable", workflow_id=str(row.id), correlation_id=row.correlation_id)
            await await_person(transaction, row, replace(stand_by(_blind(row)), detail=UNREADABLE_ROW))

    def _report(self, row: WorkflowRow, *, is_resumed: bool) -> None:
        self._metrics.rescues.labels("resumed" if is_resumed else "failed").inc()
        log.warning(
            "workflow.rescued" if is_resumed else "workflow.rescue_failed",
            workflow_id=str(row.id),
            was=row.status.value,
            step=row.current_step,
            recoveries=row.recoveries,
            lost_executor=row.claimed_by,
            correlation_id=row.correlation_id,
        )


async def _rescue_apart(transaction: RecoveryTransaction, row: WorkflowRow, when: Interruption) -> bool:
    """Rescue one row without its neighbours suffering from what may be wrong with it; whether it goes on."""
    try:
        async with transaction.savepoint():
            decision = await _rescue(transaction, row, when)
    except Exception as error:
        if not is_the_rows_own(error):
            raise
        # What is stored for this one cannot be read. It must not come up again and again before all the others.
        log.exception("workflow.unreadable", workflow_id=str(row.id), correlation_id=row.correlation_id)
        reason = f"{UNREADABLE_ROW} ({type(error).__name__})"
        failure = Failure(FailureKind.INTERRUPTED, "Unreadable", sanitise(reason))
        decision = plan.failed(_blind(row), failure, message=events.PERMANENT)
        await carry_out(transaction, row, decision, automatic(FOUND, row))
    return isinstance(decision, plan.Plan) and decision.change.status is not WorkflowStatus.FAILED


def is_the_rows_own(error: Exception) -> bool:
    """Whether the trouble lies in this row, or in what the database refuses to keep of it, and not in a server."""
    trouble = trouble_of(error)
    return trouble is Trouble.CONTENT or (isinstance(error, UNREADABLE) and not trouble.is_outage)


def _blind(row: WorkflowRow) -> Facts:
    return Facts(row, None, (), None, row.command_id)


async def _rescue(transaction: RecoveryTransaction, row: WorkflowRow, when: Interruption) -> Decision:
    facts = await gather_facts(transaction, row)
    is_held = row.status is WorkflowStatus.EXECUTING
    counted = is_held or when.proves_loss(_pool_of(facts))
    if row.recoveries < AUTOMATIC_LIMIT or not counted:
        return await reissue(transaction, facts, FOUND, counted=counted, same_command=not is_held)
    if is_held:
        decision = poison(facts)
    else:
        reason = f"Interrupted {row.recoveries + 1} times in a row without progress"
        failure = Failure(FailureKind.INTERRUPTED, "Interrupted", reason)
        decision = plan.failed(facts, failure, message=events.PERMANENT)
    await carry_out(transaction, row, decision, automatic(FOUND, row))
    return decision


def _pool_of(facts: Facts) -> str:
    step = None if facts.definition is None else facts.definition.step_at(facts.row.step_index)
    return DEFAULT_POOL if step is None else step.pool


def _why(after: Breaker, evidence: Evidence) -> str:
    seen = f"{evidence.relapsed} relapsed, {evidence.verified} verified, {evidence.pending} open"
    match after.state:
        case BreakerState.OPEN:
            return f"Most recent recoveries failed again ({seen}); the scan pauses"
        case BreakerState.PROBING:
            return "The pause is over; a few are rescued to see whether it helps"
        case BreakerState.CLOSED:
            return f"Recoveries help again ({seen})"
