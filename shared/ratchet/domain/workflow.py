"""A workflow's statuses and the one table of legal transitions between them."""

from enum import StrEnum
from types import MappingProxyType

from ratchet.domain.errors import IllegalTransition


class WorkflowStatus(StrEnum):
    """Where a workflow instance stands; the values are also the labels of the Postgres enum."""

    NOT_STARTED = "NotStarted"
    IN_PROGRESS = "InProgress"
    EXECUTING = "Executing"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class FailureKind(StrEnum):
    """Why a workflow stands in Failed."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    POISON = "poison"
    INTERRUPTED = "interrupted"


_S = WorkflowStatus

TRANSITIONS: MappingProxyType[WorkflowStatus, frozenset[WorkflowStatus]] = MappingProxyType(
    {
        _S.NOT_STARTED: frozenset({_S.IN_PROGRESS, _S.CANCELLED}),
        _S.IN_PROGRESS: frozenset({_S.EXECUTING, _S.PAUSED, _S.COMPLETED, _S.FAILED, _S.CANCELLED}),
        _S.EXECUTING: frozenset({_S.IN_PROGRESS, _S.PAUSED, _S.COMPLETED, _S.FAILED, _S.CANCELLED}),
        _S.PAUSED: frozenset({_S.IN_PROGRESS, _S.FAILED, _S.CANCELLED}),
        # Completed is reached from Failed by skipping the last step.
        _S.FAILED: frozenset({_S.IN_PROGRESS, _S.COMPLETED, _S.CANCELLED}),
        # Out of the two final statuses only a restore leads.
        _S.COMPLETED: frozenset({_S.IN_PROGRESS}),
        _S.CANCELLED: frozenset({_S.IN_PROGRESS}),
    }
)

LIVE = frozenset({_S.NOT_STARTED, _S.IN_PROGRESS, _S.EXECUTING})
"""Statuses in which a workflow moves by itself; the restart scan looks only here."""

FINAL = frozenset({_S.COMPLETED, _S.CANCELLED})
"""Statuses that end a workflow unless somebody restores it."""


def require_transition(before: WorkflowStatus, after: WorkflowStatus) -> None:
    """Pass if the table allows `before` → `after`.

    Raises:
        IllegalTransition: naming the statuses that would be legal.
    """
    if after in TRANSITIONS[before]:
        return
    legal = ", ".join(sorted(TRANSITIONS[before])) or "none"
    raise IllegalTransition(f"A workflow that is {before} cannot become {after}; legal from here: {legal}")
