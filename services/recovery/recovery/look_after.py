"""Dead letters: what the broker or an executor gave up on is settled by the workflow's row, never by the letter."""

from dataclasses import replace
from enum import StrEnum
from uuid import UUID, uuid4

import structlog
from ratchet.domain.failure import Failure, sanitise
from ratchet.domain.recovery import AUTOMATIC_LIMIT, SYSTEM, RecoveryKind, newest_intact
from ratchet.domain.workflow import LIVE, FailureKind, WorkflowStatus
from ratchet.messages import events
from ratchet.observability.metrics import RecoveryMetrics, begin
from ratchet.ports import Change, RecoveryStore, RecoveryTransaction, WorkflowRow

from recovery import plan
from recovery.carry_out import Wish, carry_out, gather_facts, put_into_effect
from recovery.heed_presence import heed_presence, is_served
from recovery.plan import Decision, Facts, Failing, Plan

log = structlog.get_logger()

FOUND_DAMAGE = "What the failed workflow stands on was verified"
INNOCENT = "Its message was returned too often"


class Verdict(StrEnum):
    """What a dead letter turned out to be."""

    FAILED = "failed"
    """A step given up: the workflow now waits for a person."""
    RECOVERING = "recovering"
    """A step given up: tried again at once, because the definition allows it."""
    POISON = "poison"
    REISSUED = "reissued"
    """Unfinished work, such as an innocent neighbour of a poison message: it got a new command."""
    UNSERVED = "unserved"
    """Unfinished work that nobody can run now: kept aside until somebody can."""
    STALE = "stale"
    HELD = "held"
    """Its executor lives and works on it: only the message had trouble. If that executor dies, the scan will see it."""
    UNKNOWN = "unknown"
    """There is no such workflow."""


RETURNED, PARKED = "returned", "parked"
"""What became of a dead command that nobody had taken up: counted beside the verdicts."""


class LookAfter:
    """The use case. One instance serves all dead letters."""

    def __init__(self, store: RecoveryStore, metrics: RecoveryMetrics) -> None:
        self._store = store
        self._metrics = metrics
        begin(metrics.dead_letters, [*Verdict, RETURNED, PARKED])

    async def __call__(
        self, workflow_id: UUID, message_id: str | None, *, was_returned_too_often: bool = False
    ) -> Verdict:
        """Look at one workflow. `message_id` is the dead message's; None for a notice that an executor wrote itself.

        A message that `was_returned_too_often` proves nothing against its workflow: it may have stood in line each time
        that another one killed the process. So it is sent again, and nothing is counted.

        Safe to repeat: the second time the row says that it was looked after.
        """
        async with self._store.transaction() as transaction:
            row = await transaction.lock(workflow_id)
            verdict = Verdict.UNKNOWN
            if row is not None:
                verdict = await self.settle(transaction, row, message_id, is_innocent=was_returned_too_often)
        self._metrics.dead_letters.labels(verdict.value).inc()
        log.info("dead_letter.settled", verdict=verdict.value, workflow_id=str(workflow_id))
        return verdict

    async def settle(
        self, transaction: RecoveryTransaction, row: WorkflowRow, message_id: str | None, *, is_innocent: bool = False
    ) -> Verdict:
        """Decide by the row, which is locked."""
        if row.status is WorkflowStatus.FAILED:
            if row.requires_manual_intervention:
                return Verdict.STALE
            return await _after_failure(transaction, row)
        if row.status not in LIVE or message_id not in (None, row.command_id):
            return Verdict.STALE
        if row.is_held:
            return Verdict.HELD
        facts = await gather_facts(transaction, row)
        if row.recoveries >= AUTOMATIC_LIMIT and not is_innocent:
            await carry_out(transaction, row, poison(facts), automatic(INNOCENT, row))
            return Verdict.POISON
        if not await is_served(transaction, facts):
            await transaction.keep_aside(row.id)
            return Verdict.UNSERVED
        await reissue(transaction, facts, INNOCENT, counted=not is_innocent)
        return Verdict.REISSUED


