"""Pure decisions: a locked row and a wish in, a plan or a refusal out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ratchet.domain.checkpoint import Position, checksum
from ratchet.domain.definition import StepDefinition, WorkflowDefinition
from ratchet.domain.drift import Instead, instead_at, place_after
from ratchet.domain.errors import IllegalTransition
from ratchet.domain.failure import Failure, sanitise
from ratchet.domain.recovery import (
    ALLOWED,
    Problem,
    RecoveryKind,
    RestorePoint,
    StoredCheckpoint,
    allowed_now,
    line_of,
    newest_intact,
)
from ratchet.domain.workflow import FINAL, FailureKind, WorkflowStatus, require_transition
from ratchet.messages import events
from ratchet.messages.events import Event, EventType
from ratchet.ports import Change, SkippedStep, WorkflowRow
from ratchet.state import canonical


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision is made from. `input` is the state before the first step."""

    row: WorkflowRow
    definition: WorkflowDefinition | None
    checkpoints: Sequence[StoredCheckpoint]
    input: Any
    new_command_id: str
    input_is_intact: bool = True
    lost_executors: tuple[str, ...] = ()
    """Executors that died holding this workflow since its last progress, oldest first."""
    run_instead: str | None = None
    """The step that somebody has seen, and said, may run in the place of the one that it stopped at."""

    @property
    def line(self) -> list[StoredCheckpoint]:
        """The checkpoints the workflow stands on, oldest first."""
        return line_of(self.checkpoints, self.row.checkpoint_seq)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. `wakes` says that an executor of `pool` gets the new command."""

    change: Change
    events: tuple[Event, ...]
    wakes: bool = False
    pool: str | None = None
    resumed_from: datetime | None = None
    damaged: tuple[int, ...] = ()
    detail: str | None = None
    awaited_step: str | None = None
    """The step that shows whether a recovery helped; None where nothing has to be shown."""
    instead_of: str | None = None
    """The step in whose place another one runs, because somebody said so."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """It may not be done; nothing changes. `would_run` is the step that somebody would have to say is meant."""

    problem: Problem
    detail: str
    would_run: str | None = None


@dataclass(frozen=True, slots=True)
class Failing:
    """It may be done and cannot: the workflow stays where it is and needs a person."""

    problem: Problem
    detail: str
    damaged: tuple[int, ...] = ()


Decision = Plan | Refusal | Failing


def recover(facts: Facts) -> Decision:
    """Go on from the newest intact checkpoint; allowed for a Failed workflow."""
    row = facts.row
    if row.status is not WorkflowStatus.FAILED:
        return _wrong(row, "Only a Failed workflow can be recovered")
    return from_newest_intact(facts, recoveries=0, fresh_start=True)


def retry(facts: Facts) -> Decision:
    """Run the failed step again, with its full retries; allowed for a Failed workflow."""
    row = facts.row
    if row.status is not WorkflowStatus.FAILED:
        return _wrong(row, "Only a Failed workflow's step can be retried")
    return from_newest_intact(facts, recoveries=0, fresh_start=True)


def from_newest_intact(facts: Facts, *, recoveries: int, fresh_start: bool, reason: str | None = None) -> Decision:
    """Verify the line of checkpoints and go on after the last one that can be trusted."""
    point = newest_intact(facts.line)
    if point is None:
        damaged = tuple(checkpoint.seq for checkpoint in facts.line)
        return Failing(Problem.NO_INTACT_CHECKPOINT, "None of the workflow's checkpoints is intact", damaged)
    if point.checkpoint is None and facts.row.step_index > 0:
        return Failing(Problem.NO_INTACT_CHECKPOINT, "The workflow's checkpoints are gone")
    if point.checkpoint is None and not facts.input_is_intact:
        return Failing(Problem.NO_INTACT_CHECKPOINT, "The workflow's input does not match its checksum")
    return go_on_after(facts, point, recoveries=recoveries, fresh_start=fresh_start, reason=reason)


def go_on_after(
    facts: Facts, point: RestorePoint, *, recoveries: int = 0, fresh_start: bool = True, reason: str | None = None
) -> Decision:
    """Resume with the step that follows the restore point."""
    if facts.definition is None:
        return _unknown_definition(facts.row)
    chosen = None if point.checkpoint is None else point.checkpoint.seq
    line = line_of(facts.checkpoints, chosen)
    index = place_after(facts.definition, line)
    if isinstance(index, str):
        return Refusal(Problem.DEFINITION_CHANGED, index)
    instead = _instead(facts, facts.definition, index, line)
    if isinstance(instead, Refusal):
        return instead
    resumed_from = None if point.checkpoint is None else point.checkpoint.committed_at
    step = facts.definition.step_at(index)
    told = events.recovered(resumed_from=resumed_from, resumed_step=None if step is None else step.id, reason=reason)
    plan = _moved_to(
        facts,
        index,
        seq=chosen,
        told=(told,),
        recoveries=recoveries,
        fresh_start=fresh_start,
        resumed_from=resumed_from,
        damaged=point.damaged,
    )
    return _said(plan, instead)


def _instead(
    facts: Facts, definition: WorkflowDefinition, index: int, line: Sequence[StoredCheckpoint]
) -> Instead | Refusal | None:
    """No step runs in the place of the one that the workflow stopped at unless somebody has seen and said so."""
    row = facts.row
    stopped_at = None if row.status is WorkflowStatus.COMPLETED else row.current_step
    done = {checkpoint.position.step_id for checkpoint in (*facts.line, *line)}
    instead = instead_at(definition, index, stopped_at=stopped_at, done=done)
    if instead is None:
        if facts.run_instead in (None, stopped_at):
            return None
        detail = f"Step {facts.run_instead!r} would not run in the place of {stopped_at!r}"
        return Refusal(Problem.DEFINITION_CHANGED, detail)
    if facts.run_instead == instead.runs:
        return instead
    told = instead.told(definition, failed=row.status is WorkflowStatus.FAILED)
    return Refusal(Problem.DEFINITION_CHANGED, told, would_run=instead.runs)


def _said(plan: Plan, instead: Instead | None) -> Plan:
    if instead is None:
        return plan
    detail = f"{instead.runs!r} runs in the place of {instead.stopped_at!r}, as was asked for"
    return replace(plan, instead_of=instead.stopped_at, detail=detail)


def skip(facts: Facts) -> Decision:
    """Leave the failed step out: a checkpoint with the state unchanged; allowed for an optional step."""
    row, definition = facts.row, facts.definition
    if row.status is not WorkflowStatus.FAILED:
        return _wrong(row, "Only a Failed workflow's step can be skipped")
    if definition is None:
        return _unknown_definition(row)
    index = place_after(definition, facts.line)
    if isinstance(index, str):
        return Refusal(Problem.DEFINITION_CHANGED, index)
    step = definition.step_at(index)
    if step is None or step.id != row.current_step:
        found = "no step" if step is None else f"step {step.id!r}"
        detail = f"Step {row.current_step!r} had failed, and the definition has {found} in its place by now"
        return Refusal(Problem.DEFINITION_CHANGED, f"{detail}; a recovery can say that this is meant")
    if not step.optional:
        return Refusal(Problem.STEP_NOT_OPTIONAL, f"Step {step.id!r} is not optional, so it cannot be skipped")
    point = newest_intact(facts.line)
    from_input = point is not None and point.checkpoint is None
    if point is None or point.damaged or (from_input and (row.step_index > 0 or not facts.input_is_intact)):
        return Failing(Problem.DAMAGED_CHECKPOINT, "The checkpoint before this step is damaged; recover instead")
    place = Position(row.id, row.last_seq + 1, index, step.id)
    state = facts.input if point.checkpoint is None else point.checkpoint.state
    skipped = SkippedStep(place, row.checkpoint_seq, state, checksum(place, canonical(state)))
    told = (events.plain(EventType.STEP_SKIPPED, stepName=step.id),)
    return _moved_to(facts, index + 1, seq=place.seq, told=told, skipped=skipped, fresh_start=True)


def restore(facts: Facts, seq: int) -> Decision:
    """Go on after a chosen checkpoint, of any line; what came after it stays in the history."""
    row = facts.row
    if RecoveryKind.RESTORE not in ALLOWED[row.status]:
        return _wrong(row, "A workflow can be restored when it is Failed, Paused, Completed or Cancelled")
    chosen = next((checkpoint for checkpoint in facts.checkpoints if checkpoint.seq == seq), None)
    if chosen is None:
        return Refusal(Problem.UNKNOWN_CHECKPOINT, f"The workflow has no checkpoint {seq}")
    if not chosen.is_intact:
        return Refusal(Problem.DAMAGED_CHECKPOINT, f"Checkpoint {seq} does not match its checksum")
    return go_on_after(facts, RestorePoint(chosen, ()))


def _wrong(row: WorkflowRow, rule: str) -> Refusal:
    return Refusal(Problem.WRONG_STATUS, f"{rule}; this one is {row.status} ({allowed_now(row.status)})")


def cancel(facts: Facts) -> Decision:
    """End it. A step that runs right now loses its claim, so its result is dropped, which the record says."""
    return _to_status(facts, WorkflowStatus.CANCELLED, events.plain(EventType.CANCELLED))


def dropped(row: WorkflowRow) -> str | None:
    """What is said of a step that runs while its claim is taken away: its result will not be committed."""
    if row.claimed_by is None:
        return None
    return f"Step {row.current_step!r} was running on {row.claimed_by}; its result is dropped"


def pause(facts: Facts) -> Decision:
    """Hold it. A step that runs right now may still commit; nothing begins after it."""
    row = facts.row
    illegal = _illegal(row, WorkflowStatus.PAUSED)
    if illegal is not None:
        return illegal
    change = _stay(facts, WorkflowStatus.PAUSED, keeps_claim=row.status is WorkflowStatus.EXECUTING)
    return Plan(change, (events.plain(EventType.PAUSED),))


def resume(facts: Facts) -> Decision:
    """Let a paused workflow go on."""
    row = facts.row
    if row.status is not WorkflowStatus.PAUSED:
        return _wrong(row, "Only a Paused workflow can be resumed")
    return _in_place(facts, events.plain(EventType.RESUMED))


def override(facts: Facts, status: WorkflowStatus, *, reason: str, actor: str) -> Decision:
    """Set a status by hand, along the transition table; never into Executing, and never out of a final status."""
    row = facts.row
    if status is WorkflowStatus.EXECUTING or row.status in FINAL:
        return _wrong(row, f"A workflow that is {row.status} cannot be overridden to {status}")
    illegal = _illegal(row, status)
    if illegal is not None:
        return illegal
    match status:
        case WorkflowStatus.IN_PROGRESS if row.status is WorkflowStatus.FAILED:
            return recover(facts)
        case WorkflowStatus.IN_PROGRESS if row.status is WorkflowStatus.EXECUTING:
            return _taken_away(facts)
        case WorkflowStatus.IN_PROGRESS:
            return _in_place(facts, events.plain(EventType.RESUMED))
        case WorkflowStatus.PAUSED:
            return pause(facts)
        case WorkflowStatus.FAILED:
            failure = Failure(FailureKind.PERMANENT, "Overridden", sanitise(f"Set to Failed by {actor}: {reason}"))
            return failed(facts, failure, message=events.PERMANENT)
        case WorkflowStatus.COMPLETED:
            return _to_status(facts, status, events.plain(EventType.COMPLETED))
        case _:
            return cancel(facts)


def failed(facts: Facts, failure: Failure, *, message: str) -> Plan:
    """Park it as Failed, for a person to look at."""
    row = facts.row
    step = None if facts.definition is None else facts.definition.step_at(row.step_index)
    told = (
        events.step_failed(
            row.current_step or "", reason=failure.reason, message=message, can_skip=step is not None and step.optional
        ),
        events.needs_attention(failure.reason),
    )
    stay = _stay(facts, WorkflowStatus.FAILED, needs_person=True, failure=failure)
    return Plan(stay, told, detail=None if failure.kind is not FailureKind.PERMANENT else dropped(row))


def _moved_to(
    facts: Facts,
    index: int,
    *,
    seq: int | None,
    told: tuple[Event, ...],
    recoveries: int = 0,
    fresh_start: bool = False,
    skipped: SkippedStep | None = None,
    resumed_from: datetime | None = None,
    damaged: tuple[int, ...] = (),
) -> Plan:
    row, definition = facts.row, facts.definition
    step = None if definition is None else definition.step_at(index)
    waits = step is not None and step.waits_for_command and step.id not in row.inputs_for
    change = Change(
        status=WorkflowStatus.COMPLETED if step is None else WorkflowStatus.IN_PROGRESS,
        step_index=index,
        current_step=None if step is None else step.id,
        checkpoint_seq=seq,
        command_id=facts.new_command_id,
        waiting_for=step.id if step is not None and waits else None,
        recoveries=recoveries,
        fresh_start=fresh_start,
        skipped=skipped,
    )
    if step is None:
        told = (*told, events.plain(EventType.COMPLETED))
    return Plan(
        change,
        told,
        wakes=step is not None and not waits,
        pool=None if step is None else step.pool,
        resumed_from=resumed_from,
        damaged=damaged,
        awaited_step=_awaited(facts, index, step),
    )


def _awaited(facts: Facts, index: int, step: StepDefinition | None) -> str | None:
    """The step that had failed; the one that runs next where none had, or where that one is not run again."""
    row, definition = facts.row, facts.definition
    if step is None or definition is None:
        return None
    stopped_at = -1 if row.status in FINAL else definition.positions.get(row.current_step or "", -1)
    return row.current_step if stopped_at >= index else step.id


def _taken_away(facts: Facts) -> Decision:
    """Its executor is fenced off, so another one starts from what is stored, and that must be intact."""
    decision = from_newest_intact(facts, recoveries=0, fresh_start=False)
    if isinstance(decision, Failing):
        # With nothing to start from it is better left to the executor that holds it.
        return Refusal(decision.problem, decision.detail)
    if isinstance(decision, Refusal):
        return decision
    # Nothing had failed, so there is nothing to verify.
    return replace(decision, events=(events.plain(EventType.RESUMED),), awaited_step=None)


def _in_place(facts: Facts, told: Event) -> Decision:
    """Go on with the current step, wherever the definition has it by now."""
    if facts.definition is None:
        return _unknown_definition(facts.row)
    index = place_after(facts.definition, facts.line)
    if isinstance(index, str):
        return Refusal(Problem.DEFINITION_CHANGED, index)
    instead = _instead(facts, facts.definition, index, facts.line)
    if isinstance(instead, Refusal):
        return instead
    plan = _moved_to(facts, index, seq=facts.row.checkpoint_seq, told=(told,))
    return _said(replace(plan, awaited_step=None), instead)


def _stay(
    facts: Facts,
    status: WorkflowStatus,
    *,
    keeps_claim: bool = False,
    needs_person: bool = False,
    failure: Failure | None = None,
) -> Change:
    row = facts.row
    return Change(
        status=status,
        step_index=row.step_index,
        current_step=row.current_step,
        checkpoint_seq=row.checkpoint_seq,
        command_id=row.command_id if keeps_claim else facts.new_command_id,
        waiting_for=row.waiting_for,
        recoveries=row.recoveries,
        keeps_claim=keeps_claim,
        needs_person=needs_person,
        failure=failure,
    )


def _to_status(facts: Facts, status: WorkflowStatus, told: Event) -> Decision:
    return _illegal(facts.row, status) or Plan(_stay(facts, status), (told,), detail=dropped(facts.row))


def _illegal(row: WorkflowRow, status: WorkflowStatus) -> Refusal | None:
    try:
        require_transition(row.status, status)
    except IllegalTransition as error:
        return Refusal(Problem.WRONG_STATUS, str(error))
    return None


def _unknown_definition(row: WorkflowRow) -> Refusal:
    return Refusal(Problem.UNKNOWN_DEFINITION, f"No executor ever registered {row.definition!r} version {row.version}")
