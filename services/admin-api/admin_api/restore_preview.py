"""What a restore would do, before anybody does it: which steps would run again, and how the state would change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from ratchet.domain.definition import WorkflowDefinition
from ratchet.domain.drift import Instead, instead_at, place_after
from ratchet.domain.json_diff import JsonChange, differences
from ratchet.domain.recovery import (
    ALLOWED,
    Problem,
    RecoveryKind,
    StoredCheckpoint,
    allowed_now,
    line_of,
    newest_intact,
)
from ratchet.domain.step_key import step_key
from ratchet.domain.workflow import WorkflowStatus

if TYPE_CHECKING:
    from ratchet.adapters.postgres.restore_facts import RestoreFacts

MAX_CHANGES = 500
"""Differences beyond this are left out, which the preview says."""


@dataclass(frozen=True, slots=True)
class StepToRun:
    """A step that would run, and how often it was run before."""

    step_id: str
    optional: bool
    waits_for_command: bool
    executions: int
    already_done: bool
    last_committed_at: datetime | None
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen. Where it would be refused or fail, `problem` and `detail` say why, and nothing would run."""

    checkpoint_seq: int | None
    allowed: bool
    problem: Problem | None = None
    detail: str | None = None
    resumed_step: str | None = None
    resumed_from: datetime | None = None
    steps: tuple[StepToRun, ...] = ()
    state_diff: tuple[JsonChange, ...] = ()
    diff_truncated: bool = False
    damaged_checkpoints: tuple[int, ...] = ()
    would_run: str | None = None
    """The step that would run in the place of the one that had failed; refused unless that is said to be meant."""


def preview_of(facts: "RestoreFacts", seq: int | None) -> Preview | None:
    """The preview of a restore from checkpoint `seq`, or of a recovery without one; None: no such checkpoint."""
    if seq is None:
        return _of_recovery(facts)
    chosen = next((checkpoint for checkpoint in facts.checkpoints if checkpoint.seq == seq), None)
    if chosen is None:
        return None
    if not chosen.is_intact:
        detail = f"Checkpoint {seq} does not match its checksum"
        return Preview(seq, allowed=False, problem=Problem.DAMAGED_CHECKPOINT, detail=detail)
    return _after(facts, chosen, kind=RecoveryKind.RESTORE)


def _of_recovery(facts: "RestoreFacts") -> Preview:
    point = newest_intact(line_of(facts.checkpoints, facts.checkpoint_seq))
    if point is None:
        damaged = tuple(checkpoint.seq for checkpoint in line_of(facts.checkpoints, facts.checkpoint_seq))
        detail = "None of the workflow's checkpoints is intact"
        problem = Problem.NO_INTACT_CHECKPOINT
        return Preview(None, allowed=False, problem=problem, detail=detail, damaged_checkpoints=damaged)
    if point.checkpoint is None and not facts.input_is_intact:
        detail = "The workflow's input does not match its checksum"
        return Preview(None, allowed=False, problem=Problem.NO_INTACT_CHECKPOINT, detail=detail)
    return _after(facts, point.checkpoint, kind=RecoveryKind.RECOVER, damaged=point.damaged)


def _after(
    facts: "RestoreFacts", chosen: StoredCheckpoint | None, *, kind: RecoveryKind, damaged: tuple[int, ...] = ()
) -> Preview:
    seq = None if chosen is None else chosen.seq
    if facts.definition is None:
        detail = f"No executor ever registered {facts.definition_name!r} version {facts.version}"
        return Preview(seq, allowed=False, problem=Problem.UNKNOWN_DEFINITION, detail=detail)
    line = line_of(facts.checkpoints, seq)
    place = place_after(facts.definition, line)
    if isinstance(place, str):
        return Preview(seq, allowed=False, problem=Problem.DEFINITION_CHANGED, detail=place)
    steps = tuple(_step(facts, step_id) for step_id in list(facts.definition.positions)[place:])
    changes, truncated = _changes(facts, chosen)
    allowed = kind in ALLOWED[facts.status]
    refusal = None if allowed else f"A workflow that is {facts.status} cannot do this; {allowed_now(facts.status)}"
    problem = None if allowed else Problem.WRONG_STATUS
    instead = _instead(facts, facts.definition, place, line) if allowed else None
    if instead is not None:
        problem = Problem.DEFINITION_CHANGED
        refusal = instead.told(facts.definition, failed=facts.status is WorkflowStatus.FAILED)
    return Preview(
        checkpoint_seq=seq,
        allowed=problem is None,
        problem=problem,
        detail=refusal,
        resumed_step=steps[0].step_id if steps else None,
        resumed_from=None if chosen is None else chosen.committed_at,
        steps=steps,
        state_diff=changes,
        diff_truncated=truncated,
        damaged_checkpoints=damaged,
        would_run=None if instead is None else instead.runs,
    )


def _instead(
    facts: "RestoreFacts", definition: WorkflowDefinition, place: int, line: Sequence[StoredCheckpoint]
) -> Instead | None:
    stopped_at = None if facts.status is WorkflowStatus.COMPLETED else facts.current_step
    stands_on = line_of(facts.checkpoints, facts.checkpoint_seq)
    done = {checkpoint.position.step_id for checkpoint in (*stands_on, *line)}
    return instead_at(definition, place, stopped_at=stopped_at, done=done)


def _step(facts: "RestoreFacts", step_id: str) -> StepToRun:
    assert facts.definition is not None  # checked before
    step = facts.definition.steps[facts.definition.positions[step_id]]
    executed = facts.executions.get(step_id)
    last = None if executed is None else executed.last_committed_at
    count, commits = (0, 0) if executed is None else (executed.count, executed.commits)
    key = step_key(facts.workflow_id, step_id, commits)
    return StepToRun(step_id, step.optional, step.waits_for_command, count, commits > 0, last, key)


def _changes(facts: "RestoreFacts", chosen: StoredCheckpoint | None) -> tuple[tuple[JsonChange, ...], bool]:
    present = next((item for item in facts.checkpoints if item.seq == facts.checkpoint_seq), None)
    before: Any = facts.input if present is None else present.state
    after: Any = facts.input if chosen is None else chosen.state
    found = tuple(islice(differences(before, after), MAX_CHANGES + 1))
    return found[:MAX_CHANGES], len(found) > MAX_CHANGES
