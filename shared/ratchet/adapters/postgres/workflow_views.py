"""One workflow as people look at it: where it stands, and how far it is with its steps."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from ratchet.adapters.postgres.archive import ARCHIVED
from ratchet.adapters.postgres.engine import Connection, snapshot
from ratchet.domain.seen import mark_of
from ratchet.domain.workflow import WorkflowStatus

_IDENTITY = """
SELECT owner_id, correlation_id, true AS begun, false AS archived FROM workflow_instances WHERE id = $1
UNION ALL
SELECT owner_id, correlation_id, false, false FROM accepted_starts WHERE workflow_id = $1
UNION ALL (
    SELECT owner_id, document -> 'workflow' ->> 'correlation_id', true, true FROM archived_workflows
    WHERE workflow_id = $1 AND purged_at IS NULL ORDER BY id DESC LIMIT 1
)
ORDER BY archived, begun DESC LIMIT 1
"""

HELD_UP = """CASE WHEN w.unserved_since IS NOT NULL THEN 'no-executor'
    WHEN w.status = 'InProgress' AND w.next_attempt_at < clock_timestamp() - interval '1 second' THEN 'line' END"""
"""Why a workflow does not go on when it should: nobody can run it, or its retry is due and waits in line."""

_WORKFLOW = f"""
SELECT w.id AS workflow_id, w.definition, w.version, w.owner_id, w.status, w.current_step, w.retry_count,
       w.failure_kind, w.failure_class, w.failure_reason, w.failed_at, w.requires_manual_intervention, w.waiting_for,
       w.next_attempt_at, w.last_checkpoint_at, w.created_at, w.updated_at, w.finished_at, w.correlation_id,
       w.failure_fingerprint, w.current_step_index, w.checkpoint_seq, coalesce(c.state, w.input)::text AS state,
       d.steps::text AS steps, w.last_seq, w.failed_attempts, {HELD_UP} AS held_up_by,
       coalesce(w.unserved_since, w.next_attempt_at) AS held_up_since
FROM workflow_instances w
LEFT JOIN checkpoints c ON c.workflow_id = w.id AND c.seq = w.checkpoint_seq
LEFT JOIN workflow_definitions d ON d.name = w.definition AND d.version = w.version
WHERE w.id = $1
"""

_ARCHIVED_AT = "SELECT max(archived_at) FROM archived_workflows WHERE workflow_id = $1 AND purged_at IS NULL"

_ACCEPTED = """
SELECT a.workflow_id, a.definition, a.version, a.owner_id, a.correlation_id, a.accepted_at, d.steps::text AS steps
FROM accepted_starts a
LEFT JOIN workflow_definitions d ON d.name = a.definition AND d.version = a.version
WHERE a.workflow_id = $1
"""

# Only the checkpoints that the workflow stands on; a restore leaves other lines behind.
_LINE = """
line AS (
    SELECT seq, parent_seq, step_index, skipped, committed_at FROM checkpoints WHERE workflow_id = $1 AND seq = $2
    UNION ALL
    SELECT c.seq, c.parent_seq, c.step_index, c.skipped, c.committed_at
    FROM checkpoints c JOIN line ON c.workflow_id = $1 AND c.seq = line.parent_seq
)
SELECT step_index, skipped, committed_at FROM line
"""


@dataclass(frozen=True, slots=True)
class WorkflowIdentity:
    """Whose workflow it is; `begun` is false while no executor has taken it up, `archived` when it is history."""

    owner_id: str
    correlation_id: str
    begun: bool
    archived: bool


@dataclass(frozen=True, slots=True)
class WorkflowView:
    """Where a workflow stands."""

    workflow_id: UUID
    definition: str
    version: int
    owner_id: str
    status: WorkflowStatus
    current_step: str | None
    retry_count: int
    failure_kind: str | None
    failure_class: str | None
    failure_reason: str | None
    failed_at: datetime | None
    requires_manual_intervention: bool
    waiting_for: str | None
    next_attempt_at: datetime | None
    last_checkpoint_at: datetime | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    correlation_id: str
    failure_fingerprint: str | None

    @classmethod
    def accepted(cls, row: Mapping[str, Any] | asyncpg.Record) -> "WorkflowView":
        """A workflow that was promised and has not begun."""
        return cls(
            workflow_id=row["workflow_id"],
            definition=row["definition"],
            version=row["version"],
            owner_id=row["owner_id"],
            status=WorkflowStatus.NOT_STARTED,
            current_step=None,
            retry_count=0,
            failure_kind=None,
            failure_class=None,
            failure_reason=None,
            failed_at=None,
            requires_manual_intervention=False,
            waiting_for=None,
            next_attempt_at=None,
            last_checkpoint_at=None,
            created_at=row["accepted_at"],
            updated_at=row["accepted_at"],
            finished_at=None,
            correlation_id=row["correlation_id"],
            failure_fingerprint=None,
        )


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of the definition and how far this workflow is with it."""

    step_id: str
    optional: bool
    pool: str
    waits_for_command: bool
    status: str
    committed_at: datetime | None


