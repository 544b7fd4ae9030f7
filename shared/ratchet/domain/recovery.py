"""What a recovery can end as, and where it leads: the choices of the recovery service as plain values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ratchet.domain.checkpoint import Position, is_intact
from ratchet.domain.workflow import WorkflowStatus

AUTOMATIC_LIMIT = 3
"""Takeovers and rescues without progress in between; the next interruption is a failure instead."""

SYSTEM = "system"
"""The actor of everything that nobody asked for."""


class RecoveryKind(StrEnum):
    """What was asked for, or happened by itself. The first eight are also the audit's actions."""

    RECOVER = "recover"
    RETRY = "retry"
    SKIP = "skip"
    RESTORE = "restore"
    OVERRIDE = "override"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    TAKEOVER = "takeover"
    RESCUE = "rescue"
    LOOK_AFTER = "look-after"


_K, _S = RecoveryKind, WorkflowStatus

ALLOWED: MappingProxyType[WorkflowStatus, tuple[RecoveryKind, ...]] = MappingProxyType(
    {
        _S.NOT_STARTED: (_K.CANCEL, _K.OVERRIDE),
        _S.IN_PROGRESS: (_K.PAUSE, _K.CANCEL, _K.OVERRIDE),
        _S.EXECUTING: (_K.PAUSE, _K.CANCEL, _K.OVERRIDE),
        _S.PAUSED: (_K.RESUME, _K.RESTORE, _K.CANCEL, _K.OVERRIDE),
        _S.FAILED: (_K.RECOVER, _K.RETRY, _K.SKIP, _K.RESTORE, _K.CANCEL, _K.OVERRIDE),
        _S.COMPLETED: (_K.RESTORE,),
        _S.CANCELLED: (_K.RESTORE,),
    }
)
"""What a person may ask for in each status."""


def allowed_now(status: WorkflowStatus) -> str:
    """The end of a refusal: what would be possible instead."""
    return f"allowed now: {', '.join(ALLOWED[status])}"


class RecoveryOutcome(StrEnum):
    """How it went."""

    RESUMED = "resumed"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


class Problem(StrEnum):
    """Why it was refused or failed."""

    UNKNOWN_WORKFLOW = "unknown-workflow"
    WRONG_STATUS = "wrong-status"
    STEP_NOT_OPTIONAL = "step-not-optional"
    NO_INTACT_CHECKPOINT = "no-intact-checkpoint"
    UNKNOWN_CHECKPOINT = "unknown-checkpoint"
    DAMAGED_CHECKPOINT = "damaged-checkpoint"
    DEFINITION_CHANGED = "definition-changed"
    UNKNOWN_DEFINITION = "unknown-definition"
    BAD_REQUEST = "bad-request"
    NO_EXECUTOR = "no-executor"
    FAILURE_CHANGED = "failure-changed"


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as read back, with what is needed to verify it."""

    position: Position
    parent_seq: int | None
    state: Any
    content: bytes
    """The state's canonical form."""
    checksum: bytes
    committed_at: datetime

    @property
    def seq(self) -> int:
        """Its number within the workflow."""
        return self.position.seq

    @property
    def is_intact(self) -> bool:
        """Whether content and position still match the checksum."""
        return is_intact(self.position, self.content, self.checksum)


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """Where a workflow goes on: after `checkpoint`, or from its input when that is None."""

    checkpoint: StoredCheckpoint | None
    damaged: tuple[int, ...]


def newest_intact(line: Sequence[StoredCheckpoint]) -> RestorePoint | None:
    """The last checkpoint of `line` (oldest first) that can be trusted.

    An empty line means that the first step failed: the workflow starts again from its input. A line of which nothing
    is intact gives None: the steps were done, so starting over would do them twice.
    """
    damaged: list[int] = []
    for checkpoint in reversed(line):
        if checkpoint.is_intact:
            return RestorePoint(checkpoint, tuple(sorted(damaged)))
        damaged.append(checkpoint.seq)
    return None if damaged else RestorePoint(None, ())


def line_of(checkpoints: Iterable[StoredCheckpoint], seq: int | None) -> list[StoredCheckpoint]:
    """The checkpoints that lead to `seq`, oldest first: a restore leaves branches, and only one is the workflow's."""
    by_seq = {checkpoint.seq: checkpoint for checkpoint in checkpoints}
    line: list[StoredCheckpoint] = []
    while seq is not None and (checkpoint := by_seq.get(seq)) is not None:
        line.append(checkpoint)
        seq = checkpoint.parent_seq
    return line[::-1]
