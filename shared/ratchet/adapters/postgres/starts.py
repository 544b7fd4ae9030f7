"""Accepting workflows: each id once."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from ratchet.ports import NewWorkflow, StartVerdict

# A new workflow is inserted as claimed where its first step can run at once, which saves a statement. When the id is
# taken, the row as it was before tells a redelivery (same message) from a repeated or conflicting start.
_START = """
WITH member AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::jsonb[], $6::bytea[], $7::text[],
        $8::text[], $9::text[], $10::boolean[], $11::uuid[], $14::bytea[])
    AS m(id, definition, version, owner_id, input, content_hash, correlation_id, command_id, first_step, waits, claim,
        input_checksum)
), inserted AS (
    INSERT INTO workflow_instances (id, definition, version, owner_id, status, input, content_hash, correlation_id,
        current_step, waiting_for, command_id, claim_token, claimed_by, lease_until, input_checksum)
    SELECT id, definition, version, owner_id,
        CASE WHEN claim IS NULL THEN 'InProgress' ELSE 'Executing' END::workflow_status,
        input, content_hash, correlation_id, first_step, CASE WHEN waits THEN first_step END, command_id, claim,
        CASE WHEN claim IS NOT NULL THEN $12 END,
        CASE WHEN claim IS NOT NULL THEN clock_timestamp() + $13::interval END, input_checksum
    FROM member ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
SELECT m.id, i.id IS NOT NULL AS is_new, w.content_hash, w.command_id
FROM member m LEFT JOIN inserted i USING (id) LEFT JOIN workflow_instances w USING (id)
"""

# A statement of its own, because joined into the insert it makes the whole of it be planned worse (ADR 15).
_ARCHIVED = """
SELECT workflow_id, (document -> 'workflow' ->> 'content_hash')::bytea AS content_hash
FROM archived_workflows WHERE workflow_id = ANY($1::uuid[])
"""

_EXISTING = "SELECT content_hash, command_id FROM workflow_instances WHERE id = $1"


async def start(
    pool: asyncpg.Pool, workflows: Sequence[NewWorkflow], *, executor: str, lease: timedelta
) -> list[StartVerdict]:
    """Insert what is new; one verdict for each workflow, in order. Ids of archived workflows are taken for good."""
    archived = await _archived(pool, workflows)
    live = [item for item in workflows if item.workflow_id not in archived]
    started = await _start_live(pool, live, executor=executor, lease=lease) if live else {}
    return [
        _repeated(item, archived[item.workflow_id]) if item.workflow_id in archived else started[item.workflow_id]
        for item in workflows
    ]


async def _archived(pool: asyncpg.Pool, workflows: Sequence[NewWorkflow]) -> dict[UUID, bytes]:
    rows = await pool.fetch(_ARCHIVED, [item.workflow_id for item in workflows])
    return {row["workflow_id"]: row["content_hash"] for row in rows}


async def _start_live(
    pool: asyncpg.Pool, workflows: Sequence[NewWorkflow], *, executor: str, lease: timedelta
) -> dict[UUID, StartVerdict]:
    rows = await pool.fetch(
        _START,
        [item.workflow_id for item in workflows],
        [item.definition for item in workflows],
        [item.version for item in workflows],
        [item.owner_id for item in workflows],
        [item.input for item in workflows],
        [item.content_hash for item in workflows],
        [item.correlation_id for item in workflows],
        [item.command_id for item in workflows],
        [item.first_step for item in workflows],
        [item.first_step_waits for item in workflows],
        [item.claim for item in workflows],
        executor,
        lease,
        [item.input_checksum for item in workflows],
    )
    by_id = {row["id"]: row for row in rows}
    return {item.workflow_id: await _verdict(pool, item, by_id[item.workflow_id]) for item in workflows}


async def _verdict(pool: asyncpg.Pool, workflow: NewWorkflow, row: asyncpg.Record) -> StartVerdict:
    if row["is_new"]:
        return StartVerdict.NEW
    if row["content_hash"] is None:
        # Inserted by somebody else while this statement ran: its snapshot does not show the row yet.
        found = await pool.fetchrow(_EXISTING, workflow.workflow_id)
        row = row if found is None else found
    if row["command_id"] == workflow.command_id:
        return StartVerdict.AGAIN
    return _repeated(workflow, row["content_hash"])


def _repeated(workflow: NewWorkflow, content_hash: bytes) -> StartVerdict:
    return StartVerdict.KNOWN if content_hash == workflow.content_hash else StartVerdict.CONFLICT
