"""What is needed to foresee a restore, of a live or an archived workflow, read in one moment and without locks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from ratchet.adapters.postgres import definitions
from ratchet.adapters.postgres.archive import tables_of
from ratchet.adapters.postgres.engine import snapshot
from ratchet.adapters.postgres.recovery_store import CHECKPOINTS, stored_checkpoint
from ratchet.domain.checkpoint import is_intact_input
from ratchet.domain.definition import WorkflowDefinition
from ratchet.domain.recovery import StoredCheckpoint
from ratchet.domain.workflow import WorkflowStatus
from ratchet.state import canonical, decode_state

_ROW = """
SELECT definition, version, status::text AS status, current_step, checkpoint_seq, input::text AS input, input_checksum
FROM workflow_instances WHERE id = $1
"""

_CHECKPOINTS = f"{CHECKPOINTS} WHERE workflow_id = $1 ORDER BY seq"

_EXECUTIONS = """
SELECT step_id, count(*) AS executions, count(committed_at) AS commits, max(committed_at) AS last_committed_at FROM (
    SELECT step_id, NULL::timestamptz AS committed_at FROM step_attempts WHERE workflow_id = $1
    UNION ALL SELECT step_id, committed_at FROM checkpoints WHERE workflow_id = $1 AND NOT skipped
) AS executed
GROUP BY step_id
"""


@dataclass(frozen=True, slots=True)
class Executions:
    """How often a step was run, whatever came of it, how often it was committed, and when for the last time."""

    count: int = 0
    commits: int = 0
    last_committed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RestoreFacts:
    """A workflow as a restore would find it."""

    workflow_id: UUID
    definition_name: str
    version: int
    definition: WorkflowDefinition | None
    status: WorkflowStatus
    current_step: str | None
    checkpoint_seq: int | None
    input: Any
    input_is_intact: bool
    checkpoints: list[StoredCheckpoint]
    executions: dict[str, Executions]


class PostgresRestoreFacts:
    """Reads facts for previews."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def of(self, workflow_id: UUID) -> RestoreFacts | None:
        """None when no executor has taken up such a workflow."""
        async with snapshot(self._pool) as connection:
            tables = await tables_of(connection, workflow_id)
            row = await connection.fetchrow(tables + _ROW, workflow_id)
            if row is None:
                return None
            checkpoints = await connection.fetch(tables + _CHECKPOINTS, workflow_id)
            executed = await connection.fetch(tables + _EXECUTIONS, workflow_id)
            definition = await definitions.find(connection, row["definition"], row["version"])
        state = decode_state(row["input"])
        return RestoreFacts(
            workflow_id=workflow_id,
            definition_name=row["definition"],
            version=row["version"],
            definition=definition,
            status=WorkflowStatus(row["status"]),
            current_step=row["current_step"],
            checkpoint_seq=row["checkpoint_seq"],
            input=state,
            input_is_intact=is_intact_input(workflow_id, canonical(state), row["input_checksum"]),
            checkpoints=[stored_checkpoint(item) for item in checkpoints],
            executions={
                item["step_id"]: Executions(item["executions"], item["commits"], item["last_committed_at"])
                for item in executed
            },
        )
