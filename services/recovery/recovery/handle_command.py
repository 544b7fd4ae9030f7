"""Commands of people: recover, retry, skip, restore, cancel, pause, resume, override; each once, and in their order."""

import asyncio
from dataclasses import replace

import structlog
from ratchet.domain.recovery import Problem, RecoveryKind, RecoveryOutcome
from ratchet.domain.seen import is_meant, mark_of
from ratchet.domain.workflow import WorkflowStatus
from ratchet.messages.commands import RecoveryCommand, RecoveryRequest
from ratchet.observability.metrics import RecoveryMetrics, begin
from ratchet.ports import RecoveryRecord, RecoveryStore, RecoveryTransaction, WorkflowRow

from recovery import plan
from recovery.carry_out import Wish, carry_out, gather_facts
from recovery.heed_presence import heed_presence
from recovery.plan import Decision, Facts, Refusal

log = structlog.get_logger()

KINDS = {
    RecoveryCommand.RECOVER_WORKFLOW: RecoveryKind.RECOVER,
    RecoveryCommand.RETRY_STEP: RecoveryKind.RETRY,
    RecoveryCommand.SKIP_STEP: RecoveryKind.SKIP,
    RecoveryCommand.RESTORE_CHECKPOINT: RecoveryKind.RESTORE,
    RecoveryCommand.CANCEL_WORKFLOW: RecoveryKind.CANCEL,
    RecoveryCommand.PAUSE_WORKFLOW: RecoveryKind.PAUSE,
    RecoveryCommand.RESUME_WORKFLOW: RecoveryKind.RESUME,
    RecoveryCommand.OVERRIDE_STATUS: RecoveryKind.OVERRIDE,
}


TURNS = (0.05, 0.1, 0.2, 0.5, *[1.0] * 10)
"""How a command waits for earlier ones, in seconds. One of those may be set aside, so it does not wait for ever."""


class NotStarted(Exception):
    """There is no such workflow yet."""


class HandleCommand:
    """The use case. One instance serves all commands."""

    def __init__(self, store: RecoveryStore, metrics: RecoveryMetrics) -> None:
        self._store = store
        self._metrics = metrics
        begin(metrics.commands, RecoveryKind, RecoveryOutcome)

    async def __call__(
        self,
        kind: RecoveryKind,
        request: RecoveryRequest,
        *,
        recovery_id: str,
        correlation_id: str,
        may_wait: bool = False,
    ) -> None:
        """Decide and carry out, in one transaction. Safe to repeat with the same id: the second time does nothing.

        Raises:
            NotStarted: there is no such workflow, which is only said if the command `may_wait` for it; nothing is done.
        """
        wish = Wish(recovery_id, kind, request.actor, request.reason, correlation_id)
        for pause in TURNS:
            if await self._is_its_turn(recovery_id):
                break
            await asyncio.sleep(pause)
        async with self._store.transaction() as transaction:
            row = await transaction.lock(request.workflow_id)
            # Looked up after the lock: of two deliveries of one command the second waits here and then sees the first.
            if await transaction.is_recorded(recovery_id):
                return
            if row is None:
                outcome = await _from_archive(transaction, request, wish, may_wait=may_wait)
            else:
                decision = decide(kind, request, await gather_facts(transaction, row))
                decision = await heed_presence(transaction, row, decision)
                outcome = await carry_out(transaction, row, decision, wish)
        self._metrics.commands.labels(kind.value, outcome.value).inc()
        log.info(
            "recovery.command",
            kind=kind.value,
            outcome=outcome.value,
            workflow_id=str(request.workflow_id),
            actor=request.actor,
            recovery_id=recovery_id,
            correlation_id=correlation_id,
        )

    async def _is_its_turn(self, recovery_id: str) -> bool:
        async with self._store.transaction() as transaction:
            return not await transaction.is_asked_earlier(recovery_id)


