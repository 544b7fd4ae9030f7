"""What happened to one workflow, live or archived: attempts, checkpoints, events and recoveries, oldest first."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from ratchet.adapters.postgres.archive import tables_of
from ratchet.adapters.postgres.engine import snapshot
from ratchet.domain.checkpoint import Position, is_intact
from ratchet.state import canonical

MAX_HISTORY = 1000
"""The newest entries of each list in a history; older ones are cut off, which the history says."""

MAX_PAGE_CHARACTERS = 4 * 1024 * 1024
"""A page of checkpoints ends early once their states are larger than this together."""

# A success leaves no row of its own: its checkpoint says all there is to say.
_ATTEMPTS = f"""
SELECT * FROM (
    SELECT step_id, attempt, 'failed' AS outcome, kind, error_class, reason, correlation_id, executor, started_at,
           finished_at, next_attempt_at, traceback
    FROM step_attempts WHERE workflow_id = $1
    UNION ALL
    SELECT step_id, attempt, 'succeeded', NULL, NULL, NULL, NULL, executor, started_at, committed_at, NULL, NULL
    FROM checkpoints WHERE workflow_id = $1 AND NOT skipped
) AS attempts
ORDER BY finished_at DESC, attempt DESC LIMIT {MAX_HISTORY + 1}
"""

_CHECKPOINTS = f"""
SELECT c.seq, c.parent_seq, c.step_index, c.step_id, c.attempt, c.skipped, c.executor, c.started_at, c.committed_at,
       coalesce(c.seq = w.checkpoint_seq, false) AS current
FROM checkpoints c JOIN workflow_instances w ON w.id = c.workflow_id
WHERE c.workflow_id = $1 ORDER BY c.seq DESC LIMIT {MAX_HISTORY + 1}
"""

# An event lies in the owner's feed and in that of the staff: it happened once.
_EVENTS = f"""
SELECT * FROM (
    SELECT DISTINCT ON (event_id) event_id AS id, type, occurred_at AS time, data::text AS data
    FROM notifications WHERE workflow_id = $1 AND type <> ALL ($2::text[])
    ORDER BY event_id
) AS events
ORDER BY time DESC, id DESC LIMIT {MAX_HISTORY + 1}
"""

_RECOVERIES = f"""
SELECT r.id AS recovery_id, r.kind, r.actor, r.reason, r.outcome, r.problem, r.detail, r.resumed_from, r.resumed_step,
       r.checkpoint_seq, r.damaged_checkpoints, r.attempted_at,
       CASE WHEN r.awaited_step IS NOT NULL THEN coalesce(v.verdict, 'pending') END AS verification, v.settled_at
FROM recovery_attempts r LEFT JOIN recovery_verdicts v ON v.recovery_id = r.id
WHERE r.workflow_id = $1 ORDER BY attempted_at DESC, id DESC LIMIT {MAX_HISTORY + 1}
"""

_PAGE = """
SELECT * FROM (
    SELECT c.seq, c.parent_seq, c.step_index, c.step_id, c.attempt, c.skipped, c.executor, c.started_at,
           c.committed_at, coalesce(c.seq = w.checkpoint_seq, false) AS current, c.state::text AS state, c.checksum,
           sum(length(c.state::text)) OVER (ORDER BY c.seq) - length(c.state::text) AS before
    FROM (SELECT * FROM checkpoints WHERE workflow_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS c
    JOIN workflow_instances w ON w.id = c.workflow_id
) AS page
ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class WorkflowHistory:
    """What happened, oldest first. `truncated` says that the oldest entries are missing."""

    attempts: list[dict[str, Any]]
    checkpoints: list[dict[str, Any]]
    events: list[dict[str, Any]]
    recoveries: list[dict[str, Any]]
    truncated: bool


class WorkflowHistories:
    """Questions about one workflow's past."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def history(
        self, workflow_id: UUID, *, without_events: frozenset[str], with_tracebacks: bool
    ) -> WorkflowHistory:
        """What happened to it; events of the types `without_events` are left out."""
        async with snapshot(self._pool) as connection:
            tables = await tables_of(connection, workflow_id)
            answers = [
                await connection.fetch(f"{tables} {_ATTEMPTS}", workflow_id),
                await connection.fetch(f"{tables} {_CHECKPOINTS}", workflow_id),
                await connection.fetch(_EVENTS, workflow_id, sorted(without_events)),
                await connection.fetch(f"{tables} {_RECOVERIES}", workflow_id),
            ]
        attempts, checkpoints, events, recoveries = (
            [dict(row) for row in reversed(rows[:MAX_HISTORY])] for rows in answers
        )
        for attempt in () if with_tracebacks else attempts:
            attempt["traceback"] = None
        for event in events:
            event["data"] = json.loads(event["data"])
        truncated = any(len(rows) > MAX_HISTORY for rows in answers)
        return WorkflowHistory(attempts, checkpoints, events, recoveries, truncated)

    async def checkpoints(self, workflow_id: UUID, *, after_seq: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Checkpoints above `after_seq` with state and whether it is intact, oldest first; and whether more follow."""
        async with snapshot(self._pool) as connection:
            tables = await tables_of(connection, workflow_id)
            rows = await connection.fetch(f"{tables} {_PAGE}", workflow_id, after_seq, limit + 1)
        page = [row for row in rows[:limit] if row["before"] < MAX_PAGE_CHARACTERS]
        return [_checkpoint(workflow_id, row) for row in page], len(page) < len(rows)


def _checkpoint(workflow_id: UUID, row: asyncpg.Record) -> dict[str, Any]:
    fields = dict(row)
    del fields["before"]
    fields["state"] = json.loads(row["state"])
    position = Position(workflow_id, row["seq"], row["step_index"], row["step_id"])
    fields["intact"] = is_intact(position, canonical(fields["state"]), fields.pop("checksum"))
    return fields