async def reissue(
    transaction: RecoveryTransaction, facts: Facts, reason: str, *, counted: bool = True, same_command: bool = False
) -> Decision:
    """Send unfinished work to an executor again, after its checkpoint was verified.

    `counted` toward the automatic limit, unless it may only have had to wait. With the `same_command` the message that
    was believed lost stays valid, so whichever comes first wins; without it that message becomes stale.
    """
    row = facts.row
    if same_command:
        facts = replace(facts, new_command_id=row.command_id)
    decision = plan.from_newest_intact(facts, recoveries=row.recoveries + counted, fresh_start=False, reason=reason)
    if not isinstance(decision, Plan):
        error_class = "CheckpointDamaged" if isinstance(decision, Failing) else "DefinitionChanged"
        failure = Failure(FailureKind.INTERRUPTED, error_class, sanitise(decision.detail))
        told = events.recovery_failed(resumed_from=row.last_checkpoint_at, reason=failure.reason)
        decision = plan.failed(facts, failure, message=events.PERMANENT)
        decision = replace(decision, events=(told, *decision.events))
    await carry_out(transaction, row, decision, automatic(reason, row))
    return decision


def poison(facts: Facts) -> Plan:
    """The verdict on a workflow whose executors died, or stood still, holding it as often as the cap allows."""
    row = facts.row
    died = [*facts.lost_executors, *([] if row.claimed_by is None else [row.claimed_by])]
    reason = f"Its executor died or stood still {row.recoveries + 1} times in a row while it ran this step"
    if died:
        reason += f"; the executors were {', '.join(died)}"
    return plan.failed(facts, Failure(FailureKind.POISON, "ProcessDied", sanitise(reason)), message=events.POISON)


def automatic(reason: str, row: WorkflowRow, kind: RecoveryKind = RecoveryKind.RESCUE) -> Wish:
    """A wish of nobody in particular."""
    return Wish(str(uuid4()), kind, SYSTEM, reason, row.correlation_id)


async def _after_failure(transaction: RecoveryTransaction, row: WorkflowRow) -> Verdict:
    facts = await gather_facts(transaction, row)
    definition = facts.definition
    if definition is not None and definition.recovers_automatically and row.recoveries == 0:
        decision = plan.from_newest_intact(facts, recoveries=1, fresh_start=True, reason="Tried again by itself")
        decision = await heed_presence(transaction, row, decision)
        if isinstance(decision, Plan):
            await carry_out(transaction, row, decision, automatic("Tried again by itself", row))
            return Verdict.RECOVERING
    await await_person(transaction, row, stand_by(facts))
    return Verdict.FAILED


async def await_person(transaction: RecoveryTransaction, row: WorkflowRow, standing: Plan) -> None:
    """Nothing was recovered, so there is something to record only where a checkpoint turned out to be damaged."""
    if standing.damaged or standing.detail is not None:
        await carry_out(transaction, row, standing, automatic(FOUND_DAMAGE, row, RecoveryKind.LOOK_AFTER))
    else:
        await put_into_effect(transaction, row, standing, correlation_id=row.correlation_id)


def stand_by(facts: Facts) -> Plan:
    """Stand on the newest intact checkpoint and wait for a person."""
    row, point = facts.row, newest_intact(facts.line)
    seq = row.checkpoint_seq if point is None or point.checkpoint is None else point.checkpoint.seq
    reason, detail = row.failure_reason or "unknown", None
    if point is None:
        detail = "None of its checkpoints is intact"
        reason = f"{reason} (and none of its checkpoints is intact)"
    change = Change(
        status=WorkflowStatus.FAILED,
        step_index=row.step_index,
        current_step=row.current_step,
        checkpoint_seq=seq,
        command_id=row.command_id,
        recoveries=row.recoveries,
        needs_person=True,
    )
    damaged = () if point is None else point.damaged
    return Plan(change, (events.needs_attention(reason),), damaged=damaged, detail=detail)