def decide(kind: RecoveryKind, request: RecoveryRequest, facts: Facts) -> Decision:
    """The decision for one request; pure."""
    changed = _is_another(request, facts.row)
    if changed is not None:
        return changed
    facts = replace(facts, run_instead=request.run_instead)
    match kind:
        case RecoveryKind.RECOVER:
            return plan.recover(facts)
        case RecoveryKind.RETRY:
            return plan.retry(facts)
        case RecoveryKind.SKIP:
            return plan.skip(facts)
        case RecoveryKind.CANCEL:
            return plan.cancel(facts)
        case RecoveryKind.PAUSE:
            return plan.pause(facts)
        case RecoveryKind.RESUME:
            return plan.resume(facts)
        case RecoveryKind.RESTORE if request.checkpoint_seq is not None:
            return plan.restore(facts, request.checkpoint_seq)
        case RecoveryKind.OVERRIDE if request.status is not None and request.reason:
            return plan.override(facts, request.status, reason=request.reason, actor=request.actor)
        case _:
            return Refusal(Problem.BAD_REQUEST, f"The command {kind.value} lacks what it needs")


def _is_another(request: RecoveryRequest, row: WorkflowRow) -> Refusal | None:
    """A refusal if the workflow does not stand as it was seen by whoever asks."""
    now = f"it is {row.status} at {row.current_step!r}" if row.current_step else f"it is {row.status}"
    if request.failed_attempt is not None:
        if row.status is not WorkflowStatus.FAILED:
            return Refusal(Problem.FAILURE_CHANGED, f"The failure that was seen is gone: {now}")
        if row.failed_attempts != request.failed_attempt:
            told = f"attempt {row.failed_attempts} has failed since, not only {request.failed_attempt}"
            return Refusal(Problem.FAILURE_CHANGED, f"This is another failure than the one that was seen: {told}")
    mark = mark_of(row.status, row.current_step, row.last_seq, row.failed_at)
    if request.if_match is not None and not is_meant(request.if_match, mark):
        return Refusal(Problem.FAILURE_CHANGED, f"The workflow has changed since it was seen: {now}. Look again first")
    return None


class _StaysArchived(Exception):
    """What was asked for is refused, so the workflow does not come back for it."""

    def __init__(self, row: WorkflowRow, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.row = row
        self.refusal = refusal


async def _from_archive(
    transaction: RecoveryTransaction, request: RecoveryRequest, wish: Wish, *, may_wait: bool
) -> RecoveryOutcome:
    """Bring an archived workflow back for what can be done to it."""
    try:
        async with transaction.savepoint():
            return await _brought_back(transaction, request, wish, may_wait=may_wait)
    except _StaysArchived as stays:
        return await carry_out(transaction, stays.row, stays.refusal, wish)


async def _brought_back(
    transaction: RecoveryTransaction, request: RecoveryRequest, wish: Wish, *, may_wait: bool
) -> RecoveryOutcome:
    row = await transaction.bring_back(request.workflow_id)
    if row is None and may_wait:
        raise NotStarted
    if row is None:
        return await _refuse_unknown(transaction, request, wish)
    if await transaction.is_recorded(wish.id):  # what was done about it had been archived with it
        return RecoveryOutcome.DONE
    decision = decide(wish.kind, request, await gather_facts(transaction, row))
    decision = await heed_presence(transaction, row, decision)
    if isinstance(decision, Refusal):
        raise _StaysArchived(row, decision)
    return await carry_out(transaction, row, decision, wish)


async def _refuse_unknown(transaction: RecoveryTransaction, request: RecoveryRequest, wish: Wish) -> RecoveryOutcome:
    record = RecoveryRecord(
        id=wish.id,
        workflow_id=request.workflow_id,
        kind=wish.kind,
        actor=wish.actor,
        outcome=RecoveryOutcome.REFUSED,
        correlation_id=wish.correlation_id,
        reason=wish.reason,
        problem=Problem.UNKNOWN_WORKFLOW,
        detail=f"There is no workflow {request.workflow_id}",
    )
    await transaction.record([record])
    return RecoveryOutcome.REFUSED