@dataclass(frozen=True, slots=True)
class WorkflowDetail:
    """A workflow with its steps and its present state (the newest checkpoint's, or its input)."""

    workflow: WorkflowView
    steps: tuple[StepView, ...]
    state: Any
    archived_at: datetime | None = None
    held_up_by: str | None = None
    held_up_since: datetime | None = None
    failed_attempt: int | None = None
    """The number of the attempt that it failed with."""
    etag: str = mark_of(WorkflowStatus.NOT_STARTED, None, 0, None)
    """Names what actions depend on."""


class WorkflowViews:
    """Questions about one workflow; each sees one moment."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def identify(self, workflow_id: UUID) -> WorkflowIdentity | None:
        """Whose it is; None if it is unknown."""
        row = await self._pool.fetchrow(_IDENTITY, workflow_id)
        return None if row is None else WorkflowIdentity(**row)

    async def detail(self, workflow_id: UUID) -> WorkflowDetail | None:
        """Where it stands, or stood when it was archived; None if it is unknown."""
        async with snapshot(self._pool) as connection:
            live = await _begun(connection, workflow_id)
            if live is not None:
                return live
            row = await connection.fetchrow(_ACCEPTED, workflow_id)
            if row is not None:
                return _not_begun(row)
            archived = await _begun(connection, workflow_id, tables=f"{ARCHIVED}, ")
            if archived is None:
                return None
            return replace(archived, archived_at=await connection.fetchval(_ARCHIVED_AT, workflow_id))


def _view(row: asyncpg.Record) -> WorkflowView:
    fields = {name: row[name] for name in WorkflowView.__slots__}
    return WorkflowView(**fields | {"status": WorkflowStatus(row["status"])})


async def _begun(connection: Connection, workflow_id: UUID, *, tables: str = "") -> WorkflowDetail | None:
    row = await connection.fetchrow(
        f"WITH {tables.removesuffix(', ')} {_WORKFLOW}" if tables else _WORKFLOW, workflow_id
    )
    if row is None:
        return None
    line = await connection.fetch(f"WITH RECURSIVE {tables}{_LINE}", workflow_id, row["checkpoint_seq"])
    done = {mark["step_index"]: mark for mark in line}
    steps = []
    for index, step in enumerate(json.loads(row["steps"] or "[]")):
        mark = done.get(index)
        if mark is not None:
            status = "skipped" if mark["skipped"] else "done"
        else:
            status = "current" if index == row["current_step_index"] else "pending"
        steps.append(_step(step, status, None if mark is None else mark["committed_at"]))
    held_up_by, view = row["held_up_by"], _view(row)
    return WorkflowDetail(
        view,
        tuple(steps),
        json.loads(row["state"]),
        held_up_by=held_up_by,
        held_up_since=None if held_up_by is None else row["held_up_since"],
        failed_attempt=row["failed_attempts"] if view.status is WorkflowStatus.FAILED else None,
        etag=mark_of(view.status, view.current_step, row["last_seq"], view.failed_at),
    )


def _not_begun(row: asyncpg.Record) -> WorkflowDetail:
    steps = [_step(step, "pending", None) for step in json.loads(row["steps"] or "[]")]
    return WorkflowDetail(WorkflowView.accepted(row), tuple(steps), None)


def _step(step: dict[str, Any], status: str, committed_at: datetime | None) -> StepView:
    return StepView(
        step_id=step["id"],
        optional=step["optional"],
        pool=step["pool"],
        waits_for_command=step["waitsForCommand"],
        status=status,
        committed_at=committed_at,
    )
